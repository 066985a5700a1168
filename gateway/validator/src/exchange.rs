//! Checks requests before they run and answers before they count; it starts nothing and trusts nothing unchecked.

use plugin_protocol::digest::PayloadHash;
use plugin_protocol::ids::{RequestId, RunId};
use plugin_protocol::manifest::DeterminismMode;
use plugin_protocol::message::{AnswerStatus, FromPlugin, Request, Status};
use plugin_protocol::payload::Payload;
use plugin_protocol::{canonical, json, mcp, shown, words};
use serde_json::{Value, json};

use super::ports::{Side, Sized, fit};
use super::schemas::told;
use super::server;
use super::shape::{ANSWER, REQUEST, Shape};
use super::words::quoted;
use super::{CheckedManifest, Schemas};

/// The longest notes of a plugin that are passed on, in characters; a cut is marked.
const MAX_NOTES_CHARS: usize = 2_000;
/// The most findings that one refusal names; the others are counted.
const MAX_TOLD: usize = 5;

/// A request that a plugin may see. Only [`admit_value`] and its sibling for bytes make one.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted {
    request: Request,
    line: Vec<u8>,
    input_hash: PayloadHash,
    input_bytes: usize,
    asked: Asked,
}

/// What the plugin is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// An answer to the request, in one line (contract, section 8).
    Answer,
    /// A call of the server's tool with this name.
    Tool(String),
    /// The server's tools, which nobody has pinned yet.
    Tools,
}

/// Why a request does not run, with what could be read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why, in words; they begin with `Invalid request` where the request itself is wrong.
    pub notes: String,
    /// The request's name.
    pub request_id: Option<RequestId>,
    /// The request's run; none where it cannot be read, or is the run `system`.
    pub run_id: Option<RunId>,
    /// SHA-256 of the canonical payload.
    pub input_hash: Option<PayloadHash>,
}

/// An answer that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// `ok`, or the plugin's own `rejected` or `error`.
    pub status: Status,
    /// The result; none unless `ok`.
    pub result: Option<Payload>,
    /// SHA-256 of the canonical result.
    pub output_hash: Option<PayloadHash>,
    /// The canonical result's length; 0 where there is none.
    pub output_bytes: usize,
    /// The plugin's words, cut to a limit and safe to show.
    pub notes: String,
}

/// Why an answer cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Misbehaviour {
    /// What the plugin did, and what it should have done.
    pub words: String,
}

impl Admitted {
    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// What the plugin is asked for.
    #[must_use]
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// What is written to the plugin's stdin: the request's line with its newline, or the lines of a call to a server.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// SHA-256 of the canonical payload.
    #[must_use]
    pub fn input_hash(&self) -> PayloadHash {
        self.input_hash
    }

    /// The canonical payload's length.
    #[must_use]
    pub fn input_bytes(&self) -> usize {
        self.input_bytes
    }
}

/// Checks a request's bytes for one plugin (contract, section 6).
///
/// # Errors
/// When it may not run, with why.
pub(crate) fn admit(
    request: &[u8],
    manifest: &CheckedManifest,
    schemas: &Schemas,
) -> Result<Admitted, Refusal> {
    match json::read(request) {
        Ok(value) => admit_read(value, manifest, schemas),
        Err(unreadable) => Err(Refusal {
            notes: invalid(&unreadable.to_string()),
            request_id: None,
            run_id: None,
            input_hash: None,
        }),
    }
}

/// Checks a request that a host gives as a value; it is held to the same JSON rules as bytes.
///
/// # Errors
/// When it may not run, with why.
pub fn admit_value(
    request: &Value,
    manifest: &CheckedManifest,
    schemas: &Schemas,
) -> Result<Admitted, Refusal> {
    admit(request.to_string().as_bytes(), manifest, schemas)
}

/// Admits the question for a server's tools, in place of any payload. Its answer is no result that the manifest declares, so whoever asks
/// must not be a host.
///
/// # Errors
/// When the plugin is no server.
pub fn admit_listing(request: &Value, manifest: &CheckedManifest) -> Result<Admitted, Refusal> {
    let call = json!({ "tool": LISTING, "arguments": {} });
    let mut asking = request.clone();
    asking["payload"] = json!({ "kind": "json", "schema_ref": mcp::CALL, "data": call });
    let admitted = admit_value(&asking, manifest, &Schemas::default())?;
    if !manifest.is_server() {
        return Err(partly_read(&asking, invalid("the plugin is no server")));
    }
    let mut line = mcp::opening();
    line.extend(mcp::list(mcp::REQUEST, None));
    Ok(Admitted {
        line,
        asked: Asked::Tools,
        ..admitted
    })
}

/// What the ledger's evidence has for a tool where the tools themselves are asked for.
const LISTING: &str = "tools/list";

