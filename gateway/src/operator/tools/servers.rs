//! The names of the tools that servers pin, read from the store: what the names of all tools are made from.

use std::collections::HashMap;

use plugin_protocol::digest::PackageDigest;
use plugin_protocol::{json, mcp};
use registry::{Plugin, Registry, Store};
use serde_json::Value;

use super::names::ToolNames;
use crate::error::Error;

/// What was read of each package; a package never changes.
#[derive(Debug, Default)]
pub(crate) struct Servers(HashMap<PackageDigest, Option<Vec<String>>>);

impl Servers {
    /// The names of all plugins' tools.
    pub(crate) fn names(&mut self, registry: &Registry, store: &Store) -> ToolNames {
        let plugins = registry.list();
        ToolNames::of(&plugins, |id| {
            let plugin = registry.get(id)?;
            let known = self.0.get(&plugin.package_digest);
            if let Some(known) = known {
                return known.clone();
            }
            // One that cannot be read now is looked at again.
            let read = pinned(plugin, store).ok()?;
            self.0.insert(plugin.package_digest, read.clone());
            read
        })
    }
}

/// The names of a server's tools in the order of the file; none of any other plugin.
fn pinned(plugin: &Plugin, store: &Store) -> Result<Option<Vec<String>>, Error> {
    let unread = |error: json::Error| Error::Invalid {
        message: error.to_string(),
    };
    let manifest = store.manifest(plugin.manifest_hash)?;
    let manifest = json::read_schema(&manifest, usize::MAX).map_err(unread)?;
    let kind = manifest.pointer("/entrypoint/type").and_then(Value::as_str);
    if kind != Some("mcp") {
        return Ok(None);
    }
    let file = store
        .open_package(plugin.package_digest)?
        .file(mcp::TOOLS_FILE)?;
    let file = json::read_schema(&file, usize::MAX).map_err(unread)?;
    let tools = file["tools"].as_array().into_iter().flatten();
    let names = tools.filter_map(|tool| Some(tool["name"].as_str()?.to_owned()));
    Ok(Some(names.collect()))
}
