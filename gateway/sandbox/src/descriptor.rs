//! Descriptors between the gateway and the processes that it starts: which numbers they may have, and waiting until one is ready. It reads and
//! writes none.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use crate::error::{Error, While};

/// The lowest number for descriptors that the launcher is given at its start, above the four that it begins with.
const FIRST_SOURCE: i32 = 4;

/// Until something happens.
pub(crate) const FOREVER: Duration = Duration::MAX;

/// A descriptor numbered [`FIRST_SOURCE`] or higher, which the launcher's own cannot collide with.
pub(crate) fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Error> {
    if fd.as_raw_fd() >= FIRST_SOURCE {
        return Ok(fd);
    }
    fcntl_dupfd_cloexec(&fd, FIRST_SOURCE).during("move a descriptor out of the way")
}

/// Waits until one of these is ready or the time is over, and returns for each whether it is ready. A source that is `None` is
/// never ready. A signal that comes meanwhile does not end the wait.
pub(crate) fn wait_for<const N: usize>(
    sources: [Option<(BorrowedFd<'_>, PollFlags)>; N],
    time: Duration,
) -> Result<[bool; N], Error> {
    let there = sources.iter().flatten();
    let mut polled: Vec<PollFd<'_>> = there
        .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .collect();
    // A time that no clock reaches is for ever.
    let until = Instant::now().checked_add(time);
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut polled, left.as_ref()) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).during("wait for a plugin or its launcher"),
        }
    }
    let mut results = polled.iter().map(|source| !source.revents().is_empty());
    Ok(sources.map(|source| source.is_some() && results.next() == Some(true)))
}
