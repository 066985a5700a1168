//! Watches one started plugin to its end: one deadline, one poll over everything, a kill by descriptor and a reap, always.

use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use crate::denial::reports::Reports;
use crate::denial::run::Run;
use crate::descriptor::wait_for;
use crate::error::{Error, While};
use crate::job::Job;
use crate::launch::cgroup;
use crate::launch::launcher::Launcher;
use crate::report::{Denial, Denials, End, Tail, Usage};
use crate::sys::wait::{self, Death, Reaped};
use crate::watch::memory::Look;
use crate::watch::streams::{Feed, Outlet, Progress, TailBuffer};

/// How long a plugin that has answered may take to say more or to end by itself. Long enough for a second line that was
/// already on its way, too short to be felt.
const ANSWER_GRACE: Duration = Duration::from_millis(2);

/// How long a plugin that closed its output without a newline may take to end, so that its exit status is known.
const EXIT_GRACE: Duration = Duration::from_millis(50);

/// The shortest time between two looks at the plugin's processor clock, so that a busy plugin costs us little.
const CPU_LOOK: Duration = Duration::from_millis(5);

/// A started plugin, and the gateway's ends of the pipes to it.
#[derive(Debug)]
pub(crate) struct Started<'a> {
    pub(crate) run: Arc<Run>,
    pub(crate) launcher: &'a Launcher,
    pub(crate) feed: Feed<'a>,
    pub(crate) stdout: Outlet,
    pub(crate) stderr: Outlet,
    /// The control group that the plugin is in.
    pub(crate) group: Option<cgroup::Loan>,
    /// The watch over its memory, where it is in no group.
    pub(crate) look: Option<Look>,
    pub(crate) since: Instant,
}

/// What was seen of a plugin until it was gone.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) end: End,
    pub(crate) answer: Vec<u8>,
    pub(crate) stderr: Tail,
    pub(crate) usage: Usage,
    pub(crate) denied: Denials,
    pub(crate) probes: u64,
}

/// Why the supervisor ends a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cause {
    Answered,
    ExtraOutput,
    AnswerTooLarge,
    TimedOut,
    CpuLimit,
    MemoryLimit,
    Cancelled,
}

/// What one round of waiting found ready.
#[derive(Debug, Clone, Copy, Default)]
struct Ready {
    exited: bool,
    stdin: bool,
    stdout: bool,
    stderr: bool,
    orphaned: bool,
    cancelled: bool,
}

struct Watch<'a> {
    started: Started<'a>,
    job: &'a Job<'a>,
    answer: Vec<u8>,
    newline_at: Option<usize>,
    stderr: TailBuffer,
    /// When to stop waiting for more after an answer.
    grace: Option<Instant>,
    cause: Option<Cause>,
}

/// Watches until the plugin is gone.
///
/// # Errors
/// When a system call of ours fails; the plugin is killed and reaped then too.
pub(crate) fn watch<'a>(started: Started<'a>, job: &'a Job<'a>) -> Result<Seen, Error> {
    let mut watch = Watch {
        started,
        job,
        answer: Vec::new(),
        newline_at: None,
        stderr: TailBuffer::default(),
        grace: None,
        cause: None,
    };
    let watched = watch.until_over();
    // Whatever happened, the process is killed and reaped before this returns.
    let pidfd = &watch.started.run.child.pidfd;
    let killed = wait::kill(pidfd).during("kill a plugin");
    if let Some(reports) = watch.started.launcher.reports() {
        reports.release(&watch.started.run);
    }
    let reaped = watch.started.launcher.reap(&watch.started.run.child);
    let drained = watch.drain();
    watched?;
    killed?;
    let reaped = reaped?;
    drained?;
    let launcher = watch.started.launcher;
    let seen = watch.finish(&reaped);
    // The kernel ends plugins together with their launcher; that is not the plugin's doing.
    if seen.end == End::Signalled(libc::SIGKILL) && launcher.is_gone() {
        return Err(Error::LauncherGone);
    }
    Ok(seen)
}

