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
    let Some(analysis) = analyse::analyse(text) else {
        return Reply::rejected("the content is empty");
    };
    Payload::json(analysis.into_data(), OUTPUT_SCHEMA)
        .map_or_else(|reason| Reply::error(reason.to_string()), Reply::ok)
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

#[cfg(test)]
mod tests {
    use plugin_protocol::json;
    use plugin_protocol::manifest::Manifest;
    use serde_json::Map;

    use super::*;

    #[test]
    fn the_manifest_names_the_schemas_of_this_program() {
        let manifest: Manifest = json::read_as(include_bytes!("../plugin.json")).unwrap();
        let schemas = manifest.schemas.unwrap();
        assert!(schemas.keys().eq([OUTPUT_SCHEMA, INPUT_SCHEMA]));
        let inputs = manifest.io.inputs;
        assert!(inputs.iter().any(|port| port.schema_ref == INPUT_SCHEMA));
        let outputs = manifest.io.outputs;
        assert!(outputs.iter().all(|port| port.schema_ref == OUTPUT_SCHEMA));
    }

    #[test]
    fn text_is_found_in_both_kinds_of_payload() {
        let data = Map::from_iter([("text".to_owned(), "words".into())]);
        let json = Payload::json(data.clone(), INPUT_SCHEMA).unwrap();
        assert_eq!(text_of(&json), Some("words"));
        assert_eq!(text_of(&Payload::text("words")), Some("words"));
        let other = Payload::json(data, "other/1").unwrap();
        assert_eq!(text_of(&other), None);
    }
}
