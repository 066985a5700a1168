//! The verbs that run a plugin.

use std::path::Path;

use plugin_protocol::ids::RunId;
use plugin_protocol::message::{Response, Status};
use plugin_protocol::report::{PipelineInput, PipelinePolicy, PipelineResponse, Strategy};

use super::args::{Call, Input, Order, Pipeline};
use super::output::Output;
use super::words::{printable, table};
use super::{Answer, StateFolder, existing, open, request};
use crate::error::Error;
use crate::operator::{self, Comparison, Replay, Told, Trial};
use sandbox::Report;

pub(super) fn invoke(
    state: &StateFolder,
    id: &str,
    call: &Call,
    out: Output,
) -> Result<Answer, Error> {
    let request = request::build(call)?;
    let told = open(state, out)?.invoke(id, &request, out.verbose)?;
    answer(&told, out)
}

pub(super) fn pipeline(
    state: &StateFolder,
    asked: &Pipeline,
    out: Output,
) -> Result<Answer, Error> {
    let request = request::build(&asked.call)?;
    let policy = PipelinePolicy {
        strategy: match asked.strategy {
            Order::Sequential => Strategy::Sequential,
            Order::FanOut => Strategy::FanOut,
        },
        plugin_ids: asked.plugins.clone(),
        timeout_ms: asked
            .call
            .timeout_ms
            .unwrap_or(plugin_protocol::manifest::MAX_CALL_MS),
        stop_on_failure: asked.stop_on_failure,
        input: match asked.step_input {
            Input::Same => PipelineInput::Same,
            Input::Previous => PipelineInput::Previous,
        },
    };
    let response = open(state, out)?.pipeline(&policy, &request)?;
    out.answer(&response, || describe_steps(&response))?;
    Ok((response.overall_status == Status::Ok).into())
}

fn describe_steps(pipeline: &PipelineResponse) -> String {
    let mut lines = Vec::new();
    for step in &pipeline.steps {
        lines.push(format!(
            "{}. {}: {}",
            step.step_index + 1,
            printable(&step.plugin_id),
            describe(&step.response)
        ));
    }
    lines.push(format!(
        "{} in {} ms",
        pipeline.overall_status, pipeline.total_duration_ms
    ));
    lines.join("\n")
}

pub(super) fn run(package: &Path, call: &Call, out: Output) -> Result<Answer, Error> {
    let request = request::build(call)?;
    match operator::trial(package, &request)? {
        Trial::Ran(outcome) => {
            let used = outcome.report.as_ref().map(resources);
            let told = Told::of(outcome.into_inner());
            let answer = answer(&told, out)?;
            if !told.denied.is_empty() && !out.verbose {
                out.note(&refused(&told));
            }
            if let Some(used) = used {
                out.note(&used);
            }
            Ok(answer)
        }
        Trial::Refused { reason } => Err(Error::Invalid {
            message: format!("the package cannot be run: {reason}"),
        }),
    }
}

/// The answer is yes when something was replayed and every replayed call gave the same result.
pub(super) fn replay(state: &Path, run: &str, out: Output) -> Result<Answer, Error> {
    let run = RunId::parse(run).map_err(|error| Error::Usage {
        message: error.to_string(),
        hint: "`plugin-gateway ledger tail --json` shows the runs".to_owned(),
    })?;
    let replay = operator::replay(existing(state)?, &run)?;
    out.answer(&replay, || describe_replay(&replay))?;
    Ok((replay.same > 0 && replay.different == 0).into())
}

fn describe_replay(replay: &Replay) -> String {
    let rows = replay.calls.iter().map(|call| {
        let outcome = match call.outcome {
            Comparison::Same => "same",
            Comparison::Different => "DIFFERENT",
            Comparison::NotReplayed => "not replayed",
        };
        vec![
            call.index.to_string(),
            call.plugin_id.clone(),
            call.request_id.clone(),
            outcome.to_owned(),
            call.reason.clone(),
        ]
    });
    format!(
        "{}\n{} the same, {} different, {} not replayed",
        table(&["event", "plugin", "request", "outcome", "why"], rows),
        replay.same,
        replay.different,
        replay.not_replayed
    )
}

fn answer(told: &Told, out: Output) -> Result<Answer, Error> {
    show_stderr(told, out);
    if !told.denied.is_empty() {
        out.detail(&refused(told));
    }
    if !told.layers.is_empty() {
        out.detail(&format!("layers: {}", told.layers.join(" ")));
    }
    out.answer(&told.response, || describe(&told.response))?;
    Ok((told.response.status == Status::Ok).into())
}

fn describe(response: &Response) -> String {
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
}

/// What the plugin asked for and was refused.
fn refused(told: &Told) -> String {
    format!("refused, and without effect: {}", printable(&told.denied))
}

/// What the plugin wrote on stderr; each line is marked as the plugin's.
fn show_stderr(told: &Told, out: Output) {
    if told.stderr_dropped > 0 {
        out.note(&format!(
            "plugin stderr: ({} earlier bytes were dropped)",
            told.stderr_dropped
        ));
    }
    for line in told.stderr.lines() {
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
