//! What a run's end means: status, words and the cause that the ledger keeps. One table, every case.

use std::collections::BTreeMap;
use std::time::Duration;

use plugin_protocol::event::meta;
use plugin_protocol::message::{EvidenceHashes, Status};
use plugin_protocol::payload::Payload;
use plugin_protocol::words;

use crate::error::chain;
use sandbox::{self, End, Report};
use validator::{Misbehaviour, Verdict};

/// The cause of a call that the host took back.
pub(super) const CANCELLED: &str = "cancelled";

/// What its notes say.
pub(super) const CANCELLED_NOTES: &str = "cancelled: the host took the call back";

/// The cause of a call that the gateway itself could not carry out.
pub(super) const GATEWAY: &str = "gateway";

/// What a call came to, before it is recorded.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) status: Status,
    pub(super) result: Option<Payload>,
    pub(super) hashes: EvidenceHashes,
    /// The canonical result's length; 0 where there is none.
    pub(super) output_bytes: usize,
    pub(super) notes: String,
    /// The cause in one word, for the ledger and for counting.
    pub(super) cause: &'static str,
    /// Whether the notes may quote a request or an answer, and so stay out of the ledger.
    pub(super) quotes: bool,
    /// Facts beside the cause, for the ledger.
    pub(super) facts: BTreeMap<String, String>,
}

impl Judgement {
    pub(super) fn without_result(status: Status, cause: &'static str, notes: String) -> Self {
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

    /// The gateway's own fault: the plugin was never started, or was lost.
    pub(super) fn fault(error: &sandbox::Error) -> Self {
        let notes = format!("the gateway could not run the plugin: {}", chain(error));
        Self::without_result(Status::Error, GATEWAY, notes)
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
    check: impl FnOnce(&[u8]) -> Result<Verdict, Misbehaviour>,
) -> Judgement {
    use Status::{Error, Rejected, Timeout};
    let plain = Judgement::without_result;
    match &report.end {
        End::Answered => check(&report.answer).map_or_else(unacceptable, answered),
        End::ExtraOutput => plain(Rejected, "extra_output", "the plugin wrote more than one line on stdout: write one answer line and nothing else there".to_owned()),
        End::AnswerTooLarge => plain(Rejected, "answer_too_large", format!("the answer line is longer than limits.max_bytes ({} bytes)", allowed.answer_bytes)),
        End::Violation(denial) => plain(Rejected, "violation", format!("{}: {denial}", words::VIOLATION))
            .with(meta::DENIED_CALL, &denial.call)
            .with(meta::DENIED_DETAIL, &denial.detail),
        End::Exited(code) => plain(Error, "exit", format!("the plugin exited with code {code} and gave no answer")).with(meta::EXIT_CODE, code),
        End::Signalled(signal) => plain(Error, "signal", format!("the plugin was ended by signal {signal} and gave no answer")).with(meta::SIGNAL, signal),
        End::CpuLimit => plain(Error, "cpu", format!("the plugin used up its processor time ({} ms): raise limits.max_cpu_ms or do less", allowed.cpu.as_millis())),
        End::MemoryLimit => plain(Error, "memory", format!("the plugin used up its memory ({} bytes): raise limits.max_memory_bytes or use less", allowed.memory_bytes)),
        End::Cancelled => plain(Error, CANCELLED, CANCELLED_NOTES.to_owned()),
        End::TimedOut => plain(Timeout, "timeout", format!("{}: the plugin was killed after {} ms", words::TIMEOUT, allowed.time.as_millis())),
    }
}

fn answered(verdict: Verdict) -> Judgement {
    Judgement {
        status: verdict.status,
        result: verdict.result,
        hashes: EvidenceHashes {
            input_hash: None,
            output_hash: verdict.output_hash,
        },
        output_bytes: verdict.output_bytes,
        notes: verdict.notes,
        cause: "answer",
        quotes: true,
        facts: BTreeMap::new(),
    }
}

fn unacceptable(misbehaviour: Misbehaviour) -> Judgement {
    Judgement::without_result(Status::Rejected, "bad_answer", misbehaviour.words).quoting(true)
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
