//! Puts the parts of an analysis together.

use serde_json::{Map, Value, json};

use crate::words::{sentences, words};
use crate::{complexity, language, summary, tags};

/// What was found in a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Analysis {
    character_count: usize,
    complexity: f64,
    language: &'static str,
    sentence_count: usize,
    summary: String,
    tags: Vec<String>,
    word_count: usize,
}

/// Analyses `text`; nothing where it holds blanks only.
pub(crate) fn analyse(text: &str) -> Option<Analysis> {
    let sentences = sentences(text);
    if sentences.is_empty() {
        return None;
    }
    let words = words(text);
    Some(Analysis {
        character_count: text.chars().count(),
        complexity: complexity::complexity(&words, sentences.len()),
        language: language::hint(&words),
        sentence_count: sentences.len(),
        summary: summary::summary(&sentences),
        tags: tags::tags(&words),
        word_count: words.len(),
    })
}

impl Analysis {
    /// The analysis as the object that `schemas/analysis.json` describes.
    pub(crate) fn into_data(self) -> Map<String, Value> {
        Map::from_iter([
            ("character_count".to_owned(), json!(self.character_count)),
            ("complexity".to_owned(), json!(self.complexity)),
            ("language".to_owned(), json!(self.language)),
            ("sentence_count".to_owned(), json!(self.sentence_count)),
            ("summary".to_owned(), json!(self.summary)),
            ("tags".to_owned(), json!(self.tags)),
            ("word_count".to_owned(), json!(self.word_count)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Option<Value> {
        analyse(text).map(|analysis| Value::Object(analysis.into_data()))
    }

    #[test]
    fn a_known_text_gives_a_known_analysis() {
        let text = "The ledger is the truth. Every entry of the ledger names the entry before it, \
                    and nobody can change one without changing all that follow.";
        let expected = json!({
            "character_count": 137,
            "complexity": 0.34,
            "language": "en",
            "sentence_count": 2,
            "summary": text,
            "tags": ["entry", "ledger", "before", "change", "changing"],
            "word_count": 25,
        });
        assert_eq!(data(text), Some(expected));
    }

    #[test]
    fn the_same_text_gives_the_same_analysis() {
        let text = "Ein Text, der sich nicht ändert, wird immer gleich gelesen. ".repeat(50);
        assert_eq!(data(&text), data(&text));
    }

    #[test]
    fn blanks_alone_are_nothing_to_analyse() {
        assert_eq!(data(""), None);
        assert_eq!(data(" \n\t\u{3000}"), None);
    }

    #[test]
    fn marks_without_words_are_counted_as_characters() {
        let expected = json!({
            "character_count": 3,
            "complexity": 0.0,
            "language": "und",
            "sentence_count": 1,
            "summary": "?!…",
            "tags": [],
            "word_count": 0,
        });
        assert_eq!(data("?!…"), Some(expected));
    }
}
