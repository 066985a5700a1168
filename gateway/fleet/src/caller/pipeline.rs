//! Pipelines across nodes: each step is a call of its own, on whichever node has its plugin. The rules are those of a gateway's own pipeline.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use plugin_protocol::ids::RunId;
use plugin_protocol::message::Status;
use plugin_protocol::report::{
    PipelineInput, PipelinePolicy, PipelineResponse, PipelineStep, Strategy,
};
use plugin_protocol::words;
use serde_json::{Value, json};

use super::{Answer, Caller, GRACE, not_answered};
use crate::fault::{Fault, Kind};

/// The longest that a pipeline may take, whatever it asks for.
const MAX_PIPELINE: Duration = Duration::from_secs(24 * 60 * 60);

impl Caller {
    /// Asks several plugins, one after the other or all at once, inside one total time.
    ///
    /// # Errors
    /// When the pipeline itself is not valid, or a step cannot be sent or recorded.
    pub async fn pipeline(
        &self,
        policy: &PipelinePolicy,
        request: &Value,
    ) -> Result<PipelineResponse, Fault> {
        let begin = Instant::now();
        let run_id = check(policy, request)?;
        let end = begin + Duration::from_millis(policy.timeout_ms).min(MAX_PIPELINE) + GRACE;
        let (steps, stopped) = match policy.strategy {
            Strategy::Sequential => self.in_sequence(policy, request, end).await?,
            Strategy::FanOut => self.fan_out(policy, request, end).await?,
        };
        let all_ok = steps.iter().all(|step| step.response.status == Status::Ok);
        let overall_status = match stopped {
            Some(status) => status,
            None if all_ok => Status::Ok,
            None => Status::Error,
        };
        Ok(PipelineResponse {
            run_id,
            strategy: policy.strategy,
            steps,
            overall_status,
            total_duration_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    async fn in_sequence(
        &self,
        policy: &PipelinePolicy,
        request: &Value,
        end: Instant,
    ) -> Result<(Vec<PipelineStep>, Option<Status>), Fault> {
        let mut steps: Vec<PipelineStep> = Vec::new();
        for plugin_id in &policy.plugin_ids {
            let input = match (policy.input, steps.last()) {
                (PipelineInput::Previous, Some(step)) => {
                    step.response.result.as_ref().map(|result| {
                        let mut request = request.clone();
                        request["payload"] = json!(result);
                        request
                    })
                }
                (PipelineInput::Previous, None) | (PipelineInput::Same, _) => Some(request.clone()),
            };
            let answer = match input {
                Some(input) => self.step(plugin_id, &input, end, None).await?,
                None => {
                    let notes =
                        format!("{}: the step before gave no result", words::INVALID_REQUEST);
                    not_answered(plugin_id, request, Status::Rejected, &notes, "")
                }
            };
            let status = answer.response.status;
            steps.push(step(steps.len(), plugin_id, answer));
            if policy.stop_on_failure && status != Status::Ok {
                return Ok((steps, Some(status)));
            }
        }
        Ok((steps, None))
    }

    async fn fan_out(
        &self,
        policy: &PipelinePolicy,
        request: &Value,
        end: Instant,
    ) -> Result<(Vec<PipelineStep>, Option<Status>), Fault> {
        let taken = Mutex::new(Vec::new());
        let mut open: FuturesUnordered<_> = policy
            .plugin_ids
            .iter()
            .enumerate()
            .map(|(index, plugin_id)| {
                let call = self.step(plugin_id, request, end, Some(&taken));
                async move { (index, plugin_id, call.await) }
            })
            .collect();
        let (mut steps, mut stopped) = (Vec::new(), None);
        while let Some((index, plugin_id, answer)) = open.next().await {
            let answer = answer?;
            let status = answer.response.status;
            steps.push(step(index, plugin_id, answer));
            if policy.stop_on_failure && status != Status::Ok && stopped.is_none() {
                stopped = Some(status);
                let running = taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
                for (node, taken) in running {
                    // Each is still answered, by itself or as cancelled.
                    let cancelled = self.verb(&node, "cancel", &json!({ "taken": taken })).await;
                    drop(cancelled);
                }
            }
        }
        steps.sort_by_key(|step| step.step_index);
        if stopped.is_some() {
            for step in &mut steps {
                if step.response.status == Status::Error
                    && step.response.notes.contains("cancelled")
                {
                    words::ANOTHER_STEP_FAILED.clone_into(&mut step.response.notes);
                }
            }
        }
        Ok((steps, stopped))
    }

    /// One step, inside its request's own time and the pipeline's.
    async fn step(
        &self,
        plugin_id: &str,
        request: &Value,
        end: Instant,
        taken: Option<&Mutex<Vec<(String, String)>>>,
    ) -> Result<Answer, Fault> {
        let left = end
            .saturating_duration_since(Instant::now())
            .saturating_sub(GRACE);
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let mut request = request.clone();
        let asked = request
            .pointer("/policy/timeout_ms")
            .and_then(Value::as_u64);
        if left_ms < plugin_protocol::message::MIN_TIMEOUT_MS {
            let notes = format!(
                "{}: the pipeline's time was over before this step",
                words::TIMEOUT
            );
            return Ok(not_answered(
                plugin_id,
                &request,
                Status::Timeout,
                &notes,
                "",
            ));
        }
        if asked.is_some_and(|asked| asked > left_ms) {
            request["policy"]["timeout_ms"] = left_ms.into();
        }
        self.invoke_within(plugin_id, &request, end, taken).await
    }
}

fn step(step_index: usize, plugin_id: &str, answer: Answer) -> PipelineStep {
    PipelineStep {
        plugin_id: plugin_id.to_owned(),
        response: answer.response,
        step_index,
    }
}

fn check(policy: &PipelinePolicy, request: &Value) -> Result<RunId, Fault> {
    let invalid =
        |why: String| Fault::new(Kind::Invalid, format!("{}: {why}", words::INVALID_REQUEST));
    policy.check().map_err(invalid)?;
    let run = request
        .get("run_id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    RunId::parse(run).map_err(|error| invalid(error.to_string()))
}
