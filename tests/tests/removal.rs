//! `remove`: "the id is free again, its past stays", and the package leaves the store where nothing can need it.

use std::fs;
use std::path::Path;

use campaigns::channel::Channel;
use campaigns::crowd;
use campaigns::{Host, Package};
use serde_json::{Value, json};

fn packages(host: &Host) -> usize {
    fs::read_dir(host.state().join("store/packages"))
        .unwrap()
        .count()
}

fn removed(host: &Host, id: &str) -> Value {
    host.say(["--json", "remove", id]).expect(0).json()
}

#[test]
fn contract_09_a_removed_plugin_is_gone_and_its_past_stays() {
    let host = Host::new();
    let plugin = host.install(&crowd::neighbour());
    assert_eq!(host.ask(&plugin, "hello")["status"], "ok");
    let before = host.events();
    assert_eq!(packages(&host), 1);
    assert_eq!(
        removed(&host, &plugin),
        json!({ "plugin_id": plugin, "package_removed": true })
    );
    assert_eq!(packages(&host), 0);
    assert_eq!(host.row(&plugin), Value::Null);
    let events = host.events();
    assert_eq!(events[..before.len()], before[..]);
    let event = &events[before.len()];
    assert_eq!(event["kind"], "DISABLE");
    assert_eq!(event["run_id"], "system");
    assert_eq!(event["plugin_id"], *plugin);
    assert_eq!(event["meta"]["removed"], "true");
    host.verified();
    // It is as unknown as one that never was.
    assert_eq!(host.ask(&plugin, "hello")["status"], "rejected");
    for verb in ["enable", "disable", "remove"] {
        host.say([verb, &plugin]).expect(1);
    }
    // The same version, which could not replace itself, is registered anew, and off until it is enabled.
    let plugin = host.install(&crowd::neighbour());
    assert_eq!(host.ask(&plugin, "hello")["status"], "ok");
}

#[test]
fn a_package_stays_that_another_plugin_has_or_a_kept_run_may_need() {
    let host = Host::new();
    let keeping = host.install(&crowd::neighbour().with(|manifest| {
        manifest["plugin_id"] = json!("p.test.keeping");
        manifest["evidence"]["log_level"] = json!("full");
    }));
    let plain = host.install(&crowd::neighbour());
    assert_eq!(host.ask(&plain, "hello")["status"], "ok");
    assert_eq!(removed(&host, &plain)["package_removed"], true);
    let plain = host.install(&crowd::neighbour());
    assert_eq!(host.ask(&keeping, "hello")["status"], "ok");
    assert_eq!(removed(&host, &keeping)["package_removed"], false);
    assert_eq!(removed(&host, &plain)["package_removed"], false);
    assert_eq!(packages(&host), 2);
    host.verified();
}

#[test]
fn a_rejected_plugin_is_removed_too_and_a_running_gateway_removes_for_the_operator() {
    let host = Host::new();
    // Not signed.
    let folder = host.lay_out(&Package::script("p.test.unsigned", "sh", "read -r line"));
    host.register(&folder).expect(3);
    assert_eq!(host.row("p.test.unsigned")["status"], "rejected");
    removed(&host, "p.test.unsigned");
    assert_eq!(host.row("p.test.unsigned"), Value::Null);
    let plugin = host.install(&crowd::neighbour());
    let mut channel = Channel::open(&host);
    // It holds the state now, and no command can be faster.
    channel.call("ping", json!({}));
    let mut ready = |count: usize| {
        let metrics = channel.call("metrics", json!({}))["text"].clone();
        let line = format!("\nplugin_gateway_packages_ready {count}\n");
        assert!(metrics.as_str().unwrap().contains(&line), "{metrics}");
    };
    assert_eq!(host.ask(&plugin, "hello")["status"], "ok");
    ready(1);
    assert_eq!(removed(&host, &plugin)["package_removed"], true);
    ready(0);
    assert_eq!(channel.call("listPlugins", json!({})), json!([]));
    // A host decides nothing of the kind.
    let id = channel.send("operator.remove", json!({ "plugin_id": plugin }));
    assert_eq!(channel.answer(&id)["error"]["code"], -32601);
    channel.close();
    assert_eq!(channel.ended().code, Some(0));
    assert!(Path::new(&host.state().join("ledger")).is_dir());
    host.verified();
}
