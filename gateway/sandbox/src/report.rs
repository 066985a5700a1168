//! The result of one run: how it ended, what it wrote, what it used and which layers held it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::DENIALS_KEPT;
use crate::layer::Layer;

/// Everything the supervisor learnt from one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How the run ended.
    pub end: End,
    /// Standard output without the blank lines around the answer: at most the job's `answer_bytes` and one more, and the first
    /// 512 bytes beyond where there was more than one line.
    pub answer: Vec<u8>,
    /// The tail of standard error.
    pub stderr: Tail,
    /// Time and memory used.
    pub usage: Usage,
    /// The layers that were in force, in the order of [`Layer::ALL`].
    pub layers: Vec<Layer>,
    /// The calls that it was refused, whether or not they ended it.
    pub denied: Denials,
    /// Whether reads of what is not there for it are among these.
    pub reads_named: bool,
    /// How many benign probes were answered, as an empty machine would answer them, without any consequence.
    pub probes: u64,
}

/// How a run ended. All but `Cancelled` and `NeverStarted` are the plugin's doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Exactly one line that is not blank, its newline possibly missing at end of output; the process is gone.
    Answered,
    /// More than one line that is not blank, anything but blank lines after the line, or more than [`crate::BLANK_BYTES_MAX`] of those.
    ExtraOutput,
    /// The line was longer than the job's `answer_bytes`.
    AnswerTooLarge,
    /// A plugin that talks said more than [`crate::TALK_BYTES_MAX`] besides its answer, or asked for more replies than it read.
    TooMuchTalk,
    /// The process exited with this code and no answer.
    Exited(i32),
    /// The process was ended by this signal, which was not the supervisor's.
    Signalled(i32),
    /// The deadline passed.
    TimedOut,
    /// The deadline passed before the plugin could be started.
    NeverStarted,
    /// The job's processor time was used up.
    CpuLimit,
    /// The kernel reported that the job's memory was used up.
    MemoryLimit,
    /// The plugin made a hostile system call, or a refused one under [`crate::WhenRefused::End`].
    Violation(Denial),
    /// The plugin made more than [`crate::ASKED_MAX`] refused calls; this was the last.
    Flood(Denial),
    /// The caller cancelled the run.
    Cancelled,
}

/// The refused calls of one run. None had an effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Denials {
    /// The first that differ from each other, in order; at most [`crate::DENIALS_KEPT`].
    pub first: Vec<Denial>,
    /// How many there were in all.
    pub total: u64,
    /// How many there were of each call, by its name.
    pub calls: BTreeMap<&'static str, u64>,
}

impl Denials {
    /// Counts one, and keeps it where it is among the first.
    pub(crate) fn add(&mut self, denial: Denial, name: &'static str) {
        self.total += 1;
        *self.calls.entry(name).or_default() += 1;
        if self.first.len() < DENIALS_KEPT && !self.first.contains(&denial) {
            self.first.push(denial);
        }
    }
}

/// A system call that was not let through, in words fit for notes and ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The call's name, such as `socket`.
    pub call: String,
    /// What it wanted, such as `AF_INET, SOCK_STREAM`; empty when nothing safe is known.
    pub detail: String,
}

impl Denial {
    /// The denial for a kill without a report, which the filter makes only for foreign ABIs or where reports are not available.
    pub(crate) fn unreported() -> Self {
        Self {
            call: "forbidden system call".to_owned(),
            detail: "of a foreign ABI, or not reported on this host".to_owned(),
        }
    }
}

impl std::fmt::Display for Denial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.call, self.detail)
    }
}

/// The last bytes of a stream and how many came before them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tail {
    /// The last bytes, at most 64 KiB.
    pub bytes: Vec<u8>,
    /// How many earlier bytes were dropped.
    pub dropped: u64,
}

/// What a run used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// From the start of the run, or from its request where the process was started before, until it was reaped.
    pub wall: Duration,
    /// Processor time of the process, user and system: since its request where it was started before there was one.
    pub cpu: Duration,
    /// Processor time that it used before that.
    pub cpu_before: Duration,
    /// Highest use of memory in bytes: memory of every kind where a control group counts it, else only resident memory.
    pub peak_memory_bytes: u64,
}
