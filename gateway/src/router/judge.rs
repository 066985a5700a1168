//! What a run's end means: status, words and the cause that the ledger keeps. One table, every case.

use std::collections::BTreeMap;
use std::time::Duration;

use plugin_protocol::event::meta;
use plugin_protocol::message::{EvidenceHashes, Status};
use plugin_protocol::payload::Payload;
use plugin_protocol::shown::{beginning, cut};
use plugin_protocol::{json, words};

use super::budget::TimeSetBy;
use super::cause::Cause;
use super::diagnosis;
use crate::error::chain;
use sandbox::{self, End, Report};
use validator::{Accepted, Misbehaviour};

/// What the notes of a cancelled call say.
pub(crate) const CANCELLED_NOTES: &str = "cancelled: the host took the call back";

/// How a call ended, before it is recorded.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) status: Status,
    pub(super) result: Option<Payload>,
    pub(super) hashes: EvidenceHashes,
    /// The canonical result's length; 0 where there is none.
    pub(super) output_bytes: usize,
    pub(super) notes: String,
    pub(super) cause: Cause,
    /// Whether the notes may quote a request or an answer, and so stay out of the ledger.
    pub(super) quotes: bool,
    /// Facts beside the cause, for the ledger.
    pub(super) facts: BTreeMap<String, String>,
}

impl Judgement {
    pub(super) fn without_result(status: Status, cause: Cause, notes: String) -> Self {
        let hashes = EvidenceHashes::default();
        Self {
            status,
            result: None,
            hashes,
            output_bytes: 0,
            notes,
            cause,
            quotes: false,
            facts: BTreeMap::new(),
        }
    }

    /// The gateway's own fault: the plugin could not be started, or its process was lost.
    pub(super) fn fault(error: &sandbox::Error) -> Self {
        let notes = format!("the gateway could not run the plugin: {}", chain(error));
        Self::without_result(Status::Error, Cause::Gateway, notes)
    }

    /// The answer of a plugin whose files were touched while it ran: it may come from bytes that nobody signed.
    pub(super) fn touched() -> Self {
        let notes = "the package's files in the store were touched while it ran, so its answer does not count: \
                     find out who writes to the state folder, and register the package again if its bytes are not what was signed";
        Self::without_result(Status::Rejected, Cause::Package, notes.to_owned())
    }

    pub(super) fn quoting(mut self, quotes: bool) -> Self {
        self.quotes = quotes;
        self
    }

    fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.facts.insert(name.to_owned(), value.to_string());
        self
    }
}

/// The limits that a judgement names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    pub(super) time: Duration,
    pub(super) time_set_by: TimeSetBy,
    pub(super) cpu: Duration,
    pub(super) memory_bytes: u64,
    pub(super) answer_bytes: u64,
}

