//! What the ledger keeps of a call's request and result, as the manifest's `evidence` says. Decided here and nowhere else.
//!
//! | `log_level` | in the event's `meta` | in the evidence store |
//! |---|---|---|
//! | `full` | kind and size, and the hash of what is kept | the whole request; the result |
//! | `summary` | kind and size | nothing |
//! | `minimal` | nothing beside the hashes that every event has | nothing |
//!
//! A request that no plugin saw and an answer that was not accepted are not kept.

use std::collections::BTreeMap;

use plugin_protocol::event::meta;
use plugin_protocol::manifest::{Evidence, LogLevel};
use plugin_protocol::payload::{Payload, PayloadKind};

use ledger::Document;
use validator::Admitted;

/// What is kept of one request or result.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    /// For the event's `meta`.
    pub(super) facts: BTreeMap<String, String>,
    /// For the store.
    pub(super) document: Option<Document>,
}

/// What is kept of the request, with its `INVOKE`.
pub(super) fn of_request(evidence: &Evidence, admitted: &Admitted) -> Kept {
    let request = admitted.request();
    of(
        evidence.log_level,
        [meta::INPUT_KIND, meta::INPUT_BYTES],
        (request.payload.kind(), admitted.input_bytes()),
        || Document::of_request(request, &evidence.redactions),
    )
}

/// What is kept of the result, whose canonical JSON has so many bytes, with the event that closes the call.
pub(super) fn of_result(evidence: &Evidence, result: &Payload, bytes: usize) -> Kept {
    of(
        evidence.log_level,
        [meta::OUTPUT_KIND, meta::OUTPUT_BYTES],
        (result.kind(), bytes),
        || Document::of_result(result, &evidence.redactions),
    )
}

fn of(
    level: LogLevel,
    names: [&str; 2],
    (kind, bytes): (PayloadKind, usize),
    document: impl FnOnce() -> Document,
) -> Kept {
    let facts = || {
        let values = [kind.as_str().to_owned(), bytes.to_string()];
        names.map(str::to_owned).into_iter().zip(values).collect()
    };
    match level {
        LogLevel::Minimal => Kept::default(),
        LogLevel::Summary => Kept {
            facts: facts(),
            document: None,
        },
        LogLevel::Full => Kept {
            facts: facts(),
            document: Some(document()),
        },
    }
}
