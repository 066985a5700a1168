//! What a ledger does when nothing goes wrong.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::Durability;
use crate::Filter;

#[test]
fn contract_9_an_event_is_one_canonical_line_with_every_field() {
    // "Fields, all present: `event_id` (UUIDv7), `run_id`, `ts` (RFC 3339 UTC, milliseconds), `kind`, `plugin_id`, …"
    let state = filled(1);
    let bytes = bytes(state.path());
    let lines: Vec<_> = bytes
        .strip_suffix(b"\n")
        .unwrap()
        .split(|byte| *byte == b'\n')
        .collect();
    assert_eq!(lines.len(), 2);
    let mut prev_hash = String::new();
    for line in lines {
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        let names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        let fields = "event_hash event_id input_hash kind meta output_hash plugin_id prev_hash request_id run_id ts";
        assert_eq!(names.join(" "), fields);
        assert_eq!(value["prev_hash"], prev_hash);
        let event: Event = serde_json::from_slice(line).unwrap();
        assert_eq!(event.line(), line);
        assert_eq!(event.computed_hash(), event.event_hash);
        prev_hash = event.event_hash.to_string();
    }
    let name = segments(state.path()).remove(0);
    assert_eq!(name.file_name().unwrap(), "00000000000000000000.ndjson");
}

#[test]
fn recorded_carries_the_event_that_is_on_disk() {
    let state = fresh();
    let (ledger, opening) = open(state.path());
    assert_eq!(opening.events, 0);
    let recorded = ledger.record(draft(EventKind::Invoke, "r", "q")).unwrap();
    assert_eq!(recorded.kind, EventKind::Invoke, "the value shows through");
    // The event is readable before the ledger is closed: it was durable when `record` returned.
    let stored: Vec<_> = crate::events(state.path())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(stored[0].event, *recorded.event());
    assert_eq!(ledger.head().hash, Some(recorded.event().event_hash));
    assert_eq!(ledger.head().size, 1);
}

/// A receipt names the event's place, and only a checkpoint that covers it.
#[test]
fn a_receipt_is_the_event_s_place_and_the_newest_checkpoint_over_it() {
    let state = fresh();
    let (ledger, _) = open(state.path());
    let record = |run: &str| {
        let recorded = ledger.record(draft(EventKind::Reject, run, "q")).unwrap();
        recorded.receipt()
    };
    let first = record("r");
    assert_eq!((first.index, first.checkpoint_size), (0, 0));
    assert_eq!(Some(first.event_hash), ledger.head().hash);
    ledger.checkpoint().unwrap();
    let second = record("r");
    assert_eq!(
        (second.index, second.checkpoint_size),
        (1, 0),
        "not covered"
    );
    assert_eq!(ledger.renewed(first).checkpoint_size, 1);
    assert_eq!(ledger.renewed(second), second);
    ledger.checkpoint().unwrap();
    assert_eq!(ledger.renewed(first).checkpoint_size, 2, "the newest");
    assert_eq!(ledger.renewed(second).checkpoint_size, 2);
    drop(ledger);
    // Opened again, the checkpoint that it left is known.
    let (ledger, _) = open(state.path());
    assert_eq!(ledger.renewed(second).checkpoint_size, 2);
}

