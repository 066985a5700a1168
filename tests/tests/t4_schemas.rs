//! T4: everything that passes a door is typed: manifests, requests, payloads and answers; what does not fit is refused with its field named.

#[path = "t4_schemas/answers.rs"]
mod answers;
#[path = "t4_schemas/manifests.rs"]
mod manifests;

use campaigns::library::{Answered, call, open};
use campaigns::package::manifest;
use campaigns::request::{data, request, text, with, without};
use campaigns::{Host, Package, parrot};
use plugin_gateway::Gateway;
use serde_json::{Value, json};

fn validate(manifest: &Value) -> Value {
    validate_bytes(manifest.to_string().as_bytes())
}

fn validate_bytes(manifest: &[u8]) -> Value {
    serde_json::to_value(Gateway::validate_manifest(manifest)).unwrap()
}

/// A manifest that has every field, the optional ones too.
fn full() -> Value {
    let manifest = manifest("p.test.full", &["./program"]);
    let manifest = with(manifest, "/limits/max_memory_bytes", json!(1 << 24));
    let manifest = with(manifest, "/limits/max_cpu_ms", json!(1000));
    with(manifest, "/schemas", json!({ "any/1": "schemas/any.json" }))
}

/// The fields of the errors.
fn error_fields(report: &Value) -> Vec<&str> {
    let issues = report["issues"].as_array().unwrap().iter();
    let errors = issues.filter(|issue| issue["severity"] == "error");
    errors
        .map(|issue| issue["field"].as_str().unwrap())
        .collect()
}

#[track_caller]
fn refused_at(manifest: &Value, field: &str) {
    let report = validate(manifest);
    assert_eq!(report["valid"], false, "{field}: {manifest}");
    assert!(error_fields(&report).contains(&field), "{field}: {report}");
}

#[track_caller]
fn accepted(manifest: &Value) {
    let report = validate(manifest);
    assert_eq!(report["valid"], true, "{report}");
}

/// Every place in the value: its pointer and what is there.
fn places(value: &Value) -> Vec<(String, Value)> {
    fn walk(at: &str, value: &Value, found: &mut Vec<(String, Value)>) {
        found.push((at.to_owned(), value.clone()));
        let members: Vec<(String, &Value)> = match value {
            Value::Object(members) => members
                .iter()
                .map(|(name, member)| (name.replace('~', "~0").replace('/', "~1"), member))
                .collect(),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| (index.to_string(), item))
                .collect(),
            _ => Vec::new(),
        };
        for (name, member) in members {
            walk(&format!("{at}/{name}"), member, found);
        }
    }
    let mut found = Vec::new();
    walk("", value, &mut found);
    found
}

/// Texts that are no JSON by the contract's rules, and a word of the message that each must get.
fn unreadable(inside: &str) -> Vec<(String, Vec<u8>, &'static str)> {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let case = |name: &str, bytes: &[u8], word| (name.to_owned(), bytes.to_vec(), word);
    let member = |text: &str| inside.replace("@", text).into_bytes();
    vec![
        case(
            "byte order mark",
            &[b"\xef\xbb\xbf", member("1").as_slice()].concat(),
            "byte order mark",
        ),
        case(
            "not UTF-8",
            &[b"{\"a\":\"", &[0xff, 0xfe][..], b"\"}"].concat(),
            "UTF-8",
        ),
        case("overlong UTF-8", b"{\"a\":\"\xc0\xaf\"}", "UTF-8"),
        case("surrogate in UTF-8", b"{\"a\":\"\xed\xa0\x80\"}", "UTF-8"),
        case("duplicate key", &member("{\"a\":1,\"a\":1}"), "a"),
        case(
            "duplicate key behind an escape",
            &member("{\"a\":1,\"\\u0061\":1}"),
            "a",
        ),
        case("one level too deep", &member(&deep(128)), "128"),
        case("bottomless", "[".repeat(100_000).as_bytes(), "128"),
        case("lone high surrogate", &member("\"\\ud800\""), "surrogate"),
        case("lone low surrogate", &member("\"\\udc00x\""), "surrogate"),
        case(
            "surrogates the wrong way round",
            &member("\"\\udc00\\ud800\""),
            "surrogate",
        ),
        case("2^53", &member("9007199254740992"), "send it as a string"),
        case("-2^53", &member("-9007199254740992"), "send it as a string"),
        case(
            "a big integer",
            &member("123456789012345678901234567890"),
            "send it as a string",
        ),
        case("beyond a double", &member("1e999"), "send it as a string"),
        case("below a double", &member("-1e999"), "send it as a string"),
        case("text", b"hello", ""),
        case("empty", b"", ""),
        case("half", &member("1")[..4], ""),
        case("two documents", &[member("1"), member("1")].concat(), ""),
        case("a comma too many", &member("[1,]"), ""),
        case("single quotes", &member("'a'"), ""),
        case("NaN", &member("NaN"), ""),
        case("leading zero", &member("01"), ""),
        case("a control character", &member("\"\u{1}\""), ""),
        case("binary", &(0..=255).collect::<Vec<u8>>(), ""),
        case("zeros", &[0; 4096], ""),
    ]
}

