//! Requests before they run and answers before they count.

use plugin_protocol::canonical;
use plugin_protocol::digest::PayloadHash;
use plugin_protocol::message::Status;
use plugin_protocol::words;
use proptest::prelude::*;

use super::super::exchange::{Refusal, admit};
use super::*;

fn request() -> Value {
    json!({
        "request_id": "r-1", "run_id": "run-1", "timestamp": "2026-01-31T12:00:00Z",
        "payload": {"kind": "text", "content": "hi\n", "encoding": "utf-8", "metadata": {}},
        "context": {"a": "b"},
        "policy": {"deterministic_only": false, "timeout_ms": 1000, "max_retries": 0}
    })
}

fn request_with(at: &str, value: Value) -> Value {
    let mut changed = request();
    put(&mut changed, at, Some(value));
    changed
}

fn point(x: Value) -> Value {
    json!({"kind": "json", "data": {"x": x}, "schema_ref": "point/1"})
}

fn admitted(manifest: &Value, request: &Value) -> Result<Admitted, Refusal> {
    let manifest = checked(manifest);
    admit_value(request, &manifest, &schemas(&manifest))
}

fn refused(manifest: &Value, request: &Value) -> Refusal {
    admitted(manifest, request).unwrap_err()
}

/// "It writes one line to stdin: `{"type":"invoke","request":{…}}`"
#[test]
fn an_admitted_request_is_one_exact_line() {
    let admitted = admitted(&manifest(), &request()).unwrap();
    let canonical = canonical::text(&request());
    let line = format!("{{\"type\":\"invoke\",\"request\":{canonical}}}\n");
    assert_eq!(admitted.line(), line.as_bytes());
    let payload = canonical::bytes(&request()["payload"]);
    assert_eq!(admitted.input_hash(), PayloadHash::of(&payload));
    assert_eq!(admitted.request().request_id.as_str(), "r-1");
}

/// "`request_id`, `run_id` (1–256 characters; run `system` is the gateway's own and refused), …"
#[test]
fn broken_requests_name_the_field_and_keep_what_can_be_read() {
    let long = json!("x".repeat(257));
    let cases = [
        ("/request_id", json!("")),
        ("/request_id", long.clone()),
        ("/run_id", long),
        ("/run_id", json!("system")),
        ("/timestamp", json!("yesterday")),
        ("/payload", json!(null)),
        ("/payload/kind", json!("video")),
        ("/payload/content", json!(1)),
        ("/payload/encoding", json!("latin-1")),
        ("/payload/metadata", json!({"a": 1})),
        ("/payload/extra", json!(1)),
        ("/context", json!({"a": 1})),
        ("/policy/timeout_ms", json!(99)),
        ("/policy/max_retries", json!(6)),
        ("/policy/deterministic_only", json!("no")),
        ("/extra", json!(1)),
    ];
    for (field, value) in cases {
        let refusal = refused(&manifest(), &request_with(field, value.clone()));
        assert!(
            refusal.notes.starts_with(words::INVALID_REQUEST),
            "{field}: {}",
            refusal.notes
        );
        assert!(
            refusal.notes.contains(field),
            "{field} = {value}: {}",
            refusal.notes
        );
        assert_eq!(refusal.request_id.is_none(), field == "/request_id");
        assert_eq!(refusal.run_id.is_none(), field == "/run_id");
        assert_eq!(refusal.input_hash.is_none(), field.starts_with("/payload"));
    }
    for field in [
        "/request_id",
        "/run_id",
        "/timestamp",
        "/payload",
        "/context",
        "/policy",
    ] {
        let mut partial = request();
        put(&mut partial, field, None);
        assert!(
            refused(&manifest(), &partial)
                .notes
                .contains(&format!("{field} is missing"))
        );
    }
}

