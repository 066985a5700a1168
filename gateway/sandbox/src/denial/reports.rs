//! Takes the reports of forbidden calls, which all plugins of one launcher send to one listener, to the run that each is of.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::denial::judge::{self, Answer, Judgement};
use crate::denial::run::{Fate, Run};
use crate::error::{Error, While};
use crate::plan::limits::THREADS_MAX;
use crate::sys::notify::{self, Notification};
use crate::sys::wait;

/// The most reports that wait for a run to claim them. A plugin can make a report before the gateway has heard of its start;
/// each waiting thread makes one, and a plugin has at most 64.
const UNCLAIMED_MAX: usize = 1024;

/// The most reports that the keeper takes before it looks whether its launcher is still there.
const TAKEN_MAX: usize = 256;

/// The listener of one launcher and the runs that it may report.
///
/// Plugins can report without end: each harmless question is answered, and asked again. So nobody waits for the listener to
/// fall silent, and nothing is judged under the lock that every run needs.
#[derive(Debug)]
pub(crate) struct Reports {
    listener: OwnedFd,
    /// Held by whoever reads the listener, so that what was seen to be there is there still.
    reading: Mutex<()>,
    /// How many runs wait for that. The keeper lets them go first.
    waiting: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    runs: BTreeMap<i32, Arc<Run>>,
    unclaimed: Vec<Notification>,
}

impl Reports {
    /// Nobody is running yet.
    pub(crate) fn new(listener: OwnedFd) -> Self {
        Self {
            listener,
            reading: Mutex::default(),
            waiting: AtomicUsize::new(0),
            state: Mutex::default(),
        }
    }

    /// Readable when there is something to take.
    pub(crate) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// From now on, reports of this run's process are its own.
    pub(crate) fn claim(&self, run: &Arc<Run>) -> Result<(), Error> {
        let claimed = self.state().claim(run);
        // Each of them, also when one fails: a thread whose report nobody judges waits for ever.
        let judged = claimed.iter().map(|report| self.judge(run, report));
        judged.fold(Ok(()), Result::and)
    }

    /// Ends that. It must come before the process is reaped, as its number may then be another's.
    pub(crate) fn release(&self, run: &Run) {
        self.state().runs.remove(&run.child.pid);
    }

    /// Takes the reports that are there, also while more of them come. When it returns, each that came before it was called
    /// has been dealt with: they come in order, and each thread makes one, of the runs that are known and of those to come.
    pub(crate) fn take_all(&self) -> Result<(), Error> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let of_runs = self.state().runs.len().saturating_mul(THREADS_MAX);
        let most = of_runs.saturating_add(UNCLAIMED_MAX);
        for _ in 0..most {
            if !self.take_one(&reading)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes some of the reports that are there, and lets whoever waits for them go first.
    pub(crate) fn take_some(&self) -> Result<(), Error> {
        for _ in 0..TAKEN_MAX {
            if self.waiting.load(Ordering::Relaxed) > 0 {
                std::thread::yield_now();
                break;
            }
            let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.take_one(&reading)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes one report; false when there is none.
    fn take_one(&self, _reading: &MutexGuard<'_, ()>) -> Result<bool, Error> {
        if !self.is_readable()? {
            return Ok(false);
        }
        let received =
            notify::receive(self.listener()).during("receive a report of a forbidden call")?;
        if let Some(report) = received {
            self.place(report)?;
        }
        Ok(true)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn place(&self, report: Notification) -> Result<(), Error> {
        let mut state = self.state();
        let Some(run) = state.find(report.pid) else {
            state
                .unclaimed
                .retain(|report| notify::is_valid(self.listener(), report.id));
            if state.unclaimed.len() < UNCLAIMED_MAX {
                state.unclaimed.push(report);
            }
            return Ok(());
        };
        drop(state);
        self.judge(&run, &report)
    }

    fn judge(&self, run: &Run, report: &Notification) -> Result<(), Error> {
        let (fate, answer) =
            match judge::judge(self.listener(), report, run.asker, run.view.as_ref()) {
                Judgement::Gone => return Ok(()),
                Judgement::Abort if run.abort() == Fate::Ends => {
                    return wait::kill(&run.child.pidfd).during("kill a plugin");
                }
                Judgement::Abort => {
                    return notify::proceed(self.listener(), report.id)
                        .during("let an abort go on");
                }
                Judgement::Read(place, asked) => {
                    run.read(place, || asked.denial(), asked.name);
                    return notify::proceed(self.listener(), report.id)
                        .during("let a file be read");
                }
                Judgement::Answer(answer, asked) => (run.answer(|| asked.denial()), answer),
                Judgement::Refuse(errno, asked) => {
                    (run.refuse(asked.denial(), asked.name), Answer::Fail(errno))
                }
                Judgement::Condemn(asked) => {
                    (run.condemn(asked.denial()), Answer::Fail(libc::EPERM))
                }
            };
        match fate {
            // Not answered: the caller stays stopped inside the call until the kill.
            Fate::Ends => wait::kill(&run.child.pidfd).during("kill a plugin"),
            Fate::GoesOn => self.answer(report, answer),
        }
    }

    fn answer(&self, report: &Notification, answer: Answer) -> Result<(), Error> {
        let given = match answer {
            Answer::Fail(errno) => notify::refuse(self.listener(), report.id, errno),
            Answer::Device(device) => device.open().and_then(|file| {
                notify::give(
                    self.listener(),
                    report.id,
                    file.as_fd(),
                    device.closes_on_exec,
                )
            }),
        };
        match given {
            Ok(()) => Ok(()),
            // The plugin has no number left, or the gateway none: the call fails, as it would by itself.
            Err(error) if matches!(answer, Answer::Device(_)) => {
                let errno = error.raw_os_error().unwrap_or(libc::EMFILE);
                notify::refuse(self.listener(), report.id, errno).during("answer a call")
            }
            Err(error) => Err(error).during("answer a call"),
        }
    }
}

impl State {
    /// Adds a run; returns the reports that were waiting for it.
    fn claim(&mut self, run: &Arc<Run>) -> Vec<Notification> {
        self.runs.insert(run.child.pid, Arc::clone(run));
        let its = |report: &mut Notification| is_of(run, report.pid);
        self.unclaimed.extract_if(.., its).collect()
    }

    /// The run that a thread belongs to. Most plugins have one thread, which has the process's number.
    fn find(&self, thread: u32) -> Option<Arc<Run>> {
        let first = i32::try_from(thread)
            .ok()
            .and_then(|pid| self.runs.get(&pid));
        let run = first.or_else(|| self.runs.values().find(|run| is_of(run, thread)));
        run.map(Arc::clone)
    }
}

/// Whether a thread is of this run, whose process has not been reaped. The kernel is asked and not /proc, which may show other
/// numbers than those of this process's pid namespace.
fn is_of(run: &Run, thread: u32) -> bool {
    i32::try_from(thread).is_ok_and(|thread| wait::has_thread(run.child.pid, thread))
}
