//! One node: it follows the operator's decisions, serves the plugins that it can run, and says how it is. It answers no call while it does
//! not know the newest decision, and starts none twice.

pub(crate) mod batch;
mod calls;
mod follow;
mod gate;
mod progress;
mod served;
mod service;
mod verbs;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::{Client, Event};
use registry::{PublicKey, SigningKey};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, Semaphore};

use crate::decision::Identity;
use crate::fault::{Fault, Kind};
use crate::host::Host;
use crate::nats::{self, Access};
use gate::Gate;
use progress::Progress;
use service::Service;

/// How a node is to work.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) state: PathBuf,
    /// The key whose decisions count.
    pub(crate) operator: PathBuf,
    /// The most calls at once; one more is `overloaded` here, and may be asked for elsewhere.
    pub(crate) calls: usize,
    /// How long a node that cannot ask for decisions goes on serving.
    pub(crate) cut_off: Duration,
    pub(crate) gateway: Option<PathBuf>,
}

/// How long a node that is to end waits for the calls that it runs.
const DRAIN: Duration = Duration::from_secs(10);
/// The pause between two tries to reach a server.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// What all parts of a node share.
#[derive(Debug)]
pub(crate) struct Node {
    settings: Settings,
    identity: Identity,
    operator: PublicKey,
    client: Client,
    jetstream: Context,
    host: Host,
    gate: Gate,
    /// One permit a call.
    calls: Arc<Semaphore>,
    service: Service,
    progress: tokio::sync::Mutex<Progress>,
    /// Rung when other plugins may be to be served.
    changed: Notify,
    running: calls::Running,
    /// The jobs of batches that are worked on now.
    jobs: std::sync::Mutex<std::collections::BTreeSet<String>>,
}

/// Serves until a signal.
pub(crate) async fn run(access: &Access, settings: Settings) -> Result<(), Fault> {
    let operator = PublicKey::read(&settings.operator)?;
    let host = Host::new(&settings.state, settings.gateway.clone());
    // The state is opened before the fleet is told of the node.
    host.channel().await?;
    let identity = identity(&settings)?;
    let gate = Gate::new(settings.cut_off);
    let progress = Progress::read(&settings.state)?;
    gate.vouched(progress.vouched);
    let client = connect(access, &identity.node, &gate).await?;
    let jetstream = nats::jetstream(&client);
    let node = Arc::new(Node {
        service: Service::new(&identity.node),
        calls: Arc::new(Semaphore::new(settings.calls)),
        progress: tokio::sync::Mutex::new(progress),
        changed: Notify::new(),
        running: calls::Running::default(),
        jobs: std::sync::Mutex::default(),
        settings,
        identity,
        operator,
        client,
        jetstream,
        host,
        gate,
    });
    say(&format!(
        "node {} serves at {}",
        node.identity.node,
        nats::shown(&access.url)
    ));
    if !node.gate.is_vouched() {
        say(&format!(
            "it waits for its voucher: `plugin-gateway-fleet vouch {} --key OPERATOR`",
            node.identity.node
        ));
    }
    let parts = [
        tokio::spawn(service::answer(Arc::clone(&node))),
        tokio::spawn(verbs::answer(Arc::clone(&node))),
        tokio::spawn(follow::follow(Arc::clone(&node))),
        tokio::spawn(served::keep(Arc::clone(&node))),
        tokio::spawn(batch::work(Arc::clone(&node))),
    ];
    told_to_end().await?;
    node.gate.drain();
    parts.iter().for_each(tokio::task::JoinHandle::abort);
    served::stop_all(&node).await;
    let all = u32::try_from(node.settings.calls).unwrap_or(u32::MAX);
    // The calls in flight hold their permits until they are answered.
    let finished = tokio::time::timeout(DRAIN, node.calls.acquire_many(all)).await;
    if finished.is_err() {
        say("calls were still running: they are cancelled, and their ledger says so");
    }
    node.client.flush().await.unwrap_or_default();
    node.host.end().await;
    Ok(())
}

/// A server that is down is waited for; one that does not take the credentials is not.
async fn connect(access: &Access, name: &str, gate: &Gate) -> Result<Client, Fault> {
    let mut told = false;
    loop {
        let gate = gate.clone();
        let heard = move |event: Event| match event {
            Event::Disconnected | Event::Closed => gate.lost(),
            Event::Connected => gate.back(),
            Event::SlowConsumer(_) => say(
                "requests came faster than they were taken: some were dropped, and nothing was started for them",
            ),
            Event::LameDuckMode
            | Event::Draining
            | Event::ServerError(_)
            | Event::ClientError(_) => {}
        };
        match access.connect(name, heard).await {
            Err(fault) if fault.kind == Kind::Internal => {
                if !std::mem::replace(&mut told, true) {
                    say(&format!("{fault}; trying again"));
                }
                tokio::time::sleep(TRY_AGAIN).await;
            }
            connected => return connected,
        }
    }
}

/// The node's key, which is made at its first start, and the name of its log.
fn identity(settings: &Settings) -> Result<Identity, Fault> {
    let file = settings.state.join(progress::FOLDER).join("node.key");
    progress::make_folder(&settings.state)?;
    if !file.exists() {
        registry::keygen(&file)?;
    }
    let key = SigningKey::read(&file)?;
    let log = settings.state.join("log.vkey");
    let log = std::fs::read_to_string(&log)
        .map_err(|error| Fault::internal(format!("cannot read '{}': {error}", log.display())))?;
    Ok(Identity::new(&key, log.trim())?)
}

async fn told_to_end() -> Result<(), Fault> {
    let failed = |error| Fault::internal(format!("cannot wait for a signal: {error}"));
    let mut term = signal(SignalKind::terminate()).map_err(failed)?;
    let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// Words for whoever runs the node. If stderr is closed, there is nowhere left to report.
fn say(words: &str) {
    use std::io::Write as _;
    let words = plugin_protocol::shown::text(words);
    writeln!(std::io::stderr().lock(), "{words}").unwrap_or_default();
}
