//! Cosignatures of witnesses (C2SP `tlog-cosignature`, version 1, Ed25519): checking and making one. It knows no log and no policy.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::note::{NoteLine, SIGNATURE_MARK, is_name, key_id, read_vkey, write_vkey};
use crate::error::InvalidNote;

/// The signature type byte of Ed25519 cosignatures.
const COSIGNATURE: u8 = 4;

/// The latest time that a cosignature may name, in seconds since 1970 (`tlog-cosignature`).
const MAX_TIME: u64 = i64::MAX.unsigned_abs();

/// The public half of a witness's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    key: VerifyingKey,
}

impl WitnessKey {
    /// Reads a C2SP verifier key for cosignatures, `name+hash+base64` with type 4.
    ///
    /// # Errors
    /// When it is none, or a key that is too weak to vouch for anything.
    pub fn parse(vkey: &str) -> Result<Self, InvalidNote> {
        let (name, raw) = read_vkey(vkey.trim(), COSIGNATURE).ok_or(InvalidNote::WitnessKey)?;
        let key = VerifyingKey::from_bytes(&raw).map_err(|_| InvalidNote::WitnessKey)?;
        // Another encoding of the same point would be the same key under two names.
        if key.is_weak() || key.to_edwards().compress().as_bytes() != &raw {
            return Err(InvalidNote::WitnessKey);
        }
        Ok(Self {
            name: name.to_owned(),
            key,
        })
    }

    /// The name in its signature lines.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The verifier key as C2SP writes it.
    #[must_use]
    pub fn vkey(&self) -> String {
        write_vkey(&self.name, COSIGNATURE, self.key.as_bytes())
    }

    /// The key's 32 bytes, by which two names of one key are found out.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether a signature line says that it is by this key.
    pub(crate) fn is_of(&self, line: &NoteLine<'_>) -> bool {
        line.name == self.name && line.key_id == key_id(&self.name, COSIGNATURE, self.bytes())
    }

    /// The time that a cosignature over a checkpoint's `text` names, in seconds since 1970.
    ///
    /// # Errors
    /// When it is not by this key, or does not hold.
    pub(crate) fn check(&self, text: &str, line: &NoteLine<'_>) -> Result<u64, InvalidNote> {
        if !self.is_of(line) {
            return Err(InvalidNote::NotSigned(self.name.clone()));
        }
        let bytes: [u8; 72] = line
            .signature
            .as_slice()
            .try_into()
            .map_err(|_| InvalidNote::BadCosignature(self.name.clone()))?;
        let (mut time, mut signature) = ([0; 8], [0; 64]);
        time.copy_from_slice(&bytes[..8]);
        signature.copy_from_slice(&bytes[8..]);
        let time = u64::from_be_bytes(time);
        let holds = (1..=MAX_TIME).contains(&time)
            && self
                .key
                .verify_strict(
                    message(text, time).as_bytes(),
                    &Signature::from_bytes(&signature),
                )
                .is_ok();
        holds
            .then_some(time)
            .ok_or_else(|| InvalidNote::BadCosignature(self.name.clone()))
    }
}

/// What a witness signs: that it has seen this checkpoint at that time.
fn message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// A witness's key pair.
pub struct Cosigner {
    name: String,
    key: SigningKey,
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The private half is never shown.
        f.debug_struct("Cosigner")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Cosigner {
    /// A key pair of this name from a PKCS#8 PEM private key.
    ///
    /// # Errors
    /// When the name cannot be one, or the text is no such key.
    pub fn from_pem(name: &str, pem: &str) -> Result<Self, InvalidNote> {
        let key = SigningKey::from_pkcs8_pem(pem).map_err(|_| InvalidNote::WitnessKey)?;
        Self::new(name, key)
    }

    pub(crate) fn new(name: &str, key: SigningKey) -> Result<Self, InvalidNote> {
        if !is_name(name) {
            return Err(InvalidNote::WitnessKey);
        }
        Ok(Self {
            name: name.to_owned(),
            key,
        })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> WitnessKey {
        WitnessKey {
            name: self.name.clone(),
            key: self.key.verifying_key(),
        }
    }

    /// The signature line over a checkpoint's `text` as seen at `time` (seconds since 1970), with its newline.
    #[must_use]
    pub(crate) fn cosign(&self, text: &str, time: u64) -> String {
        let id = key_id(&self.name, COSIGNATURE, self.key.verifying_key().as_bytes());
        let signature = self.key.sign(message(text, time).as_bytes());
        let bytes = [
            id.as_slice(),
            &time.to_be_bytes(),
            signature.to_bytes().as_slice(),
        ]
        .concat();
        format!("{SIGNATURE_MARK}{} {}\n", self.name, BASE64.encode(bytes))
    }
}

/// The verifier key of the same key under another name: `raw` is its base64.
#[cfg(test)]
pub(crate) fn renamed_vkey(raw: &str, name: &str) -> String {
    let bytes = BASE64.decode(raw).unwrap_or_default();
    let key = bytes.get(1..).and_then(|key| key.try_into().ok());
    write_vkey(name, COSIGNATURE, &key.unwrap_or_default())
}
