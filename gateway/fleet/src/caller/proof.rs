//! A run's proof across nodes: each node's own bundle, the operator's voucher for each, and the receipts that the caller's side kept. A node
//! that withholds its part shows, because a receipt names it.

use std::collections::{BTreeMap, BTreeSet};

use plugin_protocol::ids::RunId;
use plugin_protocol::time::Timestamp;
use serde_json::{Value, json};

use super::Caller;
use crate::decision::{Decision, Signed};
use crate::fault::{Fault, Kind};

/// The name of the format.
const FORMAT: &str = "plugin-gateway-fleet-proof/1";

/// A gathered proof, and what is missing from it.
#[derive(Debug)]
pub struct Gathered {
    /// The document.
    pub proof: Value,
    /// In words, for people: each node that a receipt names and that gave nothing.
    pub missing: Vec<String>,
}

impl Caller {
    /// Gathers what the fleet has of a run. Every node that answers is asked, and every node that a receipt names.
    ///
    /// # Errors
    /// When nobody has anything of the run.
    pub async fn proof(&self, run_id: &RunId) -> Result<Gathered, Fault> {
        let receipts = self.receipts.of_run(run_id.as_str())?;
        let mut nodes: BTreeSet<String> = receipts
            .iter()
            .map(|receipt| receipt.node.clone())
            .collect();
        for node in self.nodes().await? {
            nodes.extend(node["node"].as_str().map(str::to_owned));
        }
        let vouchers = self.vouchers().await?;
        let (mut parts, mut missing) = (Vec::new(), Vec::new());
        for node in nodes {
            let bundle = match self
                .verb(&node, "proof", &json!({ "run_id": run_id }))
                .await
            {
                Ok(bundle) => bundle,
                Err(fault) => {
                    if receipts.iter().any(|receipt| receipt.node == node) {
                        missing.push(format!("node {node} answered calls of this run and gives no proof of them: {fault}"));
                    }
                    continue;
                }
            };
            match vouchers.get(&node) {
                Some(voucher) => {
                    parts.push(json!({ "node": node, "voucher": voucher, "bundle": bundle }))
                }
                None => missing.push(format!(
                    "node {node} has a part, and no operator vouches for it"
                )),
            }
        }
        if parts.is_empty() && receipts.is_empty() {
            let words = format!("no node that can be reached has events of run '{run_id}'");
            return Err(Fault::new(Kind::NotFound, words));
        }
        let proof = json!({
            "format": FORMAT, "run_id": run_id, "created_at": Timestamp::now(), "parts": parts, "receipts": receipts,
        });
        Ok(Gathered { proof, missing })
    }

    /// The last voucher of each node, whoever signed it: that is for the verifier to judge.
    async fn vouchers(&self) -> Result<BTreeMap<String, Value>, Fault> {
        let stream = crate::nats::decisions(&self.jetstream).await?;
        let failed =
            |words: String| Fault::internal(format!("the vouchers cannot be read: {words}"));
        let info = stream
            .get_info()
            .await
            .map_err(|error| failed(error.to_string()))?;
        let mut vouchers = BTreeMap::new();
        for sequence in info.state.first_sequence.max(1)..=info.state.last_sequence {
            let Ok(message) = stream.get_raw_message(sequence).await else {
                continue;
            };
            let Ok(signed) = plugin_protocol::json::read_as::<Signed>(&message.payload) else {
                continue;
            };
            if let Decision::Vouch(identity) = &signed.body.decision {
                vouchers.insert(identity.node.clone(), json!(signed));
            }
        }
        Ok(vouchers)
    }
}
