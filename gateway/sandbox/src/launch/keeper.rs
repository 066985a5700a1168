//! The thread that keeps one launcher: it starts the launcher, takes reports of its plugins, and reaps what it leaves.
//!
//! It is a thread because the kernel ties a death signal to a thread. Launcher and plugins are children of the keeper, which lives
//! as long as they do, and not of the thread of the host that happened to ask for a run.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::PollFlags;

use crate::denial::reports::Reports;
use crate::descriptor::above_stdio;
use crate::descriptor::{FOREVER, wait_for};
use crate::error::{Error, While};
use crate::image::Image;
use crate::launch::children::{Children, Keeping};
use crate::sys::spawn;
use crate::sys::wait;

/// Stack of the keeper thread in bytes: it only waits, and takes reports.
const KEEPER_STACK_BYTES: usize = 256 * 1024;

/// The channel over which a keeper is told what to watch.
pub(crate) type Watched = SyncSender<Option<Arc<Reports>>>;

/// A launcher's process, and the thread that keeps it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) thread: JoinHandle<()>,
    pub(crate) process: Arc<OwnedFd>,
    /// Readable once the keeper has ended; nobody then keeps the plugins that the launcher makes.
    pub(crate) lifeline: OwnedFd,
}

/// Starts the thread that keeps a launcher. Also returns the channel over which it is told what to watch.
///
/// # Errors
/// When the launcher cannot be started, or not in time; the thread then ends what it started.
pub(crate) fn keep(
    program: Arc<Image>,
    control: OwnedFd,
    children: Arc<Children>,
    until: Instant,
) -> Result<(Kept, Watched), Error> {
    let (started, kept) = mpsc::sync_channel(1);
    let (watched, to_watch) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("plugin-keeper".to_owned())
        .stack_size(KEEPER_STACK_BYTES)
        .spawn(move || {
            let keeping = Keeping(children);
            let launched = lifeline().and_then(|lifeline| {
                let child = spawn::launcher(program.file(), control.as_fd());
                let child = child.during("start a launcher")?;
                Ok((Arc::new(child.pidfd), lifeline))
            });
            // The launcher has its own copy, and its end must show at ours.
            drop((control, program));
            let process = launched
                .as_ref()
                .ok()
                .map(|(process, _)| Arc::clone(process));
            if started.send(launched).is_ok()
                && let Some(process) = process
            {
                watch(&process, &to_watch);
            }
            drop(keeping);
        })
        .during("start a thread")?;
    let started = kept.recv_timeout(until.saturating_duration_since(Instant::now()));
    let (process, lifeline) = started.unwrap_or_else(|error| {
        Err(match error {
            RecvTimeoutError::Timeout => Error::TooLate,
            RecvTimeoutError::Disconnected => Error::LauncherGone,
        })
    })?;
    let kept = Kept {
        thread,
        process,
        lifeline,
    };
    Ok((kept, watched))
}

/// A descriptor that becomes readable once the calling thread has ended; before Linux 6.9, once the whole process has.
fn lifeline() -> Result<OwnedFd, Error> {
    use rustix::process::{PidfdFlags, getpid, pidfd_open};
    /// `PIDFD_THREAD` of pidfd_open(2).
    const THREAD: PidfdFlags = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());
    let own = pidfd_open(rustix::thread::gettid(), THREAD);
    let own = own.or_else(|_| pidfd_open(getpid(), PidfdFlags::empty()));
    above_stdio(own.during("open a thread of the gateway's own")?)
}

/// Takes reports until the launcher has ended, then reaps it.
fn watch(process: &OwnedFd, to_watch: &Receiver<Option<Arc<Reports>>>) {
    // Nothing is sent for a launcher that did not get ready and was dropped.
    let reports = to_watch.recv().ok().flatten();
    let ended = (process.as_fd(), PollFlags::IN);
    loop {
        let readable = |fd| (fd, PollFlags::IN);
        let reports = reports.as_deref();
        let reported = reports.map(|reports| readable(reports.listener()));
        let put_off = reports.map(|reports| readable(reports.put_off()));
        let time = reports.map_or(FOREVER, Reports::time_left);
        match wait_for([Some(ended), reported, put_off], time) {
            Ok([true, ..]) | Err(_) => break,
            Ok([_, _, woken]) => {
                let taken = reports.map(|reports| reports.take_some(woken));
                if let Some(Err(error)) = taken {
                    tracing::error!(%error, "reports of forbidden calls cannot be taken");
                }
            }
        }
    }
    let reaped = wait::kill(process).and_then(|()| wait::reap(process));
    tracing::debug!(?reaped, "a launcher has ended");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lifeline_shows_the_end_of_its_thread_and_not_only_of_the_process() {
        let (stop, stopped) = mpsc::channel::<()>();
        let (gave, given) = mpsc::channel();
        let keeper = std::thread::spawn(move || {
            gave.send(lifeline().unwrap()).unwrap();
            stopped.recv().unwrap_err();
        });
        let line = given.recv().unwrap();
        let seen = |time| wait_for([Some((line.as_fd(), PollFlags::IN))], time).unwrap();
        assert_eq!(seen(Duration::ZERO), [false]);
        drop(stop);
        keeper.join().unwrap();
        let whole = rustix::process::pidfd_open(
            rustix::thread::gettid(),
            rustix::process::PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned()),
        );
        if whole.is_err() {
            return skip::skip("before Linux 6.9 a thread has no descriptor");
        }
        assert_eq!(seen(Duration::from_secs(20)), [true]);
    }
}
