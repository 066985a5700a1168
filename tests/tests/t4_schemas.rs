//! T4: everything that passes a door is typed: manifests, requests, payloads and answers; what does not fit is refused with its field named.

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

/// "## 4. Manifest (unknown fields are rejected at every level)"
#[test]
fn inv_pnp_04_an_unknown_field_is_refused_at_every_level_of_the_manifest() {
    accepted(&full());
    let mut levels = 0;
    for (place, value) in places(&full()) {
        // `schemas` is a map: its names are the author's own.
        if value.is_object() && place != "/schemas" {
            refused_at(
                &with(full(), &format!("{place}/extra"), json!(1)),
                &format!("{place}/extra"),
            );
            levels += 1;
        }
    }
    assert_eq!(
        levels, 10,
        "the whole, io, two ports with limits each, limits, determinism, evidence, entrypoint"
    );
}

/// "| field | rule |": a field without "optional" must be there.
#[test]
fn inv_pnp_04_a_missing_field_is_refused_by_name() {
    const OPTIONAL: [&str; 3] = ["/limits/max_memory_bytes", "/limits/max_cpu_ms", "/schemas"];
    let mut needed = 0;
    for (place, _) in places(&full()) {
        let is_item = place.rsplit('/').next().unwrap().parse::<usize>().is_ok();
        if place.is_empty() || is_item || place.starts_with("/schemas/") {
            continue;
        }
        let less = without(full(), &place);
        if OPTIONAL.contains(&place.as_str()) {
            accepted(&less);
        } else {
            refused_at(&less, &place);
            needed += 1;
        }
    }
    assert!(needed > 25, "{needed} fields were taken away");
}

