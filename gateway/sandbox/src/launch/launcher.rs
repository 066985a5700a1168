//! One launcher process: told what to put on, asked to start plugins, ended when nobody needs it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use crate::denial::reports::Reports;
use crate::denial::view::View;
use crate::descriptor::above_stdio;
use crate::descriptor::wait_for;
use crate::error::{Error, While};
use crate::filter::Filter;
use crate::launch::children::{Asked, Children};
use crate::launch::keeper::keep;
use crate::launch::letter::{Envelope, read_reply};
use crate::launch::means::{self, Means};
use crate::launch::order::{Outfit, Start};
use crate::plan::Plan;
use crate::sys::launcher::wire::{Reply, Step};
use crate::sys::spawn::Child;
use crate::sys::wait::{self, Reaped};

/// How long a launcher that was asked for something may answer nobody. Starting a plugin takes less than a millisecond, and from a
/// slow disk some hundred. A launcher that is silent for this long was stopped by somebody, and is ended. That also ends the plugins
/// that it made, so it is not done just because the time of a single call is over.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(5);

/// The most idle sockets for replies that are kept for the next runs; more runs at once make their own.
const REPLIES_KEPT: usize = 64;

/// A running launcher. It is ended and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Launcher {
    control: OwnedFd,
    process: Arc<OwnedFd>,
    reports: Option<Arc<Reports>>,
    replies: Mutex<Vec<ReplySocket>>,
    children: Arc<Children>,
    keeper: Option<JoinHandle<()>>,
    turns: AtomicUsize,
    /// How many callers have given up waiting for it and not been answered yet.
    late: AtomicUsize,
    /// When it last answered anybody.
    heard: Mutex<Instant>,
    /// What its plugins are shown.
    view: OnceLock<Arc<View>>,
}

/// The outcome of a request to start a plugin.
#[derive(Debug)]
pub(crate) enum Launch {
    /// The plugin runs.
    Made(Child),
    /// The time was over first. The plugin may still be started.
    Late(Late),
}

impl Launch {
    /// The plugin, or an error if it is late. After that error the caller must drop the launcher at once, which ends a plugin that may still come.
    pub(crate) fn in_time(self) -> Result<Child, Error> {
        match self {
            Self::Made(child) => Ok(child),
            Self::Late(_) => Err(Error::TooLate),
        }
    }
}

/// A request that nobody waits for any more, but whose plugin, should it come, must be ended.
#[derive(Debug)]
pub(crate) struct Late {
    socket: ReplySocket,
    asked: Asked,
    since: Instant,
}

/// A plugin's turn to be started by a launcher. As long as it exists, the launcher counts it as work.
#[derive(Debug)]
pub(crate) struct Turn {
    launcher: Arc<Launcher>,
}

impl Turn {
    /// The next turn at this one.
    pub(crate) fn at(launcher: &Arc<Launcher>) -> Self {
        launcher.turns.fetch_add(1, Ordering::Relaxed);
        Self {
            launcher: Arc::clone(launcher),
        }
    }

