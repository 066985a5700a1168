//! The control socket: the same channel, for the operator of a running gateway.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use rustix::event::PollFlags;

use super::hub::Hub;
use super::lines::{Line, Lines};
use super::message::{Fault, answer};
use super::poll::{self, Woken};
use super::session::Session;
use super::task::Caller;
use crate::operator::{SOCKET, short_path};

/// The most connections at a time: a command's verb needs one for a moment, and each MCP face one for as long as its client runs.
/// Every connection costs two threads.
const MAX_CONNECTIONS: usize = 64;

/// The socket's mode: the gateway's own user alone.
const MODE: u32 = 0o600;

/// The open socket.
#[derive(Debug)]
pub(super) struct Control {
    thread: JoinHandle<()>,
}

impl Control {
    /// Opens the socket in the hub's state folder. A socket found there is left over from a gateway that has
    /// ended, since this one holds the ledger's lock.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn open(hub: &Arc<Hub>) -> io::Result<Self> {
        let path = hub.state.join(SOCKET);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = {
            let (short, _folder) = short_path(&hub.state)?;
            UnixListener::bind(short)?
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(MODE))?;
        let hub = Arc::clone(hub);
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                accept(&listener, &hub);
                remove(&path);
            })?;
        Ok(Self { thread })
    }

    /// Waits until the socket is removed; call it only after the hub's `stop` was thrown.
    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the control socket ended in a fault of the gateway");
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(
            reason = error.to_string(),
            "the control socket cannot be removed"
        );
    }
}

fn accept(listener: &UnixListener, hub: &Arc<Hub>) {
    let connections = Arc::new(AtomicUsize::new(0));
    loop {
        match poll::wait(&hub.stop, listener.as_fd(), PollFlags::IN) {
            Ok(Woken::Ready) => {}
            Ok(Woken::Stopped) | Err(_) => return,
        }
        let taken = listener.accept().and_then(|(stream, _)| {
            check_peer(&stream)?;
            enter(hub, &connections, stream)
        });
        if let Err(error) = taken {
            tracing::warn!(
                reason = error.to_string(),
                "a connection to the control socket was refused"
            );
        }
    }
}

/// Only the gateway's own user and root may speak.
fn check_peer(stream: &UnixStream) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?.uid;
    if peer.is_root() || peer == rustix::process::geteuid() {
        Ok(())
    } else {
        let words = format!(
            "user {} is neither the gateway's user nor root",
            peer.as_raw()
        );
        Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
    }
}

fn enter(hub: &Arc<Hub>, connections: &Arc<AtomicUsize>, mut stream: UnixStream) -> io::Result<()> {
    if connections.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
        connections.fetch_sub(1, Ordering::SeqCst);
        let fault = Fault::overloaded("too many connections to the control socket");
        return stream.write_all(&answer::<()>(None, Err(&fault)));
    }
    let (hub, counted) = (Arc::clone(hub), Arc::clone(connections));
    let spawned = std::thread::Builder::new()
        .name("operator".to_owned())
        .spawn(move || {
            if let Err(error) = converse(&hub, stream) {
                tracing::warn!(
                    reason = error.to_string(),
                    "a connection to the control socket failed"
                );
            }
            counted.fetch_sub(1, Ordering::SeqCst);
        });
    if spawned.is_err() {
        connections.fetch_sub(1, Ordering::SeqCst);
    }
    spawned.map(drop)
}

fn converse(hub: &Arc<Hub>, stream: UnixStream) -> io::Result<()> {
    let session = Session::open(hub, Caller::Operator, stream.try_clone()?)?;
    let other_end = stream.try_clone()?;
    let max_bytes = hub.settings.max_line_bytes;
    let lines = Lines::new(OwnedFd::from(stream), Arc::clone(&hub.stop), max_bytes);
    read(&session, lines)?;
    if poll::is_abandoned(other_end.as_fd()) {
        // The peer has closed its end, so nobody will read the answers.
        session.cancel_all();
        session.subscriptions().end(None);
    }
    Ok(())
}

/// Reads lines until the input ends.
pub(super) fn read(session: &Arc<Session>, mut lines: Lines) -> io::Result<Line> {
    loop {
        match lines.next()? {
            Line::Whole(line) => session.take(&line),
            Line::TooLong => session.refuse_too_long(),
            end @ (Line::End | Line::Stopped) => return Ok(end),
        }
    }
}

/// What is done with how reading ended.
pub(super) type OnEnd = Box<dyn FnOnce(io::Result<Line>) + Send>;

/// The same for a host, in a thread of the crew. A call behind which no line waits is carried out by the thread that read it, while
/// another goes on reading: handing the call over would keep it waiting until that other had woken.
pub(super) fn read_host(session: &Arc<Session>, mut lines: Lines, on_end: OnEnd) {
    loop {
        let job = match lines.next() {
            Ok(Line::Whole(line)) => session.accept(&line),
            Ok(Line::TooLong) => {
                session.refuse_too_long();
                None
            }
            end @ (Ok(Line::End | Line::Stopped) | Err(_)) => return on_end(end),
        };
        let Some(job) = job else { continue };
        if lines.has_more() {
            session.hand_over(job);
        } else if let Some(hand) = session.hub.crew.take() {
            let of_other = Arc::clone(session);
            let reading = hand.give(Box::new(move || read_host(&of_other, lines, on_end)));
            job();
            // The thread waits for it, so that it is taken.
            return reading.unwrap_or_else(|reading| reading());
        } else {
            // No thread could be started: nothing is read meanwhile.
            job();
        }
    }
}
