//! Checking a proof bundle with nothing but its bytes and a public key. It touches no ledger and trusts no key in the bundle.

use plugin_protocol::canonical;
use plugin_protocol::event::{Event, EventKind, meta};
use plugin_protocol::json;
use serde::Serialize;

use super::bundle::{FORMAT, FORMAT_2, Inclusion, ProofBundle, attachments_hash};
use crate::error::InvalidNote;
use crate::line::scan;
use crate::tree::{Checkpoint, Growing, Hash, LogKey, Note, Policy, leaf_hash, root_from_path};

/// What checking a bundle found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofReport {
    /// Whether no check failed.
    pub valid: bool,
    /// Every check, in order.
    pub checks: Vec<ProofCheck>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofCheck {
    /// Its name.
    pub name: &'static str,
    /// What came of it.
    pub outcome: CheckOutcome,
    /// In words.
    pub detail: String,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// There was nothing to check it with.
    NotChecked,
}

impl CheckOutcome {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::NotChecked => "not checked",
        }
    }
}

/// What no bundle can prove; said with every report.
const BEYOND: &str = "a bundle does not prove that what the events say is true, that nothing of the run was recorded after the export, \
or that the log shows everyone the same history: compare its checkpoint with the anchor or with other copies for that";

/// The check that is made where the auditor has a policy.
pub(super) const WITNESSES: &str = "witnesses";

pub(super) const NO_CHECKPOINT: &str = "there is no checkpoint that the key vouches for";

/// What a check found, or why it fails; in words.
pub type Finding = Result<String, String>;

/// Checks a bundle against the log's public key and, where the auditor has one, a policy about witnesses.
pub(super) fn check_bundle(bundle: &[u8], key: &LogKey, policy: Option<&Policy>) -> ProofReport {
    let mut checks = Vec::new();
    match read_bundle(bundle) {
        Err(reason) => {
            checks.push(ProofCheck::of("schema", Err(reason)));
            for name in [
                "event_hashes",
                "run_order",
                "checkpoint_signature",
                "inclusion",
                "run_completeness",
                "attachments",
                "chain_links",
            ] {
                checks.push(ProofCheck::not_checked(name, "the bundle cannot be read"));
            }
            if policy.is_some() {
                checks.push(ProofCheck::not_checked(
                    WITNESSES,
                    "the bundle cannot be read",
                ));
            }
        }
        Ok(bundle) => {
            let checkpoint = match bundle.format.as_str() {
                FORMAT => key.open(&bundle.checkpoint),
                _ => open_second(key, &bundle.checkpoint),
            };
            checks.push(ProofCheck::of(
                "schema",
                Ok(format!(
                    "a {} bundle of {} events",
                    bundle.format,
                    bundle.events.len()
                )),
            ));
            checks.push(ProofCheck::of("event_hashes", event_hashes(&bundle)));
            checks.push(ProofCheck::of("run_order", run_order(&bundle)));
            checks.push(ProofCheck::of(
                "checkpoint_signature",
                signature(key, &checkpoint),
            ));
            match &checkpoint {
                Ok(checkpoint) => {
                    checks.push(ProofCheck::of("inclusion", inclusion(&bundle, checkpoint)))
                }
                Err(_) => checks.push(ProofCheck::not_checked("inclusion", NO_CHECKPOINT)),
            }
            checks.push(ProofCheck::of(
                "run_completeness",
                run_completeness(&bundle),
            ));
            checks.push(ProofCheck::of("attachments", attachments(&bundle)));
            checks.push(chain_links(&bundle));
            if let Some(policy) = policy {
                checks.push(ProofCheck::of(
                    WITNESSES,
                    witnesses(policy, key, &bundle.checkpoint),
                ));
            }
        }
    }
    checks.push(ProofCheck::not_checked("beyond_the_bundle", BEYOND));
    ProofReport::of(checks)
}

impl ProofCheck {
    /// A check that was made.
    #[must_use]
    pub fn of(name: &'static str, finding: Finding) -> Self {
        let (outcome, detail) = match finding {
            Ok(detail) => (CheckOutcome::Pass, detail),
            Err(detail) => (CheckOutcome::Fail, detail),
        };
        Self {
            name,
            outcome,
            detail,
        }
    }

