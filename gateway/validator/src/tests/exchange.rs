//! Requests before they run and answers before they count.

use plugin_protocol::canonical;
use plugin_protocol::digest::PayloadHash;
use plugin_protocol::words;
use proptest::prelude::*;

use super::super::exchange::{Refusal, admit};
use super::answers::{answer, answer_with, judged, judged_bytes};
use super::*;

pub(super) fn request() -> Value {
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

pub(super) fn point(x: Value) -> Value {
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
