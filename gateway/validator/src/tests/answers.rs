//! What of a plugin's answer counts, and what becomes of the rest.

use plugin_protocol::canonical;
use plugin_protocol::digest::PayloadHash;
use plugin_protocol::message::Status;

use super::exchange::{point, request};
use super::*;

pub(super) fn answer() -> Value {
    json!({"type": "result", "response": {"request_id": "r-1", "status": "ok", "result": point(json!(1)), "notes": "done"}})
}

pub(super) fn judged_bytes(manifest: &Value, line: &[u8]) -> Result<Accepted, Misbehaviour> {
    let manifest = checked(manifest);
    let schemas = schemas(&manifest);
    let admitted = admit_value(&request(), &manifest, &schemas).unwrap();
    check_answer(line, &admitted, &manifest, &schemas)
}

pub(super) fn judged(answer: &Value) -> Result<Accepted, Misbehaviour> {
    judged_bytes(&manifest(), answer.to_string().as_bytes())
}

pub(super) fn answer_with(at: &str, value: Value) -> Value {
    let mut changed = answer();
    put(&mut changed, at, Some(value));
    changed
}

/// "`output_hash` = SHA-256 of the canonical result"; "any `plugin_id`, `evidence_hashes`, `duration_ms` in it are ignored"
#[test]
fn a_good_answer_counts() {
    let verdict = judged(&answer()).unwrap();
    assert_eq!(
        (verdict.status, verdict.notes.as_str()),
        (Status::Ok, "done")
    );
    assert_eq!(
        verdict.output_hash,
        Some(PayloadHash::of(&canonical::bytes(&point(json!(1)))))
    );
    for ignored in ["plugin_id", "evidence_hashes", "duration_ms"] {
        assert!(
            judged(&answer_with(&format!("/response/{ignored}"), json!([-1]))).is_ok(),
            "{ignored}"
        );
    }
    let mut silent = answer();
    put(&mut silent, "/response/notes", None);
    assert_eq!(judged(&silent).unwrap().notes, "");
    let line = answer().to_string();
    assert!(
        judged_bytes(&manifest(), format!("{line}\n").as_bytes()).is_ok(),
        "with its newline"
    );
}

