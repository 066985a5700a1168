//! The messages between host, gateway and plugin about one call.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::digest::{EventHash, PayloadHash, or_empty};
use crate::ids::{RequestId, RunId};
use crate::json::MAX_SAFE_INTEGER;
use crate::payload::Payload;
use crate::shape::{self, ObjectOnly};
use crate::time::Timestamp;

/// The most retries that a request may ask for (contract, section 6).
pub const MAX_RETRIES: u8 = 5;

/// The shortest time that a request may allow, in milliseconds (contract, section 6).
pub const MIN_TIMEOUT_MS: u64 = 100;

/// A host's request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Request {
    /// The host's name for this request.
    pub request_id: RequestId,
    /// The host's name for the run that it belongs to, not the gateway's own.
    #[serde(deserialize_with = "host_run")]
    pub run_id: RunId,
    /// When the host made it.
    pub timestamp: Timestamp,
    /// What the plugin is to work on.
    pub payload: Payload,
    /// Free-form values for the plugin.
    pub context: BTreeMap<String, String>,
    /// How it is to be run.
    pub policy: Policy,
}

shape::objects!(Request, Policy, Response, Receipt, EvidenceHashes, Answer);

fn host_run<'de, D: Deserializer<'de>>(input: D) -> Result<RunId, D::Error> {
    let run_id = RunId::deserialize(input)?;
    if run_id.is_system() {
        Err(D::Error::custom(
            "run 'system' is the gateway's own: name another",
        ))
    } else {
        Ok(run_id)
    }
}

/// How a request is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Policy {
    /// Refuse a plugin that does not promise the same result for the same input.
    pub deterministic_only: bool,
    /// Wall-clock milliseconds for the whole request with its retries, at least [`MIN_TIMEOUT_MS`].
    #[serde(deserialize_with = "shape::bounded::<_, _, MIN_TIMEOUT_MS, MAX_SAFE_INTEGER>")]
    pub timeout_ms: u64,
    /// How often to try again after `error` or `timeout`, at most [`MAX_RETRIES`].
    #[serde(deserialize_with = "shape::bounded::<_, _, 0, { MAX_RETRIES as u64 }>")]
    pub max_retries: u8,
}

/// The gateway's answer to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Response {
    /// The request's name, or `""` where the request had none that could be read.
    pub request_id: String,
    /// The plugin's name as the host gave it.
    pub plugin_id: String,
    /// How it ended.
    pub status: Status,
    /// What the plugin gave.
    #[serde(deserialize_with = "shape::nullable")]
    pub result: Option<Payload>,
    /// Hashes of what went in and came out.
    pub evidence_hashes: EvidenceHashes,
    /// Wall-clock milliseconds from the request's arrival to its answer.
    #[serde(deserialize_with = "shape::bounded::<_, _, 0, MAX_SAFE_INTEGER>")]
    pub duration_ms: u64,
    /// Why it ended so, in words that a person understands.
    pub notes: String,
    /// Where the event that closed the call stands. It says of a response that it was recorded, and is part of no hash.
    #[serde(
        rename = "_receipt",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    pub receipt: Option<Receipt>,
}

/// A member that may be left out, but is not null.
fn given<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Receipt>, D::Error> {
    Receipt::deserialize(input).map(Some)
}

/// Where an event stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Receipt {
    /// The event's own hash.
    pub event_hash: EventHash,
    /// Its place in the whole ledger, from 0.
    #[serde(deserialize_with = "shape::bounded::<_, _, 0, MAX_SAFE_INTEGER>")]
    pub index: u64,
    /// How many events the newest checkpoint that covers it is over; 0 while none does.
    #[serde(deserialize_with = "shape::bounded::<_, _, 0, MAX_SAFE_INTEGER>")]
    pub checkpoint_size: u64,
}

/// Hashes of what went in and came out, `""` on the wire where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct EvidenceHashes {
    /// SHA-256 of the canonical request payload.
    #[serde(with = "or_empty")]
    pub input_hash: Option<PayloadHash>,
    /// SHA-256 of the canonical result.
    #[serde(with = "or_empty")]
    pub output_hash: Option<PayloadHash>,
}

/// How a call ended (contract, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum Status {
    /// A valid answer.
    Ok,
    /// Refused before running, or an answer that cannot be accepted.
    Rejected,
    /// The plugin crashed, gave no answer, or said `error`.
    Error,
    /// The plugin was killed when its time was over.
    Timeout,
}

shape::words!(Status);

impl Status {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rejected => "rejected",
            Self::Error => "error",
            Self::Timeout => "timeout",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The line that the gateway writes to a plugin (contract, section 8).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToPlugin {
    /// Asks for one answer.
    Invoke {
        /// The request.
        request: Request,
    },
}

/// The line that a plugin writes back.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromPlugin {
    /// The answer.
    Result {
        /// Its content.
        response: Answer,
    },
}

