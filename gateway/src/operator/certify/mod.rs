//! `certify`: the ten compliance checks of one package. It tries the package in a throw-away state on the very same path as any call,
//! then judges what it saw; it changes nothing of the package.

mod behaviour;
mod calls;
mod checks;
mod evidence;
mod order;
mod own;
mod samples;
mod sarif;

use std::path::Path;
use std::time::{Duration, Instant};

use plugin_protocol::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

use self::checks::CHECKS;
use self::evidence::Evidence;
use crate::error::Error;

pub(crate) use sarif::sarif;

/// The results of the ten checks.
#[derive(Debug, Serialize)]
pub(crate) struct ComplianceReport {
    /// The id in the manifest, empty where there is none.
    pub(crate) plugin_id: String,
    pub(crate) timestamp: Timestamp,
    /// Whether every check passed.
    pub(crate) passed: bool,
    pub(crate) checks: Vec<ComplianceCheck>,
    pub(crate) summary: Summary,
}

/// One check.
#[derive(Debug, Serialize)]
pub(crate) struct ComplianceCheck {
    /// Such as `CG-04`.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    /// The law of the older rule book that it stands for, such as `L6`.
    pub(crate) law: &'static str,
    /// The invariant that it stands for, such as `INV-PNP-03`.
    #[serde(skip)]
    pub(crate) invariant: &'static str,
    pub(crate) passed: bool,
    pub(crate) detail: String,
    /// How long the calls behind it took, and its judgement.
    pub(crate) duration_ms: u64,
}

/// The checks, counted.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) total: usize,
    pub(crate) passed_count: usize,
    pub(crate) failed_count: usize,
}

/// Certifies the package at `folder`, asking it `payload` where one is given and what its author's tests say, else samples made from its
/// manifest. With `tolerate_denied` a plugin passes that was refused something, which is named all the same.
pub(crate) fn certify(
    folder: &Path,
    payload: Option<&Value>,
    tolerate_denied: bool,
) -> Result<ComplianceReport, Error> {
    let evidence = Evidence::gather(folder, payload, tolerate_denied)?;
    let checks: Vec<ComplianceCheck> = CHECKS
        .iter()
        .map(|row| {
            let begun = Instant::now();
            let (passed, detail) = (row.judge)(&evidence);
            ComplianceCheck {
                id: row.id,
                name: row.name,
                law: row.law,
                invariant: row.invariant,
                passed,
                detail,
                duration_ms: whole_ms(evidence.spent_on(row.id) + begun.elapsed()),
            }
        })
        .collect();
    let passed_count = checks.iter().filter(|check| check.passed).count();
    let plugin_id = evidence.said.get("plugin_id").and_then(Value::as_str);
    Ok(ComplianceReport {
        plugin_id: plugin_id.unwrap_or_default().to_owned(),
        timestamp: Timestamp::now(),
        passed: passed_count == checks.len(),
        summary: Summary {
            total: checks.len(),
            passed_count,
            failed_count: checks.len() - passed_count,
        },
        checks,
    })
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
