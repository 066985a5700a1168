//! The contract between host, gateway and plugin as checked types: what one of them writes, the others can read.
//!
//! This crate is pure: it opens no file, starts no process and holds no `unsafe`. An id, a digest or a time is made
//! from text only by parsing, so each is known to be well formed.
//!
//! | module | what it holds | contract |
//! |---|---|---|
//! | [`json`] | the one strict JSON reader | section 4, JSON rules |
//! | [`canonical`] | the one byte form that is hashed and signed (RFC 8785) | section 4 |
//! | [`ids`], [`digest`], [`time`], [`version`] | the small parts: names, hashes, times, versions and ranges | sections 1, 4, 9 |
//! | [`capability`], [`payload`] | what goes in and out | sections 2, 3 |
//! | [`manifest`] | what a plugin says of itself | section 4 |
//! | [`mcp`] | what is said to a server of the Model Context Protocol | section 13 |
//! | [`message`], [`report`] | requests, answers, responses, and what the other operations give | sections 6, 8 |
//! | [`event`] | one line of the ledger | section 9 |
//! | [`schema`] | the shapes as JSON Schemas | sections 3, 4, 6, 8, 9 |
//! | [`fault`] | whose fault something is, and its exit code | section 11 |
//! | [`words`] | the words that hosts match on | sections 4, 6 |
//! | [`shown`] | untrusted text made safe to show | |
//! | [`sdk`] | a plugin's `main` in Rust | section 8 |
//!
//! Bytes become values through [`json`] only: no other reader refuses duplicate keys, inexact numbers and deep nesting.
//!
//! ```
//! use plugin_protocol::{canonical, ids::PluginId, json};
//!
//! let value = json::read(br#"{"b": 1e2, "a": "x"}"#)?;
//! assert_eq!(canonical::bytes(&value), br#"{"a":"x","b":100}"#);
//! assert!(json::read(br#"{"a": 1, "a": 2}"#).is_err(), "a key stands once");
//! assert!(PluginId::parse("p.example.hello").is_ok());
//! assert!(PluginId::parse("Hello!").is_err());
//! # Ok::<(), json::Error>(())
//! ```

#![forbid(unsafe_code)]

pub mod canonical;
pub mod capability;
pub mod digest;
pub mod event;
pub mod fault;
pub mod ids;
pub mod json;
pub mod manifest;
pub mod mcp;
pub mod message;
pub mod payload;
pub mod report;
pub mod schema;
pub mod sdk;
mod shape;
pub mod shown;
pub mod time;
pub mod version;
pub mod words;

/// The version of the plugin API that this code speaks (contract, section 1).
pub const OMEGA_PLUGIN_API_VERSION: &str = "1.0.0";
