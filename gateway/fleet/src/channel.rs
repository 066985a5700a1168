//! The supervisor channel of a running gateway (CHANNEL.md), with many calls in flight. It judges nothing of what is said on it.

use std::collections::HashMap;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::fault::{Fault, Kind};

/// Lines that wait to be written: more than a node has calls at once.
const WAITING_LINES: usize = 2_048;
/// The gateway's control socket in its state.
const SOCKET: &str = "control.sock";

/// Why a call has no result.
#[derive(Debug, Clone)]
pub(crate) enum NoResult {
    /// The gateway said so.
    Said(Fault),
    /// The gateway went away; what became of the call, its ledger says.
    Gone,
}

impl From<NoResult> for Fault {
    fn from(none: NoResult) -> Self {
        match none {
            NoResult::Said(fault) => fault,
            NoResult::Gone => Self::internal("the gateway ended before it answered"),
        }
    }
}

type Waiter = oneshot::Sender<Result<Value, NoResult>>;

/// Who waits for an answer; nobody may once the connection is closed.
type Waiting = Arc<Mutex<Option<HashMap<u64, Waiter>>>>;

/// A connection to a gateway's control socket.
#[derive(Debug)]
pub(crate) struct Channel {
    lines: mpsc::Sender<Vec<u8>>,
    waiting: Waiting,
    next: AtomicU64,
}

impl Channel {
    /// Connects to the gateway that holds `state`.
    pub(crate) async fn connect(state: &Path) -> std::io::Result<Self> {
        // A socket's address holds only 107 bytes (unix(7)): the way through an open folder is short.
        let folder = std::fs::File::open(state)?;
        let short = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
        let (from, to) = UnixStream::connect(short).await?.into_split();
        let (lines, queue) = mpsc::channel(WAITING_LINES);
        let waiting = Waiting::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(write(to, queue));
        tokio::spawn(read(from, Arc::clone(&waiting)));
        Ok(Self {
            lines,
            waiting,
            next: AtomicU64::new(1),
        })
    }

    pub(crate) fn is_open(&self) -> bool {
        lock(&self.waiting).is_some()
    }

    /// A call's number, by which it can be cancelled.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes one call and waits for its answer.
    pub(crate) async fn call(&self, method: &str, params: &Value) -> Result<Value, NoResult> {
        self.call_as(self.number(), method, params).await
    }

    /// The same under a number that the caller drew.
    pub(crate) async fn call_as(
        &self,
        id: u64,
        method: &str,
        params: &Value,
    ) -> Result<Value, NoResult> {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');
        let (answer, answered) = oneshot::channel();
        match lock(&self.waiting).as_mut() {
            Some(waiting) => drop(waiting.insert(id, answer)),
            None => return Err(NoResult::Gone),
        }
        if self.lines.send(line).await.is_err() {
            return Err(NoResult::Gone);
        }
        answered.await.unwrap_or(Err(NoResult::Gone))
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, Option<HashMap<u64, Waiter>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write(mut to: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = queue.recv().await {
        if to.write_all(&line).await.is_err() {
            return;
        }
    }
}

async fn read(from: OwnedReadHalf, waiting: Waiting) {
    let mut from = BufReader::with_capacity(64 * 1024, from);
    let mut line = Vec::new();
    loop {
        line.clear();
        // The gateway bounds what it writes, and it is trusted with more than this memory.
        match from.read_until(b'\n', &mut line).await {
            Ok(read) if read > 0 => {}
            Ok(_) | Err(_) => break,
        }
        let Ok(mut answer) = serde_json::from_slice::<Value>(&line) else {
            break;
        };
        let Some(id) = answer.get("id").and_then(Value::as_u64) else {
            continue;
        };
        let waiter = lock(&waiting).as_mut().and_then(|all| all.remove(&id));
        let result = match answer.get("error") {
            Some(error) => Err(NoResult::Said(said(error))),
            None => Ok(answer["result"].take()),
        };
        // One that waits no more has given up.
        if let Some(Err(_)) = waiter.map(|waiter| waiter.send(result)) {}
    }
    drop(lock(&waiting).take());
}

fn said(error: &Value) -> Fault {
    let text = |pointer: &str| {
        error
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let kind = Kind::from_name(text("/data/kind")).unwrap_or(Kind::Internal);
    Fault::new(kind, text("/message")).hint(text("/data/hint"))
}
