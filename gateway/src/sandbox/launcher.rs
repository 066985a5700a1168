//! One launcher process: started by a thread that keeps it, asked to start plugins, ended when nobody needs it.
//!
//! The keeper is a thread because the kernel ties a death signal to a thread: launcher and plugins are children of
//! that one, which lives as long as they, and not of whichever thread of the host asked for a run.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::children::Children;
use super::error::{Error, While};
use super::filter::{Filter, Wanted};
use super::host::{self, Host};
use super::layout::Layout;
use super::letter::{Letter, read_reply};
use super::reports::Reports;
use super::streams::above_stdio;
use crate::sys::launcher::wire::{Reply, Step};
use crate::sys::spawn::{self, Child};
use crate::sys::wait::{self, Reaped};

/// How long a launcher may take to answer. Starting takes it less than a millisecond; one that does not answer after this
/// was stopped by somebody, and is replaced.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Stack of the keeper thread in bytes: it only waits, and takes reports.
const KEEPER_STACK_BYTES: usize = 256 * 1024;

/// The most idle sockets for replies that are kept for the next runs; more runs at once make their own.
const REPLIES_KEPT: usize = 64;

/// What a launcher puts on, once, and so every plugin that it starts.
#[derive(Debug)]
pub(super) struct Outfit {
    /// Flags of the namespaces that are to be had.
    pub(super) namespaces: i32,
    /// The private root, where there is a mount namespace.
    pub(super) root: Option<Layout>,
    /// The system-call filter.
    pub(super) wanted: Wanted,
    /// The rules of every plugin's Landlock domain.
    pub(super) ruleset: Option<OwnedFd>,
    /// Resource limits that are the same for every plugin.
    pub(super) limits: Vec<(u32, u64)>,
}

/// One plugin to start.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// As root: the user and group id to become.
    pub(super) user: Option<u32>,
    /// What the last filter knows this launch's exec by.
    pub(super) cookies: [u32; 2],
    /// The limit on descriptors.
    pub(super) descriptors: u64,
    /// Resource limits, soft and hard alike.
    pub(super) limits: &'a [(u32, u64)],
    /// The program's name and arguments.
    pub(super) arguments: &'a [CString],
    /// What becomes descriptors 0, 1 and 2.
    pub(super) stdio: [BorrowedFd<'a>; 3],
    /// The program to run; none for a rehearsal, which stops short of exec.
    pub(super) program: Option<BorrowedFd<'a>>,
    /// The control group to be born in (version 2).
    pub(super) birthplace: Option<BorrowedFd<'a>>,
    /// The files into which to write to enter control groups (version 1).
    pub(super) doors: Vec<BorrowedFd<'a>>,
}

/// A running launcher. It is ended and reaped when dropped.
#[derive(Debug)]
pub(super) struct Launcher {
    control: OwnedFd,
    process: Arc<OwnedFd>,
    reports: Option<Arc<Reports>>,
    replies: Mutex<Vec<ReplySocket>>,
    children: Arc<Children>,
    keeper: Option<JoinHandle<()>>,
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
    pub(super) fn start(host: &Host, outfit: &Outfit) -> Result<Self, Error> {
        let (control, theirs) = socket_pair()?;
        let children = Arc::<Children>::default();
        let (kept, watched) = keep(host, theirs, Arc::clone(&children))?;
        let mut launcher = Self {
            control,
            process: kept.process,
            reports: None,
            replies: Mutex::default(),
            children,
            keeper: Some(kept.thread),
        };
        let dressed = launcher.dress(host, outfit, kept.lifeline.as_fd());
        // Also when it failed: the keeper waits for this, and whoever drops the launcher for the keeper.
        let told = watched.send(launcher.reports.clone());
        debug_assert!(told.is_ok(), "the keeper waits for what to watch");
        dressed.map(|()| launcher)
    }

