//! Greets, and counts the words of a text.

use std::process::ExitCode;

use plugin_protocol::message::Request;
use plugin_protocol::payload::Payload;
use plugin_protocol::sdk::{self, Reply};
use serde_json::{Map, json};

fn main() -> ExitCode {
    sdk::run(handle)
}

fn handle(request: &Request) -> Reply {
    let Payload::Text { content, .. } = &request.payload else {
        return Reply::rejected("send a text payload");
    };
    let words = content.split_whitespace().count();
    let data = Map::from_iter([
        ("greeting".to_owned(), json!("Hello!")),
        ("word_count".to_owned(), json!(words)),
    ]);
    Payload::json(data, "hello/1").map_or_else(|why| Reply::error(why.to_string()), Reply::ok)
}
