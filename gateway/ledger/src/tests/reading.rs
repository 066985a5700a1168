//! Reading in order: the last events, those from an index on, and those to come.

use super::*;

/// A host that follows the ledger again after a break names the event where it goes on, and what lies long before is no matter of its.
#[test]
fn events_from_an_index_are_read_without_those_in_older_segments() {
    let options = Options {
        segment_bytes: 2_000,
        ..Options::default()
    };
    let state = filled_with(10, options);
    let read = |events: crate::Events| events.collect::<Result<Vec<_>, _>>();
    let everything = read(crate::events(state.path()).unwrap()).unwrap();
    let count = everything.len();
    for from in 0..=count {
        let events = crate::events_from(state.path(), from as u64).unwrap();
        assert_eq!(read(events).unwrap(), everything[from..], "{from}");
    }
    // Of what is not there yet, what comes next is given.
    let mut to_come = crate::events_from(state.path(), 1 << 40).unwrap();
    assert!(to_come.next().is_none());
    // A byte that was changed in the first event is met by whoever reads it, and by nobody else.
    let first = segments(state.path()).remove(0);
    let mut bytes = std::fs::read(&first).unwrap();
    let at = bytes.iter().position(|byte| *byte == b'r').unwrap();
    bytes[at] = b'R';
    std::fs::write(&first, bytes).unwrap();
    assert!(read(crate::events(state.path()).unwrap()).is_err());
    let events = crate::events_from(state.path(), count as u64 - 2).unwrap();
    assert_eq!(read(events).unwrap(), everything[count - 2..]);
}

/// The event before the first that is wanted is looked at, as that one has to follow it.
#[test]
fn events_from_an_index_follow_the_one_before() {
    let state = filled_with(4, Options::default());
    let path = segments(state.path()).remove(0);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without_third: Vec<&str> = [&lines[..2], &lines[3..]].concat();
    std::fs::write(&path, without_third.join("\n") + "\n").unwrap();
    let mut events = crate::events_from(state.path(), 2).unwrap();
    assert!(matches!(
        events.next(),
        Some(Err(Error::Broken { index: 2, .. }))
    ));
}

#[test]
fn tail_gives_the_last_events_oldest_first_over_segments() {
    let state = filled_with(
        10,
        Options {
            segment_bytes: 2_000,
            ..Options::default()
        },
    );
    let everything: Vec<_> = crate::events(state.path())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for n in [0, 1, 7, 20, 50] {
        let expected = &everything[everything.len().saturating_sub(n)..];
        assert_eq!(crate::tail(state.path(), n).unwrap(), expected);
    }
}

#[test]
fn follow_sees_new_events_across_segments() {
    let state = fresh();
    let options = Options {
        segment_bytes: 2_000,
        ..Options::default()
    };
    let (ledger, _) = open_with(state.path(), options).unwrap();
    for call in 0..5 {
        ledger
            .record(draft(EventKind::Result, "r", &format!("{call}")))
            .unwrap();
    }
    let stop = || false;
    let mut follow = crate::follow(state.path(), 2, &stop).unwrap();
    let mut next = || follow.next().unwrap().unwrap().index;
    assert_eq!([next(), next()], [3, 4]);
    for call in 5..15 {
        ledger
            .record(draft(EventKind::Result, "r", &format!("{call}")))
            .unwrap();
        assert_eq!(next(), call);
    }
}

#[test]
fn registry_news_are_what_the_registry_records_from_then_on() {
    let state = fresh();
    let options = Options {
        segment_bytes: 2_000,
        ..Options::default()
    };
    let before = crate::registry_news(state.path()).unwrap();
    let (ledger, _) = open_with(state.path(), options).unwrap();
    let record = |kind, run: &str, name: &str| {
        ledger.record(draft(kind, run, name)).unwrap();
    };
    record(EventKind::Register, "system", "first");
    let mut news = crate::registry_news(state.path()).unwrap();
    assert!(news.next().is_none(), "what is past is no news");
    for call in 0..10 {
        record(EventKind::Result, "r", &format!("{call}"));
    }
    assert!(news.next().is_none(), "a call is none of the registry's");
    record(EventKind::Enable, "system", "second");
    let seen = |news: &mut crate::RegistryNews| -> Vec<EventKind> {
        news.map(|stored| stored.unwrap().event.kind).collect()
    };
    assert_eq!(seen(&mut news), [EventKind::Enable], "across segments");
    record(EventKind::Disable, "system", "third");
    assert_eq!(seen(&mut news), [EventKind::Disable], "asked again");
    let all = [EventKind::Register, EventKind::Enable, EventKind::Disable];
    assert_eq!(seen(&mut { before }), all, "from before the first event");
}
