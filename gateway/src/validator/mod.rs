//! The validator: whether a manifest, a package, a request and an answer keep the contract's rules; it reads no disk and records nothing.
//!
//! What passes becomes a type that nothing else can make: [`CheckedManifest`], [`Admitted`].

mod entry;
mod exchange;
mod manifest;
mod package;
mod ports;
mod schema_cache;
mod schema_cost;
mod shape;
mod words;

pub use entry::Entry;
pub use exchange::{Admitted, Misbehaviour, Refusal, Verdict, admit, admit_value, check_answer};
pub use manifest::{CheckedManifest, MAX_MANIFEST_BYTES, check_manifest};
pub use package::{PackageFiles, check_package};
pub use schema_cache::{SchemaCache, Schemas};

#[cfg(test)]
mod tests;
