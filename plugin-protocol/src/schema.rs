//! The contract's JSON Schemas (draft 2020-12) as text, for those who check values without this crate.
//!
//! Each agrees with its type: the schema accepts exactly the values that the type parses, except that a schema cannot
//! say which version ranges parse. A value's `description` is its rule in one clause, which also says how to correct a
//! value that breaks it.

/// Of [`crate::manifest::Manifest`].
pub const MANIFEST: &str = include_str!("../schemas/manifest.schema.json");

/// Of [`crate::message::Request`].
pub const REQUEST: &str = include_str!("../schemas/request.schema.json");

/// Of [`crate::message::Response`].
pub const RESPONSE: &str = include_str!("../schemas/response.schema.json");

/// Of [`crate::message::FromPlugin`], the line that a plugin writes.
pub const ANSWER: &str = include_str!("../schemas/answer.schema.json");

/// Of [`crate::event::Event`].
pub const EVENT: &str = include_str!("../schemas/event.schema.json");

#[cfg(test)]
mod tests;
