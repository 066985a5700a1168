//! The verbs that run a plugin.

use std::path::Path;

use plugin_protocol::ids::RunId;
use plugin_protocol::message::{Response, Status};
use plugin_protocol::report::{PipelineInput, PipelinePolicy, PipelineResponse, Strategy};
use serde_json::Value;

use super::args::{Call, Input, Order, Pipeline};
use super::output::Output;
use super::words::{printable, table};
use super::{Answer, StateFolder, existing, open, request};
use crate::error::Error;
use crate::operator::{self, Comparison, Replay, Told};

pub(super) fn invoke(
    state: &StateFolder,
    id: &str,
    call: &Call,
    out: Output,
) -> Result<Answer, Error> {
    let request = request::build(call)?;
    let mut told = open(state, out)?.invoke(id, &request, out.verbose)?;
    let run = request.get("run_id").and_then(Value::as_str);
    answer(&mut told, run, out)
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
    let mut response = open(state, out)?.pipeline(&policy, &request)?;
    // A receipt is the channel's.
    for step in &mut response.steps {
        step.response.receipt = None;
    }
    out.answer(&response, || {
        with_run(
            describe_steps(&response),
            Some(response.run_id.as_str()),
            out,
        )
    })?;
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

/// The answer first, then what there is beside it.
pub(super) fn answer(told: &mut Told, run: Option<&str>, out: Output) -> Result<Answer, Error> {
    // A receipt is the channel's.
    told.response.receipt = None;
    out.answer(&told.response, || {
        with_run(describe(&told.response), run, out)
    })?;
    show_stderr(told, out);
    if !told.denied.is_empty() {
        out.detail(&refused(told));
    }
    if !told.layers.is_empty() {
        out.detail(&format!("layers: {}", told.layers.join(" ")));
    }
    Ok((told.response.status == Status::Ok).into())
}

/// The words with the run's id, which `proof export` and `replay` ask for.
fn with_run(words: String, run: Option<&str>, out: Output) -> String {
    match run.filter(|_| !out.quiet) {
        Some(run) => format!("{words}\nrun {}", printable(run)),
        None => words,
    }
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
pub(super) fn refused(told: &Told) -> String {
    format!("refused, and without effect: {}", printable(&told.denied))
}

/// How many lines of a plugin's stderr are shown unasked: its last words, and no screen full.
const STDERR_LINES: usize = 20;

/// The last lines that the plugin wrote on stderr, each marked as its own.
fn show_stderr(told: &Told, out: Output) {
    let lines: Vec<&str> = told.stderr.lines().collect();
    let hidden = if out.verbose {
        0
    } else {
        lines.len().saturating_sub(STDERR_LINES)
    };
    if told.stderr_dropped > 0 {
        out.note(&format!(
            "plugin stderr: ({} earlier bytes were dropped)",
            told.stderr_dropped
        ));
    }
    if hidden > 0 {
        out.note(&format!(
            "plugin stderr: ({hidden} earlier lines: -v shows them)"
        ));
    }
    for line in lines.into_iter().skip(hidden) {
        out.note(&format!("plugin stderr: {}", printable(line)));
    }
}
