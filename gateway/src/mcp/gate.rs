//! The way to the gateway: one of this process that holds the state, or a running one's control socket. One thread owns it, opens it at the
//! first call, and finds the next holder when one leaves. Both ways speak the supervisor channel's lines.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};
use serde_json::json;

use super::calls::{Calls, fault_before};
use crate::error::Error;
use crate::operator::reach;
use crate::serve::{Holding, Inside, Line, Lines};
use sandbox::Cancel;

/// How many orders wait; then the thread that reads the client waits.
const ORDERS: usize = 64;

/// How long a holder that leaves may take until the state can be opened, or the next holder answers.
const TAKE_OVER: Duration = Duration::from_secs(20);

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest line from a running gateway, in bytes: far above any sensible answer, but bounded.
const MAX_ANSWER_BYTES: usize = 1024 * 1024 * 1024;

/// How long the calls of others go on through this process once its client has gone.
const OTHERS_DRAIN: Duration = Duration::from_millis(150);

/// What the gate's thread is asked.
#[derive(Debug)]
enum Order {
    /// To ask the gateway.
    Ask(u64),
    /// To take a call back.
    Cancel(u64),
    End,
}

/// The gate.
#[derive(Debug)]
pub(super) struct Gate {
    orders: Sender<Order>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

/// How many connections may be lost before the thread looks; it opens one at a time.
const LOST: usize = 16;

impl Gate {
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn start(
        state: PathBuf,
        anchor: Option<PathBuf>,
        calls: Arc<Calls>,
    ) -> io::Result<Self> {
        let (orders, taken) = bounded(ORDERS);
        let (running, ended) = bounded::<()>(0);
        let (tell, lost) = bounded(LOST);
        let mut keeper = Keeper {
            state,
            anchor,
            calls,
            tell,
            wire: None,
            connection: 0,
        };
        std::thread::Builder::new()
            .name("gate".to_owned())
            .spawn(move || {
                keeper.run(&taken, &lost);
                drop(running);
            })?;
        Ok(Self { orders, ended })
    }

    /// Asks the gateway what the call of this key asks.
    pub(super) fn ask(&self, key: u64) {
        self.order(Order::Ask(key));
    }

    /// Takes the call of this key back.
    pub(super) fn cancel(&self, key: u64) {
        self.order(Order::Cancel(key));
    }

    /// Waits for room; without the thread there is nobody to tell.
    fn order(&self, order: Order) {
        drop(self.orders.send(order));
    }

    /// Lets the gateway go, until `end` at the latest. Says whether that went in good order.
    pub(super) fn end(&self, end: Instant) -> bool {
        // Where there is no room until then, or nobody to hear it, what follows says so.
        drop(self.orders.send_deadline(Order::End, end));
        // Nothing is ever sent on it.
        self.ended.recv_deadline(end) == Err(RecvTimeoutError::Disconnected)
    }
}

/// The connection.
enum Wire {
    Own { holding: Holding, session: Inside },
    Live(UnixStream),
}

struct Keeper {
    state: PathBuf,
    anchor: Option<PathBuf>,
    calls: Arc<Calls>,
    /// Hears the numbers of connections that are gone.
    tell: Sender<u64>,
    wire: Option<Wire>,
    /// The number of the connection.
    connection: u64,
}

impl Keeper {
    fn run(&mut self, orders: &Receiver<Order>, lost: &Receiver<u64>) {
        loop {
            select! {
                recv(lost) -> connection => if connection == Ok(self.connection) {
                    self.start_again();
                },
                recv(orders) -> order => match order {
                    Ok(Order::Ask(key)) => self.ask(key),
                    Ok(Order::Cancel(key)) => self.take_back(key),
                    Ok(Order::End) | Err(_) => break,
                },
            }
        }
        match self.wire.take() {
            Some(Wire::Own { holding, session }) => {
                drop(session);
                holding.end();
            }
            Some(Wire::Live(stream)) => hang_up(&stream),
            None => {}
        }
    }

