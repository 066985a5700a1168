//! SHA-256 digests, one type for each thing that is hashed, so that one is never taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not valid: use {chars} lower-case hexadecimal digits")]
pub struct InvalidDigest {
    what: &'static str,
    chars: usize,
}

macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident, $what:literal, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; $len]);

        impl $name {
            /// Takes raw bytes that came from a hash function.
            #[must_use]
            pub fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Parses lower-case hexadecimal digits.
            ///
            /// # Errors
            /// When the length or a digit is wrong.
            pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
                let invalid = InvalidDigest { what: $what, chars: $len * 2 };
                let mut bytes = [0; $len];
                if text.len() != $len * 2 {
                    return Err(invalid);
                }
                for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    *byte = nibble(pair[0]).zip(nibble(pair[1])).map(|(h, l)| h << 4 | l).ok_or(invalid.clone())?;
                }
                Ok(Self(bytes))
            }

            /// The raw bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidDigest;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(digest: $name) -> Self {
                digest.to_string()
            }
        }
    };
}

macro_rules! sha256_digest {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        hex_bytes!($(#[$doc])* $name, $what, 32);

        impl $name {
            /// The SHA-256 (FIPS 180-4) of `bytes`.
            #[must_use]
            pub fn of(bytes: &[u8]) -> Self {
                Self(Sha256::digest(bytes).into())
            }
        }
    };
}

sha256_digest!(
    /// SHA-256 of a manifest's canonical JSON.
    ManifestHash, "manifest hash"
);
sha256_digest!(
    /// SHA-256 of the canonical list of a package's files (contract, section 4).
    PackageDigest, "package digest"
);
sha256_digest!(
    /// SHA-256 of one file's bytes.
    FileHash, "file hash"
);
sha256_digest!(
    /// SHA-256 of a payload's canonical JSON.
    PayloadHash, "payload hash"
);
sha256_digest!(
    /// SHA-256 of a canonical event without its `event_hash`.
    EventHash, "event hash"
);
hex_bytes!(
    /// The name of a signing key: the first 8 bytes of SHA-256 of its 32 raw public bytes.
    KeyId, "key id", 8
);

impl KeyId {
    /// The name of the Ed25519 public key `raw`.
    #[must_use]
    pub fn of(raw: &[u8; 32]) -> Self {
        let digest: [u8; 32] = Sha256::digest(raw).into();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(first)
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Reads and writes an optional digest as hexadecimal digits or, where there is none, as `""`.
pub mod or_empty {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes `digest`, or `""`.
    ///
    /// # Errors
    /// When the serializer fails.
    pub fn serialize<T: ToString, S: Serializer>(
        digest: &Option<T>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.serialize_str(&digest.as_ref().map(T::to_string).unwrap_or_default())
    }

    /// Reads a digest, or `""`.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn deserialize<'de, T, D>(input: D) -> Result<Option<T>, D::Error>
    where
        T: TryFrom<String>,
        T::Error: std::fmt::Display,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(input)?;
        if text.is_empty() {
            Ok(None)
        } else {
            T::try_from(text).map(Some).map_err(D::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_lower_case_hex_of_sha_256() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(FileHash::of(b"").to_string(), empty);
        assert_eq!(FileHash::parse(empty), Ok(FileHash::of(b"")));
        assert!(FileHash::parse(&empty.to_uppercase()).is_err());
        assert!(FileHash::parse(&empty[1..]).is_err());
        assert!(FileHash::parse(&"é".repeat(32)).is_err());
    }
}
