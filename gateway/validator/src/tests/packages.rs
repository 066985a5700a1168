//! What a manifest says about its package's files.

use super::*;

fn issues_with(manifest: &Value, change: impl FnOnce(&mut Files)) -> Vec<Issue> {
    let mut files = files();
    change(&mut files);
    check_package(&checked(manifest), &files)
}

#[test]
fn a_whole_package_has_no_finding() {
    assert_eq!(issues_with(&manifest(), |_| {}), []);
}

#[test]
fn the_program_is_there_executable_and_native() {
    let field = "/entrypoint/command/0";
    type Spoil = fn(&mut Files);
    let cases: [(Spoil, &str); 8] = [
        (|files| drop(files.0.remove("hello")), "not in the package"),
        (
            |files| files.0.get_mut("hello").unwrap().1 = false,
            "chmod +x",
        ),
        (
            |files| files.0.get_mut("hello").unwrap().0 = b"#!/bin/sh\n".to_vec(),
            "is a script",
        ),
        (
            |files| files.0.get_mut("hello").unwrap().0 = b"MZ".to_vec(),
            "is a program for Windows",
        ),
        (
            |files| files.0.get_mut("hello").unwrap().0 = b"int main".to_vec(),
            "not a Linux program",
        ),
        (
            |files| files.0.get_mut("hello").unwrap().0.clear(),
            "is empty",
        ),
        (
            |files| files.0.get_mut("hello").unwrap().0[18] = 40,
            "another kind of processor",
        ),
        (
            |files| files.0.get_mut("hello").unwrap().0.truncate(10),
            "another kind of processor",
        ),
    ];
    for (spoil, words) in cases {
        let issues = issues_with(&manifest(), spoil);
        assert!(only(&issues, field).message.contains(words), "{issues:?}");
    }
}

#[test]
fn scripts_and_modules_are_there() {
    let script = with("/entrypoint/command", json!(["python3", "./main.py"]));
    let issues = issues_with(&script, |_| {});
    assert!(
        only(&issues, "/entrypoint/command/1")
            .message
            .contains("'main.py' is not in the package")
    );
    assert_eq!(
        issues_with(&script, |files| drop(
            files.0.insert("main.py", (Vec::new(), false))
        )),
        []
    );
    let confused = with(
        "/entrypoint/command",
        json!(["hello", "schemas/point.json"]),
    );
    let issues = issues_with(&confused, |_| {});
    assert!(
        only(&issues, "/entrypoint/command/0")
            .message
            .contains("write \"./hello\"")
    );
    let worker = with(
        "/entrypoint",
        json!({"type": "worker", "file": "w.js", "export": "run"}),
    );
    let issues = issues_with(&worker, |_| {});
    assert!(
        only(&issues, "/entrypoint/file")
            .message
            .contains("not in the package")
    );
    let alone = with("/entrypoint/command", json!(["python3"]));
    let issues = issues_with(&alone, |_| {});
    assert!(
        issues
            .iter()
            .any(|issue| issue.message.contains("followed by its script")),
        "{issues:?}"
    );
}

/// "pointers are checked against the schema"
#[test]
fn a_redaction_that_no_schema_names_is_warned_of() {
    let pointers = json!([
        "/data/x",
        "/payload/data/y",
        "/data/x/z",
        "/content",
        "/artifact_id"
    ]);
    let issues = issues_with(&with("/evidence/redactions", pointers), |_| {});
    for index in [1, 2] {
        let issue = only(&issues, &format!("/evidence/redactions/{index}"));
        assert_eq!(issue.severity, Severity::Warning);
        assert!(issue.message.contains("no declared schema"), "{issue:?}");
    }
    assert_eq!(
        issues.len(),
        2,
        "the last is said of the manifest: {issues:?}"
    );
    let older =
        br#"{"required":["kind","data"],"properties":{"kind":{},"data":{"properties":{"x":{}}}}}"#;
    let pointers = with("/evidence/redactions", json!(["/data/x", "/data/data"]));
    let issues = issues_with(&pointers, |files| {
        files
            .0
            .insert("schemas/point.json", (older.to_vec(), false));
    });
    only(&issues, "/evidence/redactions/1");
    assert_eq!(issues.len(), 1, "{issues:?}");
}

