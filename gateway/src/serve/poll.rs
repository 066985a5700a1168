//! Waiting in `poll`: for a descriptor or a thrown switch, whichever comes first.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};

use sandbox::Cancel;

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// What was waited for is there.
    Ready,
    /// The switch was thrown.
    Stopped,
}

/// Waits until `fd` has one of `events` (errors and hang-up always count), or `stop` is thrown.
pub(crate) fn wait(stop: &Cancel, fd: BorrowedFd<'_>, events: PollFlags) -> io::Result<Woken> {
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(fd, events),
            PollFd::from_borrowed_fd(stop.event(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) if stop.is_thrown() => return Ok(Woken::Stopped),
            Ok(_) => return Ok(Woken::Ready),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the reader at the other end of `fd` is gone.
pub(crate) fn is_abandoned(fd: BorrowedFd<'_>) -> bool {
    now(fd, PollFlags::empty()).intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Whether a pipe whose end to write to is `fd` has room, and a reader.
pub(super) fn has_room(fd: BorrowedFd<'_>) -> bool {
    now(fd, PollFlags::OUT) == PollFlags::OUT
}

/// What of `events`, errors and hang-up there is now.
fn now(fd: BorrowedFd<'_>, events: PollFlags) -> PollFlags {
    let mut fds = [PollFd::from_borrowed_fd(fd, events)];
    let at_once = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut fds, Some(&at_once)) {
        Ok(_) => fds[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}
