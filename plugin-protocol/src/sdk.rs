//! The Rust plugin SDK: read one request, call one function, write one answer (contract, section 8).
//!
//! It touches standard input, output and error and nothing else, and starts nothing, so that a
//! plugin built with it runs in the strictest class of the sandbox.
//!
//! ```no_run
//! use plugin_protocol::message::Request;
//! use plugin_protocol::payload::Payload;
//! use plugin_protocol::sdk::{self, Reply};
//!
//! fn hello(request: &Request) -> Reply {
//!     match &request.payload {
//!         Payload::Text { content, .. } => Reply::ok(Payload::text(format!("hello {content}"))),
//!         other => Reply::rejected(format!("cannot greet a payload of kind {}", other.kind())),
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     sdk::run(hello)
//! }
//! ```

use std::any::Any;
use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use crate::json;
use crate::message::{Answer, AnswerStatus, FromPlugin, Request, ToPlugin};
use crate::payload::Payload;

/// A plugin's reply to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    status: AnswerStatus,
    result: Option<Payload>,
    notes: String,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot read the request from standard input")]
    Input(#[source] io::Error),
    #[error("cannot understand the request")]
    Request(#[source] json::Error),
    #[error("cannot write the answer to standard output")]
    Output(#[source] io::Error),
}

impl Reply {
    /// A result.
    #[must_use]
    pub fn ok(result: Payload) -> Self {
        Self::ok_with_notes(result, "")
    }

    /// A result, with words for people.
    #[must_use]
    pub fn ok_with_notes(result: Payload, notes: impl Into<String>) -> Self {
        Self {
            status: AnswerStatus::Ok,
            result: Some(result),
            notes: notes.into(),
        }
    }

    /// The plugin will not answer this request, with the reason in words; it is not asked again.
    #[must_use]
    pub fn rejected(notes: impl Into<String>) -> Self {
        Self {
            status: AnswerStatus::Rejected,
            result: None,
            notes: notes.into(),
        }
    }

    /// The plugin failed, with the reason in words; it may be asked again.
    #[must_use]
    pub fn error(notes: impl Into<String>) -> Self {
        Self {
            status: AnswerStatus::Error,
            result: None,
            notes: notes.into(),
        }
    }

    fn to(self, request: &Request) -> FromPlugin {
        FromPlugin::Result {
            response: Answer {
                request_id: request.request_id.as_str().to_owned(),
                status: self.status,
                result: self.result,
                notes: self.notes,
                plugin_id: serde::de::IgnoredAny,
                evidence_hashes: serde::de::IgnoredAny,
                duration_ms: serde::de::IgnoredAny,
            },
        }
    }
}

/// Serves the one request of this process: the whole body of a plugin's `main`.
///
/// A panic in `handle` becomes an answer with status `error`, where panics unwind. When the request cannot be read or the
/// answer cannot be written, the reason goes to standard error, and the exit code says that it failed.
pub fn run(handle: impl FnOnce(&Request) -> Reply) -> ExitCode {
    match serve(io::stdin().lock(), io::stdout().lock(), handle) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

fn serve(
    mut input: impl BufRead,
    mut output: impl Write,
    handle: impl FnOnce(&Request) -> Reply,
) -> Result<(), Failure> {
    let mut line = Vec::new();
    // The gateway bounds the line by the manifest's `max_bytes`, and the sandbox the memory.
    input.read_until(b'\n', &mut line).map_err(Failure::Input)?;
    let ToPlugin::Invoke { request } = json::read_as(&line).map_err(Failure::Request)?;
    let reply = catch_unwind(AssertUnwindSafe(|| handle(&request)))
        .unwrap_or_else(|panic| Reply::error(format!("plugin panicked: {}", words_of(&*panic))));
    let mut answer = crate::canonical::bytes(&reply.to(&request));
    answer.push(b'\n');
    output.write_all(&answer).map_err(Failure::Output)?;
    output.flush().map_err(Failure::Output)
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no words")
}

fn complain(failure: &Failure) {
    let cause = std::error::Error::source(failure).map(|cause| format!(": {cause}"));
    // Where standard error is closed there is nobody left to tell.
    let _closed = writeln!(io::stderr(), "{failure}{}", cause.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(request: &Value) -> String {
        format!("{}\n", json!({"type": "invoke", "request": request}))
    }

    fn request() -> Value {
        json!({
            "request_id": "r-1", "run_id": "n", "timestamp": "2026-01-31T12:00:00.000Z",
            "payload": Payload::text("world"), "context": {},
            "policy": {"deterministic_only": false, "timeout_ms": 100, "max_retries": 0}
        })
    }

    fn answer(handle: impl FnOnce(&Request) -> Reply) -> Value {
        let mut output = Vec::new();
        serve(line(&request()).as_bytes(), &mut output, handle).unwrap();
        assert_eq!(output.pop(), Some(b'\n'));
        assert!(!output.contains(&b'\n'), "one line");
        json::read(&output).unwrap()
    }

    #[test]
    fn a_result_is_one_line_for_the_request() {
        let payload = Payload::text("line\nbreak");
        assert_eq!(
            answer(|_| Reply::ok(payload.clone())),
            json!({"type": "result", "response": {
                "request_id": "r-1", "status": "ok", "result": payload, "notes": ""
            }})
        );
    }

    #[test]
    fn refusals_and_failures_carry_words() {
        assert_eq!(
            answer(|_| Reply::rejected("no"))["response"]["status"],
            "rejected"
        );
        let failed = answer(|_| Reply::error("broken"));
        assert_eq!(failed["response"]["status"], "error");
        assert_eq!(failed["response"]["notes"], "broken");
        assert_eq!(failed["response"]["result"], Value::Null);
    }

    #[test]
    fn a_panic_is_an_error() {
        let failed = answer(|_| panic!("out of {}", "ink"));
        assert_eq!(failed["response"]["status"], "error");
        assert_eq!(failed["response"]["notes"], "plugin panicked: out of ink");
    }

    #[test]
    fn without_a_request_nothing_is_written_and_nothing_called() {
        let mut bad = request();
        bad["policy"]["timeout_ms"] = json!(1);
        for input in [String::new(), "{}\n".to_owned(), line(&bad)] {
            let mut output = Vec::new();
            let served = serve(input.as_bytes(), &mut output, |_| panic!("called"));
            assert!(matches!(served, Err(Failure::Request(_))), "{input}");
            assert!(output.is_empty());
        }
    }

    #[test]
    fn a_line_without_its_newline_is_enough() {
        let mut output = Vec::new();
        let input = line(&request());
        serve(input.trim_end().as_bytes(), &mut output, |_| {
            Reply::error("")
        })
        .unwrap();
        assert!(!output.is_empty());
    }
}
