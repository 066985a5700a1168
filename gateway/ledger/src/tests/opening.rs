//! What opening decides in each case, where it begins to read, and what it makes again.

use std::sync::Arc;

use super::disk::Tape;
use super::*;
use crate::open::decide::{Action, Tail, decide};
use crate::tree::Agreement;

/// A ledger with a checkpoint behind four events and two more events behind that, as a crash leaves it.
fn base(anchor: bool) -> tempfile::TempDir {
    let state = filled(2);
    let kept = copied(state.path());
    let (ledger, _) = open(kept.path());
    for kind in [EventKind::Register, EventKind::Enable] {
        ledger.record(draft(kind, "system", "q")).unwrap();
    }
    drop(ledger);
    // The checkpoint over all six is taken away again, in one or both of its places.
    std::fs::remove_file(kept.path().join("ledger/checkpoints/6.note")).unwrap();
    if anchor {
        std::fs::copy(
            state.path().join("anchor/head"),
            kept.path().join("anchor/head"),
        )
        .unwrap();
    }
    kept
}

/// Makes the state for one case of the table.
fn staged(tail: Tail, agreement: Agreement) -> tempfile::TempDir {
    let state = match agreement {
        Agreement::Holds => base(true),
        // The anchor still says six.
        Agreement::EventsMissing => base(false),
        Agreement::Differs => {
            // Another history under the same key: sealed anew, so that every line and link is good.
            let (state, other) = (base(true), base(true));
            std::fs::copy(&segments(other.path())[0], &segments(state.path())[0]).unwrap();
            state
        }
    };
    let path = segments(state.path()).remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    if agreement == Agreement::EventsMissing {
        let end = bytes[..bytes.len() - 1]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .unwrap()
            + 1;
        bytes.truncate(end);
    }
    match tail {
        Tail::Clean => {}
        Tail::Torn => bytes.extend_from_slice(br#"{"event_hash":"0123"#),
        Tail::Damaged => bytes.extend_from_slice(b"{\"event_hash\":\"0123\n"),
    }
    std::fs::write(&path, bytes).unwrap();
    state
}

#[test]
fn the_table_of_cases_is_complete_and_each_case_is_decided_as_it_says() {
    let tails = [Tail::Clean, Tail::Torn, Tail::Damaged];
    let agreements = [
        Agreement::Holds,
        Agreement::Differs,
        Agreement::EventsMissing,
    ];
    for tail in tails {
        for agreement in agreements {
            let decision = decide(tail, agreement);
            let state = staged(tail, agreement);
            let before = bytes(state.path());
            let opened = open_with(state.path(), Options::default());
            match (decision.action, opened) {
                (Action::Open, Ok((_, opening))) => assert_eq!(opening.cuts.len(), 0),
                (Action::Cut, Ok((_, opening))) => assert_eq!(opening.cuts.len(), 1),
                (Action::RefuseLine, Err(Error::Broken { reason, .. })) => {
                    assert!(reason.contains("at byte"), "{decision:?}: {reason}")
                }
                (Action::RefuseClaim, Err(Error::Broken { reason, .. })) => {
                    assert!(reason.contains("signed for"), "{decision:?}: {reason}")
                }
                (_, opened) => panic!("{decision:?}: {opened:?}"),
            }
            if matches!(decision.action, Action::RefuseLine | Action::RefuseClaim) {
                assert_eq!(
                    bytes(state.path()),
                    before,
                    "{decision:?}: nothing is repaired by itself"
                );
                assert!(!verify(state.path()).valid, "{decision:?}");
            }
            assert!(!decision.because.is_empty());
        }
    }
}

#[test]
fn an_old_copy_of_the_whole_state_is_refused_when_the_anchor_is_elsewhere() {
    let anchor = tempfile::tempdir().unwrap();
    let options = Options {
        anchor: Some(anchor.path().to_owned()),
        ..Options::default()
    };
    let state = filled_with(2, options.clone());
    let old = copied(state.path());
    let (ledger, _) = open_with(state.path(), options.clone()).unwrap();
    ledger.record(draft(EventKind::Result, "r", "q")).unwrap();
    drop(ledger);
    // The old copy by itself is a perfect ledger.
    assert!(verify(old.path()).valid);
    let error = open_with(old.path(), options.clone()).unwrap_err();
    assert!(
        matches!(&error, Error::Broken { index: 4, reason } if reason.contains("was signed for 5")),
        "{error}"
    );
    // Whoever only reads is told the same.
    let looked = |state: &Path| crate::check_anchor(state, Some(anchor.path()));
    assert!(
        matches!(looked(old.path()), Err(Error::Broken { index: 4, reason }) if reason.contains("was signed for 5"))
    );
    looked(state.path()).unwrap();
    crate::check_anchor(old.path(), None).unwrap();
    // Hashes that a crash lost say nothing against the events.
    let tiles = crate::disk::Layout::new(state.path()).tiles();
    std::fs::rename(&tiles, state.path().join("elsewhere")).unwrap();
    looked(state.path()).unwrap();
    std::fs::rename(state.path().join("elsewhere"), &tiles).unwrap();
    // Without the anchor it opens, and grows another history; with it, that one is refused too.
    for _ in 0..3 {
        let (ledger, _) = open(old.path());
        ledger.record(draft(EventKind::Result, "r", "q")).unwrap();
    }
    assert!(
        matches!(looked(old.path()), Err(Error::Broken { reason, .. }) if reason.contains("are not those that"))
    );
    let error = open_with(old.path(), options.clone()).unwrap_err();
    assert!(
        matches!(&error, Error::Broken { reason, .. } if reason.contains("are not those that")),
        "{error}"
    );
    open_with(state.path(), options).unwrap();
}

#[test]
fn an_anchor_elsewhere_that_is_gone_is_not_taken_for_a_new_one() {
    let volume = tempfile::tempdir().unwrap();
    let anchor = volume.path().join("anchor");
    let options = Options {
        anchor: Some(anchor.clone()),
        ..Options::default()
    };
    // A ledger that was anchored inside its state moves, and its old anchor with it.
    let state = filled_with(2, Options::default());
    let inside = state.path().join("anchor/head");
    assert!(inside.is_file());
    let (ledger, _) = open_with(state.path(), options.clone()).unwrap();
    ledger.record(draft(EventKind::Result, "r", "q")).unwrap();
    drop(ledger);
    assert!(!inside.exists() && anchor.join("head").is_file());
    let gone = volume.path().join("unmounted");
    std::fs::rename(&anchor, &gone).unwrap();
    let error = open_with(state.path(), options.clone()).unwrap_err();
    assert!(matches!(error, Error::AnchorGone { .. }), "{error}");
    let looked = crate::verify(state.path(), Some(&anchor), &|_, _| {});
    assert!(matches!(looked, Err(Error::AnchorGone { .. })));
    let looked = crate::check_anchor(state.path(), Some(&anchor));
    assert!(matches!(looked, Err(Error::AnchorGone { .. })));
    std::fs::rename(&gone, &anchor).unwrap();
    open_with(state.path(), options).unwrap();
}

#[test]
fn two_copies_at_one_anchor_cannot_both_go_on() {
    let anchor = tempfile::tempdir().unwrap();
    let options = Options {
        anchor: Some(anchor.path().to_owned()),
        ..Options::default()
    };
    let state = filled_with(2, options.clone());
    let copy = copied(state.path());
    let (first, _) = open_with(state.path(), options.clone()).unwrap();
    let (second, _) = open_with(copy.path(), options).unwrap();
    first.record(draft(EventKind::Result, "r", "q")).unwrap();
    second.record(draft(EventKind::Result, "r", "q")).unwrap();
    first.checkpoint().unwrap();
    assert!(
        matches!(second.checkpoint(), Err(Error::Unavailable { cause: Some(cause) }) if matches!(*cause, Error::AnchorMoved { .. }))
    );
    assert!(second.record(draft(EventKind::Result, "r", "q")).is_err());
}

#[test]
fn a_changed_checkpoint_or_anchor_is_refused() {
    let state = filled(2);
    for file in ["ledger/checkpoints/4.note", "anchor/head"] {
        let copy = copied(state.path());
        let path = copy.path().join(file);
        let note = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, note.replace("\n4\n", "\n3\n")).unwrap();
        assert!(matches!(
            open_with(copy.path(), Options::default()),
            Err(Error::Note { .. })
        ));
        let found = verify(copy.path());
        assert!(
            !found.valid && found.reason.contains("not what this ledger wrote"),
            "{}",
            found.reason
        );
    }
}

