//! How values and places are written in messages: short and printable.

pub(super) use plugin_protocol::shown::cut;

use plugin_protocol::report::{Issue, Severity};
use serde_json::Value;

/// The most characters of a foreign value that a message shows.
const SHOWN_CHARS: usize = 60;

/// A finding with severity `Error`.
pub(super) fn error(field: impl Into<String>, message: impl Into<String>) -> Issue {
    issue(field, message, Severity::Error)
}

/// A finding with the given severity.
pub(super) fn issue(
    field: impl Into<String>,
    message: impl Into<String>,
    severity: Severity,
) -> Issue {
    Issue {
        field: field.into(),
        message: message.into(),
        severity,
    }
}

/// The JSON pointer of `key` below `parent` (RFC 6901).
pub(super) fn pointer(parent: &str, key: &str) -> String {
    format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// `text` in single quotes, cut and without a character that could steer a terminal.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", cut(text, SHOWN_CHARS))
}

/// `value` as a message shows it: scalars as JSON, the rest by type.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => format!("\"{}\"", cut(text, SHOWN_CHARS)),
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// The word in `known` that `word` was most likely meant to be, if one is near.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the word may differ; longer words than any of ours are not compared.
    const LONGEST: usize = 64;
    let limit = (word.chars().count() / 3).clamp(1, 3);
    known
        .filter(|_| word.len() <= LONGEST)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The Levenshtein distance: how many characters to add, drop or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, from) in a.chars().enumerate() {
        let mut corner = at;
        let mut left = at + 1;
        let mut next = vec![left];
        for (to, above) in b.iter().zip(row.iter().skip(1)) {
            left = (corner + usize::from(from != *to))
                .min(left + 1)
                .min(above + 1);
            corner = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// `items` as "a, b and c".
pub(super) fn listed<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<&str> = items.into_iter().collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["vendor", "version", "name"];
        assert_eq!(nearest("vender", known.into_iter()), Some("vendor"));
        assert_eq!(nearest("verison", known.into_iter()), Some("version"));
        assert_eq!(nearest("colour", known.into_iter()), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn foreign_text_cannot_steer_a_terminal() {
        assert_eq!(quoted("a\u{1b}[2J\u{202e}b"), "'a\u{fffd}[2J\u{fffd}b'");
        assert_eq!(cut("abcdef", 3), "abc…");
        assert_eq!(listed(["a", "b", "c"]), "a, b and c");
        assert_eq!(pointer("/a", "b/c~d"), "/a/b~1c~0d");
    }
}
