//! Shapes, steps and defaults of the contract that no campaign is about, each with its sentence.

use std::fs;

use campaigns::answers::{crashing, prompt};
use campaigns::channel::{Channel, invoke};
use campaigns::library::open;
use campaigns::program::{Link, c};
use campaigns::request::{request, text};
use campaigns::{Host, Package};
use plugin_gateway::testing::Harness;
use serde_json::{Value, json};

/// The names of an object's members, sorted.
fn names(value: &Value) -> Vec<&str> {
    let members = value
        .as_object()
        .unwrap_or_else(|| panic!("no object: {value}"));
    let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn native(id: &str, body: &str) -> Package {
    Package::native(id, &c(body, Link::Static))
}

/// "`OMEGA_PLUGIN_API_VERSION` = `1.0.0`": what the gateway says of itself, and what a manifest is held against.
#[test]
fn inv_pnp_09_the_gateway_says_its_version() {
    let host = Host::new();
    let mut channel = Channel::open(&host);
    let pong = channel.call("ping", json!({}));
    assert_eq!(
        names(&pong),
        ["anchor", "api_version", "pid", "state", "version"]
    );
    assert_eq!(pong["api_version"], "1.0.0");
    assert_eq!(pong["pid"], channel.pid());
    let exactly = prompt("p.test.exactly")
        .with(|manifest| manifest["supported_omega_api_versions"] = json!("=1.0.0"));
    let report = channel.call("validateManifest", json!({ "manifest": exactly.manifest }));
    assert_eq!(report["valid"], true, "{report}");
}

/// "It writes one line to stdin: `{"type":"invoke","request":{…}}` and closes stdin." The program reads until the end, and
/// counts newlines; the request is the host's own.
#[test]
fn inv_pnp_05_a_plugin_is_given_one_line_and_then_the_end() {
    let host = Host::new();
    let body = "int main(void) { size_t length = read_line(); size_t lines = 0; \
        for (size_t at = 0; at < length; at++) lines += line[at] == '\\n'; \
        int form = strncmp(line, \"{\\\"type\\\":\\\"invoke\\\",\\\"request\\\":{\", 28) == 0 \
            || strstr(line, \",\\\"type\\\":\\\"invoke\\\"}\\n\") != NULL; \
        char data[64]; snprintf(data, sizeof data, \"{\\\"lines\\\":%zu,\\\"form\\\":%d,\\\"last\\\":%d}\", lines, form, line[length - 1]); \
        answer(data); }";
    let id = host.install(&native("p.test.reads", body));
    let told = host.ask(&id, "several\nlines");
    assert_eq!(
        told["result"]["data"],
        json!({ "lines": 1, "form": 1, "last": 10 }),
        "{told}"
    );
}

/// "The gateway takes the line, ends the process and reaps it before it answers. Anything more on stdout is a rejection, but blank
/// lines are nothing; its words quote the first 200 bytes of what was there."
#[test]
fn inv_pnp_10_anything_more_than_one_line_is_a_rejection() {
    let host = Host::new();
    let ask = |name: &str, more: &str| {
        let body = format!("int main(void) {{ read_line(); answer_and(\"{{}}\", \"{more}\"); }}");
        let id = host.install(&native(&format!("p.test.{name}"), &body));
        host.ask(&id, "x")
    };
    for (name, more, quoted) in [
        ("byte", "x", "\"x\""),
        ("late", "\\n \\nlate\\n", "\"late\\n\""),
    ] {
        let told = ask(name, more);
        assert_eq!(
            (&told["status"], &told["result"]),
            (&json!("rejected"), &Value::Null),
            "{name}: {told}"
        );
        assert!(told["notes"].as_str().unwrap().contains(quoted), "{told}");
    }
    for (name, more) in [
        ("blank", "\\n"),
        ("space", " "),
        ("blanks", "\\r\\n \\n\\n"),
    ] {
        assert_eq!(ask(name, more)["status"], "ok", "{name}");
    }
}

/// "A process serves exactly one request. It may be started ahead of time, never used twice."
#[test]
fn inv_pnp_05_a_process_serves_one_request() {
    let host = Host::new();
    let body = "static int served; int main(void) { read_line(); served++; char data[32]; \
        snprintf(data, sizeof data, \"{\\\"served\\\":%d}\", served); answer(data); pause(); }";
    let id = host.install(&native("p.test.once", body));
    let mut channel = Channel::open(&host);
    for call in 0..5 {
        let told = channel.call("invoke", invoke(&id, &format!("{call}"), 10_000));
        assert_eq!(told["result"]["data"], json!({ "served": 1 }), "{told}");
    }
    assert_eq!(
        campaigns::processes::plugins_of(channel.pid()),
        Vec::<u32>::new(),
        "ended and reaped"
    );
}

/// "optional `max_memory_bytes` (default 128 MiB), optional `max_cpu_ms` (default `max_ms`)"; some MiB more are for what the kernel
/// keeps for a process.
#[test]
fn inv_pnp_08_limits_that_are_left_out_have_their_defaults() {
    const TAKES: &str = "int main(void) { read_line(); const char *at = strstr(line, \"\\\"content\\\":\\\"\") + 11; \
        size_t size = strtoul(at, NULL, 10) << 20; char *taken = malloc(size); if (!taken) return 7; \
        for (size_t page = 0; page < size; page += 4096) taken[page] = 1; answer(\"{}\"); }";
    let host = Host::new();
    let id = host.install(&native("p.test.takes", TAKES));
    assert_eq!(host.ask(&id, "100")["status"], "ok");
    let told = host.ask(&id, "200");
    assert_ne!(told["status"], "ok", "{told}");
    let spins = native("p.test.spins", "int main(void) { read_line(); for (;;); }")
        .with(|manifest| manifest["limits"]["max_ms"] = json!(300));
    let id = host.install(&spins);
    assert_eq!(host.ask(&id, "x")["status"], "timeout");
}

/// "`PipelineResponse {run_id, strategy, steps[{plugin_id, response, step_index}], overall_status, total_duration_ms}`".
#[test]
fn inv_pnp_01_a_pipeline_response_has_its_members() {
    let host = Host::new();
    let (good, bad) = (
        host.install(&prompt("p.test.good")),
        host.install(&crashing("p.test.bad")),
    );
    let both = format!("{good},{bad}");
    let verb = [
        "--json",
        "pipeline",
        "--plugins",
        &both,
        "--strategy",
        "sequential",
        "--text",
        "x",
        "--run",
        "r-1",
    ];
    let said = host.say(verb).expect(1).json();
    assert_eq!(
        names(&said),
        [
            "overall_status",
            "run_id",
            "steps",
            "strategy",
            "total_duration_ms"
        ]
    );
    assert_eq!(
        (&said["run_id"], &said["strategy"]),
        (&json!("r-1"), &json!("sequential"))
    );
    for (index, step) in said["steps"].as_array().unwrap().iter().enumerate() {
        assert_eq!(names(step), ["plugin_id", "response", "step_index"]);
        assert_eq!(step["step_index"], index);
        assert_eq!(
            names(&step["response"]),
            [
                "duration_ms",
                "evidence_hashes",
                "notes",
                "plugin_id",
                "request_id",
                "result",
                "status"
            ]
        );
    }
}

/// "`proof export RUN --out FILE`, `proof verify FILE --key PUB`, `proof show FILE`"; "`proof verify --key` takes either";
/// "`proof verify` `{valid, checks[{name, outcome: pass|fail|not_checked, detail}]}`"; exit code 1: "verification failed".
#[test]
fn inv_pnp_07_a_proof_is_exported_shown_and_verified() {
    let host = Host::new();
    let id = host.install(&prompt("p.test.proved"));
    host.say(["invoke", &id, "--text", "x", "--run", "run-proved"])
        .expect(0);
    let file = host.folder().join("proof.json");
    let path = file.to_str().unwrap();
    host.say(["proof", "export", "run-proved", "--out", path])
        .expect(0);
    let bundle: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        names(&bundle),
        [
            "checkpoint",
            "created_at",
            "events",
            "export",
            "format",
            "head_event_hash",
            "inclusion",
            "plugin_manifest_digests",
            "proof_id",
            "run_id",
            "validation_reports"
        ]
    );
    assert_eq!(bundle["format"], "plugin-gateway-proof/1");
    assert!(
        host.say(["proof", "show", path])
            .expect(0)
            .stdout
            .contains("run-proved")
    );
    for key in ["log.pub", "log.vkey"] {
        let key = host.state().join(key);
        let verify = [
            "--json",
            "proof",
            "verify",
            path,
            "--key",
            key.to_str().unwrap(),
        ];
        let report = host.say(verify).expect(0).json();
        assert_eq!(report["valid"], true, "{report}");
        for check in report["checks"].as_array().unwrap() {
            assert_eq!(names(check), ["detail", "name", "outcome"]);
        }
    }
    let changed =
        fs::read_to_string(&file)
            .unwrap()
            .replacen("\"status\":\"ok\"", "\"status\":\"no\"", 1);
    fs::write(&file, changed).unwrap();
    let key = host.state().join("log.pub");
    let report = host
        .say([
            "--json",
            "proof",
            "verify",
            path,
            "--key",
            key.to_str().unwrap(),
        ])
        .expect(1)
        .json();
    assert_eq!(report["valid"], false, "{report}");
    host.say(["proof", "export", "no-such-run", "--out", path])
        .expect(1);
}

