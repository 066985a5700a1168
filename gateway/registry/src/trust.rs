//! Ed25519 keys and their files; a private key is never shown, logged or written over.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes};
use ed25519_dalek::{Signer as _, VerifyingKey};
use plugin_protocol::digest::{KeyId, PackageDigest};

use super::Error;
use super::keyfile;
use super::signature::{Signature, signed_bytes};

/// The largest key file that is read, in bytes: an Ed25519 PEM has about 120.
const MAX_KEY_FILE_BYTES: u64 = 16 * 1024;

/// A public key that can be trusted to verify: well formed and not of small order.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A private key.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl PublicKey {
    /// Takes 32 raw bytes.
    ///
    /// # Errors
    /// When they are not a point of the curve, or one of small order, under which forged signatures verify.
    pub(crate) fn from_raw(raw: &[u8; 32]) -> Result<Self, Error> {
        let key = VerifyingKey::from_bytes(raw);
        let what = "the public key";
        Self::checked(
            what,
            key.map_err(|_| {
                invalid(
                    what,
                    "it is no point of the curve; make another with `keygen`",
                )
            })?,
        )
    }

    /// Reads a public key's text: SPKI PEM, as in `FILE.pub`, or an OpenSSH line.
    ///
    /// # Errors
    /// When the text is anything else, with its name, or the key is weak.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        keyfile::public("the public key", text.as_bytes())
    }

    /// Reads a public key's file.
    ///
    /// # Errors
    /// When the file cannot be read or is no such key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        keyfile::public(&format!("'{}'", path.display()), &read_key_file(path)?)
    }

    /// The SPKI PEM text, which OpenSSL reads.
    ///
    /// # Errors
    /// When the key cannot be encoded, which no valid key meets.
    pub fn to_pem(&self) -> Result<String, Error> {
        self.0
            .to_public_key_pem(LineEnding::LF)
            .map_err(|_| invalid("the public key", "it cannot be written as PEM"))
    }

    /// The 32 raw bytes.
    #[must_use]
    pub(crate) fn raw(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key's name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of(self.raw())
    }

    /// Whether `signature` is this key's over `digest`, strictly (RFC 8032 with canonical encodings only).
    #[must_use]
    pub(crate) fn verifies(&self, digest: PackageDigest, signature: &Signature) -> bool {
        let bytes = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
        let mut messages = signature.messages(digest).into_iter();
        messages.any(|message| self.0.verify_strict(&message, &bytes).is_ok())
    }

    /// Whether `signature` is this key's over `message`, as strictly.
    #[must_use]
    pub(super) fn verifies_raw(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).is_ok()
    }

    /// Takes a key that is well formed.
    pub(super) fn checked(what: &str, key: VerifyingKey) -> Result<Self, Error> {
        if key.is_weak() {
            return Err(invalid(
                what,
                "it is a weak key; make another with `keygen`",
            ));
        }
        Ok(Self(key))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl SigningKey {
    /// Makes a key from the system's randomness.
    ///
    /// # Errors
    /// When the system provides no randomness.
    pub fn generate() -> Result<Self, Error> {
        let mut seed = [0; 32];
        let flags = rustix::rand::GetRandomFlags::empty();
        let count = rustix::rand::getrandom(&mut seed[..], flags)
            .map_err(Error::io("draw randomness from", Path::new("getrandom")))?;
        if count != seed.len() {
            return Err(invalid(
                "the new key",
                "the system gave too little randomness",
            ));
        }
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// Reads a private key's file: PKCS#8 PEM, or an OpenSSH key without a passphrase.
    ///
    /// # Errors
    /// When the file cannot be read or is no such key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        keyfile::private(&format!("'{}'", path.display()), &read_key_file(path)?)
    }

    pub(super) fn from_key(key: ed25519_dalek::SigningKey) -> Self {
        Self(key)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a package's digest.
    #[must_use]
    pub fn sign(&self, digest: PackageDigest) -> Signature {
        Signature::new(
            self.public().id(),
            self.0.sign(&signed_bytes(digest)).to_bytes(),
        )
    }
}

impl SigningKey {
    /// Signs bytes that say themselves what they are.
    #[must_use]
    pub(super) fn sign_raw(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.public().id())
    }
}

/// Makes a key pair: `out` (PKCS#8 v1 PEM, mode 0600) and `out.pub` (SPKI PEM).
///
/// # Errors
/// When either file exists, or one cannot be written.
pub fn keygen(out: &Path) -> Result<PublicKey, Error> {
    let key = SigningKey::generate()?;
    let public = key.public();
    // Version 1 leaves the public half out; OpenSSL 3 does not read version 2.
    let private = KeypairBytes {
        secret_key: key.0.to_bytes(),
        public_key: None,
    };
    let private = private
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|_| invalid("the new key", "it cannot be written as PEM"))?;
    let public_path = public_path(out);
    if public_path.symlink_metadata().is_ok() {
        return Err(Error::KeyExists(public_path));
    }
    write_new(out, private.as_bytes(), 0o600)?;
    let written = public
        .to_pem()
        .and_then(|pem| write_new(&public_path, pem.as_bytes(), 0o644))
        .and_then(|()| sync_folder(out));
    if let Err(error) = written {
        // Remove the half pair, which would block the next try; report the first error.
        drop(std::fs::remove_file(out));
        return Err(error);
    }
    Ok(public)
}

/// The public key's file beside the private key's.
fn public_path(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let mut file = opened.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return Error::KeyExists(path.to_owned());
        }
        Error::io("create key file", path)(error)
    })?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half of a key is of no use, and would be in the way of the next attempt. If it stays, that attempt names it.
        std::fs::remove_file(path).unwrap_or_default();
    }
    written.map_err(Error::io("write key file", path))
}

fn sync_folder(file: &Path) -> Result<(), Error> {
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io("sync folder", folder))
}

fn read_key_file(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_KEY_FILE_BYTES).read_to_end(&mut bytes))
        .map_err(Error::io("read key file", path))?;
    Ok(bytes)
}

pub(super) fn invalid(what: &str, why: &str) -> Error {
    Error::InvalidKey {
        what: what.to_owned(),
        why: why.to_owned(),
    }
}
