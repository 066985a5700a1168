//! Checking a fleet's proof of a run: each node's bundle against the log's key that the operator's voucher names, and what the caller's side
//! kept against the bundles. It is read as data; no network, and no fleet, is needed.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{self, CheckOutcome, Finding, LogKey, ProofCheck, ProofReport};
use plugin_protocol::digest::EventHash;
use plugin_protocol::event::EventKind;
use plugin_protocol::{canonical, json};
use registry::PublicKey;
use serde::Deserialize;
use serde_json::Value;

/// The name of the format.
pub(crate) const FORMAT: &str = "plugin-gateway-fleet-proof/1";
/// The name of a decision's format, and the kinds of statement that are signed.
const DECISION_FORMAT: &str = "plugin-gateway-decision/1";
const DECISION: &str = "decision";
const NODE: &str = "node";

/// What such a proof does not say.
const BEYOND: &str = "a fleet's proof does not say that every node was asked: a call whose caller kept no receipt, at a node that \
is not in it, does not show; what one bundle does not prove, several do not prove either";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FleetProof {
    format: String,
    run_id: String,
    #[serde(rename = "created_at")]
    _created_at: plugin_protocol::time::Timestamp,
    parts: Vec<Part>,
    receipts: Vec<Receipt>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    node: String,
    voucher: Voucher,
    bundle: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Voucher {
    body: Value,
    #[serde(rename = "key_id")]
    _key_id: String,
    signature: String,
}

/// What the operator decided about a node.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vouched {
    kind: String,
    node: String,
    node_key: String,
    log_key: String,
    node_signature: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    node: String,
    run_id: String,
    request_id: String,
    event_hash: EventHash,
    #[serde(rename = "checkpoint_size")]
    _checkpoint_size: u64,
}

/// Whether the bytes say that they are a fleet's proof.
pub(crate) fn is_fleet_proof(bytes: &[u8]) -> bool {
    json::read(bytes).is_ok_and(|value| value["format"] == FORMAT)
}

/// Checks a fleet's proof against the operator's public key.
pub(crate) fn verify_fleet_proof(bytes: &[u8], operator: &PublicKey) -> ProofReport {
    let mut checks = Vec::new();
    let read = json::read_as::<FleetProof>(bytes).map_err(|error| error.to_string());
    let read = read.and_then(|proof| match proof.format == FORMAT {
        true => Ok(proof),
        false => Err(format!("its format is not {FORMAT}")),
    });
    match read {
        Err(why) => {
            checks.push(ProofCheck::of("schema", Err(why)));
            for name in ["vouchers", "bundles", "one_result", "receipts"] {
                checks.push(ProofCheck::not_checked(name, "the proof cannot be read"));
            }
        }
        Ok(proof) => {
            let words = format!(
                "a {FORMAT} of {} nodes and {} receipts",
                proof.parts.len(),
                proof.receipts.len()
            );
            checks.push(ProofCheck::of("schema", Ok(words)));
            checks.push(ProofCheck::of("vouchers", vouchers(&proof, operator)));
            checks.push(ProofCheck::of("bundles", bundles(&proof)));
            checks.push(ProofCheck::of("one_result", one_result(&proof)));
            checks.push(ProofCheck::of("receipts", receipts(&proof)));
        }
    }
    checks.push(ProofCheck::not_checked("beyond_the_bundle", BEYOND));
    ProofReport::of(checks)
}

/// What the voucher says, whoever signed it.
fn vouched(part: &Part) -> Result<Vouched, String> {
    let decision = part
        .voucher
        .body
        .get("decision")
        .cloned()
        .unwrap_or_default();
    let vouched: Vouched = serde_json::from_value(decision)
        .map_err(|error| format!("node {}: its voucher is none: {error}", part.node))?;
    if part.voucher.body["format"] != DECISION_FORMAT
        || vouched.kind != "vouch"
        || vouched.node != part.node
    {
        return Err(format!(
            "node {}: its voucher is about something else",
            part.node
        ));
    }
    Ok(vouched)
}

