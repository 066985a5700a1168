//! What operators and callers ask of one node, or of all: how it is, its plugins, its part of a proof; and a call that is taken back.

use std::sync::Arc;

use async_nats::Message;
use futures_util::StreamExt as _;
use plugin_protocol::json;
use serde_json::{Value, json};

use super::{Node, say};
use crate::fault::{Fault, Kind, chain};
use crate::{names, nats};

/// Answers until the node ends.
pub(super) async fn answer(node: Arc<Node>) {
    let own = names::verb(&node.identity.node, "*");
    let (all, own) = (
        node.client.subscribe(names::NODES).await,
        node.client.subscribe(own).await,
    );
    let (Ok(all), Ok(own)) = (all, own) else {
        say("operators cannot ask this node: the server lets it not subscribe");
        return;
    };
    let mut asked = futures_util::stream::select(all, own);
    while let Some(message) = asked.next().await {
        tokio::spawn(one(Arc::clone(&node), message));
    }
}

async fn one(node: Arc<Node>, message: Message) {
    let Some(reply) = message.reply.clone() else {
        return;
    };
    let verb = message.subject.rsplit('.').next().unwrap_or_default();
    let params = if message.payload.is_empty() {
        Ok(Value::Null)
    } else {
        json::read(&message.payload)
    };
    let result = match params {
        Err(error) => Err(Fault::new(Kind::Invalid, error.to_string())),
        Ok(params) => carry_out(&node, verb, &params).await,
    };
    let said = match result {
        Ok(result) => json!({ "result": result }),
        Err(fault) => {
            json!({ "error": { "kind": fault.kind.as_str(), "message": fault.message, "hint": fault.hint } })
        }
    };
    let mut bytes = said.to_string().into_bytes();
    if bytes.len() + 1_024 > node.client.max_payload() {
        bytes = match put_aside(&node, &bytes).await {
            Ok(name) => json!({ "stored": name }).to_string().into_bytes(),
            Err(fault) => json!({ "error": { "kind": fault.kind.as_str(), "message": fault.message, "hint": fault.hint } })
                .to_string()
                .into_bytes(),
        };
    }
    node.client
        .publish(reply, bytes.into())
        .await
        .unwrap_or_default();
}

async fn carry_out(node: &Node, verb: &str, params: &Value) -> Result<Value, Fault> {
    match verb {
        "nodes" | "status" => Ok(status(node).await),
        "identity" => Ok(json!(node.identity)),
        "list" => node.call("listPlugins", &json!({})).await,
        "validate" => node.call("validateManifest", params).await,
        "proof" => node.call("exportProof", params).await,
        "cancel" => {
            let subject = params["taken"].as_str().unwrap_or_default();
            let running = super::calls::running_of(node).get(subject).cloned();
            match running {
                None => Ok(json!({ "cancelled": false })),
                Some((channel, call)) => Ok(channel.call("cancel", &json!({ "id": call })).await?),
            }
        }
        _ => Err(Fault::new(
            Kind::Usage,
            format!("a node has no verb '{verb}'"),
        )),
    }
}

async fn status(node: &Node) -> Value {
    let closed = node.gate.closed();
    // Held while decisions are carried out: then this waits for them, and tells of the newest.
    let progress = node.progress.lock().await;
    json!({
        "node": node.identity.node,
        "version": env!("CARGO_PKG_VERSION"),
        "vouched": node.gate.is_vouched(),
        "serving": closed.is_none(),
        "why_not": closed.unwrap_or_default(),
        "decision": progress.number,
        "decision_hash": progress.hash,
        "plugins": node.service.served(),
        "calls": node.settings.calls - node.calls.available_permits(),
        "calls_at_once": node.settings.calls,
    })
}

/// Puts what is too large for a message into the store, and gives its name there.
async fn put_aside(node: &Node, bytes: &[u8]) -> Result<String, Fault> {
    let name = format!("answer/{}", plugin_protocol::digest::FileHash::of(bytes));
    let store = nats::packages(&node.jetstream).await?;
    let mut from = bytes;
    store
        .put(name.as_str(), &mut from)
        .await
        .map_err(|error| Fault::internal(chain(&error)))?;
    Ok(name)
}
