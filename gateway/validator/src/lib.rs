//! The validator: whether a manifest, a package, a request and an answer keep the contract's rules.
//!
//! It never opens a file, starts a program or records anything; it takes bytes and values and says what is wrong with them.
//! A manifest's bytes go through [`check_manifest`] and become a [`CheckedManifest`]; with its compiled [`Schemas`] a request
//! goes through [`admit_value`] and becomes [`Admitted`], and the plugin's line goes through [`check_answer`] and becomes
//! [`Accepted`]. No other code can make the first two: whoever holds one knows that it was checked.
//!
//! ```
//! let (report, manifest) = gateway_validator::check_manifest(br#"{"plugin_id": "p.example.hello"}"#);
//! assert!(!report.valid && manifest.is_none());
//! // Every finding at once, each with a JSON pointer to its place and what to do about it.
//! let missing = report.issues.iter().find(|issue| issue.message.contains("'version'"));
//! assert!(missing.is_some_and(|issue| issue.message.starts_with("is missing: add")), "{report:?}");
//! ```

#![forbid(unsafe_code)]

mod entry;
mod exchange;
#[cfg(fuzzing)]
pub mod fuzz;
mod manifest;
mod package;
mod pattern;
mod ports;
mod redactions;
mod schema_cost;
mod schema_refs;
mod schemas;
mod server;
mod shape;
mod words;

pub use entry::Entry;
pub use exchange::{
    Accepted, Admitted, Asked, Misbehaviour, Refusal, admit_listing, admit_value, check_answer,
};
pub use manifest::{CheckedManifest, check_manifest};
pub use package::{PackageFiles, check_package};
pub use schemas::{Schemas, describes_payload};
pub use server::{Pinned, unusable_tools};
pub use words::nearest;

#[cfg(test)]
mod tests;
