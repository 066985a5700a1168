//! `backup`: a copy of a state that works like the state, made while its gateway goes on writing.

use std::fs;
use std::path::Path;
use std::process::Command;

use campaigns::channel::{Channel, invoke};
use campaigns::command::{Said, binary, finish};
use campaigns::crowd;
use campaigns::{Host, Package};
use serde_json::Value;

/// The command on another state than the host's own.
fn say_of(state: &Path, words: &[&str]) -> Said {
    let mut command = Command::new(binary());
    command.arg("--state").arg(state).args(words);
    finish(command, b"")
}

/// The copy is good, has `events` events, and goes on as the state would: its plugin answers, and its proofs verify with the state's key.
fn works(host: &Host, copy: &Path, plugin: &str, events: u64) {
    let verified = say_of(copy, &["--json", "ledger", "verify"]).expect(0);
    assert_eq!(verified.json()["events"], events);
    let answered = say_of(
        copy,
        &["--json", "invoke", plugin, "--text", "x", "--run", "later"],
    );
    assert_eq!(answered.expect(0).json()["status"], "ok");
    let bundle = copy.join("later.proof.json");
    let bundle = bundle.to_str().unwrap();
    say_of(copy, &["proof", "export", "later", "--out", bundle]).expect(0);
    let key = host.state().join("log.pub");
    host.say(["proof", "verify", bundle, "--key", key.to_str().unwrap()])
        .expect(0);
}

#[test]
fn a_backup_at_rest_has_everything() {
    let host = Host::new();
    let plugin = host.install(&crowd::neighbour());
    // A package with a file that nobody may write, a folder and a link.
    host.install(&Package::script("p.test.other", "sh", "read -r line").file(
        "data/table",
        b"1",
        0o444,
    ));
    host.alone();
    fs::write(host.state().join("config.toml"), "calls_at_once = 7\n").unwrap();
    for _ in 0..5 {
        assert_eq!(host.ask(&plugin, "hello")["status"], "ok");
    }
    let events = host.verified();
    let before = host.say(["--json", "list"]).expect(0).json();
    let copy = host.folder().join("copy");
    let made = host
        .say(["--json", "backup", copy.to_str().unwrap()])
        .expect(0)
        .json();
    assert_eq!(
        (&made["events"], &made["packages"]),
        (&Value::from(events), &Value::from(2))
    );
    assert_eq!(say_of(&copy, &["--json", "list"]).expect(0).json(), before);
    let settings = say_of(&copy, &["--json", "config"]).expect(0).json();
    assert_eq!(settings["calls_at_once"], 7);
    works(&host, &copy, &plugin, events);
    assert_eq!(host.verified(), events, "the state itself is as it was");
}

#[test]
fn a_backup_beside_a_gateway_at_work_is_whole_up_to_a_checkpoint() {
    const ROUNDS: usize = 6;
    const CALLS: usize = 12;
    let host = Host::new();
    let plugin = host.install(&crowd::neighbour());
    let mut channel = Channel::open(&host);
    let mut newest = 0;
    for round in 0..ROUNDS {
        // In flight while the copy is made.
        let flying: Vec<_> = (0..CALLS)
            .map(|_| channel.send("invoke", invoke(&plugin, "hello", 20_000)))
            .collect();
        let copy = host.folder().join(format!("copy-{round}"));
        let made = host
            .say(["--json", "backup", copy.to_str().unwrap()])
            .expect(0)
            .json();
        let events = made["events"].as_u64().unwrap();
        assert!(events >= newest, "{events} after {newest}");
        newest = events;
        for id in flying {
            assert_eq!(channel.answer(&id)["result"]["status"], "ok");
        }
        works(&host, &copy, &plugin, events);
    }
    channel.close();
    assert_eq!(channel.ended().code, Some(0));
    assert!(newest > 0 && newest <= host.verified());
}

#[test]
fn a_backup_overwrites_nothing_and_of_a_broken_ledger_there_is_none() {
    let host = Host::new();
    let plugin = host.install(&crowd::neighbour());
    host.ask(&plugin, "hello");
    host.alone();
    let copy = host.folder().join("copy");
    fs::create_dir(&copy).unwrap();
    let refused = host.say(["backup", copy.to_str().unwrap()]).expect(2);
    assert!(
        refused.stderr.contains("exists already"),
        "{}",
        refused.stderr
    );
    assert_eq!(fs::read_dir(&copy).unwrap().count(), 0);
    fs::remove_dir(&copy).unwrap();
    // A byte of a line, and then of a package.
    let segment = host.state().join("ledger/seg/00000000000000000000.ndjson");
    let good = fs::read(&segment).unwrap();
    let mut bad = good.clone();
    let at = bad.windows(6).position(|at| at == b"INVOKE").unwrap();
    bad[at] = b'J';
    fs::write(&segment, &bad).unwrap();
    host.say(["backup", copy.to_str().unwrap()]).expect(4);
    assert!(!copy.exists());
    fs::write(&segment, &good).unwrap();
    host.say(["backup", copy.to_str().unwrap()]).expect(0);
}
