//! The ten checks: each judges the evidence, in words that help the author to fix the plugin.

use std::collections::BTreeSet;

use plugin_protocol::event::EventKind;
use plugin_protocol::manifest::DeterminismMode;
use plugin_protocol::message::Status;
use plugin_protocol::report::Severity;

use super::evidence::{Evidence, Seen};
use crate::router::Cause;
use crate::router::told_denials;
use ledger::CheckOutcome::{self as Outcome, Fail, NotChecked, Pass};
use sandbox::{End, Layer};

/// A judgement with its detail.
type Judged = (Outcome, String);

/// A check: its invariant, its name and its judge.
type Row = (&'static str, &'static str, fn(&Evidence) -> Judged);

pub(super) const CHECKS: [Row; 10] = [
    (
        "INV-PNP-01",
        "the package is valid and can be registered",
        valid,
    ),
    (
        "INV-PNP-02",
        "a call gives one answer and leaves nothing",
        data_only,
    ),
    (
        "INV-PNP-03",
        "the same input gives the same result",
        deterministic,
    ),
    (
        "INV-PNP-04",
        "inputs and results are of the declared kinds",
        typed,
    ),
    ("INV-PNP-05", "every layer of the sandbox held it", isolated),
    (
        "INV-PNP-06",
        "it tries nothing beyond its capabilities",
        capable,
    ),
    (
        "INV-PNP-07",
        "every call is in the ledger and can be proved",
        traced,
    ),
    (
        "INV-PNP-08",
        "it keeps its limits, alone and many at once",
        bounded,
    ),
    ("INV-PNP-09", "its versions fit this gateway", compatible),
    ("INV-PNP-10", "what is wrong is refused", closed),
];

/// The detail when the plugin could not be called.
const NOT_ASKED: &str = "the plugin could not be asked: see INV-PNP-01";

/// The detail when no call succeeded.
const NO_ANSWER: &str =
    "no sample was answered `ok`: pass a payload that it takes with --text or --input";

fn valid(evidence: &Evidence) -> Judged {
    let errors: Vec<String> = evidence
        .report
        .issues
        .iter()
        .filter(|issue| issue.severity == Severity::Error)
        .map(|issue| format!("{}: {}", issue.field, issue.message))
        .collect();
    match (&evidence.installed, errors.as_slice()) {
        (_, [_, ..]) => (Fail, errors.join("; ")),
        (Err(reason), []) => (Fail, reason.clone()),
        (Ok(()), []) => (Pass, with_warnings(evidence)),
    }
}

fn with_warnings(evidence: &Evidence) -> String {
    let warnings = evidence
        .report
        .issues
        .iter()
        .filter(|issue| issue.severity == Severity::Warning);
    let words: Vec<&str> = warnings.map(|issue| issue.message.as_str()).collect();
    if words.is_empty() {
        "no finding".to_owned()
    } else {
        format!("no error; warned of: {}", words.join("; "))
    }
}

fn data_only(evidence: &Evidence) -> Judged {
    let talkative = |seen: &&Seen| {
        let end = seen.outcome.report.as_ref().map(|report| &report.end);
        matches!(end, Some(End::ExtraOutput))
    };
    if let Some(seen) = evidence.calls().find(talkative) {
        return (Fail, seen.told());
    }
    if evidence.digest != evidence.digest_after {
        return (
            Fail,
            "the package is not what it was before: something wrote to it".to_owned(),
        );
    }
    match evidence.calls().filter(|seen| seen.ran()).count() {
        0 => (NotChecked, NOT_ASKED.to_owned()),
        calls => (
            Pass,
            format!("{calls} calls, at most one line each; the package is unchanged"),
        ),
    }
}

fn deterministic(evidence: &Evidence) -> Judged {
    let Some(manifest) = &evidence.manifest else {
        return (NotChecked, NOT_ASKED.to_owned());
    };
    match manifest.determinism.mode {
        DeterminismMode::Probabilistic => {
            return (
                NotChecked,
                "the manifest says `probabilistic`: results may differ".to_owned(),
            );
        }
        DeterminismMode::Deterministic => {}
    }
    let Some(first) = evidence.samples.iter().find(|seen| seen.is_ok()) else {
        return unanswered(evidence);
    };
    let hash = |seen: &Seen| seen.outcome.response.evidence_hashes.output_hash;
    let again = || evidence.repeats.iter().chain(&evidence.crowd);
    if let Some(seen) = again().find(|seen| !seen.is_ok()) {
        return (
            Fail,
            format!("the same input ended otherwise: {}", seen.told()),
        );
    }
    let hashes: BTreeSet<String> = again()
        .chain([first])
        .filter_map(hash)
        .map(|hash| hash.to_string())
        .collect();
    match hashes.len() {
        1 => (
            Pass,
            format!("{} runs in new processes, one result", 1 + again().count()),
        ),
        count => {
            let words = format!(
                "{count} different results in {} runs: leave out times, addresses and random numbers, or say `probabilistic`",
                1 + again().count()
            );
            (Fail, words)
        }
    }
}

