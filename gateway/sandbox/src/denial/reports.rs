//! Takes the reports of forbidden calls, which all plugins of one launcher send to one listener, and gives each to its run.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::denial::judge::{self, Answer, Judgement};
use crate::denial::path;
use crate::denial::run::{Fate, Run};
use crate::descriptor::{FOREVER, above_stdio};
use crate::error::{Error, While};
use crate::plan::limits::THREADS_MAX;
use crate::sys::notify::{self, Notification};
use crate::sys::wait;

/// The most reports that wait for a run to claim them. A plugin can make a report before the gateway has heard of its start;
/// each waiting thread makes one, and a plugin has at most 64.
const UNCLAIMED_MAX: usize = 1024;

/// The most reports that the keeper answers before it looks whether its launcher is still there.
const TAKEN_MAX: usize = 256;

#[cfg(test)]
thread_local! {
    /// The processes whose reports this thread judged.
    pub(crate) static JUDGED: std::cell::RefCell<std::collections::BTreeSet<i32>> = const {
        std::cell::RefCell::new(std::collections::BTreeSet::new())
    };
}

/// How many reports were received by all launchers of this process.
#[cfg(test)]
pub(crate) static RECEIVED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// The listener of one launcher and the runs that it may report.
///
/// Plugins can report without end: each harmless question is answered, and asked again. So a run that looks for its own reports answers
/// nobody else's: it puts them off for the keeper, and whoever waits for an answer cannot ask again meanwhile. Nothing is judged under
/// the lock that every run needs. Whoever goes on asking is answered at a pace (see [`crate::denial::pace`]).
#[derive(Debug)]
pub(crate) struct Reports {
    listener: OwnedFd,
    /// Held by the thread that reads the listener, so that a report that it saw is still there when it takes it.
    reading: Mutex<()>,
    /// How many runs wait for [`Self::reading`]. The keeper lets them go first.
    waiting: AtomicUsize,
    state: Mutex<State>,
    /// Readable where something was put off.
    put_off: OwnedFd,
}

#[derive(Debug, Default)]
struct State {
    runs: BTreeMap<i32, Arc<Run>>,
    unclaimed: Vec<Notification>,
    /// Taken by another run than the one they are of, oldest first. Each is of a thread that waits, so that there are few.
    put_off: VecDeque<(Arc<Run>, Notification)>,
    /// Those that wait because their run asks without end, by the end of that wait and the kernel's number. Of each thread there is one at most.
    paced: BTreeMap<(Instant, u64), (Arc<Run>, Notification)>,
}

impl Reports {
    /// Nobody is running yet.
    ///
    /// # Errors
    /// When the kernel has no descriptor to give.
    pub(crate) fn new(listener: OwnedFd) -> Result<Self, Error> {
        // Only the time that a report takes hangs on it, and older kernels have not got it.
        let sooner = notify::wake_on_the_same_processor(listener.as_fd());
        tracing::debug!(
            sooner,
            "whether reports wake the keeper on the same processor"
        );
        let put_off = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Ok(Self {
            listener,
            reading: Mutex::default(),
            waiting: AtomicUsize::new(0),
            state: Mutex::default(),
            put_off: above_stdio(put_off.during("make an event")?)?,
        })
    }

