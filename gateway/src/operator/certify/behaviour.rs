//! The judges of what a plugin did: determinism, state, failing closed, limits, denials, evidence.

use std::collections::BTreeSet;

use plugin_protocol::event::EventKind;
use plugin_protocol::json;
use plugin_protocol::manifest::DeterminismMode;
use plugin_protocol::message::Status;
use plugin_protocol::payload::Payload;
use serde_json::Value;

use super::checks::{Judged, not_asked, unanswered};
use super::evidence::{Evidence, Seen};
use super::order;
use crate::router::{changes_files, is_nearly_full, told_denials};
use sandbox::{End, Layer, Report};

/// What is said of a plugin that asked for something in vain, where that is not let pass.
const LEAVE_OUT: &str =
    "leave it out, or pass --tolerate-denied where a library asks and goes on without";

pub(super) fn deterministic(evidence: &Evidence) -> Judged {
    let Some(manifest) = &evidence.manifest else {
        return not_asked();
    };
    match manifest.determinism.mode {
        DeterminismMode::Probabilistic if evidence.ran() => {
            let words = "the manifest says `probabilistic`, so nothing is promised: not checked";
            return (true, words.to_owned());
        }
        DeterminismMode::Probabilistic | DeterminismMode::Deterministic => {}
    }
    let Some(first) = evidence.good() else {
        return unanswered(evidence);
    };
    let again = || {
        let repeats = evidence.repeats.iter().chain(&evidence.crowd);
        repeats.chain(&evidence.afterwards)
    };
    if let Some(seen) = again().find(|seen| !seen.is_ok()) {
        return (
            false,
            format!("the same input ended otherwise: {}", seen.told()),
        );
    }
    let hashes: BTreeSet<String> = again()
        .chain([first])
        .filter_map(|seen| seen.outcome.response.evidence_hashes.output_hash)
        .map(|hash| hash.to_string())
        .collect();
    let runs = 1 + again().count();
    match hashes.len() {
        1 => (true, format!("{runs} runs in new processes, one result")),
        count => {
            let results = again().chain([first]);
            let results = results.filter_map(|seen| seen.outcome.response.result.as_ref());
            let results: Vec<Value> = results
                .filter_map(|result| serde_json::to_value(result).ok())
                .collect();
            (
                false,
                format!(
                    "{count} different results in {runs} runs{}",
                    order::what_differs(&results)
                ),
            )
        }
    }
}

/// Nothing is left between calls: each had a jail of its own, none tried to leave something, and the package is what it was.
pub(super) fn stateless(evidence: &Evidence) -> Judged {
    if evidence.digest != evidence.digest_after {
        return (
            false,
            "the package is not what it was before: something wrote to it".to_owned(),
        );
    }
    let in_force = match &evidence.layers {
        Ok(layers) => layers,
        Err(reason) => return (false, reason.clone()),
    };
    if let Some(words) = evidence.reports().find_map(|(seen, report)| {
        let missing = missing(in_force, report);
        (!missing.is_empty()).then(|| format!("{}: without {}", seen.name, missing.join(" ")))
    }) {
        return (false, words);
    }
    let left = evidence.reports().find_map(|(seen, report)| {
        let denial = report
            .denied
            .first
            .iter()
            .find(|denial| changes_files(denial))?;
        Some(format!(
            "{}: it tried to leave something behind: {denial}",
            seen.name
        ))
    });
    let runs = evidence.reports().count();
    match left {
        Some(words) if !evidence.tolerates_denied => (false, format!("{words}; {LEAVE_OUT}")),
        _ if runs == 0 => not_asked(),
        left => {
            let layers: Vec<&str> = in_force.iter().map(|layer| layer.as_str()).collect();
            let tolerated = left.map_or_else(String::new, |words| format!("; tolerated: {words}"));
            let layers = layers.join(" ");
            (
                true,
                format!(
                    "{runs} runs, each in a jail of its own, the package unchanged, under {layers}{tolerated}"
                ),
            )
        }
    }
}

/// The layers in force here that did not hold this run. An interpreter is the operator's own file, and no copy of it is sealed.
fn missing(in_force: &[Layer], report: &Report) -> Vec<&'static str> {
    let lacks = |layer: &&Layer| **layer != Layer::SealedImage && !report.layers.contains(layer);
    let missing = in_force.iter().filter(lacks);
    missing.map(|layer| layer.as_str()).collect()
}

pub(super) fn closed(evidence: &Evidence) -> Judged {
    if evidence.installed.is_err() {
        return not_asked();
    }
    if let Some((name, _)) = evidence.signatures.iter().find(|(_, refused)| !refused) {
        return (false, format!("it was registered with {name}"));
    }
    let taken = |seen: &&Seen| seen.ran() || seen.outcome.response.status != Status::Rejected;
    if let Some(seen) = evidence.wrong.iter().find(taken) {
        return (false, seen.told());
    }
    // A plugin may refuse what is odd; it may not fail over it.
    let fell = |seen: &&Seen| seen.ran() && !seen.is_answered();
    if let Some(seen) = evidence.odd.iter().find(fell) {
        let words = format!(
            "{}; answer `rejected` with words where a payload is nothing for it",
            seen.told()
        );
        return (false, words);
    }
    let (signatures, requests) = (evidence.signatures.len(), evidence.wrong.len());
    (
        true,
        format!(
            "{signatures} bad signatures and {requests} bad requests refused, {} odd payloads withstood",
            evidence.odd.len()
        ),
    )
}

