//! The registry: which plugins are known, who vouched for them, and where their bytes lie; it never writes an event and never starts anything.
//!
//! The inventory is a fold over the ledger's events ([`Registry::apply`]); decisions are pure and
//! return what is to be recorded; only [`Store`] and [`keygen`] touch the disk.

#![forbid(unsafe_code)]

mod decision;
mod error;
mod inventory;
mod package;
mod record;
mod signature;
mod store;
mod tree;
mod trust;
mod verified;

pub use decision::{Change, RegistrationDecision, RegistrationFacts};
pub use error::Error;
pub use inventory::{Plugin, Registry, TrustedKey};
pub use package::{MANIFEST_FILE, Package, SIGNATURE_FILE};
pub use record::plugin_info;
pub use signature::{Signature, SignatureFault};
pub use store::{Store, StoredPackage, unseal};
pub use trust::{PublicKey, SigningKey, keygen};

#[cfg(test)]
mod tests;
