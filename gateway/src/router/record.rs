//! What one call records: an `INVOKE` before the plugin sees the request, and its end before the host sees the answer.

use std::collections::BTreeMap;

use plugin_protocol::digest::{KeyId, ManifestHash, PackageDigest, PayloadHash};
use plugin_protocol::event::{EventKind, meta};
use plugin_protocol::ids::{EventId, PluginId, RequestId, RunId};
use plugin_protocol::message::{Response, Status};

use super::cause::Cause;
use super::evidence::Kept;
use ledger::{Document, Draft, Record};
use sandbox::Report;

/// The intent to show a request to a plugin. Once recorded, it is the permit to start the plugin.
#[derive(Debug)]
pub struct Invoke {
    pub(crate) run_id: RunId,
    pub(crate) plugin_id: PluginId,
    pub(crate) request_id: RequestId,
    pub(crate) input_hash: PayloadHash,
    pub(crate) manifest_hash: ManifestHash,
    pub(crate) package_digest: PackageDigest,
    /// The key that signed the package: who vouched for what ran, told without the registry's events.
    pub(crate) key_id: Option<KeyId>,
    /// 1 for the first attempt.
    pub(crate) attempt: u8,
    /// What is kept of the request.
    pub(crate) kept: Kept,
}

/// How a call ended: the response for the host, and what was seen on the way.
#[derive(Debug)]
pub struct Outcome {
    /// The answer for the host.
    pub response: Response,
    /// Why it ended so.
    pub cause: Cause,
    /// What the sandbox saw, when a plugin was started.
    pub report: Option<Report>,
    pub(crate) ids: CallIds,
    pub(crate) meta: BTreeMap<String, String>,
    /// What is kept of the result.
    pub(crate) kept: Kept,
}

/// The ids that an outcome is recorded under.
#[derive(Debug, Clone)]
pub(crate) struct CallIds {
    pub(crate) run_id: RunId,
    pub(crate) plugin_id: Option<PluginId>,
    pub(crate) request_id: Option<RequestId>,
    /// The `INVOKE` event that this closes, when there was one.
    pub(crate) invoke: Option<EventId>,
}

impl Record for Invoke {
    fn draft(&self) -> Draft {
        let mut meta = self.kept.facts.clone();
        meta.extend([
            (meta::ATTEMPT.to_owned(), self.attempt.to_string()),
            (
                meta::MANIFEST_HASH.to_owned(),
                self.manifest_hash.to_string(),
            ),
            (
                meta::PACKAGE_DIGEST.to_owned(),
                self.package_digest.to_string(),
            ),
        ]);
        meta.extend(
            self.key_id
                .map(|key| (meta::KEY_ID.to_owned(), key.to_string())),
        );
        Draft {
            run_id: self.run_id.clone(),
            kind: EventKind::Invoke,
            plugin_id: Some(self.plugin_id.clone()),
            request_id: Some(self.request_id.clone()),
            input_hash: Some(self.input_hash),
            output_hash: None,
            meta,
        }
    }

    fn evidence(&self) -> Option<&Document> {
        self.kept.document.as_ref()
    }
}

impl Record for Outcome {
    fn draft(&self) -> Draft {
        let hashes = self.response.evidence_hashes;
        let mut meta = self.meta.clone();
        meta.extend(self.kept.facts.clone());
        meta.insert(meta::STATUS.to_owned(), self.response.status.to_string());
        meta.insert(
            meta::DURATION_MS.to_owned(),
            self.response.duration_ms.to_string(),
        );
        if let Some(invoke) = self.ids.invoke {
            meta.insert(meta::INVOKE.to_owned(), invoke.to_string());
        }
        Draft {
            run_id: self.ids.run_id.clone(),
            kind: closing_kind(self.response.status),
            plugin_id: self.ids.plugin_id.clone(),
            request_id: self.ids.request_id.clone(),
            input_hash: hashes.input_hash,
            output_hash: hashes.output_hash,
            meta,
        }
    }

    fn evidence(&self) -> Option<&Document> {
        self.kept.document.as_ref()
    }
}

/// The end of a call whose result could not be kept, and is therefore not given to the host.
#[derive(Debug)]
pub(super) struct Unkept {
    ids: CallIds,
    input_hash: Option<PayloadHash>,
    meta: BTreeMap<String, String>,
}

impl Unkept {
    /// What to record instead of `outcome` if keeping its result fails; none when there is nothing to keep.
    pub(super) fn of(outcome: &Outcome) -> Option<Self> {
        outcome.kept.document.as_ref()?;
        let mut meta = outcome.meta.clone();
        meta.insert(meta::CAUSE.to_owned(), Cause::Evidence.to_string());
        meta.insert(meta::STATUS.to_owned(), Status::Error.to_string());
        meta.insert(
            meta::REASON.to_owned(),
            "the result's evidence could not be kept, so the host was not given the result"
                .to_owned(),
        );
        let invoke = outcome.ids.invoke;
        meta.extend(invoke.map(|invoke| (meta::INVOKE.to_owned(), invoke.to_string())));
        Some(Self {
            ids: outcome.ids.clone(),
            input_hash: outcome.response.evidence_hashes.input_hash,
            meta,
        })
    }
}

impl Record for Unkept {
    fn draft(&self) -> Draft {
        Draft {
            run_id: self.ids.run_id.clone(),
            kind: closing_kind(Status::Error),
            plugin_id: self.ids.plugin_id.clone(),
            request_id: self.ids.request_id.clone(),
            input_hash: self.input_hash,
            output_hash: None,
            meta: self.meta.clone(),
        }
    }
}

/// The event that a status is recorded as.
fn closing_kind(status: Status) -> EventKind {
    match status {
        Status::Ok => EventKind::Result,
        Status::Rejected => EventKind::Reject,
        Status::Error | Status::Timeout => EventKind::Error,
    }
}
