//! The ledger: the append-only, hash-chained record of everything the gateway decided, and proofs drawn from it.
//! It never changes or removes an event that it wrote.

#![forbid(unsafe_code)]

mod disk;
mod error;
mod evidence;
mod ledger;
mod line;
mod open;
mod proof;
mod read;
mod tree;
mod write;

pub use error::Error;
pub use evidence::{
    Document, Erased, Link, REQUEST as REQUEST_LINK, read as kept_evidence, was_erased,
};
pub use ledger::{Durability, Ledger, Options};
pub use line::chain::Head;
pub use line::event::{Draft, Record, Recorded};
pub use open::init::{Initialised, init};
pub use open::quarantine::Cut;
pub use open::recover::Opening;
pub use proof::bundle::{ManifestDigest, ProofBundle, ProofExtras};
pub use proof::check::{Check, Outcome as CheckOutcome, ProofReport, verify as verify_proof};
pub use read::ordered::{
    Events, Follow, Stored, events, follow, newest_checkpoint, registry_events, tail,
};
pub use read::query::{Filter, Query, query};
pub use read::verify::{Verification, verify};
pub use tree::checkpoint::{Checkpoint, LogKey};

#[cfg(test)]
mod tests;
