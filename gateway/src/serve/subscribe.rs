//! Ledger events as notifications. A follower reads the ledger's files at its own pace, so a slow one holds up nothing and loses nothing.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::select;

use super::hub::Subscriber;
use super::message::{Fault, Id, notification};
use super::session::Session;
use crate::error::{Error, chain, rpc};
use ledger::{self, Events, Stored};
use sandbox::Cancel;

/// How often a follower at the end looks for new events.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often it checks whether an event that it read is durable.
const DURABLE_EVERY: Duration = Duration::from_millis(1);

/// Answers `id` and starts to send the events from index `from`, or from the next one on.
///
/// # Errors
/// When too many follow already, or the ledger cannot be read.
pub(super) fn start(
    session: &Arc<Session>,
    id: Option<Id>,
    from: Option<u64>,
) -> Result<Arc<Cancel>, Fault> {
    let hub = &session.hub;
    let subscriber = hub.subscriber().ok_or_else(|| {
        Fault::new(
            rpc::REFUSED,
            "overloaded: too many follow the ledger already",
        )
    })?;
    let events = ledger::events(&hub.state).map_err(|error| Fault::from(Error::from(error)))?;
    let from = from.unwrap_or_else(|| hub.gateway.events());
    let end = Cancel::new()
        .map_err(|error| Fault::new(rpc::INTERNAL, format!("no descriptor is left ({error})")))?;
    let end = Arc::new(end);
    let follower = Follower {
        session: Arc::clone(session),
        events,
        from,
        end: Arc::clone(&end),
        _subscriber: subscriber,
    };
    let spawned = std::thread::Builder::new()
        .name("follower".to_owned())
        .spawn(move || follower.run(id));
    match spawned {
        Ok(_) => Ok(end),
        Err(error) => Err(Fault::new(
            rpc::INTERNAL,
            format!("no thread is left ({error})"),
        )),
    }
}

struct Follower {
    session: Arc<Session>,
    events: Events,
    from: u64,
    end: Arc<Cancel>,
    _subscriber: Subscriber,
}

impl Follower {
    /// Answers first, so that no event precedes the answer.
    fn run(mut self, id: Option<Id>) {
        let result = serde_json::json!({ "subscribed": true, "from": self.from });
        self.session.answer_with(id.as_ref(), Ok(result));
        let reason = self.follow();
        let params = serde_json::json!({ "reason": reason });
        self.session
            .send(notification("eventsEnd", &params.to_string()));
    }

    /// Sends events until there is a reason to end.
    fn follow(&mut self) -> String {
        const UNSUBSCRIBED: &str = "unsubscribed";
        const STOPPED: &str = "the gateway stops";
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
                    if !self.session.send(event(&stored)) {
                        return "nobody reads".to_owned();
                    }
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

fn event(stored: &Stored) -> Vec<u8> {
    let line = String::from_utf8_lossy(&stored.line);
    let params = format!("{{\"index\":{},\"event\":{line}}}", stored.index);
    notification("event", &params)
}
