//! Watches one started plugin to its end: one deadline, one poll over everything, a kill by descriptor and a reap, always.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use crate::BLANK_BYTES_MAX;
use crate::descriptor::wait_for;
use crate::error::Error;
use crate::job::Ask;
use crate::launch::cgroup;
use crate::report::{Denial, Denials, End, Tail, Usage};
use crate::sys::wait::{Death, Reaped};
use crate::watch::process::Process;
use crate::watch::streams::{Feed, Progress, TailBuffer};
use crate::watch::talk::{Brought, Talk};
use crate::watch::threads::{is_at_work, processors};

/// How long a plugin that has answered may take to say more or to end by itself. Long enough for a second line that was
/// already on its way, too short to be felt.
const ANSWER_GRACE: Duration = Duration::from_millis(2);

/// How long a plugin that said a line which is no answer is waited for, as long as it is at work: its call has failed, so nobody is in a hurry, and
/// what it says next tells why. A busy machine may keep a crashing runtime from its second line for much longer than from an answer's end.
const NO_ANSWER_GRACE: Duration = Duration::from_secs(1);

/// How long a plugin that closed its output without a newline may take to end, so that its exit status is known.
const EXIT_GRACE: Duration = Duration::from_millis(50);

/// How much is kept beyond the longest answer where there was more than one line, in bytes, so that it can be said what it was.
const EXTRA_KEPT_BYTES: usize = 512;

/// The shortest time between two looks at the plugin's processor clock, so that a busy plugin costs us little.
const CPU_LOOK: Duration = Duration::from_millis(5);

/// How much a plugin may write to stderr before it is read at a pace, in bytes: more than any honest log of one call.
const STDERR_UNPACED_BYTES: u64 = 1 << 20;

/// How long stderr is left alone after each read beyond that. All that is read is work of the gateway's, of which only the tail is kept; at
/// this pace, some 30 MiB a second, it takes less than a hundredth of a processor, and the plugin waits for its pipe.
const STDERR_PAUSE: Duration = Duration::from_millis(2);

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
    TooMuchTalk,
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
    process: Process,
    feed: Option<Feed<'a>>,
    ask: &'a Ask<'a>,
    /// What standard output said, without the blank lines around the answer.
    answer: Vec<u8>,
    /// Whether the answer holds more than blanks.
    begun: bool,
    /// The conversation, with a plugin that talks.
    talk: Option<Talk<'a>>,
    newline_at: Option<usize>,
    /// Bytes of blank lines that were passed over.
    blank_bytes: usize,
    stderr: TailBuffer,
    /// When stderr is read again, where it is left alone.
    stderr_again: Option<Instant>,
    /// When to stop waiting for more after an answer.
    grace: Option<Instant>,
    /// When to stop waiting for more after a line that is no answer.
    no_answer_grace: Option<Instant>,
    cause: Option<Cause>,
}

/// Watches until the plugin is gone.
///
/// # Errors
/// When a system call of ours fails; the plugin is killed and reaped then too.
pub(crate) fn watch<'a>(
    process: Process,
    mut feed: Feed<'a>,
    ask: &'a Ask<'a>,
) -> Result<Seen, Error> {
    // The child has its end.
    feed.close_if_done();
    let mut watch = Watch::new(process, Some(feed), ask);
    let watched = watch.until_over();
    watch.after(watched)
}

/// Ends a plugin that was not asked anything, and says what was seen of it.
///
/// # Errors
/// As [`watch`].
pub(crate) fn end_unasked(process: Process) -> Result<Seen, Error> {
    let nothing = Ask {
        input: b"",
        deadline: Instant::now(),
        cancel: None,
        listener: None,
    };
    Watch::new(process, None, &nothing).after(Ok(()))
}

impl<'a> Watch<'a> {
    fn new(process: Process, feed: Option<Feed<'a>>, ask: &'a Ask<'a>) -> Self {
        Self {
            process,
            feed,
            ask,
            answer: Vec::new(),
            begun: false,
            talk: ask.listener.map(Talk::new),
            newline_at: None,
            blank_bytes: 0,
            stderr: TailBuffer::default(),
            stderr_again: None,
            grace: None,
            no_answer_grace: None,
            cause: None,
        }
    }

