//! One launcher process: told what to put on, asked to start plugins, ended when nobody needs it.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::PollFlags;

use crate::denial::reports::Reports;
use crate::descriptor::above_stdio;
use crate::descriptor::wait_for;
use crate::error::{Error, While};
use crate::filter::{Filter, Wanted};
use crate::launch::children::Children;
use crate::launch::keeper::keep;
use crate::launch::letter::{Letter, read_reply};
use crate::launch::means::{self, Means};
use crate::plan::layout::Layout;
use crate::sys::launcher::wire::{Reply, Step};
use crate::sys::spawn::Child;
use crate::sys::wait::{self, Reaped};

/// How long a launcher may take to answer. Starting takes it less than a millisecond; one that does not answer after this
/// was stopped by somebody, and is replaced.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The most idle sockets for replies that are kept for the next runs; more runs at once make their own.
const REPLIES_KEPT: usize = 64;

/// What a launcher puts on, once, and so every plugin that it starts.
#[derive(Debug)]
pub(crate) struct Outfit {
    /// Flags of the namespaces that are to be had.
    pub(crate) namespaces: i32,
    /// The private root, where there is a mount namespace.
    pub(crate) root: Option<Layout>,
    /// The system-call filter.
    pub(crate) wanted: Wanted,
    /// The rules of every plugin's Landlock domain.
    pub(crate) ruleset: Option<OwnedFd>,
    /// Resource limits that are the same for every plugin.
    pub(crate) limits: Vec<(u32, u64)>,
}

/// One plugin to start.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// As root: the user and group id to become.
    pub(crate) user: Option<u32>,
    /// What the last filter knows this launch's exec by.
    pub(crate) cookies: [u32; 2],
    /// The limit on descriptors.
    pub(crate) descriptors: u64,
    /// Resource limits, soft and hard alike.
    pub(crate) limits: &'a [(u32, u64)],
    /// The program's name and arguments.
    pub(crate) arguments: &'a [CString],
    /// What becomes descriptors 0, 1 and 2.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    /// The program to run; none for a rehearsal, which stops short of exec.
    pub(crate) program: Option<BorrowedFd<'a>>,
    /// The control group to be born in (version 2).
    pub(crate) birthplace: Option<BorrowedFd<'a>>,
    /// The files into which to write to enter control groups (version 1).
    pub(crate) doors: Vec<BorrowedFd<'a>>,
}

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
}

