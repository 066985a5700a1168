//! How a ledger is kept: what an operator chooses, and what tests may set. Nothing here is read from a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::disk::{Disk, RealDisk, SEGMENT_BYTES};

/// How much of the ledger's end opening reads at least: 32 MiB, some 60,000 events, which takes a small part of a second.
pub(crate) const CHECK_BYTES: u64 = 32 << 20;

/// The most events that wait for a checkpoint.
const CHECKPOINT_EVENTS: u64 = 4_096;

/// The longest that an event waits for a checkpoint.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// When a caller is told that its event is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is on the disk (`fdatasync`).
    #[default]
    Full,
    /// When it is written; it is synced within 10 ms. A power cut can lose it. Each event says `durability: relaxed` in its `meta`.
    Relaxed,
}

/// What events carry of payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hashes {
    /// SHA-256, by which anybody who has a payload finds it; and who guesses it, too.
    #[default]
    Plain,
    /// HMAC-SHA256 with a salt of the run, which lies beside the ledger and can be erased.
    Salted,
}

/// How a ledger is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// When a caller is told that its event is recorded.
    pub durability: Durability,
    /// The folder of the anchor. With none, the anchor is inside the state folder, and an old copy of the whole state goes unnoticed.
    pub anchor: Option<PathBuf>,
    /// The log's name as the operator wants it; with none, the one that it has.
    pub origin: Option<String>,
    /// What events carry of payloads.
    pub hashes: Hashes,
    pub(crate) segment_bytes: u64,
    /// Opening reads at least this many bytes at the end of the ledger.
    pub(crate) check_bytes: u64,
    /// A checkpoint is due after this many events,
    pub(crate) checkpoint_events: u64,
    /// or this long after the first of them.
    pub(crate) checkpoint_every: Duration,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: fn() -> SystemTime,
}

impl Options {
    /// What an operator chooses; the rest is the default.
    #[must_use]
    pub fn new(durability: Durability, anchor: Option<PathBuf>) -> Self {
        Self {
            durability,
            anchor,
            origin: None,
            hashes: Hashes::Plain,
            segment_bytes: SEGMENT_BYTES,
            check_bytes: CHECK_BYTES,
            checkpoint_events: CHECKPOINT_EVENTS,
            checkpoint_every: CHECKPOINT_EVERY,
            disk: Arc::new(RealDisk),
            clock: SystemTime::now,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new(Durability::Full, None)
    }
}
