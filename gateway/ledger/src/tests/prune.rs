//! Dropping old lines: what is gone, what goes on working, and what is refused.

use super::*;
use crate::{Filter, LogKey, ProofExtras};

pub(super) fn options() -> Options {
    Options {
        segment_bytes: 4_000,
        checkpoint_events: 5,
        ..Options::default()
    }
}

fn system(kind: EventKind, plugin: &str) -> Draft {
    let mut draft = draft(kind, "system", "unused");
    draft.plugin_id = Some(PluginId::parse(plugin).unwrap());
    (draft.request_id, draft.input_hash) = (None, None);
    draft
}

/// Registry events among the calls of six runs, `old-0` to `old-2` before `new-0` to `new-2`.
pub(super) fn lived_in(options: Options) -> tempfile::TempDir {
    let folder = fresh();
    let (ledger, _) = open_with(folder.path(), options).unwrap();
    for age in ["old", "new"] {
        for call in 0..24 {
            if call % 5 == 0 {
                let plugin = format!("p.{age}.{call}");
                ledger.record(system(EventKind::Register, &plugin)).unwrap();
                ledger.record(system(EventKind::Enable, &plugin)).unwrap();
            }
            let (run, request) = (format!("{age}-{}", call % 3), format!("{age}-{call}"));
            let invoke = ledger
                .record(draft(EventKind::Invoke, &run, &request))
                .unwrap();
            ledger
                .record(closing(
                    invoke.event(),
                    draft(EventKind::Result, &run, &request),
                ))
                .unwrap();
        }
    }
    drop(ledger);
    folder
}

/// The first event of run `new-0`'s age.
pub(super) const OLD: u64 = 58;

fn registry(state: &Path) -> Vec<Event> {
    let mut found = Vec::new();
    crate::registry_events(state, &mut |event| found.push(event.clone())).unwrap();
    found
}

fn of_run(state: &Path, run: &str) -> Vec<u64> {
    let filter = Filter {
        run: Some(RunId::parse(run).unwrap()),
        ..Filter::default()
    };
    let found = crate::query(state, &filter).unwrap();
    found.map(|stored| stored.unwrap().index).collect()
}

fn key(state: &Path) -> LogKey {
    LogKey::parse(&std::fs::read_to_string(state.join("log.vkey")).unwrap()).unwrap()
}

/// Everything that must hold of a ledger that was [`lived_in`] and pruned before `before`.
pub(super) fn assert_pruned(state: &Path, before: u64, whole: &[Event], what: &str) {
    let found = verify(state);
    assert!(found.valid, "{what}: {}", found.reason);
    let carried = whole.iter().take(usize::try_from(before).unwrap());
    let carried = carried.filter(|event| event.kind.is_registry()).count() as u64;
    let pruned = crate::pruned(state).unwrap().expect(what);
    assert_eq!(
        (pruned.before, pruned.carried, pruned.dropped),
        (before, carried, before - carried),
        "{what}"
    );
    assert_eq!(found.pruned, Some(pruned), "{what}");
    // What is left is what was there.
    for stored in crate::events(state).unwrap() {
        let stored = stored.unwrap();
        if let Some(event) = whole.get(usize::try_from(stored.index).unwrap()) {
            assert_eq!(&stored.event, event, "{what}");
            assert!(
                stored.index >= before || event.kind.is_registry(),
                "{what}: event {} is still there",
                stored.index
            );
        }
    }
    // The registry is the same, whichever way it is read.
    let mut opened = Vec::new();
    for check_bytes in [0, u64::MAX] {
        let mut folded = Vec::new();
        let options = Options {
            check_bytes,
            ..options()
        };
        drop(Ledger::open(state, options, &mut |event| folded.push(event.clone())).unwrap());
        opened.push(folded);
    }
    let expected: Vec<_> = whole
        .iter()
        .filter(|event| event.kind.is_registry())
        .collect();
    for folded in [&opened[0], &opened[1], &registry(state)] {
        let known: Vec<_> = folded.iter().take(expected.len()).collect();
        assert_eq!(known, expected, "{what}");
        assert!(folded.len() > expected.len(), "{what}: and the prunings");
    }
    assert!(!state.join("ledger/seg.new").exists(), "{what}");
    let text = String::from_utf8(bytes(state)).unwrap();
    for request in ["old-3", "old-17"] {
        assert!(
            !text.contains(&format!("\"{request}\"")),
            "{what}: {request}"
        );
    }
}

fn prune(state: &Path, before: u64) -> Result<crate::Dropped, Error> {
    let (ledger, _) = open_with(state, options())?;
    ledger.prune(before)
}

