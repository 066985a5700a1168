//! Signed checkpoints: what the log's key vouches for, as C2SP signed notes (`tlog-checkpoint`, Ed25519).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePublicKey as _, spki::der::pem::LineEnding,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use plugin_protocol::digest::KeyId;
use sha2::{Digest as _, Sha256};

use super::merkle::Hash;
use crate::disk::MAX_NOTE_BYTES;
use crate::error::InvalidNote;

/// The signature type byte of Ed25519 in C2SP signed notes.
const ED25519: u8 = 1;

/// What a signature line begins with: an em dash and a space.
const SIGNATURE_MARK: &str = "\u{2014} ";

/// What a checkpoint says: how many events there are, and the root over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The events in the tree.
    pub size: u64,
    /// The RFC 6962 root over their lines.
    pub root: [u8; 32],
}

/// The public half of a log's key: what checkpoints are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    /// The log's name, when it is known: a PEM file has none, and then the note's own counts.
    name: Option<String>,
    key: VerifyingKey,
}

impl LogKey {
    /// Reads a public key: SPKI PEM, or a C2SP verifier key `name+hash+base64`.
    ///
    /// # Errors
    /// When it is neither, or a key that is too weak to vouch for anything.
    pub fn parse(text: &str) -> Result<Self, InvalidNote> {
        let text = text.trim();
        let parsed = match text.starts_with("-----BEGIN") {
            true => VerifyingKey::from_public_key_pem(text)
                .ok()
                .map(|key| Self { name: None, key }),
            false => Self::from_vkey(text),
        };
        parsed
            .filter(|log| !log.key.is_weak())
            .ok_or(InvalidNote::Key)
    }

    fn from_vkey(text: &str) -> Option<Self> {
        // The base64 part may itself hold a plus sign, so only the first two separate the parts.
        let mut parts = text.splitn(3, '+');
        let (name, hash, key) = (parts.next()?, parts.next()?, parts.next()?);
        let bytes = BASE64.decode(key).ok()?;
        let (kind, raw) = bytes.split_first()?;
        let key = VerifyingKey::from_bytes(raw.try_into().ok()?).ok()?;
        let named = is_name(name) && *kind == ED25519 && hash == hex(note_key_id(name, &key));
        named.then(|| Self {
            name: Some(name.to_owned()),
            key,
        })
    }

    /// The key's id of the contract's section 5.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of(self.key.as_bytes())
    }

    /// Checks a checkpoint note and reads what it says.
    ///
    /// # Errors
    /// When the form is wrong or this key did not sign it.
    pub(crate) fn open(&self, note: &str) -> Result<Checkpoint, InvalidNote> {
        let (text, signature) = split(note)?;
        self.check(text, signature)?;
        Checkpoint::parse(text, signature.name)
    }

    /// The log's name, when it is known.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The text of a note other than a checkpoint, signed by this key under the key name `name`.
    pub(crate) fn open_text<'a>(&self, name: &str, note: &'a str) -> Result<&'a str, InvalidNote> {
        let (text, line) = split(note)?;
        let key = Self {
            name: Some(name.to_owned()),
            key: self.key,
        };
        key.check(text, line).map(|()| text)
    }

    /// Checks the signature over a note's `text`; the key's name is the one in the signature's own line.
    fn check(&self, text: &str, line: SignatureLine<'_>) -> Result<(), InvalidNote> {
        let name = self.name.as_deref().unwrap_or(line.name);
        let id = note_key_id(name, &self.key);
        if line.name != name || line.key_id != id {
            return Err(InvalidNote::NotSigned(format!("{name}+{}", hex(id))));
        }
        let signature = Signature::from_bytes(&line.signature);
        self.key
            .verify_strict(text.as_bytes(), &signature)
            .map_err(|_| InvalidNote::BadSignature)
    }
}

/// The log's key pair.
pub(crate) struct LogSigner {
    name: String,
    key: SigningKey,
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The private half is never shown.
        f.debug_struct("LogSigner")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl LogSigner {
    /// Makes a new key pair from the system's randomness.
    pub(crate) fn generate() -> std::io::Result<Self> {
        let mut seed = [0; 32];
        let drawn = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
        if drawn < seed.len() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self::new(SigningKey::from_bytes(&seed)))
    }

