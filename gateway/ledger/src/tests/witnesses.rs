//! Witnesses: what one cosigns and what it refuses, what a gateway makes of its answers, and what an auditor sees of them.

use std::fs;
use std::time::Duration;

use super::*;
use crate::proof::{CheckOutcome, ProofExtras, verify_proof, verify_proof_by};
use crate::tree::{Growing, Hash, consistency_ranges_of, is_consistent, leaf_hash};
use crate::witness::{
    Answer, Awaited, Collector, Place, Submission, Weighed, Witness, Witnesses, attend,
    new_cosigner, newest_cosigned,
};
use crate::{Checkpoint, Cosigner, LogKey, Policy};

/// 2026-01-31, in seconds.
const NOW: u64 = 1_769_817_600;

fn log_key(state: &Path) -> LogKey {
    LogKey::parse(&fs::read_to_string(state.join("log.vkey")).unwrap()).unwrap()
}

/// A witness of one log that remembers in memory.
struct Remembering {
    cosigner: Cosigner,
    log: LogKey,
    latest: Option<String>,
}

impl Remembering {
    fn of(state: &Path, name: &str) -> Self {
        Self {
            cosigner: new_cosigner(name).unwrap().0,
            log: log_key(state),
            latest: None,
        }
    }

    fn asked(&mut self, request: &str, time: u64) -> Answer {
        let latest = self.latest.clone();
        let answer = attend(
            &self.cosigner,
            std::slice::from_ref(&self.log),
            &|_| latest.clone(),
            request,
            time,
        );
        if let Answer::Cosigned { note, .. } = &answer {
            self.latest = Some(note.clone());
        }
        answer
    }

    /// What `witness sync` does, without a network.
    fn synced(&mut self, state: &Path) -> Answer {
        let mut submission = Submission::newest(state).unwrap().unwrap();
        let seen = self
            .latest
            .as_deref()
            .map_or(0, |note| self.log.open_cosigned(note).unwrap().size);
        let request = submission.request(seen).unwrap().unwrap();
        let answer = self.asked(&request, NOW);
        if let Answer::Cosigned { lines, .. } = &answer {
            let collector = Collector::begin(state).unwrap().unwrap();
            let kept = collector.keep(submission.note(), &self.cosigner.public(), lines);
            assert!(kept.unwrap());
        }
        answer
    }

    fn witness(&self) -> Witness {
        Witness {
            name: self.cosigner.public().name().replace('/', "-"),
            key: self.cosigner.public(),
            place: Place::Url("https://witness.example".to_owned()),
        }
    }
}

fn status(answer: &Answer) -> u16 {
    match answer {
        Answer::Cosigned { .. } => 200,
        Answer::Conflict(_) => 409,
        Answer::Refused { status, .. } => *status,
    }
}

#[test]
fn a_consistency_proof_holds_for_every_pair_of_sizes_and_for_no_other() {
    const MOST: u64 = 40;
    let leaves: Vec<Hash> = (0..MOST)
        .map(|leaf| leaf_hash(&leaf.to_be_bytes()))
        .collect();
    let root = |leaves: &[Hash]| {
        let mut tree = Growing::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree.root()
    };
    let part = |range: std::ops::Range<u64>| {
        root(&leaves[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()])
    };
    for size in 1..=MOST {
        for old in 0..=size {
            let proof: Vec<Hash> = consistency_ranges_of(old, size)
                .into_iter()
                .map(part)
                .collect();
            let (before, after) = ((old, part(0..old)), (size, part(0..size)));
            let holds = |proof: &[Hash], before: &(u64, Hash), after: &(u64, Hash)| {
                is_consistent((before.0, &before.1), (after.0, &after.1), proof)
            };
            assert!(holds(&proof, &before, &after), "{old} of {size}");
            // Another root, another hash, one too many and one too few.
            assert!(old == 0 || !holds(&proof, &(old, [7; 32]), &after));
            assert!(old == 0 || !holds(&proof, &before, &(size, [7; 32])));
            assert!(!holds(
                &[proof.clone(), vec![[7; 32]]].concat(),
                &before,
                &after
            ));
            for at in 0..proof.len() {
                let mut changed = proof.clone();
                changed[at][0] ^= 1;
                assert!(!holds(&changed, &before, &after), "{old} of {size}, {at}");
                changed.remove(at);
                assert!(!holds(&changed, &before, &after));
            }
        }
    }
    assert!(!is_consistent((3, &[0; 32]), (2, &[0; 32]), &[]));
}

