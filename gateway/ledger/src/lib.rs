//! An append-only, hash-chained, durable record of events, with signed checkpoints, and proofs drawn from it.
//!
//! It is for whoever must show later what was done, in which order, and that nothing of it was changed or left out.
//! It never changes or removes an event that it wrote, never repairs damage by itself, and holds no payload, only hashes.
//! A value goes in as a [`Draft`], gets its name, its time and its place in the chain from the one writer, is written and synced,
//! and comes back as a [`Recorded`], which nothing else can make. Readers need no lock and check every line that they give.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use gateway_ledger::{Draft, Ledger, LogKey, Options, ProofExtras, Record, init, verify, verify_proof};
//! use plugin_protocol::event::{EventKind, meta};
//! use plugin_protocol::ids::RunId;
//!
//! /// Something that happened, and the event that says so.
//! struct Refused(RunId);
//!
//! impl Record for Refused {
//!     fn draft(&self) -> Draft {
//!         Draft {
//!             run_id: self.0.clone(),
//!             kind: EventKind::Reject,
//!             plugin_id: None,
//!             request_id: None,
//!             input_hash: None,
//!             output_hash: None,
//!             meta: BTreeMap::from([(meta::REASON.to_owned(), "the request was too large".to_owned())]),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let state = tempfile::tempdir()?;
//! init(state.path())?;
//! let (ledger, opening) = Ledger::open(state.path(), Options::default(), &mut |_| {})?;
//! assert_eq!(opening.events, 0);
//!
//! // Durable when this returns.
//! let run = RunId::parse("monday")?;
//! let recorded = ledger.record(Refused(run.clone()))?;
//! assert_eq!(ledger.head().hash, Some(recorded.event().event_hash));
//!
//! // A proof of the run, checked with nothing but its bytes and the public key.
//! let bundle = ledger.export_proof(&run, ProofExtras::default())?;
//! drop(ledger);
//! let key = LogKey::parse(&std::fs::read_to_string(state.path().join("log.vkey"))?)?;
//! assert!(verify_proof(&bundle.to_bytes(), &key).valid);
//!
//! // The event and the event of its export.
//! let found = verify(state.path(), None, &|_, _| {})?;
//! assert!(found.valid);
//! assert_eq!(found.events, 2);
//! # Ok(())
//! # }
//! ```

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
mod site;
mod tree;
mod witness;
mod write;

pub use error::{Error, InvalidNote};
pub use evidence::{
    Document, Erased, EvidenceLink, REQUEST_LINK, Salt, is_salted, keeps_evidence, kept_evidence,
    salt_of, was_erased,
};
pub use ledger::{Dropped, Ledger, Meanwhile, Recording};
pub use line::{Draft, Head};
pub use open::{Cut, Initialised, Opening, init, init_named};
pub use options::{Durability, Hashes, Options};
pub use proof::{
    CheckOutcome, EventProof, Finding, ManifestDigest, ProofBundle, ProofCheck, ProofExtras,
    ProofReport, prove_event, verify_proof, verify_proof_by,
};
pub use read::{
    Events, Filter, Follow, Pruned, Query, RegistryNews, Stored, Verification, back_up,
    check_anchor, events, events_from, follow, pruned, pruned_of_run, query, registry_events,
    registry_news, tail, verify,
};
pub use recorded::{Record, Recorded};
pub use site::{Published, publish};
pub use tree::{
    Checkpoint, Cosigned, Cosigner, LogKey, Policy, WitnessKey, is_consistent, newest_checkpoint,
};
pub use witness::{
    Answer, Awaited, Collector, Place, Submission, Weighed, Witness, Witnesses, ahead, attend,
    new_cosigner, newest_cosigned,
};

#[cfg(test)]
mod tests;
