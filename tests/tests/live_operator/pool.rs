//! Processes that wait for calls: the same answers as from those that are started for them, gone with what takes their plugin away, and
//! found out when they do not wait.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use campaigns::Package;
use campaigns::channel::{Channel, invoke};
use campaigns::command::Host;
use campaigns::processes::{exists, plugins_of};
use campaigns::program::{Link, c};
use serde_json::{Value, json};

const ID: &str = "p.test.waits";

const ANSWERS: &str = r#"int main(void) { read_line(); answer("{}"); return 0; }"#;

/// A state with two processes for each plugin, and a gateway at work on it; none where this host has no control groups for that.
fn at_work(size: &str) -> Option<(Host, Channel)> {
    let host = Host::new();
    host.alone();
    let rows = host.say(["--json", "doctor"]).json();
    let groups = |row: &Value| row["layer"] == "cgroup" && row["enforced"] == true;
    if !rows["checks"].as_array().unwrap().iter().any(groups) {
        skip::skip("nothing is started ahead without control groups");
        return None;
    }
    fs::write(
        host.state().join("config.toml"),
        format!("[pool]\nsize = {size}\nmemory_mib = 8192\n"),
    )
    .unwrap();
    let channel = Channel::open(&host);
    Some((host, channel))
}

/// Waits until so many processes wait.
#[track_caller]
fn waiting(channel: &Channel, count: usize) -> Vec<u32> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let found = plugins_of(channel.pid());
        if found.len() == count {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:?} wait, not {count}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn native(text: &str) -> Package {
    Package::native(ID, &c(text, Link::Static))
}

fn starts(host: &Host) -> BTreeSet<String> {
    let events = host.events().into_iter();
    let starts = events.filter_map(|event| event["meta"]["start"].as_str().map(str::to_owned));
    starts.collect()
}

/// "A deterministic plugin gives the same hash cold and warm": and the event says which it was.
#[test]
fn inv_pnp_03_the_hash_is_the_same_cold_and_warm() {
    let Some((host, mut channel)) = at_work("2") else {
        return;
    };
    let python = Package::script(
        "p.test.python",
        "python3",
        "import json, sys\nr = json.loads(sys.stdin.readline())['request']\nprint(json.dumps({'type': 'result', 'response': {'request_id': r['request_id'], 'status': 'ok', 'result': {'kind': 'json', 'schema_ref': 'any/1', 'data': {'set': list({'a', 'b', 'c'})}}}}))\n",
    )
    .with(|manifest| manifest["determinism"] = json!({"mode": "deterministic", "notes": ""}));
    for package in [native(ANSWERS), python] {
        let id = host.install(&package);
        waiting(&channel, 2);
        let mut hashes = BTreeSet::new();
        // One after the other, and more at once than there wait.
        for at_once in [1, 1, 6] {
            let calls: Vec<Value> = (0..at_once)
                .map(|_| channel.send("invoke", invoke(&id, "x", 20_000)))
                .collect();
            for call in calls {
                let answer = channel.answer(&call)["result"].clone();
                assert_eq!(answer["status"], "ok", "{answer}");
                hashes.insert(answer["evidence_hashes"].to_string());
            }
        }
        assert_eq!(hashes.len(), 1, "{hashes:?}");
        channel.call("disablePlugin", json!({ "plugin_id": id }));
    }
    assert_eq!(
        starts(&host),
        BTreeSet::from(["cold".into(), "warm".into()])
    );
    channel.close();
    assert_eq!(channel.ended().code, Some(0));
}

