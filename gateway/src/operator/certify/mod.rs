//! `certify`: ten checks of one package, an invariant each. It tries the package in a throw-away state on the very same path as any
//! call, then judges what it saw; it changes nothing of the package.

mod checks;
mod evidence;
mod samples;

use std::path::Path;

use plugin_protocol::digest::{ManifestHash, PackageDigest};
use plugin_protocol::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

use self::checks::CHECKS;
use self::evidence::Evidence;
use crate::error::Error;
use ledger::CheckOutcome as Outcome;

/// The results of the ten checks.
#[derive(Debug, Serialize)]
pub(crate) struct ComplianceReport {
    /// The id in the manifest, empty where there is none.
    pub(crate) plugin_id: String,
    pub(crate) version: String,
    #[serde(with = "plugin_protocol::digest::or_empty")]
    pub(crate) manifest_hash: Option<ManifestHash>,
    pub(crate) package_digest: PackageDigest,
    /// Whether no check failed.
    pub(crate) compliant: bool,
    pub(crate) checks: Vec<InvariantCheck>,
    pub(crate) checked_at: Timestamp,
}

/// One check.
#[derive(Debug, Serialize)]
pub(crate) struct InvariantCheck {
    /// The invariant, such as `INV-PNP-03`.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) detail: String,
}

/// Certifies the package at `folder`. Its plugin is called with `payload` where one is given, else with samples made from its
/// manifest. With `tolerate_denied` a plugin passes although the sandbox refused it something; what it asked for is still named.
pub(crate) fn certify(
    folder: &Path,
    payload: Option<&Value>,
    tolerate_denied: bool,
) -> Result<ComplianceReport, Error> {
    let evidence = Evidence::gather(folder, payload, tolerate_denied)?;
    let checks: Vec<InvariantCheck> = CHECKS
        .iter()
        .map(|(id, name, judge)| {
            let (outcome, detail) = judge(&evidence);
            InvariantCheck {
                id,
                name,
                outcome,
                detail,
            }
        })
        .collect();
    let word = |name: &str| {
        evidence
            .said
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Ok(ComplianceReport {
        plugin_id: word("plugin_id"),
        version: word("version"),
        manifest_hash: evidence.report.manifest_hash,
        package_digest: evidence.digest,
        compliant: checks.iter().all(|check| check.outcome != Outcome::Fail),
        checks,
        checked_at: Timestamp::now(),
    })
}
