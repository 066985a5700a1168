//! The revisions of the protocol: which are spoken, and what a request says of itself in `_meta`.
//!
//! Up to 2025-11-25 a client opens a session with `initialize`. From 2026-07-28 on there is none: every request names its revision and
//! what the client can do.

use serde_json::{Value, json};

use crate::error::rpc;
use crate::serve::message::Fault;

/// The revision without sessions.
pub(super) const STATELESS: &str = "2026-07-28";

/// Those with sessions, newest first; a client that asks for another gets the first.
pub(super) const WITH_SESSIONS: [&str; 4] =
    ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The request names a revision that is not spoken here.
const UNSUPPORTED_REVISION: i32 = -32_022;

/// Names in `_meta`.
pub(super) mod meta {
    pub(in super::super) const REVISION: &str = "io.modelcontextprotocol/protocolVersion";
    pub(in super::super) const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    pub(in super::super) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    pub(in super::super) const SERVER: &str = "io.modelcontextprotocol/serverInfo";
    pub(in super::super) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
    pub(in super::super) const PROGRESS: &str = "progressToken";
}

/// Every revision, newest first.
pub(super) fn all() -> Vec<&'static str> {
    std::iter::once(STATELESS).chain(WITH_SESSIONS).collect()
}

/// The revision of a session for which `asked` was asked.
pub(super) fn of_session(asked: &str) -> &'static str {
    let known = WITH_SESSIONS.iter().find(|known| **known == asked);
    known.unwrap_or(&WITH_SESSIONS[0])
}

/// What a request is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// A session that `initialize` opened.
    Session,
    /// No session: [`STATELESS`].
    Stateless,
}

/// What a request says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Manner {
    pub(super) era: Era,
    /// Where the client wants to hear how far the call is: its name for it, a string or a number.
    pub(super) progress: Option<Value>,
    /// From which level on it wants the log of this request.
    pub(super) level: Option<Level>,
}

impl Manner {
    /// Reads `_meta` in a request's params.
    ///
    /// # Errors
    /// -32602 where something required is missing, -32022 for a revision that is not spoken.
    pub(super) fn of(params: &Value) -> Result<Self, Fault> {
        let found = match params.get("_meta") {
            None => &Value::Null,
            Some(found @ Value::Object(_)) => found,
            Some(_) => return Err(Fault::params("_meta must be an object")),
        };
        let progress = found.get(meta::PROGRESS);
        let progress = progress.filter(|token| token.is_string() || token.is_number());
        let is_stateless =
            found.get(meta::REVISION).is_some() || found.get(meta::CAPABILITIES).is_some();
        let mut manner = Self {
            era: Era::Session,
            progress: progress.cloned(),
            level: None,
        };
        if is_stateless {
            manner.era = Era::Stateless;
            manner.level = stateless(found)?;
        }
        Ok(manner)
    }
}

/// Checks what a request of the stateless revision must say; the level that it asks for.
fn stateless(found: &Value) -> Result<Option<Level>, Fault> {
    match found.get(meta::REVISION) {
        Some(Value::String(asked)) if asked == STATELESS => {}
        Some(Value::String(asked)) => return Err(unsupported(asked)),
        Some(_) | None => return Err(missing(meta::REVISION, "a string")),
    }
    if !found.get(meta::CAPABILITIES).is_some_and(Value::is_object) {
        return Err(missing(meta::CAPABILITIES, "an object"));
    }
    let level = found.get(meta::LOG_LEVEL);
    level.map(Level::read).transpose()
}

/// What is required of every request of the stateless revision.
pub(super) fn missing(name: &str, what: &str) -> Fault {
    Fault::params(format!(
        "_meta must hold '{name}', {what}, in every request of revision {STATELESS}; a client of an older one begins with initialize"
    ))
}

fn unsupported(asked: &str) -> Fault {
    const SHOWN_CHARS: usize = 80;
    let mut fault = Fault::new(UNSUPPORTED_REVISION, "Unsupported protocol version");
    let asked = plugin_protocol::shown::cut(asked, SHOWN_CHARS);
    fault.data = Some(json!({ "supported": all(), "requested": asked }));
    fault
}

/// The levels of the log, as RFC 5424 has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    const ALL: [(&'static str, Self); 8] = [
        ("debug", Self::Debug),
        ("info", Self::Info),
        ("notice", Self::Notice),
        ("warning", Self::Warning),
        ("error", Self::Error),
        ("critical", Self::Critical),
        ("alert", Self::Alert),
        ("emergency", Self::Emergency),
    ];

    /// Reads a level's name.
    ///
    /// # Errors
    /// -32602 where it is none.
    pub(super) fn read(value: &Value) -> Result<Self, Fault> {
        let known = Self::ALL.iter().find(|(name, _)| value == name);
        known.map(|(_, level)| *level).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
            Fault::params(format!("a level is one of {}", names.join(", ")))
        })
    }
}

/// Words for faults that more than one method has.
pub(super) fn no_such_method(method: &str) -> Fault {
    const SHOWN_CHARS: usize = 80;
    let shown = plugin_protocol::shown::cut(method, SHOWN_CHARS);
    Fault::new(
        rpc::METHOD_NOT_FOUND,
        format!("there is no method '{shown}'"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(meta: Value) -> Result<Manner, i32> {
        Manner::of(&json!({ "_meta": meta })).map_err(|fault| fault.code)
    }

    #[test]
    fn a_session_has_the_revision_that_was_asked_for_or_the_newest() {
        assert_eq!(of_session("2024-11-05"), "2024-11-05");
        for other in ["2026-07-28", "1.0", ""] {
            assert_eq!(of_session(other), "2025-11-25");
        }
    }

    #[test]
    fn a_request_without_a_session_says_its_revision_and_what_the_client_can_do() {
        let session = Manner::of(&json!({})).unwrap();
        assert_eq!((session.era, session.progress), (Era::Session, None));
        assert_eq!(
            of(json!({"progressToken": 7})).unwrap().progress,
            Some(json!(7))
        );
        assert_eq!(of(json!({"progressToken": {}})).unwrap().progress, None);
        let whole =
            json!({meta::REVISION: STATELESS, meta::CAPABILITIES: {}, meta::LOG_LEVEL: "warning"});
        let stateless = of(whole).unwrap();
        assert_eq!(
            (stateless.era, stateless.level),
            (Era::Stateless, Some(Level::Warning))
        );
        for (wrong, code) in [
            (json!({meta::REVISION: STATELESS}), -32_602),
            (json!({meta::CAPABILITIES: {}}), -32_602),
            (json!({meta::REVISION: 1, meta::CAPABILITIES: {}}), -32_602),
            (
                json!({meta::REVISION: STATELESS, meta::CAPABILITIES: {}, meta::LOG_LEVEL: "loud"}),
                -32_602,
            ),
            (
                json!({meta::REVISION: "2025-11-25", meta::CAPABILITIES: {}}),
                -32_022,
            ),
            (json!([]), -32_602),
        ] {
            assert_eq!(of(wrong.clone()).unwrap_err(), code, "{wrong}");
        }
    }

    #[test]
    fn a_revision_that_is_not_spoken_is_told_with_those_that_are() {
        let fault = unsupported("1900-01-01");
        let data = fault.data.unwrap();
        assert_eq!(data["requested"], "1900-01-01");
        assert_eq!(
            data["supported"],
            json!([
                "2026-07-28",
                "2025-11-25",
                "2025-06-18",
                "2025-03-26",
                "2024-11-05"
            ])
        );
    }
}
