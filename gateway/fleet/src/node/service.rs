//! The NATS service API (ADR-32), so that stock tools see a node: PING, INFO and STATS. Its own answers, since endpoints come and go here
//! with the operator's decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use plugin_protocol::ids::PluginId;
use plugin_protocol::time::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Node;
use super::served::Known;
use crate::names;

/// Ends an endpoint when it is dropped.
pub(super) type Stop = watch::Sender<()>;

/// What is counted of one plugin's endpoint.
#[derive(Debug, Default, Clone)]
struct Counts {
    requests: u64,
    errors: u64,
    busy: Duration,
    last_error: String,
}

#[derive(Debug, Default)]
struct Endpoints {
    /// Dropping the stop ends the endpoint.
    open: BTreeMap<PluginId, Stop>,
    counts: BTreeMap<PluginId, Counts>,
    known: Known,
}

/// A node as a service.
#[derive(Debug)]
pub(super) struct Service {
    id: String,
    started: Timestamp,
    endpoints: Mutex<Endpoints>,
}

impl Service {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            started: Timestamp::now(),
            endpoints: Mutex::default(),
        }
    }

    fn endpoints(&self) -> MutexGuard<'_, Endpoints> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn served(&self) -> BTreeSet<PluginId> {
        self.endpoints().open.keys().cloned().collect()
    }

    /// Notes that `plugin` has an endpoint.
    pub(super) fn start(&self, plugin: &PluginId, stop: Stop) {
        self.endpoints().open.insert(plugin.clone(), stop);
    }

    pub(super) fn stop(&self, plugin: &PluginId) {
        drop(self.endpoints().open.remove(plugin));
    }

    pub(super) fn known_to_run(&self, id: &PluginId, version: &str) -> Option<bool> {
        let key = (id.clone(), version.to_owned());
        self.endpoints().known.get(&key).copied()
    }

    pub(super) fn knows_to_run(&self, id: &PluginId, version: &str, runs: bool) {
        let key = (id.clone(), version.to_owned());
        self.endpoints().known.insert(key, runs);
    }

    /// Counts one request, with the words of its error where it was none.
    pub(super) fn count(&self, plugin: &PluginId, took: Duration, error: Option<&str>) {
        let mut endpoints = self.endpoints();
        let counts = endpoints.counts.entry(plugin.clone()).or_default();
        counts.requests += 1;
        counts.busy += took;
        if let Some(error) = error {
            counts.errors += 1;
            error.clone_into(&mut counts.last_error);
        }
    }

    fn head(&self, kind: &str) -> Value {
        json!({
            "type": format!("io.nats.micro.v1.{kind}_response"), "name": names::SERVICE, "id": self.id,
            "version": env!("CARGO_PKG_VERSION"), "metadata": {},
        })
    }

    fn info(&self) -> Value {
        let mut info = self.head("info");
        info["description"] = "runs untrusted plugins, and proves what ran".into();
        let endpoints = self.endpoints();
        let open = endpoints.open.keys().map(endpoint);
        info["endpoints"] = open.collect();
        info
    }

    fn stats(&self) -> Value {
        let mut stats = self.head("stats");
        stats["started"] = json!(self.started);
        let endpoints = self.endpoints();
        let open = endpoints.open.keys().map(|plugin| {
            let counts = endpoints.counts.get(plugin).cloned().unwrap_or_default();
            let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            let average = nanos(counts.busy).checked_div(counts.requests);
            let mut one = endpoint(plugin);
            one["num_requests"] = counts.requests.into();
            one["num_errors"] = counts.errors.into();
            one["last_error"] = counts.last_error.into();
            one["processing_time"] = nanos(counts.busy).into();
            one["average_processing_time"] = average.unwrap_or_default().into();
            one
        });
        stats["endpoints"] = open.collect();
        stats
    }
}

fn endpoint(plugin: &PluginId) -> Value {
    json!({
        "name": names::flat(plugin.as_str()), "subject": names::invoke(plugin.as_str()),
        "queue_group": names::GROUP, "metadata": { "plugin_id": plugin },
    })
}

/// Answers what stock tools ask: all services, this service, this node.
pub(super) async fn answer(node: Arc<Node>) {
    let id = &node.service.id;
    let mut asked = Vec::new();
    for verb in ["PING", "INFO", "STATS"] {
        for subject in [
            format!("$SRV.{verb}"),
            format!("$SRV.{verb}.{}", names::SERVICE),
            format!("$SRV.{verb}.{}.{id}", names::SERVICE),
        ] {
            match node.client.subscribe(subject).await {
                Ok(subscriber) => {
                    asked.push(subscriber.map(move |message| (verb, message)).boxed())
                }
                Err(error) => super::say(&format!("stock tools cannot see this node: {error}")),
            }
        }
    }
    let mut asked = futures_util::stream::select_all(asked);
    while let Some((verb, message)) = asked.next().await {
        let Some(reply) = message.reply else { continue };
        let said = match verb {
            "PING" => node.service.head("ping"),
            "INFO" => node.service.info(),
            _ => node.service.stats(),
        };
        // Who asked may be gone.
        node.client
            .publish(reply, said.to_string().into())
            .await
            .unwrap_or_default();
    }
}