/// A ledger of several segments with registry events early and late, and one open call in the middle.
fn large() -> (tempfile::TempDir, Options) {
    let state = fresh();
    let options = Options {
        segment_bytes: 4_000,
        check_bytes: 6_000,
        checkpoint_events: 7,
        ..Options::default()
    };
    let (ledger, _) = open_with(state.path(), options.clone()).unwrap();
    for call in 0..60 {
        let kind = match call {
            1 | 20 | 58 => EventKind::Register,
            10 => EventKind::Invoke,
            _ => EventKind::Result,
        };
        let run = if kind == EventKind::Register {
            "system"
        } else {
            "r"
        };
        ledger.record(draft(kind, run, &format!("{call}"))).unwrap();
    }
    drop(ledger);
    (state, options)
}

#[test]
fn a_large_ledger_opens_from_a_mark_and_still_knows_registry_and_open_calls() {
    let (state, options) = large();
    // The open call was never closed, and no crash came: only the next opening closes it.
    let mut registry = Vec::new();
    let (ledger, opening) = Ledger::open(state.path(), options.clone(), &mut |event| {
        registry.push(event.request_id.clone().unwrap())
    })
    .unwrap();
    assert!(
        opening.checked_from > 20,
        "it began at a mark: {}",
        opening.checked_from
    );
    assert_eq!(
        registry.iter().map(RequestId::as_str).collect::<Vec<_>>(),
        ["1", "20", "58"]
    );
    assert_eq!(opening.closed.len(), 1);
    assert_eq!(
        opening.closed[0].request_id.as_ref().unwrap().as_str(),
        "10"
    );
    assert!(!opening.tiles_rebuilt);
    drop(ledger);
    assert!(verify(state.path()).valid);
    let (_, again) = open_with(state.path(), options).unwrap();
    assert_eq!(again.closed, []);
}

