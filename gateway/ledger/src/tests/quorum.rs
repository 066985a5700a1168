//! What an auditor sees of witnesses: cosigned bundles and single events, policies, and the published log.

use std::fs;
use std::time::Duration;

use super::witnesses::{Remembering, log_key};
use super::*;
use crate::proof::{CheckOutcome, ProofBundle, ProofExtras, verify_proof, verify_proof_by};
use crate::tree::leaf_hash;
use crate::witness::{Awaited, Submission, Witnesses, new_cosigner, newest_cosigned};
use crate::{LogKey, Policy};

/// A log with two witnesses, of whom `quorum` have to cosign.
fn witnessed(quorum: usize) -> (tempfile::TempDir, [Remembering; 2], Policy) {
    let state = filled(6);
    let pair = ["w1", "w2"].map(|name| Remembering::of(state.path(), name));
    let mut witnesses = Witnesses::load(state.path()).unwrap();
    for one in &pair {
        assert!(witnesses.add(state.path(), one.witness()).unwrap());
        assert!(
            !witnesses.add(state.path(), one.witness()).unwrap(),
            "twice is once"
        );
    }
    let read = Witnesses::load(state.path()).unwrap();
    assert_eq!(read.list(), witnesses.list());
    let (_, policy) = read.policy(Some(&log_key(state.path())), quorum).unwrap();
    (state, pair, policy)
}

#[test]
fn an_export_waits_for_the_quorum_and_leaves_without_it() {
    let (state, [mut first, mut second], policy) = witnessed(2);
    let (ledger, _) = open(state.path());
    let run = RunId::parse("run-1").unwrap();
    let key = log_key(state.path());
    let awaited = |wait| Awaited {
        policy: &policy,
        wait,
    };
    let alone = ledger
        .export_witnessed(&run, ProofExtras::default(), Some(&awaited(Duration::ZERO)))
        .unwrap();
    assert_eq!(alone.format, "plugin-gateway-proof/1");
    assert!(verify_proof(&alone.to_bytes(), &key).valid);
    let judged = verify_proof_by(&alone.to_bytes(), &key, Some(&policy));
    assert!(!judged.valid, "the quorum is not reached: {judged:?}");

    // The ledger grows while it waits; the bundle leads to whatever checkpoint was cosigned.
    let bundle = std::thread::scope(|scope| {
        let export = scope.spawn(|| {
            let awaited = awaited(Duration::from_secs(60));
            ledger.export_witnessed(&run, ProofExtras::default(), Some(&awaited))
        });
        for turn in 0.. {
            if export.is_finished() {
                break;
            }
            ledger
                .record(draft(EventKind::Reject, "run-2", &turn.to_string()))
                .unwrap();
            ledger.checkpoint().unwrap();
            for witness in [&mut first, &mut second] {
                let state = state.path();
                // While the tree is being written there is nothing to hand over.
                if Submission::newest(state).unwrap().is_some() {
                    witness.synced(state);
                }
            }
        }
        export.join().unwrap().unwrap()
    });
    assert_eq!(bundle.format, "plugin-gateway-proof/2");
    let bytes = bundle.to_bytes();
    assert!(verify_proof(&bytes, &key).valid);
    let judged = verify_proof_by(&bytes, &key, Some(&policy));
    assert!(judged.valid, "{judged:?}");

    judged_by_format(&bundle, &key, &policy, state.path());
}

fn judged_by_format(bundle: &ProofBundle, key: &LogKey, policy: &Policy, state: &Path) {
    let bytes = bundle.to_bytes();
    // In format 1 a second signature is refused, known or not; in 2 an unknown one is passed over, and a changed one of ours is not.
    let text = String::from_utf8(bytes.clone()).unwrap();
    let as_first = text.replacen("proof/2", "proof/1", 1);
    assert!(!verify_proof(as_first.as_bytes(), key).valid);
    let unknown = text.replacen(
        "\\n\\n\u{2014}",
        "\\n\\n\u{2014} some.body/else AAAAAAA=\\n\u{2014}",
        1,
    );
    assert!(
        verify_proof_by(unknown.as_bytes(), key, Some(policy)).valid,
        "{unknown}"
    );
    let signature = bundle.checkpoint.lines().next_back().unwrap();
    let at = signature.len() - 10;
    let mut changed = signature.to_owned();
    let letter = if &changed[at..=at] == "A" { "B" } else { "A" };
    changed.replace_range(at..=at, letter);
    let changed = text.replacen(signature, &changed, 1);
    assert!(
        verify_proof(changed.as_bytes(), key).valid,
        "nobody asked for witnesses"
    );
    assert!(!verify_proof_by(changed.as_bytes(), key, Some(policy)).valid);

    // A policy about another log, and one that wants more than there are.
    let other = fresh();
    let (_, foreign) = Witnesses::load(state)
        .unwrap()
        .policy(Some(&log_key(other.path())), 1)
        .unwrap();
    assert!(!verify_proof_by(&bytes, key, Some(&foreign)).valid);
    let three = Witnesses::load(state).unwrap().policy(None, 3).unwrap_err();
    assert!(three.to_string().contains("witness.quorum is 3"), "{three}");
}