    /// Reads a PKCS#8 PEM private key.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, InvalidNote> {
        SigningKey::from_pkcs8_pem(pem)
            .map(Self::new)
            .map_err(|_| InvalidNote::Key)
    }

    fn new(key: SigningKey) -> Self {
        // The log's name is made from its key, so that no two logs share one.
        let name = format!(
            "plugin-gateway/{}",
            KeyId::of(key.verifying_key().as_bytes())
        );
        Self { name, key }
    }

    /// The private key as PKCS#8 version 1 PEM, which OpenSSL reads.
    pub(crate) fn private_pem(&self) -> String {
        // RFC 8410: version 0, algorithm 1.3.101.112, and the seed as an octet string in an octet string.
        const PREFIX: [u8; 16] = [
            0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
        ];
        let der = [PREFIX.as_slice(), &self.key.to_bytes()].concat();
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            BASE64.encode(der)
        )
    }

    /// The public key as SPKI PEM.
    pub(crate) fn public_pem(&self) -> Result<String, InvalidNote> {
        self.key
            .verifying_key()
            .to_public_key_pem(LineEnding::LF)
            .map_err(|_| InvalidNote::Key)
    }

    /// The public key as a C2SP verifier key.
    pub(crate) fn vkey(&self) -> String {
        let key = self.key.verifying_key();
        let id = hex(note_key_id(&self.name, &key));
        let bytes = [&[ED25519], key.as_bytes().as_slice()].concat();
        format!("{}+{id}+{}", self.name, BASE64.encode(bytes))
    }

    pub(crate) fn public(&self) -> LogKey {
        LogKey {
            name: Some(self.name.clone()),
            key: self.key.verifying_key(),
        }
    }

    /// Signs a checkpoint. An empty tree is never signed: it would vouch for nothing.
    pub(crate) fn sign(&self, checkpoint: &Checkpoint) -> String {
        self.sign_text(&self.name, &checkpoint.text(&self.name))
    }

    /// Signs `text`, which ends with a newline, under a key name of its own: a note of one kind can never pass for another.
    pub(crate) fn sign_text(&self, name: &str, text: &str) -> String {
        let id = note_key_id(name, &self.key.verifying_key());
        let signature = self.key.sign(text.as_bytes());
        let bytes = [id.as_slice(), &signature.to_bytes()].concat();
        format!("{text}\n{SIGNATURE_MARK}{name} {}\n", BASE64.encode(bytes))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Checkpoint {
    /// The text that is signed: origin, size and root, a line each.
    fn text(&self, origin: &str) -> String {
        format!("{origin}\n{}\n{}\n", self.size, BASE64.encode(self.root))
    }

    fn parse(text: &str, name: &str) -> Result<Self, InvalidNote> {
        let form = InvalidNote::Form;
        let lines: Vec<&str> = text.lines().collect();
        let &[origin, size, root] = lines.as_slice() else {
            return Err(form("it has not exactly three lines of text"));
        };
        if origin != name {
            return Err(form("its origin is not its signer's name"));
        }
        let parsed = size
            .parse()
            .ok()
            .filter(|parsed: &u64| *parsed > 0 && parsed.to_string() == size);
        let size = parsed.ok_or(form("its size is not a plain positive number"))?;
        let root = BASE64
            .decode(root)
            .ok()
            .and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            size,
            root: root.ok_or(form("its root is not the base64 of 32 bytes"))?,
        })
    }
}

/// The one signature of a note.
#[derive(Debug, Clone, Copy)]
struct SignatureLine<'a> {
    name: &'a str,
    key_id: [u8; 4],
    signature: [u8; 64],
}

/// Divides a note into its text, newline included, and its one signature. Ours never have more than one, and one byte more is refused.
fn split(note: &str) -> Result<(&str, SignatureLine<'_>), InvalidNote> {
    let form = InvalidNote::Form;
    if note.len() > MAX_NOTE_BYTES {
        return Err(form("it is too long"));
    }
    let at = note.rfind("\n\n").ok_or(form("it has no blank line"))?;
    let (text, rest) = note.split_at(at + 1);
    let line = rest
        .strip_prefix('\n')
        .and_then(|rest| rest.strip_suffix('\n'))
        .ok_or(form("it does not end with a newline"))?;
    let (name, base64) = line
        .strip_prefix(SIGNATURE_MARK)
        .and_then(|line| line.split_once(' '))
        .ok_or(form("it has not exactly one signature"))?;
    let bytes = BASE64.decode(base64).ok().filter(|_| is_name(name));
    let bytes: [u8; 68] = bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(form("its signature is not one of Ed25519"))?;
    let (mut key_id, mut signature) = ([0; 4], [0; 64]);
    key_id.copy_from_slice(&bytes[..4]);
    signature.copy_from_slice(&bytes[4..]);
    Ok((
        text,
        SignatureLine {
            name,
            key_id,
            signature,
        },
    ))
}

/// The id of a key in notes: the first 4 bytes of SHA-256 of name, newline, type and key.
fn note_key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([b'\n', ED25519]);
    hasher.update(key.as_bytes());
    let digest: Hash = hasher.finalize().into();
    let mut id = [0; 4];
    id.copy_from_slice(&digest[..4]);
    id
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('+') && !name.chars().any(char::is_whitespace)
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}
