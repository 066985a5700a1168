//! Asking the fleet: a call goes to whichever node has the plugin, once. Where its answer does not come, that is said, and nothing is tried
//! again; only a node that said that it began nothing is passed over for another.

mod batch;
mod operator;
mod pipeline;
mod proof;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use async_nats::{Client, HeaderMap, Message, StatusCode};
use futures_util::StreamExt as _;
use plugin_protocol::manifest::MAX_CALL_MS;
use plugin_protocol::message::{EvidenceHashes, Response, Status};
use plugin_protocol::{canonical, json, words};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::fault::{Fault, Kind, chain};
use crate::names;
use crate::nats::{self, Access};
use crate::receipt::{Receipt, Receipts, header};

pub(crate) use batch::Wait;
pub use operator::Decided;
pub use proof::Gathered;

/// How long an answer may be on its way beside the time that the request allows its plugin.
const GRACE: Duration = Duration::from_millis(1_000);
/// How often a call is asked elsewhere after a node said that it is full, and the pauses between.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(10);
/// How long all nodes together may take to say how they are, and the silence that ends the wait.
const NODES: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_millis(200);
/// How long one node may take to carry out a verb.
const VERB: Duration = Duration::from_secs(30);

/// A call's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What the plugin's node said, or what is said in its place where no answer came.
    pub response: Response,
    /// The node that answered, or that took the request; empty where none is known.
    pub node: String,
    /// Where the call stands in the node's ledger; none where it was not recorded, or no answer came.
    pub receipt: Option<Receipt>,
}

type Waiting = Arc<Mutex<HashMap<u64, mpsc::UnboundedSender<Message>>>>;

/// A connection to a fleet.
#[derive(Debug)]
pub struct Caller {
    client: Client,
    jetstream: Context,
    inbox: String,
    next: AtomicU64,
    waiting: Waiting,
    receipts: Receipts,
}

impl Caller {
    /// Connects. Receipts are kept in `receipts`, or under the XDG state folder.
    ///
    /// # Errors
    /// `Refused` for credentials that the server does not take, `Internal` where no server answers.
    pub async fn connect(access: &Access, receipts: Option<PathBuf>) -> Result<Self, Fault> {
        let client = access.connect("plugin-gateway-fleet", |_| {}).await?;
        let inbox = client.new_inbox();
        let failed = |error: async_nats::client::SubscribeError| Fault::internal(chain(&error));
        let mut answers = client
            .subscribe(format!("{inbox}.>"))
            .await
            .map_err(failed)?;
        let waiting = Waiting::default();
        let heard = Arc::clone(&waiting);
        tokio::spawn(async move {
            while let Some(message) = answers.next().await {
                let number = message
                    .subject
                    .rsplit('.')
                    .nth(1)
                    .and_then(|part| part.parse().ok());
                let waiting = heard.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(to) = number.and_then(|number: u64| waiting.get(&number)) {
                    // One that waits no more has given up.
                    if let Err(_late) = to.send(message) {}
                }
            }
        });
        Ok(Self {
            jetstream: nats::jetstream(&client),
            receipts: Receipts::open(receipts)?,
            client,
            inbox,
            next: AtomicU64::new(1),
            waiting,
        })
    }

    /// Asks a plugin once, on whichever node has it.
    ///
    /// # Errors
    /// When the request cannot be sent, or the node cannot record it. What comes of a call is no error.
    pub async fn invoke(&self, plugin_id: &str, request: &Value) -> Result<Answer, Fault> {
        let timeout_ms = request
            .pointer("/policy/timeout_ms")
            .and_then(Value::as_u64);
        let allowed = Duration::from_millis(timeout_ms.unwrap_or(MAX_CALL_MS).min(MAX_CALL_MS));
        self.invoke_within(plugin_id, request, Instant::now() + allowed + GRACE, None)
            .await
    }

    /// The same, until `end`. `taken` hears the subject by which the node that took it can be told to give it up.
    async fn invoke_within(
        &self,
        plugin_id: &str,
        request: &Value,
        end: Instant,
        taken: Option<&Mutex<Vec<(String, String)>>>,
    ) -> Result<Answer, Fault> {
        let body = json!({ "plugin_id": plugin_id, "request": request }).to_string();
        if body.len() + 4_096 > self.client.max_payload() {
            let words = format!(
                "{}: it is larger than the server takes ({} bytes): send a binary_ref or a dataset_slice instead",
                words::INVALID_REQUEST,
                self.client.max_payload()
            );
            return Err(Fault::new(Kind::Invalid, words));
        }
        let mut tries = 0;
        loop {
            let answer = self.ask(plugin_id, request, &body, end, taken).await?;
            let full = answer.receipt.is_none()
                && answer.response.status == Status::Rejected
                && answer.response.notes.starts_with(words::OVERLOADED);
            tries += 1;
            let pause = PAUSE * 2_u32.pow(tries);
            if !full || tries >= TRIES || Instant::now() + pause > end {
                return Ok(answer);
            }
            // It began nothing, so that another may.
            tokio::time::sleep(pause).await;
        }
    }