    /// A check that there was nothing for.
    #[must_use]
    pub fn not_checked(name: &'static str, why: &str) -> Self {
        Self {
            name,
            outcome: CheckOutcome::NotChecked,
            detail: why.to_owned(),
        }
    }
}

impl ProofReport {
    /// The report of these checks.
    #[must_use]
    pub fn of(checks: Vec<ProofCheck>) -> Self {
        let valid = checks
            .iter()
            .all(|check| check.outcome != CheckOutcome::Fail);
        Self { valid, checks }
    }
}

/// The checkpoint of format 2, which has another signature beside the log's: else the format's number could be changed and nobody saw it.
fn open_second(key: &LogKey, note: &str) -> Result<Checkpoint, InvalidNote> {
    if Note::split(note)?.lines.len() < 2 {
        return Err(InvalidNote::Form(
            "it has one signature, which is format 1's form",
        ));
    }
    key.open_cosigned(note)
}

pub(super) fn signature(key: &LogKey, checkpoint: &Result<Checkpoint, InvalidNote>) -> Finding {
    match checkpoint {
        Ok(checkpoint) => Ok(format!(
            "key {} signed for {} events",
            key.id(),
            checkpoint.size
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether enough witnesses cosigned, of those that the auditor trusts.
pub(super) fn witnesses(policy: &Policy, key: &LogKey, note: &str) -> Finding {
    if policy.excludes(key) {
        return Err("the policy names other logs than this one".to_owned());
    }
    let cosigned = policy.judge(note).map_err(|flaw| flaw.to_string())?;
    match cosigned.reached {
        true => Ok(cosigned.words()),
        false => Err(format!(
            "the policy's quorum is not reached: {}",
            cosigned.words()
        )),
    }
}

/// Reads a bundle in any form of JSON: with exactly the fields of the format, each of which holds what the format would write there.
fn read_bundle(bytes: &[u8]) -> Result<ProofBundle, String> {
    let value = json::read(bytes).map_err(|error| error.to_string())?;
    let written = canonical::bytes(&value);
    let bundle: ProofBundle =
        serde_json::from_value(value).map_err(|error| format!("not the expected JSON: {error}"))?;
    if ![FORMAT, FORMAT_2].contains(&bundle.format.as_str()) {
        return Err(format!(
            "its format is '{}', not '{FORMAT}' or '{FORMAT_2}'",
            bundle.format.chars().take(64).collect::<String>()
        ));
    }
    // Every check works on the typed values, so a type that reads two texts as one must not hide a change.
    if canonical::bytes(&bundle) != written {
        return Err("a value in it is none that the format writes".to_owned());
    }
    Ok(bundle)
}

/// Every event, the export's included, with its index.
fn indexed(bundle: &ProofBundle) -> impl Iterator<Item = (u64, &Event)> {
    let run = bundle
        .inclusion
        .iter()
        .map(|inclusion| inclusion.index)
        .zip(&bundle.events);
    run.chain(std::iter::once((bundle.export.index, &bundle.export.event)))
}

fn event_hashes(bundle: &ProofBundle) -> Finding {
    for event in bundle
        .events
        .iter()
        .chain(std::iter::once(&bundle.export.event))
    {
        if event.computed_hash() != event.event_hash {
            return Err(format!(
                "event {} does not hash to its event_hash",
                event.event_id
            ));
        }
        scan(&event.line()).map_err(|flaw| format!("event {}: {flaw}", event.event_id))?;
    }
    Ok(format!(
        "{} events carry their own hash",
        bundle.events.len() + 1
    ))
}

fn run_order(bundle: &ProofBundle) -> Finding {
    if bundle.inclusion.len() != bundle.events.len() {
        return Err(format!(
            "there are {} proofs for {} events",
            bundle.inclusion.len(),
            bundle.events.len()
        ));
    }
    if let Some(event) = bundle
        .events
        .iter()
        .find(|event| event.run_id != bundle.run_id || event.kind == EventKind::ProofExport)
    {
        return Err(format!(
            "event {} does not belong to the run",
            event.event_id
        ));
    }
    if !indexed(bundle).is_sorted_by(|(before, _), (after, _)| before < after) {
        return Err("the events do not stand in ledger order".to_owned());
    }
    match bundle.events.last() {
        None => Err("the run has no event".to_owned()),
        Some(last) if last.event_hash != bundle.head_event_hash => {
            Err("head_event_hash is not the last event's".to_owned())
        }
        Some(_) => Ok(format!(
            "{} events of run '{}' in ledger order",
            bundle.events.len(),
            bundle.run_id
        )),
    }
}

fn inclusion(bundle: &ProofBundle, checkpoint: &Checkpoint) -> Finding {
    let export = Inclusion {
        index: bundle.export.index,
        hashes: bundle.export.hashes.clone(),
    };
    let proofs = bundle
        .inclusion
        .iter()
        .zip(&bundle.events)
        .chain(std::iter::once((&export, &bundle.export.event)));
    for (proof, event) in proofs {
        let path: Vec<Hash> = proof.hashes.iter().map(|hash| *hash.as_bytes()).collect();
        if root_from_path(
            leaf_hash(&event.line()),
            proof.index,
            checkpoint.size,
            &path,
        ) != Some(checkpoint.root)
        {
            return Err(format!(
                "event {} is not proven to be event {} of the log",
                event.event_id, proof.index
            ));
        }
    }
    Ok(format!(
        "{} proofs lead to the checkpoint's root",
        bundle.events.len() + 1
    ))
}

fn run_completeness(bundle: &ProofBundle) -> Finding {
    let export = &bundle.export.event;
    if export.kind != EventKind::ProofExport || export.run_id != bundle.run_id {
        return Err("the export's event is not a PROOF_EXPORT of this run".to_owned());
    }
    let mut tree = Growing::default();
    bundle
        .events
        .iter()
        .for_each(|event| tree.push(leaf_hash(&event.line())));
    let root = plugin_protocol::digest::FileHash::from_bytes(tree.root());
    let index_of = |inclusion: Option<&Inclusion>| {
        inclusion
            .map(|inclusion| inclusion.index.to_string())
            .unwrap_or_default()
    };
    let committed = [
        (meta::PROOF_ID, bundle.proof_id.to_string()),
        (meta::RUN_COUNT, bundle.events.len().to_string()),
        (meta::RUN_ROOT, root.to_string()),
        (meta::FIRST_INDEX, index_of(bundle.inclusion.first())),
        (meta::LAST_INDEX, index_of(bundle.inclusion.last())),
    ];
    for (name, found) in committed {
        if export.meta.get(name) != Some(&found) {
            return Err(format!("the export committed to another {name}"));
        }
    }
    if export.ts != bundle.created_at {
        return Err("created_at is not the time of the export's event".to_owned());
    }
    Ok(format!(
        "the export committed to exactly these {} events",
        bundle.events.len()
    ))
}

fn attachments(bundle: &ProofBundle) -> Finding {
    let hash =
        attachments_hash(&bundle.plugin_manifest_digests, &bundle.validation_reports).to_string();
    match bundle.export.event.meta.get(meta::ATTACHMENTS_HASH) == Some(&hash) {
        true => {
            Ok("the export committed to these manifest digests and validation reports".to_owned())
        }
        false => {
            Err("the export committed to other manifest digests or validation reports".to_owned())
        }
    }
}

fn chain_links(bundle: &ProofBundle) -> ProofCheck {
    let events: Vec<_> = indexed(bundle).collect();
    let neighbours: Vec<_> = events
        .windows(2)
        .filter(|pair| pair[0].0.checked_add(1) == Some(pair[1].0))
        .collect();
    let broken = neighbours
        .iter()
        .find(|pair| pair[1].1.prev_hash != Some(pair[0].1.event_hash));
    let (outcome, detail) = match (broken, neighbours.len()) {
        (Some(pair), _) => (
            CheckOutcome::Fail,
            format!(
                "event {} is not linked to the one before it",
                pair[1].1.event_id
            ),
        ),
        (None, 0) => (
            CheckOutcome::NotChecked,
            "no two events of the bundle are neighbours in the log".to_owned(),
        ),
        (None, links) => (
            CheckOutcome::Pass,
            format!("{links} links between neighbours hold"),
        ),
    };
    ProofCheck {
        name: "chain_links",
        outcome,
        detail,
    }
}