/// "`exportProof {run_id}`": the bundle over the channel is the one that the auditor's verb takes.
#[test]
fn inv_pnp_07_a_proof_over_the_channel_is_the_same() {
    let host = Host::new();
    let id = host.install(&prompt("p.test.proved"));
    let mut channel = Channel::open(&host);
    channel.call("invoke", invoke(&id, "x", 10_000));
    let bundle = channel.call("exportProof", json!({ "run_id": "run-of-the-test" }));
    let file = host.folder().join("proof.json");
    fs::write(&file, bundle.to_string()).unwrap();
    let key = host.state().join("log.vkey");
    host.say([
        "proof",
        "verify",
        file.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ])
    .expect(0);
    assert_eq!(
        channel.code("exportProof", json!({ "run_id": "no-such-run" })),
        -32_602
    );
    assert_eq!(
        channel.code("exportProof", json!({ "run_id": "" })),
        -32_602
    );
}

/// Settings "all with defaults, documented": what `config --explain` prints is a `config.toml` that changes nothing.
#[test]
fn inv_pnp_01_the_explained_settings_are_a_settings_file() {
    let host = Host::new();
    let before = host.say(["--json", "config"]).expect(0).json();
    let explained = host.say(["config", "--explain"]).expect(0).stdout;
    for name in names(&before) {
        assert!(
            explained.contains(&format!("\n{name} = "))
                || explained.contains(&format!("\n# {name}")),
            "{name}"
        );
    }
    assert!(explained.matches("# default: ").count() >= names(&before).len());
    fs::write(host.state().join("config.toml"), &explained).unwrap();
    assert_eq!(host.say(["--json", "config"]).expect(0).json(), before);
    fs::write(host.state().join("config.toml"), "calls_at_once = 3\n").unwrap();
    assert_eq!(
        host.say(["--json", "config"]).expect(0).json()["calls_at_once"],
        3
    );
    fs::write(host.state().join("config.toml"), "calls_at_twice = 3\n").unwrap();
    assert!(
        host.say(["config"])
            .expect(2)
            .stderr
            .contains("calls_at_twice")
    );
}