/// Opens and says where reading began; everything else must come out the same.
fn opened_from(state: &Path, options: &Options) -> (u64, bool) {
    let mut registry = 0;
    let (ledger, opening) = Ledger::open(state, options.clone(), &mut |_| registry += 1).unwrap();
    assert_eq!((registry, opening.closed.len(), opening.events), (3, 1, 61));
    drop(ledger);
    assert!(verify(state).valid);
    (opening.checked_from, opening.tiles_rebuilt)
}

#[test]
fn what_can_be_made_again_is_made_again_when_it_is_lost_or_wrong() {
    let (state, options) = large();
    let (from, _) = opened_from(copied(state.path()).path(), &options);
    let with = |change: &dyn Fn(&Path)| {
        let copy = copied(state.path());
        change(copy.path());
        opened_from(copy.path(), &options)
    };
    let remove = |folder: &'static str| {
        move |state: &Path| {
            std::fs::remove_dir_all(state.join(folder))
                .and_then(|()| std::fs::create_dir(state.join(folder)))
                .unwrap()
        }
    };
    assert_eq!(
        with(&remove("ledger/index")),
        (0, false),
        "without the registry's index everything is read"
    );
    assert_eq!(
        with(&remove("ledger/tiles")),
        (0, true),
        "without tiles everything is read and they are made again"
    );
    let marks = |change: fn(&Path)| {
        move |state: &Path| {
            super::disk::files(&state.join("ledger/checkpoints"))
                .iter()
                .map(|(path, _)| path)
                .filter(|path| path.extension().unwrap() == "mark")
                .for_each(|path| change(path))
        }
    };
    assert_eq!(
        with(&marks(|path| std::fs::remove_file(path).unwrap())),
        (0, false)
    );
    assert_eq!(
        with(&marks(|path| std::fs::write(path, "").unwrap())),
        (0, false)
    );
    // A mark that forgets the open call is not signed.
    let forget = marks(|path| {
        let note = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, note.replace("\"calls\":[[", "\"calls\":[],\"x\":[[")).unwrap();
    });
    assert!(
        with(&forget).0 <= 10,
        "only a mark from before the call is good"
    );
    // Tiles with one wrong hash in the edge.
    let spoil = |state: &Path| {
        for (path, mut bytes) in super::disk::files(&state.join("ledger/tiles")) {
            bytes[0] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }
    };
    assert_eq!(with(&spoil), (0, true));
    // A registry index that leaves an event out, or leads to another event.
    let shorten = |state: &Path| {
        let path = state.join("ledger/index/registry");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&bytes[24..], &bytes[..24]].concat()).unwrap();
    };
    assert_eq!(with(&shorten), (0, false));
    assert!(from > 0);
}

