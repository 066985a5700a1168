//! What the writer knows of the events so far, in a few bytes: open calls, the registry's events, the last name. It is kept up line
//! by line and put beside each checkpoint, so that opening need not read everything again.

use std::collections::{BTreeSet, HashMap, VecDeque};

use plugin_protocol::digest::EventHash;
use plugin_protocol::event::EventKind;
use plugin_protocol::ids::EventId;
use sha2::{Digest as _, Sha256};

use crate::line::scan::Scanned;
use crate::read::walk::Place;
use crate::tree::merkle::Hash;

/// The `meta` member by which a closing event names the `INVOKE` that it closes (its `event_id`).
/// A closing event without it closes the oldest open `INVOKE` of the same run, request and plugin.
pub(crate) const CLOSES: &str = "invoke";

/// The `meta` member of an `ERROR` event that names a file in quarantine.
pub(crate) const QUARANTINE: &str = "quarantine";

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
    pub(crate) fn note(&mut self, place: &Place, scanned: &Scanned<'_>) {
        self.last_id = EventId::parse(scanned.event_id).ok();
        match scanned.kind {
            EventKind::Register | EventKind::Enable | EventKind::Disable => {
                self.registry.push(place, &scanned.event_hash)
            }
            EventKind::Invoke => self.calls.open(place, scanned),
            EventKind::Result | EventKind::Reject => self.calls.close(scanned),
            EventKind::Error => {
                self.calls.close(scanned);
                if let Some(name) = scanned.meta_value(QUARANTINE) {
                    self.recorded_cuts.insert(name.to_owned());
                }
            }
            EventKind::ProofExport => {}
        }
    }
}

/// Calls whose closing event has not come yet; as many as are in flight.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenCalls {
    /// Run, request and plugin → the names and places of its open calls, oldest first.
    by_request: HashMap<[String; 3], VecDeque<(String, Place)>>,
}

impl OpenCalls {
    pub(crate) fn open(&mut self, place: &Place, call: &Scanned<'_>) {
        self.by_request
            .entry(request_of(call))
            .or_default()
            .push_back((call.event_id.to_owned(), *place));
    }

    fn close(&mut self, closing: &Scanned<'_>) {
        let key = request_of(closing);
        let Some(open) = self.by_request.get_mut(&key) else {
            return;
        };
        let named = closing
            .meta_value(CLOSES)
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
    pub(crate) fn places(&self) -> Vec<Place> {
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
    pub(crate) fresh: Vec<Place>,
}

impl RegistryLog {
    pub(crate) fn push(&mut self, place: &Place, event_hash: &EventHash) {
        let mut hasher = Sha256::new();
        hasher.update(self.digest);
        hasher.update(event_hash.as_bytes());
        self.digest = hasher.finalize().into();
        self.count += 1;
        self.fresh.push(*place);
    }
}
