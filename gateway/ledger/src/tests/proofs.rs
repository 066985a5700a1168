//! Proof bundles: what is exported verifies, and nothing that was changed does.

use super::*;
use crate::proof::{CheckOutcome, verify_proof};
use crate::proof::{ManifestDigest, ProofBundle, ProofExtras};
use crate::tree::LogSigner;
use crate::tree::merkle;
use crate::{Checkpoint, LogKey};
use plugin_protocol::digest::ManifestHash;
use serde_json::Value;

fn key(state: &Path) -> LogKey {
    LogKey::parse(&std::fs::read_to_string(state.join("log.pub")).unwrap()).unwrap()
}

fn run(name: &str) -> RunId {
    RunId::parse(name).unwrap()
}

fn extras() -> ProofExtras {
    let digest = ManifestDigest {
        plugin_id: PluginId::parse("p.text.hello").unwrap(),
        manifest_hash: ManifestHash::of(b"{}"),
    };
    ProofExtras {
        manifest_digests: vec![digest],
        validation_reports: Vec::new(),
    }
}

fn outcome(report: &crate::ProofReport, name: &str) -> CheckOutcome {
    report
        .checks
        .iter()
        .find(|check| check.name == name)
        .unwrap()
        .outcome
}

/// Three runs, interleaved; the bundle of one of them.
fn exported() -> (tempfile::TempDir, ProofBundle) {
    let state = filled_with(
        9,
        Options {
            segment_bytes: 3_000,
            ..Options::default()
        },
    );
    let (ledger, _) = open(state.path());
    let bundle = ledger.export_proof(&run("run-1"), extras()).unwrap();
    (state, bundle)
}

#[test]
fn contract_10_a_bundle_holds_the_run_and_proves_it() {
    // "`events[]` (all the run's events but `PROOF_EXPORT`, in ledger order), `inclusion[]` (one for each event, same order …"
    let (state, bundle) = exported();
    assert_eq!(
        bundle
            .inclusion
            .iter()
            .map(|proof| proof.index)
            .collect::<Vec<_>>(),
        [2, 3, 8, 9, 14, 15]
    );
    assert_eq!(bundle.export.index, 18);
    let meta = &bundle.export.event.meta;
    assert_eq!(meta["run_count"], "6");
    assert_eq!(
        (meta["first_index"].as_str(), meta["last_index"].as_str()),
        ("2", "15")
    );
    assert_eq!(meta["proof_id"], bundle.proof_id.to_string());
    let report = verify_proof(&bundle.to_bytes(), &key(state.path()));
    assert!(report.valid, "{report:?}");
    for name in [
        "schema",
        "event_hashes",
        "run_order",
        "checkpoint_signature",
        "inclusion",
        "run_completeness",
        "attachments",
        "chain_links",
    ] {
        assert_eq!(outcome(&report, name), CheckOutcome::Pass, "{name}");
    }
    assert_eq!(
        outcome(&report, "beyond_the_bundle"),
        CheckOutcome::NotChecked
    );
    let names: Vec<_> = serde_json::from_slice::<serde_json::Value>(&bundle.to_bytes())
        .unwrap()
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let fields = "checkpoint created_at events export format head_event_hash inclusion plugin_manifest_digests proof_id run_id validation_reports";
    assert_eq!(names.join(" "), fields);
}

#[test]
fn contract_10_one_changed_byte_fails() {
    // "One changed byte, one missing, added or reordered event of the run fails."
    let (state, bundle) = exported();
    let (good, key) = (bundle.to_bytes(), key(state.path()));
    for at in 0..good.len() {
        for flip in [1 << (at % 8), 0x20] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            assert!(
                !verify_proof(&bad, &key).valid,
                "byte {at} ^ {flip}: {}",
                String::from_utf8_lossy(&bad[at.saturating_sub(20)..at + 1])
            );
        }
    }
    for end in 0..good.len() {
        assert!(!verify_proof(&good[..end], &key).valid);
    }
    assert!(!verify_proof(&[good.as_slice(), b"x"].concat(), &key).valid);
}

