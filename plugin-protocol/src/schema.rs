//! The contract's JSON Schemas (draft 2020-12) as text, for whoever checks values without this crate.
//!
//! Each says the same as its type: what the schema accepts the type parses, and the other way round,
//! except that a schema cannot say which version ranges parse. A value's `description` is its rule
//! in one clause, which also says how to mend a value that breaks it.

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
