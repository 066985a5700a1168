//! Why a call is refused before anything is started, in the words that hosts match on.

use std::time::{Duration, SystemTime};

use plugin_protocol::event::meta;
use plugin_protocol::ids::PluginId;
use plugin_protocol::message::Status;
use plugin_protocol::report::PluginStatus;
use plugin_protocol::{shown, words};

use super::breaker::{CircuitChange, Refused};
use super::cause::Cause;
use super::judge::{CANCELLED_NOTES, Judgement};
use super::slots::NoSlot;
use crate::error::{Error, chain};
use registry::{Plugin, Registry};

/// Why a call is answered without starting anything.
#[derive(Debug)]
pub(super) struct TurnedAway {
    pub(super) status: Status,
    pub(super) cause: Cause,
    pub(super) notes: String,
    /// Whether the notes may quote what the host sent, and so stay out of the ledger.
    pub(super) quotes: bool,
}

impl TurnedAway {
    pub(super) fn new(cause: Cause, notes: String) -> Self {
        Self {
            status: Status::Rejected,
            cause,
            notes,
            quotes: false,
        }
    }

    /// The host cancelled before anything was started.
    pub(super) fn cancelled() -> Self {
        Self {
            status: Status::Error,
            ..Self::new(Cause::Cancelled, CANCELLED_NOTES.to_owned())
        }
    }

    /// The pipeline's time was over before this step began.
    pub(super) fn too_late() -> Self {
        let notes = format!(
            "{}: the pipeline's total time was over before this step began",
            words::TIMEOUT
        );
        Self {
            status: Status::Timeout,
            ..Self::new(Cause::Timeout, notes)
        }
    }
}

/// The plugin's id and package, when it is known and enabled now.
pub(super) fn enabled<'a>(
    registry: &'a Registry,
    plugin_id: &str,
) -> Result<(PluginId, &'a Plugin), TurnedAway> {
    let parsed = PluginId::parse(plugin_id).ok();
    let name = parsed.as_ref().map_or("ID", PluginId::as_str).to_owned();
    let found = parsed.and_then(|id| registry.get(&id).map(|plugin| (id, plugin)));
    let Some((id, plugin)) = found else {
        const SHOWN_CHARS: usize = 80;
        let notes = format!(
            "plugin '{}' {}: `plugin-gateway register PACKAGE` adds it, then `plugin-gateway enable {name}`",
            shown::cut(plugin_id, SHOWN_CHARS),
            words::NOT_FOUND
        );
        return Err(TurnedAway::new(Cause::NotFound, notes));
    };
    match plugin.info.status {
        PluginStatus::Enabled => Ok((id, plugin)),
        status @ (PluginStatus::Registered | PluginStatus::Disabled | PluginStatus::Rejected) => {
            let next = match status {
                PluginStatus::Rejected => {
                    format!("`plugin-gateway show {id}` says why it was refused")
                }
                PluginStatus::Registered | PluginStatus::Disabled | PluginStatus::Enabled => {
                    format!("`plugin-gateway enable {id}` lets it be called")
                }
            };
            let notes = format!(
                "plugin '{id}' is {} ({}): {next}",
                words::NOT_ENABLED,
                status.as_str()
            );
            Err(TurnedAway::new(Cause::NotEnabled, notes))
        }
    }
}

/// Why a package could not be made ready: by its own fault, or where the system refused the gateway something, by the gateway's.
pub(super) fn not_ready(error: &Error) -> TurnedAway {
    let Error::Sandbox(fault @ sandbox::Error::Io { .. }) = error else {
        return TurnedAway::new(Cause::Package, chain(error));
    };
    let Judgement {
        status,
        cause,
        notes,
        ..
    } = Judgement::fault(fault);
    TurnedAway {
        status,
        ..TurnedAway::new(cause, notes)
    }
}

/// Why no slot came free, where `waiting_at_most` calls may wait.
pub(super) fn no_slot(reason: NoSlot, waiting_at_most: usize) -> TurnedAway {
    let notes = match reason {
        NoSlot::Cancelled => return TurnedAway::cancelled(),
        NoSlot::QueueFull => format!(
            "{}: as many calls as may wait are waiting already ({waiting_at_most} of all plugins, of one at most three quarters): try again later",
            words::OVERLOADED
        ),
        NoSlot::TooLate => format!(
            "{}: no slot came free within the request's time: try again later, or allow more time",
            words::OVERLOADED
        ),
    };
    TurnedAway::new(Cause::Overloaded, notes)
}

/// Why a plugin that failed too often is refused for now.
pub(super) fn open_circuit(plugin_id: &PluginId, refused: Refused) -> TurnedAway {
    let failures = refused.failures;
    let then = match refused.remaining {
        Some(remaining) => format!(
            "refused until {}, then one trial call is let through",
            from_now(remaining)
        ),
        None => "a trial call is running to see whether it works again: try again later".to_owned(),
    };
    let notes = format!(
        "{}: plugin '{plugin_id}' failed {failures} times in a row: {then}",
        words::CIRCUIT_OPEN
    );
    TurnedAway::new(Cause::CircuitOpen, notes)
}

/// The time of day after `wait`, as an RFC 3339 time.
pub(super) fn from_now(wait: Duration) -> String {
    // A clock whose time cannot be written down is no reason to panic here; it is reported elsewhere.
    let now = jiff::Timestamp::try_from(SystemTime::now()).ok();
    let then = now.and_then(|now| now.checked_add(wait).ok());
    let then = then.unwrap_or(jiff::Timestamp::MAX);
    format!("{then:.3}")
}

/// The fact for the event whose call opened or closed a circuit.
pub(super) fn circuit_fact(change: CircuitChange) -> (String, String) {
    let words = match change {
        CircuitChange::Opened { failures, wait } => format!(
            "open until {} after {failures} failures in a row",
            from_now(wait)
        ),
        CircuitChange::Closed => "closed".to_owned(),
    };
    (meta::CIRCUIT.to_owned(), words)
}
