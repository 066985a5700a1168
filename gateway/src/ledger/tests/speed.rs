//! Figures, not tests: run them by name in a release build with `--ignored --nocapture`.

use std::time::Instant;

use super::*;
use crate::ledger::event::{Clock, seal};

/// A ledger of `events` ordinary events in whole segments, written without the writer.
fn made(state: &Path, events: u64) {
    let mut clock = Clock::new(std::time::SystemTime::now);
    let mut stamp = clock.stamp().unwrap();
    let (mut prev, mut first, mut bytes) = (None, 0, Vec::new());
    for index in 0..events {
        if stamp.is_spent() {
            stamp = clock.stamp().unwrap();
        }
        let call = index / 2;
        let kind = if index % 2 == 0 {
            EventKind::Invoke
        } else {
            EventKind::Result
        };
        let draft = draft(
            kind,
            &format!("run-{}", call / 10),
            &format!("request-{call}"),
        );
        let id = stamp.next_id().unwrap();
        prev = Some(seal(draft, id, stamp.ts().clone(), prev, &mut bytes).event_hash);
        bytes.push(b'\n');
        if bytes.len() > (64 << 20) - 1_000 || index + 1 == events {
            std::fs::write(state.join(format!("ledger/seg/{first:020}.ndjson")), &bytes).unwrap();
            bytes.clear();
            first = index + 1;
        }
    }
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = work();
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{what}: {seconds:.3} s");
    (done, seconds)
}

#[test]
#[ignore = "a figure, not a test"]
fn large_ledgers() {
    let events: u64 = std::env::var("EVENTS")
        .ok()
        .and_then(|events| events.parse().ok())
        .unwrap_or(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    crate::ledger::init(folder.path()).unwrap();
    timed("make", || made(folder.path(), events));
    let (ledger, _) = timed(
        "open, first time: everything is read, tiles are made",
        || open(folder.path()),
    )
    .0;
    timed("close: first checkpoint, waiting for the indexer", || {
        drop(ledger)
    });
    let per_second = |seconds: f64| f64::from(u32::try_from(events).unwrap()) / seconds / 1e6;
    for _ in 0..3 {
        let (found, seconds) = timed("verify", || verify(folder.path()));
        assert!(found.valid, "{}", found.reason);
        let threads = std::thread::available_parallelism().unwrap();
        eprintln!(
            "  {:.2} million events/s on {threads} processors, {} bytes an event",
            per_second(seconds),
            found.bytes / events
        );
    }
    for _ in 0..3 {
        let ((ledger, opening), _) = timed("open again", || open(folder.path()));
        eprintln!(
            "  read from event {} of {}",
            opening.checked_from, opening.events
        );
        timed("export of a run of 20 events", || {
            ledger
                .export_proof(&RunId::parse("run-7").unwrap(), Default::default())
                .unwrap()
        });
        timed("close", || drop(ledger));
        let filter = crate::ledger::Filter {
            run: Some(RunId::parse("run-9").unwrap()),
            ..Default::default()
        };
        timed("query of a run of 20 events", || {
            assert_eq!(
                crate::ledger::query(folder.path(), &filter)
                    .unwrap()
                    .count(),
                20
            )
        });
        // The indexes of closed segments are made between openings.
        let ledger = open(folder.path()).0;
        std::thread::sleep(std::time::Duration::from_secs(2));
        drop(ledger);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    eprintln!(
        "{}",
        status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap()
    );
}

#[test]
#[ignore = "a figure, not a test"]
fn appends() {
    let folder = tempfile::tempdir().unwrap();
    crate::ledger::init(folder.path()).unwrap();
    let raw = || {
        let file = std::fs::File::create(folder.path().join("raw")).unwrap();
        let start = Instant::now();
        for at in 0..2_000 {
            std::os::unix::fs::FileExt::write_all_at(&file, &[b'x'; 560], at * 560).unwrap();
            file.sync_data().unwrap();
        }
        2_000.0 / start.elapsed().as_secs_f64()
    };
    let (ledger, _) = open(folder.path());
    let ours = |callers: usize, each: usize| {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..callers {
                let ledger = ledger.clone();
                scope.spawn(move || {
                    for call in 0..each {
                        ledger
                            .record(draft(EventKind::Result, "r", &format!("{call}")))
                            .unwrap();
                    }
                });
            }
        });
        f64::from(u32::try_from(callers * each).unwrap()) / start.elapsed().as_secs_f64()
    };
    for round in 0..5 {
        eprintln!(
            "round {round}: write+fdatasync {:.0}/s; ledger 1 caller {:.0}/s, 8 {:.0}/s, 32 {:.0}/s",
            raw(),
            ours(1, 2_000),
            ours(8, 1_000),
            ours(32, 1_000)
        );
    }
}
