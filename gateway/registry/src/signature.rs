//! `plugin.sig`: who signed a package's digest. Whether that signer is trusted, the inventory knows.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugin_protocol::digest::{KeyId, PackageDigest};
use plugin_protocol::{canonical, json, shown};
use serde::{Deserialize, Serialize};
use ssh_key::{HashAlg, SshSig};

use super::Package;
use super::list::Listed;

/// The most characters of a name that are shown.
const SHOWN_CHARS: usize = 100;
/// The most changed files that are named.
const NAMED_MAX: usize = 5;

/// The largest `plugin.sig` in bytes: 170, and a list of as many and as long paths as a package may have.
pub(super) const MAX_SIGNATURE_BYTES: usize = 32 * 1024 * 1024;

/// What `ssh-keygen -Y sign -n` is told that it signs.
const SSH_NAMESPACE: &str = "plugin-gateway";
/// How such a signature begins (PROTOCOL.sshsig of OpenSSH).
const SSH_BEGIN: &[u8] = b"-----BEGIN SSH SIGNATURE-----";

/// The content of `plugin.sig` (contract, section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    key_id: KeyId,
    bytes: [u8; 64],
    form: Form,
}

/// What exactly the key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// The digest in the contract's own frame, with the files that were there.
    Own { files: Option<Vec<Listed>> },
    /// The digest's text in the frame of OpenSSH, which hashes it first.
    Ssh(HashAlg),
}

/// Why a package's signature does not vouch for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// There is none.
    #[error("the package has no signature: sign it with `plugin-gateway sign PACKAGE --key FILE`")]
    Missing,
    /// It cannot be read.
    #[error(
        "plugin.sig is malformed ({0}): sign the package again with `plugin-gateway sign PACKAGE --key FILE`"
    )]
    Malformed(String),
    /// Its key is not in the allow-list.
    #[error(
        "the package is signed by the untrusted key {0}: an operator must trust it with `plugin-gateway trust add FILE.pub`, then `plugin-gateway register PACKAGE` again"
    )]
    UntrustedKey(KeyId),
    /// Its key was trusted once.
    #[error(
        "the package is signed by the key {0}, whose trust was revoked: sign it with a trusted key (`plugin-gateway trust list` shows them)"
    )]
    RevokedKey(KeyId),
    /// It is not the key's signature over this package.
    #[error(
        "the signature by key {key_id} is wrong for this package: its files changed since it was signed{}; sign it again with `plugin-gateway sign PACKAGE --key FILE`",
        match changed {
            Some(changed) => format!(": {changed}"),
            None => ", or plugin.sig belongs to another package".to_owned(),
        }
    )]
    Wrong {
        /// The key that it names.
        key_id: KeyId,
        /// Which files are others than when it was signed, where the signature says.
        changed: Option<String>,
    },
}

/// The file's form, with everything still text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    algorithm: Algorithm,
    key_id: KeyId,
    signature: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<Vec<Listed>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Algorithm {
    Ed25519,
}

impl Signature {
    pub(super) fn new(key_id: KeyId, bytes: [u8; 64]) -> Self {
        Self {
            key_id,
            bytes,
            form: Form::Own { files: None },
        }
    }

    /// The same signature, with what the package held. It decides nothing: should the package have another digest one day, it
    /// tells what changed.
    #[must_use]
    pub fn with_files_of(mut self, package: &Package) -> Self {
        self.form = Form::Own {
            files: Some(package.list().files().to_vec()),
        };
        self
    }