pub(super) fn bounded(evidence: &Evidence) -> Judged {
    let over = |seen: &&Seen| {
        let end = seen.outcome.report.as_ref().map(|report| &report.end);
        matches!(
            end,
            Some(End::TimedOut | End::CpuLimit | End::MemoryLimit | End::AnswerTooLarge)
        )
    };
    if let Some(seen) = evidence.calls().find(over) {
        return (false, seen.told());
    }
    if let Some(seen) = evidence.crowd.iter().find(|seen| !seen.is_ok()) {
        return (false, seen.told());
    }
    let reports = || evidence.reports().map(|(_, report)| report.usage);
    let (time, memory) = (
        reports().map(|usage| usage.wall.as_millis()).max(),
        reports().map(|usage| usage.peak_memory_bytes).max(),
    );
    match (time, memory) {
        (Some(time), Some(memory)) => {
            const KIB: u64 = 1024;
            let (at_once, memory_kib) = (evidence.crowd.len(), memory / KIB);
            let limit = evidence
                .manifest
                .as_ref()
                .map(|manifest| manifest.limits.memory_bytes());
            let is_near = limit.is_some_and(|limit| {
                evidence
                    .reports()
                    .any(|(_, report)| is_nearly_full(report, limit))
            });
            let near = if is_near {
                "; that is nearly all of limits.max_memory_bytes: raise it, or hold less"
            } else {
                ""
            };
            (
                true,
                format!("at most {time} ms and {memory_kib} KiB; {at_once} at once{near}"),
            )
        }
        (None, _) | (_, None) => not_asked(),
    }
}

/// "CG-08 fails when a plugin asked for something refused, naming it; `--tolerate-denied` passes it and names it all the same."
pub(super) fn passive(evidence: &Evidence) -> Judged {
    if let Some((seen, denial)) = evidence
        .calls()
        .find_map(|seen| Some((seen, seen.hostile()?)))
    {
        return (false, format!("{}: it was ended at {denial}", seen.name));
    }
    let mut reports = evidence.reports();
    let refused = reports.find(|(_, report)| report.denied.total > 0);
    let refused = refused.map(|(seen, report)| {
        format!(
            "{}: it asked for what is refused: {}",
            seen.name,
            told_denials(&report.denied)
        )
    });
    match refused {
        Some(words) if !evidence.tolerates_denied => (false, format!("{words}; {LEAVE_OUT}")),
        Some(words) => (true, format!("tolerated: {words}")),
        None if evidence.ran() => (
            true,
            format!("no refused call in {} runs", evidence.reports().count()),
        ),
        None => not_asked(),
    }
}

pub(super) fn traced(evidence: &Evidence) -> Judged {
    if evidence.events.is_empty() {
        return not_asked();
    }
    let mut calls = 0;
    for seen in evidence.calls().chain(&evidence.wrong) {
        calls += 1;
        if let Some(words) = untraced(evidence, seen).or_else(|| unhashed(seen)) {
            return (false, format!("{}: {words}", seen.name));
        }
    }
    if !evidence.ledger_fault.is_empty() {
        return (false, evidence.ledger_fault.clone());
    }
    match &evidence.proof {
        Some(proof) if proof.valid => (
            true,
            format!(
                "{calls} calls, all hashes right; the ledger and the run's exported proof are valid"
            ),
        ),
        Some(_) | None => (false, "the run's exported proof is not valid".to_owned()),
    }
}

/// What is wrong with a call's events, none where nothing is.
fn untraced(evidence: &Evidence, seen: &Seen) -> Option<String> {
    let mine = evidence.events.iter().filter(|event| {
        let id = event.request_id.as_ref();
        id.is_some_and(|id| id.as_str() == seen.request_id)
    });
    let kinds: Vec<EventKind> = mine.map(|event| event.kind).collect();
    let closing = match seen.outcome.response.status {
        Status::Ok => EventKind::Result,
        Status::Rejected => EventKind::Reject,
        Status::Error | Status::Timeout => EventKind::Error,
    };
    let expected = if seen.ran() {
        vec![EventKind::Invoke, closing]
    } else {
        vec![closing]
    };
    (kinds != expected).then(|| format!("its events are {kinds:?}"))
}

/// What is wrong with a call's hashes: the gateway's, which are made again here, and those that the plugin itself claims.
fn unhashed(seen: &Seen) -> Option<String> {
    let response = &seen.outcome.response;
    let hashes = response.evidence_hashes;
    let payload: Option<Payload> = serde_json::from_value(seen.payload.clone()).ok();
    let input = payload.map(|payload| payload.hash());
    let output = response.result.as_ref().map(Payload::hash);
    if (seen.ran() && hashes.input_hash != input) || hashes.output_hash != output {
        return Some("its hashes are not those of its payload and result".to_owned());
    }
    let report = seen.outcome.report.as_ref()?;
    let answer = json::read(report.answer.trim_ascii()).ok()?;
    let claimed = |name: &str| {
        let claimed = answer.pointer(&format!("/response/evidence_hashes/{name}"));
        claimed
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let wrong = |name: &str, right: String| {
        let claimed = claimed(name);
        (!claimed.is_empty() && claimed != right).then(|| {
            format!("it claims an {name} that is not the right one: leave evidence_hashes to the gateway, which makes them itself")
        })
    };
    let text = |hash: Option<plugin_protocol::digest::PayloadHash>| {
        hash.map(|hash| hash.to_string()).unwrap_or_default()
    };
    wrong("input_hash", text(input)).or_else(|| wrong("output_hash", text(output)))
}
