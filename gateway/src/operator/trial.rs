//! An author's one-shot: a package is signed with a throw-away key and called in a throw-away state, on the very same path as any call.

use std::path::Path;

use serde_json::Value;

use super::harness::Harness;
use super::validation::manifest_of;
use crate::error::Error;
use crate::router::{Diagnosis, Outcome, is_nearly_full, likely};
use ledger::Recorded;

/// The result.
#[derive(Debug)]
pub(crate) enum Trial {
    /// The package cannot be registered, whoever signs it.
    Refused { reason: String },
    /// It was called.
    Ran {
        outcome: Box<Recorded<Outcome>>,
        /// The likely mistake behind an end that is not `ok`, where one is known.
        likely: Option<Diagnosis>,
        /// The memory that it nearly filled, in bytes.
        nearly_full: Option<u64>,
    },
}

/// Runs the package at `folder` once on `request`.
pub(crate) fn trial(folder: &Path, request: &Value) -> Result<Trial, Error> {
    let harness = Harness::new()?;
    match harness.try_install(folder)? {
        Ok(id) => {
            let outcome = Box::new(harness.invoke_naming_reads(id.as_str(), request, None)?);
            let memory_bytes = manifest_of(folder).map(|manifest| manifest.limits.memory_bytes());
            let nearly_full = memory_bytes.filter(|bytes| {
                let report = outcome.report.as_ref();
                report.is_some_and(|report| is_nearly_full(report, *bytes))
            });
            let likely = likely(&outcome, nearly_full);
            Ok(Trial::Ran {
                outcome,
                likely,
                nearly_full,
            })
        }
        Err(reason) => Ok(Trial::Refused { reason }),
    }
}
