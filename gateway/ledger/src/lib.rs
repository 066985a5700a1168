//! The ledger: the append-only, hash-chained record of everything the gateway decided, and proofs drawn from it.
//! It never changes or removes an event that it wrote.

#![forbid(unsafe_code)]

mod anchor;
mod append;
mod chain;
mod checkpoint;
mod claims;
mod error;
mod event;
mod evidence;
mod index;
mod init;
mod io;
mod layout;
mod lock;
mod mark;
mod merkle;
mod proof;
mod proof_check;
mod publish;
mod quarantine;
mod query;
mod read;
mod recover;
mod reserve;
mod scan;
mod segment;
mod survey;
mod tally;
mod thread;
mod tiles;
mod torn;
mod verify;
mod walk;
mod writer;

pub use append::{Durability, Ledger, Options};
pub use chain::Head;
pub use checkpoint::{Checkpoint, LogKey};
pub use error::Error;
pub use event::{Draft, Record, Recorded};
pub use evidence::{
    Document, Erased, Link, REQUEST as REQUEST_LINK, read as kept_evidence, was_erased,
};
pub use init::{Initialised, init};
pub use proof::{ManifestDigest, ProofBundle, ProofExtras};
pub use proof_check::{Check, Outcome as CheckOutcome, ProofReport, verify as verify_proof};
pub use quarantine::Cut;
pub use query::{Filter, Query, query};
pub use read::{Events, Follow, Stored, events, follow, newest_checkpoint, registry_events, tail};
pub use recover::Opening;
pub use verify::{Verification, verify};

#[cfg(test)]
mod tests;