    /// Tells the launcher what to put on, and waits until it has.
    fn dress(
        &mut self,
        host: &Host,
        outfit: &Outfit,
        lifeline: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        let mark = host::random()?;
        let program = Filter::build(&outfit.wanted)?.with_mark(mark);
        self.send(&outfit.letter(host, lifeline, mark, &program)?)?;
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
    pub(super) fn launch(&self, start: &Start<'_>) -> Result<Child, Error> {
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
    pub(super) fn reap(&self, child: &Child) -> Result<Reaped, Error> {
        let reaped = wait::reap(&child.pidfd).during("reap a plugin");
        self.children.forget(child.pid);
        reaped
    }

    /// Where forbidden calls are reported, if they are.
    pub(super) fn reports(&self) -> Option<&Reports> {
        self.reports.as_deref()
    }

    /// Readable once the launcher has ended.
    pub(super) fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// Whether it has ended.
    pub(super) fn is_gone(&self) -> bool {
        let ended = (self.process.as_fd(), PollFlags::IN);
        wait_for([ended], Duration::ZERO).is_ok_and(|[ended]| ended)
    }

    /// Sends a letter, once there is room for it.
    fn send(&self, letter: &Letter<'_>) -> Result<(), Error> {
        while !letter.send(self.control.as_fd())? {
            let room = (self.control.as_fd(), PollFlags::OUT);
            let ended = (self.process.as_fd(), PollFlags::IN);
            self.in_time(wait_for([room, ended], ANSWER_TIME)?)?;
        }
        Ok(())
    }

    /// Waits for the answer at a socket.
    fn answer(&self, socket: BorrowedFd<'_>) -> Result<(Reply, Option<OwnedFd>), Error> {
        let answer = (socket, PollFlags::IN);
        let ended = (self.process.as_fd(), PollFlags::IN);
        self.in_time(wait_for([answer, ended], ANSWER_TIME)?)?;
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
        host: &'a Host,
        lifeline: BorrowedFd<'a>,
        mark: u64,
        filter: &[libc::sock_filter],
    ) -> Result<Letter<'a>, Error> {
        let mut letter = Letter::default();
        letter.flags(self.namespaces & !host::NAMESPACES_OF_EACH);
        letter.flags(self.namespaces & (host::NAMESPACES_OF_EACH | libc::CLONE_NEWUSER));
        letter.word(std::process::id());
        letter.yes(host.uids.is_some());
        letter.long(mark);
        letter.yes(self.wanted.reported);
        letter.yes(self.ruleset.is_some());
        for map in host.id_maps(self.namespaces)? {
            letter.text(map.as_bytes());
        }
        letter.root(self.root.as_ref());
        letter.limits(&self.limits);
        letter.filter(filter);
        letter.descriptor(lifeline);
        letter.descriptor(host.folder.as_fd());
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

type Watched = SyncSender<Option<Arc<Reports>>>;

/// A launcher's process, and the thread that keeps it.
struct Kept {
    thread: JoinHandle<()>,
    process: Arc<OwnedFd>,
    /// Readable once the thread has ended, and so nobody keeps what the launcher makes.
    lifeline: OwnedFd,
}

/// Starts the thread that keeps a launcher. Returns also where to say what to watch.
fn keep(host: &Host, control: OwnedFd, children: Arc<Children>) -> Result<(Kept, Watched), Error> {
    let (started, kept) = mpsc::sync_channel(1);
    let (watched, to_watch) = mpsc::sync_channel(1);
    let program = Arc::clone(&host.launcher);
    let thread = std::thread::Builder::new()
        .name("plugin-keeper".to_owned())
        .stack_size(KEEPER_STACK_BYTES)
        .spawn(move || {
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
                children.sweep();
            }
        })
        .during("start a thread")?;
    let (process, lifeline) = kept.recv().unwrap_or(Err(Error::LauncherGone))?;
    let kept = Kept {
        thread,
        process,
        lifeline,
    };
    Ok((kept, watched))
}

/// A descriptor of the calling thread, which is readable once that has ended. Before Linux 6.9, of the whole process.
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
    // Nothing to watch comes from a launcher that did not get ready and was dropped.
    let reports = to_watch.recv().ok().flatten();
    let ended = (process.as_fd(), PollFlags::IN);
    loop {
        let ready = match &reports {
            Some(reports) => wait_for([ended, (reports.listener(), PollFlags::IN)], FOREVER),
            None => wait_for([ended], FOREVER).map(|[ended]| [ended, false]),
        };
        match ready {
            Ok([false, true]) => {
                let taken = reports.as_ref().map(|reports| reports.take_some());
                if let Some(Err(error)) = taken {
                    tracing::error!(%error, "reports of forbidden calls cannot be taken");
                }
            }
            Ok([false, false]) => {}
            Ok([true, _]) | Err(_) => break,
        }
    }
    let reaped = wait::kill(process).and_then(|()| wait::reap(process));
    tracing::debug!(?reaped, "a launcher has ended");
}

/// Until something happens.
const FOREVER: Duration = Duration::MAX;

/// Waits until one of these is ready or the time is over.
fn wait_for<const N: usize>(
    sources: [(BorrowedFd<'_>, PollFlags); N],
    time: Duration,
) -> Result<[bool; N], Error> {
    let mut polled = sources.map(|(fd, wanted)| PollFd::from_borrowed_fd(fd, wanted));
    let timeout = Timespec::try_from(time).ok();
    loop {
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => return Ok(polled.map(|source| !source.revents().is_empty())),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno).during("wait for a launcher"),
        }
    }
}

/// A socket pair that keeps messages apart: (ours, the launcher's).
fn socket_pair() -> Result<(OwnedFd, OwnedFd), Error> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .during("make a socket pair")?;
    Ok((ours, above_stdio(theirs)?))
}