/// "JSON rules, the same at every door (manifest, request, answer, RPC message): UTF-8 without BOM, no duplicate keys, nesting
/// at most 128, no lone surrogates, no number that a double cannot hold exactly …: each is refused with a message that says what to do instead"
#[test]
fn inv_pnp_04_the_json_rules_hold_for_manifests() {
    for (name, bytes, word) in unreadable("{\"plugin_id\":@}") {
        let report = validate_bytes(&bytes);
        assert_eq!(report["valid"], false, "{name}");
        assert_eq!(
            report["manifest_hash"], "",
            "{name}: what cannot be read has no hash"
        );
        let message = report["issues"][0]["message"].as_str().unwrap();
        assert!(
            !message.is_empty() && message.contains(word),
            "{name}: {message}"
        );
    }
    // The largest that still pass: nothing is refused that the rules allow.
    for fine in [
        "9007199254740991",
        "-9007199254740991",
        "0.1",
        "1e300",
        "\"\\ud83d\\ude00\"",
        &format!("{}{}", "[".repeat(127), "]".repeat(127)),
    ] {
        let report = validate_bytes(format!("{{\"plugin_id\":{fine}}}").as_bytes());
        assert_eq!(
            report["manifest_hash"].as_str().unwrap().len(),
            64,
            "{fine}: {report}"
        );
    }
}

/// The same rules, at the request's door. "`Invalid request`" must appear; exit code 1: "`rejected`, … invalid".
#[test]
fn inv_pnp_04_the_json_rules_hold_for_requests() {
    let host = Host::new();
    let id = host.install(&any_json("p.test.door"));
    let inside = request(data("any/1", json!({ "x": "@" })))
        .to_string()
        .replace("\"@\"", "@");
    for (name, bytes, word) in unreadable(&inside) {
        if name == "one level too deep" {
            continue;
        }
        let said = host
            .say_with(["--json", "invoke", &id, "--input", "-"], &bytes)
            .expect(1);
        let document = said.json();
        let message = document
            .pointer("/error/message")
            .or(document.get("notes"))
            .unwrap();
        let message = message.as_str().unwrap();
        assert!(
            message.contains("Invalid request") && message.contains(word),
            "{name}: {message}"
        );
        assert!(!said.stderr.contains("panicked"), "{name}: {said:?}");
    }
    let deep = |levels: usize| {
        inside.replace(
            '@',
            &format!("{}{}", "[".repeat(levels), "]".repeat(levels)),
        )
    };
    // The request, its payload and the data around it are three levels; a message of the channel would be two more.
    host.alone();
    let said = host
        .say_with(
            ["--json", "invoke", &id, "--input", "-"],
            deep(126).as_bytes(),
        )
        .expect(1);
    assert!(said.stdout.contains("128"), "{said:?}");
    assert!(
        host.events().iter().all(|event| event["kind"] != "INVOKE"),
        "none was shown to the plugin"
    );
    host.say_with(
        ["--json", "invoke", &id, "--input", "-"],
        deep(125).as_bytes(),
    );
    assert!(
        host.events().iter().any(|event| event["kind"] == "INVOKE"),
        "128 levels are let through"
    );
}

/// A plugin that takes any JSON and any text; what it answers does not matter here.
fn any_json(id: &str) -> Package {
    Package::script(id, "sh", "exit 1\n").with(|manifest| {
        manifest["capabilities"] = json!([
            "read_text",
            "read_json",
            "read_binary_ref",
            "read_dataset_slice",
            "write_report"
        ]);
        manifest["io"]["inputs"] = json!([
            { "kind": "text", "schema_ref": "text/1", "limits": { "max_bytes": 65536 } },
            { "kind": "json", "schema_ref": "any/1", "limits": { "max_bytes": 65536 } },
            { "kind": "binary_ref", "schema_ref": "ref/1", "limits": { "max_bytes": 65536 } },
            { "kind": "dataset_slice", "schema_ref": "slice/1", "limits": { "max_bytes": 65536 } }
        ]);
    })
}

