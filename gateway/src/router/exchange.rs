//! A call in progress: who made it, what is known of it, and how it is recorded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plugin_protocol::digest::{KeyId, PayloadHash};
use plugin_protocol::event::meta;
use plugin_protocol::ids::{PluginId, RequestId, RunId};
use plugin_protocol::message::{EvidenceHashes, Response};
use plugin_protocol::payload::Payload;
use plugin_protocol::words;
use serde_json::Value;

use super::cause::Cause;
use super::denial;
use super::evidence::{self, Kept};
use super::invocation::Ready;
use super::judge::{Judgement, facts_of};
use super::record::{CallIds, Invoke, Outcome};
use sandbox::{Cancel, Report};

/// One call as the host made it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) plugin_id: &'a str,
    pub(crate) request: &'a Value,
    pub(crate) cancel: Option<&'a Cancel>,
    /// Whether what the plugin reads in vain is named, which makes the call slower.
    pub(crate) names_reads: bool,
    /// Whether a server is asked for its tools in place of the request's payload.
    pub(crate) lists_tools: bool,
    /// When the pipeline around it ends.
    pub(crate) within: Option<Instant>,
    /// Set before `cancel` is thrown because another step of the pipeline failed.
    pub(crate) another_failed: Option<&'a AtomicBool>,
}

impl<'a> Call<'a> {
    /// A call on its own.
    pub(crate) fn new(plugin_id: &'a str, request: &'a Value, cancel: Option<&'a Cancel>) -> Self {
        Self {
            plugin_id,
            request,
            cancel,
            names_reads: false,
            lists_tools: false,
            within: None,
            another_failed: None,
        }
    }

    /// The same, where somebody looks at what the plugin reads in vain.
    pub(crate) fn naming_reads(self) -> Self {
        Self {
            names_reads: true,
            ..self
        }
    }

    /// The question for a server's tools.
    pub(crate) fn listing_tools(self) -> Self {
        Self {
            lists_tools: true,
            ..self
        }
    }
}

/// A call in progress: who made it, when it arrived and what is known of it so far.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    pub(super) call: Call<'a>,
    pub(super) start: Instant,
    pub(super) ids: CallIds,
    pub(super) input_hash: Option<PayloadHash>,
}

impl<'a> Exchange<'a> {
    pub(super) fn begin(call: Call<'a>) -> Self {
        let text = |name: &str| call.request.get(name).and_then(Value::as_str);
        let ids = CallIds {
            // A request without a usable run still leaves a trace, in the gateway's own run.
            run_id: text("run_id")
                .and_then(|id| RunId::parse(id).ok())
                .unwrap_or_else(RunId::system),
            plugin_id: PluginId::parse(call.plugin_id).ok(),
            request_id: text("request_id").and_then(|id| RequestId::parse(id).ok()),
            invoke: None,
        };
        Self {
            call,
            start: Instant::now(),
            ids,
            input_hash: None,
        }
    }

    /// The hash of the payload, where the request holds one that is well formed.
    pub(super) fn payload_hash(&self) -> Option<PayloadHash> {
        let payload: Payload =
            serde_json::from_value(self.call.request.get("payload")?.clone()).ok()?;
        Some(payload.hash())
    }

    pub(super) fn intent(&self, ready: &Ready<'_>, key_id: Option<KeyId>, attempt: u8) -> Invoke {
        let request = ready.admitted.request();
        Invoke {
            run_id: request.run_id.clone(),
            plugin_id: ready.plugin_id.clone(),
            request_id: request.request_id.clone(),
            input_hash: ready.admitted.input_hash(),
            manifest_hash: ready.prepared.manifest.hash(),
            package_digest: ready.prepared.digest,
            key_id,
            attempt,
            kept: evidence::of_request(&ready.prepared.manifest.evidence, &ready.admitted),
        }
    }

    pub(super) fn outcome(
        &self,
        ids: CallIds,
        mut judgement: Judgement,
        report: Option<Report>,
    ) -> Outcome {
        let another_failed = self.call.another_failed;
        if judgement.cause == Cause::Cancelled
            && another_failed.is_some_and(|failed| failed.load(Ordering::SeqCst))
        {
            judgement.notes = words::ANOTHER_STEP_FAILED.to_owned();
        }
        let mut meta: BTreeMap<String, String> = report.as_ref().map(facts_of).unwrap_or_default();
        meta.extend(judgement.facts);
        meta.insert(meta::CAUSE.to_owned(), judgement.cause.to_string());
        if !judgement.quotes {
            meta.insert(meta::REASON.to_owned(), judgement.notes.clone());
        }
        meta.values_mut().for_each(bound);
        // These facts have bounds of their own, so that no call is cut in the middle.
        meta.extend(
            report
                .iter()
                .flat_map(|report| denial::facts(&report.denied)),
        );
        let request_id = self
            .call
            .request
            .get("request_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let response = Response {
            request_id: request_id.to_owned(),
            plugin_id: self.call.plugin_id.to_owned(),
            status: judgement.status,
            result: judgement.result,
            evidence_hashes: EvidenceHashes {
                input_hash: self.input_hash,
                ..judgement.hashes
            },
            duration_ms: whole_ms(self.start.elapsed()),
            notes: judgement.notes,
            receipt: None,
        };
        Outcome {
            response,
            cause: judgement.cause,
            report,
            ids,
            meta,
            kept: Kept::default(),
        }
    }
}

/// Shortens a fact for the ledger, so that an event always fits in its line.
fn bound(fact: &mut String) {
    const FACT_CHARS: usize = 1_024;
    if let Some((end, _)) = fact.char_indices().nth(FACT_CHARS) {
        fact.truncate(end);
    }
}

pub(super) fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