#[test]
fn a_witness_cosigns_only_what_goes_on_from_the_last() {
    let state = filled(3);
    let mut witness = Remembering::of(state.path(), "witness.example/w1");
    assert_eq!(status(&witness.synced(state.path())), 200);
    let first = witness.latest.clone().unwrap();
    // The same again: the proof is empty, and the roots are the same.
    assert_eq!(status(&witness.synced(state.path())), 200);
    drop(
        open(state.path())
            .0
            .record(draft(EventKind::Reject, "run-1", "more"))
            .unwrap(),
    );
    let mut submission = Submission::newest(state.path()).unwrap().unwrap();
    assert_eq!(submission.size(), 7);
    let good = submission.request(6).unwrap().unwrap();
    let other = fresh();
    drop(
        open(other.path())
            .0
            .record(draft(EventKind::Reject, "x", "y"))
            .unwrap(),
    );
    let strange = Submission::newest(other.path())
        .unwrap()
        .unwrap()
        .request(0)
        .unwrap()
        .unwrap();
    let swap = |from: &str, to: &str| {
        assert!(good.contains(from), "{from} in {good}");
        good.replacen(from, to, 1)
    };
    let hash = good.lines().nth(1).unwrap().to_owned();
    let cases = [
        (400, String::new()),
        (400, "old 6\n".to_owned()),
        (400, swap("old 6", "old 06")),
        (400, swap("old 6", "old 8")),
        (
            400,
            swap(
                "old 6\n",
                &format!("old 6\n{}", format!("{hash}\n").repeat(64)),
            ),
        ),
        (400, swap(&hash, &hash[1..])),
        (409, swap("old 6", "old 5")),
        (409, submission.request(0).unwrap().unwrap()),
        (422, swap(&format!("{hash}\n"), "")),
        (422, swap(&hash, &format!("{hash}\n{hash}"))),
        (404, strange),
        // Another size under the same signature.
        (403, swap("\n7\n", "\n8\n")),
        (400, swap("\n7\n", "\n0\n")),
    ];
    for (expected, request) in cases {
        let answer = witness.asked(&request, NOW);
        // A size of 0 is not signed by anybody either, whichever is seen first.
        let found = status(&answer);
        assert!(
            found == expected || (found, expected) == (403, 400),
            "{answer:?}: {request}"
        );
        assert_eq!(
            witness.latest.as_deref(),
            Some(&*first),
            "nothing was cosigned"
        );
    }
    assert_eq!(
        status(&witness.asked(&good, NOW - 1)),
        503,
        "its clock went back"
    );
    assert_eq!(
        witness.asked(&submission.request(2).unwrap().unwrap(), NOW),
        Answer::Conflict(6)
    );
    assert_eq!(status(&witness.asked(&good, NOW)), 200);
}

