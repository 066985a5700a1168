//! A summary of the events so far, in a few bytes: the open calls, the registry's events, the last event's name. It is updated with each
//! line and saved beside each checkpoint, so that opening need not read everything again. It never decides whether a line is good.

use std::collections::{BTreeMap, BTreeSet};

use plugin_protocol::digest::{EventHash, FileHash};
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
    /// The newest pruning: the first event that it left, and SHA-256 of its `pruned.json`.
    pub(crate) pruned: Option<(u64, FileHash)>,
}

impl Tally {
    pub(crate) fn note(&mut self, place: &EventPlace, scanned: &Scanned<'_>) {
        self.last_id = EventId::parse(scanned.event_id).ok();
        if scanned.kind.is_registry() {
            self.note_registry(place, scanned);
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

    /// The part that is about the registry's events.
    pub(crate) fn note_registry(&mut self, place: &EventPlace, scanned: &Scanned<'_>) {
        self.registry.push(place, &scanned.event_hash);
        self.pruned = pruning(scanned).or(self.pruned);
    }
}

/// What an event says of a pruning, where it is about one.
pub(crate) fn pruning(scanned: &Scanned<'_>) -> Option<(u64, FileHash)> {
    let is_one = scanned.kind == EventKind::Disable
        && scanned.meta_value(meta::SUBJECT) == Some(meta::SUBJECT_LEDGER);
    let before = is_one.then(|| scanned.meta_value(meta::BEFORE))??;
    let sha256 = FileHash::parse(scanned.meta_value(meta::SHA256)?).ok()?;
    Some((before.parse().ok()?, sha256))
}

/// Calls whose closing event has not come yet; as many as are in flight.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenCalls {
    /// The names of the `INVOKE` events, and where they stand.
    by_name: BTreeMap<String, EventPlace>,
}

impl OpenCalls {
    pub(crate) fn open(&mut self, place: &EventPlace, call: &Scanned<'_>) {
        self.by_name.insert(call.event_id.to_owned(), *place);
    }

    /// Closes the call whose `INVOKE` the event names. One that names none is of a call that was refused before it: hosts may
    /// give many calls the same run, request and plugin, so nothing else says which call an event belongs to.
    fn close(&mut self, closing: &Scanned<'_>) {
        if let Some(name) = closing.meta_value(meta::INVOKE) {
            self.by_name.remove(name);
        }
    }

    /// Whether `closing` closes one of them.
    pub(crate) fn is_open(&self, closing: &Scanned<'_>) -> bool {
        closing
            .meta_value(meta::INVOKE)
            .is_some_and(|name| self.by_name.contains_key(name))
    }

    /// Takes note that events lie elsewhere now.
    pub(crate) fn relocate(&mut self, moved: &dyn Fn(&EventPlace) -> EventPlace) {
        self.by_name
            .values_mut()
            .for_each(|place| *place = moved(place));
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.by_name.len()
    }

    /// The places of the open `INVOKE` events, in ledger order.
    pub(crate) fn places(&self) -> Vec<EventPlace> {
        let mut places: Vec<_> = self.by_name.values().copied().collect();
        places.sort_unstable();
        places
    }
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
