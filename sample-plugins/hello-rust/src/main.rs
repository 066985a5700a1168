//! Greets and counts the words and characters of a text.

use std::process::ExitCode;

use plugin_protocol::message::Request;
use plugin_protocol::payload::Payload;
use plugin_protocol::sdk::{self, Reply};
use serde_json::{Map, Value, json};

/// The words of a text lie between these, in every hello plugin alike.
const BLANKS: [char; 5] = [' ', '\t', '\n', '\r', '\u{c}'];

fn main() -> ExitCode {
    sdk::run(handle)
}

fn handle(request: &Request) -> Reply {
    match &request.payload {
        Payload::Text { content, .. } if content.is_empty() => Reply::rejected("the text is empty"),
        Payload::Text { content, .. } => Payload::json(greet(content), "hello/1")
            .map_or_else(|reason| Reply::error(reason.to_string()), Reply::ok),
        Payload::Json { .. } | Payload::BinaryRef { .. } | Payload::DatasetSlice { .. } => {
            Reply::rejected("send a text payload")
        }
    }
}

fn greet(text: &str) -> Map<String, Value> {
    let words = text.split(BLANKS).filter(|word| !word.is_empty());
    Map::from_iter([
        ("greeting".to_owned(), json!("Hello from Rust!")),
        ("word_count".to_owned(), json!(words.count())),
        ("original_length".to_owned(), json!(text.chars().count())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_characters_are_counted() {
        let data = greet("  Grüße\tan\r\nalle 👋 ");
        assert_eq!(data["word_count"], json!(4));
        assert_eq!(data["original_length"], json!(19));
    }
}
