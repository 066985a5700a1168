//! A crash at every system call of the append path, where any subset of what was not synced survives; and a failure of each call.

use std::sync::Arc;

use super::disk::{Call, Coins, Fault, Platter, Tape};
use super::*;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

fn options(tape: &Tape) -> Options {
    Options {
        disk: Arc::new(tape.clone()),
        segment_bytes: 4_000,
        checkpoint_events: 5,
        ..Options::default()
    }
}

/// Several callers at once, so that batches hold several events, over several segments.
fn work(ledger: &Ledger, tape: &Tape) {
    std::thread::scope(|scope| {
        for caller in 0..6 {
            let (ledger, tape) = (ledger.clone(), tape.clone());
            scope.spawn(move || {
                let mut invoke: Option<Event> = None;
                for _ in 0..4 {
                    let request = format!("{caller}");
                    let mut draft = match invoke.take() {
                        Some(invoke) => closing(&invoke, draft(EventKind::Result, "r", &request)),
                        None => draft(EventKind::Invoke, "r", &request),
                    };
                    draft
                        .meta
                        .insert("note".to_owned(), "x".repeat(caller * 90));
                    let Ok(recorded) = ledger.record(draft) else {
                        return;
                    };
                    let event = recorded.event();
                    tape.told(&event.event_id.to_string());
                    invoke = (event.kind == EventKind::Invoke).then(|| event.clone());
                }
            });
        }
    });
}

/// Does the [`work`] on a new ledger. Returns what the disk held before, and every call that was made to it since.
fn worked_on(state: &Path) -> (Platter, Vec<Call>) {
    let before = Platter::of(state);
    let tape = Tape::default();
    let (ledger, _) = open_with(state, options(&tape)).unwrap();
    work(&ledger, &tape);
    drop(ledger);
    (before, tape.calls())
}

/// Opens what the crash left, and checks that every event that a caller was told of is there and that the ledger is sound again.
fn assert_recovers(state: &Path, told: &[&str], what: &str) {
    // No real sync here: thousands of these openings would only wear the disk.
    let opened = open_with(state, options(&Tape::default()));
    let (ledger, _) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    ledger
        .record(draft(EventKind::Reject, "r", "after"))
        .unwrap();
    drop(ledger);
    let found = verify(state);
    assert!(found.valid, "{what}: {}", found.reason);
    let ids: Vec<_> = all(state)
        .iter()
        .map(|event| event.event_id.to_string())
        .collect();
    for id in told {
        assert!(
            ids.iter().any(|found| found == id),
            "{what}: event {id} is lost"
        );
    }
    let (_, again) = open_with(state, options(&Tape::default())).unwrap();
    assert_eq!((again.cuts.len(), again.closed.len()), (0, 0), "{what}");
    let pending = files_named(state, ".pending");
    assert_eq!(pending, 0, "{what}");
}

fn files_named(state: &Path, suffix: &str) -> usize {
    super::disk::files(state)
        .iter()
        .filter(|(path, _)| path.to_str().unwrap().ends_with(suffix))
        .count()
}

fn told(calls: &[Call]) -> Vec<&str> {
    calls
        .iter()
        .filter_map(|call| {
            if let Call::Told(id) = call {
                Some(id.as_str())
            } else {
                None
            }
        })
        .collect()
}

/// Gives `each` the states that a crash after `calls` may leave, each in a new folder and with a name: everything survives, nothing does, and random
/// subsets.
fn crashes(
    before: &Platter,
    root: &Path,
    calls: &[Call],
    seeds: u64,
    each: &mut dyn FnMut(&Path, &str),
) {
    let mut platter = before.clone();
    calls.iter().for_each(|call| platter.apply(call));
    for seed in 0..seeds + 2 {
        let copy = fresh();
        let mut coins = Coins(0x9e37_79b9_7f4a_7c15 ^ (seed + 1) ^ ((calls.len() as u64) << 20));
        let of_8 = match seed {
            0 => 8,
            1 => 0,
            _ => 2 + seed % 5,
        };
        platter.crash(root, copy.path(), &mut || coins.flip(of_8));
        each(
            copy.path(),
            &format!("after {} calls, seed {seed}", calls.len()),
        );
    }
}

#[test]
fn a_crash_at_any_call_loses_nothing_that_a_caller_was_told_of() {
    let state = fresh();
    let (before, calls) = worked_on(state.path());
    assert_eq!(told(&calls).len(), 24);
    let (mut fragments, mut batches) = (0, 0);
    for end in 0..=calls.len() {
        if matches!(calls[..end].last(), Some(Call::Told(_))) {
            continue;
        }
        crashes(
            &before,
            state.path(),
            &calls[..end],
            12,
            &mut |copy, what| {
                if verify(copy).broken_at.is_some() {
                    let bytes = std::fs::read(segments(copy).last().unwrap()).unwrap();
                    let holes = bytes.contains(&0) && bytes.ends_with(b"\n");
                    *(if holes { &mut batches } else { &mut fragments }) += 1;
                }
                assert_recovers(copy, &told(&calls[..end]), what);
            },
        );
    }
    assert!(
        fragments > 5 && batches > 5,
        "the crashes tore something: {fragments}, {batches}"
    );
}

