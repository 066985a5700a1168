//! Words for people: tables, and untrusted text made safe for a terminal.

use comfy_table::{ContentArrangement, Table, presets};
use plugin_protocol::shown;

/// A plain table with a head line.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head);
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    table.trim_fmt()
}

/// The text with every character that could steer a terminal or hide text written as an escape.
pub(super) fn printable(text: &str) -> String {
    shown::text(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_strangers_do_not_reach_a_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\rc\td\n"), "a\\u{1b}[2Jb\\u{d}c\td\n");
        assert_eq!(printable("a\u{202e}b\u{9b}c"), "a\\u{202e}b\\u{9b}c");
        assert!(!table(&["x"], [vec!["\u{1b}]0;".to_owned()]]).contains('\u{1b}'));
    }
}
