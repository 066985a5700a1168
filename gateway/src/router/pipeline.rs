//! Several plugins asked in one call: one after the other or all at once, inside one total time.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded, never, select};
use plugin_protocol::ids::RunId;
use plugin_protocol::message::{Response, Status};
use plugin_protocol::report::{
    PipelineInput, PipelinePolicy, PipelineResponse, PipelineStep, Strategy,
};
use plugin_protocol::words;
use serde_json::Value;

use super::cause::Cause;
use super::exchange::{Call, whole_ms};
use super::invocation::Router;
use super::record::Outcome;
use super::refusal::TurnedAway;
use crate::error::Error;
use ledger::Recorded;
use sandbox::{self, Cancel};

/// The most threads that the steps of all fan-outs take together, so that memory stays bounded; a step beyond is `overloaded`.
const MAX_STEP_THREADS: usize = 1_024;

/// The longest that a pipeline may take, whatever it asks for: longer than the most steps one after the other, each at the gateway's ceiling.
const MAX_PIPELINE: Duration = Duration::from_secs(24 * 60 * 60);

/// One pipeline as the host asked for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pipeline<'a> {
    pub(crate) policy: &'a PipelinePolicy,
    pub(crate) request: &'a Value,
    pub(crate) cancel: Option<&'a Cancel>,
}

/// The threads that steps take, counted over all pipelines.
#[derive(Debug, Default)]
pub(super) struct StepThreads(AtomicUsize);

/// One thread that was counted.
struct Counted<'a>(&'a AtomicUsize);

