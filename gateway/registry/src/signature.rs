//! `plugin.sig`: who signed a package's digest. Whether that signer is trusted, the inventory knows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugin_protocol::digest::{KeyId, PackageDigest};
use plugin_protocol::{canonical, json};
use serde::{Deserialize, Serialize};

/// The largest `plugin.sig` in bytes: a valid one has about 170.
pub(super) const MAX_SIGNATURE_BYTES: usize = 4_096;

/// The content of `plugin.sig` (contract, section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    key_id: KeyId,
    bytes: [u8; 64],
}

/// Why a package's signature does not vouch for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// There is none.
    #[error("the package has no signature: sign it with `plugin-gateway sign PACKAGE --key FILE`")]
    Missing,
    /// It cannot be read.
    #[error("plugin.sig is malformed ({0}): sign the package again")]
    Malformed(String),
    /// Its key is not in the allow-list.
    #[error(
        "the package is signed by the untrusted key {0}: an operator must add the key with `plugin-gateway trust add` first"
    )]
    UntrustedKey(KeyId),
    /// Its key was trusted once.
    #[error(
        "the package is signed by the key {0}, whose trust was revoked: sign it with a trusted key"
    )]
    RevokedKey(KeyId),
    /// It is not the key's signature over this package.
    #[error(
        "the signature by key {0} is wrong for this package: its files changed since it was signed, or plugin.sig belongs to another package; sign it again"
    )]
    Wrong(KeyId),
}

/// The file's form, with everything still text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    algorithm: Algorithm,
    key_id: KeyId,
    signature: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Algorithm {
    Ed25519,
}

impl Signature {
    pub(super) fn new(key_id: KeyId, bytes: [u8; 64]) -> Self {
        Self { key_id, bytes }
    }

    /// Reads the bytes of a `plugin.sig`.
    ///
    /// # Errors
    /// [`SignatureFault::Malformed`] when they are anything but the contract's form.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, SignatureFault> {
        if bytes.len() > MAX_SIGNATURE_BYTES {
            return Err(malformed("it is larger than 4096 bytes"));
        }
        let file: File = json::read_as(bytes).map_err(malformed)?;
        let Algorithm::Ed25519 = file.algorithm;
        let raw = STANDARD
            .decode(file.signature.as_bytes())
            .ok()
            .and_then(|raw| raw.try_into().ok())
            .ok_or_else(|| malformed("`signature` is not 64 bytes in padded base64"))?;
        Ok(Self::new(file.key_id, raw))
    }

    /// The bytes of a `plugin.sig`, with a newline at the end.
    #[must_use]
    pub fn to_file_bytes(&self) -> Vec<u8> {
        let mut bytes = canonical::bytes(&File {
            algorithm: Algorithm::Ed25519,
            key_id: self.key_id,
            signature: STANDARD.encode(self.bytes),
        });
        bytes.push(b'\n');
        bytes
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
