//! Words for people: tables, and untrusted text made safe for a terminal.

use std::io::{self, IsTerminal as _};

use comfy_table::{ContentArrangement, Table, presets};
use plugin_protocol::shown;

/// The least width at which a column of running words is still read with ease.
const READABLE_CHARS: usize = 30;

/// How far what follows is set in, in characters.
const INDENT: usize = 4;

/// The narrowest terminal that is believed, in characters.
const NARROWEST: usize = 20;

/// How many characters fit in a line of standard output; none where it is no terminal and `COLUMNS` does not say.
pub(super) fn width() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok();
    let said = said
        .and_then(|said| said.parse().ok())
        .filter(|said| *said > 0);
    let seen = || {
        let stdout = io::stdout();
        let size = stdout
            .is_terminal()
            .then(|| rustix::termios::tcgetwinsize(&stdout).ok())??;
        (size.ws_col > 0).then(|| usize::from(size.ws_col))
    };
    said.or_else(seen).map(|width| width.max(NARROWEST))
}

/// A plain table with a head line, as wide as it likes where the width of a line is not known, else within it.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    table_within(head, rows, width())
}

/// The last column holds words: where too little room is left beside the others, it stands below them.
fn table_within(
    head: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    width: Option<usize>,
) -> String {
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.iter().map(|cell| printable(cell)).collect())
        .collect();
    let free = plain(head, &rows, None);
    let Some(width) = width.filter(|width| widest(&free) > *width) else {
        return free;
    };
    let columns = head.len().saturating_sub(1);
    let firsts: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().take(columns).cloned().collect())
        .collect();
    let firsts = plain(head.get(..columns).unwrap_or_default(), &firsts, None);
    let beside = widest(&firsts);
    let has_its_line = firsts.lines().count() == rows.len() + 1;
    if !has_its_line || beside > width || beside + READABLE_CHARS <= width {
        return plain(head, &rows, Some(width));
    }
    let mut lines = firsts.lines();
    let mut out: Vec<String> = lines.next().map(ToOwned::to_owned).into_iter().collect();
    out.extend(head.last().map(|last| indented(last, width)));
    for (line, row) in lines.zip(&rows) {
        out.push(line.to_owned());
        let last = row.last().filter(|last| !last.is_empty());
        out.extend(last.map(|last| indented(last, width)));
    }
    out.join("\n")
}

fn plain(head: &[&str], rows: &[Vec<String>], width: Option<usize>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match width.and_then(|width| u16::try_from(width).ok()) {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table.set_header(head);
    for row in rows {
        table.add_row(row);
    }
    table.trim_fmt()
}

fn widest(text: &str) -> usize {
    text.lines()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or(0)
}

/// Lines that are all set in.
fn indented(text: &str, width: usize) -> String {
    let space = " ".repeat(INDENT);
    let lines = wrapped(text, width.saturating_sub(INDENT));
    let lines = lines.lines().map(|line| format!("{space}{line}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// One row of many whose widths are not known before: its parts beside each other where they fit, else below and set in.
pub(super) fn row(parts: &[String], width: Option<usize>) -> String {
    let whole = parts.join("  ").trim_end().to_owned();
    let Some(width) = width.filter(|width| whole.chars().count() > *width) else {
        return whole;
    };
    let mut lines: Vec<String> = Vec::new();
    for part in parts
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
    {
        let room = |line: &String| line.chars().count() + 2 + part.chars().count() <= width;
        if let Some(line) = lines.last_mut().filter(|line| room(line)) {
            line.push_str("  ");
            line.push_str(part);
        } else if lines.is_empty() {
            lines.push(wrapped(part, width));
        } else {
            lines.push(indented(part, width));
        }
    }
    lines.join("\n")
}

/// Names with their values, one beside the other, where a value goes on below itself. What is one word, such as a hash, is never parted: it
/// may have to be copied.
pub(super) fn pairs(rows: &[(&str, String)]) -> String {
    pairs_within(rows, width())
}

fn pairs_within(rows: &[(&str, String)], width: Option<usize>) -> String {
    let names = rows.iter().map(|(name, _)| name.chars().count()).max();
    let beside = names.unwrap_or(0) + 1;
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(beside));
    let row = |(name, value): &(&str, String)| {
        let space = format!("\n{}", " ".repeat(beside));
        let value = at_spaces(&printable(value), room).join(&space);
        format!("{name:<beside$}{value}")
    };
    rows.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// The text in lines of at most `room` characters, parted at spaces alone.
pub(super) fn at_spaces(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The text in lines of at most `width` characters, parted at spaces, and inside a word only where one is longer.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::new();
    for line in text.split('\n') {
        if !out.is_empty() {
            out.push('\n');
        }
        let mut used = 0;
        for word in line.split(' ') {
            let length = word.chars().count();
            if used > 0 && used + 1 + length > width {
                out.push('\n');
                used = 0;
            } else if used > 0 {
                out.push(' ');
                used += 1;
            }
            for character in word.chars() {
                if used == width {
                    out.push('\n');
                    used = 0;
                }
                out.push(character);
                used += 1;
            }
        }
    }
    out
}

/// The text with what could steer a terminal or hide written out.
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

    fn rows() -> Vec<Vec<String>> {
        let words = "it asked for what is refused: socket(AF_INET, SOCK_STREAM); leave it out";
        vec![
            ["CG-08", "non-actuation", "L1", "INV-PNP-02", "FAIL", words]
                .map(ToOwned::to_owned)
                .to_vec();
            2
        ]
    }

    #[test]
    fn a_table_fits_whatever_the_width() {
        let head = ["CHECK", "NAME", "LAW", "INVARIANT", "OUTCOME", "DETAIL"];
        let free = table_within(&head, rows(), None);
        assert_eq!(free.lines().count(), 3, "{free}");
        for width in [30, 60, 80, 200] {
            let fitted = table_within(&head, rows(), Some(width));
            assert!(widest(&fitted) <= width, "{width}:\n{fitted}");
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
            assert_eq!(
                letters(&fitted),
                letters(&free),
                "nothing is lost:\n{fitted}"
            );
        }
        assert_eq!(table_within(&head, rows(), Some(200)), free);
    }

    #[test]
    fn a_value_goes_on_below_itself_and_no_word_is_parted() {
        let hash = "a".repeat(64);
        let rows = [
            ("isolation", "one two three four".to_owned()),
            ("hash", hash.clone()),
        ];
        let narrow = pairs_within(&rows, Some(20));
        let lines: Vec<&str> = narrow.lines().collect();
        assert_eq!(
            lines.get(..2),
            Some(&["isolation one two", "          three four"][..]),
            "{narrow}"
        );
        assert!(narrow.ends_with(&format!("hash      {hash}")), "{narrow}");
        assert_eq!(pairs_within(&rows, None).lines().count(), 2);
    }

    #[test]
    fn a_row_and_words_wrap_inside_the_width() {
        let parts = [
            "   1  2026-01-01T00:00:00.000Z",
            "RESULT",
            "p.test.plugin",
            &"r".repeat(90),
            "ok",
        ];
        let parts = parts.map(ToOwned::to_owned);
        let narrow = row(&parts, Some(60));
        assert!(widest(&narrow) <= 60, "{narrow}");
        assert_eq!(narrow.matches('r').count(), 90, "{narrow}");
        assert_eq!(row(&parts, None), parts.join("  "));
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(wrapped("a\nbb", 1), "a\nb\nb");
    }
}
