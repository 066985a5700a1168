//! What a caller says of an event. It never gives an identity, a time or a place in the chain; the ledger does.

use std::collections::BTreeMap;

use plugin_protocol::digest::PayloadHash;
use plugin_protocol::event::EventKind;
use plugin_protocol::ids::{PluginId, RequestId, RunId};

/// What a caller knows of an event; identity, time and place in the chain are the ledger's to give.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The run that it belongs to.
    pub run_id: RunId,
    /// What happened.
    pub kind: EventKind,
    /// The plugin concerned.
    pub plugin_id: Option<PluginId>,
    /// The request concerned.
    pub request_id: Option<RequestId>,
    /// SHA-256 of the canonical request payload.
    pub input_hash: Option<PayloadHash>,
    /// SHA-256 of the canonical result.
    pub output_hash: Option<PayloadHash>,
    /// Facts in words; never a secret, never a payload.
    pub meta: BTreeMap<String, String>,
}

impl Draft {
    /// An event of the system itself: it belongs to the run `system`, and to no request.
    #[must_use]
    pub fn of_system(
        kind: EventKind,
        plugin_id: Option<PluginId>,
        meta: BTreeMap<String, String>,
    ) -> Self {
        Self {
            run_id: RunId::system(),
            kind,
            plugin_id,
            request_id: None,
            input_hash: None,
            output_hash: None,
            meta,
        }
    }
}
