//! A client in raw lines.

use std::time::Duration;

use campaigns::{Channel, Host};
use serde_json::{Value, json};

/// Where a result has its receipt.
pub const RECEIPT: &str = "plugin-gateway/receipt";

/// A face on the state, to which nothing was said yet.
pub fn face(host: &Host) -> Channel {
    Channel::speaking(host, &["mcp"], Duration::ZERO)
}

/// A face with a session.
pub fn session(host: &Host) -> Channel {
    let mut face = face(host);
    face.call("initialize", hello("2025-11-25"));
    face.send_raw(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    face
}

/// The params of `initialize`.
pub fn hello(revision: &str) -> Value {
    json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } })
}

/// The params with what the stateless revision requires.
pub fn stateless(mut params: Value) -> Value {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientInfo"] =
        json!({ "name": "test", "version": "1" });
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    params
}

/// The params of a call with a text.
pub fn text(tool: &str, text: &str) -> Value {
    json!({ "name": tool, "arguments": { "text": text } })
}

/// Takes a request back.
pub fn cancel(face: &mut Channel, id: &Value) {
    let message = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    face.send_raw(format!("{message}\n").as_bytes());
}

/// The names of the tools.
pub fn tools(face: &mut Channel) -> Vec<String> {
    let list = face.call("tools/list", json!({}));
    let tools = list["tools"].as_array().unwrap();
    let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
    tools.iter().map(name).collect()
}

/// The kinds of the events of a run, in order; those of `request` alone where it is named.
pub fn kinds(host: &Host, run: &str, request: Option<&str>) -> Vec<String> {
    let mine = host.events().into_iter().filter(|event| {
        event["run_id"] == run && request.is_none_or(|request| event["request_id"] == request)
    });
    mine.map(|event| event["kind"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until a plugin of this id was shown a request.
pub fn wait_for_invoke(host: &Host, plugin: &str, times: usize) {
    let shown = |events: &[Value]| {
        let mine = |event: &&Value| event["plugin_id"] == plugin && event["kind"] == "INVOKE";
        events.iter().filter(mine).count()
    };
    while shown(&host.events()) < times {
        std::thread::sleep(Duration::from_millis(10));
    }
}
