//! Which plugins a node serves: those that are enabled, and that this host can run. A plugin that is neither has no endpoint, so that no
//! request for it comes here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plugin_protocol::ids::PluginId;
use serde_json::{Value, json};

use super::{Node, calls, say};
use crate::fault::Fault;

/// How often the plugins are looked at although nothing was decided: an operator may switch one off at this node alone.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the endpoints those of the plugins that are to be served.
pub(super) async fn keep(node: Arc<Node>) {
    // It rehearses every layer, which takes seconds; what a host can hold does not change while a node runs.
    let safe = loop {
        match node.host.ask(&["doctor"]).await {
            Ok(said) => break said["ok"] == Value::Bool(true),
            Err(fault) => say(&format!("no plugin is served yet: {fault}")),
        }
        tokio::time::sleep(LOOK).await;
    };
    if !safe {
        say("no plugin is served: `plugin-gateway doctor` says that this host cannot hold one");
        return;
    }
    let mut told = String::new();
    loop {
        match refresh(&node).await {
            Ok(()) => told.clear(),
            Err(fault) if told != fault.message => {
                say(&format!("what is served stays as it is: {fault}"));
                told = fault.message;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = node.changed.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn refresh(node: &Arc<Node>) -> Result<(), Fault> {
    let wanted = wanted(node).await?;
    let served = node.service.served();
    for plugin in served.difference(&wanted) {
        node.service.stop(plugin);
    }
    for plugin in wanted.difference(&served) {
        calls::serve(node, plugin).await?;
    }
    Ok(())
}

/// Leaves every group. What was handed over already is answered.
pub(super) async fn stop_all(node: &Node) {
    for plugin in node.service.served() {
        node.service.stop(&plugin);
    }
    node.client.flush().await.unwrap_or_default();
}

async fn wanted(node: &Node) -> Result<BTreeSet<PluginId>, Fault> {
    if node.gate.closed().is_some() {
        return Ok(BTreeSet::new());
    }
    let plugins = node.call("listPlugins", &json!({})).await?;
    let mut wanted = BTreeSet::new();
    for plugin in plugins.as_array().into_iter().flatten() {
        let text = |name: &str| plugin[name].as_str().unwrap_or_default();
        let Ok(id) = PluginId::parse(text("plugin_id")) else {
            continue;
        };
        if text("status") == "enabled" && runs_here(node, &id, text("version")).await? {
            wanted.insert(id);
        }
    }
    Ok(wanted)
}

/// Whether this host has the runtime of a plugin. Asked once a version.
async fn runs_here(node: &Node, id: &PluginId, version: &str) -> Result<bool, Fault> {
    let known = node.service.known_to_run(id, version);
    if let Some(runs) = known {
        return Ok(runs);
    }
    let (state, plugin) = (node.host.state().to_owned(), id.clone());
    let read = tokio::task::spawn_blocking(move || manifest(&state, &plugin)).await;
    let manifest = read.map_err(|error| Fault::internal(error.to_string()))??;
    let report = node
        .call("validateManifest", &json!({ "manifest": manifest }))
        .await?;
    let issues = report["issues"].as_array().cloned().unwrap_or_default();
    let no_runtime = issues
        .iter()
        .find(|issue| issue["field"] == "/entrypoint/command/0" && issue["severity"] == "warning");
    if let Some(issue) = no_runtime {
        say(&format!(
            "'{id}' is not served: {}",
            issue["message"].as_str().unwrap_or_default()
        ));
    }
    node.service.knows_to_run(id, version, no_runtime.is_none());
    Ok(no_runtime.is_none())
}

/// The manifest of a registered plugin, as the ledger and the store have it.
fn manifest(state: &Path, id: &PluginId) -> Result<Value, Fault> {
    let mut registry = registry::Registry::new();
    let mut fault = None;
    ledger::registry_events(state, &mut |event| {
        if fault.is_none() {
            fault = registry.apply(event).err();
        }
    })?;
    if let Some(fault) = fault {
        return Err(fault.into());
    }
    let plugin = registry
        .get(id)
        .ok_or_else(|| registry::Error::PluginNotFound(id.clone()))?;
    let manifest = registry::Store::open(state)?.manifest(plugin.manifest_hash)?;
    plugin_protocol::json::read(&manifest).map_err(|error| Fault::internal(error.to_string()))
}

/// What is known of versions: whether this host can run them.
pub(super) type Known = BTreeMap<(PluginId, String), bool>;
