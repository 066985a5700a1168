//! The supervisor channel as a host meets it (contract, section 12).

#[path = "channel/deaths.rs"]
mod deaths;
#[path = "channel/told.rs"]
mod told;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use campaigns::answers::{crashing, hostile, prompt, slow};
use campaigns::channel::{Channel, invoke, request};
use campaigns::command::{Host, binary};
use campaigns::processes::{descendants_of, exists, peak_memory_kib, plugins_of};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// Much longer than a test waits for anything else.
const LONG_MS: u32 = 50_000;

fn settings(host: &Host, text: &str) {
    fs::write(host.state().join("config.toml"), text).unwrap();
}

/// Waits until the gateway has started this many plugins.
fn wait_for_plugins(host: &Host, count: usize) {
    wait_until("the plugins run", || {
        let events = fs::read_dir(host.state().join("ledger/seg")).unwrap();
        let text: String = events
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        text.matches("\"kind\":\"INVOKE\"").count() >= count
    });
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "it never came that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kinds_of(host: &Host, request_id: &str) -> Vec<String> {
    let mine = host
        .events()
        .into_iter()
        .filter(|event| event["request_id"] == request_id);
    mine.map(|event| event["kind"].as_str().unwrap().to_owned())
        .collect()
}

/// "Many calls may be in flight; answers come in the order they finish."
#[test]
fn inv_pnp_01_answers_come_in_the_order_in_which_calls_finish() {
    let host = Host::new();
    let (fast, late) = (
        host.install(&prompt("p.test.fast")),
        host.install(&slow("p.test.late", 1_500)),
    );
    let mut channel = Channel::open(&host);
    let first = channel.send("invoke", invoke(&late, "late", 10_000));
    wait_for_plugins(&host, 1);
    let second = channel.send("invoke", invoke(&fast, "fast", 10_000));
    let third = channel.send("ping", json!({}));
    for id in [&first, &second, &third] {
        let answer = channel.answer(id);
        assert!(answer.get("result").is_some(), "{answer}");
    }
    assert_eq!(channel.order.last(), Some(&first));
    assert_eq!(channel.order.len(), 3);
}

/// "Methods are the eight operations of section 7 under those names, `params` by name".
#[test]
fn inv_pnp_01_the_operations_are_there_under_their_names() {
    let host = Host::new();
    let folder = host.folder().join("package");
    fs::create_dir(&folder).unwrap();
    prompt("p.test.named").write(&folder);
    host.sign(&folder);
    let mut channel = Channel::open(&host);
    let manifest: Value =
        serde_json::from_slice(&fs::read(folder.join("plugin.json")).unwrap()).unwrap();
    let report = channel.call("validateManifest", json!({ "manifest": manifest }));
    assert_eq!(report["valid"], true, "{report}");
    let report = channel.call("validateManifest", json!({ "manifest": {} }));
    assert_eq!(report["valid"], false, "{report}");
    let info = channel.call("registerPlugin", json!({ "package": folder }));
    assert_eq!(info["status"], "registered", "{info}");
    let plugin = json!({ "plugin_id": "p.test.named" });
    assert_eq!(
        channel.call("enablePlugin", plugin.clone())["status"],
        "enabled"
    );
    assert_eq!(
        channel.call("listPlugins", json!({}))[0]["plugin_id"],
        "p.test.named"
    );
    let response = channel.call("invoke", invoke("p.test.named", "x", 5_000));
    assert_eq!(response["status"], "ok", "{response}");
    let policy = json!({ "strategy": "sequential", "plugin_ids": ["p.test.named"], "timeout_ms": 5_000, "stop_on_failure": true });
    let pipeline = channel.call(
        "invokePipeline",
        json!({ "policy": policy, "request": request("y", 5_000) }),
    );
    assert_eq!(pipeline["overall_status"], "ok", "{pipeline}");
    assert_eq!(channel.call("disablePlugin", plugin)["status"], "disabled");
    let verified = channel.call("verifyLedger", json!({}));
    assert_eq!(verified["valid"], true, "{verified}");
    let pong = channel.call("ping", json!({}));
    assert_eq!(pong["api_version"], "1.0.0", "{pong}");
}