#[test]
fn the_json_rules_hold_for_bytes_and_values() {
    let manifest = checked(&manifest());
    let schemas = schemas(&manifest);
    let good = request().to_string();
    for bad in [
        "",
        "{",
        "null",
        &good.replacen('{', "{\"run_id\":\"a\",", 1),
        &format!("\u{feff}{good}"),
    ] {
        let refusal = admit(bad.as_bytes(), &manifest, &schemas).unwrap_err();
        assert!(refusal.notes.starts_with(words::INVALID_REQUEST), "{bad}");
    }
    let mut wide = request();
    wide["payload"] =
        json!({"kind": "json", "data": {"x": 9_007_199_254_740_993_u64}, "schema_ref": "point/1"});
    let refusal = admit_value(&wide, &manifest, &schemas).unwrap_err();
    assert!(
        refusal.notes.contains("send it as a string"),
        "{}",
        refusal.notes
    );
    let mut many = request();
    for field in ["a", "b", "c", "d", "e", "f", "g"] {
        many[field] = json!(1);
    }
    assert!(
        admit_value(&many, &manifest, &schemas)
            .unwrap_err()
            .notes
            .ends_with("and 2 more")
    );
}

/// "`probabilistic` (deterministic_only asked of a probabilistic plugin)"
#[test]
fn deterministic_only_is_refused_by_a_probabilistic_plugin() {
    let strict = request_with("/policy/deterministic_only", json!(true));
    assert!(admitted(&manifest(), &strict).is_ok());
    let random = with("/determinism/mode", json!("probabilistic"));
    assert!(admitted(&random, &request()).is_ok());
    let refusal = refused(&random, &strict);
    assert!(
        refusal.notes.contains(words::PROBABILISTIC)
            && !refusal.notes.contains(words::INVALID_REQUEST)
    );
    assert!(refusal.input_hash.is_some() && refusal.run_id.is_some());
}

#[test]
fn undeclared_kinds_are_refused() {
    let slice = json!({"kind": "dataset_slice", "slice_ids": ["a"], "source": "s", "filters": {}});
    let refusal = refused(&manifest(), &request_with("/payload", slice));
    assert!(
        refusal.notes.contains(
            "'dataset_slice' is not in the plugin's io.inputs: it declares text and json"
        ),
        "{}",
        refusal.notes
    );
}

/// "`limits.max_bytes` bounds the request line and the answer line; the `io` limits bound each payload's canonical bytes"
#[test]
fn sizes_are_counted_to_the_byte() {
    let payload = canonical::bytes(&request()["payload"]).len();
    let port = |bytes: usize| with("/io/inputs/0/limits/max_bytes", json!(bytes));
    assert!(admitted(&port(payload), &request()).is_ok());
    let notes = refused(&port(payload - 1), &request()).notes;
    assert!(
        notes.contains(&format!("has {payload} bytes of canonical JSON")),
        "{notes}"
    );
    let line = admitted(&manifest(), &request()).unwrap().line().len() - 1;
    let whole = |bytes: usize| with("/limits/max_bytes", json!(bytes));
    assert!(admitted(&whole(line), &request()).is_ok());
    let notes = refused(&whole(line - 1), &request()).notes;
    assert!(notes.contains(&format!("line has {line} bytes")), "{notes}");
}

/// "when present, payloads of that `schema_ref` are validated against it both ways"
#[test]
fn json_data_follows_its_schema() {
    let with_payload = |payload: Value| request_with("/payload", payload);
    assert!(admitted(&manifest(), &with_payload(point(json!(1)))).is_ok());
    let notes = refused(&manifest(), &with_payload(point(json!("one")))).notes;
    assert!(
        notes.contains("'point/1': /x must be a whole number; it is \"one\""),
        "{notes}"
    );
    let other = json!({"kind": "json", "data": {}, "schema_ref": "other"});
    let notes = refused(&manifest(), &with_payload(other.clone())).notes;
    assert!(
        notes.contains("schema_ref 'other' is not in the plugin's io.inputs: use point/1"),
        "{notes}"
    );
    assert!(
        admitted(&without("/schemas"), &with_payload(other)).is_ok(),
        "without schemas the name is a label"
    );
}

/// "A result whose `schema_ref` is not declared in `io.outputs` is rejected"
#[test]
fn a_results_schema_ref_is_declared_also_without_schemas() {
    let answered = |manifest: &Value, name: &str| {
        let mut answer = answer();
        put(
            &mut answer,
            "/response/result/schema_ref",
            Some(json!(name)),
        );
        judged_bytes(manifest, answer.to_string().as_bytes())
    };
    for manifest in [manifest(), without("/schemas")] {
        assert!(answered(&manifest, "point/1").is_ok());
        let said = answered(&manifest, "point/2").unwrap_err().words;
        assert!(
            said.contains("schema_ref 'point/2' is not in the plugin's io.outputs: use point/1"),
            "{said}"
        );
    }
}

