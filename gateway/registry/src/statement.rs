//! Statements that a key signs beside packages, such as an operator's decisions about a fleet. The kind of a statement is part of what is
//! signed, so that none passes for another's, nor for a package's signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugin_protocol::digest::FileHash;

use super::{PublicKey, SigningKey};

impl SigningKey {
    /// Signs `text` as a statement of this `kind` (lower-case letters), in base64.
    #[must_use]
    pub fn sign_statement(&self, kind: &str, text: &[u8]) -> String {
        STANDARD.encode(self.sign_raw(&framed(kind, text)))
    }
}

impl PublicKey {
    /// Whether `signature`, in base64, is this key's over `text` as a statement of this `kind`.
    #[must_use]
    pub fn vouches(&self, kind: &str, text: &[u8], signature: &str) -> bool {
        let raw = STANDARD.decode(signature).ok();
        let raw = raw.and_then(|raw| <[u8; 64]>::try_from(raw).ok());
        raw.is_some_and(|raw| self.verifies_raw(&framed(kind, text), &raw))
    }
}

/// The bytes that are signed: the kind on a line of its own, then the text's SHA-256.
fn framed(kind: &str, text: &[u8]) -> Vec<u8> {
    format!("plugin-gateway/{kind}/1\n{}\n", FileHash::of(text)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_of_its_key_its_kind_and_its_text() {
        let key = SigningKey::generate().unwrap();
        let signature = key.sign_statement("decision", b"text");
        let public = key.public();
        assert!(public.vouches("decision", b"text", &signature));
        assert!(!public.vouches("node", b"text", &signature));
        assert!(!public.vouches("decision", b"texT", &signature));
        assert!(!public.vouches("decision", b"text", "AAAA"));
        let other = SigningKey::generate().unwrap().public();
        assert!(!other.vouches("decision", b"text", &signature));
    }

    #[test]
    fn a_package_s_signature_is_no_statement() {
        let key = SigningKey::generate().unwrap();
        let digest = plugin_protocol::digest::PackageDigest::from_bytes([7; 32]);
        let signature = STANDARD.encode(key.sign(digest).as_bytes());
        let text = digest.to_string();
        assert!(!key.public().vouches("package", text.as_bytes(), &signature));
    }
}
