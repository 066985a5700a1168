//! The record of a process that was discarded before it had a request: in the gateway's own run, as it belongs to no call.

use std::collections::BTreeMap;

use plugin_protocol::digest::PackageDigest;
use plugin_protocol::event::{EventKind, meta};
use plugin_protocol::ids::{PluginId, RunId};

use super::denial;
use super::judge::facts_of;
use ledger::{Draft, Record};
use sandbox::{End, Report, Standing};

/// What becomes of its plugin.
const AFTERWARDS: &str = "its plugin's calls are started cold until an operator enables it again";

/// A process that did before its request what none may do.
#[derive(Debug)]
pub(super) struct Discarded {
    plugin: PluginId,
    reason: String,
    meta: BTreeMap<String, String>,
}

impl Discarded {
    /// What is known of it.
    pub(super) fn new(
        plugin: PluginId,
        package: PackageDigest,
        standing: Standing,
        report: Report,
    ) -> Self {
        let reason = format!(
            "a process that waited for its request {}: {AFTERWARDS}",
            what_it_did(standing, &report)
        );
        let mut meta = facts_of(&report);
        meta.extend(denial::facts(&report.denied));
        if let End::Violation(denial) = &report.end {
            meta.insert(meta::DENIED_CALL.to_owned(), denial.call.clone());
            meta.insert(meta::DENIED_DETAIL.to_owned(), denial.detail.clone());
        }
        meta.extend([
            (meta::SUBJECT.to_owned(), meta::SUBJECT_WAITING.to_owned()),
            (meta::START.to_owned(), meta::START_WARM.to_owned()),
            (meta::PACKAGE_DIGEST.to_owned(), package.to_string()),
            (meta::REASON.to_owned(), reason.clone()),
        ]);
        Self {
            plugin,
            reason,
            meta,
        }
    }

    pub(super) fn plugin(&self) -> &PluginId {
        &self.plugin
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

/// Nothing that it wrote is quoted: the ledger holds no payload.
fn what_it_did(standing: Standing, report: &Report) -> String {
    match (standing, &report.end) {
        (_, End::Violation(denial)) => {
            format!("made a hostile call, {}", denial::shortened(denial))
        }
        (Standing::Wrote, _) => "wrote to its output".to_owned(),
        (Standing::Worked, _) => "used up the processor time that there is for a start".to_owned(),
        (_, End::Exited(code)) => format!("exited with code {code}"),
        (_, End::Signalled(signal)) => format!("was ended by signal {signal}"),
        (_, End::MemoryLimit) => "used up its memory".to_owned(),
        (_, _) => "ended".to_owned(),
    }
}

impl Record for Discarded {
    fn draft(&self) -> Draft {
        Draft {
            run_id: RunId::system(),
            kind: EventKind::Error,
            plugin_id: Some(self.plugin.clone()),
            request_id: None,
            input_hash: None,
            output_hash: None,
            meta: self.meta.clone(),
        }
    }
}
