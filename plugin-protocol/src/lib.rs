//! The contract between host, gateway and plugin as checked types: what one of them writes, the others can read.
//!
//! This crate is pure: it opens no file, starts no process and holds no `unsafe`. Whatever is made
//! here by parsing is known to be well formed; nothing else can make it.

pub mod canonical;
pub mod capability;
pub mod digest;
pub mod event;
pub mod ids;
pub mod json;
pub mod manifest;
pub mod message;
pub mod payload;
pub mod report;
pub mod schema;
mod shape;
pub mod time;
pub mod version;
pub mod words;

/// The version of the plugin API that this code speaks (contract, section 1).
pub const OMEGA_PLUGIN_API_VERSION: &str = "1.0.0";
