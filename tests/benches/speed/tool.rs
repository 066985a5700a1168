//! S12: a tool's call through `plugin-gateway mcp`, beside `invoke` through `serve`.

use campaigns::Host;
use campaigns::answers::prompt;
use serde_json::{Value, json};

use crate::client::{Client, host_with};
use crate::kit::{Call, Contest, Plan, Target, Unit, row};
use crate::whole::PLUGIN;

/// A client with a session at a face that holds its state itself.
struct Tool {
    _host: Host,
    face: Client,
    line: String,
}

impl Tool {
    fn new() -> Self {
        let host = state();
        let mut command = host.command();
        command.arg("mcp");
        let face = Client::start(command);
        let client = json!({ "name": "bench", "version": "1" });
        let hello =
            json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
        face.ask(&message(0, "initialize", &hello));
        face.tell("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
        let list: Value =
            serde_json::from_str(&face.ask(&message(1, "tools/list", &json!({})))).unwrap();
        let name = &list["result"]["tools"][0]["name"];
        assert!(name.is_string(), "the plugin is a tool: {list}");
        let call = json!({ "name": name, "arguments": { "text": "hello" } });
        Self {
            _host: host,
            face,
            line: message(2, "tools/call", &call),
        }
    }

    fn call(&self) {
        // What the face notifies of comes between.
        let mut answer = self.face.ask(&self.line);
        while !answer.contains("\"id\":2") {
            answer = self.face.ask("");
        }
        assert!(
            !answer.contains("\"isError\":true") && answer.contains("result"),
            "{answer}"
        );
    }
}

fn message(id: u32, method: &str, params: &Value) -> String {
    format!(
        "{}\n",
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    )
}

/// A state with a plugin that answers under the request's own name: the face gives each a new one.
fn state() -> Host {
    host_with("", &[prompt(PLUGIN)])
}

pub(crate) fn rows(plan: Plan) -> Vec<Value> {
    let state = state();
    let (tool, served) = (Tool::new(), Client::serving(&state));
    let contestants: [Call<'_>; 2] = [Box::new(|| tool.call()), Box::new(|| served.call(PLUGIN))];
    let p50 = Contest::run(plan, 1, &contestants).p50(0, 1);
    let what = "one tool call through `mcp`, against `invoke` through `serve`";
    vec![row("S12", what, Unit::Micros, p50, Target::None)]
}
