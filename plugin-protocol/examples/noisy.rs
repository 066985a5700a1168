//! A plugin that prints before it answers, and panics over the text `throw`; `tests/tests/sdks.rs` runs it through the gateway.
#![expect(clippy::print_stdout, reason = "what an author's plugin may do")]

use std::process::ExitCode;

use plugin_protocol::message::Request;
use plugin_protocol::payload::{Payload, PayloadKind};
use plugin_protocol::sdk::{self, Reply};
use serde_json::{Map, json};

fn main() -> ExitCode {
    print!("early");
    sdk::run_for(&[PayloadKind::Text], handle)
}

fn handle(request: &Request) -> Reply {
    println!("aside");
    let Payload::Text { content, .. } = &request.payload else {
        return Reply::error("only a text was asked for");
    };
    assert!(content != "throw", "out of ink");
    let data = Map::from_iter([("said".to_owned(), json!(content))]);
    Payload::json(data, "any/1").map_or_else(|reason| Reply::error(reason.to_string()), Reply::ok)
}
