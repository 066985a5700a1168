//! A summary of the events so far, in a few bytes: the open calls, the registry's events, the last event's name. It is updated with each
//! line and saved beside each checkpoint, so that opening need not read everything again. It never decides whether a line is good.

use std::collections::{BTreeSet, HashMap, VecDeque};

use plugin_protocol::digest::EventHash;
use plugin_protocol::event::{EventKind, meta};
use plugin_protocol::ids::EventId;
use sha2::{Digest as _, Sha256};

use crate::disk::EventPlace;
use crate::line::Scanned;
use crate::tree::Hash;

/// A fold over the events.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) calls: OpenCalls,
    pub(crate) registry: RegistryLog,
    /// The files in quarantine that an event names, among the events seen.
    pub(crate) recorded_cuts: BTreeSet<String>,
    pub(crate) last_id: Option<EventId>,
}

impl Tally {
    pub(crate) fn note(&mut self, place: &EventPlace, scanned: &Scanned<'_>) {
        self.last_id = EventId::parse(scanned.event_id).ok();
        if scanned.kind.is_registry() {
            self.registry.push(place, &scanned.event_hash);
        }
        match scanned.kind {
            EventKind::Invoke => self.calls.open(place, scanned),
            EventKind::Result | EventKind::Reject => self.calls.close(scanned),
            EventKind::Error => {
                self.calls.close(scanned);
                if let Some(name) = scanned.meta_value(meta::QUARANTINE) {
                    self.recorded_cuts.insert(name.to_owned());
                }
            }
            EventKind::Register
            | EventKind::Enable
            | EventKind::Disable
            | EventKind::ProofExport => {}
        }
    }
}

/// Calls whose closing event has not come yet; as many as are in flight.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenCalls {
    /// Run, request and plugin → the names and places of its open calls, oldest first.
    by_request: HashMap<[String; 3], VecDeque<(String, EventPlace)>>,
}

impl OpenCalls {
    pub(crate) fn open(&mut self, place: &EventPlace, call: &Scanned<'_>) {
        self.by_request
            .entry(request_of(call))
            .or_default()
            .push_back((call.event_id.to_owned(), *place));
    }

    /// Closes the call whose `INVOKE` the event names; where it names none, the oldest open one of its run, request and plugin.
    fn close(&mut self, closing: &Scanned<'_>) {
        let key = request_of(closing);
        let Some(open) = self.by_request.get_mut(&key) else {
            return;
        };
        let named = closing
            .meta_value(meta::INVOKE)
            .and_then(|name| open.iter().position(|(id, _)| id == name));
        open.remove(named.unwrap_or(0));
        if open.is_empty() {
            self.by_request.remove(&key);
        }
    }

    /// Whether `closing` closes one of them.
    pub(crate) fn is_open(&self, closing: &Scanned<'_>) -> bool {
        self.by_request.contains_key(&request_of(closing))
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.by_request.values().map(VecDeque::len).sum()
    }

    /// The places of the open `INVOKE` events, in ledger order.
    pub(crate) fn places(&self) -> Vec<EventPlace> {
        let mut places: Vec<_> = self
            .by_request
            .values()
            .flatten()
            .map(|(_, place)| *place)
            .collect();
        places.sort_unstable();
        places
    }
}

fn request_of(scanned: &Scanned<'_>) -> [String; 3] {
    [scanned.run_id, scanned.request_id, scanned.plugin_id].map(str::to_owned)
}

/// The `REGISTER`, `ENABLE` and `DISABLE` events: how many, a digest over them, and the places not yet in the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RegistryLog {
    pub(crate) count: u64,
    /// SHA-256 of the digest before and the event's hash, for each event; 32 zero bytes before the first.
    pub(crate) digest: Hash,
    pub(crate) fresh: Vec<EventPlace>,
}

impl RegistryLog {
    pub(crate) fn push(&mut self, place: &EventPlace, event_hash: &EventHash) {
        let mut hasher = Sha256::new();
        hasher.update(self.digest);
        hasher.update(event_hash.as_bytes());
        self.digest = hasher.finalize().into();
        self.count += 1;
        self.fresh.push(*place);
    }
}
