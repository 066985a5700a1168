//! The ledger: the append-only, hash-chained record of everything the gateway decided, and proofs drawn from it.
//! It never changes or removes an event that it wrote.

#![forbid(unsafe_code)]

mod disk;
mod error;
mod evidence;
mod ledger;
mod line;
mod open;
mod options;
mod proof;
mod read;
mod recorded;
mod tree;
mod write;

pub use error::{Error, InvalidNote};
pub use evidence::{Document, Erased, EvidenceLink, REQUEST_LINK, kept_evidence, was_erased};
pub use ledger::Ledger;
pub use line::{Draft, Head};
pub use open::{Cut, Initialised, Opening, init};
pub use options::{Durability, Options};
pub use proof::{
    CheckOutcome, ManifestDigest, ProofBundle, ProofCheck, ProofExtras, ProofReport, verify_proof,
};
pub use read::{
    Events, Filter, Follow, Query, Stored, Verification, events, follow, query, registry_events,
    tail, verify,
};
pub use recorded::{Record, Recorded};
pub use tree::{Checkpoint, LogKey, newest_checkpoint};

#[cfg(test)]
mod tests;
