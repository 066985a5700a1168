//! What an operator decides: signed here, put into the stream behind the decision before, and followed until the nodes have it.

use std::io::Seek as _;
use std::path::Path;
use std::time::{Duration, Instant};

use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::RawMessageErrorKind;
use plugin_protocol::json;
use registry::{Package, PublicKey, SigningKey};
use serde::Serialize;
use serde_json::Value;

use super::Caller;
use crate::decision::{Decision, Identity, Signed};
use crate::fault::{Fault, Kind, chain};
use crate::{names, nats, package};

/// How often a decision is tried when another came in between.
const TRIES: usize = 5;
/// How long the nodes are watched for a new decision.
const FOLLOWED: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);

/// A decision that stands in the stream.
#[derive(Debug, Clone, Serialize)]
pub struct Decided {
    /// Its number.
    pub number: u64,
    /// Its name: SHA-256 of what was signed.
    pub hash: String,
    /// How many of the nodes that can be reached have it in force.
    pub in_force: usize,
    /// How many can be reached.
    pub nodes: usize,
}

impl Caller {
    /// Every decision of `operator` in the stream, in order.
    pub(super) async fn decisions(
        &self,
        operator: &PublicKey,
    ) -> Result<(Vec<Signed>, u64), Fault> {
        let stream = nats::decisions(&self.jetstream).await?;
        let failed = |error: &dyn std::error::Error| {
            Fault::internal(format!("the decisions cannot be read: {}", chain(error)))
        };
        let info = stream.get_info().await.map_err(|error| failed(&error))?;
        let mut decisions: Vec<Signed> = Vec::new();
        for sequence in info.state.first_sequence.max(1)..=info.state.last_sequence {
            let message = match stream.get_raw_message(sequence).await {
                Ok(message) => message,
                Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => {
                    continue;
                }
                Err(error) => return Err(failed(&error)),
            };
            let last = decisions.last().map_or((0, String::new()), |last| {
                (last.body.number, last.body.hash())
            });
            if let Ok(signed) = Signed::read(&message.payload, operator)
                && signed.body.number == last.0 + 1
                && signed.body.previous == last.1
            {
                decisions.push(signed);
            }
        }
        Ok((decisions, info.state.last_sequence))
    }

    /// Signs a decision and puts it into the stream.
    pub(crate) async fn decide(
        &self,
        key: &SigningKey,
        decision: Decision,
    ) -> Result<Decided, Fault> {
        // A node that carries a decision out answers later: it is counted all the same.
        let known = self.nodes().await?.len();
        for _ in 0..TRIES {
            let (decisions, last) = self.decisions(&key.public()).await?;
            let before = decisions.last().map_or((0, String::new()), |last| {
                (last.body.number, last.body.hash())
            });
            let signed = Signed::new(key, before.0 + 1, &before.1, decision.clone());
            let message = PublishMessage::build()
                .payload(signed.to_bytes().into())
                .expected_last_sequence(last)
                .outbound_message(names::DECISIONS_SUBJECT);
            let sent = self.jetstream.publish_message(message).await;
            let acked = match sent {
                Ok(ack) => ack.await.map(drop),
                Err(error) => Err(error),
            };
            match acked {
                Ok(()) => {
                    return self
                        .followed(signed.body.number, signed.body.hash(), known)
                        .await;
                }
                Err(error) if chain(&error).contains("wrong last sequence") => {}
                Err(error) => {
                    return Err(Fault::internal(format!(
                        "the decision is not in the stream, or that was not heard: {}",
                        chain(&error)
                    )));
                }
            }
        }
        Err(Fault::internal("others decide at the same time").hint("try again"))
    }

    async fn followed(&self, number: u64, hash: String, known: usize) -> Result<Decided, Fault> {
        let end = Instant::now() + FOLLOWED;
        loop {
            let nodes = self.nodes().await?;
            let in_force = nodes
                .iter()
                .filter(|node| node["decision"].as_u64() >= Some(number))
                .count();
            let nodes = nodes.len().max(known);
            if in_force == nodes || Instant::now() > end {
                return Ok(Decided {
                    number,
                    hash,
                    in_force,
                    nodes,
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Stores a signed package, and decides that it is a plugin of the fleet.
    pub(crate) async fn publish(
        &self,
        folder: &Path,
        key: &SigningKey,
        replace: bool,
    ) -> Result<(Value, Decided), Fault> {
        let read = Package::read(folder)?;
        if read.signature_bytes().is_none() {
            return Err(Fault::new(Kind::Refused, "the package has no signature")
                .hint("sign it with `plugin-gateway sign PACKAGE --key FILE`, by a key that the fleet trusts"));
        }
        let manifest = json::read(read.manifest_bytes()).map_err(|error| {
            Fault::new(
                Kind::Invalid,
                format!("its plugin.json cannot be read: {error}"),
            )
        })?;
        let text = |name: &str| manifest[name].as_str().unwrap_or_default();
        let plugin_id = plugin_protocol::ids::PluginId::parse(text("plugin_id"))
            .map_err(|error| Fault::new(Kind::Invalid, error.to_string()))?;
        let version = text("version").to_owned();
        let failed = |error: std::io::Error| Fault::internal(format!("cannot pack: {error}"));
        let mut packed = tempfile::tempfile().map_err(failed)?;
        package::pack(folder, &mut packed)?;
        packed.rewind().map_err(failed)?;
        let digest = read.digest();
        let store = nats::packages(&self.jetstream).await?;
        let mut from = tokio::fs::File::from_std(packed);
        store
            .put(digest.to_string().as_str(), &mut from)
            .await
            .map_err(|error| {
                Fault::internal(format!(
                    "the store does not take the package: {}",
                    chain(&error)
                ))
            })?;
        let decision = Decision::Register {
            plugin_id: plugin_id.clone(),
            version: version.clone(),
            package_digest: digest,
            replace,
        };
        let decided = self.decide(key, decision).await?;
        Ok((
            serde_json::json!({ "plugin_id": plugin_id, "version": version, "package_digest": digest }),
            decided,
        ))
    }

    /// Vouches for a node, by what it says of itself: who decides has compared its name with the one that the node printed.
    pub(crate) async fn vouch(&self, node: &str, key: &SigningKey) -> Result<Decided, Fault> {
        let identity = self.verb(node, "identity", &Value::Null).await?;
        let identity: Identity = serde_json::from_value(identity).map_err(|error| {
            Fault::internal(format!("node {node} does not say who it is: {error}"))
        })?;
        let refused = |why: String| Fault::new(Kind::Refused, why);
        identity.check().map_err(refused)?;
        if identity.node != node {
            return Err(refused(format!(
                "node {} answered in the place of {node}",
                identity.node
            )));
        }
        self.decide(key, Decision::Vouch(identity)).await
    }
}
