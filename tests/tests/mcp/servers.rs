//! Servers of the Model Context Protocol as plugins: how they are imported, what is pinned, and the exchange with one process a call.

use std::fs;
use std::path::{Path, PathBuf};

use campaigns::Host;
use serde_json::{Value, json};

use super::client::{RECEIPT, kinds, session};

const SERVER: &str = include_str!("../../src/servers/server.py");

/// A folder with the server alone.
fn folder(host: &Host) -> PathBuf {
    let folder = host.folder().join("server");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("server.py"), SERVER).unwrap();
    folder
}

fn import(host: &Host, folder: &Path, more: &[&str]) -> campaigns::Said {
    let folder = folder.to_str().unwrap();
    let mut words = vec!["mcp", "import", folder];
    words.extend(more);
    words.extend(["--", "python3", "server.py"]);
    host.say(words)
}

/// Imports, signs, registers and enables the server.
fn imported(host: &Host) -> (PathBuf, String) {
    let folder = folder(host);
    import(host, &folder, &[]).expect(0);
    let id = host.install_folder(&folder);
    (folder, id)
}

fn payload(tool: &str, arguments: &Value) -> Value {
    json!({ "kind": "json", "schema_ref": "mcp-call/1", "data": { "tool": tool, "arguments": arguments } })
}

fn call(host: &Host, id: &str, tool: &str, arguments: &Value) -> Value {
    host.invoke(id, &payload(tool, arguments)).json()
}

/// The text of an answer.
fn said(response: &Value) -> &str {
    response["result"]["data"]["content"][0]["text"]
        .as_str()
        .unwrap_or_default()
}

/// "asks a stdio MCP server inside the jail for its tools and writes `FOLDER/plugin.json` … and `FOLDER/mcp-tools.json`"
#[test]
fn inv_pnp_01_a_server_is_imported_from_inside_the_jail() {
    let host = Host::new();
    let folder = folder(&host);
    let said = import(&host, &folder, &[]).expect(0).stdout;
    for words in [
        "p.mcp.test-server 1.2.3",
        "  echo: Gives back its text.",
        "  writes",
        "warning: /description holds characters that are invisible or turn the direction of reading: U+200B",
        "warning: /description holds markup that hides text from people: an HTML comment (<!--)",
        "left out: remote: the server has a tool 'remote' whose inputSchema is not a usable JSON Schema",
        "refused while it was asked, and without effect: openat(\"/etc/left\"",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains('\u{200b}'));
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
    };
    let entrypoint = json!({ "type": "mcp", "command": ["python3", "server.py"] });
    assert_eq!(read("plugin.json")["entrypoint"], entrypoint);
    let pinned = read("mcp-tools.json");
    let tools = pinned["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 12, "of both pages, but for one");
    assert_eq!(tools[0]["name"], "echo");
    assert_eq!(
        tools[0].get("icons"),
        None,
        "nothing that a client would fetch"
    );
    // Again, after the importer changed something: that stays, and so does the id.
    let mut manifest = read("plugin.json");
    manifest["limits"]["max_ms"] = json!(2_000);
    manifest["vendor"] = json!("Me");
    fs::write(folder.join("plugin.json"), manifest.to_string()).unwrap();
    import(&host, &folder, &["--id", "p.own.name"]).expect(0);
    let again = read("plugin.json");
    assert_eq!(
        (&again["plugin_id"], &again["vendor"]),
        (&json!("p.own.name"), &json!("Me"))
    );
    assert_eq!(again["limits"]["max_ms"], 2_000);
}

