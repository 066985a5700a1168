//! What a caller asks the sandbox to run, and how it may take that back.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::image::Image;

/// What to start.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A native program, verified and sealed.
    Program {
        /// The sealed program.
        image: Arc<Image>,
        /// Arguments after the program's name.
        args: Vec<String>,
    },
    /// A script of the package under one of the operator's runtimes.
    Runtime {
        /// The runtime's name in [`super::Runtimes`].
        name: String,
        /// The script, relative to the package folder.
        script: PathBuf,
        /// Arguments after the script.
        args: Vec<String>,
    },
    /// The older form: an exported JavaScript function, run under the runtime called `node`.
    Worker {
        /// The JavaScript file, relative to the package folder.
        file: PathBuf,
        /// The exported function's name.
        export: String,
    },
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// What to start.
    pub entry: &'a Entry,
    /// The verified package folder; its files must be readable by everyone, as plugins run under a user id of their own.
    pub package: &'a Path,
    /// The request line with its newline.
    pub input: &'a [u8],
    /// When the run must be over.
    pub deadline: Instant,
    /// What the run may use.
    pub limits: Limits,
    /// Lets another thread end the run early.
    pub cancel: Option<&'a Cancel>,
}

/// What one run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Processor time.
    pub cpu: Duration,
    /// Private memory in bytes.
    pub memory_bytes: u64,
    /// The longest answer line in bytes, its newline not counted.
    pub answer_bytes: usize,
}

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
        // A full counter means that the switch is already thrown, and nothing else can fail.
        debug_assert!(
            matches!(thrown, Ok(_) | Err(rustix::io::Errno::AGAIN)),
            "an event can be counted"
        );
    }

    /// Nothing ever comes on this channel; it is disconnected once the switch is thrown.
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

    /// Readable once the switch is thrown, for those who wait in poll(2). Nobody may read from it.
    pub fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
