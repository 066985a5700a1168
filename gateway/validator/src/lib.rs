//! The validator: whether a manifest, a package, a request and an answer keep the contract's rules; it reads no disk and records nothing.
//!
//! What passes becomes a type that nothing else can make: [`CheckedManifest`], [`Admitted`].

#![forbid(unsafe_code)]

mod entry;
mod exchange;
#[cfg(fuzzing)]
pub mod fuzz;
mod manifest;
mod package;
mod ports;
mod schema_cost;
mod schemas;
mod shape;
mod words;

pub use entry::Entry;
pub use exchange::{Accepted, Admitted, Misbehaviour, Refusal, admit_value, check_answer};
pub use manifest::{CheckedManifest, check_manifest};
pub use package::{PackageFiles, check_package};
pub use schemas::Schemas;

#[cfg(test)]
mod tests;
