//! A run's salt: with it, hashes of what is easily guessed say nothing to those who do not have it. It lies with what is kept of the run and
//! goes with that; it is never in the ledger.

use hmac::{Hmac, KeyInit as _, Mac as _};
use plugin_protocol::digest::{FileHash, PayloadHash};
use plugin_protocol::event::{Event, meta};
use sha2::Sha256;

use crate::line::Draft;

/// The bytes of a salt: as many as of the hash, beyond which more would add nothing.
const SALT_BYTES: usize = 32;

/// How many hex digits name a salt.
const ID_DIGITS: usize = 16;

/// A salt of one run.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt([u8; SALT_BYTES]);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Salt").field(&self.id()).finish()
    }
}

impl Salt {
    /// A new one.
    pub(super) fn draw() -> std::io::Result<Self> {
        let mut bytes = [0; SALT_BYTES];
        let drawn = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        if drawn == SALT_BYTES {
            Ok(Self(bytes))
        } else {
            Err(std::io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Reads 64 hex digits, as the file of a salt holds them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // A salt has the form of a SHA-256.
        let bytes = FileHash::parse(text.trim_end()).ok()?;
        Some(Self(*bytes.as_bytes()))
    }

    /// The file's text.
    pub(super) fn text(&self) -> String {
        format!("{}\n", FileHash::from_bytes(self.0))
    }

    /// What an event carries in the place of a SHA-256: HMAC-SHA256 of its 32 bytes.
    fn over(&self, hash: &[u8; 32]) -> [u8; 32] {
        // A key of any length is taken.
        match Hmac::<Sha256>::new_from_slice(&self.0) {
            Ok(mut mac) => {
                mac.update(hash);
                mac.finalize().into_bytes().into()
            }
            Err(_) => [0; 32],
        }
    }

    /// What an event carries for a payload with this hash.
    #[must_use]
    pub fn payload(&self, hash: &PayloadHash) -> PayloadHash {
        PayloadHash::from_bytes(self.over(hash.as_bytes()))
    }

    /// What an event carries for a kept file with this hash.
    #[must_use]
    pub fn file(&self, hash: &FileHash) -> FileHash {
        FileHash::from_bytes(self.over(hash.as_bytes()))
    }

    /// Puts it between the hashes of a draft and those who guess.
    pub(crate) fn apply(&self, draft: &mut Draft) {
        for hash in [&mut draft.input_hash, &mut draft.output_hash] {
            *hash = hash.map(|hash| self.payload(&hash));
        }
        let meta = [
            (meta::HASHES, meta::HASHES_SALTED.to_owned()),
            (meta::SALT_ID, self.id()),
        ];
        let meta = meta.map(|(name, value)| (name.to_owned(), value));
        draft.meta.extend(meta);
    }

    /// Its name: the first 16 hex digits of its SHA-256.
    #[must_use]
    pub fn id(&self) -> String {
        let mut digits = FileHash::of(&self.0).to_string();
        digits.truncate(ID_DIGITS);
        digits
    }

    /// Whether it is the one that the hashes of `event` were made with.
    #[must_use]
    pub fn is_of(&self, event: &Event) -> bool {
        event.meta.get(meta::SALT_ID) == Some(&self.id())
    }
}

/// Whether the hashes of `event` are salted.
#[must_use]
pub fn is_salted(event: &Event) -> bool {
    event
        .meta
        .get(meta::HASHES)
        .is_some_and(|hashes| hashes == meta::HASHES_SALTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_hmac_sha256_as_others_make_it() {
        // RFC 4231's construction, checked with `openssl dgst -sha256 -mac HMAC -macopt hexkey:…` over the 32 bytes.
        let salt = Salt::parse(&"0b".repeat(32)).unwrap();
        let hash = FileHash::of(b"7391");
        let expected = "509a9428eb85f02cbce2176a6d0df0da35ff43dee1444f97a707b30b0efcc5d6";
        assert_eq!(salt.file(&hash).to_string(), expected);
        assert_eq!(Salt::parse(&salt.text()), Some(salt.clone()));
        assert_eq!(salt.id().len(), 16);
        assert!(!format!("{salt:?}").contains("0b0b"));
        assert!(Salt::parse("0b").is_none());
    }
}