/// "RPC errors are for bad messages (-32700, -32600, -32601, -32602)".
#[test]
fn inv_pnp_10_bad_messages_have_their_codes_and_the_channel_goes_on() {
    let host = Host::new();
    let mut channel = Channel::open(&host);
    for (line, code) in [
        ("garbage", -32_700),
        ("", -32_700),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi", -32_700),
        ("{\"jsonrpc\":\"2.0\",\"a\":1,\"a\":2}", -32_700),
        ("[]", -32_600),
        (
            "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]",
            -32_600,
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}",
            -32_600,
        ),
        ("{\"id\":1.5,\"method\":\"ping\"}", -32_600),
    ] {
        channel.send_raw(format!("{line}\n").as_bytes());
        let notice = channel.notice();
        assert_eq!(notice["error"]["code"], code, "{line}: {notice}");
        assert_eq!(notice["id"], Value::Null, "{line}");
    }
    channel.send_raw(b"\xff\xfe{}\n");
    assert_eq!(channel.notice()["error"]["code"], -32_700);
    assert_eq!(channel.code("noSuchMethod", json!({})), -32_601);
    assert_eq!(
        channel.code(
            "operator.trustRemove",
            json!({ "key_id": "0123456789abcdef" })
        ),
        -32_601
    );
    assert_eq!(channel.code("invoke", json!({})), -32_602);
    assert_eq!(channel.code("invoke", json!(["p.x.y"])), -32_602);
    assert_eq!(channel.code("ping", json!({ "more": 1 })), -32_602);
    channel.call("ping", json!({}));
}

/// "each is refused with a message that says what to do instead".
#[test]
fn inv_pnp_04_the_json_rules_hold_on_the_channel() {
    let host = Host::new();
    let mut channel = Channel::open(&host);
    channel.send_raw(b"{\"jsonrpc\":\"2.0\",\"id\":\"n\",\"method\":\"ping\",\"params\":{\"n\":9007199254740993}}\n");
    let answer = channel.answer(&json!("n"));
    assert_eq!(answer["error"]["code"], -32_700);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("send it as a string"),
        "{answer}"
    );
    let deep = format!("{}{}\n", "[".repeat(200), "]".repeat(200));
    channel.send_raw(deep.as_bytes());
    assert!(
        channel.notice()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("nesting")
    );
}

/// "unknown plugin on registry verbs (-32001), refused by policy or trust (-32002)";
/// "A refused call to a plugin is a normal result (`status: "rejected"`), not an RPC error".
#[test]
fn inv_pnp_10_refusals_are_told_apart() {
    let host = Host::new();
    let folder = host.folder().join("package");
    fs::create_dir(&folder).unwrap();
    prompt("p.test.refused").write(&folder);
    let mut channel = Channel::open(&host);
    for method in ["enablePlugin", "disablePlugin"] {
        for id in ["p.test.unknown", "NO ID"] {
            assert_eq!(
                channel.code(method, json!({ "plugin_id": id })),
                -32_001,
                "{method} {id}"
            );
        }
    }
    let info = channel.call("registerPlugin", json!({ "package": folder }));
    assert_eq!(info["status"], "rejected", "it is not signed: {info}");
    assert_eq!(
        channel.code("enablePlugin", json!({ "plugin_id": "p.test.refused" })),
        -32_002
    );
    let response = channel.call("invoke", invoke("p.test.unknown", "x", 1_000));
    assert_eq!(response["status"], "rejected");
    assert!(response["notes"].as_str().unwrap().contains("not found"));
    let response = channel.call(
        "invoke",
        json!({ "plugin_id": "p.test.unknown", "request": 5 }),
    );
    assert_eq!(response["status"], "rejected", "{response}");
}

/// The id of a call in flight is taken.
#[test]
fn inv_pnp_01_an_id_in_flight_is_refused_and_free_again_afterwards() {
    let host = Host::new();
    let late = host.install(&slow("p.test.late", 1_000));
    let mut channel = Channel::open(&host);
    let id = json!("mine");
    channel.send_as(&id, "invoke", invoke(&late, "one", 10_000));
    wait_for_plugins(&host, 1);
    channel.send_as(&id, "ping", json!({}));
    assert_eq!(channel.answer(&id)["error"]["code"], -32_600);
    assert_eq!(channel.answer(&id)["result"]["status"], "ok");
    channel.send_as(&id, "ping", json!({}));
    assert!(channel.answer(&id).get("result").is_some());
}

