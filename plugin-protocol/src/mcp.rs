//! What is said to a server of the Model Context Protocol that is a plugin, and what its lines are (contract, section 13): the few messages of
//! one exchange. A face for that protocol's clients is not here.
//!
//! One process serves one request: `initialize`, `notifications/initialized` and the request are written at once, and everything but
//! the answer is passed over, except that the server's own requests are answered, so that it does not wait for ever.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::{OMEGA_PLUGIN_API_VERSION, canonical};

/// The file of a package that has the server's tools as they were when it was imported.
pub const TOOLS_FILE: &str = "mcp-tools.json";
/// The `schema_ref` of a call's payload: `{"tool": …, "arguments": {…}}`.
pub const CALL: &str = "mcp-call/1";
/// The `schema_ref` of a call's result: `{"content": […], "structuredContent"?, "isError"?}`.
pub const RESULT: &str = "mcp-result/1";
/// The newest revision of the protocol that has sessions: what is asked for. A server may answer with an older one.
pub const REVISION: &str = "2025-11-25";
/// The name of the request that opens a session.
pub const OPENING: u64 = 0;
/// The name of the first request behind it.
pub const REQUEST: u64 = 1;

/// The code of JSON-RPC for a method that is not there.
const NO_METHOD: i32 = -32_601;

/// The lines that open a session. No capability is offered: there is nothing that a server may ask of the gateway.
#[must_use]
pub fn opening() -> Vec<u8> {
    let params = json!({
        "protocolVersion": REVISION,
        "capabilities": {},
        "clientInfo": { "name": "plugin-gateway", "version": OMEGA_PLUGIN_API_VERSION },
    });
    let mut lines = request(OPENING, "initialize", &params);
    lines.extend(line(
        &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
    ));
    lines
}

/// The line of one request.
#[must_use]
pub fn request(id: u64, method: &str, params: &Value) -> Vec<u8> {
    line(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
}

/// The line that asks for the tools, from the page of this cursor on.
#[must_use]
pub fn list(id: u64, cursor: Option<&str>) -> Vec<u8> {
    let params = cursor.map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
    request(id, "tools/list", &params)
}

/// The line that calls a tool.
#[must_use]
pub fn call(id: u64, tool: &str, arguments: &Value) -> Vec<u8> {
    request(
        id,
        "tools/call",
        &json!({ "name": tool, "arguments": arguments }),
    )
}

/// What a server's line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The answer to the request of this name, and whether it is an error.
    Answer(u64, bool),
    /// A request of the server's own, and the line that answers it: `ping` with nothing, `roots/list` with no root, others with an error.
    Asks(Vec<u8>),
    /// A notification, an answer to nothing, or no message at all: nothing to do.
    Nothing,
}

/// The members by which messages are told apart.
#[derive(Deserialize)]
struct Head {
    id: Option<Value>,
    method: Option<String>,
    result: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

/// Tells what a line is, by its head alone.
#[must_use]
pub fn said(bytes: &[u8]) -> Said {
    let Ok(head) = serde_json::from_slice::<Head>(bytes) else {
        return Said::Nothing;
    };
    match (head.method, head.id) {
        (Some(method), Some(id)) => Said::Asks(reply(&id, &method)),
        (None, Some(id)) if head.result.is_some() || head.error.is_some() => id
            .as_u64()
            .map_or(Said::Nothing, |id| Said::Answer(id, head.error.is_some())),
        (_, _) => Said::Nothing,
    }
}

fn reply(id: &Value, method: &str) -> Vec<u8> {
    let result = match method {
        "ping" => json!({}),
        "roots/list" => json!({ "roots": [] }),
        _ => {
            let error =
                json!({ "code": NO_METHOD, "message": "the gateway answers ping and roots/list" });
            return line(&json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        }
    };
    line(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

fn line(message: &Value) -> Vec<u8> {
    let mut line = canonical::bytes(message);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_a_line_of_its_own() {
        let opening = String::from_utf8(opening()).unwrap();
        let lines: Vec<Value> = opening.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(lines[0]["params"]["protocolVersion"], REVISION);
        assert_eq!(lines[0]["params"]["capabilities"], json!({}));
        assert_eq!(lines[1]["method"], "notifications/initialized");
        assert!(opening.ends_with('\n') && lines.len() == 2);
        let call = call(REQUEST, "a\nb", &json!({ "text": "c\nd" }));
        assert_eq!(call.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let page: Value = serde_json::from_slice(&list(2, Some("x"))).unwrap();
        assert_eq!(page["params"], json!({ "cursor": "x" }));
    }

    #[test]
    fn lines_are_told_apart_by_their_head() {
        for (line, expected) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"a":1e999}}"#,
                Said::Answer(1, false),
            ),
            (
                r#"{"jsonrpc":"2.0","id":0,"error":{}}"#,
                Said::Answer(0, true),
            ),
            (r#"{"jsonrpc":"2.0","id":"1","result":{}}"#, Said::Nothing),
            (r#"{"jsonrpc":"2.0","id":1}"#, Said::Nothing),
            (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, Said::Nothing),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#,
                Said::Nothing,
            ),
            ("Server ready", Said::Nothing),
            ("[]", Said::Nothing),
            ("7", Said::Nothing),
        ] {
            assert_eq!(said(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_server_s_own_requests_are_answered() {
        for (method, member, expected) in [
            ("ping", "/result", json!({})),
            ("roots/list", "/result", json!({ "roots": [] })),
            ("sampling/createMessage", "/error/code", json!(NO_METHOD)),
        ] {
            let line = json!({ "jsonrpc": "2.0", "id": "a", "method": method }).to_string();
            let Said::Asks(reply) = said(line.as_bytes()) else {
                panic!("{method}");
            };
            let reply: Value = serde_json::from_slice(&reply).unwrap();
            assert_eq!(reply["id"], "a");
            assert_eq!(reply.pointer(member), Some(&expected));
        }
    }
}
