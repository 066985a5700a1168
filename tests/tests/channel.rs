//! The supervisor channel as a host meets it (contract, section 12).

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

/// "When the host dies, no plugin outlives it."
#[test]
fn inv_pnp_05_no_plugin_outlives_a_killed_host() {
    let host = Host::new();
    let never = host.install(&slow("p.test.never", LONG_MS));
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "invoke", "params": invoke(&never, "never", 60_000) });
    // A host of its own process, so that it can be killed: it holds the only other ends of the pipes.
    let script = "coproc GATEWAY { exec \"$1\" --state \"$2\" serve; }; echo \"$GATEWAY_PID\"; printf '%s\\n' \"$3\" >&\"${GATEWAY[1]}\"; read -r _";
    let mut owner = Command::new("bash")
        .args(["-c", script, "host"])
        .arg(binary())
        .arg(host.state())
        .arg(message.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(owner.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let gateway: u32 = first.trim().parse().unwrap();
    wait_for_plugins(&host, 1);
    wait_until("the plugin runs", || !plugins_of(gateway).is_empty());
    let started = descendants_of(gateway);
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until("the plugin is gone", || {
        !started.iter().any(|pid| exists(*pid))
    });
    wait_until("the ledger is free", || {
        host.say(["disable", &never]).code == 0
    });
    assert_eq!(kinds_of(&host, "r-never"), ["INVOKE", "ERROR"]);
}

/// A killed gateway takes its plugins with it, and loses nothing that it acknowledged.
#[test]
fn inv_pnp_07_a_killed_gateway_leaves_no_plugin_and_loses_no_answer() {
    let host = Host::new();
    let (fast, never) = (
        host.install(&prompt("p.test.fast")),
        host.install(&slow("p.test.never", LONG_MS)),
    );
    let mut channel = Channel::open(&host);
    channel.call("invoke", invoke(&fast, "told", 5_000));
    channel.send("invoke", invoke(&never, "never", 60_000));
    wait_for_plugins(&host, 2);
    wait_until("the plugin runs", || !plugins_of(channel.pid()).is_empty());
    let started = descendants_of(channel.pid());
    channel.signal(Signal::SIGKILL);
    assert_eq!(channel.ended().code, None);
    wait_until("the plugin is gone", || {
        !started.iter().any(|pid| exists(*pid))
    });
    // The socket that was left behind is in nobody's way.
    host.say(["disable", &never]).expect(0);
    assert_eq!(kinds_of(&host, "r-told"), ["INVOKE", "RESULT"]);
    assert_eq!(
        kinds_of(&host, "r-never"),
        ["INVOKE", "ERROR"],
        "outcome=unknown"
    );
    host.say(["ledger", "verify"]).expect(0);
    let mut again = Channel::open(&host);
    again.call("ping", json!({}));
}

/// A host that does not read for a while loses nothing: the gateway stops reading in turn, holds a bounded memory and no
/// plugin meanwhile, and goes on when the host does. `UNREAD_S` sets for how long; `scripts/stress` asks for 30 s.
#[test]
fn inv_pnp_08_a_host_that_does_not_read_loses_nothing() {
    const CALLS: usize = 3_000;
    const MAX_PEAK_KIB: u64 = 64 * 1024;
    let unread = std::env::var("UNREAD_S").map_or(3, |text| text.parse().unwrap());
    let unread = Duration::from_secs(unread);
    let host = Host::new();
    settings(
        &host,
        "calls_at_once = 4\ncalls_waiting = 4\n[channel]\nmax_line_bytes = 65536\nmax_held_bytes = 65536\n",
    );
    let fast = host.install(&prompt("p.test.fast"));
    let mut channel = Channel::start(&host, &[], unread);
    let gateway = channel.pid();
    let while_unread = std::thread::spawn(move || {
        std::thread::sleep(unread * 4 / 5);
        plugins_of(gateway)
    });
    let begun = Instant::now();
    let ids: Vec<_> = (0..CALLS)
        .map(|call| match call % 50 {
            0 => channel.send("invoke", invoke(&fast, &format!("{call}"), 60_000)),
            _ => channel.send("listPlugins", json!({})),
        })
        .collect();
    assert!(
        begun.elapsed() >= unread,
        "the gateway does not read on while nobody reads its answers"
    );
    assert_eq!(
        while_unread.join().unwrap(),
        Vec::<u32>::new(),
        "no plugin waits for a host"
    );
    let mut ran = Vec::new();
    for (call, id) in ids.iter().enumerate() {
        let answer = channel.answer(id);
        assert!(answer.get("result").is_some(), "{answer}");
        if answer["result"]["status"] == "ok" {
            ran.push(format!("r-{call}"));
        }
    }
    assert_eq!(channel.order.len(), CALLS);
    assert!(!ran.is_empty());
    let peak = peak_memory_kib(gateway);
    eprintln!("{unread:?} unread, the gateway's peak {peak} KiB");
    assert!(peak < MAX_PEAK_KIB, "{peak} KiB");
    channel.close();
    assert_eq!(channel.ended().code, Some(0));
    host.say(["ledger", "verify"]).expect(0);
    let events = host.events();
    for request_id in ran {
        let mine = events
            .iter()
            .filter(|event| event["request_id"] == *request_id);
        let kinds: Vec<_> = mine.map(|event| &event["kind"]).collect();
        assert_eq!(kinds, ["INVOKE", "RESULT"], "{request_id}");
    }
}

/// "SIGTERM: the same with a deadline": also when nobody reads the answers.
#[test]
fn inv_pnp_08_sigterm_ends_a_gateway_whose_answers_nobody_reads() {
    let host = Host::new();
    settings(&host, "[channel]\ndrain_ms = 300\n");
    let mut child = piped(&host).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let ping = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n".repeat(1_000);
        // More than all pipes and queues hold, until nobody takes it any more.
        while input.write_all(ping.as_bytes()).is_ok() {}
    });
    let answers = child.stdout.take().unwrap();
    let mut waiting = 0;
    wait_until("no more answers fit into the pipe", || {
        std::thread::sleep(Duration::from_millis(100));
        let before = std::mem::replace(&mut waiting, rustix::io::ioctl_fionread(&answers).unwrap());
        waiting > 0 && waiting == before
    });
    kill(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    wait_until("it ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    writer.join().unwrap();
    drop(answers);
}

/// The pipe of the answers closed, and that of the requests still open: the host is gone as far as the gateway can tell,
/// so that what is in flight is taken back and nothing stays.
#[test]
fn inv_pnp_05_no_plugin_outlives_the_pipe_of_its_answers() {
    let host = Host::new();
    let never = host.install(&slow("p.test.never", LONG_MS));
    let mut child = piped(&host).spawn().unwrap();
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "invoke", "params": invoke(&never, "never", 60_000) });
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{message}").unwrap();
    wait_for_plugins(&host, 1);
    wait_until("the plugin runs", || !descendants_of(child.id()).is_empty());
    let plugins = descendants_of(child.id());
    drop(child.stdout.take());
    wait_until("it ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!plugins.iter().any(|pid| exists(*pid)));
    assert_eq!(kinds_of(&host, "r-never"), ["INVOKE", "ERROR"]);
    drop(input);
}

