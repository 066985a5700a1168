//! Servers of the Model Context Protocol: "arguments checked before and structured results after" (contract, section 13).

use plugin_protocol::message::Status;

use super::*;

const TOOLS: &str = r#"{"tools": [
    {"name": "add", "inputSchema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false},
     "outputSchema": {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}},
    {"name": "say", "inputSchema": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}}
]}"#;

fn server() -> Value {
    let port = |name: &str| json!([{ "kind": "json", "schema_ref": name }]);
    let mut server = manifest();
    server["capabilities"] = json!(["read_json", "write_report"]);
    server["io"] = json!({ "inputs": port("mcp-call/1"), "outputs": port("mcp-result/1") });
    server["evidence"]["redactions"] = json!([]);
    server["entrypoint"] = json!({ "type": "mcp", "command": ["python3", "server.py"] });
    put(&mut server, "/schemas", None);
    server
}

fn files(tools: Option<&str>) -> Files {
    let mut files = BTreeMap::from([("server.py", (Vec::new(), false))]);
    files.extend(tools.map(|tools| ("mcp-tools.json", (tools.as_bytes().to_vec(), false))));
    Files(files)
}

fn compiled() -> (CheckedManifest, Schemas) {
    let manifest = checked(&server());
    let schemas = Schemas::compile(&manifest, &files(Some(TOOLS))).unwrap();
    (manifest, schemas)
}

fn call(data: &Value) -> Result<Admitted, Refusal> {
    let (manifest, schemas) = compiled();
    let request = json!({
        "request_id": "r-1", "run_id": "run-1", "timestamp": "2026-01-31T12:00:00Z", "context": {},
        "payload": {"kind": "json", "schema_ref": "mcp-call/1", "data": data},
        "policy": {"deterministic_only": false, "timeout_ms": 1000, "max_retries": 0}
    });
    admit_value(&request, &manifest, &schemas)
}

#[test]
fn a_server_declares_calls_and_results_and_no_schemas_of_its_own() {
    assert!(checked(&server()).is_server() && !checked(&manifest()).is_server());
    for (at, value, field, words) in [
        (
            "/io/inputs/0/schema_ref",
            json!("point/1"),
            "/io/inputs",
            "mcp-call/1",
        ),
        (
            "/io/outputs/0/kind",
            json!("text"),
            "/io/outputs",
            "mcp-result/1",
        ),
        ("/io/outputs", json!([]), "/io/outputs", "mcp-result/1"),
        ("/schemas", json!({}), "/schemas", "mcp-tools.json"),
        (
            "/entrypoint/command",
            json!(["../x"]),
            "/entrypoint/command/0",
            "inside the package",
        ),
    ] {
        let mut wrong = server();
        put(&mut wrong, at, Some(value));
        let report = report_of(&wrong);
        let found = report.issues.iter().find(|issue| {
            issue.field == field
                && issue.severity == Severity::Error
                && issue.message.contains(words)
        });
        assert!(found.is_some(), "{at}: {report:?}");
    }
}

