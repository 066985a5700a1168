//! The soft circuit breaker: a plugin that keeps failing is refused for a while, in words, and then tried with one call.

use std::fs;

use campaigns::answers::{moody, prompt};
use campaigns::channel::{Channel, invoke};
use campaigns::command::Host;
use serde_json::Value;

const FAILURES: usize = 3;

fn host(first_wait_ms: u64) -> (Host, String) {
    let host = Host::new();
    let settings = format!(
        "[circuit]\nfailures = {FAILURES}\nfirst_wait_ms = {first_wait_ms}\nlongest_wait_ms = {first_wait_ms}\n"
    );
    fs::write(host.state().join("config.toml"), settings).unwrap();
    let id = host.install(&moody("p.test.moody"));
    (host, id)
}

fn ask(channel: &mut Channel, plugin: &str, text: &str) -> Value {
    channel.call("invoke", invoke(plugin, text, 5_000))
}

fn fail_often(channel: &mut Channel, plugin: &str) {
    for _ in 0..FAILURES {
        assert_eq!(ask(channel, plugin, "fail")["status"], "error");
    }
}

fn circuit_events(host: &Host) -> Vec<String> {
    let events = host.events();
    let facts = events
        .iter()
        .filter_map(|event| event["meta"]["circuit"].as_str());
    facts
        .map(|words| words.split_whitespace().next().unwrap().to_owned())
        .collect()
}

/// "`circuit open`": refused with words that say until when; never switched off, always in the ledger.
#[test]
fn inv_pnp_10_a_plugin_that_keeps_failing_is_refused_for_a_while_and_never_switched_off() {
    let (host, plugin) = host(600_000);
    let other = host.install(&prompt("p.test.other"));
    let mut channel = Channel::open(&host);
    fail_often(&mut channel, &plugin);
    let refused = ask(&mut channel, &plugin, "well");
    assert_eq!(refused["status"], "rejected");
    let notes = refused["notes"].as_str().unwrap();
    assert!(
        notes.contains("circuit open") && notes.contains("refused until 2"),
        "{notes}"
    );
    assert_eq!(
        ask(&mut channel, &other, "well")["status"],
        "ok",
        "another plugin is not concerned"
    );
    let listed = channel.call("listPlugins", serde_json::json!({}));
    assert_eq!(listed[0]["status"], "enabled", "{listed}");
    assert_eq!(circuit_events(&host), ["open"]);
    let last = host
        .events()
        .into_iter()
        .rfind(|event| event["plugin_id"] == plugin.as_str())
        .unwrap();
    assert_eq!(
        (&last["kind"], &last["meta"]["cause"]),
        (&"REJECT".into(), &"circuit_open".into())
    );
}

/// After its time one call finds out; an answer closes the circuit.
#[test]
fn inv_pnp_10_one_call_finds_out_whether_a_plugin_works_again() {
    let (host, plugin) = host(1);
    let mut channel = Channel::open(&host);
    fail_often(&mut channel, &plugin);
    let until_probed = |channel: &mut Channel, text: &str, status: &str| loop {
        let response = ask(channel, &plugin, text);
        if response["status"] != "rejected" {
            assert_eq!(response["status"], status, "{response}");
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    until_probed(&mut channel, "fail", "error");
    until_probed(&mut channel, "well", "ok");
    assert_eq!(ask(&mut channel, &plugin, "well")["status"], "ok");
    assert_eq!(circuit_events(&host), ["open", "open", "closed"]);
}

/// An operator who enables the plugin again has it tried at once.
#[test]
fn inv_pnp_10_enabling_a_plugin_closes_its_circuit() {
    let (host, plugin) = host(600_000);
    let mut channel = Channel::open(&host);
    fail_often(&mut channel, &plugin);
    assert_eq!(ask(&mut channel, &plugin, "well")["status"], "rejected");
    host.say(["enable", &plugin]).expect(0);
    assert_eq!(ask(&mut channel, &plugin, "well")["status"], "ok");
}

/// A rejection is no failure: hostile requests do not take a plugin away from others.
#[test]
fn inv_pnp_10_rejections_do_not_open_a_circuit() {
    let (host, plugin) = host(600_000);
    let mut channel = Channel::open(&host);
    for _ in 0..3 * FAILURES {
        let bad = channel.call(
            "invoke",
            serde_json::json!({ "plugin_id": plugin, "request": {} }),
        );
        assert_eq!(bad["status"], "rejected");
    }
    assert_eq!(ask(&mut channel, &plugin, "well")["status"], "ok");
    assert_eq!(circuit_events(&host), Vec::<String>::new());
}
