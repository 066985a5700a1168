//! The verb that says what this host can enforce.

use std::path::Path;

use super::Answer;
use super::output::Output;
use super::words::table;
use crate::error::Error;
use crate::operator;

pub(super) fn doctor(state: &Path, out: Output) -> Result<Answer, Error> {
    let health = operator::examine(state)?;
    out.answer(&health, || {
        let rows = health.checks.iter().map(|check| {
            let state = match (check.enforced, check.required) {
                (true, _) => "enforced",
                (false, true) => "MISSING",
                (false, false) => "absent",
            };
            vec![
                check.name.to_string(),
                check.layer.to_owned(),
                state.to_owned(),
                check.detail.clone(),
                check.remedy.clone(),
            ]
        });
        let verdict = if health.ok {
            "plugins can be run on this host"
        } else {
            "plugins are refused on this host: a required layer is missing"
        };
        format!(
            "{}\n\n{verdict}",
            table(&["PROTECTION", "LAYER", "STATE", "DETAIL", "REMEDY"], rows)
        )
    })?;
    Ok(health.ok.into())
}
