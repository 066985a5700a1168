//! The registry: which plugins are known, who vouched for them, and where their bytes lie.
//!
//! It never writes an event, starts anything, or keeps a truth of its own: the inventory is a fold over recorded events.
//! A package's folder becomes a [`Package`] with a digest; a decision ([`Registry::judge_registration`], [`Registry::enable`],
//! [`Registry::trust_add`]) is pure and says what to record; the recorded event goes back in through [`Registry::apply`].
//! Only [`Store`], where packages lie under their digests, and [`keygen`] write to the disk.
//!
//! ```
//! use gateway_registry::{Change, Package, Registry, SIGNATURE_FILE, SigningKey};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! std::fs::write(folder.join("plugin.json"), "{}")?;
//! let package = Package::read(folder)?;
//!
//! let key = SigningKey::generate()?;
//! let signature = key.sign(package.digest());
//! std::fs::write(folder.join(SIGNATURE_FILE), signature.to_file_bytes())?;
//! let signed = Package::read(folder)?;
//! assert_eq!(signed.digest(), package.digest(), "the signature is not part of what it signs");
//!
//! // Trusting a key changes nothing yet: it says which event to record.
//! let registry = Registry::new();
//! let change = registry.trust_add(&key.public(), "our own")?;
//! assert!(matches!(change, Change::Record { .. }));
//! assert_eq!(registry.keys().count(), 0);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod copy;
mod decision;
mod disk;
mod error;
mod inventory;
mod kept;
mod keyfile;
mod list;
mod outline;
mod package;
mod progress;
mod record;
mod signature;
mod statement;
mod store;
mod stored;
mod tree;
mod trust;
mod verified;
mod watch;

pub use decision::{Change, RegistrationDecision, RegistrationFacts};
pub use disk::TakenOut;
pub use error::Error;
pub use inventory::{Plugin, Registry, TrustedKey};
pub use package::{MANIFEST_FILE, Package, SIGNATURE_FILE};
pub use progress::{Step, Tell, untold};
pub use record::plugin_info;
pub use signature::{Signature, SignatureFault};
pub use store::Store;
pub use stored::StoredPackage;
pub use trust::{PublicKey, SigningKey, keygen};
pub use verified::{Glance, TICK};

#[cfg(test)]
mod tests;