    /// The launcher.
    pub(crate) fn launcher(&self) -> &Arc<Launcher> {
        &self.launcher
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.launcher.turns.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Our end and the launcher's of the socket for the answer to one request.
#[derive(Debug)]
struct ReplySocket {
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Launcher {
    /// Starts a launcher and waits until it has everything on.
    ///
    /// # Errors
    /// With the step that failed.
    pub(crate) fn start(means: &Means, outfit: &Outfit, deadline: Instant) -> Result<Self, Error> {
        let (control, theirs) = socket_pair()?;
        let children = Arc::<Children>::default();
        let (program, known) = (Arc::clone(&means.launcher), Arc::clone(&children));
        let (kept, watched) = keep(program, theirs, known, deadline)?;
        let mut launcher = Self {
            control,
            process: kept.process,
            reports: None,
            replies: Mutex::default(),
            children,
            keeper: Some(kept.thread),
            turns: AtomicUsize::new(0),
            late: AtomicUsize::new(0),
            heard: Mutex::new(Instant::now()),
            view: OnceLock::new(),
        };
        let dressed = launcher.dress(means, outfit, kept.lifeline.as_fd(), deadline);
        // It is told even when that failed: the keeper waits for this message, and dropping the launcher waits for the keeper.
        let told = watched.send(launcher.reports.clone());
        debug_assert!(told.is_ok(), "the keeper waits for what to watch");
        dressed.map(|()| launcher)
    }

    /// Tells the launcher what to put on, and waits until it has put everything on.
    fn dress(
        &mut self,
        means: &Means,
        outfit: &Outfit,
        lifeline: BorrowedFd<'_>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mark = means::random()?;
        let program = Filter::build(&outfit.wanted)?.with_mark(mark);
        let letter = outfit.letter(means, lifeline, mark, &program)?.close()?;
        let since = Instant::now();
        if !self.send(&letter, since, deadline)? {
            return Err(Error::TooLate);
        }
        let answer = self.answer(self.control.as_fd(), since, deadline)?;
        let (reply, listener) = answer.ok_or(Error::TooLate)?;
        check(&reply)?;
        if outfit.wanted.reported {
            let listener = listener
                .ok_or(rustix::io::Errno::BADMSG)
                .during("receive a filter's listener")?;
            self.reports = Some(Arc::new(Reports::new(listener)?));
        }
        Ok(())
    }

    /// Starts a plugin, unless the deadline comes first.
    ///
    /// # Errors
    /// With the step that failed; no process is left then.
    pub(crate) fn launch(&self, start: &Start<'_>, deadline: Instant) -> Result<Launch, Error> {
        let socket = self.borrow_reply()?;
        let letter = start.letter(socket.theirs.as_fd()).close()?;
        let since = Instant::now();
        let asked = self.children.ask();
        if !self.send(&letter, since, deadline)? {
            return Err(Error::TooLate);
        }
        match self.answer(socket.ours.as_fd(), since, deadline) {
            Ok(Some(answer)) => self.take(socket, &asked, answer).map(Launch::Made),
            Ok(None) => {
                self.late.fetch_add(1, Ordering::Relaxed);
                let late = Late {
                    socket,
                    asked,
                    since,
                };
                Ok(Launch::Late(late))
            }
            Err(error) => self.lost(asked, error),
        }
    }

    /// Waits for the outcome of a late request, and ends its plugin if there is one. A launcher that stays silent is itself ended.
    ///
    /// # Errors
    /// When a system call of ours fails.
    pub(crate) fn settle(&self, late: Late) -> Result<(), Error> {
        let Late {
            socket,
            asked,
            since,
        } = late;
        let never = since + ANSWER_TIME * u32::from(u8::MAX);
        let answer = self.answer(socket.ours.as_fd(), since, never);
        self.late.fetch_sub(1, Ordering::Relaxed);
        match answer {
            Ok(Some(answer)) => match self.take(socket, &asked, answer) {
                Ok(child) => {
                    wait::kill(&child.pidfd).during("kill a plugin")?;
                    self.reap(&child).map(drop)
                }
                // It failed to start, and so there is nothing to end.
                Err(_) => Ok(()),
            },
            Ok(None) => self.lost(asked, Error::LauncherGone),
            Err(error) => self.lost(asked, error),
        }
    }

    fn take(
        &self,
        socket: ReplySocket,
        asked: &Asked,
        (reply, pidfd): (Reply, Option<OwnedFd>),
    ) -> Result<Child, Error> {
        self.give_back(socket);
        let child = self.handed_over(&reply, pidfd)?;
        asked.know(child.pid);
        Ok(child)
    }

    /// Ends a launcher when it is not known whether it made a plugin. If it did, the keeper finds the plugin once the launcher is gone.
    fn lost<T>(&self, asked: Asked, error: Error) -> Result<T, Error> {
        drop(asked);
        wait::kill(&self.process).during("kill a launcher")?;
        self.children.wait_for_sweep();
        Err(error)
    }

    /// The child of an answer that says that all went well; any other is ended.
    fn handed_over(&self, reply: &Reply, pidfd: Option<OwnedFd>) -> Result<Child, Error> {
        let failed = match (check(reply), pidfd) {
            (Ok(()), Some(pidfd)) => {
                return Ok(Child {
                    pid: reply.pid,
                    pidfd,
                });
            }
            (Err(error), _) => error,
            // The kernel drops a descriptor for which this process has no number left.
            (Ok(()), None) => Error::Io {
                action: "receive a plugin's descriptor",
                source: rustix::io::Errno::MFILE.into(),
            },
        };
        if reply.pid > 0 {
            wait::end_child(reply.pid).during("end a process that did not start")?;
        }
        Err(failed)
    }

    /// Waits for a plugin of this launcher's to end and takes it off the kernel's table.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn reap(&self, child: &Child) -> Result<Reaped, Error> {
        let reaped = wait::reap(&child.pidfd).during("reap a plugin");
        self.children.forget(child.pid);
        reaped
    }

    /// Where forbidden calls are reported, if they are.
    pub(crate) fn reports(&self) -> Option<&Reports> {
        self.reports.as_deref()
    }

    /// What a plugin of this launcher's is shown, with the package where it sees that.
    pub(crate) fn view(&self, plan: &Plan, package: &Path) -> Arc<View> {
        let view = self.view.get_or_init(|| Arc::new(View::of(plan, package)));
        if view.is_of(plan, package) {
            Arc::clone(view)
        } else {
            Arc::new(View::of(plan, package))
        }
    }

    /// Readable once the launcher has ended.
    pub(crate) fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// How many turns there are now: plugins that are being started or wait to be.
    pub(crate) fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }

    /// Whether it has ended.
    pub(crate) fn is_gone(&self) -> bool {
        let ended = (self.process.as_fd(), PollFlags::IN);
        wait_for([Some(ended)], Duration::ZERO).is_ok_and(|[ended]| ended)
    }

    /// Whether somebody gave up waiting for it, so that no other caller should begin to wait. It may be stopped, or only delayed.
    pub(crate) fn is_late(&self) -> bool {
        self.late.load(Ordering::Relaxed) > 0
    }

    /// Sends a letter, once there is room for it; false when the time was over first.
    fn send(
        &self,
        letter: &Envelope<'_>,
        since: Instant,
        deadline: Instant,
    ) -> Result<bool, Error> {
        while !letter.send(self.control.as_fd())? {
            let room = (self.control.as_fd(), PollFlags::OUT);
            if !self.in_time(room, since, deadline)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for the answer at a socket; `None` when the time was over first.
    fn answer(
        &self,
        socket: BorrowedFd<'_>,
        since: Instant,
        deadline: Instant,
    ) -> Result<Option<(Reply, Option<OwnedFd>)>, Error> {
        if !self.in_time((socket, PollFlags::IN), since, deadline)? {
            return Ok(None);
        }
        let answer = read_reply(socket)?;
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(Some(answer))
    }

    /// Waits until the launcher's socket is ready; false when the time was over first. A launcher that answered nobody for too long is ended, so
    /// that everybody who waits for it gets the error of one that is gone.
    fn in_time(
        &self,
        wanted: (BorrowedFd<'_>, PollFlags),
        since: Instant,
        deadline: Instant,
    ) -> Result<bool, Error> {
        loop {
            let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let silent = since.max(heard) + ANSWER_TIME;
            let left = deadline
                .min(silent)
                .saturating_duration_since(Instant::now());
            let ended = (self.process.as_fd(), PollFlags::IN);
            let [come, ended] = wait_for([Some(wanted), Some(ended)], left)?;
            if come {
                return Ok(true);
            }
            let now = Instant::now();
            let heard_since = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            if ended || (now >= silent && heard_since == heard) {
                wait::kill(&self.process).during("kill a launcher")?;
                return Err(Error::LauncherGone);
            }
            if now >= deadline {
                return Ok(false);
            }
        }
    }

    fn borrow_reply(&self) -> Result<ReplySocket, Error> {
        let kept = self
            .replies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        match kept {
            Some(socket) => Ok(socket),
            None => socket_pair().map(|(ours, theirs)| ReplySocket { ours, theirs }),
        }
    }

    fn give_back(&self, socket: ReplySocket) {
        let mut kept = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < REPLIES_KEPT {
            kept.push(socket);
        }
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        let killed = wait::kill(&self.process);
        debug_assert!(killed.is_ok(), "a child of our own can be killed");
        if let Some(keeper) = self.keeper.take() {
            // It ends once the launcher is reaped, which was just killed.
            let joined = keeper.join();
            debug_assert!(joined.is_ok(), "a keeper does not panic");
        }
    }
}

/// A failed step as an error.
fn check(reply: &Reply) -> Result<(), Error> {
    if reply.errno == 0 {
        return Ok(());
    }
    let step = Step::ALL
        .into_iter()
        .find(|step| *step as u32 == reply.step)
        .unwrap_or(Step::Setup);
    Err(Error::Step {
        step: step.as_str(),
        source: std::io::Error::from_raw_os_error(reply.errno),
    })
}

/// A socket pair that keeps messages apart: (ours, the launcher's).
fn socket_pair() -> Result<(OwnedFd, OwnedFd), Error> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .during("make a socket pair")?;
    Ok((ours, above_stdio(theirs)?))
}
