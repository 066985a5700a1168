//! Disk space set aside so that every call that began can be closed on a full disk. A call that could not be closed does not begin.

use rustix::io::Errno;

use super::io::DiskFile;

/// What one closing event may need, in bytes: a line and its newline.
const CLOSING_BYTES: u64 = plugin_protocol::event::MAX_EVENT_BYTES as u64 + 1;

/// What is set aside beside the closing events of open calls, in bytes: a batch of ordinary events.
const MARGIN_BYTES: u64 = 1 << 20;

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

    /// Whether a line that ends at `end` leaves the space of `open_calls` closing events untouched.
    pub(crate) fn has_room(&self, end: u64, open_calls: usize) -> bool {
        !self.low || end + open_calls as u64 * CLOSING_BYTES <= self.to
    }

    pub(crate) fn set_low(&mut self) {
        self.low = true;
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

/// Whether the disk, or the user's share of it, is full.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
    )
}
