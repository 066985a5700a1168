//! An author's one-shot: a package is signed with a throw-away key and called in a throw-away state, on the very same path as any call.

use std::path::Path;

use serde_json::Value;

use super::harness::Harness;
use crate::error::Error;
use crate::router::{Diagnosis, Outcome, likely};
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
    },
}

/// Runs the package at `folder` once on `request`.
pub(crate) fn trial(folder: &Path, request: &Value) -> Result<Trial, Error> {
    let harness = Harness::new()?;
    match harness.try_install(folder)? {
        Ok(id) => {
            let outcome = Box::new(harness.invoke_naming_reads(id.as_str(), request, None)?);
            let likely = likely(&outcome);
            Ok(Trial::Ran { outcome, likely })
        }
        Err(reason) => Ok(Trial::Refused { reason }),
    }
}