/// "logs go to stderr": a host that closes it, or never reads it, is served all the same.
#[test]
fn inv_pnp_08_a_log_that_nobody_reads_holds_nothing_up() {
    const CALLS: usize = 3_000;
    let host = Host::new();
    for closed in [true, false] {
        let mut child = piped(&host).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = child.stderr.take();
        if closed {
            drop(log.take());
        }
        let mut input = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            for id in 0..CALLS {
                // Each is a warning of some length in the log.
                writeln!(
                    input,
                    "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"nothing\"}}"
                )
                .unwrap();
            }
        });
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(answers.count(), CALLS);
        writer.join().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
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

/// "logs go to stderr"; the first line says version, state and isolation, and each call's its request and run.
#[test]
fn inv_pnp_07_the_log_names_state_isolation_request_and_run() {
    let host = Host::new();
    let fast = host.install(&prompt("p.test.fast"));
    for format in ["text", "json"] {
        let mut channel = Channel::start(&host, &["--log-format", format], Duration::ZERO);
        channel.call("invoke", invoke(&fast, format, 5_000));
        channel.close();
        let log = channel.ended().log;
        let first = log.lines().next().unwrap();
        for word in [
            env!("CARGO_PKG_VERSION"),
            host.state().to_str().unwrap(),
            "seccomp",
        ] {
            assert!(first.contains(word), "{word}: {first}");
        }
        let call = log
            .lines()
            .find(|line| line.contains(&format!("r-{format}")))
            .unwrap();
        assert!(call.contains("run-of-the-test"), "{call}");
        if format == "json" {
            for line in log.lines() {
                assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
            }
        }
    }
}

