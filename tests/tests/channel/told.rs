//! What a host and an operator are told meanwhile: log, subscription, metrics.

use super::*;

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

/// "Over the channel a response also carries `_receipt` `{event_hash, index, checkpoint_size}` of its closing event": also of a call
/// that is refused before anything runs, that fails, that has no usable run, and of each step of a pipeline.
#[test]
fn inv_pnp_07_a_response_names_the_event_that_closed_it() {
    let host = Host::new();
    let fast = host.install(&prompt("p.test.fast"));
    let bad = host.install(&crashing("p.test.bad"));
    let mut channel = Channel::open(&host);
    let mut responses = Vec::new();
    for plugin in [&fast, &bad, "p.test.nobody"] {
        responses.push(channel.call("invoke", invoke(plugin, plugin, 5_000)));
    }
    let nothing = json!({ "plugin_id": fast, "request": {} });
    responses.push(channel.call("invoke", nothing));
    for strategy in ["sequential", "fan_out"] {
        let policy = json!({ "strategy": strategy, "plugin_ids": [fast, bad, "p.test.nobody"],
            "timeout_ms": 10_000, "stop_on_failure": false });
        let asked = json!({ "policy": policy, "request": request(strategy, 5_000) });
        let mut pipeline = channel.call("invokePipeline", asked);
        let steps = pipeline["steps"].as_array_mut().unwrap();
        responses.extend(steps.iter_mut().map(|step| step["response"].take()));
    }
    channel.close();
    channel.ended();
    assert_eq!(responses.len(), 10);
    let events = host.events();
    let mut places = std::collections::BTreeSet::new();
    for response in &responses {
        let receipt = &response["_receipt"];
        assert_eq!(receipt.as_object().unwrap().len(), 3, "{response}");
        let index = receipt["index"].as_u64().unwrap();
        assert!(places.insert(index), "each call has an event of its own");
        let event = &events[usize::try_from(index).unwrap()];
        assert_eq!(receipt["event_hash"], event["event_hash"]);
        assert_eq!(event["request_id"], response["request_id"]);
        assert_eq!(event["meta"]["status"], response["status"], "{event}");
        let covered = receipt["checkpoint_size"].as_u64().unwrap();
        assert!(covered == 0 || covered > index, "{receipt}");
    }
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
        "plugin_gateway_violations_total{call=\"ptrace\"} 1",
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
            .contains("plugin_gateway_violations_total{call=\"ptrace\"} 1"),
        "{}",
        past.stdout
    );
    assert!(past.stdout.ends_with("# EOF\n"));
}
