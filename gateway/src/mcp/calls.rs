//! The calls in flight: what each asks the gateway, and how its answer goes back to the client. A call whose gateway ended without an
//! answer is asked again of the next one: a plugin keeps nothing and changes nothing, so that asking twice does no harm.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use plugin_protocol::time::Timestamp;
use serde_json::{Value, json};

use super::answer;
use super::revision::{Level, Manner};
use crate::error::{Error, rpc};
use crate::operator::Tool;
use crate::router::CANCELLED_NOTES;
use crate::serve::Out;
use crate::serve::message::{Fault, Id, answer as line_of};

/// How often a call is asked, when its gateway ends each time.
const MAX_ATTEMPTS: u32 = 3;

/// How often a client that wants it hears that a call goes on.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// How long an answer that says `cancelled`, which nobody here asked for, is kept back: its gateway is about to end, and then the call is
/// asked of the next one. Where no end follows, the answer stands.
const KEPT_BACK: Duration = Duration::from_secs(3);

/// One call in flight.
#[derive(Debug)]
pub(super) struct Flight {
    /// The client's name for it.
    pub(super) id: Id,
    pub(super) manner: Manner,
    /// From which level on the client wants its log.
    pub(super) level: Option<Level>,
    pub(super) tool: Arc<Tool>,
    pub(super) payload: Value,
    /// How long its message was.
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct Entry {
    flight: Flight,
    begun: Instant,
    told: Instant,
    attempts: u32,
    /// The connection that it was sent on.
    sent: Option<u64>,
    cancelled: bool,
    /// An answer that is kept back.
    kept_back: Option<(Instant, Value)>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    entries: HashMap<u64, Entry>,
    keys: HashMap<Id, u64>,
    bytes: usize,
}

/// All calls in flight.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) run_id: String,
    out: Arc<Out>,
    max_held_bytes: usize,
    table: Mutex<Table>,
    fewer: Condvar,
}

impl Entry {
    /// The call's name in its run; another for each time that it is asked.
    fn request_id(&self, key: u64) -> String {
        match self.attempts {
            0 | 1 => format!("call-{key}"),
            again => format!("call-{key}.{again}"),
        }
    }
}

impl Calls {
    pub(super) fn new(run_id: String, out: Arc<Out>, max_held_bytes: usize) -> Self {
        Self {
            run_id,
            out,
            max_held_bytes,
            table: Mutex::default(),
            fewer: Condvar::new(),
        }
    }

    /// Takes a call in, and gives its key.
    ///
    /// # Errors
    /// When its id is in flight, or there is no room.
    pub(super) fn begin(&self, flight: Flight) -> Result<u64, Fault> {
        let mut table = self.lock();
        if table.keys.contains_key(&flight.id) {
            return Err(id_in_flight());
        }
        if table.bytes + self.out.held_bytes() + flight.bytes > self.max_held_bytes {
            let words = format!(
                "overloaded: requests and unread answers of more than {} bytes are held already",
                self.max_held_bytes
            );
            return Err(Fault::new(rpc::INTERNAL, words));
        }
        table.next += 1;
        let key = table.next;
        table.keys.insert(flight.id.clone(), key);
        table.bytes += flight.bytes;
        let now = Instant::now();
        table.entries.insert(
            key,
            Entry {
                flight,
                begun: now,
                told: now,
                attempts: 0,
                sent: None,
                cancelled: false,
                kept_back: None,
            },
        );
        Ok(key)
    }

    /// The line that asks the gateway on connection `connection`; none where the call is over, or was taken back before it was asked.
    pub(super) fn line(&self, key: u64, connection: u64) -> Option<Vec<u8>> {
        let mut table = self.lock();
        let entry = table.entries.get_mut(&key)?;
        if entry.cancelled {
            self.remove(&mut table, key);
            return None;
        }
        entry.attempts += 1;
        entry.sent = Some(connection);
        entry.kept_back = None;
        let request = json!({
            "request_id": entry.request_id(key),
            "run_id": self.run_id,
            "timestamp": Timestamp::now(),
            "payload": entry.flight.payload,
            "context": {},
            "policy": { "deterministic_only": false, "timeout_ms": entry.flight.tool.allowed_ms, "max_retries": 0 },
        });
        let params = json!({ "plugin_id": entry.flight.tool.plugin_id, "request": request });
        let message = json!({ "jsonrpc": "2.0", "id": key, "method": "invoke", "params": params });
        Some(format!("{message}\n").into_bytes())
    }

    /// Marks a call of the client's as taken back: it will not be answered. Gives its key where there is such a call.
    pub(super) fn take_back(&self, id: &Id) -> Option<u64> {
        let mut table = self.lock();
        let key = *table.keys.get(id)?;
        table.entries.get_mut(&key)?.cancelled = true;
        Some(key)
    }

    /// Whether a call in flight has this id.
    pub(super) fn has(&self, id: &Id) -> bool {
        self.lock().keys.contains_key(id)
    }

    /// The keys of all calls in flight.
    pub(super) fn keys(&self) -> Vec<u64> {
        self.lock().entries.keys().copied().collect()
    }

    /// The calls that were asked on a connection that is gone, to be asked again. One that was asked too often is given up.
    pub(super) fn lost(&self, connection: u64) -> Vec<u64> {
        let table = self.lock();
        let on_it = table
            .entries
            .iter()
            .filter(|(_, entry)| entry.sent == Some(connection));
        let (again, over): (Vec<_>, Vec<_>) =
            on_it.partition(|(_, entry)| entry.attempts < MAX_ATTEMPTS);
        let mut again: Vec<u64> = again.into_iter().map(|(key, _)| *key).collect();
        let over: Vec<u64> = over.into_iter().map(|(key, _)| *key).collect();
        drop(table);
        again.sort_unstable();
        for key in over {
            let words = format!(
                "the gateway ended {MAX_ATTEMPTS} times without an answer to this call; the ledger has what is known of it"
            );
            self.fail(key, Fault::new(rpc::INTERNAL, words));
        }
        again
    }

