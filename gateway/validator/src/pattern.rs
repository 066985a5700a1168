//! Regular expressions of JSON Schemas with the meaning that ECMAScript gives them, by an engine that takes linear time; it never
//! backtracks, and what it cannot do is refused with words.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jsonschema::{Keyword, ValidationError};
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::words::cut;

/// The largest compiled form of one regular expression, and of its automaton, in bytes.
pub(super) const MAX_REGEX_BYTES: usize = 1024 * 1024;
/// The most different regular expressions of one schema, each of which may take as much memory as [`MAX_REGEX_BYTES`] says.
const MAX_PATTERNS: usize = 256;
/// The most characters of a pattern that a message shows.
const SHOWN_CHARS: usize = 80;

const NO_LOOK_AROUND: &str = "look-around is not supported there: only look-aheads at the very start are, as in \"^(?=.*[0-9])(?!.*  )[a-z0-9 ]+$\"; \
                              write others as patterns of their own, joined by allOf and not";
const NO_REFERENCE: &str = "a reference back to a group is not supported, as no engine finds it in linear time: write the repeated text out";
const NO_EDGE_IN_KEYS: &str = "\\b and \\B are not supported in patternProperties: write the edge out, as in \"(^|[^A-Za-z0-9_])word\"";

/// One `pattern`: its parts, each of which must match, or must not.
#[derive(Debug)]
pub(super) struct Pattern {
    source: String,
    parts: Vec<(Regex, bool)>,
}

/// The patterns of one schema by their text.
#[derive(Debug, Default)]
pub(super) struct Patterns(HashMap<String, Arc<Pattern>>);

impl Patterns {
    /// Compiles a pattern, unless it is here already.
    pub(super) fn add(&mut self, source: &str) -> Result<(), String> {
        if self.0.contains_key(source) {
            return Ok(());
        }
        if self.0.len() >= MAX_PATTERNS {
            return Err(format!(
                "it has more than {MAX_PATTERNS} different patterns: use fewer"
            ));
        }
        let pattern = Arc::new(Pattern::compile(source)?);
        self.0.insert(source.to_owned(), pattern);
        Ok(())
    }

    /// Compiles a name of `patternProperties`, which the schema library then does by itself: what it would do otherwise is refused.
    pub(super) fn add_key(&mut self, source: &str) -> Result<(), String> {
        if escapes(source, |letter| matches!(letter, 'b' | 'B')) {
            return Err(NO_EDGE_IN_KEYS.to_owned());
        }
        if leading_look_aheads(source).is_some() {
            return Err(NO_LOOK_AROUND.replace("there", "in patternProperties"));
        }
        self.add(source)
    }

    /// The pattern with this text, for the schema library.
    pub(super) fn keyword<'a>(
        &self,
        source: &Value,
    ) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
        let source = source.as_str().unwrap_or_default();
        match self.0.get(source) {
            Some(pattern) => Ok(Box::new(Matching(Arc::clone(pattern)))),
            // In a part of the schema that only a reference leads to.
            None => Pattern::compile(source)
                .map(|pattern| Box::new(Matching(Arc::new(pattern))) as Box<_>)
                .map_err(ValidationError::custom),
        }
    }
}

/// The keyword `pattern`.
struct Matching(Arc<Pattern>);

impl<'i> Keyword<'i> for Matching {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) {
            return Ok(());
        }
        let source = cut(&self.0.source, SHOWN_CHARS);
        Err(ValidationError::custom(format!(
            "value does not match \"{source}\""
        )))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        instance.as_str().is_none_or(|text| self.0.matches(text))
    }
}

impl Pattern {
    /// Compiles a pattern, or says why it cannot be used.
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        let shown = || format!("\"{}\"", cut(source, SHOWN_CHARS));
        if !jsonschema_regex::is_valid_ecma_regex(source) {
            return Err(format!(
                "{} is not a regular expression of ECMAScript: correct it",
                shown()
            ));
        }
        let pieces = leading_look_aheads(source).unwrap_or_else(|| vec![(source.to_owned(), true)]);
        let parts = pieces.iter().map(|(piece, wanted)| {
            let regex = linear(piece).map_err(|why| format!("{}: {why}", shown()))?;
            Ok((regex, *wanted))
        });
        Ok(Self {
            source: source.to_owned(),
            parts: parts.collect::<Result<_, String>>()?,
        })
    }

    /// Whether the pattern is found in `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.parts
            .iter()
            .all(|(regex, wanted)| regex.is_match(text) == *wanted)
    }
}

