//! The verbs that run a plugin.

use std::path::Path;

use plugin_protocol::message::Status;

use super::args::Call;
use super::output::Output;
use super::words::printable;
use super::{Answer, open, request};
use crate::error::Error;
use crate::operator::{self, Trial};
use crate::router::Outcome;
use crate::sandbox::Report;

pub(super) fn invoke(state: &Path, id: &str, call: &Call, out: Output) -> Result<Answer, Error> {
    let request = request::build(call)?;
    let gateway = open(state, out)?;
    let outcome = gateway.invoke(id, &request, None)?;
    answer(&outcome, out)
}

pub(super) fn run(package: &Path, call: &Call, out: Output) -> Result<Answer, Error> {
    let request = request::build(call)?;
    match operator::trial(package, &request)? {
        Trial::Ran(outcome) => {
            let answer = answer(&outcome, out)?;
            if let Some(report) = &outcome.report {
                out.note(&resources(report));
            }
            Ok(answer)
        }
        Trial::Refused { reason } => Err(Error::Invalid {
            message: format!("the package cannot be run: {reason}"),
        }),
    }
}

fn answer(outcome: &Outcome, out: Output) -> Result<Answer, Error> {
    let response = &outcome.response;
    if let Some(report) = &outcome.report {
        show_stderr(report, out);
        out.detail(&format!(
            "layers: {}",
            report
                .layers
                .iter()
                .map(|layer| layer.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        ));
    }
    out.answer(response, || {
        let mut lines = vec![format!(
            "{} in {} ms",
            response.status, response.duration_ms
        )];
        if let Some(result) = &response.result {
            lines.push(printable(
                &serde_json::to_string_pretty(result).unwrap_or_default(),
            ));
        }
        if !response.notes.is_empty() {
            lines.push(printable(&response.notes));
        }
        lines.join("\n")
    })?;
    Ok((response.status == Status::Ok).into())
}

/// What the plugin wrote on stderr, each line marked as its own.
fn show_stderr(report: &Report, out: Output) {
    if report.stderr.dropped > 0 {
        out.note(&format!(
            "plugin stderr: ({} earlier bytes were dropped)",
            report.stderr.dropped
        ));
    }
    for line in String::from_utf8_lossy(&report.stderr.bytes).lines() {
        out.note(&format!("plugin stderr: {}", printable(line)));
    }
}

fn resources(report: &Report) -> String {
    const KIB: u64 = 1024;
    let usage = report.usage;
    format!(
        "used {} ms of time, {} ms of processor, {} KiB of memory at most",
        usage.wall.as_millis(),
        usage.cpu.as_millis(),
        usage.peak_memory_bytes / KIB
    )
}