/// Events of one batch have places of their own, whoever asked for them.
#[test]
fn receipts_of_callers_at_once_are_the_events_at_their_indexes() {
    let state = fresh();
    let (ledger, _) = open(state.path());
    let receipts: Vec<_> = std::thread::scope(|scope| {
        let record = |caller| {
            let ledger = ledger.clone();
            move || {
                let value = draft(EventKind::Reject, "r", &format!("q{caller}"));
                ledger.record(value).unwrap().receipt()
            }
        };
        let threads: Vec<_> = (0..32).map(|caller| scope.spawn(record(caller))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let stored: Vec<_> = crate::events(state.path())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(receipts.len(), stored.len());
    for receipt in receipts {
        let at = usize::try_from(receipt.index).unwrap();
        assert_eq!(stored[at].event.event_hash, receipt.event_hash);
    }
}

#[test]
fn many_callers_share_one_chain() {
    let state = fresh();
    let (ledger, _) = open(state.path());
    std::thread::scope(|scope| {
        for caller in 0..16 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for call in 0..20 {
                    ledger
                        .record(draft(
                            EventKind::Result,
                            &format!("run-{caller}"),
                            &format!("{call}"),
                        ))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(ledger.head().size, 320);
    drop(ledger);
    assert!(verify(state.path()).valid);
    let events = all(state.path());
    assert!(
        events.is_sorted_by(|a, b| a.event_id < b.event_id),
        "names grow along the ledger"
    );
    for caller in 0..16 {
        let run = RunId::parse(&format!("run-{caller}")).unwrap();
        let requests: Vec<_> = events
            .iter()
            .filter(|event| event.run_id == run)
            .map(|event| event.request_id.clone().unwrap())
            .collect();
        let expected: Vec<_> = (0..20)
            .map(|call| RequestId::parse(&format!("{call}")).unwrap())
            .collect();
        assert_eq!(
            requests, expected,
            "a caller's events stand in the order of its calls"
        );
    }
}

#[test]
fn segments_roll_by_size_and_are_named_by_their_first_event() {
    let options = Options {
        segment_bytes: 2_000,
        ..Options::default()
    };
    let state = filled_with(20, options.clone());
    let paths = segments(state.path());
    assert!(paths.len() > 5, "{paths:?}");
    let mut first = 0;
    for path in &paths {
        let bytes = std::fs::read(path).unwrap();
        assert!(bytes.len() <= 2_000);
        assert_eq!(
            path.file_name().unwrap().to_str().unwrap(),
            format!("{first:020}.ndjson")
        );
        first += bytes.iter().filter(|byte| **byte == b'\n').count();
    }
    assert_eq!(first, 40);
    let (ledger, opening) = open_with(state.path(), options).unwrap();
    assert_eq!(opening.events, 40);
    ledger.record(draft(EventKind::Result, "r", "q")).unwrap();
    drop(ledger);
    assert_eq!(verify(state.path()).events, 41);
}

#[test]
fn registry_events_are_given_in_order_and_nothing_else_is() {
    let state = fresh();
    let (ledger, _) = open(state.path());
    let kinds = [
        EventKind::Register,
        EventKind::Invoke,
        EventKind::Enable,
        EventKind::Result,
        EventKind::Disable,
    ];
    for kind in kinds {
        ledger
            .record(draft(
                kind,
                if kind == EventKind::Invoke {
                    "r"
                } else {
                    "system"
                },
                "q",
            ))
            .unwrap();
    }
    drop(ledger);
    let expected = [EventKind::Register, EventKind::Enable, EventKind::Disable];
    let mut seen = Vec::new();
    drop(
        Ledger::open(state.path(), Options::default(), &mut |event| {
            seen.push(event.kind)
        })
        .unwrap(),
    );
    assert_eq!(seen, expected);
    seen.clear();
    crate::registry_events(state.path(), &mut |event| seen.push(event.kind)).unwrap();
    assert_eq!(seen, expected);
}

#[test]
fn a_second_writer_is_refused_and_told_who_holds_the_ledger() {
    let state = fresh();
    let (ledger, _) = open(state.path());
    let error = open_with(state.path(), Options::default()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }));
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    let clone = ledger.clone();
    drop(ledger);
    assert!(
        matches!(
            open_with(state.path(), Options::default()),
            Err(Error::Locked { .. })
        ),
        "a clone still holds it"
    );
    drop(clone);
    open(state.path());
}

#[test]
fn a_state_without_a_ledger_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        open_with(folder.path(), Options::default()),
        Err(Error::NotInitialised { .. })
    ));
    assert!(matches!(
        crate::events(folder.path()),
        Err(Error::NotInitialised { .. })
    ));
    assert!(crate::init(folder.path()).unwrap().created);
    assert!(!crate::init(folder.path()).unwrap().created);
}

#[test]
fn an_event_that_is_too_long_is_refused_alone() {
    let state = fresh();
    let (ledger, _) = open(state.path());
    let mut long = draft(EventKind::Error, "r", "q");
    long.meta.insert("note".to_owned(), "x".repeat(70_000));
    assert!(matches!(
        ledger.record(long),
        Err(Error::TooLong { bytes: 70_000.. })
    ));
    let mut fits = draft(EventKind::Error, "r", "q");
    fits.meta.insert("note".to_owned(), "x".repeat(64_000));
    ledger.record(fits).unwrap();
    drop(ledger);
    let found = verify(state.path());
    assert_eq!((found.valid, found.events), (true, 1));
}

static EARLIER: AtomicU64 = AtomicU64::new(0);

/// A clock that goes back by a second at each look.
fn backwards() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 - EARLIER.fetch_add(1, Ordering::Relaxed))
}

