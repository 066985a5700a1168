//! From the command's options to a request: what is given is taken, what is missing is filled in.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use plugin_protocol::ids::EventId;
use plugin_protocol::json;
use plugin_protocol::manifest::MAX_CALL_MS;
use plugin_protocol::time::Timestamp;
use plugin_protocol::words;
use serde_json::{Map, Value, json};

use super::args::Call;
use crate::error::Error;

/// The largest request that the command reads, in bytes: far above any manifest's sensible `max_bytes`.
const MAX_INPUT_BYTES: u64 = 64 * 1024 * 1024;

/// The request that the options describe. The gateway, not the command, judges it.
pub(super) fn build(call: &Call) -> Result<Value, Error> {
    let nothing = || {
        Error::Usage {
        message: "there is nothing to ask: no payload was given".to_owned(),
        hint: "pass --text STR, --text-file FILE, or --input FILE with a payload or a whole request (`-` reads standard input)".to_owned(),
    }
    };
    let given = match &call.text_file {
        Some(file) => Some(text_payload(&text_of(file)?)),
        None => given(call.text.as_deref(), call.input.as_deref())?,
    };
    let given = given.ok_or_else(nothing)?;
    let mut request = if is_request(&given) {
        given
    } else {
        around(given)
    };
    if let Some(fields) = request.as_object_mut() {
        overlay(fields, call);
    }
    Ok(request)
}

/// The payload that was given, taken out of its request where it stands in one; none where nothing was given.
pub(super) fn payload(text: Option<&str>, file: Option<&Path>) -> Result<Option<Value>, Error> {
    Ok(given(text, file)?.map(|mut given| {
        if is_request(&given) {
            given["payload"].take()
        } else {
            given
        }
    }))
}

fn given(text: Option<&str>, file: Option<&Path>) -> Result<Option<Value>, Error> {
    match (text, file) {
        (Some(text), _) => Ok(Some(text_payload(text))),
        (None, Some(file)) => read(file).map(Some),
        (None, None) => Ok(None),
    }
}

/// A payload says its `kind`; a request has a `payload`.
fn is_request(given: &Value) -> bool {
    given.get("kind").is_none() && given.get("payload").is_some()
}

fn text_payload(text: &str) -> Value {
    json!({ "kind": "text", "content": text, "encoding": "utf-8", "metadata": {} })
}

fn around(payload: Value) -> Value {
    let name = EventId::now();
    json!({
        "request_id": format!("req-{name}"),
        "run_id": format!("run-{name}"),
        "timestamp": Timestamp::now(),
        "payload": payload,
        "context": {},
        "policy": { "deterministic_only": false, "timeout_ms": MAX_CALL_MS, "max_retries": 0 },
    })
}

fn overlay(request: &mut Map<String, Value>, call: &Call) {
    if let Some(run) = &call.run {
        request.insert("run_id".to_owned(), run.as_str().into());
    }
    let Some(policy) = request.get_mut("policy").and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(timeout_ms) = call.timeout_ms {
        policy.insert("timeout_ms".to_owned(), timeout_ms.into());
    }
    if let Some(retries) = call.retries {
        policy.insert("max_retries".to_owned(), retries.into());
    }
    if call.deterministic_only {
        policy.insert("deterministic_only".to_owned(), true.into());
    }
}

fn read(file: &Path) -> Result<Value, Error> {
    json::read(&bytes_of(file)?).map_err(|error| Error::Invalid {
        message: format!(
            "{}: {error}; --input takes a payload or a request as JSON, --text STR and --text-file FILE take plain text",
            words::INVALID_REQUEST
        ),
    })
}

/// The whole text of a file, as it is, with its last newline where it has one.
fn text_of(file: &Path) -> Result<String, Error> {
    String::from_utf8(bytes_of(file)?).map_err(|error| Error::Invalid {
        message: format!(
            "{}: '{}' is no text in UTF-8 from byte {} on: send a binary_ref instead",
            words::INVALID_REQUEST,
            file.display(),
            error.utf8_error().valid_up_to()
        ),
    })
}

fn bytes_of(file: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::File {
        action: "read the request from",
        path: file.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let mut take = |source: &mut dyn Read| {
        source
            .take(MAX_INPUT_BYTES + 1)
            .read_to_end(&mut bytes)
            .map(drop)
    };
    if file == Path::new("-") {
        take(&mut io::stdin().lock()).map_err(failed)?;
    } else {
        take(&mut File::open(file).map_err(failed)?).map_err(failed)?;
    }
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        return Err(Error::Invalid {
            message: format!(
                "{}: it is larger than {MAX_INPUT_BYTES} bytes: send a binary_ref or a dataset_slice instead",
                words::INVALID_REQUEST
            ),
        });
    }
    Ok(bytes)
}