    async fn ask(
        &self,
        plugin_id: &str,
        request: &Value,
        body: &str,
        end: Instant,
        taken: Option<&Mutex<Vec<(String, String)>>>,
    ) -> Result<Answer, Fault> {
        if plugin_protocol::ids::PluginId::parse(plugin_id).is_err() {
            return Ok(not_answered(
                plugin_id,
                request,
                Status::Rejected,
                &no_node(plugin_id),
                "",
            ));
        }
        let (number, mut messages) = self.wait_for();
        let _waits = Waits {
            caller: self,
            number,
        };
        let (reply, taken_at) = (
            format!("{}.{number}.r", self.inbox),
            format!("{}.{number}.t", self.inbox),
        );
        let left = end.saturating_duration_since(Instant::now());
        let mut headers = HeaderMap::new();
        headers.insert(names::DEADLINE, (jiff::Timestamp::now() + left).to_string());
        headers.insert(names::TAKEN, taken_at.as_str());
        let subject = names::invoke(plugin_id);
        let sent = self.client.publish_with_reply_and_headers(
            subject,
            reply,
            headers,
            body.to_owned().into(),
        );
        sent.await.map_err(|error| Fault::internal(chain(&error)))?;
        let mut node = String::new();
        loop {
            let Ok(Some(message)) = tokio::time::timeout_at(end.into(), messages.recv()).await
            else {
                return Ok(not_answered(
                    plugin_id,
                    request,
                    Status::Timeout,
                    &no_answer(&node),
                    &node,
                ));
            };
            if message.status == Some(StatusCode::NO_RESPONDERS) {
                return Ok(not_answered(
                    plugin_id,
                    request,
                    Status::Rejected,
                    &no_node(plugin_id),
                    "",
                ));
            }
            if let Some(name) = header(message.headers.as_ref(), names::NODE) {
                name.clone_into(&mut node);
            }
            if message.subject.ends_with(".t") {
                if let Some(taken) = taken {
                    let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
                    taken.push((node.clone(), taken_at.clone()));
                }
                continue;
            }
            return self.answered(request, node, &message);
        }
    }