#[test]
fn old_lines_go_and_everything_else_goes_on() {
    for segment_bytes in [4_000, 1 << 20] {
        for before in [OLD, 55, 96] {
            let options = Options {
                segment_bytes,
                ..options()
            };
            let state = lived_in(options.clone());
            let state = state.path();
            let whole = all(state);
            let (ledger, _) = open_with(state, options.clone()).unwrap();
            let old_run = RunId::parse("old-1").unwrap();
            let old = ledger
                .export_proof(&old_run, ProofExtras::default())
                .unwrap();
            let size = bytes(state).len();
            let done = ledger.prune(before).unwrap();
            assert_eq!(done.pruned.before, before);
            assert!(size - bytes(state).len() > 8_000, "the lines are gone");
            // The same open ledger goes on.
            let invoke = ledger
                .record(draft(EventKind::Invoke, "after", "after"))
                .unwrap();
            ledger
                .record(closing(
                    invoke.event(),
                    draft(EventKind::Result, "after", "after"),
                ))
                .unwrap();
            let after = RunId::parse("after").unwrap();
            let new = ledger.export_proof(&after, ProofExtras::default()).unwrap();
            assert!(crate::verify_proof(&new.to_bytes(), &key(state)).valid);
            assert!(
                crate::verify_proof(&old.to_bytes(), &key(state)).valid,
                "an old bundle"
            );
            let refused = ledger.export_proof(&old_run, ProofExtras::default());
            assert!(
                matches!(refused, Err(Error::RunPruned { before: at, .. }) if at == before),
                "{refused:?}"
            );
            // All of the system's events are there, so its proof is whole.
            let registry = ledger
                .export_proof(&RunId::system(), ProofExtras::default())
                .unwrap();
            assert!(crate::verify_proof(&registry.to_bytes(), &key(state)).valid);
            drop(ledger);
            assert_pruned(state, before, &whole, &format!("{before}"));
            assert_eq!(of_run(state, "after").len(), 3);
            assert!(
                before < OLD || of_run(state, "old-1").len() == 1,
                "the export"
            );
            // The tiles over what is gone make consistency proofs: every old checkpoint still has its root.
            assert_eq!(crate::tail(state, 1_000).unwrap()[0].index, before);
            // The event says what it did.
            let event = all(state).into_iter().find(|event| {
                event
                    .meta
                    .get(meta::SUBJECT)
                    .is_some_and(|subject| subject == meta::SUBJECT_LEDGER)
            });
            let event = event.unwrap();
            assert_eq!(event.event_id.to_string(), done.event_id);
            assert_eq!(event.meta[meta::DROPPED], done.pruned.dropped.to_string());
            let json = std::fs::read(state.join("ledger/seg/pruned.json")).unwrap();
            let sha256 = plugin_protocol::digest::FileHash::of(&json).to_string();
            assert_eq!(event.meta[meta::SHA256], sha256);
            // A copy is as sound, and says the same.
            let copy = tempfile::tempdir().unwrap();
            crate::back_up(state, copy.path()).unwrap().unwrap();
            assert_pruned(copy.path(), before, &whole, "the copy");
            assert!(crate::check_anchor(state, None).is_ok());
        }
    }
}

#[test]
fn pruning_again_goes_further_and_counts_on() {
    let state = lived_in(options());
    let whole = all(state.path());
    let first = prune(state.path(), 30).unwrap();
    let second = prune(state.path(), OLD).unwrap();
    assert!(second.pruned.dropped > first.pruned.dropped);
    assert_pruned(state.path(), OLD, &whole, "twice");
    let dropped: usize = whole[..usize::try_from(OLD).unwrap()]
        .iter()
        .filter(|event| !event.kind.is_registry())
        .map(|event| event.line().len() + 1)
        .sum();
    assert_eq!(second.pruned.bytes, dropped as u64);
    // Everything there is, its own event too.
    let size = verify(state.path()).events;
    prune(state.path(), size).unwrap();
    assert_pruned(
        state.path(),
        size,
        &all_of(&whole, state.path(), size),
        "all",
    );
}

/// `whole` and the events that pruning added, as far as they are still there.
fn all_of(whole: &[Event], state: &Path, before: u64) -> Vec<Event> {
    let mut whole = whole.to_vec();
    let later = crate::events(state).unwrap().map(Result::unwrap);
    let later = later.filter(|stored| stored.index >= whole.len() as u64 && stored.index < before);
    let later: Vec<_> = later.map(|stored| stored.event).collect();
    whole.extend(later);
    whole
}

