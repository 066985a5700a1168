//! The hash of an event, taken over its line as it stands. Nothing is serialised again.

use plugin_protocol::digest::EventHash;
use sha2::{Digest as _, Sha256};

/// The bytes of a line before the hashed part: `{"event_hash":"` + 64 digits + `",`.
pub(crate) const HASHED_FROM: usize = 81;

/// What opens a line.
pub(crate) const OPENING: &[u8] = br#"{"event_hash":""#;

/// The hash of a canonical line's event: SHA-256 of `{` and the line from byte 81, because `event_hash` sorts first.
///
/// `line` must be at least [`HASHED_FROM`] bytes long; of a shorter one, only the `{` is hashed.
pub(crate) fn hash_of_line(line: &[u8]) -> EventHash {
    let mut hasher = Sha256::new();
    hasher.update(b"{");
    hasher.update(line.get(HASHED_FROM..).unwrap_or_default());
    EventHash::from_bytes(hasher.finalize().into())
}
