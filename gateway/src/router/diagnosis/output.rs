//! What stands on standard output in place of one answer line, and what an answer line has in place of what it should.

use plugin_protocol::json;

use super::Diagnosis;
use super::rows::{Row, plain};

const NO_PYTHON: &str = "it is Python's notation and no JSON";
const NO_NODE: &str = "it is Node's notation and no JSON";
const BY_NODE: &str = "write it with `JSON.stringify(answer)`";

/// What the gateway's own words about an answer mean for its author.
pub(super) const ROWS: &[Row] = &[plain(
    "the answer is for another request",
    "its request_id is not that of the request, which is another one for each call",
    "copy it from the request",
)];

/// What was meant by what is on standard output; none where that is not known.
pub(super) fn meant(output: &[u8]) -> Option<Diagnosis> {
    let text = String::from_utf8_lossy(output);
    let text = text.trim();
    let (cause, fix) = notation(text)
        .or_else(|| by_lines(text))
        .or_else(|| by_hand(text))?;
    Some(Diagnosis {
        cause: cause.to_owned(),
        fix: fix.to_owned(),
    })
}

type Told = (&'static str, &'static str);

/// By the notation of another language than JSON.
fn notation(text: &str) -> Option<Told> {
    let inner = text.strip_prefix('{').map(str::trim_start);
    let first = inner.and_then(|inner| inner.chars().next());
    match first {
        Some('\'') => Some((NO_PYTHON, "write it with `json.dumps(answer)`")),
        Some(letter) if letter.is_ascii_alphabetic() => Some((NO_NODE, BY_NODE)),
        _ if text.starts_with("[object ") => {
            Some(("an object was turned into a text by Node", BY_NODE))
        }
        _ if text.starts_with("b'") || text.starts_with("b\"") => Some((
            "it is Python's notation of bytes",
            "print the text, without `.encode()`, or write the bytes with `sys.stdout.buffer.write`",
        )),
        _ => None,
    }
}

/// By how what is JSON is spread over lines.
fn by_lines(text: &str) -> Option<Told> {
    let is_message = |line: &str| {
        let read = json::read(line.as_bytes());
        read.is_ok_and(|value| value.get("type").is_some())
    };
    let messages = text.lines().filter(|line| is_message(line)).count();
    if messages > 1 {
        return Some((
            "it answered more than once",
            "end after the first answer: a process serves one request",
        ));
    }
    let first = text.lines().next().unwrap_or_default();
    let broken = first.starts_with('{') && first != text && json::read(first.as_bytes()).is_err();
    broken.then_some((
        "the answer stands on several lines",
        "write it on one: json.dumps without `indent`, JSON.stringify without its third argument, `jq -c`",
    ))
}

/// One line that is nearly JSON.
fn by_hand(text: &str) -> Option<Told> {
    const WORDS: [&str; 4] = [": NaN", ":NaN", "Infinity", ": None"];
    if !text.starts_with("{\"") || text.contains('\n') || json::read(text.as_bytes()).is_ok() {
        return None;
    }
    if WORDS.iter().any(|word| text.contains(word)) {
        return Some((
            "NaN and Infinity are no JSON",
            "send them as null or as a string",
        ));
    }
    let syntax = matches!(
        json::read(text.as_bytes()),
        Err(json::Error::Syntax(_) | json::Error::Trailing(_))
    );
    syntax.then_some((
        "it was put together by hand, and a quote, a backslash or a line end in it is not escaped",
        "let a JSON library write it: `json.dumps`, `JSON.stringify`, `jq -cn`",
    ))
}

/// Whether the answer is among the words on standard error.
pub(super) fn went_astray(stderr: &str) -> Option<Diagnosis> {
    let is_answer = |line: &str| {
        let read = json::read(line.trim().as_bytes());
        read.is_ok_and(|value| value.get("type").is_some_and(|kind| kind == "result"))
    };
    stderr.lines().any(is_answer).then(|| Diagnosis {
        cause: "the answer went to stderr".to_owned(),
        fix: "write it to stdout, and nothing else there".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_an_answer_is_told_by_its_form() {
        let message = r#"{"type":"result","response":{}}"#;
        for (output, fix) in [
            ("{'type': 'result'}", "json.dumps(answer)"),
            ("{\n  type: 'result',\n}\n", "JSON.stringify(answer)"),
            ("{ type: 'result' }", "JSON.stringify(answer)"),
            ("[object Object]\n", "JSON.stringify(answer)"),
            ("b'{\"type\"}'", "sys.stdout.buffer.write"),
            ("{\n  \"type\": \"result\"\n}", "without `indent`"),
            (&format!("{message}\n{message}\n"), "end after the first"),
            ("{\"a\": NaN}", "null"),
            ("{\"a\":\"b \"c\" d\"}", "let a JSON library write it"),
        ] {
            let found = meant(output.as_bytes()).unwrap_or_else(|| panic!("{output}"));
            assert!(found.fix.contains(fix), "{output} {found:?}");
        }
        for output in [
            "",
            "hello",
            "Loading\n{}",
            "{}\ndone",
            message,
            &format!("{message}\ndone"),
        ] {
            assert_eq!(meant(output.as_bytes()), None, "{output}");
        }
        assert!(went_astray(&format!("words\n{message}\n")).is_some());
        assert!(went_astray("words").is_none());
    }
}
