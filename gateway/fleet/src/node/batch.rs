//! Batches: requests in a work queue, each run at most once in the whole fleet.
//!
//! A node claims a job in a stream that takes one claim a job, before it hands the job to its gateway. A job that comes again is claimed
//! already: whoever claimed it looks into its own ledger, and answers from the record, or that the outcome is unknown; nobody else runs it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::message::{AckKind, PublishMessage};
use async_nats::jetstream::stream::{RetentionPolicy, Stream};
use async_nats::jetstream::{self};
use futures_util::StreamExt as _;
use ledger::Filter;
use plugin_protocol::digest::FileHash;
use plugin_protocol::event::{Event, EventKind, meta};
use plugin_protocol::ids::{PluginId, RequestId, RunId};
use plugin_protocol::json;
use plugin_protocol::message::{EvidenceHashes, Response, Status};
use tokio::task::JoinHandle;

use super::calls::{self, Asked, Reply};
use super::{Node, say};
use crate::fault::{Fault, chain};
use crate::{names, nats};

/// How often the plugins with a queue are compared with those that are served.
const LOOK: Duration = Duration::from_millis(500);
/// How long a job that is worked on stays a node's own without a word from it.
const HELD: Duration = Duration::from_secs(30);
/// How long a gateway may take to drop the calls of a connection that was closed.
const TAKEN_BACK: Duration = Duration::from_secs(2);
/// After which pause a job that another node claimed is looked at again.
const ELSEWHERE: Duration = Duration::from_secs(2);

/// The streams of batches.
#[derive(Debug, Clone)]
struct Streams {
    jobs: Stream,
    claims: Stream,
    results: Stream,
}

/// The name of a job: a request's own, in its run.
pub(crate) fn job_name(run_id: &str, request_id: &str) -> String {
    let mut both = run_id.as_bytes().to_vec();
    both.push(0);
    both.extend_from_slice(request_id.as_bytes());
    FileHash::of(&both).to_string()
}

/// Makes the streams of batches where they are not there.
async fn streams(context: &jetstream::Context) -> Result<Streams, Fault> {
    Ok(Streams {
        jobs: nats::stream(
            context,
            names::JOBS_STREAM,
            "omega.job.>",
            RetentionPolicy::WorkQueue,
        )
        .await?,
        claims: nats::stream(
            context,
            names::CLAIMS_STREAM,
            "omega.claim.*",
            RetentionPolicy::Limits,
        )
        .await?,
        results: nats::stream(
            context,
            names::RESULTS_STREAM,
            "omega.result.*",
            RetentionPolicy::Limits,
        )
        .await?,
    })
}

/// Works on the queue of every plugin that this node serves.
pub(super) async fn work(node: Arc<Node>) {
    let mut workers: BTreeMap<PluginId, JoinHandle<()>> = BTreeMap::new();
    let mut told = false;
    loop {
        tokio::time::sleep(LOOK).await;
        let served = node.service.served();
        workers.retain(|plugin, worker| {
            let stays = served.contains(plugin) && !worker.is_finished();
            if !stays {
                worker.abort();
            }
            stays
        });
        for plugin in served {
            if workers.contains_key(&plugin) {
                continue;
            }
            // The streams are made by the first batch; until then there is nothing to do.
            if node.jetstream.get_stream(names::JOBS_STREAM).await.is_err() {
                break;
            }
            match streams(&node.jetstream).await {
                Ok(streams) => {
                    let worker = queue(Arc::clone(&node), plugin.clone(), streams);
                    workers.insert(plugin, tokio::spawn(worker));
                }
                Err(fault) if !std::mem::replace(&mut told, true) => {
                    say(&format!("batches wait: {fault}"))
                }
                Err(_) => {}
            }
        }
    }
}