    /// Reads a reply, and keeps its receipt.
    fn answered(&self, request: &Value, node: String, message: &Message) -> Result<Answer, Fault> {
        let headers = message.headers.as_ref();
        let request_id = request
            .get("request_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let run_id = request
            .get("run_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let mut receipt = Receipt::of(headers, request_id);
        if let Some(receipt) = &mut receipt {
            // As the caller wrote it: a header has fewer characters.
            run_id.clone_into(&mut receipt.run_id);
            self.receipts.keep(receipt)?;
        }
        if let Some(words) = header(headers, names::ERROR) {
            let kind = match header(headers, names::ERROR_CODE) {
                Some("400") => Kind::Invalid,
                Some("503") => Kind::Ledger,
                Some(_) | None => Kind::Internal,
            };
            return Err(Fault::new(kind, format!("node {node}: {words}")));
        }
        let response = json::read_as::<Response>(&message.payload);
        let response = response.map_err(|error| {
            Fault::internal(format!("node {node} gave no PluginResponse: {error}"))
        })?;
        Ok(Answer {
            response,
            node,
            receipt,
        })
    }

    fn wait_for(&self) -> (u64, mpsc::UnboundedReceiver<Message>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (to, messages) = mpsc::unbounded_channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(number, to);
        (number, messages)
    }

    /// How each node is that can be reached, sorted by name.
    ///
    /// # Errors
    /// When nothing can be sent.
    pub async fn nodes(&self) -> Result<Vec<Value>, Fault> {
        let (number, mut messages) = self.wait_for();
        let _waits = Waits {
            caller: self,
            number,
        };
        let sent = self.client.publish_with_reply(
            names::NODES,
            format!("{}.{number}.r", self.inbox),
            Vec::new().into(),
        );
        sent.await.map_err(|error| Fault::internal(chain(&error)))?;
        let mut nodes = Vec::new();
        let mut wait = NODES;
        while let Ok(Some(message)) = tokio::time::timeout(wait, messages.recv()).await {
            if message.status == Some(StatusCode::NO_RESPONDERS) {
                break;
            }
            wait = SILENCE;
            if let Ok(said) = json::read(&message.payload) {
                nodes.push(said["result"].clone());
            }
        }
        nodes.sort_by_key(|node| node["node"].as_str().map(str::to_owned));
        Ok(nodes)
    }

    /// The plugins as the node has them that knows the newest decision.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn list(&self) -> Result<Value, Fault> {
        let nodes = self.nodes().await?;
        let newest = nodes.iter().max_by_key(|node| node["decision"].as_u64());
        let newest = newest.ok_or_else(|| {
            Fault::internal("no node answers").hint("start one with `plugin-gateway-fleet node`")
        })?;
        self.verb(
            newest["node"].as_str().unwrap_or_default(),
            "list",
            &Value::Null,
        )
        .await
    }

    /// Carries out a verb at one node.
    async fn verb(&self, node: &str, verb: &str, params: &Value) -> Result<Value, Fault> {
        let (number, mut messages) = self.wait_for();
        let _waits = Waits {
            caller: self,
            number,
        };
        let body = if params.is_null() {
            Vec::new()
        } else {
            canonical::bytes(params)
        };
        let sent = self.client.publish_with_reply(
            names::verb(node, verb),
            format!("{}.{number}.r", self.inbox),
            body.into(),
        );
        sent.await.map_err(|error| Fault::internal(chain(&error)))?;
        let message = tokio::time::timeout(VERB, messages.recv())
            .await
            .ok()
            .flatten();
        let message = message.filter(|message| message.status != Some(StatusCode::NO_RESPONDERS));
        let message = message
            .ok_or_else(|| Fault::new(Kind::NotFound, format!("node {node} does not answer")))?;
        let unreadable =
            |error| Fault::internal(format!("node {node} said nothing usable: {error}"));
        let mut said = json::read(&message.payload).map_err(unreadable)?;
        if let Some(name) = said["stored"].as_str() {
            said = json::read(&self.stored(name).await?).map_err(unreadable)?;
        }
        match said.get("error") {
            Some(error) => {
                let text = |name: &str| error[name].as_str().unwrap_or_default();
                Err(Fault::new(
                    Kind::from_name(text("kind")).unwrap_or(Kind::Internal),
                    text("message"),
                )
                .hint(text("hint")))
            }
            None => Ok(said["result"].take()),
        }
    }

    /// An answer that was too large for a message.
    async fn stored(&self, name: &str) -> Result<Vec<u8>, Fault> {
        use tokio::io::AsyncReadExt as _;
        let store = nats::packages(&self.jetstream).await?;
        let mut object = store
            .get(name)
            .await
            .map_err(|error| Fault::internal(chain(&error)))?;
        let mut bytes = Vec::new();
        object
            .read_to_end(&mut bytes)
            .await
            .map_err(|error| Fault::internal(error.to_string()))?;
        Ok(bytes)
    }
}

/// A place in the table of those who wait.
struct Waits<'a> {
    caller: &'a Caller,
    number: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut waiting = self
            .caller
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&self.number);
    }
}

fn no_node(plugin_id: &str) -> String {
    let shown = plugin_protocol::shown::cut(plugin_id, 80);
    format!(
        "{}: no node of the fleet serves '{shown}' now; `plugin-gateway-fleet nodes` shows what each serves",
        words::NOT_FOUND
    )
}

fn no_answer(node: &str) -> String {
    if node.is_empty() {
        format!(
            "{}: no answer came, and no node said that it took the request; it was not sent again",
            words::TIMEOUT
        )
    } else {
        format!(
            "{}: node {node} took the request, and no answer came; its ledger says what became of it, and it was not sent again",
            words::TIMEOUT
        )
    }
}

/// What is said in place of an answer.
fn not_answered(
    plugin_id: &str,
    request: &Value,
    status: Status,
    notes: &str,
    node: &str,
) -> Answer {
    let request_id = request.get("request_id").and_then(Value::as_str);
    Answer {
        response: Response {
            request_id: request_id.unwrap_or_default().to_owned(),
            plugin_id: plugin_id.to_owned(),
            status,
            result: None,
            evidence_hashes: EvidenceHashes::default(),
            duration_ms: 0,
            notes: notes.to_owned(),
            receipt: None,
        },
        node: node.to_owned(),
        receipt: None,
    }
}