    fn ask(&mut self, key: u64) {
        if let Err(error) = self.connect() {
            return self.calls.fail(key, fault_before(error));
        }
        let Some(line) = self.calls.line(key, self.connection) else {
            return;
        };
        if !self.write(&line) {
            self.start_again();
        }
    }

    fn take_back(&mut self, key: u64) {
        let message = json!({ "jsonrpc": "2.0", "method": "cancel", "params": { "id": key } });
        if !self.write(format!("{message}\n").as_bytes()) {
            self.start_again();
        }
    }

    /// Sends a line; says whether there is still somebody who takes it.
    fn write(&mut self, line: &[u8]) -> bool {
        match &mut self.wire {
            Some(Wire::Own { session, .. }) => {
                session.take(line.strip_suffix(b"\n").unwrap_or(line));
                true
            }
            Some(Wire::Live(stream)) => stream.write_all(line).is_ok(),
            None => true,
        }
    }

    /// The gateway is gone: what it did not answer is asked of the next one.
    fn start_again(&mut self) {
        // A session of a gateway that has ended keeps its state from being let go.
        match self.wire.take() {
            Some(Wire::Live(stream)) => hang_up(&stream),
            Some(Wire::Own { .. }) | None => {}
        }
        let lost = self.connection;
        self.connection += 1;
        for key in self.calls.lost(lost) {
            self.ask(key);
        }
    }

    /// Makes sure that there is a connection.
    fn connect(&mut self) -> Result<(), Error> {
        if self.wire.is_some() {
            return Ok(());
        }
        let end = Instant::now() + TAKE_OVER;
        loop {
            let anchor = self.anchor.as_deref();
            if let Some(live) = reach(&self.state, anchor)? {
                self.wire = Some(self.listen(live.into_stream())?);
                tracing::info!("through the running gateway of this state");
                return Ok(());
            }
            match self.open() {
                Ok(wire) => {
                    self.wire = Some(wire);
                    return Ok(());
                }
                // Somebody else was faster, or has not let go yet.
                Err(Error::Ledger(ledger::Error::Locked { .. })) if Instant::now() < end => {
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens the state in this process.
    fn open(&self) -> Result<Wire, Error> {
        let (tell, connection) = (self.tell.clone(), self.connection);
        let gone = move || tell.try_send(connection).unwrap_or_default();
        let holding = Holding::open(&self.state, self.anchor.as_deref(), OTHERS_DRAIN, gone)?;
        let session = holding.connect(Answers {
            calls: Arc::clone(&self.calls),
            begun: Vec::new(),
        })?;
        Ok(Wire::Own { holding, session })
    }

    /// Starts to hear what a running gateway answers.
    fn listen(&self, stream: UnixStream) -> Result<Wire, Error> {
        let failed = |source| Error::File {
            action: "listen to the gateway of",
            path: self.state.clone(),
            source,
        };
        let from = OwnedFd::from(stream.try_clone().map_err(failed)?);
        let never_thrown = Arc::new(Cancel::new().map_err(failed)?);
        let mut lines = Lines::new(from, never_thrown, MAX_ANSWER_BYTES);
        let (calls, tell, connection) =
            (Arc::clone(&self.calls), self.tell.clone(), self.connection);
        let spawned = std::thread::Builder::new()
            .name("gateway".to_owned())
            .spawn(move || {
                while let Ok(Line::Whole(line)) = lines.next() {
                    calls.hear(&line);
                }
                tell.try_send(connection).unwrap_or_default();
            });
        spawned.map_err(failed)?;
        Ok(Wire::Live(stream))
    }
}

/// Wakes the thread that listens as well.
fn hang_up(stream: &UnixStream) {
    // It fails only where the other end has hung up already.
    drop(stream.shutdown(Shutdown::Both));
}

/// Hears the answers of a session in this process.
struct Answers {
    calls: Arc<Calls>,
    /// The beginning of a line.
    begun: Vec<u8>,
}

impl Write for Answers {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.calls.hear(&self.begun);
                self.begun.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