#[test]
fn names_still_grow_when_the_clock_goes_back() {
    let state = fresh();
    for _ in 0..3 {
        let (ledger, _) = open_with(
            state.path(),
            Options {
                clock: backwards,
                ..Options::default()
            },
        )
        .unwrap();
        for _ in 0..5 {
            ledger.record(draft(EventKind::Result, "r", "q")).unwrap();
        }
    }
    let events = all(state.path());
    assert!(events.is_sorted_by(|a, b| a.event_id < b.event_id));
    assert!(
        events.is_sorted_by(|a, b| a.ts > b.ts),
        "the time of day is told as the clock gave it"
    );
    assert!(verify(state.path()).valid);
}

#[test]
fn a_relaxed_ledger_says_so_in_each_event() {
    let state = filled_with(
        2,
        Options {
            durability: Durability::Relaxed,
            ..Options::default()
        },
    );
    let events = all(state.path());
    assert_eq!(events.len(), 4);
    assert!(
        events
            .iter()
            .all(|event| event.meta["durability"] == "relaxed")
    );
    assert!(
        all(filled(1).path())
            .iter()
            .all(|event| !event.meta.contains_key("durability"))
    );
}

#[test]
fn query_gives_what_matches_every_part() {
    let state = filled(9);
    let found = |filter: &Filter| {
        crate::query(state.path(), filter)
            .unwrap()
            .map(|stored| stored.unwrap().index)
            .collect::<Vec<_>>()
    };
    assert_eq!(found(&Filter::default()).len(), 18);
    let run = Filter {
        run: Some(RunId::parse("run-1").unwrap()),
        ..Filter::default()
    };
    assert_eq!(found(&run), [2, 3, 8, 9, 14, 15]);
    let kind = Filter {
        kind: Some(EventKind::Result),
        ..run.clone()
    };
    assert_eq!(found(&kind), [3, 9, 15]);
    let request = Filter {
        request: Some(RequestId::parse("req-4").unwrap()),
        ..kind
    };
    assert_eq!(found(&request), [9]);
    assert_eq!(
        found(&Filter {
            plugin: Some(PluginId::parse("p.other").unwrap()),
            ..Filter::default()
        }),
        [0_u64; 0]
    );
    let events = all(state.path());
    let since = Filter {
        since: Some(events[17].ts.clone()),
        ..Filter::default()
    };
    assert!(found(&since).contains(&17));
    let past = plugin_protocol::time::Timestamp::parse("2020-01-01T02:00:00+02:00").unwrap();
    assert!(
        found(&Filter {
            until: Some(past.clone()),
            ..Filter::default()
        })
        .is_empty()
    );
    assert_eq!(
        found(&Filter {
            since: Some(past),
            ..Filter::default()
        })
        .len(),
        18
    );
}

#[test]
fn query_finds_a_run_whose_name_needs_escapes() {
    let state = fresh();
    let (ledger, _) = open(state.path());
    let name = "a \"quoted\\\" run\n\u{1}é😀";
    ledger.record(draft(EventKind::Result, name, "q")).unwrap();
    ledger
        .record(draft(EventKind::Result, "another", "q"))
        .unwrap();
    let filter = Filter {
        run: Some(RunId::parse(name).unwrap()),
        ..Filter::default()
    };
    assert_eq!(crate::query(state.path(), &filter).unwrap().count(), 1);
}
