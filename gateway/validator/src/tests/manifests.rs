//! Every rule of the contract's section 4, with manifests that keep it and manifests that break it.

use plugin_protocol::{canonical, schema};
use proptest::prelude::*;

use super::super::manifest::MAX_MANIFEST_BYTES;
use super::*;

#[test]
fn a_good_manifest_has_no_remark_and_its_hash() {
    let report = report_of(&manifest());
    assert_eq!((report.valid, report.issues.as_slice()), (true, &[][..]));
    let checked = checked(&manifest());
    assert_eq!(report.manifest_hash, Some(checked.hash()));
    assert_eq!(checked.canonical(), canonical::bytes(&manifest()));
    assert_eq!(checked.plugin_id.as_str(), "p.text.hello");
}

/// The rules of the table as (place, values that pass, values that fail).
#[expect(clippy::too_many_lines, reason = "a table with a row for each rule")]
fn table() -> Vec<(&'static str, Vec<Value>, Vec<Value>)> {
    let text = |count: usize| json!("é".repeat(count));
    vec![
        (
            "/plugin_id",
            vec![json!("abc"), json!("0-._")],
            vec![
                json!("ab"),
                json!("Abc"),
                json!(".ab"),
                json!("a".repeat(65)),
                json!("abc\n"),
                json!(1),
            ],
        ),
        (
            "/name",
            vec![text(1), text(128)],
            vec![text(0), text(129), json!(null)],
        ),
        (
            "/vendor",
            vec![text(1), text(128)],
            vec![text(0), text(129)],
        ),
        ("/description", vec![text(0), text(1024)], vec![text(1025)]),
        (
            "/version",
            vec![json!("0.0.1")],
            vec![
                json!("1.0"),
                json!("v1.0.0"),
                json!("1.0.0-a"),
                json!("01.0.0"),
            ],
        ),
        (
            "/api_version",
            vec![json!("1.9.9")],
            vec![json!("0.1.0"), json!("2.0.0"), json!("1"), json!("1.0.0.0")],
        ),
        (
            "/supported_omega_api_versions",
            vec![
                json!(">=1.0.0 <2.0.0"),
                json!("^1.0.0"),
                json!("1.x"),
                json!("~1.0"),
                json!("0.9.0 || 1.0.0"),
                json!(">=1.0.0, <2.0.0"),
            ],
            vec![json!(""), json!("one"), json!(">=2.0.0"), json!("<1.0.0")],
        ),
        (
            "/limits/max_bytes",
            vec![json!(400), json!(4096.0)],
            vec![json!(0), json!(-1), json!(1.5), json!("1")],
        ),
        (
            "/limits/max_ms",
            vec![json!(100), json!(60_000), json!(60_001)],
            vec![json!(99)],
        ),
        (
            "/limits/max_concurrency",
            vec![json!(1), json!(100)],
            vec![json!(0), json!(101)],
        ),
        (
            "/limits/max_memory_bytes",
            vec![json!(1)],
            vec![json!(0), json!(null)],
        ),
        ("/limits/max_cpu_ms", vec![json!(1)], vec![json!(0)]),
        (
            "/determinism/mode",
            vec![json!("probabilistic")],
            vec![json!("random")],
        ),
        (
            "/determinism/notes",
            vec![json!("seeded")],
            vec![json!(null)],
        ),
        (
            "/evidence/log_level",
            vec![json!("full"), json!("minimal")],
            vec![json!("none")],
        ),
        (
            "/evidence/redactions/0",
            vec![json!(""), json!("/data/a~0b/~1/0")],
            vec![json!("a"), json!("/~2"), json!("/~")],
        ),
        (
            "/io/inputs/0/kind",
            vec![json!("json")],
            vec![json!("video")],
        ),
        ("/io/inputs/0/schema_ref", vec![json!("x")], vec![json!("")]),
        (
            "/io/outputs/0/limits/max_bytes",
            vec![json!(1)],
            vec![json!(0)],
        ),
        (
            "/entrypoint/command/0",
            vec![json!("bin/hello"), json!("hello")],
            vec![
                json!("/bin/sh"),
                json!("../hello"),
                json!("a/../b"),
                json!(""),
                json!("./plugin.sig"),
            ],
        ),
        (
            "/schemas/point~11",
            vec![],
            vec![json!("/etc/passwd"), json!("../x.json"), json!(1)],
        ),
    ]
}