/// A notification is carried out and not answered.
#[test]
fn inv_pnp_01_a_notification_is_not_answered() {
    let host = Host::new();
    let fast = host.install(&prompt("p.test.fast"));
    let mut channel = Channel::open(&host);
    let message =
        json!({ "jsonrpc": "2.0", "method": "invoke", "params": invoke(&fast, "told", 5_000) });
    channel.send_raw(format!("{message}\n").as_bytes());
    channel.call("ping", json!({}));
    channel.close();
    let ended = channel.ended();
    assert_eq!((ended.code, ended.rest), (Some(0), Vec::new()));
    assert_eq!(kinds_of(&host, "r-told"), ["INVOKE", "RESULT"]);
}

/// "`cancel {id}`" ends a call that runs and one that waits; each is answered, by its own answer.
#[test]
fn inv_pnp_07_a_cancelled_call_is_answered_and_recorded() {
    let host = Host::new();
    settings(&host, "calls_at_once = 1\n");
    let late = host.install(&slow("p.test.late", LONG_MS));
    let mut channel = Channel::open(&host);
    let running = channel.send("invoke", invoke(&late, "running", 60_000));
    wait_for_plugins(&host, 1);
    let waiting = channel.send("invoke", invoke(&late, "waiting", 60_000));
    let nobody = channel.call("cancel", json!({ "id": "nobody" }));
    assert_eq!(nobody["cancelled"], false);
    for id in [&waiting, &running] {
        let cancelled = channel.call("cancel", json!({ "id": id }));
        assert_eq!(cancelled["cancelled"], true);
        let answer = channel.answer(id);
        assert_eq!(answer["result"]["status"], "error", "{answer}");
        assert!(
            answer["result"]["notes"]
                .as_str()
                .unwrap()
                .contains("cancelled"),
            "{answer}"
        );
    }
    assert_eq!(kinds_of(&host, "r-running"), ["INVOKE", "ERROR"]);
    assert_eq!(kinds_of(&host, "r-waiting"), ["ERROR"]);
    wait_until("the plugin is gone", || {
        plugins_of(channel.pid()).is_empty()
    });
}

/// "`overloaded` (the waiting line is full, or its turn did not come in time)".
#[test]
fn inv_pnp_08_a_full_line_is_answered_at_once_as_overloaded() {
    let host = Host::new();
    settings(&host, "calls_at_once = 1\ncalls_waiting = 1\n");
    let late = host.install(&slow("p.test.late", LONG_MS));
    let mut channel = Channel::open(&host);
    let running = channel.send("invoke", invoke(&late, "running", 60_000));
    wait_for_plugins(&host, 1);
    let waiting = channel.send("invoke", invoke(&late, "waiting", 300));
    let refused = channel.call("invoke", invoke(&late, "refused", 60_000));
    assert_eq!(refused["status"], "rejected");
    assert!(
        refused["notes"].as_str().unwrap().contains("overloaded"),
        "{refused}"
    );
    assert_eq!(kinds_of(&host, "r-refused"), ["REJECT"]);
    let late_turn = channel.answer(&waiting);
    assert_eq!(late_turn["result"]["status"], "rejected");
    assert!(
        late_turn["result"]["notes"]
            .as_str()
            .unwrap()
            .contains("overloaded")
    );
    channel.call("cancel", json!({ "id": running }));
    channel.answer(&running);
}

/// Lines are bounded; what is too long is refused and reading goes on behind it.
#[test]
fn inv_pnp_08_a_line_that_is_too_long_is_refused_and_memory_stays_bounded() {
    let host = Host::new();
    settings(
        &host,
        "[channel]\nmax_line_bytes = 65536\nmax_held_bytes = 65536\n",
    );
    let mut channel = Channel::open(&host);
    channel.call("ping", json!({}));
    let before = peak_memory_kib(channel.pid());
    let part = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        channel.send_raw(&part);
    }
    channel.send_raw(b"\n");
    let notice = channel.notice();
    assert_eq!(notice["error"]["code"], -32_600, "{notice}");
    channel.call("ping", json!({}));
    let more = peak_memory_kib(channel.pid()) - before;
    assert!(more < 8 * 1024, "64 MiB on one line took {more} KiB");
}

/// "End of input: finish what is in flight, then exit 0."
#[test]
fn inv_pnp_07_end_of_input_finishes_what_is_in_flight() {
    let host = Host::new();
    let late = host.install(&slow("p.test.late", 700));
    let mut channel = Channel::open(&host);
    channel.send("invoke", invoke(&late, "one", 10_000));
    channel.send("invoke", invoke(&late, "two", 10_000));
    channel.close();
    let ended = channel.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(ended.rest.len(), 2);
    assert!(
        ended
            .rest
            .iter()
            .all(|line| line["result"]["status"] == "ok"),
        "{ended:?}"
    );
    assert!(!host.state().join("control.sock").exists());
}

