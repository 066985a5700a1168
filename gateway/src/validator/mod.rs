//! The validator: whether a manifest, a package, a request and an answer keep the contract's rules; it reads no disk and records nothing.
//!
//! What passes becomes a type that nothing else can make: [`CheckedManifest`], [`Admitted`].

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

pub(crate) use entry::Entry;
pub(crate) use exchange::{Admitted, Misbehaviour, Verdict, admit_value, check_answer};
pub(crate) use manifest::{CheckedManifest, check_manifest};
pub(crate) use package::{PackageFiles, check_package};
pub(crate) use schemas::Schemas;

#[cfg(test)]
mod tests;