#[test]
fn what_may_not_be_pruned_is_refused_and_nothing_changes() {
    let state = lived_in(options());
    let state = state.path();
    let (ledger, _) = open_with(state, options()).unwrap();
    let invoke = ledger
        .record(draft(EventKind::Invoke, "open", "open"))
        .unwrap();
    let index = invoke.receipt().index;
    ledger
        .record(draft(EventKind::Reject, "r", "after"))
        .unwrap();
    let before = bytes(state);
    for (to, words) in [
        (0, "there is no event before the first".to_owned()),
        (
            index + 1,
            format!("the call that began with event {index} is still open"),
        ),
        (1_000, format!("there are only {} events", index + 2)),
    ] {
        let error = ledger.prune(to).unwrap_err();
        assert_eq!(error.to_string(), format!("nothing was pruned: {words}"));
    }
    assert_eq!(bytes(state), before);
    assert!(crate::pruned(state).unwrap().is_none());
    assert!(matches!(prune(state, OLD), Err(Error::Locked { .. })));
    // Before the open call it goes, and the call is closed afterwards.
    ledger.prune(index).unwrap();
    assert!(
        ledger
            .prune(10)
            .unwrap_err()
            .to_string()
            .contains("are pruned already")
    );
    ledger
        .record(closing(
            invoke.event(),
            draft(EventKind::Result, "open", "open"),
        ))
        .unwrap();
    drop(ledger);
    let (_, opening) = open_with(state, options()).unwrap();
    assert_eq!(opening.closed.len(), 0);
    assert!(verify(state).valid);
}

#[test]
fn an_anchor_that_another_copy_moved_forbids_it() {
    let (state, anchor) = (lived_in(options()), tempfile::tempdir().unwrap());
    let options = Options {
        anchor: Some(anchor.path().to_owned()),
        ..options()
    };
    drop(open_with(state.path(), options.clone()).unwrap());
    let (ledger, _) = open_with(state.path(), options).unwrap();
    ledger.checkpoint().unwrap();
    ledger.record(draft(EventKind::Reject, "r", "q")).unwrap();
    std::fs::write(anchor.path().join("head"), "moved").unwrap();
    assert!(matches!(ledger.prune(OLD), Err(Error::Unavailable { .. })));
    assert!(crate::pruned(state.path()).unwrap().is_none());
}

#[test]
fn a_follower_and_a_reader_go_on_while_lines_are_dropped_behind_them() {
    let state = lived_in(Options::default());
    let (ledger, _) = open(state.path());
    let (_, mut to_come) = ledger.to_come();
    let mut news = crate::registry_news(state.path()).unwrap();
    assert!(to_come.next().is_none() && news.next().is_none());
    ledger.prune(OLD).unwrap();
    ledger
        .record(system(EventKind::Enable, "p.late.one"))
        .unwrap();
    let kinds: Vec<_> = to_come.map(|stored| stored.unwrap().event.kind).collect();
    assert_eq!(kinds, [EventKind::Disable, EventKind::Enable]);
    assert_eq!(news.count(), 2);
}

#[test]
fn a_forged_pruning_is_found_out() {
    let state = lived_in(options());
    prune(state.path(), OLD).unwrap();
    let seg = state.path().join("ledger/seg");
    let change = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let copy = copied(state.path());
        let path = copy.path().join("ledger/seg").join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        copy
    };
    let assert_refused = |copy: &Path, what: &str| {
        let found = crate::verify(copy, None, &|_, _| {});
        assert!(found.is_err() || !found.unwrap().valid, "{what}");
        assert!(open_with(copy, options()).is_err(), "{what}");
    };
    for name in ["pruned.json", "pruned.ndjson"] {
        let len = std::fs::read(seg.join(name)).unwrap().len();
        for at in (0..len).step_by(97) {
            let copy = change(name, &|bytes| bytes[at] ^= 1);
            assert_refused(copy.path(), &format!("{name} at {at}"));
        }
    }
    // A registry event is left out, and everything that says so is made to fit; but the pruning's event does not.
    let lines = std::fs::read(seg.join("pruned.ndjson")).unwrap();
    let fewer = lines
        .split_inclusive(|byte| *byte == b'\n')
        .skip(1)
        .flatten()
        .copied();
    let fewer: Vec<u8> = fewer.collect();
    let copy = change("pruned.json", &|bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let hash = |bytes: &[u8]| plugin_protocol::digest::FileHash::of(bytes).to_string();
        let text = text.replace("\"carried\":[0,", "\"carried\":[");
        *bytes = text.replace(&hash(&lines), &hash(&fewer)).into_bytes();
    });
    std::fs::write(copy.path().join("ledger/seg/pruned.ndjson"), &fewer).unwrap();
    assert!(
        verify(copy.path())
            .reason
            .contains("is not what the pruning's event says")
    );
    assert_refused(copy.path(), "an event is left out");
    // Segments are taken away without a pruning.
    let whole = lived_in(options());
    let copy = copied(whole.path());
    for path in segments(copy.path()).iter().take(3) {
        std::fs::remove_file(path).unwrap();
    }
    assert_refused(copy.path(), "taken away");
}