/// "SIGTERM: the same with a deadline."
#[test]
fn inv_pnp_07_sigterm_drains_until_its_deadline() {
    let host = Host::new();
    settings(&host, "[channel]\ndrain_ms = 2000\n");
    let (late, never) = (
        host.install(&slow("p.test.late", 300)),
        host.install(&slow("p.test.never", LONG_MS)),
    );
    let mut channel = Channel::open(&host);
    channel.send("invoke", invoke(&late, "late", 10_000));
    channel.send("invoke", invoke(&never, "never", 60_000));
    wait_for_plugins(&host, 2);
    channel.signal(Signal::SIGTERM);
    let ended = channel.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let statuses: Vec<_> = ended
        .rest
        .iter()
        .map(|line| line["result"]["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["ok", "error"], "{ended:?}");
    assert_eq!(kinds_of(&host, "r-never"), ["INVOKE", "ERROR"]);
}

/// "`shutdown`": the calls in flight are answered, then it is, then the gateway ends.
#[test]
fn inv_pnp_07_shutdown_is_answered_last() {
    let host = Host::new();
    let late = host.install(&slow("p.test.late", 500));
    let mut channel = Channel::open(&host);
    channel.send("invoke", invoke(&late, "late", 10_000));
    let id = channel.send("shutdown", json!({}));
    let ended = channel.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(ended.rest.len(), 2);
    assert_eq!(ended.rest[0]["result"]["status"], "ok");
    assert_eq!(ended.rest[1]["id"], id);
}

/// "ledger unavailable (-32003)"; "If the first cannot be made durable the plugin is not run; if the second cannot, the host
/// gets an error and never the result."
#[test]
fn inv_pnp_10_a_ledger_that_cannot_be_written_is_told_by_its_code() {
    let host = Host::new();
    let fast = host.install(&prompt("p.test.fast"));
    host.alone();
    let mut channel = Channel::open(&host);
    assert_eq!(
        channel.call("invoke", invoke(&fast, "fine", 5_000))["status"],
        "ok"
    );
    // A full disk, as a writer sees it: no file may grow beyond what it has.
    let bytes = fs::metadata(host.segment()).unwrap().len();
    let limit = format!("--fsize={bytes}");
    let limited = Command::new("prlimit")
        .args(["--pid", &channel.pid().to_string(), &limit])
        .status();
    if !limited.is_ok_and(|status| status.success()) {
        return campaigns::skip("prlimit (util-linux) is not installed");
    }
    let plugin = json!({ "plugin_id": fast });
    for (method, params) in [
        ("invoke", invoke(&fast, "lost", 5_000)),
        ("disablePlugin", plugin),
        ("exportProof", json!({ "run_id": "run-of-the-test" })),
    ] {
        let id = channel.send(method, params);
        let answer = channel.answer(&id);
        assert_eq!(answer["error"]["code"], -32_003, "{method}: {answer}");
        assert!(answer.get("result").is_none(), "{method}: {answer}");
    }
    channel.call("ping", json!({}));
    channel.close();
    channel.ended();
    assert_eq!(kinds_of(&host, "r-lost"), Vec::<String>::new());
    host.verified();
}

/// "`registerPlugin` takes the package (or manifest) and a signature": a manifest alone has no code, and is recorded as rejected.
#[test]
fn inv_pnp_10_a_manifest_without_its_package_is_recorded_as_rejected() {
    let host = Host::new();
    let manifest = prompt("p.test.alone").manifest;
    let mut channel = Channel::open(&host);
    let info = channel.call("registerPlugin", json!({ "package": manifest }));
    assert_eq!(
        (&info["status"], &info["signature_valid"]),
        (&json!("rejected"), &json!(false))
    );
    let shown = host
        .say(["--json", "show", "p.test.alone"])
        .expect(0)
        .json();
    assert!(
        shown["reason"]
            .as_str()
            .unwrap()
            .contains("is not in the package"),
        "{shown}"
    );
    assert_eq!(
        channel.code("registerPlugin", json!({ "package": {} })),
        -32_602
    );
    assert_eq!(
        channel.code("registerPlugin", json!({ "package": 5 })),
        -32_602
    );
}

/// The command that serves the state, with pipes to a host that the test plays by hand.
fn piped(host: &Host) -> Command {
    host.alone();
    let mut command = host.command();
    command
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}
