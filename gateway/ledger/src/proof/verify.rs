//! The door to the checks: a bundle of a run, or the proof of a single event.

use plugin_protocol::canonical;
use plugin_protocol::event::Event;
use plugin_protocol::json;

use super::check::{
    Finding, NO_CHECKPOINT, ProofCheck, ProofReport, WITNESSES, check_bundle, signature, witnesses,
};
use super::single::{Parts, SINGLE};
use crate::line::scan;
use crate::tree::{Checkpoint, LogKey, Policy, leaf_hash, root_from_path};

/// What no proof of an event can prove; said with every report.
const BEYOND: &str = "a proof of one event does not prove that what it says is true, what else happened, or that the log shows everyone \
the same history: compare its checkpoint with the anchor or with other copies for that";

/// Checks a bundle, or the proof of a single event, against the log's public key.
#[must_use]
pub fn verify_proof(proof: &[u8], key: &LogKey) -> ProofReport {
    verify_proof_by(proof, key, None)
}

/// The same; where the auditor has a policy, one more check, `witnesses`, says whether enough of them cosigned.
#[must_use]
pub fn verify_proof_by(proof: &[u8], key: &LogKey, policy: Option<&Policy>) -> ProofReport {
    match proof.starts_with(SINGLE.as_bytes()) {
        true => check_single(proof, key, policy),
        false => check_bundle(proof, key, policy),
    }
}

fn check_single(proof: &[u8], key: &LogKey, policy: Option<&Policy>) -> ProofReport {
    let mut checks = Vec::new();
    let parts = std::str::from_utf8(proof)
        .map_err(|_| "it is not UTF-8")
        .and_then(Parts::read);
    let parts = parts.map_err(str::to_owned);
    match parts.and_then(|parts| event_of(&parts).map(|event| (parts, event))) {
        Err(reason) => {
            checks.push(ProofCheck::of("schema", Err(reason)));
            let mut names = vec!["event_hashes", "checkpoint_signature", "inclusion"];
            names.extend(policy.map(|_| WITNESSES));
            checks.extend(
                names
                    .into_iter()
                    .map(|name| ProofCheck::not_checked(name, "the proof cannot be read")),
            );
        }
        Ok((parts, event)) => {
            let checkpoint = key.open_cosigned(parts.note);
            checks.push(ProofCheck::of(
                "schema",
                Ok(format!("a {SINGLE} of one event")),
            ));
            checks.push(ProofCheck::of("event_hashes", event_hash(&event)));
            checks.push(ProofCheck::of(
                "checkpoint_signature",
                signature(key, &checkpoint),
            ));
            match &checkpoint {
                Ok(checkpoint) => {
                    checks.push(ProofCheck::of(
                        "inclusion",
                        inclusion(&parts, &event, checkpoint),
                    ));
                }
                Err(_) => checks.push(ProofCheck::not_checked("inclusion", NO_CHECKPOINT)),
            }
            if let Some(policy) = policy {
                checks.push(ProofCheck::of(
                    WITNESSES,
                    witnesses(policy, key, parts.note),
                ));
            }
        }
    }
    checks.push(ProofCheck::not_checked("beyond_the_proof", BEYOND));
    ProofReport::of(checks)
}

/// The event, whose line must be canonical byte for byte.
fn event_of(parts: &Parts<'_>) -> Result<Event, String> {
    let value = json::read(&parts.line).map_err(|error| error.to_string())?;
    if canonical::bytes(&value) != parts.line {
        return Err("its event is not written in canonical JSON".to_owned());
    }
    let event: Event =
        serde_json::from_value(value).map_err(|error| format!("not the expected JSON: {error}"))?;
    match event.line() == parts.line {
        true => Ok(event),
        false => Err("a value in its event is none that the format writes".to_owned()),
    }
}

fn event_hash(event: &Event) -> Finding {
    if event.computed_hash() != event.event_hash {
        return Err(format!(
            "event {} does not hash to its event_hash",
            event.event_id
        ));
    }
    scan(&event.line()).map_err(|flaw| format!("event {}: {flaw}", event.event_id))?;
    Ok("the event carries its own hash".to_owned())
}

fn inclusion(parts: &Parts<'_>, event: &Event, checkpoint: &Checkpoint) -> Finding {
    let leaf = leaf_hash(&parts.line);
    match root_from_path(leaf, parts.index, checkpoint.size, &parts.path) == Some(checkpoint.root) {
        true => Ok(format!("it is event {} of the log", parts.index)),
        false => Err(format!(
            "event {} is not proven to be event {} of the log",
            event.event_id, parts.index
        )),
    }
}