#[test]
fn readers_of_the_registry_find_the_same_events_as_the_writer() {
    let (state, _) = large();
    let mut found = Vec::new();
    crate::registry_events(state.path(), &mut |event| {
        found.push(event.request_id.clone().unwrap())
    })
    .unwrap();
    assert_eq!(
        found.iter().map(RequestId::as_str).collect::<Vec<_>>(),
        ["1", "20", "58"]
    );
}

#[test]
fn verify_finds_what_opening_from_a_mark_did_not_read() {
    let (state, options) = large();
    let path = segments(state.path()).remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[300] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let found = verify(state.path());
    assert_eq!((found.valid, found.broken_at), (false, Some(0)));
    assert!(matches!(
        open_with(
            state.path(),
            Options {
                check_bytes: u64::MAX,
                ..options
            }
        ),
        Err(Error::Broken { index: 0, .. })
    ));
}

#[test]
fn every_checkpoint_on_disk_is_true_and_few_are_kept() {
    let (state, _) = large();
    let key =
        crate::LogKey::parse(&std::fs::read_to_string(state.path().join("log.vkey")).unwrap())
            .unwrap();
    let mut tree = crate::tree::merkle::Growing::default();
    let mut roots = vec![tree.root()];
    for stored in crate::events(state.path()).unwrap() {
        tree.push(crate::tree::merkle::leaf_hash(&stored.unwrap().line));
        roots.push(tree.root());
    }
    let notes: Vec<_> = super::disk::files(&state.path().join("ledger/checkpoints"))
        .into_iter()
        .filter(|(path, _)| path.extension().unwrap() == "note")
        .collect();
    assert!((5..30).contains(&notes.len()), "{}", notes.len());
    for (_, note) in notes {
        let checkpoint = key.open(std::str::from_utf8(&note).unwrap()).unwrap();
        assert_eq!(
            checkpoint.root,
            roots[usize::try_from(checkpoint.size).unwrap()]
        );
    }
    let (newest, note) = crate::newest_checkpoint(state.path()).unwrap().unwrap();
    assert_eq!(newest.size, 60);
    assert_eq!(
        std::fs::read_to_string(state.path().join("anchor/head")).unwrap(),
        note
    );
}

#[test]
fn an_empty_ledger_is_never_signed() {
    let state = fresh();
    let (ledger, opening) = open(state.path());
    assert_eq!(ledger.checkpoint().unwrap(), None);
    assert_eq!(opening.checkpoint, None);
    drop(ledger);
    assert_eq!(
        super::disk::files(&state.path().join("ledger/checkpoints")),
        []
    );
    assert!(verify(state.path()).valid);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_with_its_name() {
    let state = filled(1);
    let tape = Tape::failing(0, super::disk::Fault::Errno(30));
    let error = open_with(
        state.path(),
        Options {
            disk: Arc::new(tape),
            ..Options::default()
        },
    )
    .unwrap_err();
    assert!(
        matches!(&error, Error::Io { path, .. } if path.starts_with(state.path())),
        "{error}"
    );
    assert!(error.to_string().starts_with("cannot open '"), "{error}");
}