/// "Emptied on disable, on revocation and on a new version, before the change is acknowledged": and nothing is left by the gateway's end.
#[test]
fn inv_pnp_08_nothing_waits_for_what_is_taken_away() {
    let Some((host, mut channel)) = at_work("2") else {
        return;
    };
    let id = host.install(&native(ANSWERS));
    let gone = |found: &[u32]| found.iter().all(|&pid| !exists(pid));
    let before = waiting(&channel, 2);
    channel.call("disablePlugin", json!({ "plugin_id": id }));
    assert!(gone(&before), "they go before the answer");
    channel.call("enablePlugin", json!({ "plugin_id": id }));
    let before = waiting(&channel, 2);
    let newer = native(ANSWERS).with(|manifest| manifest["version"] = json!("9.0.0"));
    let newer = host.signed(&newer);
    let newer = newer.to_str().unwrap();
    host.say(["register", "--replace", newer]).expect(0);
    assert!(gone(&before), "the old version");
    host.say(["enable", &id]).expect(0);
    let before = waiting(&channel, 2);
    let keys = host.say(["--json", "trust", "list"]).expect(0).json();
    let key = keys[0]["key_id"].as_str().unwrap();
    host.say(["trust", "remove", key]).expect(0);
    assert!(gone(&before), "what a revoked key vouched for");
    let public = host.public_key();
    host.say(["trust", "add", public.to_str().unwrap()])
        .expect(0);
    host.say(["enable", &id]).expect(0);
    let before = waiting(&channel, 2);
    host.say(["remove", &id]).expect(0);
    assert!(gone(&before), "what is removed");
    host.install(&native(ANSWERS));
    let before = waiting(&channel, 2);
    // A crash of what makes them loses no call.
    for launcher in campaigns::processes::children_of(channel.pid()) {
        if !before.contains(&launcher) {
            kill(launcher);
        }
    }
    let answer = channel.call("invoke", invoke(ID, "x", 20_000));
    assert_eq!(answer["status"], "ok", "{answer}");
    let left = waiting(&channel, 2);
    kill(channel.pid());
    drop(channel);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !gone(&left) {
        assert!(Instant::now() < deadline, "{left:?} outlive the gateway");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill(pid: u32) {
    let status = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// "One that dies or writes before its request is discarded and recorded", "… and end the pool of that plugin when hostile": its calls go
/// on, as they would without a pool.
#[test]
fn inv_pnp_10_one_that_does_not_wait_is_discarded_and_recorded() {
    let writes = r#"int main(void) { write(1, "\n", 1); read_line(); answer("{}"); return 0; }"#;
    let dies = "int main(void) { _exit(7); }";
    let hostile = "#include <sys/ptrace.h>\nint main(void) { ptrace(0, 0, 0, 0); return 0; }";
    for (text, status, said) in [
        (writes, "ok", "wrote to its output"),
        (dies, "error", "exited with code 7"),
        (hostile, "rejected", "hostile call, ptrace("),
    ] {
        let Some((host, mut channel)) = at_work("\"auto\"") else {
            return;
        };
        let id = host.install(&native(text));
        let discarded = |event: &Value| event["meta"]["subject"] == "waiting_process";
        let deadline = Instant::now() + Duration::from_secs(60);
        let event = loop {
            let answer = channel.call("invoke", invoke(&id, "x", 20_000));
            assert_eq!(answer["status"], status, "{answer}");
            if let Some(event) = host.events().into_iter().find(discarded) {
                break event;
            }
            assert!(Instant::now() < deadline, "{text}: nothing is recorded");
            std::thread::sleep(Duration::from_millis(50));
        };
        let reason = event["meta"]["reason"].as_str().unwrap();
        assert!(reason.contains(said), "{event}");
        assert_eq!(
            (&event["kind"], &event["run_id"]),
            (&json!("ERROR"), &json!("system"))
        );
        let answer = channel.call("invoke", invoke(&id, "x", 20_000));
        assert_eq!(answer["status"], status, "{answer}");
        std::thread::sleep(Duration::from_millis(500));
        assert!(
            plugins_of(channel.pid()).is_empty(),
            "nothing more is started ahead"
        );
        channel.close();
        channel.ended();
        host.verified();
    }
}
