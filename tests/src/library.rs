//! The gateway as a library, in the test's own process: for many calls, and for two at once.

use plugin_gateway::Gateway;
use serde_json::Value;

use crate::command::Host;

/// How one call ended: the host's answer and the event that was written before it.
#[derive(Debug)]
pub struct Answered {
    /// The response.
    pub response: Value,
    /// The closing event.
    pub event: Value,
}

impl Answered {
    /// The status.
    pub fn status(&self) -> &str {
        self.response["status"].as_str().unwrap()
    }

    /// The notes.
    pub fn notes(&self) -> &str {
        self.response["notes"].as_str().unwrap()
    }

    /// Whether the plugin was shown the request: then the closing event names an `INVOKE`.
    pub fn reached_the_plugin(&self) -> bool {
        self.event["meta"].get("invoke").is_some()
    }
}

/// The host's state, opened for as long as the gateway lives; the command must wait meanwhile.
pub fn open(host: &Host) -> Gateway {
    host.alone();
    Gateway::open(&host.state()).unwrap()
}

/// Calls a plugin.
pub fn call(gateway: &Gateway, id: &str, request: &Value) -> Answered {
    let outcome = gateway.invoke(id, request, None).unwrap();
    Answered {
        response: serde_json::to_value(&outcome.response).unwrap(),
        event: serde_json::to_value(outcome.event()).unwrap(),
    }
}
