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
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::empty())];
    let at_once = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&at_once)).is_ok()
        && fds
            .iter()
            .any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP))
}