/// `^(?=A)(?!B)C` as `^(?:A)`, not `^(?:B)` and `^(?:C)`: look-aheads at the start all hold there and take nothing. None where the
/// pattern does not begin so.
fn leading_look_aheads(source: &str) -> Option<Vec<(String, bool)>> {
    let mut rest = source.strip_prefix('^')?;
    let mut pieces = Vec::new();
    loop {
        let (wanted, after) = match (rest.strip_prefix("(?="), rest.strip_prefix("(?!")) {
            (Some(after), _) => (true, after),
            (None, Some(after)) => (false, after),
            (None, None) => break,
        };
        let end = position(after, |c, depth| c == ')' && depth == 0)?;
        let (inner, closed) = after.split_at(end);
        pieces.push((format!("^(?:{inner})"), wanted));
        rest = closed.get(1..)?;
    }
    let splits = position(rest, |c, depth| c == '|' && depth == 0).is_some();
    if pieces.is_empty() || splits {
        return None;
    }
    pieces.push((format!("^(?:{rest})"), true));
    Some(pieces)
}

/// Where the first character stands, outside escapes and classes, that is `wanted` at its depth of groups.
fn position(source: &str, wanted: impl Fn(char, usize) -> bool) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_class = false;
    let mut chars = source.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '[' => in_class = true,
            ']' => in_class = false,
            _ if in_class => {}
            _ if wanted(c, depth) => return Some(at),
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

/// Compiles a piece without look-around.
fn linear(piece: &str) -> Result<Regex, String> {
    let looks = |at: usize| {
        let rest = piece.get(at..).unwrap_or_default();
        ["(?=", "(?!", "(?<=", "(?<!"]
            .iter()
            .any(|look| rest.starts_with(look))
    };
    let mut opened = Vec::new();
    let mut in_class = false;
    let mut chars = piece.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => opened.push(at),
            _ => {}
        }
    }
    if opened.into_iter().any(looks) {
        return Err(NO_LOOK_AROUND.to_owned());
    }
    if escapes(piece, |letter| matches!(letter, '1'..='9' | 'k')) {
        return Err(NO_REFERENCE.to_owned());
    }
    let unsupported = |why: &str| format!("it is not supported ({why}): write it more simply");
    let plain = escapes_of_rust(piece);
    let translated = jsonschema_regex::to_rust_regex(&plain)
        .map_err(|()| unsupported("it uses a form that the engine does not know"))?;
    RegexBuilder::new(&translated)
        .size_limit(MAX_REGEX_BYTES)
        .dfa_size_limit(MAX_REGEX_BYTES)
        .build()
        .map_err(|error| {
            if let regex::Error::CompiledTooBig(_) = error {
                return format!(
                    "it is too large, with more than {MAX_REGEX_BYTES} bytes when compiled: repeat less"
                );
            }
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            unsupported(last.trim_start_matches("error: "))
        })
}

/// Writes the escapes that the engine reads in another way, or not at all, so that they have ECMAScript's meaning: `\b` and `\B` look at
/// ASCII letters only, `[\b]` is a backspace, `\0` a zero, `\ud83d\ude00` one character.
fn escapes_of_rust(piece: &str) -> String {
    let mut out = String::with_capacity(piece.len());
    let mut rest = piece;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        if c != '\\' {
            in_class = (in_class || c == '[') && c != ']';
            out.push(c);
            rest = after;
            continue;
        }
        let Some(escaped) = after.chars().next() else {
            break;
        };
        rest = after.get(escaped.len_utf8()..).unwrap_or_default();
        match escaped {
            'b' if in_class => out.push_str("\\x08"),
            'b' | 'B' => {
                // Writing into a string cannot fail.
                write!(out, "(?-u:\\{escaped})").unwrap_or_default();
            }
            '0' => out.push_str("\\x00"),
            'u' if let Some((pair, behind)) = surrogates(rest) => {
                write!(out, "\\x{{{:x}}}", u32::from(pair)).unwrap_or_default();
                rest = behind;
            }
            other => out.extend(['\\', other]),
        }
    }
    out
}

/// The character that two escaped halves make, of which `text` is what follows the first `\u`, and the rest.
fn surrogates(text: &str) -> Option<(char, &str)> {
    let unit = |at: usize| u16::from_str_radix(text.get(at..at + 4)?, 16).ok();
    let second = text.get(4..6).filter(|escape| *escape == "\\u")?;
    let units = [unit(0)?, unit(4 + second.len())?];
    let mut read = char::decode_utf16(units);
    let pair = read.next()?.ok()?;
    read.next().is_none().then_some((pair, text.get(10..)?))
}

