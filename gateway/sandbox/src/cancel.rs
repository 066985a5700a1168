//! How a caller cancels a run.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

/// A switch that ends a run from another thread. Once thrown it stays thrown.
#[derive(Debug)]
pub struct Cancel {
    event: OwnedFd,
    /// Dropped when the switch is thrown, which wakes those who wait on `thrown`.
    armed: Mutex<Option<Sender<()>>>,
    thrown: Receiver<()>,
}

impl Cancel {
    /// Makes a switch that is not thrown.
    ///
    /// # Errors
    /// When the kernel has no descriptor to give.
    pub fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (armed, thrown) = bounded(0);
        Ok(Self {
            event,
            armed: Mutex::new(Some(armed)),
            thrown,
        })
    }

    /// Ends the run that watches this switch, now or as soon as it starts.
    pub fn cancel(&self) {
        drop(
            self.armed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thrown = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
        // The write fails only where the counter is full, and then the switch is already thrown.
        debug_assert!(
            matches!(thrown, Ok(_) | Err(rustix::io::Errno::AGAIN)),
            "an event can be counted"
        );
    }

    /// A channel on which nothing is ever sent; it is disconnected once the switch is thrown.
    pub fn thrown(&self) -> &Receiver<()> {
        &self.thrown
    }

    /// Whether the switch was thrown.
    pub fn is_thrown(&self) -> bool {
        matches!(
            self.thrown.try_recv(),
            Err(crossbeam_channel::TryRecvError::Disconnected)
        )
    }

    /// A descriptor that becomes readable once the switch is thrown, for poll(2). Nobody may read from it.
    pub fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
