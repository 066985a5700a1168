//! Canonical JSON (RFC 8785): the one byte form that is hashed, signed and stored.

use serde::Serialize;

/// The canonical JSON of `value`.
///
/// For values that the strict reader accepted this is a fixed point: reading the bytes and writing
/// them again gives the same bytes.
///
/// # Panics
/// Never for the types of this crate: they hold no map with non-text keys and no number that is not finite.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "the documented precondition holds for every type of this crate"
)]
pub fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value)
        .expect("a type of the protocol is always writable as JSON")
}

/// The canonical JSON of `value` as text.
///
/// # Panics
/// Never for the types of this crate, as [`bytes`].
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "the documented precondition holds for every type of this crate"
)]
pub fn text<T: Serialize>(value: &T) -> String {
    serde_json_canonicalizer::to_string(value)
        .expect("a type of the protocol is always writable as JSON")
}
