//! Witnesses: what one cosigns and what it refuses, and what a gateway makes of its answers.

use std::fs;

use super::*;
use crate::tree::{Growing, Hash, consistency_ranges_of, is_consistent, leaf_hash};
use crate::witness::{
    Answer, Collector, Place, Submission, Weighed, Witness, Witnesses, attend, new_cosigner,
};
use crate::{Checkpoint, Cosigner, LogKey};

/// 2026-01-31, in seconds.
const NOW: u64 = 1_769_817_600;

pub(super) fn log_key(state: &Path) -> LogKey {
    LogKey::parse(&fs::read_to_string(state.join("log.vkey")).unwrap()).unwrap()
}

/// A witness of one log that remembers in memory.
pub(super) struct Remembering {
    pub(super) cosigner: Cosigner,
    log: LogKey,
    latest: Option<String>,
}

impl Remembering {
    pub(super) fn of(state: &Path, name: &str) -> Self {
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
    pub(super) fn synced(&mut self, state: &Path) -> Answer {
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

    pub(super) fn witness(&self) -> Witness {
        Witness {
            name: self.cosigner.public().name().replace('/', "-"),
            key: self.cosigner.public(),
            place: Place::Url("https://witness.example".to_owned()),
        }
    }
}

pub(super) fn status(answer: &Answer) -> u16 {
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

/// Requests that are not granted after `good`'s predecessor was, and the status of each.
fn refused_requests(submission: &mut Submission, good: &str) -> Vec<(u16, String)> {
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
    vec![
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
    ]
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
    let cases = refused_requests(&mut submission, &good);
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
}

/// Two ledgers of one key that went on differently: as large, and yet not the same.
#[test]
fn a_fork_is_refused_because_of_what_a_witness_shows() {
    let state = filled(3);
    let old = copied(state.path());
    let mut witness = Remembering::of(state.path(), "w1");
    let more = draft(EventKind::Reject, "run-1", "more");
    drop(open(state.path()).0.record(more).unwrap());
    assert_eq!(status(&witness.synced(state.path())), 200);
    let shown = witness.latest.clone().unwrap();
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
        assert_eq!(
            Witnesses::load(state.path()).unwrap().list(),
            std::slice::from_ref(&one)
        );
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