impl StepThreads {
    fn take(&self) -> Option<Counted<'_>> {
        let more = |count: usize| (count < MAX_STEP_THREADS).then_some(count + 1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()
            .map(|_| Counted(&self.0))
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How far a pipeline came.
#[derive(Default)]
struct Progress {
    steps: Vec<PipelineStep>,
    /// The status of the step that it stopped on.
    stopped: Option<Status>,
}

/// What ends the steps of a fan-out that still run.
struct Stop {
    switch: Cancel,
    /// Whether it was thrown because a step failed, and not by the host.
    failed: AtomicBool,
}

impl Stop {
    fn seen_by_step(&self) -> (Option<&Cancel>, Option<&AtomicBool>) {
        (Some(&self.switch), Some(&self.failed))
    }
}

type Ended = (usize, Result<Response, Error>);

impl Router {
    /// Asks the plugins of a pipeline.
    ///
    /// # Errors
    /// When the pipeline itself is not valid, or the ledger cannot record what happens.
    pub(crate) fn pipeline(&self, pipeline: Pipeline<'_>) -> Result<PipelineResponse, Error> {
        let start = Instant::now();
        let run_id = check(&pipeline)?;
        let allowed = Duration::from_millis(pipeline.policy.timeout_ms).min(MAX_PIPELINE);
        let end = start + allowed;
        let progress = match pipeline.policy.strategy {
            Strategy::Sequential => self.in_sequence(pipeline, end)?,
            Strategy::FanOut => self.fan_out(pipeline, end)?,
        };
        Ok(self.whole(run_id, pipeline.policy.strategy, progress, start))
    }

    /// Answers every step of a pipeline as `overloaded`, and starts none.
    ///
    /// # Errors
    /// As [`Router::pipeline`].
    pub(crate) fn pipeline_overloaded(
        &self,
        pipeline: Pipeline<'_>,
        notes: &str,
    ) -> Result<PipelineResponse, Error> {
        let start = Instant::now();
        let run_id = check(&pipeline)?;
        let mut progress = Progress::default();
        for plugin_id in &pipeline.policy.plugin_ids {
            let call = Call::new(plugin_id, pipeline.request, None);
            let refused = answered(self.refuse(call, overloaded(notes))?);
            progress.take(progress.steps.len(), plugin_id, refused);
            if progress.stops_at_last(pipeline.policy) {
                break;
            }
        }
        Ok(self.whole(run_id, pipeline.policy.strategy, progress, start))
    }

    fn whole(
        &self,
        run_id: RunId,
        strategy: Strategy,
        mut progress: Progress,
        start: Instant,
    ) -> PipelineResponse {
        // A checkpoint may have been signed since the first steps were recorded.
        for step in &mut progress.steps {
            let receipt = step.response.receipt;
            step.response.receipt = receipt.map(|receipt| self.renewed(receipt));
        }
        PipelineResponse {
            run_id,
            strategy,
            overall_status: overall(&progress),
            steps: progress.steps,
            total_duration_ms: whole_ms(start.elapsed()),
        }
    }

    fn in_sequence(&self, pipeline: Pipeline<'_>, end: Instant) -> Result<Progress, Error> {
        let mut progress = Progress::default();
        for (index, plugin_id) in pipeline.policy.plugin_ids.iter().enumerate() {
            if index > 0 && pipeline.cancel.is_some_and(Cancel::is_thrown) {
                progress.stopped = Some(Status::Error);
                break;
            }
            let response = match input_of(pipeline, &progress) {
                Some(request) => self.step(plugin_id, &request, (pipeline.cancel, None), end)?,
                None => {
                    let call = Call::new(plugin_id, pipeline.request, None);
                    answered(self.refuse(call, no_input())?)
                }
            };
            progress.take(index, plugin_id, response);
            if progress.stops_at_last(pipeline.policy) {
                break;
            }
        }
        Ok(progress)
    }

    fn fan_out(&self, pipeline: Pipeline<'_>, end: Instant) -> Result<Progress, Error> {
        let stop = Stop {
            switch: Cancel::new().map_err(|source| sandbox::Error::Io {
                action: "make a switch for a pipeline",
                source,
            })?,
            failed: AtomicBool::new(false),
        };
        let plugin_ids = &pipeline.policy.plugin_ids;
        let (ended, endings) = bounded::<Ended>(plugin_ids.len());
        let mut results = std::thread::scope(|scope| {
            let mut open = plugin_ids.len();
            for index in 0..plugin_ids.len() {
                self.start_step(scope, pipeline, index, &stop, end, &ended);
            }
            let mut results: Vec<Ended> = Vec::with_capacity(open);
            let nobody = never();
            let mut given_up = pipeline.cancel.map_or(&nobody, Cancel::thrown);
            while open > 0 {
                select! {
                    recv(endings) -> ending => if let Ok(ending) = ending {
                        open -= 1;
                        if pipeline.policy.stop_on_failure && !is_ok(&ending) {
                            stop.failed.store(true, Ordering::SeqCst);
                            stop.switch.cancel();
                        }
                        results.push(ending);
                    },
                    recv(given_up) -> _ => {
                        stop.switch.cancel();
                        given_up = &nobody;
                    }
                }
            }
            results
        });
        let mut progress = Progress::default();
        if pipeline.policy.stop_on_failure
            && let Some((_, Ok(first))) = results.iter().find(|ending| !is_ok(ending))
        {
            progress.stopped = Some(first.status);
        }
        results.sort_by_key(|(index, _)| *index);
        for ((index, response), plugin_id) in results.into_iter().zip(plugin_ids) {
            progress.take(index, plugin_id, response?);
        }
        Ok(progress)
    }

    /// Starts one step of a fan-out in a thread of its own; where there is none it is refused at once.
    fn start_step<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        pipeline: Pipeline<'env>,
        index: usize,
        stop: &'env Stop,
        end: Instant,
        ended: &Sender<Ended>,
    ) {
        let Some(plugin_id) = pipeline.policy.plugin_ids.get(index) else {
            return;
        };
        let done = ended.clone();
        let started = self.step_threads().take().and_then(|counted| {
            let run = move || {
                let result = self.step(plugin_id, pipeline.request, stop.seen_by_step(), end);
                drop(counted);
                // The channel has room for every step.
                done.send((index, result)).unwrap_or_default();
            };
            Builder::new()
                .name(format!("step {index}"))
                .spawn_scoped(scope, run)
                .ok()
        });
        if started.is_none() {
            let call = Call::new(plugin_id, pipeline.request, None);
            let result = self.refuse(call, overloaded("no thread is left for this step"));
            ended
                .send((index, result.map(answered)))
                .unwrap_or_default();
        }
    }

    fn step(
        &self,
        plugin_id: &str,
        request: &Value,
        (cancel, another_failed): (Option<&Cancel>, Option<&AtomicBool>),
        end: Instant,
    ) -> Result<Response, Error> {
        let call = Call {
            plugin_id,
            request,
            cancel,
            names_reads: false,
            lists_tools: false,
            within: Some(end),
            another_failed,
        };
        Ok(answered(self.invoke(call)?))
    }
}

impl Progress {
    fn take(&mut self, step_index: usize, plugin_id: &str, response: Response) {
        self.steps.push(PipelineStep {
            plugin_id: plugin_id.to_owned(),
            response,
            step_index,
        });
    }