#[track_caller]
fn refused(answered: &Answered, words: &[&str]) {
    assert_eq!(answered.status(), "rejected", "{answered:?}");
    assert_eq!(answered.response["result"], Value::Null, "{answered:?}");
    assert_eq!(
        answered.response["evidence_hashes"]["output_hash"], "",
        "{answered:?}"
    );
    for word in words {
        assert!(
            answered.notes().contains(word),
            "'{word}' is missing: {answered:?}"
        );
    }
    assert_eq!(answered.event["kind"], "REJECT", "{answered:?}");
}

#[track_caller]
fn refused_unseen(answered: &Answered, words: &[&str]) {
    refused(answered, words);
    assert!(!answered.reached_the_plugin(), "{answered:?}");
}

/// "Request: `request_id`, `run_id` (1–256 characters; run `system` is the gateway's own and refused), `timestamp` (RFC 3339),
/// `payload`, `context` (map string→string), `policy` `{deterministic_only: bool, timeout_ms ≥ 100, max_retries 0–5}`."
#[test]
fn inv_pnp_04_a_request_that_breaks_a_rule_never_reaches_the_plugin() {
    let host = Host::new();
    let id = host.install(&any_json("p.test.requests"));
    let gateway = open(&host);
    let fine = request(text("hello"));
    let good = [
        fine.clone(),
        with(fine.clone(), "/request_id", json!("x")),
        with(fine.clone(), "/request_id", chars(256)),
        with(fine.clone(), "/run_id", chars(256)),
        with(fine.clone(), "/run_id", json!("System")),
        with(
            fine.clone(),
            "/timestamp",
            json!("2026-01-02T03:04:05.678+05:30"),
        ),
        with(fine.clone(), "/context", json!({ "a": "b", "": "" })),
        with(fine.clone(), "/policy/timeout_ms", json!(100)),
        with(fine.clone(), "/policy/timeout_ms", json!(86_400_000)),
        with(fine.clone(), "/policy/deterministic_only", json!(true)),
    ];
    for request in good {
        let answered = call(&gateway, &id, &request);
        assert!(answered.reached_the_plugin(), "{request}: {answered:?}");
    }
    let bad = [
        ("/request_id", json!("")),
        ("/request_id", chars(257)),
        ("/request_id", json!(7)),
        ("/run_id", json!("")),
        ("/run_id", chars(257)),
        ("/run_id", json!("system")),
        ("/run_id", json!(null)),
        ("/timestamp", json!("")),
        ("/timestamp", json!("yesterday")),
        ("/timestamp", json!("2026-13-01T00:00:00Z")),
        ("/timestamp", json!("2026-02-30T00:00:00Z")),
        ("/timestamp", json!("2026-01-02T03:04:05")),
        ("/timestamp", json!(1_767_323_045)),
        ("/payload", json!(null)),
        ("/payload", json!([])),
        ("/context", json!([])),
        ("/context/a", json!(1)),
        ("/context/a", json!(null)),
        ("/context/a", json!({})),
        ("/policy", json!({})),
        ("/policy/deterministic_only", json!("true")),
        ("/policy/timeout_ms", json!(99)),
        ("/policy/timeout_ms", json!(-1)),
        ("/policy/timeout_ms", json!(100.5)),
        ("/policy/timeout_ms", json!("1000")),
        ("/policy/max_retries", json!(6)),
        ("/policy/max_retries", json!(-1)),
        ("/policy/extra", json!(1)),
        ("/extra", json!(1)),
        ("/plugin_id", json!(id)),
    ];
    for (place, value) in bad {
        let answered = call(&gateway, &id, &with(fine.clone(), place, value.clone()));
        let field = place.rsplit('/').next().unwrap();
        refused_unseen(&answered, &["Invalid request"]);
        assert!(
            answered.notes().contains(field) || place.starts_with("/context") || place == "/policy",
            "{place} = {value}: {answered:?}"
        );
    }
    for place in [
        "/request_id",
        "/run_id",
        "/timestamp",
        "/payload",
        "/context",
        "/policy",
        "/policy/timeout_ms",
        "/policy/max_retries",
        "/policy/deterministic_only",
    ] {
        let answered = call(&gateway, &id, &without(fine.clone(), place));
        refused_unseen(
            &answered,
            &["Invalid request", place.rsplit('/').next().unwrap()],
        );
    }
    for whole in [json!(null), json!([]), json!("hello"), json!(1), json!({})] {
        refused_unseen(&call(&gateway, &id, &whole), &["Invalid request"]);
    }
}

