//! Disk space set aside so that on a full disk every call that began can be closed, and an operator can still switch off and revoke.
//! A call that could not be closed does not begin.

use rustix::io::Errno;

use super::io::DiskFile;

/// What one closing event may need, in bytes: a line and its newline.
const CLOSING_BYTES: u64 = plugin_protocol::event::MAX_EVENT_BYTES as u64 + 1;

/// What is set aside beside the closing events of open calls, in bytes: a batch of ordinary events.
const MARGIN_BYTES: u64 = 1 << 20;

/// The part of the margin that is for `DISABLE` alone, in bytes: some 400 events, one for each plugin and key that an operator takes
/// away. It stays with the last segment when the ledger is closed, so that a disk that runs full meanwhile does not take it.
pub(crate) const RETREAT_BYTES: u64 = 256 << 10;

/// The least that is asked for where a full disk no longer gives all of it, in bytes: an event or two in a block that is begun.
const LEAST_BYTES: u64 = 1 << 10;

/// Blocks are reserved this much ahead of need, in bytes, so that the call is rare.
const STEP_BYTES: u64 = 4 << 20;

/// The blocks reserved for one segment.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Reserve {
    /// The end of what is reserved, in bytes from the segment's start.
    to: u64,
    /// The disk cannot give what is needed.
    low: bool,
    /// The file system cannot reserve space, so a full disk shows only when a write fails.
    unsupported: bool,
}

impl Reserve {
    /// Whether the reserve is too low for a new call to begin.
    pub(crate) fn is_low(&self) -> bool {
        self.low
    }

    /// Whether a line that ends at `end` leaves the space of `open_calls` closing events untouched, and `others` bytes more.
    pub(crate) fn has_room(&self, end: u64, open_calls: usize, others: u64) -> bool {
        !self.low || end + open_calls as u64 * CLOSING_BYTES + others < self.to
    }

    pub(crate) fn set_low(&mut self) {
        self.low = true;
    }

    /// Whether nothing was reserved since the ledger was opened.
    pub(crate) fn is_untouched(&self) -> bool {
        self.to == 0
    }

    /// Reserves blocks for everything that may still have to be written behind `end`.
    ///
    /// # Errors
    /// When the system refuses. Lack of space is no error: it makes the reserve low.
    pub(crate) fn ensure(
        &mut self,
        file: &mut dyn DiskFile,
        end: u64,
        open_calls: usize,
    ) -> std::io::Result<()> {
        let need = end + MARGIN_BYTES + (open_calls as u64 + 1) * CLOSING_BYTES;
        if self.unsupported || (self.to >= need && !self.low) {
            return Ok(());
        }
        match file.reserve(end, need - end + STEP_BYTES) {
            Ok(()) => {
                self.to = need + STEP_BYTES;
                self.low = false;
                Ok(())
            }
            Err(error) if is_full(&error) => {
                self.low = true;
                if self.to < end {
                    self.to = end + what_was_kept(file, end);
                }
                Ok(())
            }
            Err(error)
                if [Errno::NOTSUP, Errno::NOSYS]
                    .contains(&Errno::from_io_error(&error).unwrap_or(Errno::IO)) =>
            {
                self.unsupported = true;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// How many bytes behind `end` are there on a full disk, left by [`keep`] when the ledger was last closed or by a gateway that was killed.
fn what_was_kept(file: &mut dyn DiskFile, end: u64) -> u64 {
    let mut bytes = RETREAT_BYTES;
    while bytes >= LEAST_BYTES {
        // Blocks that the file has already are no new ones, so that this succeeds without any space.
        if file.reserve(end, bytes).is_ok() {
            return bytes;
        }
        bytes /= 2;
    }
    0
}

/// Gives back what is reserved behind `end`, but for the retreat's share.
///
/// # Errors
/// When the system refuses to give it back.
pub(crate) fn keep(file: &mut dyn DiskFile, end: u64) -> std::io::Result<()> {
    file.truncate(end)?;
    // Where there is no space for it, or the file system knows no reserve, the ledger is closed without.
    file.reserve(end, RETREAT_BYTES).unwrap_or_default();
    Ok(())
}

/// Whether the disk, or the user's share of it, is full.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
    )
}