    /// Readable when a plugin has reported.
    pub(crate) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Readable when there are reports that were taken and put off.
    pub(crate) fn put_off(&self) -> BorrowedFd<'_> {
        self.put_off.as_fd()
    }

    /// From now on, reports of this run's process are its own.
    pub(crate) fn claim(&self, run: &Arc<Run>) -> Result<(), Error> {
        let claimed = self.state().claim(run);
        // All of them are judged, even when one fails: a thread whose report nobody judges waits for ever.
        let judged = claimed.iter().map(|report| self.judge(run, report));
        judged.fold(Ok(()), Result::and)
    }

    /// Ends the claim. It must come before the process is reaped, because its number may then belong to another process.
    pub(crate) fn release(&self, run: &Run) {
        let mut state = self.state();
        state.runs.remove(&run.child.pid);
        drop(state.put_off_of(run));
    }

    /// Deals with each report of this run that came before it was called, also while others report without end. Theirs are put off, and
    /// nobody answers them as long as this goes on: so each of their threads has one report at most in its way.
    pub(crate) fn take_own(&self, own: &Run) -> Result<(), Error> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let (before, of_runs) = {
            let mut state = self.state();
            (state.put_off_of(own), state.runs.len())
        };
        let judged = before.iter().map(|report| self.judge(own, report));
        judged.fold(Ok(()), Result::and)?;
        let most = of_runs
            .saturating_mul(THREADS_MAX)
            .saturating_add(UNCLAIMED_MAX);
        for _ in 0..most {
            match self.next()? {
                Next::None => break,
                Next::Settled => {}
                Next::Of(run, report) if run.child.pid == own.child.pid => {
                    self.judge(&run, &report)?;
                }
                Next::Of(run, report) => {
                    self.state().put_off.push_back((run, report));
                    self.wake_keeper();
                }
            }
        }
        Ok(())
    }

    /// Takes some of the reports that are there, and lets whoever looks for its own go first. For the keeper, which alone answers what was
    /// put off, and says whether it was woken for that.
    pub(crate) fn take_some(&self, woken: bool) -> Result<(), Error> {
        if woken {
            self.clear_wake();
        }
        let taken = self.take_up_to(TAKEN_MAX);
        // The listener knows nothing of what was put off.
        if !self.state().put_off.is_empty() {
            self.wake_keeper();
        }
        taken
    }

    /// How long until the next of the reports is to be judged that wait because their run asks without end.
    pub(crate) fn time_left(&self) -> Duration {
        let first = self.state().paced.keys().next().copied();
        first.map_or(FOREVER, |(due, _)| {
            due.saturating_duration_since(Instant::now())
        })
    }

    fn take_up_to(&self, most: usize) -> Result<(), Error> {
        for _ in 0..most {
            if self.waiting.load(Ordering::Relaxed) > 0 {
                std::thread::yield_now();
                break;
            }
            let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let before = self.state().next_put_off(now);
            let next = match before {
                Some((run, report)) => Next::Of(run, report),
                None => self.next()?,
            };
            match next {
                Next::None => break,
                Next::Settled => {}
                Next::Of(run, report) => match run.waits(now) {
                    Some(until) => self.state().pace(until, run, report),
                    // Who opens a file waits for this processor, and there is seldom a second report at the same time: the keeper looks later.
                    None if self.is_known_read(&run, &report) => return self.let_read(&report),
                    None => self.judge_unknown(&run, &report)?,
                },
            }
        }
        Ok(())
    }

    /// The next report and the run that it is of. Only for who holds `reading`.
    fn next(&self) -> Result<Next, Error> {
        if !self.is_readable()? {
            return Ok(Next::None);
        }
        let received =
            notify::receive(self.listener()).during("receive a report of a forbidden call")?;
        #[cfg(test)]
        RECEIVED.fetch_add(u64::from(received.is_some()), Ordering::Relaxed);
        Ok(received.map_or(Next::Settled, |report| self.place(report)))
    }

    fn wake_keeper(&self) {
        let woken = rustix::io::write(&self.put_off, &1_u64.to_ne_bytes());
        // A full counter wakes as well, and nothing else can fail.
        debug_assert!(
            matches!(woken, Ok(_) | Err(rustix::io::Errno::AGAIN)),
            "an event can be counted"
        );
    }

    fn clear_wake(&self) {
        let cleared = rustix::io::read(&self.put_off, &mut [0; 8]);
        // Where it is not set there is nothing to clear, and nothing else can fail.
        debug_assert!(
            matches!(cleared, Ok(_) | Err(rustix::io::Errno::AGAIN)),
            "an event can be cleared"
        );
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

    /// Finds the run that a report is of; keeps the report where nobody has claimed it yet.
    fn place(&self, report: Notification) -> Next {
        let mut state = self.state();
        if let Some(run) = state.find(report.pid) {
            return Next::Of(run, report);
        }
        state
            .unclaimed
            .retain(|report| notify::is_valid(self.listener(), report.id));
        if state.unclaimed.len() < UNCLAIMED_MAX {
            state.unclaimed.push(report);
        }
        Next::Settled
    }

    fn judge(&self, run: &Run, report: &Notification) -> Result<(), Error> {
        if self.is_known_read(run, report) {
            self.let_read(report)
        } else {
            self.judge_unknown(run, report)
        }
    }

    fn judge_unknown(&self, run: &Run, report: &Notification) -> Result<(), Error> {
        #[cfg(test)]
        JUDGED.with_borrow_mut(|judged| judged.insert(run.child.pid));
        let (fate, answer) =
            match judge::judge(self.listener(), report, run.asker, run.view.as_deref()) {
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
                    return self.let_read(report);
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
            Fate::GoesOn => self.answer(run, report, answer),
        }
    }

    /// Whether a call opens a file to read that is there for its program, and of which there is nothing to note: nearly all that are reported.
    fn is_known_read(&self, run: &Run, report: &Notification) -> bool {
        let Some(view) = run.view.as_deref() else {
            return false;
        };
        let mut buffer = [0; path::PATH_SHOWN_BYTES];
        path::to_read(report, &mut buffer).is_some_and(|path| view.knows(path))
    }

    fn let_read(&self, report: &Notification) -> Result<(), Error> {
        notify::proceed(self.listener(), report.id).during("let a file be read")
    }

    fn answer(&self, run: &Run, report: &Notification, answer: Answer) -> Result<(), Error> {
        let give = |file: BorrowedFd<'_>, closes_on_exec| {
            notify::give(self.listener(), report.id, file, closes_on_exec)
        };
        let given = match answer {
            Answer::Fail(errno) => notify::refuse(self.listener(), report.id, errno),
            Answer::Device(device) => device
                .open()
                .and_then(|file| give(file.as_fd(), device.closes_on_exec)),
            // The process has not been reaped, so that the number is its own.
            Answer::OwnMap => std::fs::File::open(format!("/proc/{}/maps", run.child.pid))
                .and_then(|file| give(file.as_fd(), true)),
        };
        match given {
            Ok(()) => Ok(()),
            // The plugin or the gateway has no descriptor number left, or there is no such file: the call fails, as it would without the gateway.
            Err(error) if !matches!(answer, Answer::Fail(_)) => {
                let errno = error.raw_os_error().unwrap_or(libc::EMFILE);
                notify::refuse(self.listener(), report.id, errno).during("answer a call")
            }
            Err(error) => Err(error).during("answer a call"),
        }
    }
}

