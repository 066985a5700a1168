//! What a run's end means: status, words and the cause that the ledger keeps. One table, every case.

use std::collections::BTreeMap;
use std::time::Duration;

use plugin_protocol::event::meta;
use plugin_protocol::message::{EvidenceHashes, Status};
use plugin_protocol::payload::Payload;
use plugin_protocol::words;

use super::cause::Cause;
use crate::error::chain;
use sandbox::{self, End, Report};
use validator::{Accepted, Misbehaviour};

/// What the notes of a cancelled call say.
pub(super) const CANCELLED_NOTES: &str = "cancelled: the host took the call back";

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

    /// The gateway's own fault: the plugin could not be started, or was lost track of.
    pub(super) fn fault(error: &sandbox::Error) -> Self {
        let notes = format!("the gateway could not run the plugin: {}", chain(error));
        Self::without_result(Status::Error, Cause::Gateway, notes)
    }

    /// Whatever it answered, it may have been told by bytes that nobody signed.
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
        End::Answered => check(&report.answer).map_or_else(unacceptable, answered),
        End::ExtraOutput => plain(Rejected, Cause::ExtraOutput, "the plugin wrote more than one line on stdout: write one answer line and nothing else there".to_owned()),
        End::AnswerTooLarge => plain(Rejected, Cause::AnswerTooLarge, format!("the answer line is longer than limits.max_bytes ({} bytes)", allowed.answer_bytes)),
        End::Violation(denial) => plain(Rejected, Cause::Violation, format!("{}: {denial}", words::VIOLATION))
            .with(meta::DENIED_CALL, &denial.call)
            .with(meta::DENIED_DETAIL, &denial.detail),
        End::Exited(code) => plain(Error, Cause::Exit, format!("the plugin exited with code {code} and gave no answer")).with(meta::EXIT_CODE, code),
        End::Signalled(signal) => plain(Error, Cause::Signal, format!("the plugin was ended by signal {signal} and gave no answer")).with(meta::SIGNAL, signal),
        End::CpuLimit => plain(Error, Cause::Cpu, format!("the plugin used up its processor time ({} ms): raise limits.max_cpu_ms or do less", allowed.cpu.as_millis())),
        End::MemoryLimit => plain(Error, Cause::Memory, format!("the plugin used up its memory ({} bytes): raise limits.max_memory_bytes or use less", allowed.memory_bytes)),
        End::Cancelled => plain(Error, Cause::Cancelled, CANCELLED_NOTES.to_owned()),
        End::NeverStarted => plain(Timeout, Cause::Timeout, format!("{}: the plugin could not be started within {} ms: this host was too busy, or somebody stopped the process that starts plugins; call again", words::TIMEOUT, allowed.time.as_millis())),
        End::TimedOut => plain(Timeout, Cause::Timeout, format!("{}: the plugin was killed after {} ms", words::TIMEOUT, allowed.time.as_millis())),
    }
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

fn unacceptable(misbehaviour: Misbehaviour) -> Judgement {
    Judgement::without_result(Status::Rejected, Cause::BadAnswer, misbehaviour.words).quoting(true)
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
    if report.probes > 0 {
        facts.insert(meta::BENIGN_PROBES.to_owned(), report.probes.to_string());
    }
    facts
}
