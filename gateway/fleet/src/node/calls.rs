//! Calls that come over NATS: each is handed to the gateway once, and answered by what it said. What is refused here was not begun, and
//! says so; nothing is tried twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_nats::{HeaderMap, Message, Subscriber};
use futures_util::StreamExt as _;
use plugin_protocol::ids::PluginId;
use plugin_protocol::json;
use plugin_protocol::message::{EvidenceHashes, Response, Status};
use plugin_protocol::words;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Node;
use crate::channel::{Channel, NoResult};
use crate::fault::{Fault, Kind, chain};
use crate::names;
use crate::receipt::header;

/// The params of `invoke`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) plugin_id: String,
    pub(super) request: Value,
}

impl Asked {
    pub(super) fn text(&self, name: &str) -> &str {
        self.request
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// The calls that run, by the subject on which their caller was told who took them: by it the caller takes one back.
pub(super) type Running = Mutex<HashMap<String, (Arc<Channel>, u64)>>;

/// What is sent back.
pub(super) struct Reply {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Joins the group of the nodes that have `plugin`, and answers until it is stopped.
pub(super) async fn serve(node: &Arc<Node>, plugin: &PluginId) -> Result<(), Fault> {
    let (subject, group) = (names::invoke(plugin.as_str()), names::GROUP.to_owned());
    let subscribed = node.client.queue_subscribe(subject, group).await;
    let requests = subscribed.map_err(|error| Fault::internal(chain(&error)))?;
    let (stop, stopped) = watch::channel(());
    node.service.start(plugin, stop);
    tokio::spawn(endpoint(
        Arc::clone(node),
        plugin.clone(),
        requests,
        stopped,
    ));
    Ok(())
}

async fn endpoint(
    node: Arc<Node>,
    plugin: PluginId,
    mut requests: Subscriber,
    mut stopped: watch::Receiver<()>,
) {
    let mut leaving = false;
    loop {
        let message = tokio::select! {
            message = requests.next() => message,
            _ = stopped.changed(), if !leaving => {
                leaving = true;
                // What the server has handed over still comes, then the end.
                requests.drain().await.unwrap_or_default();
                continue;
            }
        };
        let Some(message) = message else { return };
        let permit = Arc::clone(&node.calls).try_acquire_owned().ok();
        tokio::spawn(take(Arc::clone(&node), plugin.clone(), message, permit));
    }
}

/// Answers one request. The permit is held until the answer is on its way.
async fn take(
    node: Arc<Node>,
    plugin: PluginId,
    message: Message,
    permit: Option<OwnedSemaphorePermit>,
) {
    // Nobody would hear the answer.
    let Some(reply) = message.reply.clone() else {
        return;
    };
    let begin = Instant::now();
    let mut answer = match read(&plugin, &message) {
        Err(words) => error(&node, 400, &words),
        Ok(asked) => match refusal(&node, &message, permit.is_some()) {
            Some(notes) => refused(&node, &asked, &notes),
            None => run(&node, &asked, &message).await,
        },
    };
    if node.client.max_payload() < answer.body.len() + HEADERS_BYTES {
        let headers = std::mem::take(&mut answer.headers);
        answer = error(
            &node,
            413,
            "the answer is larger than the server takes (max_payload); it is recorded",
        );
        for (name, values) in headers.iter() {
            values
                .iter()
                .for_each(|value| answer.headers.insert(name.clone(), value.clone()));
        }
    }
    let words = header(Some(&answer.headers), names::ERROR).map(str::to_owned);
    node.service
        .count(&plugin, begin.elapsed(), words.as_deref());
    let sent = node
        .client
        .publish_with_headers(reply, answer.headers, answer.body.into());
    // Where the connection is lost, the caller waits in vain, and its time says so.
    sent.await.unwrap_or_default();
    drop(permit);
}

/// Room for the headers of an answer.
const HEADERS_BYTES: usize = 2_048;

fn read(plugin: &PluginId, message: &Message) -> Result<Asked, String> {
    let asked: Asked = json::read_as(&message.payload).map_err(|error| {
        format!(
            "{}: the body is not the params of invoke: {error}",
            words::INVALID_REQUEST
        )
    })?;
    if asked.plugin_id == plugin.as_str() {
        Ok(asked)
    } else {
        Err(format!(
            "{}: plugin_id is not the one of this subject, '{plugin}'",
            words::INVALID_REQUEST
        ))
    }
}

/// Why a call is not begun; none where it is.
fn refusal(node: &Node, message: &Message, has_room: bool) -> Option<String> {
    if let Some(deadline) = header(message.headers.as_ref(), names::DEADLINE) {
        match deadline.parse::<jiff::Timestamp>() {
            Err(_) => {
                return Some(format!(
                    "{}: {} is no time as RFC 3339 writes it",
                    words::INVALID_REQUEST,
                    names::DEADLINE
                ));
            }
            Ok(deadline) if deadline <= jiff::Timestamp::now() => {
                return Some(
                    "its caller's time was over before it came here: nothing was started"
                        .to_owned(),
                );
            }
            Ok(_) => {}
        }
    }
    if let Some(why) = node.gate.closed() {
        return Some(format!(
            "{}: {why}; nothing was started, another node may be asked",
            words::OVERLOADED
        ));
    }
    (!has_room).then(|| {
        format!("{}: this node runs as many calls as it may; nothing was started, another node may be asked", words::OVERLOADED)
    })
}

/// Hands a call to the gateway.
async fn run(node: &Node, asked: &Asked, message: &Message) -> Reply {
    let channel = match node.host.channel().await {
        Ok(channel) => channel,
        Err(fault) => {
            return refused(
                node,
                asked,
                &format!("{}: {fault}; nothing was started", words::OVERLOADED),
            );
        }
    };
    let call = channel.number();
    let taken = header(message.headers.as_ref(), names::TAKEN).map(str::to_owned);
    if let Some(subject) = &taken {
        let running = (Arc::clone(&channel), call);
        running_of(node).insert(subject.clone(), running);
        let sent =
            node.client
                .publish_with_headers(subject.clone(), named(node), Vec::new().into());
        sent.await.unwrap_or_default();
    }
    let answer = carry(node, asked, &channel, call).await;
    if let Some(subject) = &taken {
        drop(running_of(node).remove(subject));
    }
    answer
}

/// One call on the channel, as a reply.
pub(super) async fn carry(node: &Node, asked: &Asked, channel: &Channel, call: u64) -> Reply {
    let params = json!({ "plugin_id": asked.plugin_id, "request": asked.request });
    match channel.call_as(call, "invoke", &params).await {
        Ok(response) => answered(node, asked, response),
        Err(NoResult::Said(fault)) => {
            let code = match fault.kind {
                Kind::Usage | Kind::Invalid | Kind::NotFound | Kind::Refused => 400,
                Kind::Ledger => 503,
                Kind::Internal => 500,
            };
            error(node, code, &fault.message)
        }
        Err(NoResult::Gone) => error(
            node,
            500,
            "the gateway ended before it answered: the node's ledger says what became of the call",
        ),
    }
}

pub(super) fn running_of(
    node: &Node,
) -> std::sync::MutexGuard<'_, HashMap<String, (Arc<Channel>, u64)>> {
    node.running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The gateway's response, with the receipt in headers and out of the body.
fn answered(node: &Node, asked: &Asked, mut response: Value) -> Reply {
    let mut headers = named(node);
    let receipt = response
        .as_object_mut()
        .and_then(|fields| fields.remove("_receipt"));
    if let Some(receipt) = receipt {
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        headers.insert(names::RUN, on_one_line(asked.text("run_id")));
        headers.insert(names::EVENT, text(&receipt["event_hash"]));
        headers.insert(names::CHECKPOINT, text(&receipt["checkpoint_size"]));
    }
    Reply {
        headers,
        body: response.to_string().into_bytes(),
    }
}

/// A run's id as a header's value, which has no line break.
fn on_one_line(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

fn named(node: &Node) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(names::NODE, node.identity.node.as_str());
    headers
}

/// A PluginResponse about a call that was not begun. It has no receipt: nothing is recorded.
fn refused(node: &Node, asked: &Asked, notes: &str) -> Reply {
    let response = Response {
        request_id: asked.text("request_id").to_owned(),
        plugin_id: asked.plugin_id.clone(),
        status: Status::Rejected,
        result: None,
        evidence_hashes: EvidenceHashes::default(),
        duration_ms: 0,
        notes: notes.to_owned(),
        receipt: None,
    };
    Reply {
        headers: named(node),
        body: plugin_protocol::canonical::bytes(&response),
    }
}

/// The service API's error.
fn error(node: &Node, code: u16, words: &str) -> Reply {
    let mut headers = named(node);
    headers.insert(names::ERROR, on_one_line(words));
    headers.insert(names::ERROR_CODE, code.to_string());
    Reply {
        headers,
        body: Vec::new(),
    }
}
