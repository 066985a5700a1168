//! Every kind of tampering and every truncation, and how opening and verifying report it.

use super::*;
use crate::Cut;

fn lines(state: &Path) -> Vec<Vec<u8>> {
    bytes(state)
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

/// Puts `bytes` in the place of the only segment, in a copy of the state.
fn changed(state: &Path, bytes: &[u8]) -> tempfile::TempDir {
    let copy = copied(state);
    std::fs::write(&segments(copy.path())[0], bytes).unwrap();
    copy
}

/// Opening refuses with the place, and verifying names the same event.
fn assert_refused(state: &Path, at: u64, what: &str) {
    let found = verify(state);
    assert_eq!(
        (found.valid, found.broken_at),
        (false, Some(at)),
        "{what}: {}",
        found.reason
    );
    assert_eq!(found.events, at, "{what}");
    assert!(!found.reason.is_empty());
    let before = bytes(state);
    match open_with(state, Options::default()) {
        Err(Error::Broken { index, reason }) => {
            assert_eq!(index, at, "{what}");
            assert!(
                reason.contains("00000000000000000000.ndjson") && reason.contains("byte"),
                "{reason}"
            );
        }
        Err(error) => panic!("{what}: {error}"),
        Ok(_) => panic!("{what}: opened"),
    }
    assert_eq!(
        bytes(state),
        before,
        "{what}: nothing is repaired by itself"
    );
}

#[test]
fn a_flipped_bit_anywhere_is_refused_with_its_place() {
    let state = filled(2);
    let good = bytes(state.path());
    let mut line = 0;
    for at in 0..good.len() - 1 {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        assert_refused(
            changed(state.path(), &bad).path(),
            line,
            &format!("byte {at}"),
        );
        line += u64::from(good[at] == b'\n');
    }
}

#[test]
fn a_dropped_doubled_or_swapped_line_is_refused_with_its_place() {
    let state = filled(3);
    let good = lines(state.path());
    for at in 0..good.len() {
        if at + 1 < good.len() {
            let mut dropped = good.clone();
            dropped.remove(at);
            assert_refused(
                changed(state.path(), &dropped.concat()).path(),
                at as u64,
                "dropped",
            );
            let mut swapped = good.clone();
            swapped.swap(at, at + 1);
            assert_refused(
                changed(state.path(), &swapped.concat()).path(),
                at as u64,
                "swapped",
            );
        }
        let mut doubled = good.clone();
        doubled.insert(at, good[at].clone());
        assert_refused(
            changed(state.path(), &doubled.concat()).path(),
            at as u64 + 1,
            "doubled",
        );
    }
}

#[test]
fn a_foreign_line_is_refused() {
    let (state, other) = (filled(2), filled(2));
    let mut mixed = lines(state.path());
    mixed[2] = lines(other.path())[2].clone();
    assert_refused(
        changed(state.path(), &mixed.concat()).path(),
        2,
        "a line of another ledger",
    );
    for foreign in ["\n", "{}\n", "not json\n", "\0\n"] {
        let mut mixed = lines(state.path());
        mixed.insert(1, foreign.into());
        assert_refused(changed(state.path(), &mixed.concat()).path(), 1, foreign);
    }
    let mut long = lines(state.path());
    long.insert(1, vec![b'x'; 70_000]);
    assert_refused(changed(state.path(), &long.concat()).path(), 1, "too long");
}

#[test]
fn zeros_over_what_was_synced_are_damage_not_a_torn_write() {
    // Five batches of one event each: a crash can tear only the last.
    let state = filled_by_size(8_192);
    let good = bytes(state.path());
    for sector in 0..good.len() / 512 - 4 {
        let mut bad = good.clone();
        bad[sector * 512..(sector + 1) * 512].fill(0);
        let line = good[..sector * 512]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        assert_refused(
            changed(state.path(), &bad).path(),
            line as u64,
            &format!("sector {sector}"),
        );
    }
}

fn filled_by_size(min: usize) -> tempfile::TempDir {
    let folder = fresh();
    let (ledger, _) = open(folder.path());
    while bytes(folder.path()).len() < min {
        ledger.record(draft(EventKind::Reject, "r", "q")).unwrap();
    }
    folder
}

#[test]
fn truncation_at_every_byte_of_the_last_two_lines_cuts_the_fragment_and_says_so() {
    let state = filled(3);
    without_checkpoints(state.path());
    let good = lines(state.path());
    let whole = good.concat();
    let start = good[..4].concat().len();
    for end in start..whole.len() {
        let copy = changed(state.path(), &whole[..end]);
        let kept = whole[..end].iter().filter(|byte| **byte == b'\n').count();
        let from = good[..kept].concat().len();
        let fragment = &whole[from..end];
        let (ledger, opening) = open(copy.path());
        drop(ledger);
        assert!(
            bytes(copy.path()).starts_with(&whole[..from]),
            "good lines stay"
        );
        let events = all(copy.path());
        // Event 4 is an INVOKE: once it is whole its missing RESULT makes it an open call.
        let open_calls = usize::from(kept == 5);
        assert_eq!(opening.closed.len(), open_calls);
        assert_eq!(
            events.len(),
            kept + usize::from(!fragment.is_empty()) + open_calls
        );
        if fragment.is_empty() {
            assert_eq!(opening.cuts, []);
        } else {
            let [
                Cut {
                    bytes,
                    sha256,
                    file,
                },
            ] = &opening.cuts[..]
            else {
                panic!("one cut")
            };
            assert_eq!(
                (*bytes, *sha256),
                (
                    fragment.len() as u64,
                    plugin_protocol::digest::FileHash::of(fragment)
                )
            );
            assert_eq!(std::fs::read(file).unwrap(), fragment);
            let event = &events[kept];
            assert_eq!(
                (event.kind, event.run_id.is_system()),
                (EventKind::Error, true)
            );
            assert_eq!(event.meta["bytes"], fragment.len().to_string());
            assert_eq!(event.meta["sha256"], sha256.to_string());
        }
        assert!(verify(copy.path()).valid);
        let (_, again) = open(copy.path());
        assert_eq!(
            (again.cuts.len(), again.closed.len()),
            (0, 0),
            "once is enough"
        );
    }
}

#[test]
fn a_fragment_or_a_gap_before_a_later_segment_is_refused() {
    let state = filled_with(
        10,
        Options {
            segment_bytes: 2_000,
            ..Options::default()
        },
    );
    let paths = segments(state.path());
    let first_of = |at: usize| {
        paths[at]
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };

    let copy = copied(state.path());
    let path = copy
        .path()
        .join(paths[1].strip_prefix(state.path()).unwrap());
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() - 1]).unwrap();
    assert_eq!(verify(copy.path()).broken_at, Some(first_of(2) - 1));
    assert!(matches!(
        open_with(copy.path(), Options::default()),
        Err(Error::Broken { .. })
    ));

    std::fs::write(&path, b"").unwrap();
    assert_eq!(verify(copy.path()).broken_at, Some(first_of(1)));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(verify(copy.path()).broken_at, Some(first_of(1)));
    assert!(matches!(
        open_with(copy.path(), Options::default()),
        Err(Error::Broken { .. })
    ));
}