    /// Kills and reaps the process, whatever happened before, and says what was seen.
    fn after(mut self, watched: Result<(), Error>) -> Result<Seen, Error> {
        let reaped = self.process.end();
        let drained = self.drain();
        watched?;
        let reaped = reaped?;
        drained?;
        // The kernel ends plugins together with their launcher; that is not the plugin's doing.
        let orphaned = self.process.launcher.is_gone();
        let seen = self.finish(&reaped);
        if seen.end == End::Signalled(libc::SIGKILL) && orphaned {
            return Err(Error::LauncherGone);
        }
        Ok(seen)
    }
}

impl Watch<'_> {
    fn until_over(&mut self) -> Result<(), Error> {
        loop {
            let ready = self.wait()?;
            if ready.stdout {
                self.read_stdout()?;
            }
            if ready.stderr {
                self.read_stderr()?;
            }
            if ready.stdin {
                self.write_stdin()?;
            }
            self.check_time(ready.cancelled);
            if ready.exited {
                return Ok(());
            }
            if self.cause.is_some() {
                // What the plugin did before it is ended counts, also when nobody has looked at it yet.
                let reports = self.process.launcher.reports();
                return reports.map_or(Ok(()), |reports| reports.take_own(&self.process.run));
            }
            if ready.orphaned {
                return Err(Error::LauncherGone);
            }
        }
    }

    /// Sleeps until something is ready or the next time to look at a clock.
    fn wait(&mut self) -> Result<Ready, Error> {
        self.stderr_again = self.stderr_again.filter(|again| *again > Instant::now());
        let stderr = self.process.stderr.pending();
        let stderr = stderr.filter(|_| self.stderr_again.is_none());
        let process = &self.process;
        let feed = self.feed.as_ref().and_then(Feed::pending);
        let sources = [
            Some((process.run.child.pidfd.as_fd(), PollFlags::IN)),
            feed.map(|fd| (fd, PollFlags::OUT)),
            process.stdout.pending().map(|fd| (fd, PollFlags::IN)),
            stderr.map(|fd| (fd, PollFlags::IN)),
            Some((process.launcher.process(), PollFlags::IN)),
            self.ask
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
            .map_or(self.ask.deadline, |grace| grace.min(self.ask.deadline));
        let left = until.saturating_duration_since(now);
        let cpu = self.process.cpu_used();
        let cpu_left = self.process.limits.cpu.saturating_sub(cpu) / processors();
        let look = self.process.look.as_ref();
        let memory_left = look.map_or(Duration::MAX, |look| look.time_left(now));
        let stderr_left = self
            .stderr_again
            .map_or(Duration::MAX, |again| again.saturating_duration_since(now));
        left.min(cpu_left.max(CPU_LOOK))
            .min(memory_left)
            .min(stderr_left)
    }

    fn write_stdin(&mut self) -> Result<(), Error> {
        let Some(feed) = &mut self.feed else {
            return Ok(());
        };
        feed.write()?;
        feed.close_if_done();
        Ok(())
    }

    fn read_stdout(&mut self) -> Result<(), Error> {
        match self.process.stdout.read(&mut self.answer)? {
            Progress::Bytes(count) => self.take_output(count),
            Progress::Nothing => {}
            Progress::End => {
                let grace = if self.newline_at.is_some() {
                    Duration::ZERO
                } else {
                    EXIT_GRACE
                };
                if self.begun {
                    self.grace = Some(Instant::now() + grace);
                    self.no_answer_grace = None;
                }
            }
        }
        Ok(())
    }

    /// Looks at the last `count` bytes of the answer, which are new.
    fn take_output(&mut self, count: usize) {
        let before = self.answer.len().saturating_sub(count);
        if self.talk.is_some() {
            return self.hear(before);
        }
        if let Some(newline) = self.newline_at {
            return self.take_more(newline);
        }
        let before = self.pass_over_blank_lines(before);
        self.newline_at = self
            .answer
            .iter()
            .skip(before)
            .position(|&byte| byte == b'\n')
            .map(|at| before + at);
        let limit = self.process.limits.answer_bytes;
        match self.newline_at {
            Some(at) if at > limit => self.end(Cause::AnswerTooLarge),
            Some(at) => {
                let now = Instant::now();
                self.grace = Some(now + ANSWER_GRACE);
                // Each answer is an object.
                let first = self.answer.iter().find(|byte| !is_blank(byte));
                let no_answer = first != Some(&b'{');
                self.no_answer_grace = no_answer.then(|| now + NO_ANSWER_GRACE);
                self.take_more(at);
            }
            None if self.answer.len() > limit => self.end(Cause::AnswerTooLarge),
            None => {}
        }
    }

    /// The same for a plugin that talks: what comes behind its answer is nothing.
    fn hear(&mut self, new: usize) {
        let talk = self.talk.as_mut().filter(|_| !self.begun);
        let (Some(talk), Some(feed)) = (talk, &mut self.feed) else {
            return self.answer.truncate(new);
        };
        let limit = self.process.limits.answer_bytes;
        match talk.take(&mut self.answer, new, limit, feed) {
            Brought::Nothing => {}
            Brought::Answer(answer) => {
                self.newline_at = Some(answer.len());
                self.answer = answer;
                self.begun = true;
                self.end(Cause::Answered);
            }
            Brought::LineTooLong => self.end(Cause::AnswerTooLarge),
            Brought::TooMuch => self.end(Cause::TooMuchTalk),
        }
    }

    /// Drops the blank lines before the answer. The bytes from `new` on are new; says where those that are left of them begin.
    fn pass_over_blank_lines(&mut self, new: usize) -> usize {
        if self.begun {
            return new;
        }
        let bytes = self.answer.get(new..).unwrap_or_default();
        let text = bytes.iter().position(|byte| !is_blank(byte));
        self.begun = text.is_some();
        let blank = bytes.get(..text.unwrap_or(bytes.len()));
        let newline = blank.and_then(|blank| blank.iter().rposition(|&byte| byte == b'\n'));
        let Some(newline) = newline else {
            return new;
        };
        let passed = new + newline + 1;
        self.answer.drain(..passed);
        self.count_blank(passed);
        0
    }

    /// Looks at what follows the newline of the answer: blank lines are dropped, anything else is one line too many.
    fn take_more(&mut self, newline: usize) {
        let more = self.answer.get(newline + 1..).unwrap_or_default();
        let bytes = more.len();
        if more.iter().all(is_blank) {
            self.answer.truncate(newline + 1);
            self.count_blank(bytes);
        } else {
            self.end(Cause::ExtraOutput);
        }
    }

    fn count_blank(&mut self, bytes: usize) {
        self.blank_bytes = self.blank_bytes.saturating_add(bytes);
        if self.blank_bytes > BLANK_BYTES_MAX {
            self.end(Cause::ExtraOutput);
        }
    }

    fn read_stderr(&mut self) -> Result<(), Error> {
        self.stderr.read(&mut self.process.stderr)?;
        if self.stderr.total() > STDERR_UNPACED_BYTES {
            self.stderr_again = Some(Instant::now() + STDERR_PAUSE);
        }
        Ok(())
    }

    fn check_time(&mut self, cancelled: bool) {
        let now = Instant::now();
        if cancelled {
            self.end(Cause::Cancelled);
        }
        if now >= self.ask.deadline {
            self.end(Cause::TimedOut);
        }
        if self.process.cpu_used() >= self.process.limits.cpu {
            self.end(Cause::CpuLimit);
        }
        let look = self.process.look.as_mut();
        if look.is_some_and(|look| look.finds_too_much(now)) {
            self.end(Cause::MemoryLimit);
        }
        if self.grace.is_some_and(|grace| now >= grace) {
            if self.says_more(now) {
                self.grace = Some(now + ANSWER_GRACE);
            } else {
                self.end(Cause::Answered);
            }
        }
    }

    /// Whether a plugin that has given no answer may still say why.
    fn says_more(&self, now: Instant) -> bool {
        self.no_answer_grace.is_some_and(|grace| now < grace)
            && is_at_work(self.process.run.child.pid)
    }

    /// Notes why the plugin is ended. The first cause stands, except that what follows an answer replaces it.
    fn end(&mut self, cause: Cause) {
        if matches!(self.cause, None | Some(Cause::Answered)) {
            self.cause = Some(cause);
        }
    }

    /// Takes what is still in the pipes of a process that is gone.
    fn drain(&mut self) -> Result<(), Error> {
        while let Progress::Bytes(count) = self.process.stdout.read(&mut self.answer)? {
            // A pipe holds little, but an answer that is already too large need not grow.
            if self.cause.is_none() || self.cause == Some(Cause::Answered) {
                self.take_output(count);
            } else {
                self.answer
                    .truncate(self.answer.len().saturating_sub(count));
            }
        }
        while let Progress::Bytes(_) = self.stderr.read(&mut self.process.stderr)? {}
        Ok(())
    }

    fn finish(self, reaped: &Reaped) -> Seen {
        let (end, cpu) = (self.verdict(reaped), self.cpu(reaped));
        let mut answer = self.answer;
        let more = if end == End::ExtraOutput {
            EXTRA_KEPT_BYTES
        } else {
            1
        };
        answer.truncate(self.process.limits.answer_bytes.saturating_add(more));
        if !self.begun {
            answer.clear();
        }
        let group = self.process.group.as_ref();
        // The group counts more kinds of memory, but may count a few pages late or not at all.
        let counted = group.and_then(cgroup::Loan::peak_bytes).unwrap_or(0);
        let usage = Usage {
            wall: self.process.since.elapsed(),
            cpu,
            cpu_before: self.process.cpu_before,
            peak_memory_bytes: counted.max(reaped.peak_memory_bytes),
        };
        Seen {
            end,
            answer,
            stderr: self.stderr.finish(),
            usage,
            denied: self.process.run.refused(),
            probes: self.process.run.probes(),
        }
    }

    fn verdict(&self, reaped: &Reaped) -> End {
        // A hostile call undoes an answer that came before it, and is the reason for any end that came after it.
        if let Some(end) = self.process.run.end() {
            return end;
        }
        match &self.cause {
            Some(Cause::Answered) => End::Answered,
            Some(Cause::ExtraOutput) => End::ExtraOutput,
            Some(Cause::AnswerTooLarge) => End::AnswerTooLarge,
            Some(Cause::TooMuchTalk) => End::TooMuchTalk,
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
            Death::Signalled(libc::SIGSYS) => End::Violation(Denial::unreported()),
            Death::Signalled(_) if self.newline_at.is_some() => End::Answered,
            Death::Signalled(libc::SIGKILL | libc::SIGXCPU)
                if self.cpu(reaped) >= self.process.limits.cpu =>
            {
                End::CpuLimit
            }
            Death::Signalled(libc::SIGKILL) if self.out_of_memory() => End::MemoryLimit,
            // SIGABRT does not end process number 1, so libraries go on to end it in other ways: by an instruction that it may not
            // execute (glibc, musl), an undefined one (V8), or a breakpoint.
            Death::Signalled(libc::SIGSEGV | libc::SIGILL | libc::SIGTRAP)
                if self.process.run.aborted() =>
            {
                End::Signalled(libc::SIGABRT)
            }
            Death::Signalled(libc::SIGKILL) if self.process.run.aborted_too_often() => {
                End::Signalled(libc::SIGABRT)
            }
            Death::Signalled(signal) => End::Signalled(signal),
            Death::Exited(_) if self.begun => End::Answered,
            Death::Exited(code) => End::Exited(code),
        }
    }

    /// The processor time that counts.
    fn cpu(&self, reaped: &Reaped) -> Duration {
        reaped.cpu.saturating_sub(self.process.cpu_before)
    }

    fn out_of_memory(&self) -> bool {
        self.process
            .group
            .as_ref()
            .is_some_and(cgroup::Loan::out_of_memory)
    }
}

/// The white space of JSON, of which blank lines are made.
fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