/// "| field | rule |": each field has its type; nothing is converted.
#[test]
fn inv_pnp_04_a_field_of_another_type_is_refused_at_its_place() {
    let others = [
        json!(null),
        json!(true),
        json!(7),
        json!(-1.5),
        json!("7"),
        json!([]),
        json!({}),
    ];
    let same_type = |a: &Value, b: &Value| std::mem::discriminant(a) == std::mem::discriminant(b);
    let mut tried = 0;
    for (place, value) in places(&full()) {
        for other in others.iter().filter(|other| !same_type(other, &value)) {
            if place.is_empty() {
                assert_eq!(validate(other)["valid"], false, "{other}");
                continue;
            }
            let report = validate(&with(full(), &place, other.clone()));
            assert_eq!(report["valid"], false, "{place} as {other}");
            let named = error_fields(&report);
            assert!(
                named
                    .iter()
                    .any(|field| place.starts_with(field) || field.starts_with(&place)),
                "{place} as {other}: {report}"
            );
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried} were tried");
}

/// A place and the values there that are accepted and refused.
struct Bound {
    place: &'static str,
    good: Vec<Value>,
    bad: Vec<Value>,
}

fn chars(count: usize) -> Value {
    // Not ASCII: characters count, not bytes.
    json!("é".repeat(count))
}

/// "`plugin_id` | `^[a-z0-9][a-z0-9._-]{2,63}$`", "`name`, `vendor` | 1–128 characters", "`description` | at most 1024
/// characters", "`limits` | `max_bytes ≥ 1`, `max_ms ≥ 100` …, `max_concurrency` 1–100", "`determinism` | `mode` =
/// `deterministic` or `probabilistic`", "`evidence` | `log_level` = `full`, `summary` or `minimal`; `redactions` array of JSON pointers"
#[test]
fn inv_pnp_04_every_bound_of_the_manifest_holds_exactly() {
    let bounds = [
        Bound {
            place: "/plugin_id",
            good: ["abc", "0ab", "p.a-b_c", &"a".repeat(64)]
                .map(|id| json!(id))
                .into(),
            bad: [
                "",
                "ab",
                "Abc",
                ".ab",
                "-ab",
                "_ab",
                "a b",
                "a/b",
                "abc\n",
                "äbc",
                "../x",
                &"a".repeat(65),
            ]
            .map(|id| json!(id))
            .into(),
        },
        Bound {
            place: "/name",
            good: vec![chars(1), chars(128)],
            bad: vec![chars(0), chars(129)],
        },
        Bound {
            place: "/vendor",
            good: vec![chars(1), chars(128)],
            bad: vec![chars(0), chars(129)],
        },
        Bound {
            place: "/description",
            good: vec![chars(0), chars(1024)],
            bad: vec![chars(1025)],
        },
        Bound {
            place: "/limits/max_bytes",
            good: vec![json!(1)],
            bad: vec![json!(0), json!(-1), json!(1.5)],
        },
        Bound {
            place: "/limits/max_ms",
            good: vec![json!(100), json!(60_000)],
            bad: vec![json!(99), json!(0), json!(100.5)],
        },
        Bound {
            place: "/limits/max_concurrency",
            good: vec![json!(1), json!(100)],
            bad: vec![json!(0), json!(101)],
        },
        Bound {
            place: "/io/inputs/0/limits/max_bytes",
            good: vec![json!(1)],
            bad: vec![json!(0)],
        },
        Bound {
            place: "/io/outputs/0/limits/max_bytes",
            good: vec![json!(1)],
            bad: vec![json!(0)],
        },
        Bound {
            place: "/io/inputs/0/schema_ref",
            good: vec![json!("x")],
            bad: vec![json!("")],
        },
        Bound {
            place: "/io/outputs/0/schema_ref",
            good: vec![json!("x")],
            bad: vec![json!("")],
        },
        Bound {
            place: "/io/inputs/0/kind",
            good: vec![json!("text")],
            bad: vec![json!("Text"), json!("file"), json!("")],
        },
        Bound {
            place: "/determinism/mode",
            good: vec![json!("deterministic"), json!("probabilistic")],
            bad: vec![json!("Deterministic"), json!("random"), json!("")],
        },
        Bound {
            place: "/evidence/log_level",
            good: vec![json!("full"), json!("summary"), json!("minimal")],
            bad: vec![json!("none"), json!("FULL"), json!("")],
        },
        Bound {
            place: "/evidence/redactions",
            good: vec![json!([]), json!(["/payload/content"]), json!(["/a~0b/~1c"])],
            bad: vec![
                json!([1]),
                json!(["payload"]),
                json!(["/a~2"]),
                json!(["/a~"]),
            ],
        },
        Bound {
            place: "/entrypoint/type",
            good: vec![json!("process")],
            bad: vec![json!("thread"), json!("wasm")],
        },
    ];
    for Bound { place, good, bad } in bounds {
        for value in good {
            accepted(&with(full(), place, value));
        }
        for value in bad {
            let report = validate(&with(full(), place, value.clone()));
            assert_eq!(report["valid"], false, "{place} = {value}");
            assert!(
                error_fields(&report)
                    .iter()
                    .any(|field| field.starts_with(place)),
                "{place} = {value}: {report}"
            );
        }
    }
}

/// "`command[0]` is a path inside the package, or one of the operator's runtimes … followed by a path inside the
/// package — or the older form `{"type":"worker","file":"dist/worker.js","export":"handleRequest"}`"
#[test]
fn inv_pnp_04_an_entrypoint_never_leaves_the_package() {
    let process = |command: Value| {
        with(
            full(),
            "/entrypoint",
            json!({ "type": "process", "command": command }),
        )
    };
    let worker = |file: &str, export: &str| {
        with(
            full(),
            "/entrypoint",
            json!({ "type": "worker", "file": file, "export": export }),
        )
    };
    accepted(&process(json!(["./program"])));
    accepted(&process(json!(["bin/program", "--flag"])));
    accepted(&process(json!(["python3", "main.py"])));
    accepted(&worker("dist/worker.js", "handleRequest"));
    for command in [
        json!([]),
        json!([""]),
        json!(["/bin/sh"]),
        json!(["../program"]),
        json!(["./a/../../b"]),
        json!(["./a//b"]),
        json!(["./plugin.sig"]),
        json!(["python3", "/etc/passwd"]),
        json!(["python3", "../main.py"]),
        json!(["Python 3", "main.py"]),
        json!(["./program", 1]),
    ] {
        let report = validate(&process(command.clone()));
        assert_eq!(report["valid"], false, "{command}");
        assert!(
            error_fields(&report)[0].starts_with("/entrypoint/command"),
            "{report}"
        );
    }
    for (file, export) in [
        ("/worker.js", "f"),
        ("../worker.js", "f"),
        ("", "f"),
        ("w.js", ""),
        ("w.js", "a-b"),
        ("w.js", "x;y"),
    ] {
        let report = validate(&worker(file, export));
        assert_eq!(report["valid"], false, "{file} {export}");
        assert!(
            error_fields(&report)[0].starts_with("/entrypoint/"),
            "{report}"
        );
    }
    let both = json!({ "type": "process", "command": ["./a"], "file": "w.js", "export": "f" });
    refused_at(&with(full(), "/entrypoint", both), "/entrypoint/file");
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

/// A parrot in a gateway of its own.
struct Cage {
    gateway: Gateway,
    _host: Host,
}

const PARROT: &str = "p.test.parrot";

impl Cage {
    fn new() -> Self {
        Self::of(parrot::package(PARROT))
    }

    fn of(package: Package) -> Self {
        let host = Host::new();
        host.install(&package);
        Self {
            gateway: open(&host),
            _host: host,
        }
    }

    fn hear(&self, bytes: impl AsRef<[u8]>) -> Answered {
        let answered = call(&self.gateway, PARROT, &request(parrot::saying(bytes)));
        assert!(answered.reached_the_plugin(), "{answered:?}");
        answered
    }
}

fn ok(result: &Value) -> String {
    parrot::answer("request-1", "ok", result, "")
}

/// "`ok` only for a valid answer." "(its newline may be missing when it closes stdout)" "`notes` may be left out; any `plugin_id`,
/// `evidence_hashes`, `duration_ms` in it are ignored."
#[test]
fn inv_pnp_04_a_valid_answer_is_taken_and_hashed_by_the_gateway_itself() {
    let cage = Cage::new();
    let result = data(
        "any/1",
        json!({ "é": ["\u{1}", "\u{20ac}", null, true, -7], "a": {} }),
    );
    let without_notes = json!({ "type": "result", "response": { "request_id": "request-1", "status": "ok", "result": result } });
    let with_lies = json!({ "type": "result", "response": {
        "request_id": "request-1", "status": "ok", "result": result, "notes": "",
        "plugin_id": "p.someone.else", "duration_ms": -1, "evidence_hashes": { "input_hash": "x", "output_hash": "y" }
    } });
    let lines = [
        ok(&result),
        ok(&result).trim_end().to_owned(),
        format!("  {without_notes}\n"),
        with_lies.to_string(),
    ];
    for line in lines {
        let answered = cage.hear(&line);
        assert_eq!(answered.status(), "ok", "{line}: {answered:?}");
        assert_eq!(answered.response["result"], result);
        assert_eq!(answered.response["plugin_id"], PARROT);
        let hashes = &answered.response["evidence_hashes"];
        assert_eq!(
            hashes["output_hash"],
            campaigns::canonical::hash(&result).as_str()
        );
        assert_eq!(
            hashes["input_hash"],
            campaigns::canonical::hash(&parrot::saying(&line)).as_str()
        );
        assert!(answered.response["duration_ms"].is_u64());
        assert_eq!(answered.event["kind"], "RESULT");
    }
}

/// "`rejected`: … an answer the gateway cannot accept (schema, kind not declared in `io.outputs`, too large, more than one line,
/// not UTF-8, wrong `request_id`)"
#[test]
fn inv_pnp_04_an_answer_that_cannot_be_accepted_is_rejected_and_gives_no_result() {
    let cage = Cage::new();
    let fine = data("any/1", json!({}));
    let response =
        json!({ "request_id": "request-1", "status": "ok", "result": fine, "notes": "" });
    let message = |response: Value| json!({ "type": "result", "response": response }).to_string();
    let changed = |place: &str, value: Value| message(with(response.clone(), place, value));
    let refused_answers: Vec<(&str, Vec<u8>)> = vec![
        ("another request", changed("/request_id", json!("request-2")).into()),
        ("no request", message(without(response.clone(), "/request_id")).into()),
        ("kind not declared", changed("/result", json!({ "kind": "dataset_slice", "slice_ids": ["a"], "source": "s", "filters": {} })).into()),
        ("unknown kind", changed("/result/kind", json!("file")).into()),
        ("no payload", changed("/result", json!({ "answer": 42 })).into()),
        ("ok without result", changed("/result", json!(null)).into()),
        ("unknown status", changed("/status", json!("fine")).into()),
        ("a status that is the gateway's to give", changed("/status", json!("timeout")).into()),
        ("unknown field", changed("/extra", json!(1)).into()),
        ("notes of another type", changed("/notes", json!(7)).into()),
        ("another type of message", with(json!({ "type": "result", "response": response }), "/type", json!("invoke")).to_string().into()),
        ("no message", response.to_string().into()),
        ("two lines", format!("{}{}", ok(&fine), ok(&fine)).into()),
        ("a line and a half", format!("{}{{", ok(&fine)).into()),
        ("an empty line first", format!("\n{}", ok(&fine)).into()),
        ("an empty line after", format!("{}\n", ok(&fine)).into()),
        ("not UTF-8", [&b"\xff\xfe"[..], ok(&fine).as_bytes()].concat()),
        ("not JSON", b"hello\n".to_vec()),
        ("an empty line", b"\n".to_vec()),
        ("zeros", vec![0; 100]),
    ];
    for (name, bytes) in refused_answers {
        let answered = cage.hear(&bytes);
        refused(&answered, &[]);
        assert!(!answered.notes().is_empty(), "{name} is explained");
        assert_eq!(answered.event["output_hash"], "", "{name}");
    }
    // Nothing at all is no answer: "`error`: the plugin crashed, exited without an answer".
    assert_eq!(cage.hear("").status(), "error");
}

/// The JSON rules again, "the same at every door (manifest, request, answer, …)".
#[test]
fn inv_pnp_04_the_json_rules_hold_for_answers() {
    let cage = Cage::new();
    let inside = ok(&data("any/1", json!({ "x": "@" })))
        .trim_end()
        .replace("\"@\"", "@");
    let taken = cage.hear(inside.replace('@', "9007199254740991"));
    assert_eq!(taken.status(), "ok", "{taken:?}");
    for (name, bytes, word) in unreadable(&inside) {
        if name == "empty" {
            continue;
        }
        let answered = cage.hear(&bytes);
        refused(&answered, &[]);
        // Bytes with a newline among them are refused for that first.
        assert!(
            bytes.contains(&b'\n') || answered.notes().contains(word),
            "{name}: {answered:?}"
        );
    }
}

/// "validated against it both ways"; "the `io` limits bound each payload's canonical bytes"; "`limits.max_bytes` bounds … the answer line"
#[test]
fn inv_pnp_04_answers_are_held_against_schema_and_size_to_the_byte() {
    let schema = json!({ "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" } } });
    let cage = Cage::of(
        parrot::package(PARROT)
            .with(|manifest| manifest["schemas"] = json!({ "any/1": "s.json" }))
            .file("s.json", schema.to_string().as_bytes(), 0o644),
    );
    assert_eq!(
        cage.hear(ok(&data("any/1", json!({ "n": 1 })))).status(),
        "ok"
    );
    refused(&cage.hear(ok(&data("any/1", json!({ "n": "1" })))), &["/n"]);
    refused(
        &cage.hear(ok(&data("other/1", json!({ "n": 1 })))),
        &["other/1"],
    );

    let sized = |bytes: usize| {
        let empty = campaigns::canonical::canonical(&text("")).len();
        text(&"x".repeat(bytes - empty))
    };
    assert_eq!(cage.hear(ok(&sized(1024))).status(), "ok");
    refused(&cage.hear(ok(&sized(1025))), &["1025", "1024"]);

    // Blanks before the answer make its line longer and leave its payload as it is.
    let limit = 300_000;
    let answer = ok(&data("any/1", json!({ "n": 1 })));
    let padded = |bytes: usize| {
        let blanks = bytes - answer.trim_end().len();
        let payload = parrot::saying_after_blanks(blanks, &answer);
        call(&cage.gateway, PARROT, &request(payload))
    };
    assert_eq!(padded(limit).status(), "ok");
    refused(&padded(limit + 1), &["max_bytes", &limit.to_string()]);
}

/// "or the plugin's own `rejected`. `error`: the plugin … answered `error`."
#[test]
fn inv_pnp_04_a_plugins_own_no_is_passed_on_without_a_result() {
    let cage = Cage::new();
    for (status, kind) in [("rejected", "REJECT"), ("error", "ERROR")] {
        let answered = cage.hear(parrot::answer(
            "request-1",
            status,
            &Value::Null,
            "I will not",
        ));
        assert_eq!(answered.status(), status);
        assert_eq!(answered.notes(), "I will not");
        assert_eq!(answered.event["kind"], kind);
        let answered = cage.hear(parrot::answer(
            "request-1",
            status,
            &data("any/1", json!({})),
            "no",
        ));
        assert_eq!(
            (answered.status(), &answered.response["result"]),
            (status, &Value::Null)
        );
    }
}
