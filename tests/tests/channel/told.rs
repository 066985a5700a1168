//! What a host and an operator are told meanwhile: log, subscription, metrics.

use std::os::unix::net::UnixStream;

use campaigns::canonical::canonical;

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
    assert_eq!(
        (&told["from"], &told["subscription"]),
        (&json!(0), &json!(1))
    );
    for (index, stored) in before.iter().enumerate() {
        let notice = channel.notice();
        assert_eq!(notice["method"], "event");
        assert_eq!(
            (&notice["params"]["index"], &notice["params"]["event"]),
            (&json!(index), stored)
        );
    }
    let past = channel.notice();
    assert_eq!(past["method"], "eventsPast");
    assert_eq!(
        past["params"],
        json!({ "subscription": 1, "next": before.len() })
    );
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

/// Many subscriptions stand side by side, each with what it asks for and with one mark where the past is over; their number is bounded,
/// and one that ends makes room.
#[test]
fn inv_pnp_07_subscriptions_have_filters_and_an_end_of_the_past() {
    let host = Host::new();
    let (one, two) = (
        host.install(&prompt("p.test.one")),
        host.install(&prompt("p.test.two")),
    );
    let mut channel = Channel::open(&host);
    for (plugin, run) in [(&one, "run-a"), (&two, "run-a"), (&one, "run-b")] {
        let mut call = invoke(plugin, "x", 5_000);
        call["request"]["run_id"] = json!(run);
        channel.call("invoke", call);
    }
    let events = host.events();
    for (number, filter) in [
        json!({}),
        json!({ "run_id": "run-a" }),
        json!({ "plugin_id": one }),
        json!({ "run_id": "run-a", "plugin_id": one, "kind": "RESULT" }),
        json!({ "run_id": "system", "kind": "ENABLE" }),
        json!({ "run_id": "nobody" }),
    ]
    .into_iter()
    .enumerate()
    {
        let mut params = filter.clone();
        params["from"] = json!(1);
        let told = channel.call("subscribe", params);
        assert_eq!(told["subscription"], number + 1);
        let fits = |event: &Value| {
            filter
                .as_object()
                .unwrap()
                .iter()
                .all(|(name, value)| event[name] == *value)
        };
        let wanted = events
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, event)| fits(event));
        for (index, event) in wanted {
            let notice = channel.notice();
            let expected = json!({ "subscription": number + 1, "index": index, "event": event });
            assert_eq!(
                (&notice["method"], &notice["params"]),
                (&json!("event"), &expected)
            );
        }
        let past = channel.notice();
        assert_eq!(past["method"], "eventsPast", "{past}");
        assert_eq!(
            past["params"],
            json!({ "subscription": number + 1, "next": events.len() })
        );
    }
    // What comes now goes to those that it fits.
    let mut call = invoke(&two, "new", 5_000);
    call["request"]["run_id"] = json!("run-a");
    channel.call("invoke", call);
    let told: Vec<_> = (0..4)
        .map(|_| channel.notice()["params"]["subscription"].as_u64().unwrap())
        .collect();
    let count = |number: u64| told.iter().filter(|told| **told == number).count();
    assert_eq!((count(1), count(2)), (2, 2), "{told:?}");
    // Eight are as many as a connection may have; that is nobody's fault, and no matter of trust.
    for _ in 0..2 {
        channel.call("subscribe", json!({}));
        assert_eq!(channel.notice()["method"], "eventsPast");
    }
    let id = channel.send("subscribe", json!({}));
    let error = channel.answer(&id)["error"].take();
    assert_eq!(error["code"], -32_603, "{error}");
    assert!(
        error["message"].as_str().unwrap().starts_with("overloaded"),
        "{error}"
    );
    assert_eq!(error["data"]["kind"], "internal");
    let ended = channel.call("unsubscribe", json!({ "subscription": 3 }));
    assert_eq!(ended, json!({ "subscribed": true, "changed": true }));
    let end = channel.notice();
    assert_eq!(
        (&end["method"], &end["params"]["subscription"]),
        (&json!("eventsEnd"), &json!(3))
    );
    let again = channel.call("unsubscribe", json!({ "subscription": 3 }));
    assert_eq!(again["changed"], false);
    assert_eq!(channel.call("subscribe", json!({}))["subscription"], 9);
    let ended = channel.call("unsubscribe", json!({}));
    assert_eq!(ended, json!({ "subscribed": false, "changed": true }));
}

