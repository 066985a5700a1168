//! Dropping old lines through a crash, a fault and a kill at every step.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::disk::{Call, Coins, Fault, Platter, Tape};
use super::prune::{OLD, assert_pruned, lived_in, options};
use super::*;
use crate::Pruned;

/// Whether the crash came before the pruning was recorded; then nothing is gone.
fn recovered(state: &Path, whole: &[Event], what: &str) -> Option<Pruned> {
    let opened = open_with(
        state,
        Options {
            disk: Arc::new(Tape::default()),
            ..options()
        },
    );
    drop(opened.unwrap_or_else(|error| panic!("{what}: {error}")));
    let pruned = crate::pruned(state).unwrap();
    if pruned.is_some() {
        assert_pruned(state, OLD, whole, what);
    } else {
        let found = verify(state);
        assert!(found.valid, "{what}: {}", found.reason);
        assert_eq!(&all(state)[..whole.len()], whole, "{what}");
        assert!(!state.join("ledger/seg.new").exists(), "{what}");
    }
    pruned
}

fn taped(tape: &Tape) -> Options {
    Options {
        disk: Arc::new(tape.clone()),
        ..options()
    }
}

#[test]
fn a_crash_at_any_call_leaves_the_whole_ledger_or_the_pruned_one() {
    let state = lived_in(options());
    let whole = all(state.path());
    let before = Platter::of(state.path());
    let tape = Tape::default();
    let (ledger, _) = open_with(state.path(), taped(&tape)).unwrap();
    ledger.prune(OLD).unwrap();
    drop(ledger);
    let calls = tape.calls();
    let (mut as_it_was, mut as_it_is) = (0, 0);
    for end in 0..=calls.len() {
        let mut platter = before.clone();
        calls[..end].iter().for_each(|call| platter.apply(call));
        for (seed, of_8) in [(0, 8), (1, 0), (2, 4)] {
            let copy = fresh();
            let mut coins = Coins(0x9e37_79b9_7f4a_7c15 ^ (seed + 1) ^ ((end as u64) << 20));
            platter.crash(state.path(), copy.path(), &mut || coins.flip(of_8));
            let what = format!("after {end} of {} calls, seed {seed}", calls.len());
            let pruned = recovered(copy.path(), &whole, &what);
            *(if pruned.is_some() {
                &mut as_it_is
            } else {
                &mut as_it_was
            }) += 1;
        }
    }
    assert!(as_it_was > 20 && as_it_is > 20, "{as_it_was} {as_it_is}");
    assert!(calls.iter().any(|call| matches!(call, Call::Exchange(..))));
}

#[test]
fn a_failed_call_leaves_the_whole_ledger_or_the_pruned_one() {
    const ENOSPC: i32 = 28;
    const EIO: i32 = 5;
    let plain = Tape::default();
    let state = lived_in(options());
    let whole = all(state.path());
    let copy = copied(state.path());
    let (ledger, _) = open_with(copy.path(), taped(&plain)).unwrap();
    let opened = plain.calls().len();
    ledger.prune(OLD).unwrap();
    drop(ledger);
    for errno in [ENOSPC, EIO] {
        for at in opened..plain.calls().len() {
            let copy = copied(state.path());
            let tape = Tape::failing(at, Fault::Errno(errno));
            let (ledger, _) = open_with(copy.path(), taped(&tape)).unwrap();
            let done = ledger.prune(OLD).is_ok();
            drop(ledger);
            let pruned = recovered(copy.path(), &whole, &format!("errno {errno} at {at}"));
            assert!(pruned.is_some() || !done, "errno {errno} at {at}");
        }
    }
}

/// Names the state folder, and the call to the disk at which the process ends, to the process that is to be killed.
const STATE: &str = "LEDGER_PRUNE_TEST_STATE";
const AT: &str = "LEDGER_PRUNE_TEST_AT";

/// Not a test: the process that is killed, with `SIGKILL`, by itself, right before a call to the disk.
#[test]
#[ignore = "started by the test below"]
fn victim() {
    let (Some(state), Ok(at)) = (std::env::var_os(STATE), std::env::var(AT)) else {
        return;
    };
    let tape = Tape::killing(at.parse().unwrap());
    let (ledger, _) = open_with(Path::new(&state), taped(&tape)).unwrap();
    ledger.prune(OLD).unwrap();
}

#[test]
fn a_process_that_is_killed_at_any_step_leaves_the_whole_ledger_or_the_pruned_one() {
    let state = lived_in(options());
    let whole = all(state.path());
    let (mut killed, mut as_it_is) = (0, 0);
    for at in 0.. {
        let copy = copied(state.path());
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::prune_crash::victim", "--ignored"])
            .env(STATE, copy.path())
            .env(AT, at.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let pruned = recovered(copy.path(), &whole, &format!("killed at {at}"));
        as_it_is += usize::from(pruned.is_some());
        if ended.success() {
            assert!(pruned.is_some());
            break;
        }

        assert_eq!(ended.signal(), Some(9), "{ended}");
        killed += 1;
    }
    assert!(
        killed > 30 && as_it_is > 8 && killed > as_it_is,
        "{killed} {as_it_is}"
    );
}