/// The value as nobody would write it: members in the opposite order, each on a line of its own, every character escaped, and numbers
/// with a fraction.
fn rewritten(value: &Value) -> String {
    let text = |text: &str| {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
        format!("\"{}\"", units.collect::<String>())
    };
    match value {
        Value::Object(members) => {
            let members = members.iter().rev();
            let members =
                members.map(|(name, value)| format!("{} :\r\n{}", text(name), rewritten(value)));
            format!("{{\t{}\n}}", members.collect::<Vec<_>>().join(" , "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(rewritten).collect();
            format!("[ {}\n]", items.join(",\n"))
        }
        Value::String(string) => text(string),
        Value::Number(number) => format!("{number}.0"),
        Value::Bool(_) | Value::Null => value.to_string(),
    }
}

/// "`proof verify` and the second verifier take a bundle in any JSON form, with the same content".
#[test]
fn contract_10_a_bundle_in_another_form_of_json_is_as_good() {
    let (state, bundle) = exported();
    let key = key(state.path());
    let value: Value = serde_json::from_slice(&bundle.to_bytes()).unwrap();
    for form in [
        serde_json::to_string_pretty(&value).unwrap(),
        // In the order of the struct's fields, as a door that forgot the canonical order would write it.
        serde_json::to_string(&bundle).unwrap(),
        format!("\n{value}\n"),
        rewritten(&value),
    ] {
        let report = verify_proof(form.as_bytes(), &key);
        assert!(report.valid, "{form}: {report:?}");
        assert_eq!(outcome(&report, "inclusion"), CheckOutcome::Pass);
    }
}

/// "parsed strictly": what two readers could read as two bundles is refused.
#[test]
fn contract_10_no_form_that_reads_in_two_ways_is_taken() {
    let (state, bundle) = exported();
    let key = key(state.path());
    let text = String::from_utf8(bundle.to_bytes()).unwrap();
    let format = "\"format\":\"plugin-gateway-proof/1\"";
    for (from, to) in [
        (format, format!("{format},{format}")),
        (
            format,
            format!("{format},\"form\\u0061t\":\"plugin-gateway-proof/1\""),
        ),
        ("\"meta\":{", "\"meta\":{\"a\":\"\\ud800\",".to_owned()),
        ("\"meta\":{", "\"meta\":{\"\\udc00\":\"a\",".to_owned()),
        ("\"index\":", "\"index\":0".to_owned()),
        ("\"index\":", "\"index\":+".to_owned()),
        ("{", "\u{feff}{".to_owned()),
        ("{", "/**/{".to_owned()),
        ("{", "[{".to_owned()),
    ] {
        let bad = text.replacen(from, &to, 1);
        let report = verify_proof(bad.as_bytes(), &key);
        assert_eq!(outcome(&report, "schema"), CheckOutcome::Fail, "{bad}");
        assert!(!report.valid);
    }
    for more in ["{}", ",", "]", "\u{0}"] {
        assert!(!verify_proof(format!("{text}{more}").as_bytes(), &key).valid);
    }
}

/// Gives each value that is no object or array to `change`, one at a time, and the whole that comes of it to `see`.
fn each_value(whole: &Value, pointer: &str, see: &mut dyn FnMut(&str, Value)) {
    let here = whole.pointer(pointer).unwrap();
    let others: Vec<Value> = match here {
        Value::Object(members) => {
            for name in members.keys() {
                each_value(whole, &format!("{pointer}/{name}"), see);
            }
            return;
        }
        Value::Array(items) => {
            for at in 0..items.len() {
                each_value(whole, &format!("{pointer}/{at}"), see);
            }
            return;
        }
        Value::String(text) => {
            let mut last = text.clone();
            let end = last.pop();
            last.push(if end == Some('0') { '1' } else { '0' });
            vec![
                format!("{text} ").into(),
                text.to_uppercase().into(),
                last.into(),
                "".into(),
                Value::Null,
            ]
        }
        Value::Number(number) => {
            let number = number.as_u64().unwrap();
            vec![
                (number + 1).into(),
                number.saturating_sub(1).into(),
                number.to_string().into(),
            ]
        }
        Value::Bool(truth) => vec![(!truth).into()],
        Value::Null => vec![false.into()],
    };
    for other in others.into_iter().filter(|other| other != here) {
        let mut changed = whole.clone();
        *changed.pointer_mut(pointer).unwrap() = other;
        see(pointer, changed);
    }
}

/// "Data only: … One changed value, one missing, added or reordered event of the run fails", in every form of JSON.
#[test]
fn contract_10_one_changed_value_fails_in_any_form() {
    let (state, bundle) = exported();
    let key = key(state.path());
    let value: Value = serde_json::from_slice(&bundle.to_bytes()).unwrap();
    let mut tried = 0;
    each_value(&value, "", &mut |pointer, changed| {
        tried += 1;
        for form in [changed.to_string(), rewritten(&changed)] {
            assert!(
                !verify_proof(form.as_bytes(), &key).valid,
                "{pointer}: {form}"
            );
        }
    });
    assert!(tried > 300, "{tried}");
}

#[test]
fn contract_10_a_missing_added_or_reordered_event_fails() {
    let (state, bundle) = exported();
    let key = key(state.path());
    let fails = |bundle: &ProofBundle, what: &str| {
        let report = verify_proof(&bundle.to_bytes(), &key);
        assert!(!report.valid, "{what}");
        let value: Value = serde_json::from_slice(&bundle.to_bytes()).unwrap();
        assert_eq!(
            verify_proof(rewritten(&value).as_bytes(), &key),
            report,
            "{what}"
        );
        report
    };
    for at in 0..bundle.events.len() {
        let mut missing = bundle.clone();
        missing.events.remove(at);
        fails(&missing, "an event is missing");
        missing.inclusion.remove(at);
        let report = fails(&missing, "an event and its proof are missing");
        assert_eq!(outcome(&report, "run_completeness"), CheckOutcome::Fail);

        let mut doubled = bundle.clone();
        doubled.events.insert(at, bundle.events[at].clone());
        doubled.inclusion.insert(at, bundle.inclusion[at].clone());
        fails(&doubled, "an event is there twice");

        if at + 1 < bundle.events.len() {
            let mut swapped = bundle.clone();
            swapped.events.swap(at, at + 1);
            fails(&swapped, "two events have changed places");
            swapped.inclusion.swap(at, at + 1);
            fails(&swapped, "two events and their proofs have changed places");
        }
    }
    let (ledger, _) = open(state.path());
    let other = ledger.export_proof(&run("run-2"), extras()).unwrap();
    let mut mixed = bundle.clone();
    mixed.events.push(other.events[0].clone());
    mixed.inclusion.push(other.inclusion[0].clone());
    fails(&mixed, "an event of another run was added");
    let mut swapped = bundle.clone();
    swapped.export = other.export.clone();
    fails(&swapped, "the export of another run");
    let mut swapped = bundle.clone();
    swapped.checkpoint = other.checkpoint.clone();
    fails(&swapped, "another checkpoint of the same log");
    let mut none = bundle.clone();
    none.plugin_manifest_digests.clear();
    assert_eq!(
        outcome(&fails(&none, "attachments changed"), "attachments"),
        CheckOutcome::Fail
    );
}

#[test]
fn a_whole_forgery_under_another_key_is_refused() {
    let (state, bundle) = exported();
    let forger = LogSigner::generate().unwrap();
    let mut forged = bundle.clone();
    let true_checkpoint = key(state.path()).open(&bundle.checkpoint).unwrap();
    forged.checkpoint = forger.sign(&true_checkpoint);
    let report = verify_proof(&forged.to_bytes(), &key(state.path()));
    assert_eq!(outcome(&report, "checkpoint_signature"), CheckOutcome::Fail);
    assert_eq!(outcome(&report, "inclusion"), CheckOutcome::NotChecked);
    assert!(!report.valid);
    // Under the forger's own key it would pass, so only the key decides.
    assert!(verify_proof(&forged.to_bytes(), &forger.public()).valid);
    // A checkpoint over another tree, signed by the true key.
    let signer =
        LogSigner::from_pem(&std::fs::read_to_string(state.path().join("log.key")).unwrap())
            .unwrap();
    forged.checkpoint = signer.sign(&Checkpoint {
        size: true_checkpoint.size,
        root: merkle::leaf_hash(b"x"),
    });
    assert_eq!(
        outcome(
            &verify_proof(&forged.to_bytes(), &key(state.path())),
            "inclusion"
        ),
        CheckOutcome::Fail
    );
}

#[test]
fn an_export_is_complete_while_others_write() {
    let state = fresh();
    let (ledger, _) = open_with(
        state.path(),
        Options {
            segment_bytes: 20_000,
            checkpoint_events: 50,
            ..Options::default()
        },
    )
    .unwrap();
    let key = key(state.path());
    std::thread::scope(|scope| {
        for caller in 0..3 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for call in 0..60 {
                    ledger
                        .record(draft(
                            EventKind::Result,
                            &format!("run-{}", call % 2),
                            &format!("{caller}-{call}"),
                        ))
                        .unwrap();
                }
            });
        }
        for _ in 0..12 {
            let Ok(bundle) = ledger.export_proof(&run("run-0"), ProofExtras::default()) else {
                continue;
            };
            let report = verify_proof(&bundle.to_bytes(), &key);
            assert!(report.valid, "{report:?}");
            // Independently of the index: what stands before the export in the ledger is what the bundle has.
            let before = usize::try_from(bundle.export.index).unwrap();
            let events: Vec<_> = crate::events(state.path())
                .unwrap()
                .take(before)
                .map(|stored| stored.unwrap().event)
                .collect();
            let expected: Vec<_> = events
                .into_iter()
                .filter(|event| {
                    event.run_id == run("run-0") && event.kind != EventKind::ProofExport
                })
                .collect();
            assert_eq!(bundle.events, expected);
        }
    });
}

