//! The registry: which plugins are known, who vouched for them, and where their bytes lie; it never writes an event and never starts anything.
//!
//! The inventory is a fold over the ledger's events ([`Registry::apply`]); decisions are pure and
//! return what is to be recorded; only [`Store`] and [`keygen`] touch the disk.

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

pub(crate) use decision::{Change, RegistrationDecision, RegistrationFacts};
pub(crate) use error::Error;
pub(crate) use inventory::Registry;
pub(crate) use package::{MANIFEST_FILE, Package, SIGNATURE_FILE};
pub(crate) use record::plugin_info;
pub(crate) use signature::{Signature, SignatureFault};
pub(crate) use store::{Store, StoredPackage, unseal};
pub(crate) use trust::{PublicKey, SigningKey, keygen};

#[cfg(test)]
mod tests;