/// "Payloads (tagged by `kind`; no other field is allowed)", with the table's fields.
#[test]
fn inv_pnp_04_a_payload_has_its_kinds_fields_and_no_other() {
    let host = Host::new();
    let id = host.install(&any_json("p.test.payloads"));
    let gateway = open(&host);
    let hash = "0123456789abcdef".repeat(4);
    let kinds = [
        json!({ "kind": "text", "content": "", "encoding": "utf-8", "metadata": { "a": "b" } }),
        json!({ "kind": "json", "data": {}, "schema_ref": "any/1" }),
        json!({ "kind": "binary_ref", "artifact_id": "a", "artifact_hash": hash, "mime_type": "x/y" }),
        json!({ "kind": "dataset_slice", "slice_ids": ["a"], "source": "s", "filters": { "a": "b" } }),
    ];
    for payload in &kinds {
        let answered = call(&gateway, &id, &request(payload.clone()));
        assert!(answered.reached_the_plugin(), "{payload}: {answered:?}");
        for name in payload.as_object().unwrap().keys() {
            let less = without(payload.clone(), &format!("/{name}"));
            refused_unseen(&call(&gateway, &id, &request(less)), &["Invalid request"]);
            let other = with(payload.clone(), &format!("/{name}"), json!(7));
            refused_unseen(&call(&gateway, &id, &request(other)), &["Invalid request"]);
        }
        let more = with(payload.clone(), "/extra", json!("x"));
        refused_unseen(
            &call(&gateway, &id, &request(more)),
            &["Invalid request", "extra"],
        );
        // Another kind's fields under this kind's name.
        for other in kinds
            .iter()
            .filter(|other| other["kind"] != payload["kind"])
        {
            let mixed = with(other.clone(), "/kind", payload["kind"].clone());
            refused_unseen(&call(&gateway, &id, &request(mixed)), &["Invalid request"]);
        }
    }
    let wrong = [
        (0, "/encoding", json!("latin-1")),
        (0, "/encoding", json!("UTF-8")),
        (0, "/metadata/a", json!(1)),
        (1, "/data", json!([])),
        (1, "/data", json!("x")),
        (1, "/schema_ref", json!("")),
        (2, "/artifact_id", json!("")),
        (2, "/artifact_hash", json!(hash.to_uppercase())),
        (2, "/artifact_hash", json!(hash[1..])),
        (2, "/artifact_hash", json!(format!("{hash}0"))),
        (2, "/artifact_hash", json!("g".repeat(64))),
        (2, "/mime_type", json!("")),
        (3, "/slice_ids", json!([])),
        (3, "/slice_ids", json!([1])),
        (3, "/source", json!("")),
        (3, "/filters/a", json!([])),
        (3, "/kind", json!("file")),
    ];
    for (kind, place, value) in wrong {
        let payload = with(kinds[kind].clone(), place, value);
        let answered = call(&gateway, &id, &request(payload));
        refused_unseen(&answered, &["Invalid request"]);
    }
}

/// "kind not declared in `io`": "`rejected`: refused before running". A plugin sees only kinds that it declared.
#[test]
fn inv_pnp_04_a_kind_that_is_not_declared_is_refused_before_running() {
    let host = Host::new();
    let id = host.install(&Package::script("p.test.text-only", "sh", "exit 1\n"));
    let gateway = open(&host);
    assert!(call(&gateway, &id, &request(text("x"))).reached_the_plugin());
    let answered = call(&gateway, &id, &request(data("any/1", json!({}))));
    refused_unseen(&answered, &["Invalid request", "json", "io.inputs"]);
}

/// "`limits.max_bytes` bounds the request line and the answer line; the `io` limits bound each payload's canonical bytes; nothing
/// is ever truncated silently."
#[test]
fn inv_pnp_04_sizes_are_bounded_to_the_byte() {
    let payload = |bytes: usize| {
        let empty = campaigns::canonical::canonical(&text("")).len();
        text(&"x".repeat(bytes - empty))
    };
    let line_of = |request: &Value| {
        campaigns::canonical::canonical(&json!({ "type": "invoke", "request": request })).len()
    };
    let whole = request(payload(1000));
    let line = line_of(&whole);
    let host = Host::new();
    let small_port = host.install(&any_json("p.test.small-port").with(|manifest| {
        manifest["io"]["inputs"][0]["limits"]["max_bytes"] = json!(1000);
    }));
    let small_line = host.install(&any_json("p.test.small-line").with(|manifest| {
        manifest["limits"]["max_bytes"] = json!(line);
    }));
    let gateway = open(&host);
    assert!(call(&gateway, &small_port, &whole).reached_the_plugin());
    let answered = call(&gateway, &small_port, &request(payload(1001)));
    refused_unseen(&answered, &["Invalid request", "1001", "1000"]);

    assert!(call(&gateway, &small_line, &whole).reached_the_plugin());
    let longer = with(whole, "/request_id", json!("request-12"));
    assert_eq!(line_of(&longer), line + 1);
    let answered = call(&gateway, &small_line, &longer);
    refused_unseen(
        &answered,
        &[
            "Invalid request",
            &(line + 1).to_string(),
            &line.to_string(),
        ],
    );
}

