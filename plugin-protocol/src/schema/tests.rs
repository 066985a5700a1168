mod draft_07_form;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::*;
use crate::event::Event;
use crate::json;
use crate::manifest::{self, Manifest};
use crate::message::{FromPlugin, Request, Response};

const ALL: [(&str, &str); 5] = [
    ("manifest", MANIFEST),
    ("request", REQUEST),
    ("response", RESPONSE),
    ("answer", ANSWER),
    ("event", EVENT),
];

const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn parsed(schema: &str) -> Value {
    json::read(schema.as_bytes()).expect("the schema is JSON")
}

/// In the draft that the schema names; formats are looked at, where it has any.
fn compiled(schema: &str) -> jsonschema::Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .build(&parsed(schema))
        .expect("the schema compiles")
}

fn payloads() -> Vec<Value> {
    vec![
        json!({"kind": "text", "content": "", "encoding": "utf-8", "metadata": {"a": ""}}),
        json!({"kind": "json", "data": {"deep": [1, {"x": null}]}, "schema_ref": "s"}),
        json!({"kind": "binary_ref", "artifact_id": "a", "artifact_hash": HASH, "mime_type": "a/b"}),
        json!({"kind": "dataset_slice", "slice_ids": ["", "b"], "source": "s", "filters": {}}),
    ]
}

fn manifests() -> Vec<Value> {
    let port = json!({"kind": "text", "schema_ref": "s", "limits": {"max_bytes": 1}});
    let process = json!({
        "plugin_id": "p.text.hello", "name": "Hello", "vendor": "V", "description": "",
        "version": "1.0.0", "api_version": "1.0.0",
        "supported_omega_api_versions": ">=1.0.0 <2.0.0",
        "capabilities": ["read_text", "network_access"],
        "io": {"inputs": [port], "outputs": [port, port]},
        "limits": {"max_bytes": 1, "max_ms": 100, "max_concurrency": 100},
        "determinism": {"mode": "deterministic", "notes": ""},
        "evidence": {"log_level": "full", "redactions": ["", "/a~0b/~1/0", "/"]},
        "entrypoint": {"type": "process", "command": ["./hello", ""]},
    });
    let mut worker = process.clone();
    worker["limits"] = json!({
        "max_bytes": 9_007_199_254_740_991_u64, "max_ms": 60_001, "max_concurrency": 1,
        "max_memory_bytes": 1, "max_cpu_ms": 1, "max_open_files": 4096
    });
    worker["entrypoint"] =
        json!({"type": "worker", "file": "dist/w.js", "export": "handleRequest"});
    worker["schemas"] = json!({"s": "schemas/s.json"});
    let mut server = process.clone();
    server["entrypoint"] = json!({"type": "mcp", "command": ["python3", "./server.py", ""]});
    vec![process, worker, server]
}

fn requests() -> Vec<Value> {
    let request = |payload| {
        json!({
            "request_id": "r", "run_id": "n", "timestamp": "2026-01-31T12:00:00.000Z",
            "payload": payload, "context": {"a": "b"},
            "policy": {"deterministic_only": true, "timeout_ms": 100, "max_retries": 5}
        })
    };
    payloads().into_iter().map(request).collect()
}

fn responses() -> Vec<Value> {
    let response = |result| {
        json!({
            "request_id": "", "plugin_id": "", "status": "ok", "result": result,
            "evidence_hashes": {"input_hash": HASH, "output_hash": ""}, "duration_ms": 0, "notes": ""
        })
    };
    let results = payloads().into_iter().chain([Value::Null]);
    let mut received = response(Value::Null);
    received["_receipt"] = json!({"event_hash": HASH, "index": 1, "checkpoint_size": 0});
    results.map(response).chain([received]).collect()
}

fn answers() -> Vec<Value> {
    let answer = |result| {
        json!({"type": "result", "response": {
            "request_id": "r", "status": "ok", "result": result, "notes": "n",
            "plugin_id": 1, "evidence_hashes": ["any"], "duration_ms": {"x": -1}
        }})
    };
    let short = json!({"type": "result", "response": {"request_id": "", "status": "rejected"}});
    let results = payloads().into_iter().chain([Value::Null]);
    results.map(answer).chain([short]).collect()
}

fn events() -> Vec<Value> {
    let event = json!({
        "event_id": "019c1f6a-9b7d-7d0e-8c3f-3f2a1b4c5d6e", "run_id": "system",
        "ts": "2026-01-31T12:00:00.000Z", "kind": "REGISTER", "plugin_id": "p.text.hello",
        "request_id": "r", "input_hash": HASH, "output_hash": HASH, "prev_hash": HASH,
        "event_hash": HASH, "meta": {"a": "b"}
    });
    let mut first = event.clone();
    for empty in [
        "plugin_id",
        "request_id",
        "input_hash",
        "output_hash",
        "prev_hash",
    ] {
        first[empty] = json!("");
    }
    vec![event, first]
}

