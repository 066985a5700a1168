//! The contract's JSON Schemas (draft 2020-12) as text, for those who check values without this crate.
//!
//! Each agrees with its type: the schema accepts exactly the values that the type parses, except that a schema cannot
//! say which version ranges parse. A value's `description` is its rule in one clause, which also says how to correct a
//! value that breaks it. [`draft_07`] has the same schemas for checkers that know no other draft.

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

/// The same schemas in draft-07, for checkers that know no other draft, such as `new Ajv()`.
///
/// Each accepts the same values, except that a leap second has to be written in UTC: how a minute and its offset go together is more
/// than a pattern can say. No `format` is used, which a strict checker refuses where it does not know it.
pub mod draft_07 {
    /// Of [`crate::manifest::Manifest`].
    pub const MANIFEST: &str = include_str!("../schemas/draft-07/manifest.schema.json");

    /// Of [`crate::message::Request`].
    pub const REQUEST: &str = include_str!("../schemas/draft-07/request.schema.json");

    /// Of [`crate::message::Response`].
    pub const RESPONSE: &str = include_str!("../schemas/draft-07/response.schema.json");

    /// Of [`crate::message::FromPlugin`], the line that a plugin writes.
    pub const ANSWER: &str = include_str!("../schemas/draft-07/answer.schema.json");

    /// Of [`crate::event::Event`].
    pub const EVENT: &str = include_str!("../schemas/draft-07/event.schema.json");
}

#[cfg(test)]
mod tests;