fn with_schema(id: &str, schema: &Value) -> Package {
    any_json(id)
        .with(|manifest| manifest["schemas"] = json!({ "any/1": "schemas/any.json" }))
        .file("schemas/any.json", schema.to_string().as_bytes(), 0o644)
}

/// "`schemas` | optional map `schema_ref` → path of a JSON Schema inside the package (draft-07 or 2020-12); when present,
/// payloads of that `schema_ref` are validated against it both ways"
#[test]
fn inv_pnp_04_a_payload_is_held_against_its_schema_in_both_drafts() {
    let host = Host::new();
    let rules = json!({
        "type": "object", "required": ["n"], "additionalProperties": false,
        "properties": { "n": { "type": "integer", "minimum": 1 }, "d": { "type": "string", "format": "date" } }
    });
    let draft = |uri: &str| with(rules.clone(), "/$schema", json!(uri));
    let drafts = [
        (
            "p.test.draft7",
            draft("http://json-schema.org/draft-07/schema#"),
        ),
        (
            "p.test.draft2020",
            draft("https://json-schema.org/draft/2020-12/schema"),
        ),
    ];
    for (id, schema) in &drafts {
        host.install(&with_schema(id, schema));
    }
    let gateway = open(&host);
    for (id, _) in drafts {
        let ask = |value: Value| call(&gateway, id, &request(data("any/1", value)));
        assert!(ask(json!({ "n": 1 })).reached_the_plugin(), "{id}");
        for wrong in [
            json!({}),
            json!({ "n": 0 }),
            json!({ "n": "1" }),
            json!({ "n": 1.5 }),
            json!({ "n": 1, "m": 1 }),
        ] {
            refused_unseen(&ask(wrong), &["Invalid request"]);
        }
        let answered = ask(json!({ "n": 0 }));
        assert!(
            answered.notes().contains("/n"),
            "the place is named: {answered:?}"
        );
        // With schemas at hand, a name without one would be a way around them.
        let answered = call(&gateway, id, &request(data("other/1", json!({ "n": 0 }))));
        refused_unseen(&answered, &["other/1"]);
    }
}

/// "path of a JSON Schema inside the package": one that is missing, no schema, or reaches out is refused with the package. Exit code 1.
#[test]
fn inv_pnp_04_a_schema_that_cannot_be_used_is_found_at_registration() {
    let host = Host::new();
    let broken = [
        (
            "p.test.schema-missing",
            any_json("p.test.schema-missing")
                .with(|manifest| manifest["schemas"] = json!({ "any/1": "none.json" })),
        ),
        (
            "p.test.schema-text",
            any_json("p.test.schema-text")
                .with(|manifest| manifest["schemas"] = json!({ "any/1": "s.json" }))
                .file("s.json", b"hello", 0o644),
        ),
        (
            "p.test.schema-wrong",
            with_schema("p.test.schema-wrong", &json!({ "type": "objekt" })),
        ),
        (
            "p.test.schema-draft",
            with_schema(
                "p.test.schema-draft",
                &json!({ "$schema": "http://json-schema.org/draft-03/schema#" }),
            ),
        ),
        (
            "p.test.schema-out",
            with_schema(
                "p.test.schema-out",
                &json!({ "$ref": "https://example.com/a.json" }),
            ),
        ),
        (
            "p.test.schema-file",
            with_schema(
                "p.test.schema-file",
                &json!({ "$ref": "file:///etc/hostname" }),
            ),
        ),
        (
            "p.test.schema-loop",
            with_schema("p.test.schema-loop", &json!({ "$ref": "#" })),
        ),
    ];
    for (id, package) in broken {
        let folder = host.signed(&package);
        let report = host
            .say(["--json", "validate", folder.to_str().unwrap()])
            .expect(1)
            .json();
        assert!(
            error_fields(&report)
                .iter()
                .any(|field| field.starts_with("/schemas")),
            "{id}: {report}"
        );
        let info = host.register(&folder).expect(1).json();
        assert_eq!(
            (info["status"].as_str(), info["plugin_id"].as_str()),
            (Some("rejected"), Some(id))
        );
    }
}

fn chars(count: usize) -> Value {
    // Not ASCII: characters count, not bytes.
    json!("é".repeat(count))
}