/// Takes the jobs of one plugin, as many at once as there is room for.
async fn queue(node: Arc<Node>, plugin: PluginId, streams: Streams) {
    let name = names::flat(plugin.as_str());
    let config = pull::Config {
        durable_name: Some(name.clone()),
        filter_subject: names::job(plugin.as_str()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: HELD,
        ..pull::Config::default()
    };
    let consumer: Result<PullConsumer, _> =
        streams.jobs.get_or_create_consumer(&name, config).await;
    let consumer = match consumer {
        Ok(consumer) => consumer,
        Err(error) => {
            say(&format!(
                "the batches for '{plugin}' wait: {}",
                chain(&error)
            ));
            tokio::time::sleep(ELSEWHERE).await;
            return;
        }
    };
    loop {
        // Half of the room is for callers who wait.
        let room = node.calls.available_permits() / 2;
        if room == 0 || node.gate.closed().is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        let batch = consumer.fetch().max_messages(room).messages().await;
        let mut batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                say(&format!(
                    "the batches for '{plugin}' wait: {}",
                    chain(&error)
                ));
                tokio::time::sleep(ELSEWHERE).await;
                continue;
            }
        };
        let mut any = false;
        let mut tasks = Vec::new();
        while let Some(message) = batch.next().await {
            let message = match message {
                Ok(message) => message,
                Err(error) => {
                    say(&format!("the batches for '{plugin}' wait: {error}"));
                    break;
                }
            };
            any = true;
            tasks.push(tokio::spawn(one(
                Arc::clone(&node),
                streams.clone(),
                message,
            )));
        }
        for task in tasks {
            task.await.unwrap_or_default();
        }
        if !any {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn one(node: Arc<Node>, streams: Streams, message: jetstream::Message) {
    let done = job(&node, &streams, &message).await;
    let kind = match done {
        Ok(true) => AckKind::Ack,
        Ok(false) => AckKind::Nak(Some(ELSEWHERE)),
        Err(fault) => {
            say(&format!("a job waits: {fault}"));
            AckKind::Nak(Some(ELSEWHERE))
        }
    };
    // A job whose word is lost comes again, and its claim stands.
    message.ack_with(kind).await.unwrap_or_default();
}

/// Whether the job has its result.
async fn job(node: &Node, streams: &Streams, message: &jetstream::Message) -> Result<bool, Fault> {
    let Ok(asked) = json::read_as::<Asked>(&message.payload) else {
        say("a job that is no params of invoke was dropped from the queue");
        return Ok(true);
    };
    let name = job_name(asked.text("run_id"), asked.text("request_id"));
    let result = names::result(&name);
    if streams
        .results
        .get_last_raw_message_by_subject(&result)
        .await
        .is_ok()
    {
        return Ok(true);
    }
    let Ok(_permit) = node.calls.try_acquire() else {
        return Ok(false);
    };
    // One that came again while it is worked on here.
    let Some(_working) = Working::begin(node, &name) else {
        return Ok(false);
    };
    let reply = match claim(node, streams, &name).await? {
        Claim::New => run(node, &asked, message).await?,
        Claim::Own => settle(node, &asked, message).await?,
        Claim::Another => return Ok(false),
    };
    put_result(node, &result, reply).await?;
    Ok(true)
}

/// A job that is worked on in this process.
struct Working<'a> {
    node: &'a Node,
    job: String,
}

impl<'a> Working<'a> {
    fn begin(node: &'a Node, job: &str) -> Option<Self> {
        let job = job.to_owned();
        let is_new = jobs_of(node).insert(job.clone());
        // Made only then: its end takes the job out.
        is_new.then(|| Self { node, job })
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        jobs_of(self.node).remove(&self.job);
    }
}

fn jobs_of(node: &Node) -> MutexGuard<'_, BTreeSet<String>> {
    node.jobs.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Claim {
    /// It was made now.
    New,
    /// This node made it before, and may have begun.
    Own,
    Another,
}

async fn claim(node: &Node, streams: &Streams, job: &str) -> Result<Claim, Fault> {
    let subject = names::claim(job);
    let body = node.identity.node.clone();
    let claim = PublishMessage::build()
        .payload(body.into())
        .expected_last_subject_sequence(0)
        .outbound_message(subject.clone());
    if context_publish(node, claim).await.is_ok() {
        return Ok(Claim::New);
    }
    // Refused since there is one, or the answer was lost: who has it, the stream says.
    match streams
        .claims
        .get_last_raw_message_by_subject(&subject)
        .await
    {
        Ok(found) if found.payload == node.identity.node.as_bytes() => Ok(Claim::Own),
        Ok(_) => Ok(Claim::Another),
        Err(error) => Err(Fault::internal(format!(
            "a claim cannot be read: {}",
            chain(&error)
        ))),
    }
}

async fn context_publish(
    node: &Node,
    message: jetstream::message::OutboundMessage,
) -> Result<(), Fault> {
    use async_nats::jetstream::context::traits::Publisher as _;
    let failed = |error: jetstream::context::PublishError| Fault::internal(chain(&error));
    let ack = node
        .jetstream
        .publish_message(message)
        .await
        .map_err(failed)?;
    ack.await.map(drop).map_err(failed)
}

/// Keeps a result, the first of a job alone.
async fn put_result(node: &Node, subject: &str, reply: Reply) -> Result<(), Fault> {
    let result = PublishMessage::build()
        .payload(reply.body.into())
        .headers(reply.headers)
        .expected_last_subject_sequence(0)
        .outbound_message(subject.to_owned());
    context_publish(node, result).await
}

async fn run(node: &Node, asked: &Asked, message: &jetstream::Message) -> Result<Reply, Fault> {
    let channel = node.host.channel().await?;
    let call = calls::carry(node, asked, &channel, channel.number());
    tokio::pin!(call);
    loop {
        tokio::select! {
            reply = &mut call => return Ok(reply),
            () = tokio::time::sleep(HELD / 3) => message.ack_with(AckKind::Progress).await.unwrap_or_default(),
        }
    }
}

/// Answers a job that this node claimed before from its ledger; one that was never begun is run now.
async fn settle(node: &Node, asked: &Asked, message: &jetstream::Message) -> Result<Reply, Fault> {
    // The gateway closes what a crash cut off before it answers anything.
    node.host.channel().await?;
    let (Ok(run_id), Ok(request)) = (
        RunId::parse(asked.text("run_id")),
        RequestId::parse(asked.text("request_id")),
    ) else {
        return run(node, asked, message).await;
    };
    let filter = Filter {
        run: Some(run_id),
        request: Some(request),
        ..Filter::default()
    };
    let state = node.host.state().to_owned();
    for last in [false, true] {
        let (state, filter) = (state.clone(), filter.clone());
        let found = tokio::task::spawn_blocking(move || events(&state, &filter)).await;
        let events = found.map_err(|error| Fault::internal(error.to_string()))??;
        match events.last() {
            Some(event) if event.kind == EventKind::Invoke => {
                return Err(Fault::internal("a job that was begun is not closed yet"));
            }
            Some(closing) => return Ok(from_record(node, asked, closing)),
            None if last => return run(node, asked, message).await,
            // A gateway that another node process used before may be about to take its call back: until it has, nothing is begun here.
            None => tokio::time::sleep(TAKEN_BACK).await,
        }
    }
    Err(Fault::internal("a job's record was not read"))
}

fn events(state: &std::path::Path, filter: &Filter) -> Result<Vec<Event>, Fault> {
    let mut events = Vec::new();
    for stored in ledger::query(state, filter)? {
        events.push(stored?.event);
    }
    Ok(events)
}

/// The response as far as the record has it. The result itself is not in the ledger; its hash is.
fn from_record(node: &Node, asked: &Asked, closing: &Event) -> Reply {
    let unknown = closing
        .meta
        .get(meta::OUTCOME)
        .is_some_and(|outcome| outcome == "unknown");
    let status = match closing.meta.get(meta::STATUS).map(String::as_str) {
        Some("ok") => Status::Ok,
        Some("rejected") => Status::Rejected,
        Some("timeout") => Status::Timeout,
        Some(_) | None => Status::Error,
    };
    // `ok` needs a result, and the record holds none: what is said is that there was one.
    let (status, notes) = match (unknown, status) {
        (true, _) => (
            Status::Error,
            "the outcome is unknown: the node ended while the plugin ran; it was not run again",
        ),
        (false, Status::Ok) => (
            Status::Error,
            "it ran and answered ok, and the answer was lost on its way; output_hash names it, and it was not run again",
        ),
        (false, status) => (status, "answered from the record: it was not run again"),
    };
    let response = Response {
        request_id: asked.text("request_id").to_owned(),
        plugin_id: asked.plugin_id.clone(),
        status,
        result: None,
        evidence_hashes: EvidenceHashes {
            input_hash: closing.input_hash,
            output_hash: closing.output_hash,
        },
        duration_ms: 0,
        notes: notes.to_owned(),
        receipt: None,
    };
    let mut headers = HeaderMap::new();
    headers.insert(names::NODE, node.identity.node.as_str());
    headers.insert(names::RUN, asked.text("run_id"));
    headers.insert(names::EVENT, closing.event_hash.to_string());
    headers.insert(names::CHECKPOINT, "0");
    Reply {
        headers,
        body: plugin_protocol::canonical::bytes(&response),
    }
}