#[test]
fn a_crash_while_recovering_from_a_crash_is_recovered_from() {
    let state = fresh();
    let (before, calls) = worked_on(state.path());
    let end = calls
        .iter()
        .rposition(|call| matches!(call, Call::Write(..)))
        .unwrap()
        + 1;
    crashes(
        &before,
        state.path(),
        &calls[..end],
        3,
        &mut |first, what| {
            let before = Platter::of(first);
            let again = Tape::default();
            drop(open_with(first, options(&again)).unwrap());
            let recovery = again.calls();
            for second_end in 0..=recovery.len() {
                crashes(
                    &before,
                    first,
                    &recovery[..second_end],
                    2,
                    &mut |second, more| {
                        assert_recovers(
                            second,
                            &told(&calls[..end]),
                            &format!("{what}, then {more}"),
                        );
                    },
                );
            }
        },
    );
}

/// The calls so far, without those of the indexer, which works by itself and writes no events.
fn count(tape: &Tape) -> usize {
    tape.calls()
        .iter()
        .filter(|call| !format!("{call:?}").contains("/index/"))
        .count()
}

#[test]
fn a_failed_call_ends_the_ledger_for_good_and_keeps_what_was_told() {
    let plain = Tape::default();
    let state = fresh();
    let (ledger, _) = open_with(state.path(), options(&plain)).unwrap();
    work(&ledger, &plain);
    drop(ledger);
    let total = plain
        .calls()
        .iter()
        .filter(|call| !matches!(call, Call::Told(_)))
        .count();
    let mut failed = 0;
    for fault in [
        Fault::Errno(EIO),
        Fault::Errno(ENOSPC),
        Fault::Errno(EROFS),
        Fault::ShortThenErrno(ENOSPC),
    ] {
        for at in 0..total {
            let (state, tape) = (fresh(), Tape::failing(at, fault));
            let Ok((ledger, _)) = open_with(state.path(), options(&tape)) else {
                continue;
            };
            work(&ledger, &tape);
            if let Err(error) = ledger.record(draft(EventKind::Reject, "r", "after")) {
                failed += 1;
                assert!(
                    matches!(error, Error::Unavailable { cause: Some(_) }),
                    "{error}"
                );
                assert!(error.to_string().contains("ledger unavailable"));
                let calls = count(&tape);
                assert!(matches!(
                    ledger.record(draft(EventKind::Reject, "r", "again")),
                    Err(Error::Unavailable { .. })
                ));
                assert_eq!(count(&tape), calls, "nothing is tried again");
            }
            drop(ledger);
            assert_recovers(
                state.path(),
                &told(&tape.calls()),
                &format!("{fault:?} at {at}"),
            );
        }
    }
    assert!(failed > total, "the faults were met: {failed}");
}

#[test]
fn a_short_write_is_continued() {
    let mut met = 0;
    for at in 0..12 {
        let (state, tape) = (fresh(), Tape::failing(at, Fault::Short));
        let (ledger, _) = open_with(state.path(), options(&tape)).unwrap();
        for _ in 0..3 {
            ledger.record(draft(EventKind::Reject, "r", "q")).unwrap();
        }
        drop(ledger);
        let writes = tape.calls().iter().filter(|call| matches!(call, Call::Write(path, ..) if path.ends_with("ledger/seg/00000000000000000000.ndjson"))).count();
        met += usize::from(writes > 3);
        assert_eq!(verify(state.path()).events, 3);
    }
    assert!(met > 0);
}

#[test]
fn a_torn_write_in_the_middle_of_one_line_is_cut() {
    // The line's first sectors are lost and its end, with the newline, survived.
    let state = filled(1);
    let path = segments(state.path()).remove(0);
    let good = std::fs::read(&path).unwrap();
    let (ledger, _) = open(state.path());
    let mut long = draft(EventKind::Reject, "r", "q");
    long.meta.insert("note".to_owned(), "x".repeat(3_000));
    ledger.record(long).unwrap();
    drop(ledger);
    let mut torn = std::fs::read(&path).unwrap();
    without_checkpoints(state.path());
    torn[good.len()..2_560].fill(0);
    std::fs::write(&path, &torn).unwrap();
    let (ledger, opening) = open(state.path());
    drop(ledger);
    assert_eq!(opening.cuts.len(), 1);
    assert_eq!(opening.cuts[0].bytes, (torn.len() - good.len()) as u64);
    assert!(verify(state.path()).valid);
}
