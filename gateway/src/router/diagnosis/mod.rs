//! What a plugin's last words mean: tables from what a language's own run-time system writes to the likely mistake and its fix.
//! Anybody can write the same, so that a diagnosis only adds words and decides nothing.

mod acts;
mod limits;
mod missing;
mod output;
mod program;
mod rows;

use std::fmt;

use sandbox::{End, Report};

use self::rows::Row;
use super::cause::Cause;
use super::record::Outcome;

/// The most characters of a path that a diagnosis repeats.
const PATH_CHARS: usize = 80;

/// Below this part of its time a plugin did not compute but wait.
const WAITED_PART: u32 = 10;

/// A likely mistake, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    pub(crate) cause: String,
    pub(crate) fix: String,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause, self.fix)
    }
}

/// The tables, the more exact before the more general: the first row that fits is taken.
const TABLES: [&[Row]; 4] = [limits::ROWS, missing::ROWS, acts::ROWS, program::ROWS];

/// What the words of a plugin mean, where that is known.
fn read(words: &str) -> Option<Diagnosis> {
    let mut rows = TABLES.iter().copied().flatten();
    rows.find_map(|row| row.reads(words))
}

/// What the standard error of a plugin that gave no answer means.
pub(super) fn of_stderr(report: &Report) -> Option<Diagnosis> {
    let stderr = String::from_utf8_lossy(&report.stderr.bytes);
    read(&stderr).or_else(|| output::went_astray(&stderr))
}

/// Whether a plugin's peak of memory was so near to what it may have that what comes next may not fit.
pub(crate) fn is_nearly_full(report: &Report, memory_bytes: u64) -> bool {
    /// In tenths: a language's run-time system takes memory in pieces, and fails before the last byte is used.
    const NEAR: u64 = 9;
    report.usage.peak_memory_bytes >= memory_bytes / 10 * NEAR
}

/// The likely mistake behind a call that is not `ok`, for its author; with its memory in bytes where it nearly filled it.
pub(crate) fn likely(outcome: &Outcome, nearly_full: Option<u64>) -> Option<Diagnosis> {
    if outcome.cause == Cause::Gateway {
        return missing::NOT_STARTED
            .iter()
            .find_map(|row| row.reads(&outcome.response.notes));
    }
    let report = outcome.report.as_ref()?;
    match outcome.cause {
        Cause::Answer => read(&outcome.response.notes),
        Cause::BadAnswer | Cause::ExtraOutput => {
            let by_notes = || {
                let mut rows = output::ROWS.iter();
                rows.find_map(|row| row.reads(&outcome.response.notes))
            };
            of_output(&report.answer).or_else(by_notes)
        }
        Cause::Exit | Cause::Memory => of_stderr(report)
            .or_else(|| acts::after_refusal(report))
            .or_else(|| uncaught(report))
            .or_else(|| nearly_full.map(limits::nearly_full)),
        Cause::Signal => of_stderr(report)
            .or_else(|| acts::after_refusal(report))
            .or_else(|| nearly_full.map(limits::nearly_full))
            .or_else(|| crashed(report)),
        // Some end only after they said why they cannot go on.
        Cause::Timeout => of_stderr(report).or_else(|| too_long(report)),
        Cause::AnswerTooLarge => Some(Diagnosis {
            cause: "the answer is larger than the manifest says in limits.max_bytes".to_owned(),
            fix: "raise limits.max_bytes, or answer with less: a binary_ref names what is large"
                .to_owned(),
        }),
        Cause::Violation => violation(report),
        Cause::Cpu
        | Cause::Cancelled
        | Cause::Gateway
        | Cause::Evidence
        | Cause::Request
        | Cause::NotFound
        | Cause::NotEnabled
        | Cause::Package
        | Cause::Isolation
        | Cause::Overloaded
        | Cause::CircuitOpen
        | Cause::Unwitnessed => None,
    }
}

/// What stands on standard output in place of one answer.
pub(super) fn of_output(output: &[u8]) -> Option<Diagnosis> {
    output::meant(output)
}

fn uncaught(report: &Report) -> Option<Diagnosis> {
    program::uncaught(&String::from_utf8_lossy(&report.stderr.bytes))
}

/// A signal ended it, and nothing else is known.
fn crashed(report: &Report) -> Option<Diagnosis> {
    let End::Signalled(signal) = report.end else {
        return None;
    };
    Some(Diagnosis {
        cause: format!("a mistake of the program's own, which signal {signal} ended"),
        fix: "give it the same line on stdin in a debugger (`gdb PROGRAM`, then `run < LINE`), or build it with `-g -fsanitize=address,undefined`".to_owned(),
    })
}

fn violation(report: &Report) -> Option<Diagnosis> {
    match &report.end {
        End::Violation(refused) | End::Flood(refused) => Some(acts::hostile(refused)),
        End::Answered
        | End::ExtraOutput
        | End::TooMuchTalk
        | End::AnswerTooLarge
        | End::Exited(_)
        | End::Signalled(_)
        | End::CpuLimit
        | End::MemoryLimit
        | End::Cancelled
        | End::NeverStarted
        | End::TimedOut => None,
    }
}

/// It used up its time: by waiting, or by computing.
fn too_long(report: &Report) -> Option<Diagnosis> {
    let usage = report.usage;
    let (cause, fix) = if usage.cpu < usage.wall / WAITED_PART {
        (
            "it hardly computed: it waited for something that never came",
            "look for a sleep, a lock, or a read of anything but the one line on stdin",
        )
    } else {
        (
            "it computed until its time was over",
            "look for a loop that never ends; where it only needs longer, raise limits.max_ms",
        )
    };
    (report.end == End::TimedOut).then(|| Diagnosis {
        cause: cause.to_owned(),
        fix: fix.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_nothing_is_given_no_meaning() {
        for words in [
            "",
            "hello",
            "No module named ",
            "ModuleNotFoundError: No module named '",
            "Can't locate ",
            "AttributeError: 'list' object has no attribute 'x'",
        ] {
            assert_eq!(read(words), None, "{words}");
        }
        let hostile = format!(
            "ModuleNotFoundError: No module named '\u{1b}[2J{}'",
            "x".repeat(9_000)
        );
        let found = read(&hostile).unwrap();
        assert!(
            found.cause.chars().count() < 300 && !found.cause.contains('\u{1b}'),
            "{found:?}"
        );
    }
}
