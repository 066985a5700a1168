//! Proof bundles: gathering a run, the bundle's form, and checking one. The check never trusts what the other parts wrote.

mod bundle;
mod check;
mod gather;

pub(crate) use bundle::attachments_hash;
pub use bundle::{ManifestDigest, ProofBundle, ProofExtras};
pub use check::{CheckOutcome, ProofCheck, ProofReport, verify_proof};
pub(crate) use gather::{Exported, RunSoFar};
