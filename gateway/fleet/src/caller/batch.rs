//! Batches: requests are put into the work queue, and their results read where the nodes put them.

use std::time::{Duration, Instant};

use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::stream::{RetentionPolicy, Stream};
use plugin_protocol::ids::PluginId;
use plugin_protocol::json;
use plugin_protocol::message::Response;
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, Caller};
use crate::fault::{Fault, Kind, chain};
use crate::node::batch::job_name;
use crate::receipt::{Receipt, header};
use crate::{names, nats};

/// The pause between two looks for results.
const PAUSE: Duration = Duration::from_millis(50);

/// How long results are waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait(pub(crate) Duration);

/// One request of a batch.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    plugin_id: String,
    request: Value,
}

impl Job {
    fn text(&self, name: &str) -> &str {
        self.request
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn name(&self) -> String {
        job_name(self.text("run_id"), self.text("request_id"))
    }
}

impl Caller {
    /// Puts each line of `lines`, the params of an `invoke`, into the queue, and gives the results that come within `wait` in the same
    /// order; none for those that did not.
    pub(crate) async fn submit(
        &self,
        lines: &[u8],
        wait: Wait,
    ) -> Result<Vec<Option<Answer>>, Fault> {
        let jobs = read(lines)?;
        nats::stream(
            &self.jetstream,
            names::JOBS_STREAM,
            "omega.job.>",
            RetentionPolicy::WorkQueue,
        )
        .await?;
        nats::stream(
            &self.jetstream,
            names::CLAIMS_STREAM,
            "omega.claim.*",
            RetentionPolicy::Limits,
        )
        .await?;
        let results = nats::stream(
            &self.jetstream,
            names::RESULTS_STREAM,
            "omega.result.*",
            RetentionPolicy::Limits,
        )
        .await?;
        for job in &jobs {
            self.queue(job).await?;
        }
        let end = Instant::now() + wait.0;
        let mut answers: Vec<Option<Answer>> = vec![None; jobs.len()];
        loop {
            for (job, answer) in jobs.iter().zip(&mut answers) {
                if answer.is_none() {
                    *answer = self.result(&results, job).await?;
                }
            }
            if answers.iter().all(Option::is_some) || Instant::now() >= end {
                return Ok(answers);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn queue(&self, job: &Job) -> Result<(), Fault> {
        let body = serde_json::json!({ "plugin_id": job.plugin_id, "request": job.request });
        let failed = |error: PublishError| {
            let request = job.text("request_id");
            Fault::internal(format!(
                "the queue does not take request '{request}': {}",
                chain(&error)
            ))
            .hint("submit the same file again: what is queued or done already is not done twice")
        };
        let subject = names::job(&job.plugin_id);
        let ack = self
            .jetstream
            .publish(subject, body.to_string().into())
            .await;
        ack.map_err(failed)?.await.map(drop).map_err(failed)
    }

    /// A job's result, and its receipt kept; none while there is none.
    async fn result(&self, results: &Stream, job: &Job) -> Result<Option<Answer>, Fault> {
        let subject = names::result(&job.name());
        let Ok(message) = results.get_last_raw_message_by_subject(&subject).await else {
            return Ok(None);
        };
        let headers = Some(&message.headers);
        let receipt = Receipt::of(headers, job.text("request_id"));
        if let Some(receipt) = &receipt {
            self.receipts.keep(receipt)?;
        }
        if let Some(words) = header(headers, names::ERROR) {
            return Err(Fault::internal(format!(
                "request '{}': {words}",
                job.text("request_id")
            )));
        }
        let response = json::read_as::<Response>(&message.payload)
            .map_err(|error| Fault::internal(format!("a result cannot be read: {error}")))?;
        let node = header(headers, names::NODE).unwrap_or_default().to_owned();
        Ok(Some(Answer {
            response,
            node,
            receipt,
        }))
    }
}

fn read(lines: &[u8]) -> Result<Vec<Job>, Fault> {
    let lines = lines.split(|byte| *byte == b'\n').enumerate();
    let whole = lines.filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace));
    whole
        .map(|(index, line)| {
            let invalid = |why: String| Fault::new(Kind::Invalid, format!("line {}: {why}", index + 1));
            let job: Job = json::read_as(line).map_err(|error| invalid(error.to_string()))?;
            PluginId::parse(&job.plugin_id).map_err(|error| invalid(error.to_string()))?;
            if job.text("request_id").is_empty() || job.text("run_id").is_empty() {
                return Err(invalid("a request of a batch needs a request_id and a run_id, by which it is known again".to_owned()));
            }
            Ok(job)
        })
        .collect()
}
