//! Which plugins a node serves: those that are enabled, and that this host can run. A plugin that is neither has no endpoint, so that no
//! request for it comes here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plugin_protocol::ids::PluginId;
use serde_json::{Value, json};

use super::{Node, calls, say};
use crate::fault::Fault;

/// Starts and stops endpoints until they are those of `wanted`.
pub(super) async fn refresh(node: &Arc<Node>) {
    let wanted = match wanted(node).await {
        Ok(wanted) => wanted,
        Err(fault) => {
            say(&format!("no plugin is served: {fault}"));
            BTreeSet::new()
        }
    };
    let served = node.service.served();
    for plugin in served.difference(&wanted) {
        node.service.stop(plugin);
    }
    for plugin in wanted.difference(&served) {
        if let Err(fault) = calls::serve(node, plugin).await {
            say(&format!("'{plugin}' is not served: {fault}"));
        }
    }
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

/// Whether this host can run a plugin, by its layers (`doctor`) and its runtimes. Asked once a version: neither changes while a node runs.
async fn runs_here(node: &Node, id: &PluginId, version: &str) -> Result<bool, Fault> {
    let known = node.service.known_to_run(id, version);
    if let Some(runs) = known {
        return Ok(runs);
    }
    let details = node.host.ask(&["show", id.as_str()]).await?;
    let report = node
        .call(
            "validateManifest",
            &json!({ "manifest": details["manifest"] }),
        )
        .await?;
    let issues = report["issues"].as_array().cloned().unwrap_or_default();
    let no_runtime = issues
        .iter()
        .find(|issue| issue["field"] == "/entrypoint/command/0" && issue["severity"] == "warning");
    let doctor = node.host.ask(&["doctor"]).await?;
    let safe = doctor["ok"] == Value::Bool(true);
    if let Some(issue) = no_runtime {
        say(&format!(
            "'{id}' is not served: {}",
            issue["message"].as_str().unwrap_or_default()
        ));
    } else if !safe {
        say(&format!(
            "'{id}' is not served: `plugin-gateway doctor` says that this host cannot hold it"
        ));
    }
    let runs = safe && no_runtime.is_none();
    node.service.knows_to_run(id, version, runs);
    Ok(runs)
}

/// What is known of versions: whether this host can run them.
pub(super) type Known = BTreeMap<(PluginId, String), bool>;