// The lines are read through plain structs: a derived tagged enum would first buffer the whole line.

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
struct InvokeLine {
    #[serde(rename = "type")]
    _type: InvokeType,
    request: Request,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ResultLine {
    #[serde(rename = "type")]
    _type: ResultType,
    response: Answer,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
enum InvokeType {
    Invoke,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
enum ResultType {
    Result,
}

shape::words!(InvokeType, ResultType);

impl<'de> Deserialize<'de> for ToPlugin {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let line = InvokeLine::deserialize(ObjectOnly(input))?;
        Ok(Self::Invoke {
            request: line.request,
        })
    }
}

impl<'de> Deserialize<'de> for FromPlugin {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let line = ResultLine::deserialize(ObjectOnly(input))?;
        Ok(Self::Result {
            response: line.response,
        })
    }
}

/// A plugin's answer. A plugin may also give its own id, hashes and duration; the gateway ignores them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Answer {
    /// The request that is answered; the gateway refuses any other.
    pub request_id: String,
    /// How it went.
    pub status: AnswerStatus,
    /// The result, which `ok` needs.
    #[serde(default)]
    pub result: Option<Payload>,
    /// Words for people.
    #[serde(default)]
    pub notes: String,
    /// Ignored.
    #[serde(default, skip_serializing)]
    pub plugin_id: serde::de::IgnoredAny,
    /// Ignored.
    #[serde(default, skip_serializing)]
    pub evidence_hashes: serde::de::IgnoredAny,
    /// Ignored.
    #[serde(default, skip_serializing)]
    pub duration_ms: serde::de::IgnoredAny,
}

/// How the plugin says that the call ended. It cannot say `timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum AnswerStatus {
    /// There is a result.
    Ok,
    /// The plugin will not answer this request.
    Rejected,
    /// The plugin failed.
    Error,
}

shape::words!(AnswerStatus);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::json as strict;

    fn request() -> Value {
        json!({
            "request_id": "r", "run_id": "n", "timestamp": "2026-01-31T12:00:00.000Z",
            "payload": {"kind": "text", "content": "c", "encoding": "utf-8", "metadata": {}},
            "context": {"k": "v"},
            "policy": {"deterministic_only": false, "timeout_ms": 100, "max_retries": 0}
        })
    }

    fn answer(extra: &Value) -> Value {
        let mut response = json!({"request_id": "r", "status": "ok"});
        for (key, value) in extra.as_object().unwrap() {
            response[key] = value.clone();
        }
        json!({"type": "result", "response": response})
    }

    fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, strict::Error> {
        strict::read_as(value.to_string().as_bytes())
    }

    #[test]
    fn the_lines_between_gateway_and_plugin_read_back() {
        let invoke = json!({"type": "invoke", "request": request()});
        let line: ToPlugin = read(&invoke).unwrap();
        assert_eq!(json!(line), invoke);
        let result = answer(&json!({"result": request()["payload"], "notes": "n"}));
        let line: FromPlugin = read(&result).unwrap();
        assert_eq!(json!(line), result);
    }

    #[test]
    fn a_line_of_another_type_is_refused() {
        assert!(read::<ToPlugin>(&json!({"type": "result", "request": request()})).is_err());
        assert!(read::<ToPlugin>(&json!({"request": request()})).is_err());
        assert!(read::<ToPlugin>(&json!(["invoke", request()])).is_err());
        let mut more = answer(&json!({}));
        more["more"] = json!(1);
        assert!(read::<FromPlugin>(&more).is_err());
    }

    #[test]
    fn what_a_plugin_says_of_name_hashes_and_duration_is_ignored() {
        let plain: FromPlugin = read(&answer(&json!({}))).unwrap();
        for value in [
            json!(null),
            json!(-1),
            json!("x"),
            json!(["x"]),
            json!({"a": {"b": 1}}),
        ] {
            let claims =
                json!({"plugin_id": value, "evidence_hashes": value, "duration_ms": value});
            let claimed: FromPlugin = read(&answer(&claims)).unwrap();
            assert_eq!(claimed, plain, "{claims}");
            assert_eq!(json!(claimed), json!(plain));
        }
    }

    #[test]
    fn an_answer_has_no_other_field_and_no_other_status() {
        assert!(read::<FromPlugin>(&answer(&json!({"extra": 1}))).is_err());
        assert!(read::<FromPlugin>(&answer(&json!({"status": "timeout"}))).is_err());
        assert!(read::<FromPlugin>(&answer(&json!({"status": {"ok": null}}))).is_err());
        assert!(read::<FromPlugin>(&answer(&json!({"notes": null}))).is_err());
        let kind_by_index = json!({"kind": 0, "content": "c", "encoding": "utf-8", "metadata": {}});
        assert!(read::<FromPlugin>(&answer(&json!({"result": kind_by_index}))).is_err());
    }

    #[test]
    fn unknown_fields_of_a_request_are_refused_at_every_level() {
        assert!(read::<Request>(&request()).is_ok());
        for place in ["", "/payload", "/policy"] {
            let mut more = request();
            more.pointer_mut(place).unwrap()["more"] = json!("x");
            assert!(read::<Request>(&more).is_err(), "{place}");
        }
    }

    #[test]
    fn the_gateway_s_own_run_is_not_a_host_s() {
        let mut own = request();
        own["run_id"] = json!("system");
        let refused = read::<Request>(&own).unwrap_err().to_string();
        assert!(refused.contains("gateway's own"), "{refused}");
    }

    #[test]
    fn a_response_names_its_result_even_when_there_is_none() {
        let response = Response {
            request_id: "r".to_owned(),
            plugin_id: "p".to_owned(),
            status: Status::Timeout,
            result: None,
            evidence_hashes: EvidenceHashes::default(),
            duration_ms: 5,
            notes: "timeout".to_owned(),
            receipt: None,
        };
        let mut value = json!(response);
        assert_eq!(value["result"], Value::Null);
        assert_eq!(
            value["evidence_hashes"],
            json!({"input_hash": "", "output_hash": ""})
        );
        assert_eq!(read::<Response>(&value), Ok(response));
        value.as_object_mut().unwrap().remove("result");
        assert!(read::<Response>(&value).is_err());
    }

    #[test]
    fn the_word_is_the_word_on_the_wire() {
        for status in [Status::Ok, Status::Rejected, Status::Error, Status::Timeout] {
            assert_eq!(json!(status), json!(status.as_str()));
        }
    }
}