#[test]
fn every_rule_passes_and_fails_where_the_contract_says() {
    for (field, good, bad) in table() {
        let place = field.replace("point~11", "point/1");
        let change = |value: &Value| {
            let mut changed = manifest();
            if field.starts_with("/schemas") {
                changed["schemas"]["point/1"] = value.clone();
            } else {
                put(&mut changed, &place, Some(value.clone()));
            }
            changed
        };
        for value in good {
            let report = report_of(&change(&value));
            assert!(report.valid, "{field} = {value}: {:?}", report.issues);
        }
        for value in bad {
            let report = report_of(&change(&value));
            let issue = only(&report.issues, field);
            assert_eq!(issue.severity, Severity::Error, "{field} = {value}");
            assert!(
                issue.message.len() > 20,
                "{field} = {value}: {}",
                issue.message
            );
        }
    }
}

/// "unknown fields are rejected at every level"
#[test]
fn unknown_fields_are_named_at_every_level() {
    for parent in [
        "",
        "/io",
        "/io/inputs/0",
        "/io/outputs/0/limits",
        "/limits",
        "/determinism",
        "/evidence",
        "/entrypoint",
    ] {
        let field = format!("{parent}/colour");
        let report = report_of(&with(&field, json!(1)));
        assert!(
            only(&report.issues, &field)
                .message
                .starts_with("unknown field 'colour'")
        );
    }
    let report = report_of(&with("/vender", json!("Example")));
    assert!(
        only(&report.issues, "/vender")
            .message
            .contains("write 'vendor'")
    );
}

#[test]
fn missing_fields_are_named_with_their_rule() {
    let schema: Value = serde_json::from_str(schema::MANIFEST).unwrap();
    for name in schema["required"].as_array().unwrap() {
        let field = format!("/{}", name.as_str().unwrap());
        let report = report_of(&without(&field));
        let message = &only(&report.issues, &field).message;
        let rule = schema["properties"][&field[1..]]["description"]
            .as_str()
            .unwrap();
        assert!(
            message.starts_with("is missing: add") && message.ends_with(rule),
            "{message}"
        );
    }
    let report = report_of(&with("/entrypoint", json!({"type": "worker"})));
    assert!(
        only(&report.issues, "/entrypoint/file")
            .message
            .contains("a path inside the package")
    );
}

/// "Forbidden, rejected by name with their own message (`Forbidden capability declared: …`)"
#[test]
fn forbidden_capabilities_are_rejected_by_name() {
    for name in [
        "filesystem_access",
        "network_access",
        "process_spawn",
        "env_access",
    ] {
        let report = report_of(&with("/capabilities/0", json!(name)));
        let issue = only(&report.issues, "/capabilities/0");
        assert!(
            issue
                .message
                .starts_with(&format!("Forbidden capability declared: {name}"))
        );
    }
}

#[test]
fn capabilities_are_known_unique_and_at_least_one() {
    let report = report_of(&with("/capabilities/0", json!("read_texts")));
    let message = &only(&report.issues, "/capabilities/0").message;
    assert!(message.contains("did you mean read_text?"), "{message}");
    assert!(message.contains("read_text, read_json, read_binary_ref, read_dataset_slice, write_suggestion and write_report"));
    let twice = json!(["read_text", "read_json", "write_report", "read_text"]);
    let report = report_of(&with("/capabilities", twice));
    assert_eq!(report.issues.len(), 1, "{:?}", report.issues);
    assert!(
        only(&report.issues, "/capabilities/3")
            .message
            .contains("declared twice")
    );
    let report = report_of(&with("/capabilities", json!([])));
    assert!(
        only(&report.issues, "/capabilities")
            .message
            .contains("at least one")
    );
    let report = report_of(&with("/capabilities/0", json!(7)));
    assert_eq!(
        only(&report.issues, "/capabilities/0").severity,
        Severity::Error
    );
}

