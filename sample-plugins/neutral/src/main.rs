//! A text analyser: reads a text, answers with counts, a language hint, tags, a summary and a score.
//!
//! Everything below this file is a pure function of the text: no clock, no chance, no hash order,
//! so the same text always gives the same bytes.

mod analyse;
mod complexity;
mod language;
mod summary;
mod tags;
mod words;

use std::process::ExitCode;

use plugin_protocol::message::Request;
use plugin_protocol::payload::Payload;
use plugin_protocol::sdk::{self, Reply};
use serde_json::Value;

/// The schema of the `json` payloads that this plugin takes.
const INPUT_SCHEMA: &str = "neutral-input/1";

/// The schema of the answer.
const OUTPUT_SCHEMA: &str = "neutral-analysis/1";

fn main() -> ExitCode {
    sdk::run(handle)
}

fn handle(request: &Request) -> Reply {
    let Some(text) = text_of(&request.payload) else {
        return Reply::rejected(
            "send a text payload, or a json payload of schema neutral-input/1 with a text in data.text",
        );
    };
    match analyse::analyse(text) {
        Some(analysis) => sdk::json(OUTPUT_SCHEMA, analysis.into_data()),
        None => Reply::rejected("the content is empty"),
    }
}

/// The text to analyse, wherever the payload carries it.
fn text_of(payload: &Payload) -> Option<&str> {
    match payload {
        Payload::Text { content, .. } => Some(content),
        Payload::Json { data, schema_ref } if schema_ref.as_str() == INPUT_SCHEMA => {
            data.get("text").and_then(Value::as_str)
        }
        Payload::Json { .. } | Payload::BinaryRef { .. } | Payload::DatasetSlice { .. } => None,
    }
}
