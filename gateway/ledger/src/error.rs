//! What can go wrong in the ledger.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the ledger did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A write or sync failed before; nothing is recorded until the gateway is started again.
    #[error(
        "ledger unavailable: an earlier write failed, and nothing more is recorded until the gateway is started again"
    )]
    Unavailable {
        /// The failure that ended it; none when the writer is simply gone.
        #[source]
        cause: Option<Arc<Error>>,
    },
    /// Another process writes this ledger.
    #[error(
        "ledger '{path}' is held by {holder}: stop it, or give the command to it through its control socket"
    )]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// Who holds it, as that process wrote it down.
        holder: String,
    },
    /// The state folder holds no ledger.
    #[error("no ledger in '{path}': run `plugin-gateway init` first")]
    NotInitialised {
        /// The state folder.
        path: PathBuf,
    },
    /// The ledger's bytes are not what was written.
    #[error("ledger is broken at event {index}: {reason}")]
    Broken {
        /// The first event that is bad or missing, counted from 0.
        index: u64,
        /// The place and what is wrong there.
        reason: String,
    },
    /// A key or a checkpoint is not what it should be.
    #[error("'{path}' is not what this ledger wrote")]
    Note {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: InvalidNote,
    },
    /// The anchor's checkpoint is not the one that this ledger put there.
    #[error(
        "anchor '{path}' was moved on by another copy of this ledger: find out which copy is the true one"
    )]
    AnchorMoved {
        /// The anchor's file.
        path: PathBuf,
    },
    /// The anchor that the operator names holds no checkpoint, although this ledger was anchored outside its state.
    #[error(
        "anchor '{path}' is not there, so an old copy of this ledger could not be told from the true one: mount its volume, or name the folder where the ledger was anchored"
    )]
    AnchorGone {
        /// The anchor's file.
        path: PathBuf,
    },
    /// More witnesses have to cosign than there are.
    #[error("witness.quorum is {quorum}, but this state has {witnesses} witnesses")]
    QuorumTooLarge {
        /// How many have to cosign.
        quorum: usize,
        /// How many there are.
        witnesses: usize,
    },
    /// The log was begun under another name than the settings say.
    #[error(
        "ledger.origin is '{wanted}', but this log was begun as '{found}': a log keeps its name"
    )]
    OtherOrigin {
        /// What the settings say.
        wanted: String,
        /// What its checkpoints say.
        found: String,
    },
    /// The run has no events.
    #[error("run '{run}' has no events in the ledger")]
    NoSuchRun {
        /// The run.
        run: String,
    },
    /// There is no event of this id, or none that a checkpoint covers.
    #[error("event '{id}' is not in the ledger")]
    NoSuchEvent {
        /// The event's id.
        id: String,
    },
    /// The run has events whose lines were pruned, so that no proof of it would be whole.
    #[error(
        "run '{run}' has events before event {before}, whose lines were pruned: a bundle that was exported before still proves them, a new one cannot"
    )]
    RunPruned {
        /// The run.
        run: String,
        /// The first event that was not pruned.
        before: u64,
    },
    /// These events may not be pruned; nothing was dropped.
    #[error("nothing was pruned: {reason}")]
    NotPruned {
        /// Why.
        reason: String,
    },
    /// The event is longer than a line may be.
    #[error("event of {bytes} bytes is too long: at most {max} fit in one line", max = plugin_protocol::event::MAX_EVENT_BYTES)]
    TooLong {
        /// The bytes of the line without its newline.
        bytes: usize,
    },
    /// A request or result is too large to be kept.
    #[error("evidence of {bytes} bytes is too large to be kept")]
    EvidenceTooLarge {
        /// Its canonical bytes.
        bytes: u64,
    },
    /// A kept request or result is not what was kept.
    #[error("evidence '{path}' is not what was kept")]
    EvidenceChanged {
        /// The file.
        path: PathBuf,
    },
    /// There is too little space left to record anything that begins something; calls in progress can still be closed.
    #[error(
        "ledger has no space left for another event: free space on the volume of '{path}', and try again"
    )]
    NoSpace {
        /// The ledger's folder.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} '{path}'")]
    Io {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Names the action and the path of a system error.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// Why a key or a note is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNote {
    /// A public key in neither of its two forms.
    #[error("key is neither a PEM public key (Ed25519) nor a verifier key `name+hash+base64`")]
    Key,
    /// A note that does not have the form of a checkpoint.
    #[error("checkpoint is malformed: {0}")]
    Form(&'static str),
    /// No signature by the given key.
    #[error("checkpoint is not signed by key {0}")]
    NotSigned(String),
    /// A signature that does not hold.
    #[error("checkpoint's signature does not hold")]
    BadSignature,
    /// A witness's key that is none.
    #[error("witness key is no verifier key `name+hash+base64` for cosignatures (type 4, Ed25519)")]
    WitnessKey,
    /// A witness's signature that does not hold.
    #[error("cosignature of witness '{0}' does not hold")]
    BadCosignature(String),
    /// A policy that is none.
    #[error("policy is not valid: {0}")]
    Policy(String),
    /// A log's name that cannot be one.
    #[error("'{0}' cannot be a log's origin: it is empty, or has white space or a plus sign")]
    Origin(String),
}