fn typed(evidence: &Evidence) -> Judged {
    // A failed schema, a kind that is not declared, no UTF-8, another request's name: the gateway calls all of them a bad answer.
    if let Some(seen) = evidence
        .calls()
        .find(|seen| seen.outcome.cause == Cause::BadAnswer)
    {
        return (Fail, seen.told());
    }
    if !evidence.samples.iter().any(Seen::is_ok) {
        return unanswered(evidence);
    }
    let told: Vec<String> = evidence.samples.iter().map(Seen::told).collect();
    (Pass, told.join("; "))
}

fn isolated(evidence: &Evidence) -> Judged {
    let in_force = match &evidence.layers {
        Ok(layers) => layers,
        Err(reason) => return (Fail, reason.clone()),
    };
    let mut runs = 0;
    for (seen, report) in evidence
        .calls()
        .filter_map(|seen| Some((seen, seen.outcome.report.as_ref()?)))
    {
        runs += 1;
        // An interpreter is the operator's own file, and no copy of it is sealed.
        let lacks =
            |layer: &&Layer| **layer != Layer::SealedImage && !report.layers.contains(layer);
        let missing: Vec<&str> = in_force
            .iter()
            .filter(lacks)
            .map(|layer| layer.as_str())
            .collect();
        if !missing.is_empty() {
            return (
                Fail,
                format!("{}: without {}", seen.name, missing.join(" ")),
            );
        }
    }
    let names: Vec<&str> = in_force.iter().map(|layer| layer.as_str()).collect();
    match runs {
        0 => (NotChecked, NOT_ASKED.to_owned()),
        _ => (Pass, format!("{runs} runs under {}", names.join(" "))),
    }
}

fn capable(evidence: &Evidence) -> Judged {
    let reports = || {
        let seen = evidence.calls();
        seen.filter_map(|seen| Some((seen, seen.outcome.report.as_ref()?)))
    };
    let hostile = reports().find_map(|(seen, report)| match &report.end {
        End::Violation(denial) | End::Flood(denial) => Some((seen, denial)),
        End::Answered
        | End::ExtraOutput
        | End::AnswerTooLarge
        | End::Exited(_)
        | End::Signalled(_)
        | End::TimedOut
        | End::CpuLimit
        | End::MemoryLimit
        | End::Cancelled
        | End::NeverStarted => None,
    });
    if let Some((seen, denial)) = hostile {
        return (Fail, format!("{}: it was ended at {denial}", seen.name));
    }
    let refused = reports().find(|(_, report)| report.denied.total > 0);
    let refused = refused.map(|(seen, report)| {
        format!(
            "{}: it asked for what is refused: {}",
            seen.name,
            told_denials(&report.denied)
        )
    });
    match (&evidence.manifest, refused) {
        (_, Some(words)) if !evidence.tolerates_denied => (
            Fail,
            format!(
                "{words}; leave it out, or pass --tolerate-denied where a library asks and goes on without"
            ),
        ),
        (Some(manifest), refused) if reports().next().is_some() => {
            let calls = match refused {
                Some(words) => format!("tolerated: {words}"),
                None => "no refused call".to_owned(),
            };
            (
                Pass,
                format!("{}, and {calls}", manifest.capabilities.join(" ")),
            )
        }
        (Some(_) | None, _) => (NotChecked, NOT_ASKED.to_owned()),
    }
}