#[test]
fn calls_that_a_crash_left_open_are_closed_once_as_unknown() {
    let state = fresh();
    let (ledger, _) = open(state.path());
    let invoke = |request: &str| {
        ledger
            .record(draft(EventKind::Invoke, "r", request))
            .unwrap()
            .event()
            .clone()
    };
    let close = |invoke: &Event, kind| {
        let request = invoke.request_id.as_ref().unwrap().as_str();
        drop(
            ledger
                .record(closing(invoke, draft(kind, "r", request)))
                .unwrap(),
        );
    };
    close(&invoke("answered"), EventKind::Result);
    let lost = invoke("lost");
    let first_attempt = invoke("retried");
    close(&first_attempt, EventKind::Error);
    let second_attempt = invoke("retried");
    let twin = invoke("twins");
    let other_twin = invoke("twins");
    close(&other_twin, EventKind::Reject);
    // Another call of the same names, refused before its plugin ran, closes none of them.
    for request in ["lost", "twins"] {
        ledger
            .record(draft(EventKind::Reject, "r", request))
            .unwrap();
    }
    drop(ledger);

    let (ledger, opening) = open(state.path());
    drop(ledger);
    assert_eq!(opening.closed, [lost, second_attempt, twin]);
    assert_ne!(opening.closed[1], first_attempt);
    let events = all(state.path());
    for (closing, invoke) in events[events.len() - 3..].iter().zip(&opening.closed) {
        assert_eq!(closing.kind, EventKind::Error);
        assert_eq!(closing.meta["outcome"], "unknown");
        assert_eq!(
            (&closing.run_id, &closing.request_id, &closing.plugin_id),
            (&invoke.run_id, &invoke.request_id, &invoke.plugin_id)
        );
        assert_eq!(closing.input_hash, invoke.input_hash);
    }
    let (_, again) = open(state.path());
    assert_eq!(again.closed, []);
}