/// What cannot be imported leaves the folder as it was.
#[test]
fn inv_pnp_10_an_import_that_fails_writes_nothing() {
    let host = Host::new();
    let folder = folder(&host);
    let names = || -> Vec<String> {
        let entries = fs::read_dir(&folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    for (server, words) in [
        ("import sys\nsys.exit(7)\n", "exited with code 7"),
        ("import no_such_module\n", "no_such_module"),
        (
            "print('{\"id\":0,\"error\":{\"code\":-1,\"message\":\"not today\"}}', flush=True)\ninput()\n",
            "error -1: not today",
        ),
    ] {
        fs::write(folder.join("server.py"), server).unwrap();
        let refused = import(&host, &folder, &[]).expect(1);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        assert_eq!(names(), ["server.py"]);
    }
    let module = host
        .say([
            "mcp",
            "import",
            folder.to_str().unwrap(),
            "--",
            "python3",
            "-m",
            "thing",
        ])
        .expect(2);
    assert!(
        module.stderr.contains("run_module(\"thing\""),
        "{}",
        module.stderr
    );
    let other = json!({ "plugin_id": "p.other.plugin" }).to_string();
    fs::write(folder.join("plugin.json"), &other).unwrap();
    import(&host, &folder, &[]).expect(2);
    assert_eq!(
        fs::read_to_string(folder.join("plugin.json")).unwrap(),
        other
    );
}

/// "One process a call, ended after the answer; stdin stays open until then; what it says besides (notifications, logs) is passed over."
#[test]
fn inv_pnp_05_the_exchange_is_one_process_a_call_within_bounds() {
    let host = Host::new();
    let (_, id) = imported(&host);
    let none = json!({});
    let answer = call(&host, &id, "echo", &json!({ "text": "hello" }));
    let expected = json!({ "content": [{ "type": "text", "text": "hello" }], "structuredContent": { "said": "hello" } });
    assert_eq!(
        answer["result"],
        json!({ "kind": "json", "schema_ref": "mcp-result/1", "data": expected }),
        "{answer}"
    );
    assert_eq!(said(&call(&host, &id, "late", &none)), "input is open");
    assert_eq!(
        said(&call(&host, &id, "asks", &none)),
        r#"[{}, {"roots": []}, -32601]"#
    );
    assert_eq!(said(&call(&host, &id, "chats", &none)), "done");
    let writes = call(&host, &id, "writes", &none);
    assert_eq!(writes["result"]["data"]["isError"], true, "{writes}");
    let denied = host.events().last().unwrap()["meta"]["denied"].clone();
    assert!(denied.as_str().unwrap().contains("/tmp/left"), "{denied}");
    for (tool, arguments, status, words) in [
        ("gone", &none, "rejected", "the tool 'gone' is not pinned"),
        (
            "remote",
            &none,
            "rejected",
            "the tool 'remote' is not pinned",
        ),
        (
            "echo",
            &json!({ "text": 1 }),
            "rejected",
            "inputSchema of tool 'echo'",
        ),
        ("lies", &none, "rejected", "outputSchema of tool 'lies'"),
        ("floods", &none, "rejected", "the server said more than"),
        ("begs", &none, "rejected", "the server said more than"),
        ("fails", &none, "error", "error -32000: no such place"),
        ("leaves", &none, "error", "exited with code 3"),
    ] {
        let answer = call(&host, &id, tool, arguments);
        assert_eq!(answer["status"], status, "{tool}: {answer}");
        assert!(
            answer["notes"].as_str().unwrap().contains(words),
            "{tool}: {answer}"
        );
    }
    let late = host.say_with(
        [
            "--json",
            "invoke",
            &id,
            "--input",
            "-",
            "--timeout-ms",
            "1000",
        ],
        payload("sleeps", &none).to_string().as_bytes(),
    );
    assert_eq!(late.json()["status"], "timeout");
    let events = host.events();
    let of = |kind: &str| {
        events
            .iter()
            .filter(|event| event["kind"] == kind && event["plugin_id"] == id)
            .count()
    };
    assert_eq!(
        (of("INVOKE"), of("RESULT")),
        (11, 5),
        "what is refused before is not run"
    );
    host.verified();
}

/// "On the face its tools are `PLUGIN__TOOL` with the pinned definitions."
#[test]
fn inv_pnp_01_the_tools_of_a_server_are_on_the_face_as_they_are_pinned() {
    let host = Host::new();
    let (folder, id) = imported(&host);
    let listed = host.say(["list"]).expect(0).stdout;
    assert!(
        listed.contains("p_mcp_test-server__echo and 11 more"),
        "{listed}"
    );
    let shown = host.say(["show", &id]).expect(0).stdout;
    assert!(shown.contains("p_mcp_test-server__writes"), "{shown}");
    let mut face = session(&host);
    let list = face.call("tools/list", json!({}));
    let tools = list["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 12);
    let pinned: Value =
        serde_json::from_slice(&fs::read(folder.join("mcp-tools.json")).unwrap()).unwrap();
    for pinned in pinned["tools"].as_array().unwrap() {
        let mut expected = pinned.clone();
        expected["name"] = json!(format!(
            "p_mcp_test-server__{}",
            pinned["name"].as_str().unwrap()
        ));
        assert!(tools.contains(&expected), "{expected}");
    }
    let name = "p_mcp_test-server__echo";
    let result = face.call(
        "tools/call",
        json!({ "name": name, "arguments": { "text": "x" } }),
    );
    assert_eq!(result["structuredContent"], json!({ "said": "x" }));
    assert_eq!(
        (&result["content"][0]["text"], &result["isError"]),
        (&json!("x"), &json!(false))
    );
    let receipt = &result["_meta"][RECEIPT];
    let run = receipt["run_id"].as_str().unwrap().to_owned();
    assert_eq!(
        kinds(&host, &run, receipt["request_id"].as_str()),
        ["INVOKE", "RESULT"]
    );
    let wrong = face.call("tools/call", json!({ "name": name, "arguments": {} }));
    assert_eq!(wrong["isError"], true);
    assert_eq!(
        face.code("tools/call", json!({ "name": "p_mcp_test-server__gone" })),
        -32_602
    );
    let own = face.call("tools/call", json!({ "name": "p_mcp_test-server__writes" }));
    assert_eq!(own["isError"], true, "the server's own isError");
    assert_eq!(own["_meta"][RECEIPT]["status"], "ok");
}

/// "the pinned definitions, which are signed with the rest", and whatever the server says later is no definition.
#[test]
fn inv_pnp_09_pinned_definitions_are_under_the_signature() {
    let host = Host::new();
    let folder = folder(&host);
    import(&host, &folder, &[]).expect(0);
    host.sign(&folder);
    let file = folder.join("mcp-tools.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("Gives back its text.", "Gives back its text!"),
    )
    .unwrap();
    let refused = host.register(&folder);
    assert!(
        refused.stdout.contains("\"signature_valid\":false"),
        "{}{}",
        refused.stdout,
        refused.stderr
    );
    fs::remove_file(&file).unwrap();
    let missing = host.say(["validate", folder.to_str().unwrap()]).expect(1);
    assert!(missing.stdout.contains("mcp import"), "{}", missing.stdout);
    // An operator tries it and certifies it as any other package.
    fs::write(&file, text).unwrap();
    let words = ["--json", "certify", folder.to_str().unwrap()];
    let report = host.say(words).expect(0).json();
    assert_eq!(report["passed"], true, "{report}");
    let tried = host.say_with(
        ["run", folder.to_str().unwrap(), "--input", "-"],
        payload("echo", &json!({ "text": "tried" }))
            .to_string()
            .as_bytes(),
    );
    assert!(tried.expect(0).stdout.contains("tried"));
}