/// A plugin's turn to be started by a launcher, which is the busier while it lasts.
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
    pub(crate) fn start(means: &Means, outfit: &Outfit) -> Result<Self, Error> {
        let (control, theirs) = socket_pair()?;
        let children = Arc::<Children>::default();
        let (kept, watched) = keep(Arc::clone(&means.launcher), theirs, Arc::clone(&children))?;
        let mut launcher = Self {
            control,
            process: kept.process,
            reports: None,
            replies: Mutex::default(),
            children,
            keeper: Some(kept.thread),
            turns: AtomicUsize::new(0),
        };
        let dressed = launcher.dress(means, outfit, kept.lifeline.as_fd());
        // Also when it failed: the keeper waits for this, and whoever drops the launcher for the keeper.
        let told = watched.send(launcher.reports.clone());
        debug_assert!(told.is_ok(), "the keeper waits for what to watch");
        dressed.map(|()| launcher)
    }

    /// Tells the launcher what to put on, and waits until it has.
    fn dress(
        &mut self,
        means: &Means,
        outfit: &Outfit,
        lifeline: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        let mark = means::random()?;
        let program = Filter::build(&outfit.wanted)?.with_mark(mark);
        self.send(&outfit.letter(means, lifeline, mark, &program)?)?;
        let (reply, listener) = self.answer(self.control.as_fd())?;
        check(&reply)?;
        if outfit.wanted.reported {
            let listener = listener
                .ok_or(rustix::io::Errno::BADMSG)
                .during("receive a filter's listener")?;
            self.reports = Some(Arc::new(Reports::new(listener)));
        }
        Ok(())
    }

    /// Starts a plugin.
    ///
    /// # Errors
    /// With the step that failed; no process is left then.
    pub(crate) fn launch(&self, start: &Start<'_>) -> Result<Child, Error> {
        let socket = self.borrow_reply()?;
        let asked = self.children.ask();
        self.send(&start.letter(socket.theirs.as_fd()))?;
        let (reply, pidfd) = match self.answer(socket.ours.as_fd()) {
            Ok(answer) => answer,
            Err(error) => {
                // A plugin may have been made all the same; its keeper finds it once the launcher is gone.
                drop(asked);
                wait::kill(&self.process).during("kill a launcher")?;
                self.children.wait_for_sweep();
                return Err(error);
            }
        };
        self.give_back(socket);
        let child = self.handed_over(&reply, pidfd)?;
        asked.know(child.pid);
        Ok(child)
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
            // The kernel lets go of a descriptor for which this process has no number left.
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

    /// Readable once the launcher has ended.
    pub(crate) fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// How many plugins have their turn or wait for it.
    pub(crate) fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }

    /// Whether it has ended.
    pub(crate) fn is_gone(&self) -> bool {
        let ended = (self.process.as_fd(), PollFlags::IN);
        wait_for([Some(ended)], Duration::ZERO).is_ok_and(|[ended]| ended)
    }

    /// Sends a letter, once there is room for it.
    fn send(&self, letter: &Letter<'_>) -> Result<(), Error> {
        while !letter.send(self.control.as_fd())? {
            let room = (self.control.as_fd(), PollFlags::OUT);
            let ended = (self.process.as_fd(), PollFlags::IN);
            self.in_time(wait_for([Some(room), Some(ended)], ANSWER_TIME)?)?;
        }
        Ok(())
    }

    /// Waits for the answer at a socket.
    fn answer(&self, socket: BorrowedFd<'_>) -> Result<(Reply, Option<OwnedFd>), Error> {
        let answer = (socket, PollFlags::IN);
        let ended = (self.process.as_fd(), PollFlags::IN);
        self.in_time(wait_for([Some(answer), Some(ended)], ANSWER_TIME)?)?;
        read_reply(socket)
    }

    /// That what was waited for has come. A launcher that ended, or was stopped, is for all who wait for it the same from now on.
    fn in_time(&self, [come, _]: [bool; 2]) -> Result<(), Error> {
        if come {
            return Ok(());
        }
        wait::kill(&self.process).during("kill a launcher")?;
        Err(Error::LauncherGone)
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

impl Outfit {
    /// The first message, as the launcher reads it.
    fn letter<'a>(
        &'a self,
        means: &'a Means,
        lifeline: BorrowedFd<'a>,
        mark: u64,
        filter: &[libc::sock_filter],
    ) -> Result<Letter<'a>, Error> {
        let mut letter = Letter::default();
        letter.flags(self.namespaces & !means::NAMESPACES_OF_EACH);
        letter.flags(self.namespaces & (means::NAMESPACES_OF_EACH | libc::CLONE_NEWUSER));
        letter.word(std::process::id());
        letter.yes(means.uids.is_some());
        letter.long(mark);
        letter.yes(self.wanted.reported);
        letter.yes(self.ruleset.is_some());
        for map in means.id_maps(self.namespaces)? {
            letter.text(map.as_bytes());
        }
        letter.root(self.root.as_ref());
        letter.limits(&self.limits);
        letter.filter(filter);
        letter.descriptor(lifeline);
        letter.descriptor(means.folder.as_fd());
        if let Some(ruleset) = &self.ruleset {
            letter.descriptor(ruleset.as_fd());
        }
        Ok(letter)
    }
}

impl<'a> Start<'a> {
    /// The request, as the launcher reads it.
    fn letter(&self, reply: BorrowedFd<'a>) -> Letter<'a> {
        let mut letter = Letter::default();
        letter.yes(self.user.is_some());
        letter.word(self.user.unwrap_or(0));
        let [first, second] = self.cookies;
        letter.word(first);
        letter.word(second);
        letter.long(self.descriptors);
        letter.descriptor(reply);
        for fd in self.stdio {
            letter.descriptor(fd);
        }
        letter.descriptor_if(self.program);
        letter.descriptor_if(self.birthplace);
        letter.count(self.doors.len());
        for &door in &self.doors {
            letter.descriptor(door);
        }
        letter.limits(self.limits);
        letter.strings(self.arguments);
        letter
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