fn vouchers(proof: &FleetProof, operator: &PublicKey) -> Finding {
    let mut seen = BTreeSet::new();
    for part in &proof.parts {
        let node = &part.node;
        if !seen.insert(node) {
            return Err(format!("node {node} has two parts"));
        }
        let vouched = vouched(part)?;
        let body = canonical::bytes(&part.voucher.body);
        if !operator.vouches(DECISION, &body, &part.voucher.signature) {
            return Err(format!(
                "node {node}: key {} did not sign its voucher",
                operator.id()
            ));
        }
        let key = PublicKey::from_text(&vouched.node_key)
            .map_err(|error| format!("node {node}: {error}"))?;
        if key.id().to_string() != *node {
            return Err(format!("node {node} has another key than its name says"));
        }
        let text = format!("{node}\n{}\n", vouched.log_key.trim());
        if !key.vouches(NODE, text.as_bytes(), &vouched.node_signature) {
            return Err(format!("node {node} did not sign its log's key"));
        }
    }
    Ok(format!(
        "key {} vouches for {} nodes, and each for its log",
        operator.id(),
        proof.parts.len()
    ))
}

fn bundles(proof: &FleetProof) -> Finding {
    let mut events = 0;
    for part in &proof.parts {
        let node = &part.node;
        let key = LogKey::parse(&vouched(part)?.log_key)
            .map_err(|error| format!("node {node}: {error}"))?;
        if part.bundle["run_id"] != *proof.run_id {
            return Err(format!("node {node}: its bundle is of another run"));
        }
        let report = ledger::verify_proof(&canonical::bytes(&part.bundle), &key);
        let failed = report
            .checks
            .iter()
            .find(|check| check.outcome == CheckOutcome::Fail);
        if let Some(check) = failed {
            return Err(format!("node {node}: {}: {}", check.name, check.detail));
        }
        events += events_of(part).count();
    }
    Ok(format!(
        "{} bundles hold, with {events} events of the run",
        proof.parts.len()
    ))
}

fn events_of(part: &Part) -> impl Iterator<Item = &Value> {
    part.bundle["events"].as_array().into_iter().flatten()
}

/// At most once: no request has two results, on whichever nodes.
fn one_result(proof: &FleetProof) -> Finding {
    let mut results: BTreeMap<&str, &str> = BTreeMap::new();
    for part in &proof.parts {
        let closed = events_of(part).filter(|event| event["kind"] == EventKind::Result.as_str());
        for event in closed {
            let request = event["request_id"].as_str().unwrap_or_default();
            if let Some(other) = results.insert(request, &part.node) {
                return Err(format!(
                    "request '{request}' has two results, at nodes {other} and {}",
                    part.node
                ));
            }
        }
    }
    Ok(format!("{} requests have one result each", results.len()))
}

/// What the caller's side kept: each receipt's event is in its node's bundle.
fn receipts(proof: &FleetProof) -> Finding {
    let shown: BTreeSet<(&str, &str, &str)> = proof
        .parts
        .iter()
        .flat_map(|part| {
            events_of(part).map(|event| {
                let text = |name: &str| event[name].as_str().unwrap_or_default();
                (part.node.as_str(), text("event_hash"), text("request_id"))
            })
        })
        .collect();
    for receipt in &proof.receipts {
        if receipt.run_id != proof.run_id {
            return Err(format!(
                "the receipt of request '{}' is of another run",
                receipt.request_id
            ));
        }
        let hash = receipt.event_hash.to_string();
        if !shown.contains(&(
            receipt.node.as_str(),
            hash.as_str(),
            receipt.request_id.as_str(),
        )) {
            return Err(format!(
                "node {} answered request '{}' and withholds the event that closed it",
                receipt.node, receipt.request_id
            ));
        }
    }
    Ok(format!(
        "the events of {} receipts are in their nodes' bundles",
        proof.receipts.len()
    ))
}
