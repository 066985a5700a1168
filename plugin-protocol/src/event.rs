//! One line of the ledger.

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
