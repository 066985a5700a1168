//! Switches that many threads wait on: one for those that wait on channels, one for those that wait in `poll`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

/// A switch for those that wait on channels. Once thrown it stays thrown.
#[derive(Debug)]
pub(super) struct Latch {
    armed: Mutex<Option<Sender<()>>>,
    thrown: Receiver<()>,
}

impl Latch {
    pub(super) fn new() -> Self {
        let (armed, thrown) = bounded(0);
        Self {
            armed: Mutex::new(Some(armed)),
            thrown,
        }
    }

    pub(super) fn throw(&self) {
        drop(
            self.armed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// Nothing ever comes on this channel; it is disconnected once the switch is thrown.
    pub(super) fn thrown(&self) -> &Receiver<()> {
        &self.thrown
    }

    pub(super) fn is_thrown(&self) -> bool {
        self.thrown.try_recv() == Err(TryRecvError::Disconnected)
    }
}

/// A switch for those that wait in `poll`. Once thrown it stays thrown.
#[derive(Debug)]
pub(super) struct Stop {
    event: OwnedFd,
    latch: Latch,
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// What was waited for is there.
    Ready,
    /// The switch was thrown.
    Stopped,
}

impl Stop {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            latch: Latch::new(),
        })
    }

    pub(super) fn throw(&self) {
        self.latch.throw();
        // The counter has room for every throw that there can be.
        rustix::io::write(&self.event, &1_u64.to_ne_bytes()).unwrap_or_default();
    }

    pub(super) fn is_thrown(&self) -> bool {
        self.latch.is_thrown()
    }

    /// Waits until `fd` has one of `events` (errors and hang-up always count), or the switch is thrown.
    pub(super) fn wait(&self, fd: BorrowedFd<'_>, events: PollFlags) -> io::Result<Woken> {
        loop {
            let stop = self.event.as_fd();
            let mut fds = [
                PollFd::from_borrowed_fd(fd, events),
                PollFd::from_borrowed_fd(stop, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) if self.is_thrown() => return Ok(Woken::Stopped),
                Ok(_) => return Ok(Woken::Ready),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether whoever reads from the other end of `fd` is gone.
pub(super) fn is_abandoned(fd: BorrowedFd<'_>) -> bool {
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
