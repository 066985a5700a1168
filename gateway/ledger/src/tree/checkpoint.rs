//! Signed checkpoints: what the log's key vouches for, as C2SP signed notes (`tlog-checkpoint`, Ed25519).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePublicKey as _, spki::der::pem::LineEnding,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use plugin_protocol::digest::KeyId;

use super::cosign::Cosigner;
use super::note::{Note, NoteLine, SIGNATURE_MARK, hex, is_name, key_id, read_vkey, write_vkey};
use crate::error::InvalidNote;

/// The signature type byte of Ed25519 in C2SP signed notes.
const ED25519: u8 = 1;

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
        let (name, raw) = read_vkey(text, ED25519)?;
        let key = VerifyingKey::from_bytes(&raw).ok()?;
        Some(Self {
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
        let note = split(note)?;
        let [line] = note.lines.as_slice() else {
            return Err(InvalidNote::Form("it has not exactly one signature"));
        };
        self.check(note.text, line)?;
        Checkpoint::parse(note.text, line.name)
    }

    /// Checks a checkpoint note that witnesses may have cosigned, and reads what it says. Signatures of other keys are passed over.
    ///
    /// # Errors
    /// When the form is wrong, or this key did not sign it exactly once.
    pub fn open_cosigned(&self, note: &str) -> Result<Checkpoint, InvalidNote> {
        self.own_line(note)?;
        let note = Note::split(note)?;
        let origin = note.text.lines().next().unwrap_or_default();
        Checkpoint::parse(note.text, self.name().unwrap_or(origin))
    }

    /// A checkpoint note with this key's signature alone.
    ///
    /// # Errors
    /// As [`Self::open_cosigned`].
    pub(crate) fn own_line(&self, note: &str) -> Result<String, InvalidNote> {
        let note = Note::split(note)?;
        let origin = note.text.lines().next().unwrap_or_default();
        let name = self.name().unwrap_or(origin);
        let id = note_key_id(name, &self.key);
        let mut own = note
            .lines
            .iter()
            .filter(|line| line.name == name && line.key_id == id);
        let Some(line) = own.next() else {
            return Err(InvalidNote::NotSigned(format!("{name}+{}", hex(id))));
        };
        if own.next().is_some() {
            return Err(InvalidNote::Form("it has two signatures by one key"));
        }
        self.check(note.text, line)?;
        Ok(format!("{}\n{}\n", note.text, line.whole))
    }

    /// Whether both are the same key, whatever their names.
    pub(crate) fn is_same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// The verifier key as C2SP writes it; none where the name is not known.
    #[must_use]
    pub fn vkey(&self) -> Option<String> {
        let name = self.name.as_deref()?;
        Some(write_vkey(name, ED25519, self.key.as_bytes()))
    }

    /// The log's name, when it is known.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The text of a note other than a checkpoint, signed by this key under the key name `name`.
    pub(crate) fn open_text<'a>(&self, name: &str, note: &'a str) -> Result<&'a str, InvalidNote> {
        let note = split(note)?;
        let [line] = note.lines.as_slice() else {
            return Err(InvalidNote::Form("it has not exactly one signature"));
        };
        let key = Self {
            name: Some(name.to_owned()),
            key: self.key,
        };
        key.check(note.text, line).map(|()| note.text)
    }

    /// Checks the signature over a note's `text`; the key's name is the one in the signature's own line.
    fn check(&self, text: &str, line: &NoteLine<'_>) -> Result<(), InvalidNote> {
        let name = self.name().unwrap_or(line.name);
        let id = note_key_id(name, &self.key);
        if line.name != name || line.key_id != id {
            return Err(InvalidNote::NotSigned(format!("{name}+{}", hex(id))));
        }
        let signature = Signature::from_slice(&line.signature)
            .map_err(|_| InvalidNote::Form("its signature is not one of Ed25519"))?;
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

    /// The same key under the name that the operator chose for the log.
    pub(crate) fn named(mut self, name: &str) -> Result<Self, InvalidNote> {
        if !is_name(name) {
            return Err(InvalidNote::Origin(name.to_owned()));
        }
        name.clone_into(&mut self.name);
        Ok(self)
    }

    /// The key pair as that of a witness.
    pub(crate) fn into_cosigner(self, name: &str) -> Result<Cosigner, InvalidNote> {
        Cosigner::new(name, self.key)
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
        write_vkey(&self.name, ED25519, self.key.verifying_key().as_bytes())
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
    pub(crate) fn text(&self, origin: &str) -> String {
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

/// Divides a note that we wrote alone: exactly one Ed25519 signature, and one byte more is refused.
fn split(note: &str) -> Result<Note<'_>, InvalidNote> {
    let note = Note::split(note)?;
    match note.lines.as_slice() {
        [line] if line.signature.len() == Signature::BYTE_SIZE => Ok(note),
        [_] => Err(InvalidNote::Form("its signature is not one of Ed25519")),
        _ => Err(InvalidNote::Form("it has not exactly one signature")),
    }
}

/// The id of a log's key in notes.
fn note_key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    key_id(name, ED25519, key.as_bytes())
}