/// Checks a value that the strict reader made.
fn admit_read(
    value: Value,
    manifest: &CheckedManifest,
    schemas: &Schemas,
) -> Result<Admitted, Refusal> {
    let request = match typed::<Request>(&REQUEST, &value) {
        Ok(request) => request,
        Err(why) => return Err(partly_read(&value, invalid(&why))),
    };
    let payload = request.payload.canonical();
    let input_hash = PayloadHash::of(&payload);
    let refuse = |notes: String| Refusal {
        notes,
        request_id: Some(request.request_id.clone()),
        run_id: Some(request.run_id.clone()),
        input_hash: Some(input_hash),
    };
    let probabilistic = match manifest.determinism.mode {
        DeterminismMode::Deterministic => false,
        DeterminismMode::Probabilistic => true,
    };
    if request.policy.deterministic_only && probabilistic {
        return Err(refuse(format!(
            "plugin '{}' is {}, and the request asks for deterministic_only: ask another plugin or drop deterministic_only",
            manifest.plugin_id,
            words::PROBABILISTIC
        )));
    }
    let sized = Sized {
        payload: &request.payload,
        value: value.get("payload").unwrap_or(&Value::Null),
        bytes: payload.len(),
    };
    fit(&manifest.io, Side::Inputs, &sized, schemas).map_err(|why| refuse(invalid(&why)))?;
    let (asked, line) = if manifest.is_server() {
        server::call(&request)
    } else {
        (Asked::Answer, invoke_line(&request))
    };
    let bytes = line.len() - 1;
    if bytes as u64 > manifest.limits.max_bytes {
        let max_bytes = manifest.limits.max_bytes;
        let why =
            format!("its line has {bytes} bytes, more than the {max_bytes} that the plugin takes");
        return Err(refuse(invalid(&why)));
    }
    Ok(Admitted {
        request,
        line,
        input_hash,
        input_bytes: payload.len(),
        asked,
    })
}

/// `{"type":"invoke","request":…}` and a newline; canonical JSON holds no newline of its own.
fn invoke_line(request: &Request) -> Vec<u8> {
    let mut line = br#"{"type":"invoke","request":"#.to_vec();
    line.extend(canonical::bytes(request));
    line.extend_from_slice(b"}\n");
    line
}

fn invalid(why: &str) -> String {
    format!("{}: {why}", words::INVALID_REQUEST)
}

fn partly_read(request: &Value, notes: String) -> Refusal {
    let text = |field: &str| request.get(field).and_then(Value::as_str);
    let run_id = text("run_id").and_then(|id| RunId::parse(id).ok());
    let payload = request.get("payload").cloned();
    let payload = payload.and_then(|value| serde_json::from_value::<Payload>(value).ok());
    Refusal {
        notes,
        request_id: text("request_id").and_then(|id| RequestId::parse(id).ok()),
        run_id: run_id.filter(|id| !id.is_system()),
        input_hash: payload.map(|payload| payload.hash()),
    }
}

/// Reads `value` as a `T` whose shape is `shape`.
///
/// # Errors
/// Everything that is wrong with its shape, as one sentence.
fn typed<T: serde::de::DeserializeOwned>(shape: &Shape, value: &Value) -> Result<T, String> {
    if shape.fits(value) {
        return T::deserialize(value).map_err(|misfit| misfit.to_string());
    }
    let issues = shape.issues(value);
    let mut clauses: Vec<String> = issues.iter().take(MAX_TOLD).map(told).collect();
    if let Some(more) = issues.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        clauses.push(format!("and {more} more"));
    }
    Err(clauses.join("; "))
}

/// Checks the line that a plugin wrote as its answer; its newline may be missing, and blank lines around it are nothing.
///
/// # Errors
/// When it cannot be accepted, with why.
pub fn check_answer(
    line: &[u8],
    admitted: &Admitted,
    manifest: &CheckedManifest,
    schemas: &Schemas,
) -> Result<Accepted, Misbehaviour> {
    judge_answer(line, admitted, manifest, schemas).map_err(|words| Misbehaviour { words })
}

fn judge_answer(
    line: &[u8],
    admitted: &Admitted,
    manifest: &CheckedManifest,
    schemas: &Schemas,
) -> Result<Accepted, String> {
    let line = without_blank_lines(line);
    let of_server = match &admitted.asked {
        Asked::Answer => None,
        Asked::Tool(tool) => Some(server::answer(line, tool, schemas)),
        Asked::Tools => Some(server::listing(line)),
    };
    if let Some(answer) = of_server {
        return answer.and_then(|said| said_by_server(said, &admitted.asked, manifest, schemas));
    }
    let max_bytes = manifest.limits.max_bytes;
    if line.len() as u64 > max_bytes {
        return Err(format!(
            "the answer has {} bytes, more than the {max_bytes} of limits.max_bytes",
            line.len()
        ));
    }
    if line.contains(&b'\n') {
        return Err(format!(
            "the answer is more than one line, {}: {}",
            quoted_output(line),
            words::PRINTS_BELONG
        ));
    }
    let value = json::read(line).map_err(|unread| unreadable(line, &unread))?;
    let FromPlugin::Result { response: answer } =
        typed(&ANSWER, &value).map_err(|why| format!("the answer is malformed: {why}"))?;
    let asked = admitted.request.request_id.as_str();
    if answer.request_id != asked {
        return Err(format!(
            "the answer is for another request: its request_id is {}, not {}",
            quoted(&answer.request_id),
            quoted(asked)
        ));
    }
    let given = value.pointer("/response/result").unwrap_or(&Value::Null);
    match (answer.status, answer.result) {
        (AnswerStatus::Ok, Some(result)) => {
            let fits = |sized: &Sized<'_>| fit(&manifest.io, Side::Outputs, sized, schemas);
            let notes = passed_on(&answer.notes, "");
            with_result(result, given, notes, fits)
        }
        (AnswerStatus::Ok, None) => {
            Err("the answer says ok without a result: give a payload, or another status".to_owned())
        }
        (AnswerStatus::Rejected, result) => Ok(without_result(
            Status::Rejected,
            &answer.notes,
            result.as_ref(),
        )),
        (AnswerStatus::Error, result) => Ok(without_result(
            Status::Error,
            &answer.notes,
            result.as_ref(),
        )),
    }
}

