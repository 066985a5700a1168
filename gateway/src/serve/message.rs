//! JSON-RPC 2.0 messages: from a line to a call, and from a result to a line.

use std::fmt;

use plugin_protocol::{json, words};
use serde::Deserialize;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Kind, chain, rpc, rpc_code};

/// The longest id that is accepted, in bytes of its JSON text: it is held for each call in flight and sent back.
const MAX_ID_BYTES: usize = 256;

/// A call's name, as its JSON text: a string or an integer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Id(String);

/// One call or notification.
#[derive(Debug, PartialEq)]
pub(crate) struct Call {
    /// None for a notification, which is not answered.
    pub(crate) id: Option<Id>,
    pub(crate) method: String,
    pub(crate) params: Value,
}

/// An RPC error.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub(crate) code: i32,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl Fault {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// The gateway itself says no, and says why as its own errors do.
    fn of_kind(kind: Kind, message: impl Into<String>, hint: &str) -> Self {
        Self {
            data: Some(serde_json::json!({ "kind": kind.as_str(), "hint": hint })),
            ..Self::new(rpc_code(kind), message)
        }
    }

    /// The gateway or its host failed.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::of_kind(Kind::Internal, message, "")
    }

    /// There is no room for what was asked: nobody's fault, and no matter of trust.
    pub(super) fn overloaded(why: &str) -> Self {
        let message = format!("{}: {why}", words::OVERLOADED);
        Self::of_kind(Kind::Internal, message, "try again later")
    }

    /// A registry verb names a plugin that is not there.
    pub(super) fn unknown_plugin(message: impl Into<String>) -> Self {
        let hint = "`listPlugins` gives those that are";
        Self {
            code: rpc::UNKNOWN_PLUGIN,
            ..Self::of_kind(Kind::NotFound, message, hint)
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(rpc::INVALID_REQUEST, message)
    }

    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self::new(rpc::INVALID_PARAMS, message)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let fault = Self::of_kind(error.kind(), chain(&error), &error.hint());
        if let Error::Registry(registry::Error::PluginNotFound(_)) = error {
            let code = rpc::UNKNOWN_PLUGIN;
            return Self { code, ..fault };
        }
        fault
    }
}

impl Id {
    /// Takes a string or an integer.
    pub(crate) fn of(value: &Value) -> Result<Self, Fault> {
        let taken = match value {
            Value::String(_) => true,
            Value::Number(number) => number.is_i64() || number.is_u64(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
        };
        let text = value.to_string();
        if taken && text.len() <= MAX_ID_BYTES {
            Ok(Self(text))
        } else {
            Err(Fault::invalid(format!(
                "id must be a string or an integer of at most {MAX_ID_BYTES} bytes; leave it out for a notification"
            )))
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads one message.
///
/// # Errors
/// The fault to answer, and the message's id where it can be read.
pub(crate) fn parse(line: &[u8]) -> Result<Call, (Option<Id>, Fault)> {
    let value = json::read(line).map_err(|error| {
        let fault = Fault::new(
            rpc::PARSE_ERROR,
            format!("cannot read the message: {error}"),
        );
        (id_of_unreadable(line), fault)
    })?;
    let Value::Object(mut fields) = value else {
        let words = "a message is one JSON object: batches are not taken, send each call as a line";
        return Err((None, Fault::invalid(words)));
    };
    let id = match fields.remove("id").map(|id| Id::of(&id)) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(fault)) => return Err((None, fault)),
    };
    call(id.clone(), fields).map_err(|fault| (id, fault))
}

fn call(id: Option<Id>, mut fields: Map<String, Value>) -> Result<Call, Fault> {
    if fields.remove("jsonrpc").as_ref().and_then(Value::as_str) != Some("2.0") {
        return Err(Fault::invalid("jsonrpc must be \"2.0\""));
    }
    let Some(Value::String(method)) = fields.remove("method") else {
        return Err(Fault::invalid("method must be a string"));
    };
    let params = match fields.remove("params") {
        None => Value::Object(Map::new()),
        Some(params @ (Value::Object(_) | Value::Array(_))) => params,
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            return Err(Fault::invalid("params must be an object"));
        }
    };
    match fields.keys().next() {
        None => Ok(Call { id, method, params }),
        Some(name) => {
            const SHOWN_CHARS: usize = 80;
            Err(Fault::invalid(format!(
                "a message has no member '{}': jsonrpc, id, method and params are all",
                plugin_protocol::shown::cut(name, SHOWN_CHARS)
            )))
        }
    }
}

/// The id of a message that is JSON but breaks a rule of the contract, such as one about numbers.
/// The host waits for an answer under that id.
fn id_of_unreadable(line: &[u8]) -> Option<Id> {
    #[derive(Deserialize)]
    struct Frame {
        id: Value,
    }
    let frame: Frame = serde_json::from_slice(line).ok()?;
    Id::of(&frame.id).ok()
}

/// The line that answers a call; its id is `null` where the call's could not be read.
pub(crate) fn answer<T: Serialize>(id: Option<&Id>, result: Result<&T, &Fault>) -> Vec<u8> {
    let id = id.map_or("null", |id| &id.0);
    let body = match result {
        Ok(result) => member("result", result),
        Err(fault) => member("error", &error_object(fault)),
    };
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{body}}}\n").into_bytes()
}

