//! Where each thing of the ledger lies below the state folder.

use std::path::{Path, PathBuf};

use super::place::CARRIED;
use crate::error::Error;

/// The file name ending of a segment.
pub(crate) const SEGMENT_SUFFIX: &str = ".ndjson";

/// The digits of a segment's name: every `u64` fits.
pub(crate) const SEGMENT_DIGITS: usize = 20;

/// The files that a pruning leaves beside the segments.
const CARRIED_FILE: &str = "pruned.ndjson";
const PRUNED_FILE: &str = "pruned.json";
const RUNS_FILE: &str = "pruned.runs";

/// The places below one state folder.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    state: PathBuf,
}

impl Layout {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
        }
    }

    /// The places of a ledger that `init` has made.
    pub(crate) fn existing(state: &Path) -> Result<Self, Error> {
        let layout = Self::new(state);
        if layout.segments().is_dir() {
            Ok(layout)
        } else {
            Err(Error::NotInitialised {
                path: state.to_owned(),
            })
        }
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.state.join("ledger")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.ledger().join("LOCK")
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.ledger().join("seg")
    }

    /// The segment that begins with event `first`; with [`CARRIED`], the lines that a pruning carried over.
    pub(crate) fn segment(&self, first: u64) -> PathBuf {
        if first == CARRIED {
            return self.carried();
        }
        self.segments()
            .join(format!("{first:0SEGMENT_DIGITS$}{SEGMENT_SUFFIX}"))
    }

    /// The lines that a pruning carried over; beside the segments, so that one step changes both.
    pub(crate) fn carried(&self) -> PathBuf {
        self.segments().join(CARRIED_FILE)
    }

    /// What a pruning left of the events before the first segment.
    pub(crate) fn pruned(&self) -> PathBuf {
        self.segments().join(PRUNED_FILE)
    }

    /// The runs that have events among the dropped lines.
    pub(crate) fn pruned_runs(&self) -> PathBuf {
        self.segments().join(RUNS_FILE)
    }

    /// Where a pruning puts the new folder of segments together, and then takes the old one apart.
    pub(crate) fn segments_beside(&self) -> PathBuf {
        self.ledger().join("seg.new")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.state.join("quarantine")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.ledger().join("checkpoints")
    }

    /// The folder of the C2SP tiles.
    pub(crate) fn tiles(&self) -> PathBuf {
        self.ledger().join("tiles")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.ledger().join("index")
    }

    /// The anchor's folder when the operator names no other.
    pub(crate) fn anchor(&self) -> PathBuf {
        self.state.join("anchor")
    }

    /// What is kept of requests and results. The folder is made when the first is kept.
    pub(crate) fn evidence(&self) -> PathBuf {
        self.state.join("evidence")
    }

    pub(crate) fn evidence_kept(&self) -> PathBuf {
        self.evidence().join("kept")
    }

    pub(crate) fn evidence_new(&self) -> PathBuf {
        self.evidence().join("new")
    }

    pub(crate) fn evidence_erasing(&self) -> PathBuf {
        self.evidence().join("erasing")
    }

    /// What belongs to witnesses. The folder is made when the first is named.
    pub(crate) fn witnesses(&self) -> PathBuf {
        self.state.join("witnesses")
    }

    pub(crate) fn witness_list(&self) -> PathBuf {
        self.witnesses().join("list")
    }

    pub(crate) fn cosigned(&self) -> PathBuf {
        self.witnesses().join("cosigned")
    }

    /// A checkpoint of this log that a witness has and this ledger does not go on from.
    pub(crate) fn ahead(&self) -> PathBuf {
        self.witnesses().join("ahead.note")
    }

    /// The log's private key.
    pub(crate) fn log_key(&self) -> PathBuf {
        self.state.join("log.key")
    }

    /// The log's public key as PEM.
    pub(crate) fn log_pub(&self) -> PathBuf {
        self.state.join("log.pub")
    }

    /// The log's public key as a C2SP verifier key.
    pub(crate) fn log_vkey(&self) -> PathBuf {
        self.state.join("log.vkey")
    }

    /// Every folder of a ledger, parents first. The segments' folder comes last: where it is there, so are the others.
    pub(crate) fn folders(&self) -> [PathBuf; 8] {
        let state = self.state.clone();
        [
            state,
            self.anchor(),
            self.quarantine(),
            self.ledger(),
            self.checkpoints(),
            self.tiles(),
            self.index(),
            self.segments(),
        ]
    }
}