/// "After a roll-back the witness answers 409 and the gateway refuses to go on", but only for a checkpoint that this log's key signed.
#[test]
fn an_old_copy_is_refused_because_of_what_a_witness_shows_and_a_lie_is_not() {
    let state = filled(3);
    let old = copied(state.path());
    let mut witness = Remembering::of(state.path(), "w1");
    let mut liar = Remembering::of(state.path(), "liar");
    drop(
        open(state.path())
            .0
            .record(draft(EventKind::Reject, "run-1", "more"))
            .unwrap(),
    );
    assert_eq!(status(&witness.synced(state.path())), 200);

    // Without a witness the old copy opens: nothing tells it from the true one. It has the witness's word now.
    drop(open(old.path()));
    let mut submission = Submission::newest(old.path()).unwrap().unwrap();
    let request = submission.request(6).unwrap().unwrap();
    assert_eq!(witness.asked(&request, NOW), Answer::Conflict(7));
    assert_eq!(
        submission.request(7).unwrap(),
        None,
        "there is nothing to prove it from"
    );

    // A size that nobody signed, another log's checkpoint, and one with a changed size say nothing.
    let shown = witness.latest.clone().unwrap();
    let other = filled(9);
    assert_eq!(
        status(&Remembering::of(other.path(), "w").synced(other.path())),
        200
    );
    let foreign = Submission::newest(other.path())
        .unwrap()
        .unwrap()
        .note()
        .to_owned();
    liar.latest = Some(shown.replacen("\n7\n", "\n9999\n", 1));
    for lie in [
        foreign.as_str(),
        liar.latest.as_deref().unwrap(),
        "",
        "9999\n",
    ] {
        assert_eq!(submission.weigh(lie).unwrap(), Weighed::NotOurs, "{lie}");
        assert!(submission.believe(lie).is_err());
    }
    drop(open(old.path()));

    // An older checkpoint of ours is one that this ledger goes on from.
    let before = Submission::newest(old.path())
        .unwrap()
        .unwrap()
        .note()
        .to_owned();
    assert!(matches!(
        submission.weigh(&before).unwrap(),
        Weighed::Held(_)
    ));

    let weighed = submission.weigh(&shown).unwrap();
    assert!(
        matches!(weighed, Weighed::RolledBack(Checkpoint { size: 7, .. })),
        "{weighed:?}"
    );
    submission.believe(&shown).unwrap();
    let error = open_with(old.path(), Options::default()).unwrap_err();
    assert!(
        error.to_string().contains("ahead.note' was signed for 7"),
        "{error}"
    );
    assert!(!verify(old.path()).valid);

    // The true ledger goes on from it, and so opens with it.
    let mut held = Submission::newest(state.path()).unwrap().unwrap();
    assert!(matches!(held.weigh(&shown).unwrap(), Weighed::Held(_)));
    held.believe(&shown).unwrap();
    drop(open(state.path()));
    assert!(held.request(7).unwrap().is_some());

    // Two ledgers of one key that went on differently: as large, and yet not the same.
    fs::remove_file(old.path().join("witnesses/ahead.note")).unwrap();
    for more in ["one", "two"] {
        drop(
            open(old.path())
                .0
                .record(draft(EventKind::Reject, "run-1", more))
                .unwrap(),
        );
    }
    let forked = Submission::newest(old.path()).unwrap().unwrap();
    assert!(matches!(
        forked.weigh(&shown).unwrap(),
        Weighed::RolledBack(_)
    ));
    forked.believe(&shown).unwrap();
    assert!(open_with(old.path(), Options::default()).is_err());
}

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

    // In format 1 a second signature is refused, known or not; in 2 an unknown one is passed over, and a changed one of ours is not.
    let text = String::from_utf8(bytes.clone()).unwrap();
    let as_first = text.replacen("proof/2", "proof/1", 1);
    assert!(!verify_proof(as_first.as_bytes(), &key).valid);
    let unknown = text.replacen(
        "\\n\\n\u{2014}",
        "\\n\\n\u{2014} some.body/else AAAAAAA=\\n\u{2014}",
        1,
    );
    assert!(
        verify_proof_by(unknown.as_bytes(), &key, Some(&policy)).valid,
        "{unknown}"
    );
    let signature = bundle.checkpoint.lines().rev().next().unwrap();
    let at = signature.len() - 10;
    let mut changed = signature.to_owned();
    let letter = if &changed[at..=at] == "A" { "B" } else { "A" };
    changed.replace_range(at..=at, letter);
    let changed = text.replacen(signature, &changed, 1);
    assert!(
        verify_proof(changed.as_bytes(), &key).valid,
        "nobody asked for witnesses"
    );
    assert!(!verify_proof_by(changed.as_bytes(), &key, Some(&policy)).valid);

    // A policy about another log, and one that wants more than there are.
    let other = fresh();
    let (_, foreign) = Witnesses::load(state.path())
        .unwrap()
        .policy(Some(&log_key(other.path())), 1)
        .unwrap();
    assert!(!verify_proof_by(&bytes, &key, Some(&foreign)).valid);
    let three = Witnesses::load(state.path())
        .unwrap()
        .policy(None, 3)
        .unwrap_err();
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
    let [a, b, c] = ["a", "b", "c"].map(|name| key(name));
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
        (format!("group g any none\nquorum g"), "not defined"),
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
fn a_witness_is_named_once_and_keeps_its_place() {
    let state = filled(1);
    let mut witnesses = Witnesses::load(state.path()).unwrap();
    let one = Remembering::of(state.path(), "w1").witness();
    witnesses.add(state.path(), one.clone()).unwrap();
    let refused = |change: &dyn Fn(&mut Witness)| {
        let mut other = Remembering::of(state.path(), "w2").witness();
        change(&mut other);
        let mut witnesses = Witnesses::load(state.path()).unwrap();
        assert!(
            witnesses.add(state.path(), other.clone()).is_err(),
            "{other:?}"
        );
        assert_eq!(Witnesses::load(state.path()).unwrap().list(), [one.clone()]);
    };
    refused(&|other| other.name = one.name.clone());
    refused(&|other| other.key = one.key.clone());
    refused(&|other| other.name = "two words".to_owned());
    refused(&|other| other.name = "none".to_owned());
    refused(&|other| other.name = "enough".to_owned());
    refused(&|other| other.place = Place::Url("ftp://x".to_owned()));
    refused(&|other| other.place = Place::Url("http://a b".to_owned()));
    refused(&|other| other.place = Place::Folder("here".into()));
    refused(&|other| other.place = Place::Folder("/with\nline".into()));
    let mut folder = Remembering::of(state.path(), "w2").witness();
    folder.place = Place::Folder("/mnt/witness".into());
    witnesses.add(state.path(), folder).unwrap();
    assert!(witnesses.remove(state.path(), "w1").unwrap());
    assert!(!witnesses.remove(state.path(), "w1").unwrap());
    assert_eq!(Witnesses::load(state.path()).unwrap().list().len(), 1);
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
