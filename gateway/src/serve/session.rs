//! One host or operator: its calls in flight, and how its answers are sent.

use std::collections::HashMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::Receiver;
use serde::Serialize;

use super::crew::Work;
use super::hub::{Busy, Hub, StopReason};
use super::message::{self, Call, Fault, Id, answer};
use super::out::Out;
use super::subscribe::Subscriptions;
use super::task::{self, Caller, Long, Quick, Task};
use super::{subscribe, work};
use crate::config::leaves_some;
use crate::error::rpc;
use crate::operator::version;
use sandbox::Cancel;

/// One connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) hub: Arc<Hub>,
    caller: Caller,
    /// Its answers; the bytes of its requests are held there too.
    out: Out,
    flights: Mutex<HashMap<Id, Arc<Cancel>>>,
    under_way: Mutex<UnderWay>,
    subscriptions: Mutex<Subscriptions>,
}

/// How many calls are under way in a session.
#[derive(Debug, Default)]
struct UnderWay {
    all: usize,
    /// Those that name one plugin.
    by_plugin: HashMap<String, usize>,
}

/// A call that is under way in this session.
struct Flight {
    session: Arc<Session>,
    id: Option<Id>,
    /// The one plugin that it asks for.
    plugin: Option<String>,
    /// None once it is given back.
    cancel: Option<Arc<Cancel>>,
    bytes: usize,
    _busy: Busy,
}