/// "Bad input at each new door": what a call has wrong is named, nothing else is touched, and the gateway goes on.
#[test]
fn inv_pnp_10_bad_params_are_named_and_nothing_is_lost() {
    let host = Host::new();
    let mut channel = Channel::open(&host);
    let before = host.events().len();
    for (method, params, words) in [
        ("exportProof", json!({ "run_id": ["r"] }), "params.run_id: "),
        (
            "exportProof",
            json!({ "run_id": "x".repeat(100_000) }),
            "params.run_id: ",
        ),
        ("subscribe", json!({ "kind": "INVOKED" }), "params.kind: "),
        (
            "subscribe",
            json!({ "plugin_id": "NO ID" }),
            "params.plugin_id: ",
        ),
        ("subscribe", json!({ "from": -1 }), "params.from: "),
        (
            "subscribe",
            json!({ "filter": "x".repeat(100_000) }),
            "`filter`",
        ),
        (
            "unsubscribe",
            json!({ "subscription": "1" }),
            "params.subscription: ",
        ),
        ("enablePlugin", json!({}), "`plugin_id`"),
    ] {
        let id = channel.send(method, params);
        let error = channel.answer(&id)["error"].take();
        assert_eq!(error["code"], -32_602, "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(words) && message.len() < 1_000,
            "{method}: {message}"
        );
        assert!(error.get("data").is_none(), "{error}");
    }
    let id = channel.send("exportProof", json!({ "run_id": "nobody" }));
    let error = channel.answer(&id)["error"].take();
    assert_eq!(
        (&error["code"], &error["data"]["kind"]),
        (&json!(-32_602), &json!("not_found"))
    );
    let id = channel.send("enablePlugin", json!({ "plugin_id": "NO ID" }));
    let error = channel.answer(&id)["error"].take();
    assert_eq!(
        (&error["code"], &error["data"]["kind"]),
        (&json!(-32_001), &json!("not_found"))
    );
    channel.send_raw(b"\xff\x00\xfe\n{\"jsonrpc\":\"2.0\",\"id\":\"\xed\xa0\x80\"}\n");
    for _ in 0..2 {
        assert_eq!(channel.notice()["error"]["code"], -32_700);
    }
    assert_eq!(channel.call("ping", json!({}))["api_version"], "1.0.0");
    assert_eq!(host.events().len(), before);
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

/// "Every door writes bundles in canonical order (the channel too)", and what a host writes of it again verifies.
#[test]
fn inv_pnp_07_a_proof_over_the_channel_is_in_canonical_order_and_verifies_in_any() {
    let host = Host::new();
    let fast = host.install(&prompt("p.test.fast"));
    let mut channel = Channel::open(&host);
    channel.call("invoke", invoke(&fast, "proved", 5_000));
    let mut socket = UnixStream::connect(host.state().join("control.sock")).unwrap();
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "exportProof", "params": { "run_id": "run-of-the-test" } });
    writeln!(socket, "{call}").unwrap();
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).unwrap();
    let bundle: Value = serde_json::from_str::<Value>(&line).unwrap()["result"].take();
    let expected = canonical(&bundle);
    assert_eq!(
        line,
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{expected}}}\n")
    );
    let file = host.folder().join("again.json");
    let key = host.state().join("log.pub");
    for (text, code) in [
        (serde_json::to_string_pretty(&bundle).unwrap(), 0),
        (expected.replace("RESULT", "RESUL\\u0054"), 0),
        (expected.replace("RESULT", "ERROR"), 1),
    ] {
        fs::write(&file, text).unwrap();
        let verify = [
            "proof",
            "verify",
            file.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
        ];
        host.say(verify).expect(code);
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