#[test]
fn a_package_without_usable_pinned_tools_is_not_valid() {
    let tool = |members: &str| format!(r#"{{"tools": [{{{members}}}]}}"#);
    let twice =
        r#"{"tools": [{"name": "a", "inputSchema": {}}, {"name": "a", "inputSchema": {}}]}"#;
    let many = vec![r#"{"name": "a", "inputSchema": {}}"#; 257].join(",");
    for (tools, words) in [
        (None, "mcp import"),
        (Some("{".to_owned()), "cannot be read"),
        (
            Some(r#"{"tools": [], "tools": []}"#.to_owned()),
            "cannot be read",
        ),
        (
            Some(r#"{"tools": {}}"#.to_owned()),
            "no list called 'tools'",
        ),
        (Some(tool(r#""inputSchema": {}"#)), "without a name"),
        (Some(tool(r#""name": "a""#)), "without an inputSchema"),
        (
            Some(tool(r#""name": "a", "inputSchema": true"#)),
            "no object",
        ),
        (
            Some(tool(r#""name": "a", "inputSchema": {"type": "nothing"}"#)),
            "inputSchema is not a usable",
        ),
        (
            Some(tool(
                r#""name": "a", "inputSchema": {}, "outputSchema": {"$ref": "https://x.example"}"#,
            )),
            "outputSchema is not a usable",
        ),
        (Some(twice.to_owned()), "two tools called 'a'"),
        (Some(format!(r#"{{"tools": [{many}]}}"#)), "257 tools"),
    ] {
        let issues = check_package(&checked(&server()), &files(tools.as_deref()));
        assert!(
            issues.iter().any(|issue| issue.message.contains(words)),
            "{words}: {issues:?}"
        );
    }
    assert_eq!(check_package(&checked(&server()), &files(Some(TOOLS))), []);
}

#[test]
fn a_call_of_a_pinned_tool_becomes_three_lines() {
    let admitted = call(&json!({ "tool": "add", "arguments": { "a": 1 } })).unwrap();
    assert_eq!(admitted.asked(), &Asked::Tool("add".to_owned()));
    let lines: Vec<Value> = std::str::from_utf8(admitted.line())
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    let methods: Vec<&str> = lines
        .iter()
        .map(|line| line["method"].as_str().unwrap())
        .collect();
    assert_eq!(
        methods,
        ["initialize", "notifications/initialized", "tools/call"]
    );
    assert_eq!(
        lines[2]["params"],
        json!({ "name": "add", "arguments": { "a": 1 } })
    );
    let without = call(&json!({ "tool": "say" })).unwrap();
    let last = std::str::from_utf8(without.line())
        .unwrap()
        .lines()
        .last()
        .unwrap()
        .parse::<Value>()
        .unwrap();
    assert_eq!(last["params"]["arguments"], json!({}));
}

/// "An unpinned tool is `rejected`", and so are arguments that the pinned schema does not take: before anything runs.
#[test]
fn what_is_not_pinned_is_refused_before_it_runs() {
    for (data, words) in [
        (
            json!({ "tool": "remove", "arguments": {} }),
            "the tool 'remove' is not pinned: the package's mcp-tools.json has add and say",
        ),
        (
            json!({ "tool": "add", "arguments": { "a": "1" } }),
            "inputSchema of tool 'add': /a",
        ),
        (json!({ "tool": "add" }), "/a is missing"),
        (
            json!({ "tool": "add", "arguments": { "a": 1, "b": 2 } }),
            "unknown field 'b'",
        ),
        (json!({ "tool": "say", "arguments": [] }), "are an object"),
        (json!({ "tool": "say", "more": 1 }), "no 'more'"),
        (json!({ "tool": 1 }), "names its 'tool'"),
        (json!({}), "names its 'tool'"),
    ] {
        let refusal = call(&data).unwrap_err();
        assert!(
            refusal.notes.starts_with("Invalid request") && refusal.notes.contains(words),
            "{}",
            refusal.notes
        );
        assert!(refusal.input_hash.is_some());
    }
    let (manifest, schemas) = compiled();
    let mut other =
        serde_json::to_value(call(&json!({ "tool": "say" })).unwrap().request()).unwrap();
    other["payload"]["schema_ref"] = json!("any/1");
    let refusal = admit_value(&other, &manifest, &schemas).unwrap_err();
    assert!(
        refusal.notes.contains("use mcp-call/1"),
        "{}",
        refusal.notes
    );
}

/// What is made of a server's message after a call of `tool`.
fn judged(tool: &str, message: &Value) -> Result<Accepted, Misbehaviour> {
    let (manifest, schemas) = compiled();
    let arguments = if tool == "add" {
        json!({ "a": 1 })
    } else {
        json!({})
    };
    let admitted = call(&json!({ "tool": tool, "arguments": arguments })).unwrap();
    check_answer(
        message.to_string().as_bytes(),
        &admitted,
        &manifest,
        &schemas,
    )
}

/// The answer with this result.
fn of(result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "result": result })
}

#[test]
fn a_result_keeps_what_the_pinned_definition_promises() {
    let text = json!([{ "type": "text", "text": "3" }]);
    let good = judged(
        "add",
        &of(&json!({ "content": text, "structuredContent": { "sum": 3 }, "_meta": { "x": 1 } })),
    )
    .unwrap();
    assert_eq!(good.status, Status::Ok);
    let result = serde_json::to_value(good.result.unwrap()).unwrap();
    assert_eq!(
        result,
        json!({ "kind": "json", "schema_ref": "mcp-result/1", "data": { "content": text, "structuredContent": { "sum": 3 } } })
    );
    let failed = judged("add", &of(&json!({ "content": text, "isError": true }))).unwrap();
    assert_eq!(
        serde_json::to_value(failed.result.unwrap()).unwrap()["data"]["isError"],
        true
    );
    let error = judged(
        "add",
        &json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32602, "message": "no\u{1b}[2J" } }),
    )
    .unwrap();
    assert_eq!((error.status, error.result), (Status::Error, None));
    assert_eq!(
        error.notes,
        "the server answered with error -32602: no\u{fffd}[2J"
    );
}

#[test]
fn a_result_that_breaks_a_promise_is_no_answer() {
    let text = json!([{ "type": "text", "text": "3" }]);
    for (tool, result, words) in [
        ("add", json!({ "content": text }), "no structuredContent"),
        (
            "add",
            json!({ "content": text, "structuredContent": { "sum": "3" } }),
            "outputSchema of tool 'add': /sum",
        ),
        (
            "say",
            json!({ "content": text, "structuredContent": [] }),
            "no object",
        ),
        ("say", json!({ "content": "3" }), "no list of objects"),
        (
            "say",
            json!({ "content": [{ "text": "3" }] }),
            "no list of objects",
        ),
        (
            "say",
            json!({ "content": text, "isError": "no" }),
            "neither true nor false",
        ),
        ("say", json!([]), "no object"),
        (
            "say",
            json!({ "content": [{ "type": "text", "text": "x".repeat(5000) }] }),
            "more than the",
        ),
    ] {
        let wrong = judged(tool, &of(&result)).unwrap_err();
        assert!(wrong.words.contains(words), "{words}: {}", wrong.words);
    }
    let (manifest, schemas) = compiled();
    let admitted = call(&json!({ "tool": "say" })).unwrap();
    let twice = br#"{"id":1,"result":{"content":[],"content":[]}}"#;
    assert!(check_answer(twice, &admitted, &manifest, &schemas).is_err());
}

#[test]
fn the_question_for_tools_is_only_for_servers() {
    let asking = serde_json::to_value(call(&json!({ "tool": "say" })).unwrap().request()).unwrap();
    let (server, schemas) = compiled();
    let admitted = admit_listing(&asking, &server).unwrap();
    assert_eq!(admitted.asked(), &Asked::Tools);
    assert!(String::from_utf8_lossy(admitted.line()).contains("tools/list"));
    let tools = br#"{"id":1,"result":{"tools":[{"name":"a","inputSchema":{"maximum":18446744073709551615}}]}}"#;
    let listed = check_answer(tools, &admitted, &server, &schemas).unwrap();
    assert_eq!(listed.status, Status::Ok);
    let other = checked(&with("/io/inputs/0/kind", json!("text")));
    assert!(admit_listing(&asking, &other).is_err());
    let two = [
        json!({ "name": "a", "inputSchema": {} }),
        json!({ "name": "b" }),
        json!({ "name": "a", "inputSchema": {} }),
    ];
    let unusable = unusable_tools(&two);
    let places: Vec<usize> = unusable.iter().map(|(at, _)| *at).collect();
    assert_eq!(places, [1, 2], "{unusable:?}");
}