#[test]
fn every_changed_bit_of_a_cosigned_checkpoint_is_seen_by_the_policy() {
    let (state, [mut first, mut second], policy) = witnessed(2);
    first.synced(state.path());
    let one = newest_cosigned(state.path(), 1, &policy).unwrap();
    assert_eq!(one, None, "one of two");
    second.synced(state.path());
    let (checkpoint, note, cosigned) = newest_cosigned(state.path(), 1, &policy).unwrap().unwrap();
    assert_eq!((checkpoint.size, cosigned.names.len()), (12, 2));
    assert_eq!(newest_cosigned(state.path(), 13, &policy).unwrap(), None);
    let key = log_key(state.path());
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut changed = note.clone().into_bytes();
            changed[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(changed) else {
                continue;
            };
            let accepted = key.open_cosigned(&changed).is_ok()
                && policy
                    .judge(&changed)
                    .is_ok_and(|cosigned| cosigned.reached);
            assert!(!accepted, "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_policy_is_read_as_c2sp_writes_it() {
    let key = |name: &str| new_cosigner(name).unwrap().0.public().vkey();
    let [a, b, c] = ["a", "b", "c"].map(key);
    let log = log_key(fresh().path()).vkey().unwrap();
    let good = [
        "quorum none".to_owned(),
        format!("# words\n\n \tlog {log}  https://log.example \nwitness a {a}\nquorum a\n"),
        format!(
            "witness a {a} https://a.example\nwitness b {b}\nwitness c {c}\ngroup two 2 a b\ngroup all all two c\nquorum all\n"
        ),
        format!("witness a {a}\ngroup g any a\nquorum g"),
    ];
    for text in good {
        Policy::parse(&text).unwrap();
    }
    let (name, rest) = a.split_once('+').unwrap();
    assert_eq!(name, "a");
    let raw = rest.split_once('+').unwrap().1;
    let renamed = crate::tree::renamed_vkey(raw, "other");
    let bad = [
        (String::new(), "no line 'quorum'"),
        ("quorum none\nquorum none".to_owned(), "quorum already"),
        ("quorum a".to_owned(), "not defined"),
        ("quorum none\r\n".to_owned(), "control character"),
        (format!("witness none {a}\nquorum none"), "taken"),
        (format!("witness a {a}\nwitness a {b}\nquorum a"), "taken"),
        (
            format!("witness a {a}\nwitness z {renamed}\nquorum a"),
            "same key",
        ),
        (format!("log {log}\nlog {log}\nquorum none"), "stands twice"),
        (format!("log {a}\nquorum none"), "key is neither"),
        (format!("witness a {log}\nquorum a"), "cosignatures"),
        (format!("witness a {a}\ngroup g 0 a\nquorum g"), "0 of 1"),
        (format!("witness a {a}\ngroup g 2 a\nquorum g"), "2 of 1"),
        (
            format!("witness a {a}\ngroup g 01 a\nquorum g"),
            "neither a number",
        ),
        (
            format!("witness a {a}\ngroup g any\nquorum g"),
            "not one of a policy",
        ),
        (
            format!("witness a {a}\ngroup g any a a\nquorum g"),
            "member already",
        ),
        (
            format!("witness a {a}\ngroup g any a\ngroup h any a\nquorum g"),
            "member already",
        ),
        ("group g any none\nquorum g".to_owned(), "not defined"),
        (
            format!("witness a {a} url more\nquorum a"),
            "not one of a policy",
        ),
        ("hello".to_owned(), "not one of a policy"),
    ];
    for (text, why) in bad {
        let error = Policy::parse(&text).unwrap_err().to_string();
        assert!(error.contains(why), "{error}: {text}");
    }
}

#[test]
fn a_single_event_is_proven_and_no_changed_byte_is_accepted() {
    let (state, [mut first, _], policy) = witnessed(1);
    let key = log_key(state.path());
    let event = all(state.path())[4].clone();
    let plain = crate::prove_event(state.path(), &event.event_id, None).unwrap();
    assert_eq!(plain.index, 4);
    assert!(verify_proof(plain.text.as_bytes(), &key).valid);
    assert!(!verify_proof_by(plain.text.as_bytes(), &key, Some(&policy)).valid);
    first.synced(state.path());
    let awaited = Awaited {
        policy: &policy,
        wait: Duration::ZERO,
    };
    let proof = crate::prove_event(state.path(), &event.event_id, Some(&awaited)).unwrap();
    let report = verify_proof_by(proof.text.as_bytes(), &key, Some(&policy));
    assert!(report.valid, "{report:?}");
    let passed = report
        .checks
        .iter()
        .filter(|check| check.outcome == CheckOutcome::Pass);
    assert_eq!(passed.count(), 5, "{report:?}");
    let bytes = proof.text.as_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1 << (at % 8);
        assert!(
            !verify_proof_by(&changed, &key, Some(&policy)).valid,
            "byte {at}"
        );
        assert!(
            !verify_proof_by(&bytes[..at], &key, Some(&policy)).valid,
            "cut at {at}"
        );
    }
    let unknown = plugin_protocol::ids::EventId::now();
    let error = crate::prove_event(state.path(), &unknown, None).unwrap_err();
    assert!(matches!(error, Error::NoSuchEvent { .. }), "{error}");
}

/// "`ledger publish DIR`: the log as a static C2SP `tlog-tiles` site … lines only where the operator says so, else their hashes".
#[test]
fn a_published_log_has_the_tree_and_the_lines_only_when_asked() {
    let state = filled(300);
    let site = tempfile::tempdir().unwrap();
    let first = crate::publish(state.path(), site.path(), false, None).unwrap();
    // 600 events: two full tiles and a partial one, and one tile over the two.
    assert_eq!((first.events, first.files), (600, 4));
    let note = fs::read_to_string(site.path().join("checkpoint")).unwrap();
    assert_eq!(log_key(state.path()).open(&note).unwrap().size, 600);
    assert!(!site.path().join("tile/entries").exists());
    let again = crate::publish(state.path(), site.path(), true, None).unwrap();
    assert_eq!((again.events, again.files), (600, 3));
    let mut lines = Vec::new();
    for name in ["000", "001", "002.p/88"] {
        let bytes = fs::read(site.path().join("tile/entries").join(name)).unwrap();
        let hashes = fs::read(site.path().join("tile/0").join(name)).unwrap();
        let (mut rest, mut leaves) = (bytes.as_slice(), Vec::new());
        while let Some((length, more)) = rest.split_first_chunk::<2>() {
            let (line, more) = more.split_at(usize::from(u16::from_be_bytes(*length)));
            leaves.extend(leaf_hash(line));
            lines.extend_from_slice(line);
            lines.push(b'\n');
            rest = more;
        }
        assert_eq!(leaves, hashes, "{name}");
    }
    assert_eq!(lines, bytes(state.path()));
    // The partial tile goes when it becomes full, and what is there stays.
    let (ledger, _) = open(state.path());
    for more in 0..168 {
        ledger
            .record(draft(EventKind::Reject, "run-1", &more.to_string()))
            .unwrap();
    }
    drop(ledger);
    let third = crate::publish(state.path(), site.path(), true, None).unwrap();
    assert_eq!((third.events, third.files), (768, 3));
    assert!(!site.path().join("tile/0/002.p").exists());
    assert_eq!(
        fs::read(site.path().join("tile/1/000.p/3")).unwrap().len(),
        96
    );
    // What was cosigned counts only where nothing newer is there.
    let mut witness = Remembering::of(state.path(), "w1");
    let (_, policy) = Witnesses::default().policy(None, 0).unwrap();
    let awaited = Awaited {
        policy: &policy,
        wait: Duration::ZERO,
    };
    witness.synced(state.path());
    let signatures = |publish: bool| {
        let published = crate::publish(state.path(), site.path(), false, Some(&awaited)).unwrap();
        let note = fs::read_to_string(site.path().join("checkpoint")).unwrap();
        assert_eq!(published.events > 768, publish);
        note.lines().count() - 4
    };
    assert_eq!(signatures(false), 2);
    let more = draft(EventKind::Reject, "run-1", "more");
    drop(open(state.path()).0.record(more).unwrap());
    assert_eq!(signatures(true), 1);
    // Hashes that are not those that were signed for are not published.
    let tile = state.path().join("ledger/tiles/tile/0/001");
    let mut hashes = fs::read(&tile).unwrap();
    hashes[5] ^= 1;
    fs::write(&tile, hashes).unwrap();
    assert!(crate::publish(state.path(), site.path(), false, None).is_err());
}

/// "The log's origin is a setting": it is the log's name from its first event on, and no other is taken later.
#[test]
fn a_log_may_be_called_as_its_operator_wants() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    assert!(crate::init_named(state, Some("two words")).is_err());
    let made = crate::init_named(state, Some("example.com/log")).unwrap();
    assert_eq!(made.log_key.name(), Some("example.com/log"));
    assert!(!crate::init(state).unwrap().created);
    assert!(crate::init_named(state, Some("example.com/other")).is_err());
    let with = |origin: &str| Options {
        origin: Some(origin.to_owned()),
        ..Options::default()
    };
    let (ledger, _) = open_with(state, with("example.com/log")).unwrap();
    ledger.record(draft(EventKind::Reject, "r", "x")).unwrap();
    let (_, note) = ledger.checkpoint().unwrap().unwrap();
    assert!(note.starts_with("example.com/log\n1\n"), "{note}");
    drop(ledger);
    drop(open(state));
    let error = open_with(state, with("example.com/other")).unwrap_err();
    assert!(matches!(error, Error::OtherOrigin { .. }), "{error}");
    assert!(verify(state).valid);
    // The PEM file has no name, so the note's own counts.
    let pem = LogKey::parse(&fs::read_to_string(state.join("log.pub")).unwrap()).unwrap();
    assert!(pem.open(&note).is_ok() && pem.open_cosigned(&note).is_ok());
}