    /// Reads the bytes of a `plugin.sig`.
    ///
    /// # Errors
    /// [`SignatureFault::Malformed`] when they are none of the contract's forms.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, SignatureFault> {
        if bytes.len() > MAX_SIGNATURE_BYTES {
            return Err(malformed("it is larger than 32 MiB"));
        }
        if bytes.trim_ascii_start().starts_with(SSH_BEGIN) {
            return Self::parse_ssh(bytes.trim_ascii_start());
        }
        let file: File = json::read_as(bytes).map_err(malformed)?;
        let Algorithm::Ed25519 = file.algorithm;
        let raw = STANDARD
            .decode(file.signature.as_bytes())
            .ok()
            .and_then(|raw| raw.try_into().ok())
            .ok_or_else(|| malformed("`signature` is not 64 bytes in padded base64"))?;
        Ok(Self {
            key_id: file.key_id,
            bytes: raw,
            form: Form::Own { files: file.files },
        })
    }

    fn parse_ssh(bytes: &[u8]) -> Result<Self, SignatureFault> {
        let ssh = SshSig::from_pem(bytes).map_err(malformed)?;
        if ssh.namespace() != SSH_NAMESPACE {
            return Err(malformed(format_args!(
                "it was made for the namespace {}: use `ssh-keygen -Y sign -n {SSH_NAMESPACE}`",
                shown::cut(ssh.namespace(), SHOWN_CHARS)
            )));
        }
        let key = ssh.public_key().ed25519();
        let bytes = ssh.signature_bytes().try_into();
        match (key, bytes) {
            (Some(key), Ok(bytes)) => Ok(Self {
                key_id: KeyId::of(&key.0),
                bytes,
                form: Form::Ssh(ssh.hash_alg()),
            }),
            (None, _) | (_, Err(_)) => Err(malformed(format_args!(
                "it was made with a key of type {}: only Ed25519 keys are taken (`ssh-keygen -t ed25519`)",
                ssh.algorithm().as_str()
            ))),
        }
    }

    /// The bytes of a `plugin.sig` of the contract's own form, with a newline at the end.
    #[must_use]
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let files = match &self.form {
            Form::Own { files } => files.clone(),
            Form::Ssh(_) => None,
        };
        let mut bytes = canonical::bytes(&File {
            algorithm: Algorithm::Ed25519,
            key_id: self.key_id,
            signature: STANDARD.encode(self.bytes),
            files,
        });
        bytes.push(b'\n');
        bytes
    }

    /// What the key must have signed to vouch for this digest: any one of these.
    pub(super) fn messages(&self, digest: PackageDigest) -> Vec<Vec<u8>> {
        match &self.form {
            Form::Own { .. } => vec![signed_bytes(digest)],
            // With and without the newline that `echo` puts behind it.
            Form::Ssh(hash) => [digest.to_string(), format!("{digest}\n")]
                .iter()
                .filter_map(|text| SshSig::signed_data(SSH_NAMESPACE, *hash, text.as_bytes()).ok())
                .collect(),
        }
    }

    /// The first files that differ between what was signed and what is there; none where the signature does not say.
    pub(super) fn differences(&self, now: &[Listed]) -> Option<String> {
        let Form::Own { files: Some(then) } = &self.form else {
            return None;
        };
        let then: BTreeMap<&str, &Listed> =
            then.iter().map(|file| (file.path.as_str(), file)).collect();
        let now: BTreeMap<&str, &Listed> =
            now.iter().map(|file| (file.path.as_str(), file)).collect();
        let paths: BTreeSet<&str> = then.keys().chain(now.keys()).copied().collect();
        let said = paths.into_iter().filter_map(|path| {
            let word = match (then.get(path), now.get(path)) {
                (Some(old), Some(new)) if old == new => return None,
                (Some(old), Some(new)) if old.sha256 == new.sha256 => "has another mode",
                (Some(_), Some(_)) => "changed",
                (Some(_), None) => "is gone",
                (None, _) => "is new",
            };
            Some(format!("'{}' {word}", shown::cut(path, SHOWN_CHARS)))
        });
        let said: Vec<String> = said.collect();
        let more = said.len().saturating_sub(NAMED_MAX);
        let mut named = said.get(..NAMED_MAX.min(said.len()))?.join(", ");
        if more > 0 {
            named = format!("{named} and {more} more");
        }
        (!named.is_empty()).then_some(named)
    }

    /// The signer's name.
    #[must_use]
    pub(crate) fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The 64 raw bytes (RFC 8032).
    #[must_use]
    pub(crate) fn as_bytes(&self) -> &[u8; 64] {
        &self.bytes
    }
}

/// The bytes that a package's signature covers (contract, section 5).
pub(super) fn signed_bytes(digest: PackageDigest) -> Vec<u8> {
    format!("plugin-gateway/package/1\n{digest}\n").into_bytes()
}

fn malformed(why: impl ToString) -> SignatureFault {
    SignatureFault::Malformed(why.to_string())
}
