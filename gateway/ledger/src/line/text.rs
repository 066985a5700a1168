//! Texts as they stand inside a line: JSON strings without their quotes. Equal texts have equal forms, because the form is canonical.

use plugin_protocol::canonical;

/// An id as it stands in a line: JSON, without the quotes.
pub(crate) fn escaped(id: &str) -> String {
    let quoted = canonical::text(&id);
    quoted
        .get(1..quoted.len() - 1)
        .unwrap_or_default()
        .to_owned()
}

/// The text that the inside of a canonical JSON string stands for.
pub(crate) fn unescape(inside: &str) -> String {
    serde_json::from_str(&format!("\"{inside}\"")).unwrap_or_default()
}
