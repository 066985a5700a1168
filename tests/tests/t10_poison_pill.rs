//! T10: a plugin that hoards, hangs, crashes or babbles ends with the right status and cause, and nothing of it is left.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use campaigns::attacks::poison::{self, Poison};
use campaigns::program::Link;
use campaigns::{Host, Package, processes};
use serde_json::{Value, json};

/// Longer than anything here takes; what is still awaited then will never come.
const STUCK: Duration = Duration::from_secs(60);

/// How much an endless writer must have written to count as endless.
const ENDLESS_BYTES: u64 = 1 << 20;

/// Waits until `holds`, and fails the test when it never does.
#[track_caller]
fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < STUCK, "stuck waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process name that no other test uses.
fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("pill{}-{next}", std::process::id() % 100_000)
}

fn package(link: Link) -> Package {
    let id = match link {
        Link::Static => "p.poison.static",
        Link::Dynamic | Link::Shared => "p.poison.dynamic",
    };
    Package::native(id, &poison::program(link))
}

/// Takes every pill, and fails with a list of those that ended otherwise than they must.
fn take_all(package: &Package, pills: &[Poison]) {
    let host = Host::new();
    let id = host.install(package);
    let mut taken = Vec::new();
    let mut failures = Vec::new();
    for (turn, pill) in pills.iter().enumerate() {
        // Failures that follow each other would give the plugin a rest, where one gateway sees them all.
        if turn % 4 == 3 {
            let response = host.ask(&id, &format!(" attack=no_newline name={} ", fresh_name()));
            assert_eq!(response["status"], "ok", "{response}");
        }
        let name = fresh_name();
        let response = host.ask(&id, &format!(" attack={} name={name} ", pill.name));
        if processes::names().contains(&name) {
            failures.push(format!(
                "{}: its process is still there: {response}",
                pill.name
            ));
        }
        taken.push((pill, response));
    }
    let events = host.events();
    failures.extend(
        taken
            .iter()
            .filter_map(|(pill, response)| misjudged(pill, response, &events)),
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    host.verified();
    assert_all_closed(&events);
}

/// What is wrong with how a pill ended, in answer or ledger.
fn misjudged(pill: &Poison, response: &Value, events: &[Value]) -> Option<String> {
    let closing = events
        .iter()
        .rfind(|event| event["request_id"] == response["request_id"])?;
    let meta = &closing["meta"];
    let kind = match pill.status {
        "ok" => "RESULT",
        "rejected" => "REJECT",
        _ => "ERROR",
    };
    let as_it_must = response["status"] == pill.status
        && (pill.status == "ok" || response["result"].is_null())
        && response["notes"]
            .as_str()
            .is_some_and(|notes| notes.contains(pill.words))
        && closing["kind"] == kind
        && pill.causes.iter().any(|cause| meta["cause"] == *cause)
        && pill.fact.is_none_or(|(name, value)| meta[name] == value);
    (!as_it_must).then(|| {
        format!(
            "{} must end as {pill:?}\nbut: {response}\nand: {closing}",
            pill.name
        )
    })
}

/// Every `INVOKE` has its closing event.
#[track_caller]
fn assert_all_closed(events: &[Value]) {
    for invoke in events.iter().filter(|event| event["kind"] == "INVOKE") {
        let closed = events
            .iter()
            .filter(|event| event["meta"]["invoke"] == invoke["event_id"])
            .count();
        assert_eq!(closed, 1, "{invoke}");
    }
}

/// "`ok` only for a valid answer. `rejected`: … an answer the gateway cannot accept …, a sandbox violation, or the plugin's
/// own `rejected`. `error`: the plugin crashed, exited without an answer, or answered `error`."
#[test]
fn inv_pnp_10_crashing_and_babbling_static_programs_end_as_they_must() {
    take_all(&package(Link::Static), poison::QUICK);
}

/// The same sentence.
#[test]
fn inv_pnp_10_crashing_and_babbling_dynamic_programs_end_as_they_must() {
    take_all(&package(Link::Dynamic), poison::QUICK);
}

/// "`timeout`: it was killed at its time." "SIGKILL works on stopped processes. Nothing is left."
#[test]
fn inv_pnp_10_what_never_ends_is_killed_at_its_time() {
    // Side by side, since all that they do is wait.
    std::thread::scope(|scope| {
        for link in [Link::Static, Link::Dynamic] {
            let package = package(link).with(|manifest| manifest["limits"]["max_ms"] = json!(1000));
            scope.spawn(move || take_all(&package, poison::ENDLESS));
        }
    });
}

/// "Timeout, memory, CPU, output cap, signal and exit code are told apart."
#[test]
fn inv_pnp_10_processor_time_is_told_apart_from_time() {
    for link in [Link::Static, Link::Dynamic] {
        take_all(
            &package(link).with(|manifest| {
                manifest["limits"]["max_ms"] = json!(60_000);
                manifest["limits"]["max_cpu_ms"] = json!(300);
            }),
            poison::BUSY,
        );
    }
}

/// "stderr … captured up to a bound (the last 64 KiB)" and "bytes of stderr dropped: recorded with every result".
#[test]
fn inv_pnp_10_a_flood_on_stderr_is_bounded_and_counted() {
    let host = Host::new();
    let id = host.install(&package(Link::Static));
    let response = host.ask(&id, &format!(" attack=loud_answer name={} ", fresh_name()));
    assert_eq!(response["status"], "ok", "{response}");
    let events = host.events();
    let closing = events.last().unwrap();
    let written = 64 * 65_536_u64;
    assert_eq!(
        closing["meta"]["stderr_dropped_bytes"],
        (written - 65_536).to_string(),
        "{closing}"
    );
}

/// "it cannot … starve anything around it": threads and pipe buffers come from small allowances.
#[test]
fn inv_pnp_05_threads_and_pipes_are_bounded() {
    /// Far more threads than a runtime's pools have, far fewer than would trouble a host.
    const THREADS_MAX: u64 = 4096;
    /// Half of the manifest's default memory.
    const PIPE_BYTES_MAX: u64 = 64 << 20;
    let host = Host::new();
    let id = host.install(&package(Link::Static));
    for (attack, field, most) in [
        ("thread_bomb", "threads", THREADS_MAX),
        ("pipe_memory", "kept", PIPE_BYTES_MAX),
    ] {
        let name = fresh_name();
        let response = host.ask(&id, &format!(" attack={attack} name={name} "));
        let got = response["result"]["data"][field].as_u64();
        let refused = response["status"] == "error" || response["status"] == "rejected";
        assert!(
            refused || got.is_some_and(|got| got <= most),
            "{attack}: {response}"
        );
        assert!(!processes::names().contains(&name));
    }
    host.verified();
}

/// "Writes to stdin never block": a request larger than a pipe, to a program that reads none of it.
#[test]
fn inv_pnp_10_a_large_request_that_is_never_read_blocks_nobody() {
    let large = "x".repeat(1 << 20);
    let room = |manifest: &mut Value, max_ms: u64| {
        manifest["limits"]["max_bytes"] = json!(4 << 20);
        manifest["limits"]["max_ms"] = json!(max_ms);
        manifest["io"]["inputs"][0]["limits"]["max_bytes"] = json!(2 << 20);
    };
    for (body, max_ms, status) in [
        ("int main(void) { for (;;) pause(); }", 400, "timeout"),
        (
            "int main(void) { close(0); for (;;) pause(); }",
            400,
            "timeout",
        ),
        ("int main(void) { return 5; }", 30_000, "error"),
        (
            "int main(void) { close(0); sleep(1); return 5; }",
            30_000,
            "error",
        ),
    ] {
        let host = Host::new();
        let program = campaigns::program::c(body, Link::Static);
        let id = host.install(
            &Package::native("p.poison.unread", &program).with(|manifest| room(manifest, max_ms)),
        );
        let file = host.folder().join("payload.json");
        let payload =
            json!({"kind": "text", "content": large, "encoding": "utf-8", "metadata": {}});
        std::fs::write(&file, payload.to_string()).unwrap();
        let response = host
            .say(["--json", "invoke", &id, "--input", file.to_str().unwrap()])
            .json();
        assert_eq!(response["status"], status, "{body}: {}", response["notes"]);
        host.verified();
    }
}

/// "`kill -9` of the gateway leaves no plugin running"; "An `INVOKE` without its closing event gets an `ERROR` with
/// `outcome=unknown`".
#[test]
fn inv_pnp_10_killing_the_gateway_in_mid_call_leaves_no_plugin() {
    const ROUNDS: usize = 5;
    let host = Host::new();
    host.alone();
    let id = host.install(
        &package(Link::Static).with(|manifest| manifest["limits"]["max_ms"] = json!(60_000)),
    );
    for attack in [
        "sleep_long",
        "ignore_signals",
        "stop_itself",
        "all_closed_and_stay",
        "endless_stderr",
    ]
    .into_iter()
    .cycle()
    .take(ROUNDS)
    {
        let name = fresh_name();
        let mut gateway = started(&host, &id, attack, &name);
        await_that("the plugin runs", || processes::names().contains(&name));
        gateway.kill().unwrap();
        gateway.wait().unwrap();
        await_that("the plugin is gone", || !processes::names().contains(&name));
    }
    // The next event's writer finds what was left open.
    host.say(["disable", &id]).expect(0);
    let events = host.events();
    assert_all_closed(&events);
    let unknown = events
        .iter()
        .filter(|event| event["meta"]["outcome"] == "unknown")
        .count();
    assert_eq!(unknown, ROUNDS);
    host.verified();
}

/// "it cannot … outlive … anything around it": when whoever started the gateway is killed, the call ends at its time all
/// the same, and nothing stays.
#[test]
fn inv_pnp_10_killing_the_gateways_parent_leaves_nothing() {
    let host = Host::new();
    host.alone();
    let id = host.install(
        &package(Link::Static).with(|manifest| manifest["limits"]["max_ms"] = json!(2000)),
    );
    let name = fresh_name();
    let gateway = campaigns::command::binary();
    let mut parent = Command::new("sh")
        .args(["-c", "\"$@\"; exit 0", "sh"])
        .arg(gateway)
        .arg("--state")
        .arg(host.state())
        .args([
            "--json",
            "invoke",
            &id,
            "--text",
            &format!(" attack=sleep_long name={name} "),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    await_that("the plugin runs", || processes::names().contains(&name));
    parent.kill().unwrap();
    parent.wait().unwrap();
    await_that("the plugin is gone", || !processes::names().contains(&name));
    let state = host.state().display().to_string();
    await_that("the gateway is gone", || {
        processes::running(&state).is_empty()
    });
    assert_all_closed(&host.events());
    host.verified();
}

fn started(host: &Host, id: &str, attack: &str, name: &str) -> Child {
    host.command()
        .args([
            "--json",
            "invoke",
            id,
            "--text",
            &format!(" attack={attack} name={name} "),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The pills are poison: run plainly, they write without end, stop themselves, spin, and are deaf to signals.
#[test]
fn inv_pnp_10_without_the_gateway_the_pills_do_harm() {
    let folder = tempfile::TempDir::new().unwrap();
    let program = folder.path().join("program");
    std::fs::write(&program, poison::program(Link::Static)).unwrap();
    std::fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    for attack in ["endless_line", "endless_stderr"] {
        let mut plain = Plain::start(&program, attack);
        let mut copied = std::io::sink();
        let stream: &mut dyn Read = match attack {
            "endless_line" => plain.0.stdout.as_mut().unwrap(),
            _ => plain.0.stderr.as_mut().unwrap(),
        };
        assert_eq!(
            std::io::copy(&mut stream.take(ENDLESS_BYTES), &mut copied).unwrap(),
            ENDLESS_BYTES
        );
    }
    for (attack, field, holds) in [
        ("stop_itself", "State:", "T"),
        ("ignore_signals", "SigIgn:", "fbfeff"),
        ("block_signals", "SigBlk:", "fbfeff"),
        ("processor_spin", "State:", "R"),
        ("sleep_long", "State:", "S"),
    ] {
        let plain = Plain::start(&program, attack);
        let status = format!("/proc/{}/status", plain.0.id());
        await_that(attack, || {
            let status = std::fs::read_to_string(&status).unwrap();
            status
                .lines()
                .any(|line| line.starts_with(field) && line.contains(holds))
        });
    }
}

/// A pill run without the gateway; it ends with its owner.
struct Plain(Child);

impl Plain {
    fn start(program: &Path, attack: &str) -> Self {
        let mut command = Command::new(program);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = campaigns::command::spawn(&mut command);
        let line = format!("{{\"content\":\" attack={attack} name=plain \"}}\n");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        Self(child)
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
