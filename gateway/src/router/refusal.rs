//! Why a call is turned away before anything is started, in the words that hosts match on.

use plugin_protocol::digest::PackageDigest;
use plugin_protocol::ids::PluginId;
use plugin_protocol::report::PluginStatus;
use plugin_protocol::words;

use super::slots::{MAX_WAITING, NoSlot};
use crate::registry::Registry;

/// Why a call is answered without starting anything.
#[derive(Debug)]
pub(super) struct Turned {
    pub(super) cause: &'static str,
    pub(super) notes: String,
    /// Whether the notes may quote what the host sent, and so stay out of the ledger.
    pub(super) quotes: bool,
}

impl Turned {
    pub(super) fn new(cause: &'static str, notes: String) -> Self {
        Self {
            cause,
            notes,
            quotes: false,
        }
    }
}

/// The plugin's id and package, when it is known and enabled now.
pub(super) fn enabled(
    registry: &Registry,
    plugin_id: &str,
) -> Result<(PluginId, PackageDigest), Turned> {
    let found = PluginId::parse(plugin_id)
        .ok()
        .and_then(|id| registry.get(&id).map(|plugin| (id, plugin)));
    let Some((id, plugin)) = found else {
        let notes = format!(
            "plugin {} {}: register it first",
            shown(plugin_id),
            words::NOT_FOUND
        );
        return Err(Turned::new("not_found", notes));
    };
    match plugin.info.status {
        PluginStatus::Enabled => Ok((id, plugin.package_digest)),
        status @ (PluginStatus::Registered | PluginStatus::Disabled | PluginStatus::Rejected) => {
            let notes = format!(
                "plugin '{id}' is {} ({})",
                words::NOT_ENABLED,
                status.as_str()
            );
            Err(Turned::new("not_enabled", notes))
        }
    }
}

/// Why no place came free.
pub(super) fn no_slot(reason: NoSlot) -> Turned {
    let notes = match reason {
        NoSlot::LineFull => format!(
            "{}: {MAX_WAITING} calls are waiting already: try again later",
            words::OVERLOADED
        ),
        NoSlot::TooLate => format!(
            "{}: no place came free within the request's time: try again later, or allow more time",
            words::OVERLOADED
        ),
    };
    Turned::new("overloaded", notes)
}

/// A host's text fit to be shown: short, and without control characters.
fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    format!(
        "'{}'",
        text.chars()
            .take(SHOWN_CHARS)
            .flat_map(char::escape_default)
            .collect::<String>()
    )
}