/// Judges how a run ended; `check` looks at the answer when there is exactly one.
pub(super) fn judge(
    report: &Report,
    allowed: Allowed,
    check: impl FnOnce(&[u8]) -> Result<Accepted, Misbehaviour>,
) -> Judgement {
    use Status::{Error, Rejected, Timeout};
    let plain = Judgement::without_result;
    match &report.end {
        End::Answered => check(&report.answer).map_or_else(|wrong| unacceptable(&wrong, &report.answer), answered),
        End::ExtraOutput if report.answer.starts_with(JAVA_CRASH) => plain(Error, Cause::Signal, "the Java virtual machine itself crashed: its stderr says where; a native library, sun.misc.Unsafe or a fault of the machine's own is the cause".to_owned()),
        End::ExtraOutput => extra_output(&report.answer),
        End::AnswerTooLarge => plain(Rejected, Cause::AnswerTooLarge, format!("the answer line is longer than limits.max_bytes ({} bytes)", allowed.answer_bytes)),
        End::TooMuchTalk => plain(Rejected, Cause::ExtraOutput, format!("the server said more than {} bytes beside its answer, or asked for more than it read", sandbox::TALK_BYTES_MAX)),
        End::Violation(denial) => plain(Rejected, Cause::Violation, format!("{}: {denial}", words::VIOLATION))
            .with(meta::DENIED_CALL, &denial.call)
            .with(meta::DENIED_DETAIL, &denial.detail),
        End::Flood(last) => plain(Rejected, Cause::Violation, format!("{}: more than {} refused calls, the last of them {last}", words::VIOLATION, sandbox::ASKED_MAX))
            .with(meta::DENIED_CALL, &last.call)
            .with(meta::DENIED_DETAIL, &last.detail),
        End::Exited(code) => unanswered(*code, report),
        End::Signalled(signal) => plain(Error, Cause::Signal, died(*signal, &hint(report))).with(meta::SIGNAL, signal).with(meta::REASON, died(*signal, "")).quoting(true),
        End::CpuLimit => plain(Error, Cause::Cpu, format!("the plugin used up its processor time ({} ms): raise limits.max_cpu_ms, which is limits.max_ms where the manifest does not name it, or do less", allowed.cpu.as_millis())),
        End::MemoryLimit => plain(Error, Cause::Memory, format!("the plugin used up its memory ({} bytes): raise limits.max_memory_bytes or use less", allowed.memory_bytes)),
        End::Cancelled => plain(Error, Cause::Cancelled, CANCELLED_NOTES.to_owned()),
        End::NeverStarted => plain(Timeout, Cause::Timeout, format!("{}: the plugin could not be started within {} ms: this host was too busy, or somebody stopped the process that starts plugins; call again", words::TIMEOUT, allowed.time.as_millis())),
        End::TimedOut => plain(Timeout, Cause::Timeout, format!("{}: the plugin was killed after {} ms: {}", words::TIMEOUT, allowed.time.as_millis(), allowed.time_set_by.told())),
    }
}

/// How the Java virtual machine's crash report begins, which it always writes to standard output.
const JAVA_CRASH: &[u8] = b"#\n# A fatal error has been detected by the Java Runtime Environment:";

/// What a plugin that ends well without an answer most likely forgot.
const LOOK_FOR: &str = ": look for a return before the answer is written, for output that is not flushed before the end (os._exit, process.exit \
                        and _exit drop it), for an answer line without its newline that is still in a buffer, and for a handler that \
                        nothing calls";

/// The most lines of stderr that notes quote, from the end.
const LAST_LINES: usize = 3;

/// The most characters of each of them.
const LAST_LINE_CHARS: usize = 200;

/// An end without an answer. Words of the plugin's own are in the notes and not in the ledger.
fn unanswered(code: i32, report: &Report) -> Judgement {
    let look_for = if code == 0 { LOOK_FOR } else { "" };
    let end = format!("the plugin exited with code {code} and gave no answer");
    let why = format!("{end}{look_for}");
    let notes = format!("{end}{}{look_for}{}", hint(report), last_lines(report));
    Judgement::without_result(Status::Error, Cause::Exit, notes)
        .with(meta::EXIT_CODE, code)
        .with(meta::REASON, why)
        .quoting(true)
}

/// The last lines of stderr as a clause; nothing where it is empty.
fn last_lines(report: &Report) -> String {
    let stderr = String::from_utf8_lossy(&report.stderr.bytes);
    let written = stderr.lines().rev().filter(|line| !line.trim().is_empty());
    let mut last: Vec<String> = written
        .take(LAST_LINES)
        .map(|line| cut(line.trim_end(), LAST_LINE_CHARS))
        .collect();
    if last.is_empty() {
        return String::new();
    }
    last.reverse();
    format!("; its last words on stderr: {}", last.join(" | "))
}

/// More on stdout than the one line. What it was is in the notes and not in the ledger.
fn extra_output(output: &[u8]) -> Judgement {
    const MANY: &str = "the plugin wrote more than one line on stdout";
    let newline = output.iter().position(|&byte| byte == b'\n');
    let (line, more) = output.split_at(newline.unwrap_or(output.len()));
    let more = more.trim_ascii_start();
    // Where the first line is a message, the others are what does not belong there.
    let is_message = json::read(line).is_ok_and(|value| value.get("type").is_some());
    let what = match (is_message, more.is_empty()) {
        (_, true) => format!(
            ", more than {} bytes of blank lines among them",
            sandbox::BLANK_BYTES_MAX
        ),
        (true, false) => format!(
            "; after the answer came {}",
            beginning(more, words::QUOTED_OUTPUT_BYTES)
        ),
        (false, false) => format!(
            "; it began with {}",
            beginning(output, words::QUOTED_OUTPUT_BYTES)
        ),
    };
    let meant = diagnosis::of_output(output).map(|known| known.to_string());
    let meant = meant.unwrap_or_else(|| words::PRINTS_BELONG.to_owned());
    let notes = format!("{MANY}{what}: {meant}");
    Judgement::without_result(Status::Rejected, Cause::ExtraOutput, notes)
        .with(meta::REASON, format!("{MANY}: {}", words::PRINTS_BELONG))
        .quoting(true)
}

