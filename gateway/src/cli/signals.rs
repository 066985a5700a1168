//! Removes what a signal that ends the command must not leave behind: the throw-away state of a one-shot, with its log's key. The
//! command then still ends by that very signal.

use std::fs;
use std::io;

use nix::sys::signal::{SigSet, Signal, raise};

/// The signals by which people, terminals and service managers end a command.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// From now on each of these signals first removes the throw-away folders. Call it while there is only one thread, so that
/// every later thread blocks these signals and only the thread that is started here takes them.
pub(super) fn clean_up() -> io::Result<()> {
    // A signal that is ignored, as under `nohup`, must stay ignored: waiting for it would take it all the same.
    let ignored = ignored();
    let ending = ENDING.into_iter().filter(|signal| !is_in(ignored, *signal));
    let signals = SigSet::from_iter(ending);
    signals.thread_block().map_err(io::Error::from)?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let Ok(signal) = signals.wait() else { return };
            sandbox::remove_throw_away_folders();
            // The signal has its default action, so this ends the process, and the shell sees by which signal.
            let ended = signals.thread_unblock().and_then(|()| raise(signal));
            tracing::error!(?ended, "a signal did not end the command");
        })
        .map(drop)
}

/// The signals that this process ignores, as the kernel shows them (proc_pid_status(5)); none where there is no /proc.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

fn is_in(mask: u64, signal: Signal) -> bool {
    let bit = (signal as i32).saturating_sub(1).unsigned_abs();
    mask >> bit & 1 == 1
}