/// "each input kind needs `read_<kind>`; an output needs `write_suggestion` or `write_report` when any output is declared"
#[test]
fn kinds_require_their_capability() {
    for kind in ["text", "json", "binary_ref", "dataset_slice"] {
        let port = json!({"kind": kind, "schema_ref": "x", "limits": {"max_bytes": 1}});
        let mut changed = with("/io/inputs", json!([port]));
        put(&mut changed, "/capabilities", Some(json!(["write_report"])));
        let report = report_of(&changed);
        let message = &only(&report.issues, "/io/inputs/0/kind").message;
        assert!(
            message.contains(&format!("requires capability 'read_{kind}'")),
            "{message}"
        );
        put(
            &mut changed,
            "/capabilities",
            Some(json!(["write_report", format!("read_{kind}")])),
        );
        assert!(report_of(&changed).valid);
    }
    let read_only = with("/capabilities", json!(["read_text", "read_json"]));
    let report = report_of(&read_only);
    assert!(
        only(&report.issues, "/io/outputs")
            .message
            .contains("requires capability")
    );
    for write in ["write_suggestion", "write_report"] {
        assert!(
            report_of(&with(
                "/capabilities",
                json!(["read_text", "read_json", write])
            ))
            .valid
        );
    }
    let mut silent = read_only;
    put(&mut silent, "/io/outputs", Some(json!([])));
    assert!(
        report_of(&silent).valid,
        "no output needs no write capability"
    );
}

/// "UTF-8 without BOM, no duplicate keys, …: each is refused with a message that says what to do instead"
#[test]
fn what_is_not_strict_json_is_refused_without_a_hash() {
    let good = manifest().to_string();
    let big = format!("{}{good}", " ".repeat(MAX_MANIFEST_BYTES));
    let double = good.replacen('{', "{\"name\":\"a\",", 1);
    let wide = good.replace("4096", "9007199254740993");
    for bad in [
        String::new(),
        "{".to_owned(),
        format!("\u{feff}{good}"),
        big,
        double,
        wide,
    ] {
        let (report, checked) = check_manifest(bad.as_bytes());
        assert!(!report.valid && checked.is_none() && report.manifest_hash.is_none());
        assert_eq!(only(&report.issues, "").severity, Severity::Error);
    }
}

/// The older form runs "the exported JavaScript function under Node".
#[test]
fn workers_have_a_file_and_an_export() {
    let worker = |file: &str, export: &str| {
        with(
            "/entrypoint",
            json!({"type": "worker", "file": file, "export": export}),
        )
    };
    let entry = checked(&worker("dist/worker.js", "handleRequest"))
        .entry()
        .clone();
    assert_eq!(
        entry,
        Entry::Worker {
            file: "dist/worker.js".to_owned(),
            export: "handleRequest".to_owned()
        }
    );
    for (file, export, field) in [
        ("/x.js", "run", "/entrypoint/file"),
        ("../x.js", "run", "/entrypoint/file"),
        ("x.js", "a-b", "/entrypoint/export"),
        ("x.js", "", "/entrypoint/export"),
    ] {
        assert_eq!(
            only(&report_of(&worker(file, export)).issues, field).severity,
            Severity::Error
        );
    }
    let report = report_of(&with("/entrypoint", json!({"type": "shell"})));
    assert!(
        only(&report.issues, "/entrypoint/type")
            .message
            .contains("process, worker or mcp")
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "read_text|json|process|\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(
                "kind|type|io|inputs|limits|command|\\PC{0,6}",
                inner,
                0..6
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_makes_the_check_panic(value in any_value()) {
        report_of(&value);
    }

    #[test]
    fn no_value_at_any_place_makes_the_check_panic(place in 0..21_usize, value in any_value()) {
        let (field, ..) = table().swap_remove(place);
        if !field.starts_with("/schemas") {
            report_of(&with(field, value.clone()));
        }
        let parent = field.rsplit_once('/').map_or("", |(parent, _)| parent);
        if !parent.is_empty() && !field.starts_with("/schemas") {
            report_of(&with(parent, value));
        }
    }

    #[test]
    fn no_bytes_make_the_check_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let (report, checked) = check_manifest(&bytes);
        prop_assert_eq!(report.valid, checked.is_some());
    }
}