/// What a look at the listener brought.
#[derive(Debug)]
enum Next {
    /// There is no report.
    None,
    /// One that needs nothing more for now.
    Settled,
    /// One of this run.
    Of(Arc<Run>, Notification),
}

impl State {
    /// Takes the oldest report whose time has come.
    fn next_put_off(&mut self, now: Instant) -> Option<(Arc<Run>, Notification)> {
        let first = self.paced.first_entry();
        let due = first.filter(|first| first.key().0 <= now);
        match due {
            Some(due) => Some(due.remove()),
            None => self.put_off.pop_front(),
        }
    }

    /// Keeps a report until its time has come.
    fn pace(&mut self, until: Instant, run: Arc<Run>, report: Notification) {
        self.paced.insert((until, report.id), (run, report));
    }

    /// Removes the reports of this run that another took or that wait, oldest first.
    fn put_off_of(&mut self, own: &Run) -> Vec<Notification> {
        let is_own =
            |_: &(Instant, u64), (run, _): &mut (Arc<Run>, _)| run.child.pid == own.child.pid;
        let paced: Vec<_> = self.paced.extract_if(.., is_own).collect();
        let (its, others) = std::mem::take(&mut self.put_off)
            .into_iter()
            .partition(|(run, _): &(Arc<Run>, _)| run.child.pid == own.child.pid);
        self.put_off = others;
        let its: VecDeque<(Arc<Run>, Notification)> = its;
        let paced = paced.into_iter().map(|(_, kept)| kept);
        paced.chain(its).map(|(_, report)| report).collect()
    }

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

/// Whether a thread belongs to this run, whose process has not been reaped. The kernel is asked, because /proc may show the numbers
/// of another pid namespace.
fn is_of(run: &Run, thread: u32) -> bool {
    i32::try_from(thread).is_ok_and(|thread| wait::has_thread(run.child.pid, thread))
}