/// Those who ask are told of each event, once it is durable, in ledger order.
#[test]
fn inv_pnp_07_a_subscriber_sees_every_event_in_order() {
    let host = Host::new();
    let fast = host.install(&prompt("p.test.fast"));
    let before = host.events();
    let mut channel = Channel::open(&host);
    let told = channel.call("subscribe", json!({ "from": 0 }));
    assert_eq!(told["from"], 0);
    for (index, stored) in before.iter().enumerate() {
        let notice = channel.notice();
        assert_eq!(notice["method"], "event");
        assert_eq!(
            (&notice["params"]["index"], &notice["params"]["event"]),
            (&json!(index), stored)
        );
    }
    channel.call("invoke", invoke(&fast, "seen", 5_000));
    for kind in ["INVOKE", "RESULT"] {
        assert_eq!(channel.notice()["params"]["event"]["kind"], kind);
    }
    assert_eq!(channel.call("unsubscribe", json!({}))["changed"], true);
    assert_eq!(channel.notice()["method"], "eventsEnd");
    channel.call("invoke", invoke(&fast, "unseen", 5_000));
    channel.close();
    assert_eq!(channel.ended().rest, Vec::<Value>::new());
}

/// Every family that monitoring asks for is there, and the text keeps the format's rules (OpenMetrics 1.0): a family's lines stand
/// together behind its type, counters end in `_total`, buckets rise up to `+Inf`, and the last line is `# EOF`.
fn check_metrics(text: &str) {
    for family in [
        "invocations counter",
        "violations counter",
        "invocation_duration_seconds histogram",
        "ledger_record_seconds histogram",
        "calls_running gauge",
        "calls_waiting gauge",
        "packages_ready gauge",
        "circuits_open gauge",
    ] {
        let line = format!("# TYPE plugin_gateway_{family}");
        assert_eq!(
            text.lines().filter(|found| *found == line).count(),
            1,
            "{line}\n{text}"
        );
    }
    assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1);
    let (mut family, mut kind, mut below) = ("", "", 0);
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (what, name) = (words.next().unwrap(), words.next().unwrap());
            if what == "TYPE" {
                (family, kind, below) = (name, words.next().unwrap(), 0);
            }
            assert!(
                name == family && ["TYPE", "UNIT", "HELP"].contains(&what),
                "{line}"
            );
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let number: f64 = value.parse().unwrap();
        let suffix = name.split('{').next().unwrap().strip_prefix(family);
        let suffixes: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => &[""],
        };
        assert!(
            suffix.is_some_and(|suffix| suffixes.contains(&suffix)),
            "{line}"
        );
        if suffix == Some("_bucket") {
            assert!(number >= f64::from(below), "{line}");
            below = value.parse().unwrap();
        }
    }
}

/// Counters by status, cause and forbidden call, as OpenMetrics text; the command gives the same.
#[test]
fn inv_pnp_07_what_happens_is_counted() {
    let host = Host::new();
    let plugins = [
        host.install(&prompt("p.test.fast")),
        host.install(&crashing("p.test.crash")),
        host.install(&hostile("p.test.hostile")),
    ];
    let mut channel = Channel::open(&host);
    for plugin in &plugins {
        channel.call("invoke", invoke(plugin, "x", 5_000));
    }
    let metrics = channel.call("metrics", json!({}));
    let text = metrics["text"].as_str().unwrap();
    for line in [
        "plugin_gateway_invocations_total{status=\"ok\",cause=\"answer\"} 1",
        "plugin_gateway_invocations_total{status=\"error\",cause=\"exit\"} 1",
        "plugin_gateway_invocations_total{status=\"rejected\",cause=\"violation\"} 1",
        "plugin_gateway_violations_total{call=\"socket\"} 1",
        "plugin_gateway_invocation_duration_seconds_count 3",
        "plugin_gateway_calls_running 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    check_metrics(text);
    let live = host.say(["metrics"]).expect(0);
    assert!(
        live.stdout.contains("plugin_gateway_calls_running 0"),
        "{}",
        live.stdout
    );
    channel.close();
    channel.ended();
    let past = host.say(["metrics"]).expect(0);
    assert!(
        past.stdout
            .contains("plugin_gateway_violations_total{call=\"socket\"} 1"),
        "{}",
        past.stdout
    );
    assert!(past.stdout.ends_with("# EOF\n"));
}
