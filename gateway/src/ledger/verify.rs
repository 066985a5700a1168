//! Verifying a whole ledger without its lock.

use std::path::Path;

use serde::Serialize;

use super::error::Error;
use super::layout::Layout;
use super::segment;
use super::walk::{Start, hash_text, walk};

/// Progress is told every so many bytes.
const PROGRESS_BYTES: u64 = 1 << 20;

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Whether everything holds.
    pub valid: bool,
    /// The good events before the first bad one, or all.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The hash of the last good event, `""` when there is none.
    pub head: String,
    /// The index of the first bad event.
    pub broken_at: Option<u64>,
    /// What is wrong there, `""` when nothing is.
    pub reason: String,
}

/// Checks every line, hash and link of the ledger below `state`. `progress` is told the bytes done and the bytes in all.
///
/// # Errors
/// When there is no ledger or the system refuses; a broken ledger is an answer, not an error.
pub fn verify(state: &Path, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Verification, Error> {
    let layout = Layout::existing(state)?;
    let total = segment::list(&layout)?
        .iter()
        .map(|segment| segment.bytes)
        .sum();
    let (mut events, mut bytes, mut head) = (0, 0, None);
    let mut told = 0;
    let walked = walk(&layout, Start::default(), &mut |_, line, scanned| {
        events += 1;
        bytes += line.len() as u64 + 1;
        head = Some(scanned.event_hash);
        if bytes - told >= PROGRESS_BYTES {
            told = bytes;
            progress(bytes, total);
        }
        Ok(())
    });
    let (broken_at, reason) = match walked?.stop {
        None => (None, String::new()),
        Some(stop) => (Some(stop.index), stop.reason),
    };
    progress(bytes, total);
    Ok(Verification {
        valid: broken_at.is_none(),
        events,
        bytes,
        head: hash_text(head),
        broken_at,
        reason,
    })
}