fn schema_issues(schema: &str) -> Vec<Issue> {
    issues_with(&manifest(), |files| {
        files
            .0
            .insert("schemas/point.json", (schema.as_bytes().to_vec(), false));
    })
}

/// "path of a JSON Schema inside the package (draft-07 or 2020-12)"
#[test]
fn schemas_of_both_drafts_are_taken() {
    for good in [
        "true",
        "{}",
        r##"{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"type":"string"}},"properties":{"a":{"$ref":"#/definitions/a"}}}"##,
        r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"https://example.com/point","prefixItems":[{}]}"#,
        r##"{"properties":{"children":{"type":"array","items":{"$ref":"#"}}}}"##,
    ] {
        assert_eq!(schema_issues(good), [], "{good}");
    }
}

#[test]
fn what_is_no_usable_schema_is_refused_with_its_place() {
    for (bad, words) in [
        ("{", "not valid JSON"),
        ("7", "write an object"),
        (r#"{"type":"strin"}"#, "at '/type'"),
        (r#"{"type":"string","pattern":"("}"#, "/pattern"),
        (
            r#"{"pattern":"(?=a)b"}"#,
            "at '/pattern': \"(?=a)b\": look-around is not supported",
        ),
        (
            r#"{"patternProperties":{"\\bx":true}}"#,
            "at '/patternProperties': \\b and \\B are not supported",
        ),
        (r#"{"pattern":"(a{1000}){1000}"}"#, "/pattern"),
        (
            r#"{"$schema":"http://json-schema.org/draft-04/schema#"}"#,
            "is not supported",
        ),
        (
            r#"{"$ref":"https://example.com/other.json"}"#,
            "leaves the schema",
        ),
        (r##"{"$ref":"#/$defs/none"}"##, "names nothing"),
        (r#"{"a":1,"a":2}"#, "duplicate"),
    ] {
        let issues = schema_issues(bad);
        let message = &only(&issues, "/schemas/point~11").message;
        assert!(message.contains(words), "{bad}: {message}");
    }
    let issues = schema_issues(&format!("{{\"description\":\"{}\"}}", "x".repeat(300_000)));
    assert!(
        only(&issues, "/schemas/point~11")
            .message
            .contains("too large")
    );
    let issues = issues_with(&manifest(), |files| {
        drop(files.0.remove("schemas/point.json"))
    });
    assert!(
        only(&issues, "/schemas/point~11")
            .message
            .contains("not in the package")
    );
}

/// The schema in the package of [`manifest`], compiled.
fn compiled(schema: &str) -> Schemas {
    let mut files = files();
    files
        .0
        .insert("schemas/point.json", (schema.as_bytes().to_vec(), false));
    Schemas::compile(&checked(&manifest()), &files)
        .unwrap_or_else(|issues| panic!("{schema}: {issues:?}"))
}

const DRAFTS: [&str; 3] = [
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft-07/schema",
    "https://json-schema.org/draft/2020-12/schema",
];

/// A pattern has ECMAScript's meaning wherever a schema can have one.
#[test]
fn patterns_mean_the_same_in_every_place() {
    let pattern = r#"{"type":"string","pattern":"^(?!x)(?=.*\\bcole\\b)"}"#;
    let found = json!("\u{e9}cole");
    for draft in DRAFTS {
        for (schema, value) in [
            (pattern.to_owned(), found.clone()),
            (format!(r#"{{"items":{pattern}}}"#), json!([found])),
            (
                format!(r#"{{"type":"array","items":{pattern},"minItems":1}}"#),
                json!([found]),
            ),
            (format!(r#"{{"contains":{pattern}}}"#), json!([found])),
            (
                format!(r#"{{"properties":{{"a":{pattern}}},"additionalProperties":false}}"#),
                json!({"a": found}),
            ),
            (
                format!(r#"{{"additionalProperties":{pattern}}}"#),
                json!({"a": found}),
            ),
            (
                format!(r#"{{"patternProperties":{{"^a":{pattern}}}}}"#),
                json!({"a": found}),
            ),
            (
                format!(
                    r#"{{"patternProperties":{{"^a":{pattern}}},"additionalProperties":false}}"#
                ),
                json!({"a": found}),
            ),
            (
                format!(r#"{{"propertyNames":{pattern}}}"#),
                json!({"\u{e9}cole": 1}),
            ),
            (format!(r#"{{"allOf":[{pattern}]}}"#), found.clone()),
            (
                format!(r#"{{"anyOf":[{pattern},{{"type":"null"}}]}}"#),
                found.clone(),
            ),
            (
                format!(r#"{{"oneOf":[{pattern},{{"type":"null"}}]}}"#),
                found.clone(),
            ),
            (
                format!(
                    r##"{{"allOf":[{{"$ref":"#/elsewhere/x"}}],"elsewhere":{{"x":{pattern}}}}}"##
                ),
                found.clone(),
            ),
        ] {
            let whole = schema.replacen('{', &format!("{{\"$schema\":\"{draft}\","), 1);
            let schemas = compiled(&whole);
            assert_eq!(schemas.check("point/1", &value), Ok(()), "{whole}");
            let text = value.to_string();
            for wrong in [
                text.replace("\u{e9}cole", "ecole"),
                text.replace("\u{e9}cole", "x cole"),
            ] {
                let wrong: Value = serde_json::from_str(&wrong).unwrap();
                assert!(
                    schemas.check("point/1", &wrong).is_err(),
                    "{whole}: {wrong}"
                );
            }
            assert!(schemas.check("point/1", &json!(7)).is_ok() || whole.contains("\"type\""));
        }
    }
}

#[test]
fn a_pattern_that_does_not_match_is_named_with_its_place() {
    let why = compiled(r#"{"properties":{"a":{"pattern":"^b\\b"}}}"#)
        .check("point/1", &json!({"a": "c"}))
        .unwrap_err();
    assert!(why.ends_with(r#"/a value does not match "^b\b""#), "{why}");
    let why = compiled(r#"{"properties":{"a":{"pattern":"^b","description":"a word with b"}}}"#)
        .check("point/1", &json!({"a": "c"}))
        .unwrap_err();
    assert!(
        why.ends_with("/a must be a word with b; it is \"c\""),
        "{why}"
    );
}

/// "`$anchor`", "`%3C` in `$ref`", "`maximum` of int64": what other validators take, and to the last digit.
#[test]
fn references_and_bounds_are_exact() {
    let generic = r##"{"$ref":"#/definitions/Box%3Cnumber%3E","definitions":{"Box<number>":{"required":["v"],"properties":{"v":{"type":"number","description":"a number"}}}}}"##;
    let anchored = r##"{"$id":"https://example.com/p.json","items":{"$ref":"#v"},"$defs":{"v":{"$anchor":"v","type":"number"}},"contains":{"$ref":"p.json#/$defs/v"}}"##;
    let embedded = r##"{"$id":"https://example.com/p.json","items":{"$ref":"v.json"},"$defs":{"v":{"$id":"v.json","$ref":"#/$defs/w","$defs":{"w":{"type":"number"}}},"w":{"type":"null"}}}"##;
    for (schema, good, bad) in [
        (generic, json!({"v": 1}), json!({"v": "1"})),
        (anchored, json!([1]), json!(["1"])),
        (embedded, json!([1]), json!([null])),
    ] {
        let schemas = compiled(schema);
        assert_eq!(schemas.check("point/1", &good), Ok(()), "{schema}");
        assert!(schemas.check("point/1", &bad).is_err(), "{schema}");
    }
    let why = compiled(generic)
        .check("point/1", &json!({"v": "1"}))
        .unwrap_err();
    assert!(why.ends_with("/v must be a number; it is \"1\""), "{why}");
    let most = json!(9_007_199_254_740_991_i64);
    for (schema, value, fits) in [
        (
            r#"{"minimum":-9223372036854775808,"maximum":9223372036854775807}"#,
            &most,
            true,
        ),
        (r#"{"maximum":9223372036854775807}"#, &json!(1e21), false),
        (r#"{"minimum":-9223372036854775808}"#, &json!(-1e21), false),
        (r#"{"maximum":18446744073709551615}"#, &most, true),
        (r#"{"exclusiveMaximum":9007199254740992}"#, &most, true),
        (r#"{"minimum":9007199254740992}"#, &most, false),
        (r#"{"exclusiveMaximum":9007199254740991}"#, &most, false),
    ] {
        assert_eq!(
            compiled(schema).check("point/1", value).is_ok(),
            fits,
            "{schema}: {value}"
        );
    }
}

/// The deepest value against the longest chain of a schema that refers to itself: the stack of an ordinary thread holds it.
#[test]
fn deep_values_and_recursive_schemas_fit_the_stack() {
    let mut chain = json!({"items": {"$ref": "#"}});
    for _ in 0..20 {
        chain = json!({"allOf": [chain]});
    }
    let bytes = chain.to_string().into_bytes();
    let mut files = files();
    files.0.insert("schemas/point.json", (bytes, false));
    let manifest = checked(&manifest());
    let schemas = Schemas::compile(&manifest, &files).unwrap();
    let mut deep = json!([]);
    for _ in 0..126 {
        deep = json!([deep]);
    }
    let judged = std::thread::spawn(move || schemas.check("point/1", &deep));
    assert_eq!(judged.join().unwrap(), Ok(()));
}

/// Twice as many checks at each level of the value, were results not remembered.
#[test]
fn doubling_down_the_value_ends() {
    let twice =
        json!({"allOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}], "not": {"const": 1}});
    let mut files = files();
    files.0.insert(
        "schemas/point.json",
        (twice.to_string().into_bytes(), false),
    );
    let manifest = checked(&manifest());
    let schemas = Schemas::compile(&manifest, &files).unwrap();
    let nested = |inner: Value| (0..100).fold(inner, |value, _| json!([value]));
    assert_eq!(schemas.check("point/1", &nested(json!([]))), Ok(()));
    assert!(schemas.check("point/1", &nested(json!([1]))).is_err());
    assert_eq!(schemas.check("point/1", &nested(json!(2))), Ok(()));
}

/// The same doubling in a schema that does not refer to itself: the checker remembers no results there, so the schema is refused.
#[test]
fn doubling_along_a_chain_of_definitions_is_refused() {
    let mut defs = serde_json::Map::new();
    for level in 0..30 {
        let next = json!({"items": {"$ref": format!("#/$defs/d{}", level + 1)}});
        defs.insert(format!("d{level}"), json!({"allOf": [next, next]}));
    }
    defs.insert("d30".to_owned(), json!({"type": "number"}));
    let once = json!({"$ref": "#/$defs/d0", "$defs": defs});
    assert!(
        only(&schema_issues(&once.to_string()), "/schemas/point~11")
            .message
            .contains("multiply")
    );
    defs["d30"] = json!({"properties": {"again": {"$ref": "#/$defs/d0"}}});
    let recursive = json!({"$ref": "#/$defs/d0", "$defs": defs});
    assert!(
        only(&schema_issues(&recursive.to_string()), "/schemas/point~11")
            .message
            .contains("multiply")
    );
}

/// As much doubling as is let through, above and inside a reference back.
#[test]
fn the_most_that_is_let_through_ends() {
    let mut defs = serde_json::Map::new();
    for level in 0..11 {
        let next = json!({"items": {"$ref": format!("#/$defs/d{}", level + 1)}});
        defs.insert(format!("d{level}"), json!({"allOf": [next, next]}));
    }
    defs.insert(
        "d11".to_owned(),
        json!({"type": "array", "items": {"$ref": "#/$defs/d0"}}),
    );
    let schema = json!({"$ref": "#/$defs/d0", "$defs": defs});
    let mut files = files();
    files.0.insert(
        "schemas/point.json",
        (schema.to_string().into_bytes(), false),
    );
    let manifest = checked(&manifest());
    let schemas = Schemas::compile(&manifest, &files).unwrap();
    // Every twelfth level must be an array: 107 = 8 * 12 + 11 is such a level.
    let nested = |inner: Value| (0..107).fold(inner, |value, _| json!([value]));
    assert_eq!(schemas.check("point/1", &nested(json!([]))), Ok(()));
    assert!(schemas.check("point/1", &nested(json!("x"))).is_err());
}