/// JSON texts that lie on, just inside and just outside the contract's boundaries.
const VALUES: &[&str] = &[
    "null",
    "true",
    "0",
    "-0",
    "-1",
    "1",
    "0.5",
    "5",
    "6",
    "99",
    "99.5",
    "100",
    "100.0",
    "1e2",
    "101",
    "255",
    "256",
    "9007199254740991",
    "-9007199254740991",
    "1e30",
    "[]",
    "[null]",
    "[0]",
    "{}",
    r#"[""]"#,
    r#"["a"]"#,
    r#"["a","a"]"#,
    r#"["a\u0000"]"#,
    r#"["a","a\u0000"]"#,
    r#"["","a"]"#,
    r#"["/a","a"]"#,
    r#"["/a~"]"#,
    r#"["/~2"]"#,
    r#"["//"]"#,
    r#"{"a":"b"}"#,
    r#"{"":"b"}"#,
    r#"{"a":""}"#,
    r#"{"a":1}"#,
    r#"{"a":null}"#,
    r#"{"a":"b\u0000"}"#,
    r#"{"ok":null}"#,
    r#"{"text":null}"#,
    r#"{"kind":"text"}"#,
    r#"{"kind":0}"#,
    r#"{"type":"process"}"#,
];

/// The same as texts, of which some are right for one field and wrong for all others.
const TEXTS: &[&str] = &[
    "",
    " ",
    "x",
    "ab",
    "abc",
    ".ab",
    "Abc",
    "abc\n",
    "\0",
    "a\0",
    "é",
    "system",
    "result",
    "ok",
    "text",
    "timeout",
    "process",
    "worker",
    "INVOKE",
    "invoke",
    "utf-8",
    "UTF-8",
    HASH,
    "1.0.0",
    "0.0.0",
    "01.0.0",
    "1.0",
    "1.0.0.0",
    "1.0.0-a",
    "+1.0.0",
    "1.0.0\n",
    "999999999999999.0.0",
    "1000000000000000.0.0",
    "/a",
    "a",
    "~",
    "/~",
    "/~0~1",
    "/~01",
    "/~2",
    "2026-01-31T12:00:00Z",
    "2026-01-31t12:00:00.5z",
    "2026-01-31T12:00:00.000+00:00",
    "2026-02-30T12:00:00.000Z",
    "2016-12-31T23:59:60.000Z",
    "2016-12-31T23:59:60+01:00",
    "2026-01-31T12:00:60.000Z",
    "2026-01-31T24:00:00.000Z",
    "2026-01-31 12:00:00.000Z",
    "2026-01-31T12:00:00+24:00",
    "0000-01-01T00:00:00.000Z",
    "9999-12-31T23:59:59.999-23:59",
    "2026-01-31T12:00:00.000Z\n",
    "2026-01-31T12:00:00.0000Z",
    "019c1f6a-9b7d-7d0e-8c3f-3f2a1b4c5d6e",
    "019c1f6a-9b7d-4d0e-8c3f-3f2a1b4c5d6e",
    "019c1f6a-9b7d-7d0e-cc3f-3f2a1b4c5d6e",
    "019C1F6A-9B7D-7D0E-8C3F-3F2A1B4C5D6E",
];

fn substitutes() -> Vec<Value> {
    let read = |text: &&str| json::read(text.as_bytes()).expect("a substitute is JSON");
    let mut all: Vec<Value> = VALUES.iter().map(read).collect();
    all.extend(TEXTS.iter().copied().map(Value::from));
    all.push(HASH.to_uppercase().into());
    all.push(HASH[1..].into());
    for chars in [64, 65, 128, 129, 256, 257, 1024, 1025] {
        all.push("a".repeat(chars).into());
        all.push("é".repeat(chars).into());
    }
    all.extend(payloads());
    all
}

/// Every value that differs from `value` in one place, with that place.
fn mutations(value: &Value, substitutes: &[Value]) -> Vec<(String, Value)> {
    let mut places = Vec::new();
    pointers(value, String::new(), &mut places);
    let mut all = Vec::new();
    for place in places {
        let node = value.pointer(&place).expect("the place exists");
        for other in substitutes.iter().cloned().chain(variations(node)) {
            let mut mutated = value.clone();
            *mutated.pointer_mut(&place).expect("the place exists") = other;
            all.push((place.clone(), mutated));
        }
    }
    all
}

fn pointers(value: &Value, here: String, all: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                pointers(member, format!("{here}/{key}"), all);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, format!("{here}/{index}"), all);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    all.push(here);
}