#[test]
fn a_run_without_events_has_no_proof_and_the_ledger_goes_on() {
    let state = filled(1);
    let (ledger, _) = open(state.path());
    assert!(matches!(
        ledger.export_proof(&run("nobody"), ProofExtras::default()),
        Err(Error::NoSuchRun { .. })
    ));
    assert_eq!(ledger.head().size, 2);
    let first = ledger
        .export_proof(&run("run-0"), ProofExtras::default())
        .unwrap();
    let second = ledger
        .export_proof(&run("run-0"), ProofExtras::default())
        .unwrap();
    assert_eq!(
        first.events, second.events,
        "an export is no part of the run"
    );
    assert_eq!(ledger.head().size, 4);
}

#[test]
fn proofs_of_a_larger_tree_use_its_tiles() {
    let state = fresh();
    let (ledger, _) = open_with(
        state.path(),
        Options {
            segment_bytes: 100_000,
            ..Options::default()
        },
    )
    .unwrap();
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for call in 0..100 {
                    ledger
                        .record(draft(
                            EventKind::Result,
                            &format!("run-{}", call % 10),
                            &format!("{caller}"),
                        ))
                        .unwrap();
                }
            });
        }
    });
    for (name, events) in [("run-0", 80), ("run-9", 80)] {
        let bundle = ledger.export_proof(&run(name), extras()).unwrap();
        assert_eq!(bundle.events.len(), events);
        assert!(verify_proof(&bundle.to_bytes(), &key(state.path())).valid);
    }
    assert!(state.path().join("ledger/tiles/tile/0/002").is_file());
}
