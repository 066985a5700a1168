//! Ledger events as notifications. A follower reads the ledger's files at its own pace, so a slow one holds up nothing and loses nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::select;
use plugin_protocol::event::{Event, EventKind};
use plugin_protocol::ids::{PluginId, RunId};
use serde::Deserialize;
use serde_json::Value;

use super::hub::Subscriber;
use super::message::{Fault, Id, notification};
use super::session::Session;
use crate::error::{Error, chain};
use ledger::{self, Events, Stored};
use sandbox::Cancel;

/// How often a follower at the end looks for new events.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often it checks whether an event that it read is durable.
const DURABLE_EVERY: Duration = Duration::from_millis(1);

/// The most subscriptions of one connection: other connections find room beside it.
const OF_A_CONNECTION: usize = 8;

/// Which events are wanted: those that fit everything that is named.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Index of the first; the next one that is recorded where it is left out.
    #[serde(default)]
    from: Option<u64>,
    #[serde(default)]
    run_id: Option<RunId>,
    #[serde(default)]
    plugin_id: Option<PluginId>,
    #[serde(default)]
    kind: Option<EventKind>,
}

impl Wanted {
    fn fits(&self, event: &Event) -> bool {
        let run = self.run_id.as_ref();
        let plugin = self.plugin_id.as_ref();
        run.is_none_or(|run| *run == event.run_id)
            && plugin.is_none_or(|plugin| Some(plugin) == event.plugin_id.as_ref())
            && self.kind.is_none_or(|kind| kind == event.kind)
    }
}

/// The subscriptions of one connection by their numbers, and what ends each.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    last: u64,
    open: BTreeMap<u64, Arc<Cancel>>,
}

impl Subscriptions {
    fn add(&mut self, end: &Arc<Cancel>) -> Result<u64, Fault> {
        if self.open.len() >= OF_A_CONNECTION {
            return Err(Fault::overloaded(
                "this connection has as many subscriptions as it may: end one with 'unsubscribe'",
            ));
        }
        self.last += 1;
        self.open.insert(self.last, Arc::clone(end));
        Ok(self.last)
    }

    /// Ends the one that is named, or all; says whether there was one.
    pub(super) fn end(&mut self, number: Option<u64>) -> bool {
        let ended = match number {
            Some(number) => self.open.remove(&number).into_iter().collect(),
            None => std::mem::take(&mut self.open)
                .into_values()
                .collect::<Vec<_>>(),
        };
        ended.iter().for_each(|end| end.cancel());
        !ended.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

/// Answers `id` and starts to send the events that are wanted.
///
/// # Errors
/// When too many follow already, or the ledger cannot be read.
pub(super) fn start(session: &Arc<Session>, id: Option<Id>, wanted: Wanted) -> Result<(), Fault> {
    let hub = &session.hub;
    let end = Cancel::new()
        .map_err(|error| Fault::internal(format!("no descriptor is left ({error})")))?;
    let end = Arc::new(end);
    let number = session.subscriptions().add(&end)?;
    let subscriber = hub
        .subscriber()
        .ok_or_else(|| Fault::overloaded("as many follow the ledger as may: try again later"));
    let started = subscriber.and_then(|subscriber| {
        let (past, to_come) = hub.gateway.events_to_come();
        let from = wanted.from.unwrap_or(past);
        let events = if from < past {
            ledger::events_from(&hub.state, from)
                .map_err(|error| Fault::from(Error::from(error)))?
        } else {
            to_come
        };
        let follower = Follower {
            session: Arc::clone(session),
            number,
            events,
            from,
            past: Some(past),
            wanted,
            end,
            _subscriber: subscriber,
        };
        std::thread::Builder::new()
            .name("follower".to_owned())
            .spawn(move || follower.run(id))
            .map_err(|error| Fault::internal(format!("no thread is left ({error})")))
    });
    match started {
        Ok(_) => Ok(()),
        Err(fault) => {
            session.subscriptions().end(Some(number));
            Err(fault)
        }
    }
}

struct Follower {
    session: Arc<Session>,
    /// Its number in the session.
    number: u64,
    events: Events,
    from: u64,
    /// Where the ledger ended when the subscription began, until the reader was told that it has come there.
    past: Option<u64>,
    wanted: Wanted,
    end: Arc<Cancel>,
    _subscriber: Subscriber,
}

impl Follower {
    /// Answers first, so that no event precedes the answer.
    fn run(mut self, id: Option<Id>) {
        let (number, from) = (self.number, self.from);
        let result =
            serde_json::json!({ "subscribed": true, "from": from, "subscription": number });
        self.session.answer_with(id.as_ref(), Ok(result));
        let reason = self.follow();
        self.session.subscriptions().end(Some(number));
        self.notify(
            "eventsEnd",
            &serde_json::json!({ "reason": reason, "subscription": number }),
        );
    }

    fn notify(&self, method: &str, params: &Value) -> bool {
        self.session.send(notification(method, &params.to_string()))
    }

    /// Says, once, that everything has been sent that was recorded when the subscription began. `next` is the first index that was not
    /// looked at yet.
    fn tell_past(&mut self, next: u64) {
        if let Some(past) = self.past.take_if(|past| next >= *past) {
            let params = serde_json::json!({ "next": past, "subscription": self.number });
            self.notify("eventsPast", &params);
        }
    }

    /// Sends events until there is a reason to end.
    fn follow(&mut self) -> String {
        const UNSUBSCRIBED: &str = "unsubscribed";
        const STOPPED: &str = "the gateway stops";
        self.tell_past(self.from);
        loop {
            if self.end.is_thrown() {
                return UNSUBSCRIBED.to_owned();
            }
            // Read before looking for events, so that whatever was recorded before the switch was thrown is still sent.
            let quiet = self.session.hub.quiet.is_thrown();
            match self.events.next() {
                Some(Ok(stored)) if stored.index < self.from => {}
                Some(Ok(stored)) if !self.is_durable(&stored) => return STOPPED.to_owned(),
                Some(Ok(stored)) => {
                    if self.wanted.fits(&stored.event)
                        && !self.session.send(event(&stored, self.number))
                    {
                        return "nobody reads".to_owned();
                    }
                    self.tell_past(stored.index + 1);
                }
                Some(Err(error)) => return chain(&error),
                None if quiet => return STOPPED.to_owned(),
                None => self.pause(LOOK_EVERY),
            }
        }
    }

    /// Waits until the event is durable. If the ledger has failed it never will be, and the wait ends with the gateway.
    fn is_durable(&self, stored: &Stored) -> bool {
        while self.session.hub.gateway.events() <= stored.index {
            if self.session.hub.quiet.is_thrown() || self.end.is_thrown() {
                return false;
            }
            self.pause(DURABLE_EVERY);
        }
        true
    }

    fn pause(&self, time: Duration) {
        select! {
            recv(self.end.thrown()) -> _ => {}
            recv(self.session.hub.quiet.thrown()) -> _ => {}
            default(time) => {}
        }
    }
}

fn event(stored: &Stored, number: u64) -> Vec<u8> {
    let line = String::from_utf8_lossy(&stored.line);
    let index = stored.index;
    let params = format!("{{\"subscription\":{number},\"index\":{index},\"event\":{line}}}");
    notification("event", &params)
}
