//! Servers that people use, as pip and npm unpack them (`scripts/real-packages` gets them): each answers in the jail as it does outside, and
//! what it would change is not changed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use campaigns::command::real;
use campaigns::{Host, skip_for_registry};
use serde_json::{Value, json};

/// The servers from npm, below the folder of the package.
const NPM: &str = "node_modules/@modelcontextprotocol/server-";

/// A copy of what was made under that name, with a state to put it into.
fn copied(name: &str) -> Option<(Host, PathBuf)> {
    if !real(name).is_dir() {
        skip_for_registry(&format!("scripts/real-packages did not make '{name}'"));
        return None;
    }
    let host = Host::new();
    let folder = host.folder().join("package");
    // The same files under second names, where that can be: npm's are some five thousand, and none of them is changed.
    let copying = Command::new("sh")
        .arg("-c")
        .arg("cp -al \"$0\" \"$1\" 2>/dev/null || { rm -rf \"$1\" && cp -a \"$0\" \"$1\"; }")
        .args([&real(name), &folder])
        .status();
    assert!(copying.unwrap().success());
    Some((host, folder))
}

fn import(host: &Host, folder: &Path, command: &[&str]) -> String {
    let mut words = vec!["mcp", "import", folder.to_str().unwrap(), "--"];
    words.extend(command);
    host.say(words).expect(0).stdout
}

/// A package by hand, with one tool of the server pinned.
fn pin(folder: &Path, id: &str, command: &[&str], tool: &str) {
    let port = |name: &str| json!([{ "kind": "json", "schema_ref": name }]);
    let manifest = json!({
        "plugin_id": id, "name": tool, "vendor": "npm", "version": "1.0.0", "api_version": "1.0.0",
        "capabilities": ["read_json", "write_report"],
        "io": { "inputs": port("mcp-call/1"), "outputs": port("mcp-result/1") },
        "limits": { "max_bytes": 65_536, "max_ms": 30_000, "max_concurrency": 1, "max_memory_bytes": 1 << 29 },
        "entrypoint": { "type": "mcp", "command": command },
    });
    let tools = json!({ "tools": [{ "name": tool, "inputSchema": { "type": "object" } }] });
    fs::write(folder.join("plugin.json"), manifest.to_string()).unwrap();
    fs::write(folder.join("mcp-tools.json"), tools.to_string()).unwrap();
}

fn call(host: &Host, id: &str, tool: &str, arguments: &Value) -> Value {
    let data = json!({ "tool": tool, "arguments": arguments });
    let payload = json!({ "kind": "json", "schema_ref": "mcp-call/1", "data": data });
    let response = host.invoke(id, &payload).json();
    assert_eq!(response["status"], "ok", "{response}");
    response["result"]["data"].clone()
}

/// What the server answers outside, started as a client starts it.
fn bare(folder: &Path, command: &[&str], tool: &str, arguments: &Value) -> Value {
    let mut server = Command::new(command[0]);
    server.args(&command[1..]).current_dir(folder);
    server
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut server = server.spawn().unwrap();
    let opening = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } });
    let mut input = server.stdin.take().unwrap();
    for message in [
        json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": opening }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": arguments } }),
    ] {
        writeln!(input, "{message}").unwrap();
    }
    let lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let messages = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let answer = messages
        .into_iter()
        .find(|message| message["id"] == 1)
        .unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    answer["result"].clone()
}

/// The members of a result that a call keeps.
fn same(kept: &Value, bare: &Value) {
    for member in ["content", "structuredContent"] {
        assert_eq!(kept[member], bare[member], "{member}");
    }
    assert_eq!(kept["isError"] == true, bare["isError"] == true);
}

fn denied(host: &Host) -> String {
    let events = host.events();
    events.last().unwrap()["meta"]["denied"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn inv_pnp_05_a_server_on_either_python_sdk_answers_as_it_does_bare() {
    let command = ["python3", "server.py"];
    let arguments = json!({ "source_timezone": "Asia/Tokyo", "time": "20:30", "target_timezone": "Asia/Kolkata" });
    for name in ["mcpserver1", "mcpserver2"] {
        let Some((host, folder)) = copied(name) else {
            return;
        };
        let said = import(&host, &folder, &command);
        assert!(
            said.contains("p.mcp.mcp-time") && said.contains("  convert_time: "),
            "{said}"
        );
        let id = host.install_folder(&folder);
        let kept = call(&host, &id, "convert_time", &arguments);
        same(&kept, &bare(&folder, &command, "convert_time", &arguments));
        assert!(
            kept["content"][0]["text"]
                .as_str()
                .unwrap()
                .contains("T17:00:00+05:30"),
            "{kept}"
        );
    }
}

/// Each server is a package of some 5,000 files, which are copied once.
#[test]
fn inv_pnp_05_the_servers_of_npm_answer_as_they_do_bare_and_change_nothing() {
    let Some((host, folder)) = copied("mcpservers") else {
        return;
    };
    they_answer_as_they_do_bare(&host, &folder);
    what_they_write_has_no_effect_and_is_named(&host, &folder);
}

fn they_answer_as_they_do_bare(host: &Host, folder: &Path) {
    let everything = format!("{NPM}everything/dist/index.js");
    let command = ["node", everything.as_str()];
    let said = import(host, folder, &command);
    assert!(
        said.contains("Everything Reference Server") && said.contains("  get-sum: "),
        "{said}"
    );
    let id = host.install_folder(folder);
    for (tool, arguments) in [
        ("get-sum", json!({ "a": 2, "b": 40 })),
        ("get-structured-content", json!({ "location": "New York" })),
        ("get-tiny-image", json!({})),
    ] {
        same(
            &call(host, &id, tool, &arguments),
            &bare(folder, &command, tool, &arguments),
        );
    }
    let thinking = format!("{NPM}sequential-thinking/dist/index.js");
    let command = ["node", thinking.as_str()];
    pin(folder, "p.mcp.thinking", &command, "sequentialthinking");
    let id = host.install_folder(folder);
    let thought = json!({ "thought": "x", "nextThoughtNeeded": false, "thoughtNumber": 1, "totalThoughts": 1 });
    same(
        &call(host, &id, "sequentialthinking", &thought),
        &bare(folder, &command, "sequentialthinking", &thought),
    );
}

/// "`server-memory`'s and `server-filesystem`'s writes have no effect and are named in the ledger"
fn what_they_write_has_no_effect_and_is_named(host: &Host, folder: &Path) {
    let memory = format!("{NPM}memory/dist/index.js");
    pin(
        folder,
        "p.mcp.memory",
        &["node", &memory],
        "create_entities",
    );
    let id = host.install_folder(folder);
    let entity = json!({ "entities": [{ "name": "a", "entityType": "b", "observations": ["c"] }] });
    let result = call(host, &id, "create_entities", &entity);
    assert_eq!(result["isError"], true, "{result}");
    assert!(denied(host).contains("memory.jsonl"), "{}", denied(host));
    let files = format!("{NPM}filesystem/dist/index.js");
    // It may write to the folder that it is started in: that is empty, and nobody's.
    pin(folder, "p.mcp.files", &["node", &files, "."], "write_file");
    let id = host.install_folder(folder);
    let file = json!({ "path": "left.txt", "content": "x" });
    let outside = bare(folder, &["node", &files, "."], "write_file", &file);
    assert!(
        outside["isError"] != true && folder.join("left.txt").exists(),
        "it works outside: {outside}"
    );
    let result = call(host, &id, "write_file", &file);
    assert_eq!(result["isError"], true, "{result}");
    assert!(denied(host).contains("left.txt"), "{}", denied(host));
}