impl Session {
    /// Opens a session whose answers go to `sink`, written by a thread of its own.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub(super) fn open(
        hub: &Arc<Hub>,
        caller: Caller,
        sink: impl Write + Send + 'static,
    ) -> std::io::Result<Arc<Self>> {
        Ok(Self::answering_by(hub, caller, Out::open(sink, || {})?))
    }

    /// The session of the host on stdin and stdout.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn of_host(hub: &Arc<Hub>) -> std::io::Result<Arc<Self>> {
        let out = Out::open_stdout(|| {})?;
        Ok(Self::answering_by(hub, Caller::Host, out))
    }

    fn answering_by(hub: &Arc<Hub>, caller: Caller, out: Out) -> Arc<Self> {
        let session = Arc::new(Self {
            hub: Arc::clone(hub),
            caller,
            out,
            flights: Mutex::default(),
            under_way: Mutex::default(),
            subscriptions: Mutex::default(),
        });
        hub.enter(&session);
        session
    }

    /// Handles one line: answers it now, or hands it to the crew.
    pub(super) fn take(self: &Arc<Self>, line: &[u8]) {
        if let Some(job) = self.accept(line) {
            self.hand_over(job);
        }
    }

    /// Has the crew carry out what [`Self::accept`] gave.
    pub(super) fn hand_over(&self, job: Work) {
        if let Err(job) = self.hub.crew.run(job) {
            // No thread could be started: the reading thread runs the call itself and reads nothing meanwhile.
            job();
        }
    }

    /// Answers one line, or gives what is to be carried out for it.
    pub(super) fn accept(self: &Arc<Self>, line: &[u8]) -> Option<Work> {
        match message::parse(line) {
            Ok(call) => self.start(call, line.len()),
            Err((id, fault)) => {
                let known = id.as_ref().map(tracing::field::display);
                tracing::warn!(
                    id = known,
                    code = fault.code,
                    reason = fault.message,
                    "bad message"
                );
                self.send(answer::<()>(id.as_ref(), Err(&fault)));
                None
            }
        }
    }

    /// Answers a line that was too long to read.
    pub(super) fn refuse_too_long(&self) {
        let most = self.hub.settings.max_line_bytes;
        let words = format!(
            "the message is longer than {most} bytes: send a binary_ref or a dataset_slice in place of so much content"
        );
        tracing::warn!(code = rpc::INVALID_REQUEST, reason = words, "bad message");
        self.send(answer::<()>(None, Err(&Fault::invalid(words))));
    }

    fn start(self: &Arc<Self>, call: Call, bytes: usize) -> Option<Work> {
        let Call { id, method, params } = call;
        if id.as_ref().is_some_and(|id| self.lock().contains_key(id)) {
            let fault = Fault::invalid("a call in flight has this id: give each call its own");
            self.answer_with(id.as_ref(), Err::<(), _>(fault));
            return None;
        }
        match task::read(self.caller, &method, params) {
            Err(fault) => self.answer_with(id.as_ref(), Err::<(), _>(fault)),
            Ok(Task::Quick(quick)) => self.quick(id, quick),
            Ok(Task::Long(long)) => return self.long(id, long, bytes),
        }
        None
    }

    fn quick(self: &Arc<Self>, id: Option<Id>, quick: Quick) {
        match quick {
            Quick::Ping => {
                self.answer_with(id.as_ref(), Ok(version(&self.hub.state, &self.hub.gateway)))
            }
            Quick::Metrics => {
                self.answer_with(
                    id.as_ref(),
                    Ok(crate::operator::metrics_of(&self.hub.gateway)),
                );
            }
            Quick::Cancel(which) => {
                let found = self.lock().get(&which).cloned();
                if let Some(cancel) = &found {
                    cancel.cancel();
                }
                let result = serde_json::json!({ "cancelled": found.is_some() });
                self.answer_with(id.as_ref(), Ok(result));
            }
            Quick::Shutdown => self.hub.tell(StopReason::Shutdown(Arc::clone(self), id)),
            Quick::Subscribe(wanted) => {
                if let Err(fault) = subscribe::start(self, id.clone(), wanted) {
                    self.answer_with(id.as_ref(), Err::<(), _>(fault));
                }
            }
            Quick::Unsubscribe(number) => {
                let mut open = self.subscriptions();
                let changed = open.end(number);
                let result =
                    serde_json::json!({ "subscribed": !open.is_empty(), "changed": changed });
                drop(open);
                self.answer_with(id.as_ref(), Ok(result));
            }
        }
    }

    fn long(self: &Arc<Self>, id: Option<Id>, task: Long, bytes: usize) -> Option<Work> {
        let (flight, cancel) = match self.begin(id.clone(), task.plugin(), bytes) {
            Ok(begun) => begun,
            Err(reason) => {
                self.overloaded(id.as_ref(), &task, &reason);
                return None;
            }
        };
        Some(Box::new(move || {
            let session = &flight.session;
            let line = catch_unwind(AssertUnwindSafe(|| {
                work::carry_out(&session.hub, &flight.id, &task, &cancel)
            }))
            .unwrap_or_else(|_| {
                tracing::error!("a call ended in a fault of the gateway");
                let fault = Fault::internal("the gateway failed in carrying out the call");
                answer::<()>(flight.id.as_ref(), Err(&fault))
            });
            drop(cancel);
            flight.end(line);
        }))
    }

    /// Takes a call into the session, where there is room for it.
    fn begin(
        self: &Arc<Self>,
        id: Option<Id>,
        plugin: Option<&str>,
        bytes: usize,
    ) -> Result<(Flight, Arc<Cancel>), String> {
        // At the control socket as well: behind it may be an MCP face with a host of its own.
        self.under_way().room(self.hub.in_flight, plugin)?;
        if self.out.held_bytes() + bytes > self.hub.settings.max_held_bytes {
            let held = self.hub.settings.max_held_bytes;
            return Err(format!(
                "requests and unread answers of more than {held} bytes are held already"
            ));
        }
        let cancel = self.hub.cancel();
        let cancel = cancel.map_err(|error| format!("no descriptor is left ({error})"))?;
        // Only the thread that reads begins calls, so that there is still room.
        self.under_way().add(plugin);
        self.out.hold(bytes);
        if let Some(id) = &id {
            self.lock().insert(id.clone(), Arc::clone(&cancel));
        }
        let flight = Flight {
            session: Arc::clone(self),
            id,
            plugin: plugin.map(str::to_owned),
            cancel: Some(Arc::clone(&cancel)),
            bytes,
            _busy: self.hub.begin(),
        };
        Ok((flight, cancel))
    }

    /// Answers a call for which there is no room. A cheap call is run all the same, on the reading thread,
    /// so that a busy gateway still answers questions about itself.
    fn overloaded(&self, id: Option<&Id>, task: &Long, reason: &str) {
        let busy = self.hub.begin();
        if let Some(line) = work::overloaded(&self.hub, id, task, reason) {
            self.send_for(id, line);
        } else if let Ok(cancel) = Cancel::new() {
            let line = work::carry_out(&self.hub, &id.cloned(), task, &cancel);
            self.send_for(id, line);
        } else {
            let fault = Fault::overloaded(reason);
            self.answer_with(id, Err::<(), _>(fault));
        }
        drop(busy);
    }

    pub(super) fn cancel_all(&self) {
        for cancel in self.lock().values() {
            cancel.cancel();
        }
    }

    pub(super) fn answer_with<T: Serialize>(&self, id: Option<&Id>, result: Result<T, Fault>) {
        if let Err(fault) = &result {
            let known = id.map(tracing::field::display);
            tracing::warn!(
                id = known,
                code = fault.code,
                reason = fault.message,
                "call refused"
            );
        }
        if id.is_some() {
            self.send(answer(id, result.as_ref()));
        }
    }

    fn send_for(&self, id: Option<&Id>, line: Vec<u8>) {
        if id.is_some() {
            self.send(line);
        }
    }

    /// Hands a line to the writer, and waits for room. Says whether there is still a writer.
    pub(super) fn send(&self, line: Vec<u8>) -> bool {
        self.out.send(line)
    }

    /// Lets the writer write what is queued and end; the channel it returns disconnects when that is done.
    pub(super) fn finish(&self) -> &Receiver<()> {
        self.out.begin_to_finish()
    }

    /// Gives up on a reader that does not read.
    pub(super) fn abandon(&self) {
        self.out.abandon();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Arc<Cancel>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscriptions(&self) -> MutexGuard<'_, Subscriptions> {
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// Whether one more call fits in `most`; no plugin takes the last places.
    fn room(&self, most: usize, plugin: Option<&str>) -> Result<(), String> {
        let free = most.saturating_sub(self.all);
        let of_plugin = plugin.and_then(|plugin| self.by_plugin.get(plugin));
        let of_plugin = of_plugin.copied().unwrap_or(0);
        if free == 0 {
            Err(format!("{most} calls are in flight already"))
        } else if !leaves_some(of_plugin, free) {
            Err(format!(
                "{of_plugin} calls of this plugin are in flight already, and the rest is for others"
            ))
        } else {
            Ok(())
        }
    }

    fn add(&mut self, plugin: Option<&str>) {
        self.all += 1;
        if let Some(plugin) = plugin {
            *self.by_plugin.entry(plugin.to_owned()).or_default() += 1;
        }
    }

    fn remove(&mut self, plugin: Option<&str>) {
        self.all -= 1;
        let Some(plugin) = plugin else { return };
        if let Some(count) = self.by_plugin.get_mut(plugin) {
            *count -= 1;
            if *count == 0 {
                self.by_plugin.remove(plugin);
            }
        }
    }
}

impl Flight {
    /// Answers. The id is free before the host can see the answer, so that it may be used again at once.
    fn end(mut self, line: Vec<u8>) {
        if let Some(id) = &self.id {
            self.session.lock().remove(id);
        }
        if let Some(cancel) = self.cancel.take() {
            self.session.hub.keep(cancel);
        }
        self.session.send_for(self.id.as_ref(), line);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.session.out.let_go(self.bytes);
        self.session.under_way().remove(self.plugin.as_deref());
    }
}