fn traced(evidence: &Evidence) -> Judged {
    if evidence.events.is_empty() {
        return (NotChecked, NOT_ASKED.to_owned());
    }
    let mut calls = 0;
    for seen in evidence.calls().chain(&evidence.wrong) {
        calls += 1;
        let mine = evidence.events.iter().filter(|event| {
            event
                .request_id
                .as_ref()
                .is_some_and(|id| id.as_str() == seen.request_id)
        });
        let kinds: Vec<EventKind> = mine.map(|event| event.kind).collect();
        let closing = closing(seen.outcome.response.status);
        let expected = if seen.ran() {
            vec![EventKind::Invoke, closing]
        } else {
            vec![closing]
        };
        if kinds != expected {
            return (Fail, format!("{}: its events are {kinds:?}", seen.name));
        }
    }
    if !evidence.ledger_fault.is_empty() {
        return (Fail, evidence.ledger_fault.clone());
    }
    match &evidence.proof {
        Some(proof) if proof.valid => (
            Pass,
            format!("{calls} calls; the ledger and the run's exported proof are valid"),
        ),
        Some(_) | None => (Fail, "the run's exported proof is not valid".to_owned()),
    }
}

fn closing(status: Status) -> EventKind {
    match status {
        Status::Ok => EventKind::Result,
        Status::Rejected => EventKind::Reject,
        Status::Error | Status::Timeout => EventKind::Error,
    }
}

fn bounded(evidence: &Evidence) -> Judged {
    let over = |seen: &&Seen| {
        let end = seen.outcome.report.as_ref().map(|report| &report.end);
        matches!(
            end,
            Some(End::TimedOut | End::CpuLimit | End::MemoryLimit | End::AnswerTooLarge)
        )
    };
    if let Some(seen) = evidence.calls().find(over) {
        return (Fail, seen.told());
    }
    if let Some(seen) = evidence.crowd.iter().find(|seen| !seen.is_ok()) {
        return (Fail, seen.told());
    }
    let reports = || {
        evidence
            .calls()
            .filter_map(|seen| seen.outcome.report.as_ref())
    };
    let (time, memory) = (
        reports().map(|report| report.usage.wall.as_millis()).max(),
        reports().map(|report| report.usage.peak_memory_bytes).max(),
    );
    match (time, memory) {
        (Some(time), Some(memory)) => {
            const KIB: u64 = 1024;
            let (at_once, memory_kib) = (evidence.crowd.len(), memory / KIB);
            (
                Pass,
                format!("at most {time} ms and {memory_kib} KiB; {at_once} at once"),
            )
        }
        (None, _) | (_, None) => (NotChecked, NOT_ASKED.to_owned()),
    }
}

fn compatible(evidence: &Evidence) -> Judged {
    const FIELDS: [&str; 3] = ["/version", "/api_version", "/supported_omega_api_versions"];
    let wrong =
        evidence.report.issues.iter().find(|issue| {
            issue.severity == Severity::Error && FIELDS.contains(&issue.field.as_str())
        });
    match (wrong, &evidence.manifest) {
        (Some(issue), _) => (Fail, format!("{}: {}", issue.field, issue.message)),
        (None, Some(manifest)) => (
            Pass,
            format!(
                "api_version {} and {} take in {}",
                manifest.api_version,
                manifest.supported_omega_api_versions,
                plugin_protocol::OMEGA_PLUGIN_API_VERSION
            ),
        ),
        (None, None) => (NotChecked, NOT_ASKED.to_owned()),
    }
}

fn closed(evidence: &Evidence) -> Judged {
    if evidence.installed.is_err() {
        return (NotChecked, NOT_ASKED.to_owned());
    }
    if let Some((name, _)) = evidence.signatures.iter().find(|(_, refused)| !refused) {
        return (Fail, format!("it was registered with {name}"));
    }
    if let Some(seen) = evidence
        .wrong
        .iter()
        .find(|seen| seen.ran() || seen.outcome.response.status != Status::Rejected)
    {
        return (Fail, seen.told());
    }
    // A plugin may refuse; it may not crash.
    let fell = |seen: &&Seen| seen.ran() && seen.outcome.cause != Cause::Answer;
    if let Some(seen) = evidence.odd.iter().find(fell) {
        return (Fail, seen.told());
    }
    let (signatures, requests) = (evidence.signatures.len(), evidence.wrong.len());
    (
        Pass,
        format!(
            "{signatures} bad signatures and {requests} bad requests refused, {} odd payloads withstood",
            evidence.odd.len()
        ),
    )
}

/// Why nothing can be said without an `ok` answer.
fn unanswered(evidence: &Evidence) -> Judged {
    let told: Vec<String> = evidence.samples.iter().map(Seen::told).collect();
    match told.as_slice() {
        [] => (NotChecked, NOT_ASKED.to_owned()),
        [..] => (Fail, format!("{NO_ANSWER}; {}", told.join("; "))),
    }
}