fn variations(node: &Value) -> Vec<Value> {
    match node {
        Value::Object(members) => object_variations(members),
        Value::Array(items) => {
            let mut all: Vec<Vec<Value>> = vec![[items.as_slice(), &[Value::Null]].concat()];
            for index in 0..items.len() {
                all.push([&items[..index], &items[index + 1..]].concat());
                all.push([items.as_slice(), &items[index..=index]].concat());
            }
            all.into_iter().map(Value::from).collect()
        }
        Value::String(text) => vec![
            json!({ text.as_str(): null }),
            json!([text]),
            format!("{text}\n").into(),
            format!("{text}\0").into(),
            text.to_uppercase().into(),
        ],
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

fn object_variations(members: &Map<String, Value>) -> Vec<Value> {
    let mut all = vec![
        Value::Array(members.values().cloned().collect()),
        Value::Array(members.keys().cloned().map(Value::from).collect()),
    ];
    for key in members.keys() {
        let mut without = members.clone();
        without.remove(key);
        all.push(without.into());
    }
    for (key, extra) in [
        ("unknown", json!(1)),
        ("", json!("")),
        ("notes ", json!(null)),
        ("x", json!("x")),
    ] {
        let mut with = members.clone();
        with.insert(key.to_owned(), extra);
        all.push(with.into());
    }
    all
}

/// The one rule that a schema cannot say: which texts are ranges.
const ONLY_THE_TYPE_KNOWS: &str = "/supported_omega_api_versions";

/// Both forms of a schema agree with the type.
fn agree<T: DeserializeOwned + Serialize>(forms: [&str; 2], examples: &[Value]) {
    agree_when_read::<T>(forms, examples, |text| json::read_as(text.as_bytes()));
}

fn agree_when_read<T: Serialize>(
    forms: [&str; 2],
    examples: &[Value],
    read: impl Fn(&str) -> Result<T, json::Error>,
) {
    let forms = forms.map(compiled);
    let substitutes = substitutes();
    let (mut accepted, mut refused) = (0, 0);
    for example in examples {
        let text = example.to_string();
        let typed: T = read(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        for schema in &forms {
            assert!(schema.is_valid(example), "{text}");
            assert!(
                schema.is_valid(&json!(typed)),
                "what the type writes: {}",
                json!(typed)
            );
        }
        for (place, mutated) in mutations(example, &substitutes) {
            let text = mutated.to_string();
            let value = json::read(text.as_bytes()).expect("a mutation keeps the JSON rules");
            let typed = read(&text);
            let by_type = typed.is_ok();
            for schema in &forms {
                let by_schema = schema.is_valid(&value);
                if place == ONLY_THE_TYPE_KNOWS {
                    assert!(
                        by_schema || !by_type,
                        "at '{place}' only the type accepts {text}"
                    );
                } else {
                    assert_eq!(
                        by_schema,
                        by_type,
                        "schema and type at '{place}': {:?}: {text}",
                        typed.as_ref().err()
                    );
                }
            }
            if by_type { accepted += 1 } else { refused += 1 }
        }
    }
    assert!(
        accepted > 50 && refused > 500,
        "{accepted} accepted, {refused} refused"
    );
}

#[test]
fn manifest_schema_and_type_agree() {
    agree_when_read::<Manifest>([MANIFEST, draft_07::MANIFEST], &manifests(), |text| {
        let mut value = json::read(text.as_bytes())?;
        manifest::fill(&mut value);
        json::read_as(value.to_string().as_bytes())
    });
}

#[test]
fn request_schema_and_type_agree() {
    agree::<Request>([REQUEST, draft_07::REQUEST], &requests());
}

#[test]
fn response_schema_and_type_agree() {
    agree::<Response>([RESPONSE, draft_07::RESPONSE], &responses());
}

#[test]
fn answer_schema_and_type_agree() {
    agree::<FromPlugin>([ANSWER, draft_07::ANSWER], &answers());
}

#[test]
fn event_schema_and_type_agree() {
    agree::<Event>([EVENT, draft_07::EVENT], &events());
}

#[test]
fn every_schema_says_what_it_is() {
    for (name, text) in ALL {
        let schema = parsed(text);
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        assert_eq!(schema["$id"], format!("urn:plugin-gateway:schema:{name}:1"));
        assert!(schema["title"].is_string() && schema["description"].is_string());
    }
}

#[test]
fn every_field_is_described_and_every_object_is_closed() {
    for (name, text) in ALL {
        let mut fields = 0;
        visit(&parsed(text), name, &mut fields);
        assert!(fields > 8, "{name}");
    }
}

/// `if` only chooses between branches, so it neither describes nor closes.
fn visit(schema: &Value, here: &str, fields: &mut usize) {
    let Value::Object(members) = schema else {
        for (index, part) in schema.as_array().into_iter().flatten().enumerate() {
            visit(part, &format!("{here}/{index}"), fields);
        }
        return;
    };
    if let Some(Value::Object(properties)) = members.get("properties") {
        for (name, field) in properties {
            *fields += 1;
            assert!(field["description"].is_string(), "{here}: {name}");
        }
        let closed = members.get("additionalProperties") == Some(&Value::Bool(false));
        assert!(closed || members.contains_key("allOf"), "{here} is open");
    }
    for (key, part) in members.iter().filter(|(key, _)| *key != "if") {
        visit(part, &format!("{here}/{key}"), fields);
    }
}

#[test]
fn a_payload_is_the_same_everywhere() {
    let definitions = |text| parsed(text)["$defs"].clone();
    assert!(definitions(REQUEST)["payload"].is_object());
    assert_eq!(definitions(REQUEST), definitions(RESPONSE));
    assert_eq!(definitions(REQUEST), definitions(ANSWER));
}
