//! Space set aside, so that a call that has begun can be closed on a full disk. No call begins that could not be closed.

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
    /// The file system has no way to reserve; then a full disk shows at the write.
    unsupported: bool,
}

impl Reserve {
    /// Whether nothing new may begin.
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
    /// Any refusal but for lack of space, which makes the reserve low.
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