/// "A schema whose root requires both `kind` and `data` describes the whole payload (the older OMEGA form); any other describes
/// `data` for `json` and the whole payload for the other kinds."
#[test]
fn a_schema_of_the_older_form_describes_the_whole_payload() {
    let whole = json!({
        "type": "object", "required": ["kind", "data", "schema_ref"], "additionalProperties": false,
        "properties": {
            "kind": {"const": "json"}, "schema_ref": {"const": "point/1"},
            "data": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
        }
    });
    let behind = json!({"$ref": "#/$defs/Payload", "$defs": {"Payload": whole}});
    let of_data = json!({"type": "object", "required": ["x", "kind"], "properties": {"x": {"type": "integer"}}});
    let both_of_data = json!({"properties": {"data": {"required": ["kind", "data"]}}, "additionalProperties": false});
    let manifest = checked(&manifest());
    for (schema, data, fits) in [
        (&whole, json!({"x": 1}), true),
        (&whole, json!({"x": "one"}), false),
        (&behind, json!({"x": 1}), true),
        (&behind, json!({"x": "one"}), false),
        (&of_data, json!({"x": 1, "kind": "json"}), true),
        (&of_data, json!({"x": 1}), false),
        (&both_of_data, json!({"data": {"kind": 1, "data": 2}}), true),
        (&both_of_data, json!({"data": {"kind": 1}}), false),
    ] {
        let mut files = files();
        let bytes = schema.to_string().into_bytes();
        files.0.insert("schemas/point.json", (bytes, false));
        let schemas = Schemas::compile(&manifest, &files).unwrap();
        let payload = json!({"kind": "json", "data": data, "schema_ref": "point/1"});
        let asked = request_with("/payload", payload.clone());
        assert_eq!(
            admit_value(&asked, &manifest, &schemas).is_ok(),
            fits,
            "{schema}: {data}"
        );
        let admitted = admit_value(&request(), &manifest, &schemas).unwrap();
        let line = answer_with("/response/result", payload).to_string();
        let judged = check_answer(line.as_bytes(), &admitted, &manifest, &schemas);
        assert_eq!(judged.is_ok(), fits, "{schema}: {data}");
    }
}

#[test]
fn one_of_several_ports_of_a_kind_is_enough() {
    let port = |name: &str, bytes: u64| json!({"kind": "text", "schema_ref": name, "limits": {"max_bytes": bytes}});
    let two = with("/io/inputs", json!([port("small", 1), port("large", 400)]));
    assert!(admitted(&two, &request()).is_ok());
    let notes = refused(&with("/io/inputs", json!([])), &request()).notes;
    assert!(notes.contains("it declares none"), "{notes}");
}

fn answer() -> Value {
    json!({"type": "result", "response": {"request_id": "r-1", "status": "ok", "result": point(json!(1)), "notes": "done"}})
}

fn judged_bytes(manifest: &Value, line: &[u8]) -> Result<Accepted, Misbehaviour> {
    let manifest = checked(manifest);
    let schemas = schemas(&manifest);
    let admitted = admit_value(&request(), &manifest, &schemas).unwrap();
    check_answer(line, &admitted, &manifest, &schemas)
}

fn judged(answer: &Value) -> Result<Accepted, Misbehaviour> {
    judged_bytes(&manifest(), answer.to_string().as_bytes())
}

fn answer_with(at: &str, value: Value) -> Value {
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

proptest! {
    #[test]
    fn no_bytes_make_admission_or_judgement_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let manifest = checked(&manifest());
        prop_assert!(admit(&bytes, &manifest, &Schemas::default()).is_err());
        prop_assert!(judged_bytes(&super::manifest(), &bytes).is_err());
    }
}

proptest! {
    // Each case compiles its schemas many times over.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_value_at_any_place_makes_them_panic(
        place in 0..5_usize, text in "\\PC{0,20}", number in any::<i32>(),
    ) {
        let at = ["/payload", "/policy", "/context", "/run_id", "/payload/metadata"][place];
        let at_answer = ["/response", "/type", "/response/result", "/response/status", "/response/result/data"][place];
        for value in [json!(text), json!(number), json!([text]), json!({ (text.as_str()): number })] {
            drop(admitted(&manifest(), &request_with(at, value.clone())));
            drop(judged(&answer_with(at_answer, value)));
        }
    }
}