/// The library as a test harness: a temporary state and a key of its own, gone when it is dropped.
#[test]
fn inv_pnp_01_the_library_is_a_harness_in_ten_lines() {
    let folder = tempfile::tempdir().unwrap();
    prompt("p.test.harness").write(folder.path());
    let gateway = Harness::new().unwrap();
    let plugin = gateway.install(folder.path()).unwrap();
    let outcome = gateway
        .invoke(plugin.as_str(), &request(text("hello")), None)
        .unwrap();
    assert_eq!(
        outcome.response.status.as_str(),
        "ok",
        "{}",
        outcome.response.notes
    );
    assert_eq!(gateway.list_plugins().len(), 1);
    let state = gateway.state().to_owned();
    drop(gateway);
    assert!(!state.exists());
    assert!(
        !folder.path().join("plugin.sig").exists(),
        "the package stays as it is"
    );
}

/// The eight operations in the library, from a package to a proof: "spelled in each language's own case".
#[test]
fn inv_pnp_01_the_operations_are_those_of_the_library() {
    let host = Host::new();
    let package = host.signed(&prompt("p.test.library"));
    let gateway = open(&host);
    let manifest = fs::read(package.join("plugin.json")).unwrap();
    assert!(plugin_gateway::Gateway::validate_manifest(&manifest).valid);
    let registration = plugin_gateway::Registration {
        package: &package,
        signature: None,
        replace: false,
    };
    let info = gateway.register_plugin(registration).unwrap();
    assert_eq!(
        gateway
            .enable_plugin(&info.plugin_id)
            .unwrap()
            .status
            .as_str(),
        "enabled"
    );
    assert_eq!(gateway.list_plugins().len(), 1);
    let asked = request(text("x"));
    let outcome = gateway.invoke("p.test.library", &asked, None).unwrap();
    assert_eq!(outcome.response.status.as_str(), "ok");
    let policy = json!({ "strategy": "fan_out", "plugin_ids": ["p.test.library"], "timeout_ms": 10_000, "stop_on_failure": true });
    let policy = serde_json::from_value(policy).unwrap();
    let pipeline = gateway.invoke_pipeline(&policy, &asked, None).unwrap();
    assert_eq!(pipeline.overall_status.as_str(), "ok");
    let run = plugin_protocol::ids::RunId::parse("run-1").unwrap();
    assert_eq!(gateway.export_proof(&run).unwrap().events.len(), 4);
    assert_eq!(
        gateway
            .disable_plugin(&info.plugin_id)
            .unwrap()
            .status
            .as_str(),
        "disabled"
    );
}