    /// Whether the pipeline ends with its last step because that failed.
    fn stops_at_last(&mut self, policy: &PipelinePolicy) -> bool {
        let last = self.steps.last().map(|step| step.response.status);
        self.stopped = last.filter(|status| policy.stop_on_failure && *status != Status::Ok);
        self.stopped.is_some()
    }
}

/// A step's response, with the receipt of the event that closed it.
fn answered(outcome: Recorded<Outcome>) -> Response {
    let receipt = Some(outcome.receipt());
    Response {
        receipt,
        ..outcome.into_inner().response
    }
}

/// What the next step is given; nothing where the step before gave no result.
fn input_of<'a>(pipeline: Pipeline<'a>, progress: &Progress) -> Option<Cow<'a, Value>> {
    let previous = match (pipeline.policy.input, progress.steps.last()) {
        (PipelineInput::Same, _) | (PipelineInput::Previous, None) => {
            return Some(Cow::Borrowed(pipeline.request));
        }
        (PipelineInput::Previous, Some(step)) => step.response.result.as_ref()?,
    };
    let mut request = pipeline.request.clone();
    request
        .as_object_mut()?
        .insert("payload".to_owned(), serde_json::to_value(previous).ok()?);
    Some(Cow::Owned(request))
}

/// Checks what belongs to the pipeline itself, and gives the run that it belongs to.
fn check(pipeline: &Pipeline<'_>) -> Result<RunId, Error> {
    let invalid = |message: String| Error::Invalid {
        message: format!("{}: {message}", words::INVALID_REQUEST),
    };
    pipeline.policy.check().map_err(invalid)?;
    let run_id = pipeline.request.get("run_id").and_then(Value::as_str);
    let run_id = run_id.ok_or_else(|| invalid("the request has no run_id".to_owned()))?;
    RunId::parse(run_id).map_err(|error| invalid(error.to_string()))
}

fn overall(progress: &Progress) -> Status {
    let all = progress
        .steps
        .iter()
        .all(|step| step.response.status == Status::Ok);
    match progress.stopped {
        Some(status) => status,
        None if all => Status::Ok,
        None => Status::Error,
    }
}

fn is_ok((_, result): &Ended) -> bool {
    result
        .as_ref()
        .is_ok_and(|response| response.status == Status::Ok)
}

/// A call that is refused because too much is going on.
pub(super) fn overloaded(notes: &str) -> TurnedAway {
    TurnedAway::new(
        Cause::Overloaded,
        format!("{}: {notes}: try again later", words::OVERLOADED),
    )
}

fn no_input() -> TurnedAway {
    TurnedAway::new(
        Cause::Request,
        format!(
            "{}: the step before gave no result that could be this step's input",
            words::INVALID_REQUEST
        ),
    )
}
