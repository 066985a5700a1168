//! The writing process is killed for real, again and again, on a real disk.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

/// Names the state folder to the process that is to be killed.
const STATE: &str = "LEDGER_KILL_TEST_STATE";

/// Not a test: the process that is killed. It writes from several threads and prints each event that the ledger said is durable.
#[test]
#[ignore = "started by the test below"]
fn victim() {
    let Some(state) = std::env::var_os(STATE) else {
        return;
    };
    let (ledger, _) = open(Path::new(&state));
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for call in 0.. {
                    let recorded = ledger
                        .record(draft(
                            EventKind::Invoke,
                            &format!("{caller}"),
                            &format!("{call}"),
                        ))
                        .unwrap();
                    writeln!(std::io::stderr(), "told {}", recorded.event().event_id).unwrap();
                }
            });
        }
    });
}

#[test]
fn a_killed_writer_loses_nothing_that_it_told_and_holds_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    crate::init(folder.path()).unwrap();
    let mut told = Vec::new();
    for round in 0..6 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::kill::victim", "--ignored", "--nocapture"])
            .env(STATE, folder.path())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(victim.stderr.take().unwrap()).lines();
        let mut ids = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("told ").map(str::to_owned));
        told.push(ids.next().expect("the victim writes"));
        assert!(
            matches!(
                open_with(folder.path(), Options::default()),
                Err(Error::Locked { .. })
            ),
            "it holds the lock"
        );
        std::thread::sleep(Duration::from_millis(3 + 7 * round));
        victim.kill().unwrap();
        told.extend(ids.filter(|id| id.len() == 36));
        victim.wait().unwrap();
    }
    let (ledger, opening) = open(folder.path());
    drop(ledger);
    assert!(!opening.closed.is_empty(), "its calls were open");
    assert!(verify(folder.path()).valid);
    let ids: std::collections::BTreeSet<_> = all(folder.path())
        .iter()
        .map(|event| event.event_id.to_string())
        .collect();
    assert!(told.len() > 6);
    let lost: Vec<_> = told.iter().filter(|id| !ids.contains(*id)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
