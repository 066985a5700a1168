//! The one strict JSON reader, used at every door: manifest, request, answer, RPC message, ledger line.
//!
//! The rules are those of the contract's section 4. `scan` walks the bytes once, without recursion. It looks for what
//! a parser would lose (how a number was written) and what it must not be given (nesting that would exhaust its
//! stack). Then `value` builds the value and finds duplicate keys. Both take time linear in the size of the text,
//! and the size is checked before anything else.

mod scan;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The deepest nesting that is read (contract, section 4).
pub const MAX_DEPTH: usize = 128;

/// The largest integer that every double-based reader holds exactly, 2^53 − 1 (RFC 7493, section 2.2).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// A position in a text, for the person who is to correct it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Bytes before it.
    pub byte: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
}

/// Why bytes are not JSON that the gateway takes: one variant for each rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More bytes than are allowed here.
    #[error("JSON of {bytes} bytes is too large: send at most {max_bytes} bytes")]
    TooLarge {
        /// What came.
        bytes: usize,
        /// What is allowed.
        max_bytes: usize,
    },
    /// A byte order mark before the text.
    #[error("JSON starts with a byte order mark: send UTF-8 without one")]
    ByteOrderMark,
    /// Bytes that are not UTF-8.
    #[error("JSON is not UTF-8 at {0}: encode it as UTF-8, and binary data as base64 text")]
    NotUtf8(Position),
    /// An escaped half of a surrogate pair without its other half.
    #[error(
        "lone surrogate escape at {0}: write both halves of the pair, or U+FFFD in place of a half"
    )]
    LoneSurrogate(Position),
    /// Arrays and objects inside each other beyond [`MAX_DEPTH`].
    #[error("nesting is deeper than {MAX_DEPTH} levels at {0}: flatten the value")]
    TooDeep(Position),
    /// An integer, or a number whose canonical form is one, that doubles do not hold exactly.
    #[error(
        "number {literal} at {at} is beyond ±(2^53−1), where doubles skip integers: send it as a string"
    )]
    IntegerTooLarge {
        /// The number as written, cut to a printable length.
        literal: String,
        /// Where it starts.
        at: Position,
    },
    /// A number beyond the largest double.
    #[error("number {literal} at {at} is beyond the largest double: send it as a string")]
    Overflow {
        /// The number as written, cut to a printable length.
        literal: String,
        /// Where it starts.
        at: Position,
    },
    /// A number that is not zero, but so near to it that a double would be zero.
    #[error(
        "number {literal} at {at} is not zero but a double would hold zero: send it as a string"
    )]
    Underflow {
        /// The number as written, cut to a printable length.
        literal: String,
        /// Where it starts.
        at: Position,
    },
    /// A key that its object already has, compared after unescaping.
    #[error("duplicate key at {at}, JSON pointer '{pointer}': give each key of an object once")]
    DuplicateKey {
        /// The JSON pointer (RFC 6901) of the key.
        pointer: String,
        /// Where the second one ends.
        at: Position,
    },
    /// A key that this project's JSON library reserves: an object with it would not be read as an object.
    #[error("reserved key at {at}, JSON pointer '{pointer}': choose another name for it")]
    ReservedKey {
        /// The JSON pointer (RFC 6901) of the key.
        pointer: String,
        /// Where it ends.
        at: Position,
    },
    /// Something after the value.
    #[error("more text after the JSON value at {0}: send exactly one value")]
    Trailing(Position),
    /// Text that breaks the grammar of RFC 8259.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// Valid JSON, but not the value that was expected there.
    #[error("not the expected JSON: {0}")]
    Shape(String),
}

/// Reads one JSON value under the rules of the contract's section 4.
///
/// A number is kept by its value, not by how it was written: `100.0` and `1e2` read as `100`, and
/// `-0` as `0`. So reading the canonical bytes of a value gives the same value again.
///
/// # Errors
/// When a rule is broken, with what to do instead.
pub fn read(bytes: &[u8]) -> Result<Value, Error> {
    read_with(bytes, Integers::Safe)
}

fn read_with(bytes: &[u8], integers: Integers) -> Result<Value, Error> {
    let text = utf8(bytes)?;
    scan::check(text, integers)?;
    value::build(text)
}

/// Reads a JSON Schema of at most `max_bytes` under the same rules but one: its integers are bounds and not values that go anywhere, so
/// all that 64 bits hold are read, exactly.
///
/// # Errors
/// When there is more, or a rule is broken.
pub fn read_schema(bytes: &[u8], max_bytes: usize) -> Result<Value, Error> {
    within(bytes, max_bytes)?;
    read_with(bytes, Integers::Wide)
}

/// Which integers are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Integers {
    /// Within ±[`MAX_SAFE_INTEGER`].
    Safe,
    /// All of `i64` and `u64`.
    Wide,
}

/// Reads one JSON value as `T` under the same rules.
///
/// # Errors
/// When a rule is broken, or the value is not a `T`.
pub fn read_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_value(read(bytes)?).map_err(|error| Error::Shape(error.to_string()))
}

/// Reads one JSON value of at most `max_bytes` under the same rules; a longer text is refused unread.
///
/// # Errors
/// When the text is longer, or a rule is broken.
pub fn read_bounded(bytes: &[u8], max_bytes: usize) -> Result<Value, Error> {
    within(bytes, max_bytes)?;
    read(bytes)
}

fn within(bytes: &[u8], max_bytes: usize) -> Result<(), Error> {
    if bytes.len() > max_bytes {
        return Err(Error::TooLarge {
            bytes: bytes.len(),
            max_bytes,
        });
    }
    Ok(())
}

fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
    if bytes.starts_with(BYTE_ORDER_MARK) {
        return Err(Error::ByteOrderMark);
    }
    std::str::from_utf8(bytes)
        .map_err(|error| Error::NotUtf8(Position::of_byte(bytes, error.valid_up_to())))
}

impl Position {
    fn of_byte(text: &[u8], byte: usize) -> Self {
        let before = &text[..byte.min(text.len())];
        let line_start = before
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |newline| newline + 1);
        Self {
            byte: before.len(),
            line: 1 + before.iter().filter(|&&b| b == b'\n').count(),
            column: 1 + String::from_utf8_lossy(&before[line_start..])
                .chars()
                .count(),
        }
    }

    /// From the line and the number of bytes read of it, as serde_json's errors say.
    fn of_line(text: &str, line: usize, bytes_of_line: usize) -> Self {
        let line_start: usize = text
            .split_inclusive('\n')
            .take(line.saturating_sub(1))
            .map(str::len)
            .sum();
        Self::of_byte(text.as_bytes(), line_start + bytes_of_line)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { byte, line, column } = self;
        write!(f, "line {line} column {column} (byte {byte})")
    }
}
