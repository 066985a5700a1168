//! Proof bundles: gathering a run, the bundle's form, and checking one. The check never trusts what the other parts wrote.

mod bundle;
mod check;
mod gather;
mod single;
mod verify;

pub(crate) use bundle::attachments_hash;
pub use bundle::{ManifestDigest, ProofBundle, ProofExtras};
pub use check::{CheckOutcome, Finding, ProofCheck, ProofReport};
pub(crate) use gather::{Exported, RunSoFar};
pub use single::{EventProof, prove_event};
pub use verify::{verify_proof, verify_proof_by};