/// What a server said, as the answer of any plugin: its own error is the answer `error`.
fn said_by_server(
    said: Result<Value, String>,
    asked: &Asked,
    manifest: &CheckedManifest,
    schemas: &Schemas,
) -> Result<Accepted, String> {
    let data = match said {
        Ok(data) => data,
        Err(words) => return Ok(without_result(Status::Error, &words, None)),
    };
    let value = json!({ "kind": "json", "schema_ref": mcp::RESULT, "data": data });
    let result: Payload = serde_json::from_value(value.clone())
        .map_err(|misfit| format!("the server's result is malformed: {misfit}"))?;
    // The list of tools is nobody's result: it is read by who imports the server, within the bounds of a line.
    let fits = |sized: &Sized<'_>| match asked {
        Asked::Tools => Ok(()),
        Asked::Answer | Asked::Tool(_) => fit(&manifest.io, Side::Outputs, sized, schemas),
    };
    with_result(result, &value, String::new(), fits)
}

/// The answer with this result, of which `value` is the JSON, where it fits.
fn with_result(
    result: Payload,
    value: &Value,
    notes: String,
    fits: impl FnOnce(&Sized<'_>) -> Result<(), String>,
) -> Result<Accepted, String> {
    let canonical = result.canonical();
    fits(&Sized {
        payload: &result,
        value,
        bytes: canonical.len(),
    })
    .map_err(|why| format!("the answer's result is refused: {why}"))?;
    Ok(Accepted {
        status: Status::Ok,
        output_hash: Some(PayloadHash::of(&canonical)),
        output_bytes: canonical.len(),
        result: Some(result),
        notes,
    })
}

/// The answer without the blank lines around it, which are nothing, and without its newline.
fn without_blank_lines(mut line: &[u8]) -> &[u8] {
    let white = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let blank = |part: &[u8]| part.iter().all(white);
    while let Some(newline) = line.iter().position(|&byte| byte == b'\n')
        && let (first, rest) = line.split_at(newline + 1)
        && blank(first)
    {
        line = rest;
    }
    while let Some(newline) = line.iter().rposition(|&byte| byte == b'\n')
        && let (rest, last) = line.split_at(newline)
        && blank(last)
    {
        line = rest;
    }
    line
}

/// Why the line is no answer: with what is there where it is no JSON at all, since then its place in the line says little.
pub(super) fn unreadable(line: &[u8], why: &json::Error) -> String {
    use json::Error as E;
    match why {
        E::ByteOrderMark | E::NotUtf8(_) | E::Trailing(_) | E::Syntax(_) => format!(
            "the answer cannot be read, {}: {}; {why}",
            quoted_output(line),
            words::PRINTS_BELONG
        ),
        E::TooLarge { .. }
        | E::LoneSurrogate(_)
        | E::TooDeep(_)
        | E::IntegerTooLarge { .. }
        | E::Overflow { .. }
        | E::Underflow { .. }
        | E::DuplicateKey { .. }
        | E::ReservedKey { .. }
        | E::Shape(_) => format!("the answer cannot be read: {why}"),
    }
}

/// What was on standard output, as a clause.
fn quoted_output(output: &[u8]) -> String {
    let shown = shown::beginning(output, words::QUOTED_OUTPUT_BYTES);
    format!("stdout began with {shown}")
}

fn without_result(status: Status, notes: &str, dropped: Option<&Payload>) -> Accepted {
    let remark = if dropped.is_some() {
        " (the result that came with it was dropped)"
    } else {
        ""
    };
    Accepted {
        status,
        result: None,
        output_hash: None,
        output_bytes: 0,
        notes: passed_on(notes, remark),
    }
}

/// A plugin's words, with every character that could steer a terminal replaced and any cut marked.
fn passed_on(notes: &str, remark: &str) -> String {
    let mut text: String = notes
        .chars()
        .take(MAX_NOTES_CHARS)
        .map(shown::plain)
        .collect();
    let count = notes.chars().count();
    if count > MAX_NOTES_CHARS {
        text.push_str(&format!(
            "… (cut after {MAX_NOTES_CHARS} of {count} characters)"
        ));
    }
    text + remark
}
