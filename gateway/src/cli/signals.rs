//! What signals do to the command. One that ends it must not leave the passing state of a one-shot behind, with its log's key; nothing
//! changes about the end itself, which is by that very signal. One that would end it without a word is held back.

use std::fs;
use std::io;

use nix::sys::signal::{SigSet, Signal, raise};

/// The signals by which people, terminals and service managers end a command.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// From now on a write beyond the largest file that this process may make (`RLIMIT_FSIZE`, setrlimit(2)) fails with `EFBIG`, as one on
/// a full disk does, and the command says so; the signal that would come with it, and end the command, waits for ever. It must be
/// called while there is one thread, so that every thread holds the signal back. Plugins have signals of their own: their launcher
/// sets every one to its default.
pub(super) fn outlive_large_files() -> io::Result<()> {
    let too_large = SigSet::from_iter([Signal::SIGXFSZ]);
    too_large.thread_block().map_err(io::Error::from)
}

/// From now on one of these signals first removes the passing folders. It must be called while there is one thread, so that
/// every thread holds these signals back and only the one that is started here takes them.
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
            // Its action is the default one, so that this is the end, and the shell sees why.
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
