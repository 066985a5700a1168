//! The registry as the ledger's events give it, for verbs that only read: no lock is taken, nothing is written.

use std::path::Path;

use plugin_protocol::ids::PluginId;
use plugin_protocol::report::PluginInfo;
use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use registry::{self, Registry, Store};

/// A plugin with everything that is known of it.
#[derive(Debug, Serialize)]
pub(crate) struct Details {
    #[serde(flatten)]
    pub(crate) info: PluginInfo,
    pub(crate) manifest: Value,
    pub(crate) manifest_hash: String,
    pub(crate) package_digest: String,
    pub(crate) key_id: String,
    /// Why it was rejected, empty otherwise.
    pub(crate) reason: String,
    /// The layers that hold it on this host.
    pub(crate) isolation: Vec<&'static str>,
    /// For people: the tool that it is for clients of the Model Context Protocol, or why it is none.
    #[serde(skip)]
    pub(crate) tool: String,
}

/// Folds the registry from the ledger in `state`.
pub(crate) fn inventory(state: &Path) -> Result<Registry, Error> {
    let mut registry = Registry::new();
    let mut fault = None;
    ledger::registry_events(state, &mut |event| {
        if fault.is_none() {
            fault = registry.apply(event).err();
        }
    })?;
    fault.map_or(Ok(registry), |fault| Err(fault.into()))
}

/// Everything known of one plugin.
pub(crate) fn details(state: &Path, id: &str) -> Result<Details, Error> {
    let id = parse_id(id)?;
    let registry = inventory(state)?;
    let plugin = registry
        .get(&id)
        .ok_or(registry::Error::PluginNotFound(id))?;
    let manifest = Store::open(state)?.manifest(plugin.manifest_hash)?;
    Ok(Details {
        info: plugin.info.clone(),
        manifest: plugin_protocol::json::read(&manifest).unwrap_or(Value::Null),
        manifest_hash: plugin.manifest_hash.to_string(),
        package_digest: plugin.package_digest.to_string(),
        key_id: plugin.key_id.map(|key| key.to_string()).unwrap_or_default(),
        reason: plugin.reason.clone().unwrap_or_default(),
        isolation: super::layers(state)?,
        tool: super::tool_words(&registry, state)?.of(&plugin.info.plugin_id),
    })
}

/// Reads a plugin's id as a caller wrote it.
pub(crate) fn parse_id(id: &str) -> Result<PluginId, Error> {
    PluginId::parse(id).map_err(|error| Error::Usage {
        message: error.to_string(),
        hint: "`plugin-gateway list` shows the ids".to_owned(),
    })
}