/// What the plugin's last words on stderr mean, to be added to the notes; empty where they are not known.
fn hint(report: &Report) -> String {
    let known = diagnosis::of_stderr(report).map(|known| format!("; by its stderr, {known}"));
    known.unwrap_or_default()
}

/// A signal ended it. Where its last words are known they say why, and the signal alone would say something else.
fn died(signal: i32, hint: &str) -> String {
    let how = if hint.is_empty() || signal == SIGABRT {
        signalled(signal)
    } else {
        format!("was ended by signal {signal}")
    };
    format!("the plugin {how} and gave no answer{hint}")
}

/// By which a program ends itself.
const SIGABRT: i32 = 6;

/// What a signal did, by its name where that says more than its number (signal(7)).
fn signalled(signal: i32) -> String {
    let what = match signal {
        SIGABRT => return "aborted (SIGABRT, signal 6)".to_owned(),
        4 => "SIGILL: an instruction that does not exist here",
        5 => "SIGTRAP: a check of its own failed, or a breakpoint",
        7 => "SIGBUS: memory that has no file behind it any more",
        8 => "SIGFPE: a division by zero, or the like",
        9 => "SIGKILL: by somebody on this host, or for the host's lack of memory",
        11 => "SIGSEGV: it touched memory that it does not have, or its stack was full",
        13 => "SIGPIPE: it wrote where nobody reads",
        25 => "SIGXFSZ: it wrote to a file",
        _ => return format!("was ended by signal {signal}"),
    };
    format!("was ended by signal {signal} ({what})")
}

fn answered(accepted: Accepted) -> Judgement {
    Judgement {
        status: accepted.status,
        result: accepted.result,
        hashes: EvidenceHashes {
            input_hash: None,
            output_hash: accepted.output_hash,
        },
        output_bytes: accepted.output_bytes,
        notes: accepted.notes,
        cause: Cause::Answer,
        quotes: true,
        facts: BTreeMap::new(),
    }
}

/// With what was meant, where its form shows that.
fn unacceptable(misbehaviour: &Misbehaviour, answer: &[u8]) -> Judgement {
    let meant = diagnosis::of_output(answer).map(|known| format!("; {known}"));
    let notes = format!("{}{}", misbehaviour.words, meant.unwrap_or_default());
    Judgement::without_result(Status::Rejected, Cause::BadAnswer, notes).quoting(true)
}

/// What the ledger keeps of a run beside its judgement.
pub(super) fn facts_of(report: &Report) -> BTreeMap<String, String> {
    let layers: Vec<&str> = report.layers.iter().map(|layer| layer.as_str()).collect();
    let mut facts = BTreeMap::from([
        (
            meta::CPU_MS.to_owned(),
            report.usage.cpu.as_millis().to_string(),
        ),
        (meta::LAYERS.to_owned(), layers.join(" ")),
        (
            meta::PEAK_MEMORY_BYTES.to_owned(),
            report.usage.peak_memory_bytes.to_string(),
        ),
    ]);
    if report.stderr.dropped > 0 {
        facts.insert(
            meta::STDERR_DROPPED_BYTES.to_owned(),
            report.stderr.dropped.to_string(),
        );
    }
    let named = if report.reads_named { "yes" } else { "no" };
    facts.insert(meta::READS_NAMED.to_owned(), named.to_owned());
    if !report.usage.cpu_before.is_zero() {
        facts.insert(
            meta::CPU_BEFORE_MS.to_owned(),
            report.usage.cpu_before.as_millis().to_string(),
        );
    }
    if report.probes > 0 {
        facts.insert(meta::BENIGN_PROBES.to_owned(), report.probes.to_string());
    }
    facts
}

#[cfg(test)]
mod tests;
