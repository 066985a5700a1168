//! Decides which text is safe to show: none of its characters steers a terminal, hides, or changes the direction of reading.
//!
//! All code that prints untrusted text (a plugin's words, a name in a package, a host's id) passes it through here. Text that is
//! hashed, signed or recorded is never changed.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether `c` shows as itself and does nothing else.
///
/// Not plain are the control characters (C0, DEL and C1, U+009B among them), the characters that change the direction of
/// text (UAX #9; see also CVE-2021-42574), those without width, the soft hyphen, the line and paragraph separators, the
/// tag characters and the supplementary variation selectors. The usual variation selectors (U+FE00 to U+FE0F) are plain:
/// they only choose between two shapes of an emoji.
#[must_use]
pub fn is_plain(c: char) -> bool {
    let hidden = matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
            | '\u{e0100}'..='\u{e01ef}'
    );
    !c.is_control() && !hidden
}

/// `c`, or U+FFFD in its place where it is not plain.
#[must_use]
pub fn plain(c: char) -> char {
    if is_plain(c) {
        c
    } else {
        char::REPLACEMENT_CHARACTER
    }
}

/// A whole text for people: what is not plain is written out, as `\u{1b}`; line breaks and tabs stay.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, |out, c| out.extend(c.escape_unicode()))
}

/// JSON text for a terminal or a log: what is not plain is written as `\u001b`, which reads as the same value.
///
/// In JSON such characters stand inside strings only, save for the line breaks and tabs between values, which stay.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(text, |out, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing into a string cannot fail.
            write!(out, "\\u{unit:04x}").unwrap_or_default();
        }
    })
}

/// At most `chars` characters of `text` on one line, with a mark where it was cut, and U+FFFD for what is not plain.
#[must_use]
pub fn cut(text: &str, chars: usize) -> String {
    let mut short: String = text.chars().take(chars).map(plain).collect();
    if text.chars().nth(chars).is_some() {
        short.push('…');
    }
    short
}

/// The first `bytes` bytes of a stranger's output on one line in double quotes, with a mark where it was cut: line breaks and tabs are
/// written as `\n`, `\r` and `\t`, and U+FFFD stands for what is not UTF-8 or not plain.
#[must_use]
pub fn beginning(output: &[u8], bytes: usize) -> String {
    let start = output.get(..bytes).unwrap_or(output);
    // A character that the cut goes through is left out.
    let whole = match std::str::from_utf8(start) {
        Err(cut) if cut.error_len().is_none() && start.len() < output.len() => cut.valid_up_to(),
        Ok(_) | Err(_) => start.len(),
    };
    let text = String::from_utf8_lossy(start.get(..whole).unwrap_or(start));
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.extend(c.escape_default()),
            c => out.push(plain(c)),
        }
    }
    if start.len() < output.len() {
        out.push('…');
    }
    out.push('"');
    out
}

fn escaped(text: &str, escape: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let stays = |c: char| is_plain(c) || matches!(c, '\n' | '\t');
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for c in text.chars() {
        if stays(c) {
            out.push(c);
        } else {
            escape(&mut out, c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First and last character of each range that is not plain, and its neighbours that are.
    const RANGES: [(&str, char, char); 14] = [
        ("C0", '\u{0}', '\u{1f}'),
        ("DEL and C1", '\u{7f}', '\u{9f}'),
        ("CSI, a C1 character", '\u{9b}', '\u{9b}'),
        ("soft hyphen", '\u{ad}', '\u{ad}'),
        ("Arabic letter mark", '\u{61c}', '\u{61c}'),
        ("no width", '\u{200b}', '\u{200d}'),
        (
            "left-to-right and right-to-left marks",
            '\u{200e}',
            '\u{200f}',
        ),
        ("line and paragraph separators", '\u{2028}', '\u{2029}'),
        ("embeddings and overrides", '\u{202a}', '\u{202e}'),
        (
            "word joiner and invisible operators",
            '\u{2060}',
            '\u{2064}',
        ),
        ("isolates", '\u{2066}', '\u{2069}'),
        ("byte order mark", '\u{feff}', '\u{feff}'),
        ("tags", '\u{e0000}', '\u{e007f}'),
        (
            "supplementary variation selectors",
            '\u{e0100}',
            '\u{e01ef}',
        ),
    ];

    #[test]
    fn nothing_that_steers_or_hides_is_plain() {
        for (name, first, last) in RANGES {
            for c in first..=last {
                assert!(!is_plain(c), "{name}: U+{:04X}", u32::from(c));
            }
        }
        for c in " ~\u{a0}\u{ac}\u{ae}éж中\u{61b}\u{61d}\u{200a}\u{2010}\u{2027}\u{202f}\u{205f}\u{2070}\u{fe0f}\u{fefe}😀\u{fffd}".chars()
        {
            assert!(is_plain(c), "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn each_form_shows_the_same_text_for_its_reader() {
        let table = [
            (
                "plain\n\ttext",
                "plain\n\ttext",
                "plain\n\ttext",
                "plain\u{fffd}\u{fffd}text",
            ),
            ("a\u{1b}[2J", "a\\u{1b}[2J", "a\\u001b[2J", "a\u{fffd}[2J"),
            ("\u{202e}b", "\\u{202e}b", "\\u202eb", "\u{fffd}b"),
            ("\u{e0041}c", "\\u{e0041}c", "\\udb40\\udc41c", "\u{fffd}c"),
        ];
        for (given, people, program, glance) in table {
            assert_eq!(text(given), people);
            assert_eq!(json(given), program);
            assert_eq!(cut(given, 80), glance);
        }
        assert_eq!(cut("abcdef", 3), "abc…");
        assert_eq!(cut("abc", 3), "abc");
    }

    #[test]
    fn the_beginning_of_any_bytes_is_one_line_that_is_safe_to_show() {
        assert_eq!(
            beginning(b"Loading\r\n\tdone", 200),
            "\"Loading\\r\\n\\tdone\""
        );
        assert_eq!(
            beginning(b"a\xff\x1b[2J\0", 200),
            "\"a\u{fffd}\u{fffd}[2J\u{fffd}\""
        );
        assert_eq!(beginning("ééé".as_bytes(), 4), "\"éé…\"");
        assert_eq!(
            beginning("ééé".as_bytes(), 5),
            "\"éé…\"",
            "no half of a letter"
        );
        assert_eq!(beginning("ééé".as_bytes(), 6), "\"ééé\"");
        assert_eq!(
            beginning(b"\xc3", 200),
            "\"\u{fffd}\"",
            "half of a letter that came so"
        );
        assert_eq!(beginning(b"", 200), "\"\"");
    }

    #[test]
    fn escaped_json_reads_as_the_same_value() {
        for (_, first, last) in RANGES {
            let value = serde_json::json!({ "a": format!("x{first}y{last}\"\\") });
            let written = serde_json::to_string_pretty(&value).unwrap();
            let shown = json(&written);
            assert!(shown.chars().all(|c| is_plain(c) || c == '\n'));
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
                value
            );
        }
    }
}
