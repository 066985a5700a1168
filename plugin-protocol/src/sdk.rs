//! The Rust plugin SDK: read one request, call one function, write one answer (contract, section 8).
//!
//! It touches standard input, output and error and nothing else, and starts nothing, so that a
//! plugin built with it runs in the strictest class of the sandbox. Everything that is printed goes to standard error, also by a
//! library in C; the answer alone goes to standard output. A panic that aborts, `std::process::exit` and a crash end without
//! an answer, which the gateway calls an `error`.
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
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use crate::json;
use crate::message::{Answer, AnswerStatus, FromPlugin, Request, ToPlugin};
use crate::payload::{Payload, PayloadKind};

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
    #[error("cannot keep standard output for the answer")]
    Keep(#[source] io::Error),
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

    fn to(self, request_id: String) -> FromPlugin {
        FromPlugin::Result {
            response: Answer {
                request_id,
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
/// A panic in `handle` becomes an answer with status `error`, where panics unwind, and what is no request one with status
/// `rejected`. When nothing can be read or the answer cannot be written, the reason goes to standard error, and the exit code says
/// that it failed.
pub fn run(handle: impl FnOnce(&Request) -> Reply) -> ExitCode {
    run_for(&[], handle)
}

/// The same for a plugin that takes these kinds of payload alone: a request with another is answered `rejected`.
pub fn run_for(kinds: &[PayloadKind], handle: impl FnOnce(&Request) -> Reply) -> ExitCode {
    let served = keep_stdout()
        .map_err(Failure::Keep)
        .and_then(|answers| serve(io::stdin().lock(), answers, kinds, handle));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

/// The real standard output, for the answer alone: a stray print on it would be a second line, which the gateway refuses. From now
/// on descriptor 1 is standard error.
fn keep_stdout() -> io::Result<File> {
    let kept = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(kept.into())
}

fn serve(
    mut input: impl BufRead,
    mut output: impl Write,
    kinds: &[PayloadKind],
    handle: impl FnOnce(&Request) -> Reply,
) -> Result<(), Failure> {
    let mut line = Vec::new();
    // The gateway bounds the line by the manifest's `max_bytes`, and the sandbox the memory.
    input.read_until(b'\n', &mut line).map_err(Failure::Input)?;
    let mut answer = crate::canonical::bytes(&answer(&line, kinds, handle));
    answer.push(b'\n');
    // The gateway ends the process as soon as it has the answer, and what was printed without a newline with it.
    let _closed = io::stdout().flush();
    output.write_all(&answer).map_err(Failure::Output)?;
    output.flush().map_err(Failure::Output)
}

fn answer(
    line: &[u8],
    kinds: &[PayloadKind],
    handle: impl FnOnce(&Request) -> Reply,
) -> FromPlugin {
    let request = match json::read_as(line) {
        Ok(ToPlugin::Invoke { request }) => request,
        Err(reason) => {
            return Reply::rejected(format!("Invalid request: {reason}")).to(request_id_in(line));
        }
    };
    let kind = request.payload.kind();
    let reply = if kinds.is_empty() || kinds.contains(&kind) {
        catch_unwind(AssertUnwindSafe(|| handle(&request)))
            .unwrap_or_else(|panic| Reply::error(format!("plugin panicked: {}", words_of(&*panic))))
    } else {
        let taken: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        let taken = taken.join(" or ");
        Reply::rejected(format!(
            "Invalid request: this plugin takes {taken}, and not {kind}"
        ))
    };
    reply.to(request.request_id.as_str().to_owned())
}

/// The request's name in a line that is wrong elsewhere, `""` where that cannot be read either.
fn request_id_in(line: &[u8]) -> String {
    let message = json::read(line).unwrap_or_default();
    let id = message.pointer("/request/request_id");
    id.and_then(serde_json::Value::as_str)
        .unwrap_or_default()
        .to_owned()
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
        serve(line(&request()).as_bytes(), &mut output, &[], handle).unwrap();
        read(output)
    }

    fn read(mut output: Vec<u8>) -> Value {
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
    fn invalid_input_is_rejected_and_nothing_called() {
        let mut bad = request();
        bad["policy"]["timeout_ms"] = json!(1);
        let inputs = [
            (String::new(), ""),
            ("hello\n".to_owned(), ""),
            ("[".repeat(100_000), ""),
            ("{}\n".to_owned(), ""),
            (line(&json!({"request_id": 7})), ""),
            (line(&json!({"request_id": "r-2"})), "r-2"),
            (line(&bad), "r-1"),
            // Of a kind that this plugin does not take.
            (line(&request()), "r-1"),
        ];
        for (input, request_id) in inputs {
            let mut output = Vec::new();
            let kinds = [PayloadKind::Json, PayloadKind::BinaryRef];
            serve(input.as_bytes(), &mut output, &kinds, |_| panic!("called")).unwrap();
            let response = &read(output)["response"];
            assert_eq!(response["status"], "rejected", "{response}");
            assert_eq!(response["request_id"], request_id, "{response}");
            let notes = response["notes"].as_str().unwrap();
            assert!(notes.starts_with("Invalid request: "), "{notes}");
        }
    }

    #[test]
    fn a_kind_that_is_taken_is_handled() {
        let mut output = Vec::new();
        let kinds = [PayloadKind::Json, PayloadKind::Text];
        let input = line(&request());
        serve(input.as_bytes(), &mut output, &kinds, |_| {
            Reply::rejected("mine")
        })
        .unwrap();
        assert_eq!(read(output)["response"]["notes"], "mine");
    }

    #[test]
    fn a_line_without_its_newline_is_enough() {
        let mut output = Vec::new();
        let input = line(&request());
        serve(input.trim_end().as_bytes(), &mut output, &[], |_| {
            Reply::error("")
        })
        .unwrap();
        assert!(!output.is_empty());
    }
}