    /// Answers a call with the gateway's or this room's own failure.
    pub(super) fn fail(&self, key: u64, fault: Fault) {
        let entry = self.remove(&mut self.lock(), key);
        if let Some(entry) = entry
            && !entry.cancelled
        {
            self.out
                .send(line_of::<()>(Some(&entry.flight.id), Err(&fault)));
        }
    }

    /// Takes one line from the gateway.
    pub(super) fn hear(&self, line: &[u8]) {
        let Ok(mut message) = serde_json::from_slice::<Value>(line) else {
            tracing::warn!("the gateway's answer cannot be read");
            return;
        };
        let Some(key) = message["id"].as_u64() else {
            tracing::warn!(message = message.to_string(), "the gateway says");
            return;
        };
        if let Some(error) = message.get_mut("error").map(Value::take) {
            return self.fail(key, fault_of(&error));
        }
        self.answered(key, message["result"].take());
    }

    fn answered(&self, key: u64, response: Value) {
        let mut table = self.lock();
        let Some(entry) = table.entries.get_mut(&key) else {
            return;
        };
        let is_foreign_cancel = response["status"] == "error"
            && response["notes"] == CANCELLED_NOTES
            && !entry.cancelled;
        if is_foreign_cancel && entry.attempts < MAX_ATTEMPTS && entry.kept_back.is_none() {
            entry.kept_back = Some((Instant::now(), response));
            return;
        }
        let entry = self.remove(&mut table, key);
        drop(table);
        if let Some(entry) = entry.filter(|entry| !entry.cancelled) {
            self.tell(key, entry, &response);
        }
    }

    fn tell(&self, key: u64, entry: Entry, response: &Value) {
        let request_id = entry.request_id(key);
        let Flight {
            id,
            manner,
            level,
            tool,
            ..
        } = entry.flight;
        let (word, own) = if response["status"] == "ok" {
            ("info", Level::Info)
        } else {
            ("warning", Level::Warning)
        };
        if level.is_some_and(|wanted| wanted <= own) {
            let data = json!({
                "tool": tool.name, "plugin_id": tool.plugin_id, "run_id": self.run_id, "request_id": request_id,
                "status": response["status"], "duration_ms": response["duration_ms"],
            });
            self.out.send(answer::log(word, &data));
        }
        let result = answer::of_call(
            manner.era,
            &self.run_id,
            &request_id,
            tool.is_of_server(),
            response,
        );
        self.out.send(line_of(Some(&id), Ok(&result)));
    }

    /// Tells the clients that asked for it how far their calls are, and gives out answers that were kept back long enough.
    pub(super) fn tick(&self) {
        let now = Instant::now();
        let mut table = self.lock();
        let mut ripe = Vec::new();
        for (key, entry) in &mut table.entries {
            if let Some((since, _)) = entry.kept_back
                && now.duration_since(since) >= KEPT_BACK
                && let Some((_, response)) = entry.kept_back.take()
            {
                ripe.push((*key, response));
            } else if now.duration_since(entry.told) >= PROGRESS_EVERY && !entry.cancelled {
                entry.told = now;
                self.progress(entry);
            }
        }
        let ripe: Vec<_> = ripe
            .into_iter()
            .filter_map(|(key, response)| {
                let entry = self.remove(&mut table, key)?;
                (!entry.cancelled).then_some((key, entry, response))
            })
            .collect();
        drop(table);
        for (key, entry, response) in ripe {
            self.tell(key, entry, &response);
        }
    }

    /// One notification about a call, under the table's lock, so that none follows the answer. It may be lost; the next one says more.
    fn progress(&self, entry: &Entry) {
        let Some(token) = &entry.flight.manner.progress else {
            return;
        };
        let seconds = entry.begun.elapsed().as_secs_f64();
        let most = Duration::from_millis(entry.flight.tool.allowed_ms).as_secs_f64();
        let params = json!({
            "progressToken": token, "progress": (seconds * 10.0).round() / 10.0,
            "message": format!("runs for {seconds:.0} s, of at most {most:.0} s"),
        });
        self.out
            .offer(answer::notification("notifications/progress", &params));
    }

    /// Waits until nothing is in flight, or the time is over.
    pub(super) fn wait_until_none(&self, end: Instant) -> bool {
        let mut table = self.lock();
        while !table.entries.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.fewer.wait_timeout(table, left);
            table = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn remove(&self, table: &mut Table, key: u64) -> Option<Entry> {
        let entry = table.entries.remove(&key)?;
        table.keys.remove(&entry.flight.id);
        table.bytes -= entry.flight.bytes;
        self.fewer.notify_all();
        Some(entry)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each request in flight has an id of its own.
pub(super) fn id_in_flight() -> Fault {
    Fault::invalid("a request in flight has this id: give each its own")
}

/// The gateway's own error in answer to a call: it ran nothing, or cannot say what came of it.
fn fault_of(error: &Value) -> Fault {
    let message = error["message"].as_str().unwrap_or("the gateway failed");
    let mut fault = Fault::new(rpc::INTERNAL, message);
    fault.data = error.get("data").cloned();
    fault
}

/// The same for an error before anything was sent.
pub(super) fn fault_before(error: Error) -> Fault {
    let mut fault = Fault::from(error);
    fault.code = rpc::INTERNAL;
    fault
}

#[cfg(test)]
mod tests;
