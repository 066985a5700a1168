//! What is remarked of a manifest, at once and bounded, and what does not refuse it.

use super::*;

/// "above 60000: a *warning* that contains `exceeds`"
#[test]
fn too_much_time_is_a_warning() {
    let report = report_of(&with("/limits/max_ms", json!(60_001)));
    let issue = only(&report.issues, "/limits/max_ms");
    assert_eq!((report.valid, issue.severity), (true, Severity::Warning));
    assert!(issue.message.contains("exceeds"));
    assert_eq!(
        checked(&with("/limits/max_ms", json!(90_000)))
            .limits
            .call_ms(),
        60_000
    );
    assert!(
        report_of(&with("/limits/max_ms", json!(60_000)))
            .issues
            .is_empty()
    );
}

#[test]
fn remarks_do_not_refuse() {
    let cases = [
        (
            with("/schemas", json!({})),
            "/io/inputs/1/schema_ref",
            "not checked",
        ),
        (with("/io/outputs", json!([])), "/io/outputs", "no output"),
        (
            with("/io/inputs/0/limits/max_bytes", json!(9999)),
            "/io/inputs/0/limits/max_bytes",
            "never reached",
        ),
        (
            with(
                "/capabilities",
                json!(["read_text", "read_json", "read_binary_ref", "write_report"]),
            ),
            "/io/inputs",
            "not used",
        ),
    ];
    for (manifest, field, words) in cases {
        let report = report_of(&manifest);
        let issue = only(&report.issues, field);
        assert_eq!(
            (report.valid, issue.severity),
            (true, Severity::Info),
            "{field}"
        );
        assert!(issue.message.contains(words), "{}", issue.message);
    }
}

/// A correct manifest of OMEGA's, which knows no `schemas`, has no finding of any severity.
#[test]
fn a_correct_manifest_without_schemas_has_no_finding() {
    let every = json!([
        "read_text",
        "read_json",
        "read_binary_ref",
        "write_report",
        "write_suggestion"
    ]);
    let worker = json!({"type": "worker", "file": "dist/worker.js", "export": "handleRequest"});
    for (at, value) in [
        ("/name", json!("Hello")),
        ("/capabilities", every),
        ("/io/outputs", json!([])),
        ("/io/inputs/0/limits/max_bytes", json!(9999)),
        ("/entrypoint", worker),
    ] {
        let mut plain = with(at, value);
        put(&mut plain, "/schemas", None);
        let report = report_of(&plain);
        assert!(report.valid, "{at}");
        assert_eq!(report.issues, [], "{at}");
    }
}

#[test]
fn all_findings_come_at_once() {
    let mut bad = manifest();
    for (at, value) in [
        ("/name", json!("")),
        ("/limits/max_ms", json!(1)),
        ("/api_version", json!("9.0.0")),
        ("/capabilities/0", json!("env_access")),
    ] {
        put(&mut bad, at, Some(value));
    }
    put(&mut bad, "/vendor", None);
    let report = report_of(&bad);
    for field in [
        "/name",
        "/vendor",
        "/limits/max_ms",
        "/api_version",
        "/capabilities/0",
        "/io/inputs/0/kind",
    ] {
        only(&report.issues, field);
    }
}

#[test]
fn floods_of_findings_are_counted_not_listed() {
    let report = report_of(&with("/capabilities", json!(vec![1; 10_000])));
    assert_eq!(report.issues.len(), 65);
    let last = report.issues.last().unwrap();
    assert!(
        !report.valid && last.message.contains("more findings"),
        "{last:?}"
    );
    let port = json!({"kind": "json", "schema_ref": "other", "limits": {"max_bytes": 1}});
    let remarks = report_of(&with("/io/inputs", json!(vec![port; 100])));
    assert!(
        remarks.valid,
        "remarks stay remarks however many: {:?}",
        remarks.issues
    );
}

/// "a warning from `validate` with what to do", where Node is to run TypeScript.
#[test]
fn typescript_for_node_is_a_warning() {
    let worker = |file: &str| json!({"type": "worker", "file": file, "export": "handleRequest"});
    let process = |command: &[&str]| json!({"type": "process", "command": command});
    for (entry, field) in [
        (worker("src/index.ts"), "/entrypoint/file"),
        (worker("src/index.mts"), "/entrypoint/file"),
        (process(&["node", "src/main.ts"]), "/entrypoint/command/1"),
    ] {
        let report = report_of(&with("/entrypoint", entry));
        let issue = only(&report.issues, field);
        assert_eq!((report.valid, issue.severity), (true, Severity::Warning));
        assert!(
            issue.message.contains("build it to JavaScript (`tsc"),
            "{issue:?}"
        );
    }
    for entry in [
        worker("dist/index.js"),
        worker("dist/ts"),
        process(&["deno", "main.ts"]),
        process(&["./main.ts"]),
    ] {
        let report = report_of(&with("/entrypoint", entry));
        assert!(report.issues.is_empty(), "{report:?}");
    }
}

/// "`redactions` array of JSON pointers into request and result": one that names nothing there is refused, one that nothing declared
/// has room for is warned of.
#[test]
fn a_redaction_that_can_hit_nothing_is_said() {
    for pointer in [
        "/secret",
        "/Payload/content",
        "/",
        "/data~1x",
        "/responses/result",
    ] {
        let report = report_of(&with("/evidence/redactions", json!(["", pointer])));
        assert!(!report.valid, "{pointer}");
        let message = &only(&report.issues, "/evidence/redactions/1").message;
        assert!(message.contains("names no member"), "{message}");
    }
    for (pointer, idle) in [
        ("", false),
        ("/payload/content", false),
        ("/content", false),
        ("/content/0", true),
        ("/request/payload/metadata/a", false),
        ("/metadata/a/b", true),
        ("/context/token", false),
        ("/context/token/x", true),
        ("/policy/timeout_ms", false),
        ("/policy/timeout", true),
        ("/data/any/thing", false),
        ("/response/result/data/x", false),
        ("/response/notes", true),
        ("/result/content", true),
        ("/artifact_id", true),
        ("/payload/slice_ids/0", true),
        ("/request", false),
        ("/result", false),
    ] {
        let report = report_of(&with("/evidence/redactions", json!([pointer])));
        assert!(report.valid, "{pointer}: {report:?}");
        let warned: Vec<&Issue> = report.issues.iter().collect();
        assert_eq!(warned.len(), usize::from(idle), "{pointer}: {warned:?}");
        for issue in warned {
            assert_eq!(issue.severity, Severity::Warning);
            assert!(issue.message.contains("can hit nothing"), "{issue:?}");
        }
    }
    let slices = json!([{"kind": "dataset_slice", "schema_ref": "s", "limits": {"max_bytes": 1}}]);
    let mut manifest = with("/io/inputs", slices);
    manifest["capabilities"] = json!(["read_dataset_slice", "write_report"]);
    manifest["evidence"]["redactions"] = json!(["/slice_ids/0", "/filters/a", "/slice_ids/a"]);
    let report = report_of(&manifest);
    only(&report.issues, "/evidence/redactions/2");
    assert_eq!(report.issues.len(), 1, "{report:?}");
}
