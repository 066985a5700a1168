//! Takes the reports of forbidden calls, which all plugins of one launcher send to one listener, to the run that each is of.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::denial::{self, Judgement};
use super::error::{Error, While};
use super::report::Denial;
use crate::sys::notify::{self, Notification};
use crate::sys::spawn::Child;
use crate::sys::wait;

/// The most reports that wait for a run to claim them. A plugin can make a report before the gateway has heard of its start;
/// each waiting thread makes one, and a plugin has at most 64.
const UNCLAIMED_MAX: usize = 1024;

/// A started plugin and what was reported of it.
#[derive(Debug)]
pub(super) struct Run {
    /// The process.
    pub(super) child: Child,
    /// Whether a question to the C library's name service is a probe and no attack.
    asks_name_service: bool,
    denied: Mutex<Option<Denial>>,
    probes: AtomicU32,
}

impl Run {
    /// A run of which nothing was reported.
    pub(super) fn new(child: Child, asks_name_service: bool) -> Self {
        Self {
            child,
            asks_name_service,
            denied: Mutex::new(None),
            probes: AtomicU32::new(0),
        }
    }

    /// The first forbidden call, when there was one.
    pub(super) fn denied(&self) -> Option<Denial> {
        self.denied
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many benign probes were answered with an error.
    pub(super) fn probes(&self) -> u32 {
        self.probes.load(Ordering::Relaxed)
    }
}

/// The listener of one launcher and the runs that it may report.
#[derive(Debug)]
pub(super) struct Reports {
    listener: OwnedFd,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    runs: BTreeMap<i32, Arc<Run>>,
    unclaimed: Vec<Notification>,
}

impl Reports {
    /// Nobody is running yet.
    pub(super) fn new(listener: OwnedFd) -> Self {
        Self {
            listener,
            state: Mutex::default(),
        }
    }

    /// Readable when there is something to take.
    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// From now on, reports of this run's process are its own.
    pub(super) fn claim(&self, run: &Arc<Run>) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.runs.insert(run.child.pid, Arc::clone(run));
        for report in std::mem::take(&mut state.unclaimed) {
            self.place(&mut state, report)?;
        }
        Ok(())
    }

    /// Ends that. It must come before the process is reaped, as its number may then be another's.
    pub(super) fn release(&self, run: &Run) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.runs.remove(&run.child.pid);
    }

    /// Takes every report that is there. When it returns, each that came before it was called has been dealt with.
    pub(super) fn take_all(&self) -> Result<(), Error> {
        // Only whoever holds this reads the listener, so that what was seen to be there is there still.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while self.is_readable()? {
            let received =
                notify::receive(self.listener()).during("receive a report of a forbidden call")?;
            if let Some(report) = received {
                self.place(&mut state, report)?;
            }
        }
        Ok(())
    }

    fn is_readable(&self) -> Result<bool, Error> {
        let mut polled = [PollFd::from_borrowed_fd(self.listener(), PollFlags::IN)];
        let ready = poll(&mut polled, Some(&Timespec::default()));
        match ready {
            Ok(_) => Ok(polled
                .iter()
                .any(|source| source.revents().contains(PollFlags::IN))),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(errno).during("look for reports of forbidden calls"),
        }
    }

    fn place(&self, state: &mut State, report: Notification) -> Result<(), Error> {
        match state.find(report.pid) {
            Some(run) => self.judge(&run, &report),
            None => {
                state
                    .unclaimed
                    .retain(|report| notify::is_valid(self.listener(), report.id));
                if state.unclaimed.len() < UNCLAIMED_MAX {
                    state.unclaimed.push(report);
                }
                Ok(())
            }
        }
    }

    fn judge(&self, run: &Run, report: &Notification) -> Result<(), Error> {
        match denial::judge(self.listener(), report, run.asks_name_service) {
            Judgement::Refuse(errno) => {
                run.probes.fetch_add(1, Ordering::Relaxed);
                notify::refuse(self.listener(), report.id, errno).during("answer a probe")
            }
            // Not answered: the caller stays stopped inside the call until the kill.
            Judgement::Deny(denied) => {
                run.denied
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(denied);
                wait::kill(&run.child.pidfd).during("kill a plugin")
            }
            Judgement::Gone => Ok(()),
        }
    }
}

impl State {
    /// The run that a thread belongs to. Most plugins have one thread, which has the process's number.
    fn find(&self, thread: u32) -> Option<Arc<Run>> {
        let thread = i32::try_from(thread).ok()?;
        let run = self
            .runs
            .get(&thread)
            .or_else(|| self.runs.get(&process_of(thread)?));
        run.map(Arc::clone)
    }
}

/// The process of a thread. The thread is stopped in its call, or the report will be found to be no longer valid.
fn process_of(thread: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok()
}
