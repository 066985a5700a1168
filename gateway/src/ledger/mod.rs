//! The ledger: the append-only, hash-chained record of everything the gateway decided, and proofs drawn from it.
//! It never changes or removes an event that it wrote.

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

pub(crate) use append::{Durability, Ledger, Options};
pub(crate) use checkpoint::{Checkpoint, LogKey};
pub(crate) use error::Error;
pub use event::Recorded;
pub(crate) use event::{Draft, Record};
pub(crate) use evidence::{
    Document, Erased, REQUEST as REQUEST_LINK, read as kept_evidence, was_erased,
};
pub(crate) use init::init;
pub use proof::ProofBundle;
pub(crate) use proof::{ManifestDigest, ProofExtras};
pub(crate) use proof_check::{Outcome as CheckOutcome, ProofReport, verify as verify_proof};
pub(crate) use query::{Filter, query};
pub(crate) use read::{Events, Stored, events, follow, newest_checkpoint, registry_events, tail};
pub(crate) use recover::Opening;
pub(crate) use verify::verify;

#[cfg(test)]
mod tests;