fn member<T: Serialize>(name: &str, value: &T) -> String {
    match serde_json::to_string(value) {
        Ok(text) => format!("\"{name}\":{text}"),
        Err(error) => {
            let fault = Fault::internal(format!("cannot write the answer: {error}"));
            format!("\"error\":{}", error_object(&fault))
        }
    }
}

fn error_object(fault: &Fault) -> Value {
    let mut object = serde_json::json!({ "code": fault.code, "message": fault.message });
    if let (Some(data), Some(fields)) = (&fault.data, object.as_object_mut()) {
        fields.insert("data".to_owned(), data.clone());
    }
    object
}

/// A notification's line.
pub(crate) fn notification(method: &str, params: &str) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{params}}}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str) -> (Option<String>, i32) {
        let (id, fault) = parse(line.as_bytes()).unwrap_err();
        (id.map(|id| id.0), fault.code)
    }

    #[test]
    fn bad_messages_have_the_codes_of_json_rpc() {
        for line in ["", "{", "nothing", "\u{feff}{}", "{} {}", "\u{0}"] {
            assert_eq!(code(line), (None, -32_700), "{line}");
        }
        for line in [
            "[]",
            "1",
            "{}",
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            r#"{"jsonrpc":"1.0","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","method":1}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","method":"ping","params":"x"}"#,
            r#"{"jsonrpc":"2.0","method":"ping","more":1}"#,
        ] {
            assert_eq!(code(line), (None, -32_600), "{line}");
        }
        let known = r#"{"jsonrpc":"2.0","id":"a","result":{}}"#;
        assert_eq!(code(known), (Some("\"a\"".to_owned()), -32_600));
    }

    #[test]
    fn a_message_that_breaks_a_rule_is_answered_under_its_id_where_that_is_certain() {
        let number = r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":{"n":9007199254740993}}"#;
        assert_eq!(code(number), (Some("7".to_owned()), -32_700));
        let twice = r#"{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}"#;
        assert_eq!(code(twice), (None, -32_700));
    }

    #[test]
    fn an_answer_is_one_line_under_the_id_as_it_came() {
        let call = parse(br#"{"jsonrpc":"2.0","id":"x\ny","method":"ping"}"#).unwrap();
        let line = answer(call.id.as_ref(), Ok(&"multi\nline"));
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"jsonrpc": "2.0", "id": "x\ny", "result": "multi\nline"})
        );
    }
}