impl Watch<'_> {
    fn until_over(&mut self) -> Result<(), Error> {
        let reports = self.started.launcher.reports();
        if let Some(reports) = reports {
            reports.claim(&self.started.run)?;
        }
        loop {
            let ready = self.wait()?;
            if ready.stdout {
                self.read_stdout()?;
            }
            if ready.stderr {
                self.read_stderr()?;
            }
            if ready.stdin {
                self.started.feed.write()?;
                self.started.feed.close_if_done();
            }
            self.check_time(ready.cancelled);
            if ready.exited {
                return Ok(());
            }
            if self.cause.is_some() {
                // What the plugin did before it was ended counts, even when its reports have not been taken yet.
                return reports.map_or(Ok(()), Reports::take_all);
            }
            if ready.orphaned {
                return Err(Error::LauncherGone);
            }
        }
    }

    /// Sleeps until something is ready or the next time to look at a clock.
    fn wait(&self) -> Result<Ready, Error> {
        let started = &self.started;
        let sources = [
            Some((started.run.child.pidfd.as_fd(), PollFlags::IN)),
            started.feed.pending().map(|fd| (fd, PollFlags::OUT)),
            started.stdout.pending().map(|fd| (fd, PollFlags::IN)),
            started.stderr.pending().map(|fd| (fd, PollFlags::IN)),
            Some((started.launcher.process(), PollFlags::IN)),
            self.job
                .cancel
                .map(|cancel| (cancel.event(), PollFlags::IN)),
        ];
        let [exited, stdin, stdout, stderr, orphaned, cancelled] =
            wait_for(sources, self.time_left())?;
        Ok(Ready {
            exited,
            stdin,
            stdout,
            stderr,
            orphaned,
            cancelled,
        })
    }

    /// Time until the deadline, the end of the grace, or the earliest moment at which the processor time can be used up or memory is looked at.
    fn time_left(&self) -> Duration {
        let now = Instant::now();
        let until = self
            .grace
            .map_or(self.job.deadline, |grace| grace.min(self.job.deadline));
        let left = until.saturating_duration_since(now);
        let cpu = wait::cpu_time(self.started.run.child.pid).unwrap_or_default();
        let cpu_left = self.job.limits.cpu.saturating_sub(cpu) / processors();
        let look = self.started.look.as_ref();
        let memory_left = look.map_or(Duration::MAX, |look| look.time_left(now));
        left.min(cpu_left.max(CPU_LOOK)).min(memory_left)
    }

    fn read_stdout(&mut self) -> Result<(), Error> {
        match self.started.stdout.read(&mut self.answer)? {
            Progress::Bytes(count) => self.take_output(count),
            Progress::Nothing => {}
            Progress::End => {
                let grace = if self.newline_at.is_some() {
                    Duration::ZERO
                } else {
                    EXIT_GRACE
                };
                if !self.answer.is_empty() {
                    self.grace = Some(Instant::now() + grace);
                }
            }
        }
        Ok(())
    }

    /// Looks at the last `count` bytes of the answer, which are new.
    fn take_output(&mut self, count: usize) {
        let before = self.answer.len().saturating_sub(count);
        let bytes = self.answer.get(before..).unwrap_or_default();
        if self.newline_at.is_some() {
            return self.end(Cause::ExtraOutput);
        }
        self.newline_at = bytes
            .iter()
            .position(|&byte| byte == b'\n')
            .map(|at| before + at);
        let limit = self.job.limits.answer_bytes;
        match self.newline_at {
            Some(at) if at > limit => self.end(Cause::AnswerTooLarge),
            Some(at) if at + 1 < self.answer.len() => self.end(Cause::ExtraOutput),
            Some(_) => self.grace = Some(Instant::now() + ANSWER_GRACE),
            None if self.answer.len() > limit => self.end(Cause::AnswerTooLarge),
            None => {}
        }
    }

    fn read_stderr(&mut self) -> Result<(), Error> {
        self.stderr.read(&mut self.started.stderr).map(drop)
    }

    fn check_time(&mut self, cancelled: bool) {
        let now = Instant::now();
        if cancelled {
            self.end(Cause::Cancelled);
        }
        if now >= self.job.deadline {
            self.end(Cause::TimedOut);
        }
        if wait::cpu_time(self.started.run.child.pid).is_some_and(|cpu| cpu >= self.job.limits.cpu)
        {
            self.end(Cause::CpuLimit);
        }
        let look = self.started.look.as_mut();
        if look.is_some_and(|look| look.finds_too_much(now)) {
            self.end(Cause::MemoryLimit);
        }
        if self.grace.is_some_and(|grace| now >= grace) {
            self.end(Cause::Answered);
        }
    }

    /// Notes why the plugin is ended. The first cause stands, except that what follows an answer replaces it.
    fn end(&mut self, cause: Cause) {
        if matches!(self.cause, None | Some(Cause::Answered)) {
            self.cause = Some(cause);
        }
    }

    /// Takes what is still in the pipes of a process that is gone.
    fn drain(&mut self) -> Result<(), Error> {
        while let Progress::Bytes(count) = self.started.stdout.read(&mut self.answer)? {
            // A pipe holds little, but an answer that is already too large need not grow.
            if self.cause.is_none() || self.cause == Some(Cause::Answered) {
                self.take_output(count);
            } else {
                self.answer
                    .truncate(self.answer.len().saturating_sub(count));
            }
        }
        while let Progress::Bytes(_) = self.stderr.read(&mut self.started.stderr)? {}
        Ok(())
    }

    fn finish(self, reaped: &Reaped) -> Seen {
        let end = self.verdict(reaped);
        let mut answer = self.answer;
        answer.truncate(self.job.limits.answer_bytes.saturating_add(1));
        let group = self.started.group.as_ref();
        // The group counts more kinds of memory, but may count a few pages late or not at all.
        let counted = group.and_then(cgroup::Loan::peak_bytes).unwrap_or(0);
        let usage = Usage {
            wall: self.started.since.elapsed(),
            cpu: reaped.cpu,
            peak_memory_bytes: counted.max(reaped.peak_memory_bytes),
        };
        Seen {
            end,
            answer,
            stderr: self.stderr.finish(),
            usage,
            denied: self.started.run.refused(),
            probes: self.started.run.probes(),
        }
    }

    fn verdict(&self, reaped: &Reaped) -> End {
        // A hostile call undoes an answer that came before it, and is the reason for any end that came after it.
        if let Some(end) = self.started.run.end() {
            return end;
        }
        match &self.cause {
            Some(Cause::Answered) => End::Answered,
            Some(Cause::ExtraOutput) => End::ExtraOutput,
            Some(Cause::AnswerTooLarge) => End::AnswerTooLarge,
            Some(Cause::TimedOut) => End::TimedOut,
            Some(Cause::CpuLimit) => End::CpuLimit,
            Some(Cause::MemoryLimit) => End::MemoryLimit,
            Some(Cause::Cancelled) => End::Cancelled,
            None => self.own_end(reaped),
        }
    }

    /// How a plugin ended that the gateway did not end.
    fn own_end(&self, reaped: &Reaped) -> End {
        match reaped.end {
            Death::Signalled(libc::SIGSYS) => End::Violation(unreported()),
            Death::Signalled(_) if self.newline_at.is_some() => End::Answered,
            Death::Signalled(libc::SIGKILL | libc::SIGXCPU)
                if reaped.cpu >= self.job.limits.cpu =>
            {
                End::CpuLimit
            }
            Death::Signalled(libc::SIGKILL) if self.out_of_memory() => End::MemoryLimit,
            // SIGABRT does not end process number 1, so libraries go on to end it in other ways: by an instruction that it may not
            // execute (glibc, musl), an undefined one (V8), or a breakpoint.
            Death::Signalled(libc::SIGSEGV | libc::SIGILL | libc::SIGTRAP)
                if self.started.run.aborted() =>
            {
                End::Signalled(libc::SIGABRT)
            }
            Death::Signalled(libc::SIGKILL) if self.started.run.aborted_too_often() => {
                End::Signalled(libc::SIGABRT)
            }
            Death::Signalled(signal) => End::Signalled(signal),
            Death::Exited(_) if !self.answer.is_empty() => End::Answered,
            Death::Exited(code) => End::Exited(code),
        }
    }

    fn out_of_memory(&self) -> bool {
        self.started
            .group
            .as_ref()
            .is_some_and(cgroup::Loan::out_of_memory)
    }
}

/// How many processors a plugin can use up at once. Asking is slow (it reads control-group files), hence once.
fn processors() -> u32 {
    static COUNT: OnceLock<u32> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        u32::try_from(count).unwrap_or(1)
    })
}

/// The denial for a kill without a report, which the filter makes only for foreign ABIs or where reports are not available.
fn unreported() -> Denial {
    Denial {
        call: "forbidden system call".to_owned(),
        detail: "of a foreign ABI, or not reported on this host".to_owned(),
    }
}