/// Whether a letter that `wanted` names stands behind a backslash outside classes.
fn escapes(source: &str, wanted: impl Fn(char) -> bool) -> bool {
    let mut in_class = false;
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_some_and(&wanted) && !in_class => return true,
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn matches(source: &str, text: &str) -> bool {
        let pattern = Pattern::compile(source);
        pattern.unwrap_or_else(|why| panic!("{why}")).matches(text)
    }

    /// What ECMAScript says of each, as `new RegExp(source, "u").test(text)` answers.
    #[test]
    fn patterns_mean_what_ecmascript_says() {
        for (source, text, found) in [
            // Letters with accents are no word characters there.
            (r"\bcole\b", "école", true),
            (r"\bécole\b", "école", false),
            (r"^\bcole", "école", false),
            (r"caf\b", "café", true),
            (r"caf\B", "café", false),
            (r"\B", "é", true),
            (r"a\B", "aé", false),
            (r"é\b", "éa", true),
            (r"\w", "é", false),
            (r"^\W$", "é", true),
            (r"\d", "٣", false),
            (r"[\b]", "\u{8}", true),
            (r"[\b]", "b", false),
            (r"^\0$", "\0", true),
            (r"^\ud83d\ude00$", "😀", true),
            (r"^\u00e9$", "é", true),
            (r"^\cJ$", "\n", true),
            (r"^a.b$", "a\u{2028}b", false),
            (r"^\s$", "\u{feff}", true),
            (r"a$", "a\n", false),
            (r"^[\w-]+\/$", "a-b/", true),
            (r"^\p{L}+$", "é", true),
            // Look-aheads at the start.
            (r"^(?=.*[A-Z])(?=.*\d).{4,}$", "Ab12", true),
            (r"^(?=.*[A-Z])(?=.*\d).{4,}$", "Abcd", false),
            (r"^(?=.*[A-Z])(?=.*\d).{4,}$", "A1", false),
            (r"^(?!tmp|test)[a-z]+$", "temp", true),
            (r"^(?!tmp|test)[a-z]+$", "testing", false),
            (r"^(?!a)(?=.b)..$", "cb", true),
            (r"^(?=[)|])\)", ")", true),
            (r"^(?!\bé)", "é", true),
            (r"^(?=a)", "ab", true),
            (r"[(?=]", "=", true),
            (r"\(?=x", "=x", true),
        ] {
            assert_eq!(matches(source, text), found, "{source} in {text:?}");
        }
    }

    #[test]
    fn what_no_linear_engine_does_is_refused_with_words() {
        for source in [
            "(?=a)b",
            "a(?=b)",
            "a(?!b)c",
            "^(?=a)b|c",
            "(?<=a)b",
            "(?<!a)b",
            "^(?=a(?=b))a",
            r"(a)\1",
            r"(?<n>a)\k<n>",
        ] {
            let why = Pattern::compile(source).unwrap_err();
            assert!(
                why.contains("not supported") && why.contains("write"),
                "{why}"
            );
        }
        for source in ["(", "a**", r"\A", "(?i)a", "(?P<n>a)", "[b-a]"] {
            let why = Pattern::compile(source).unwrap_err();
            assert!(why.contains("not a regular expression"), "{why}");
        }
        let why = Pattern::compile("(a{1000}){1000}").unwrap_err();
        assert!(why.contains("too large"), "{why}");
        let mut patterns = Patterns::default();
        for key in [r"\ba", r"a\B", "^(?=a)b", "(?=a)"] {
            let why = patterns.add_key(key).unwrap_err();
            assert!(why.contains("not supported"), "{why}");
        }
        assert_eq!(patterns.add_key(r"^[\b]\\b"), Ok(()));
        for count in 0..MAX_PATTERNS - 1 {
            patterns.add(&format!("a{count}")).unwrap();
        }
        assert_eq!(patterns.add("a1"), Ok(()));
        assert!(patterns.add("one more").unwrap_err().contains("256"));
    }

    /// Nested repetition takes a backtracking engine longer than the age of the universe.
    #[test]
    fn time_is_linear() {
        let text = format!("{}!", "a".repeat(100_000));
        assert!(!matches("^(?=(a+)+$)(a|aa)+$", &text));
        assert!(!matches("^(a+)+$", &text));
    }
}