/// "an answer the gateway cannot accept (schema, kind not declared in `io.outputs`, too large, more than one line, not UTF-8, wrong `request_id`)"
#[test]
fn answers_that_cannot_be_accepted_say_why() {
    let cases = [
        (answer_with("/type", json!("invoke")), "/type"),
        (
            answer_with("/response/request_id", json!("r-2")),
            "another request",
        ),
        (
            answer_with("/response/status", json!("timeout")),
            "/response/status",
        ),
        (
            answer_with("/response/extra", json!(1)),
            "unknown field 'extra'",
        ),
        (answer_with("/extra", json!(1)), "unknown field 'extra'"),
        (
            answer_with("/response/result", json!(null)),
            "ok without a result",
        ),
        (
            answer_with(
                "/response/result",
                json!({"kind": "text", "content": "", "encoding": "utf-8", "metadata": {}}),
            ),
            "'text' is not in the plugin's io.outputs",
        ),
        (
            answer_with("/response/result", point(json!("one"))),
            "does not follow its schema",
        ),
        (
            answer_with("/response/result/data/y", json!(1)),
            "/y unknown field 'y'",
        ),
        (answer_with("/response/notes", json!(1)), "/response/notes"),
        (json!([]), "malformed"),
    ];
    for (answer, words) in cases {
        let said = judged(&answer).unwrap_err().words;
        assert!(said.contains(words), "{words}: {said}");
    }
    let line = answer().to_string();
    let bytes_cases: [(Vec<u8>, &str); 5] = [
        (Vec::new(), "cannot be read"),
        (b"{\"type\":\"result\xff".to_vec(), "not UTF-8"),
        (
            format!("{line}\n{line}\n").into_bytes(),
            "more than one line",
        ),
        (format!("{line}{line}").into_bytes(), "cannot be read"),
        (
            line.replacen('{', "{\"type\":\"result\",", 1).into_bytes(),
            "duplicate",
        ),
    ];
    for (line, words) in bytes_cases {
        let said = judged_bytes(&manifest(), &line).unwrap_err().words;
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// "Anything more on stdout is a rejection, but blank lines are nothing; its words quote the first 200 bytes of what was there."
#[test]
fn blank_lines_are_nothing_and_other_words_are_quoted() {
    let line = answer().to_string();
    for blank in ["\n", "\r\n", " \t\n\n"] {
        for around in [
            format!("{blank}{line}"),
            format!("{blank}{line}\n{blank}"),
            format!("{line}\n{blank} "),
        ] {
            assert!(
                judged_bytes(&manifest(), around.as_bytes()).is_ok(),
                "{around:?}"
            );
        }
    }
    let said = |bytes: &[u8]| judged_bytes(&manifest(), bytes).unwrap_err().words;
    for (bytes, quoted) in [
        (b"Loading model...\n".to_vec(), "\"Loading model...\""),
        (format!("\n\nready\n{line}\n").into_bytes(), "\"ready\\n{"),
        (format!("{line} done").into_bytes(), "\"{\\\"response"),
        (b"\x1b[31mred\n".to_vec(), "\"\u{fffd}[31mred\""),
    ] {
        let words = said(&bytes);
        let quoted = quoted.replace("\\\"", "\"");
        assert!(
            words.contains(&quoted) && words.contains("stderr"),
            "{quoted}: {words}"
        );
    }
    let long = format!("{}é{}\n", "x".repeat(199), "y".repeat(100));
    let words = said(long.as_bytes());
    assert!(
        words.contains(&format!("\"{}…\"", "x".repeat(199))),
        "{words}"
    );
    // Where it is JSON, the rule that it breaks is what helps.
    assert!(!said(&line.replacen('{', "{\"type\":\"result\",", 1).into_bytes()).contains("stdout"));
}

#[test]
fn answers_are_measured_to_the_byte() {
    let line = answer().to_string();
    // Long enough for the request's own line, which the same limit bounds.
    let padded = format!("{line}{}", " ".repeat(1000));
    let limit = |bytes: usize| with("/limits/max_bytes", json!(bytes));
    assert!(judged_bytes(&limit(padded.len()), padded.as_bytes()).is_ok());
    assert!(judged_bytes(&limit(padded.len()), format!("{padded}\n").as_bytes()).is_ok());
    let said = judged_bytes(&limit(padded.len() - 1), padded.as_bytes())
        .unwrap_err()
        .words;
    assert!(said.contains("limits.max_bytes"), "{said}");
    let result = canonical::bytes(&point(json!(1))).len();
    let port = |bytes: usize| with("/io/outputs/0/limits/max_bytes", json!(bytes));
    assert!(judged_bytes(&port(result), line.as_bytes()).is_ok());
    assert!(judged_bytes(&port(result - 1), line.as_bytes()).is_err());
}

#[test]
fn a_plugins_own_refusal_has_no_result() {
    for (word, status) in [("rejected", Status::Rejected), ("error", Status::Error)] {
        let verdict = judged(&answer_with("/response/status", json!(word))).unwrap();
        assert_eq!(
            (verdict.status, verdict.result, verdict.output_hash),
            (status, None, None)
        );
        assert!(
            verdict.notes.starts_with("done (the result"),
            "{}",
            verdict.notes
        );
        let bare = json!({"type": "result", "response": {"request_id": "r-1", "status": word}});
        assert_eq!(judged(&bare).unwrap().notes, "");
    }
}

#[test]
fn notes_are_harmless_and_a_cut_is_said() {
    let verdict = judged(&answer_with(
        "/response/notes",
        json!("a\u{1b}]0;x\u{7}\nb"),
    ))
    .unwrap();
    assert_eq!(verdict.notes, "a\u{fffd}]0;x\u{fffd}\u{fffd}b");
    let verdict = judged(&answer_with("/response/notes", json!("x".repeat(2_001)))).unwrap();
    assert!(
        verdict
            .notes
            .ends_with("x… (cut after 2000 of 2001 characters)")
    );
    let verdict = judged(&answer_with("/response/notes", json!("x".repeat(2_000)))).unwrap();
    assert_eq!(verdict.notes.len(), 2_000);
}
