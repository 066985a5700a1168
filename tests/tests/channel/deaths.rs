//! Hosts, gateways and readers that die or stop: what is lost, and what is left behind.

use super::*;

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
