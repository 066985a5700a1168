//! One line of the ledger.

pub mod meta;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::digest::{EventHash, PayloadHash, or_empty};
use crate::ids::{EventId, PluginId, RequestId, RunId};
use crate::shape;
use crate::time::{self, Timestamp};

/// The longest line of an event without its newline, in bytes (contract, section 9).
pub const MAX_EVENT_BYTES: usize = 65_535;

/// An event (contract, section 9). On disk every field is present; what does not apply is `""`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Event {
    /// The event's name.
    pub event_id: EventId,
    /// The run that it belongs to; `system` for the registry's events.
    pub run_id: RunId,
    /// When it was recorded, in UTC with milliseconds.
    #[serde(deserialize_with = "time::utc_milliseconds")]
    pub ts: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// The plugin concerned.
    #[serde(with = "or_empty")]
    pub plugin_id: Option<PluginId>,
    /// The request concerned.
    #[serde(with = "or_empty")]
    pub request_id: Option<RequestId>,
    /// SHA-256 of the canonical request payload.
    #[serde(with = "or_empty")]
    pub input_hash: Option<PayloadHash>,
    /// SHA-256 of the canonical result.
    #[serde(with = "or_empty")]
    pub output_hash: Option<PayloadHash>,
    /// The hash of the event before; none for the first.
    #[serde(with = "or_empty")]
    pub prev_hash: Option<EventHash>,
    /// SHA-256 of the canonical event without this field.
    pub event_hash: EventHash,
    /// Facts in words; never a secret, never a payload.
    pub meta: BTreeMap<String, String>,
}

shape::objects!(Event);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventKind {
    /// A plugin was registered, or its registration was refused.
    Register,
    /// A plugin was enabled, or a key trusted.
    Enable,
    /// A plugin was disabled, or a key's trust removed.
    Disable,
    /// A plugin is about to see a request.
    Invoke,
    /// A plugin gave a valid answer.
    Result,
    /// A request or an answer was refused.
    Reject,
    /// A call failed, or the gateway found damage.
    Error,
    /// A run's proof was exported.
    ProofExport,
}

shape::words!(EventKind);

impl EventKind {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Register => "REGISTER",
            Self::Enable => "ENABLE",
            Self::Disable => "DISABLE",
            Self::Invoke => "INVOKE",
            Self::Result => "RESULT",
            Self::Reject => "REJECT",
            Self::Error => "ERROR",
            Self::ProofExport => "PROOF_EXPORT",
        }
    }

    /// Whether the registry's state is a fold over events of this kind.
    #[must_use]
    pub fn is_registry(self) -> bool {
        match self {
            Self::Register | Self::Enable | Self::Disable => true,
            Self::Invoke | Self::Result | Self::Reject | Self::Error | Self::ProofExport => false,
        }
    }
}

impl Event {
    /// The hash that the event should carry: SHA-256 of its canonical JSON without `event_hash`.
    #[must_use]
    pub fn computed_hash(&self) -> EventHash {
        // `event_hash` sorts first, so the canonical rest is the line without that one member.
        const MEMBER: usize = r#""event_hash":"","#.len() + 64;
        let line = self.line();
        let mut rest = Vec::with_capacity(line.len() - MEMBER);
        rest.push(b'{');
        rest.extend_from_slice(&line[1 + MEMBER..]);
        EventHash::of(&rest)
    }

    /// The event's line without its newline: its canonical JSON.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        canonical::bytes(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::json as strict;

    fn event(meta: &Value) -> Event {
        let line = json!({
            "event_id": EventId::now(), "run_id": "run", "ts": "2026-01-31T12:00:00.000Z", "kind": "INVOKE",
            "plugin_id": "p.text.hello", "request_id": "", "input_hash": PayloadHash::of(b"in"),
            "output_hash": "", "prev_hash": EventHash::of(b"before"), "event_hash": EventHash::of(b"wrong"),
            "meta": meta
        });
        strict::read_as(line.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_hash_is_that_of_the_canonical_event_without_its_hash() {
        for meta in [
            json!({}),
            json!({"event_hash": "x", "é": "\"}\n", "\u{1f600}": ""}),
        ] {
            let mut event = event(&meta);
            let mut value = json!(event);
            value.as_object_mut().unwrap().remove("event_hash");
            let expected = EventHash::of(&canonical::bytes(&value));
            assert_eq!(event.computed_hash(), expected);
            event.event_hash = expected;
            assert_eq!(
                event.computed_hash(),
                expected,
                "its own hash does not matter"
            );
        }
    }

    #[test]
    fn the_hash_covers_every_other_field() {
        let original = event(&json!({"a": "b"}));
        let others: [fn(&mut Event); 10] = [
            |e| e.event_id = EventId::parse("019c1f6a-9b7d-7d0e-8c3f-3f2a1b4c5d6e").unwrap(),
            |e| e.run_id = RunId::system(),
            |e| e.ts = Timestamp::parse("2026-01-31T12:00:00.001Z").unwrap(),
            |e| e.kind = EventKind::Result,
            |e| e.plugin_id = None,
            |e| e.request_id = Some(RequestId::parse("r").unwrap()),
            |e| e.input_hash = None,
            |e| e.output_hash = Some(PayloadHash::of(b"out")),
            |e| e.prev_hash = None,
            |e| e.meta.clear(),
        ];
        for change in others {
            let mut changed = original.clone();
            change(&mut changed);
            assert_ne!(
                changed.computed_hash(),
                original.computed_hash(),
                "{changed:?}"
            );
        }
    }

    #[test]
    fn a_line_reads_back_as_the_event() {
        let event = event(&json!({"a": "b"}));
        assert_eq!(strict::read_as::<Event>(&event.line()), Ok(event.clone()));
        assert!(!event.line().contains(&b'\n'));
        assert!(event.line().starts_with(br#"{"event_hash":""#));
    }

    #[test]
    fn the_word_is_the_word_on_the_wire() {
        for kind in [
            EventKind::Register,
            EventKind::Enable,
            EventKind::Disable,
            EventKind::Invoke,
            EventKind::Result,
            EventKind::Reject,
            EventKind::Error,
            EventKind::ProofExport,
        ] {
            assert_eq!(json!(kind), json!(kind.as_str()));
        }
    }
}
