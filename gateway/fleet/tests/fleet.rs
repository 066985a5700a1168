//! A fleet with a real server and real nodes. Without nats-server these are skipped, each with a line.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this program is tests alone, and what helps them"
)]

#[path = "fleet/storm.rs"]
mod storm;
#[path = "fleet/town.rs"]
mod town;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use town::{Town, lines, message};

/// "One request is answered by one node, with a receipt; the proof of a run is gathered across nodes, and both verifiers check it; a node
/// that withholds its part shows."
#[test]
fn calls_are_answered_by_any_node_and_proven_across_them() {
    let Some(town) = Town::with_plugin(2) else {
        return;
    };
    for call in 0..8 {
        let said = town.fleet(&[
            "--json",
            "invoke",
            "p.hello.sh",
            "--text",
            &format!("call {call}"),
            "--run",
            "r",
        ]);
        assert_eq!(said.0, 0, "{said:?}");
        assert_eq!(json_of(&said.1)["status"], "ok");
        assert!(
            json_of(&said.1).get("_receipt").is_none(),
            "it stands in headers"
        );
    }
    let nobody = Instant::now();
    let said = town.fleet(&["--json", "invoke", "p.hello.nobody", "--text", "x"]);
    assert_eq!(said.0, 1);
    assert!(
        json_of(&said.1)["notes"]
            .as_str()
            .unwrap()
            .contains("not found"),
        "{said:?}"
    );
    assert!(nobody.elapsed() < Duration::from_secs(20));
    let said = town.fleet(&[
        "--json",
        "pipeline",
        "--plugins",
        "p.hello.sh,p.hello.nobody",
        "--strategy",
        "fan_out",
        "--text",
        "a b",
        "--run",
        "r",
    ]);
    assert_eq!(said.0, 1, "{said:?}");
    assert_eq!(json_of(&said.1)["steps"].as_array().unwrap().len(), 2);

    let file = town.path("proof.json");
    let said = town.fleet(&["--json", "proof", "r", "--out", &file]);
    assert_eq!(said.0, 0, "{said:?}");
    let proof: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(proof["receipts"].as_array().unwrap().len(), 9);
    assert_eq!(town.verify(&proof), [true, true]);
    // A node that withholds its part.
    let mut without = proof.clone();
    without["parts"].as_array_mut().unwrap().remove(0);
    assert_eq!(town.verify(&without), [false, false]);
    // A changed event, another node's name, a voucher by another key.
    let changes: [(&str, Value); 4] = [
        ("/parts/0/bundle/events/0/kind", json!("RESULT")),
        ("/parts/0/node", json!("0123456789abcdef")),
        ("/parts/0/voucher/body/number", json!(99)),
        ("/receipts/0/event_hash", json!("0".repeat(64))),
    ];
    for (place, value) in changes {
        let mut changed = proof.clone();
        *changed.pointer_mut(place).unwrap() = value;
        assert_eq!(town.verify(&changed), [false, false], "{place}");
    }
    // Two results of one request, at two nodes, are what must never be.
    let mut twice = proof.clone();
    let again = proof["parts"][0].clone();
    twice["parts"].as_array_mut().unwrap().push(again);
    assert_eq!(town.verify(&twice), [false, false]);
}

/// "An unsigned decision, a replayed decision, a package whose bytes changed in the store: refused, named, recorded."
#[test]
fn what_the_operator_did_not_decide_is_refused_and_recorded() {
    let Some(mut town) = Town::with_plugin(1) else {
        return;
    };
    let refused = |town: &Town, words: &str| {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let said = town.local(&[
                "--json", "ledger", "query", "--run", "system", "--kind", "ERROR",
            ]);
            if lines(&said.1).any(|event| {
                event["meta"]["reason"]
                    .as_str()
                    .unwrap_or_default()
                    .contains(words)
            }) {
                return;
            }
            assert!(
                Instant::now() < end,
                "no ERROR says '{words}': {said:?}\n{}",
                town.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    town.publish("omega.decision", b"{\"enable\":\"everything\"}");
    refused(&town, "no decision");
    // Signed, but by somebody else.
    let said = town.fleet(&["disable", "p.hello.sh", "--key", &town.path("vendor")]);
    assert_eq!(said.0, 0, "the stream takes anything: {said:?}");
    refused(&town, "not signed by the operator's key");
    // The operator's own, once more.
    let first = town.message_of_decisions(1);
    town.publish("omega.decision", &first);
    refused(&town, "was replayed");
    assert_eq!(town.status(), "enabled");
    // Other bytes under the digest that the operator signed, before the node that was away gets them.
    town.kill_node(0);
    let other = town.signed_copy("p.hello.other");
    let said = town.fleet(&["publish", &other, "--key", &town.path("operator")]);
    assert_eq!(said.0, 0, "{said:?}");
    town.change_in_store(&other);
    town.start_node(0);
    refused(&town, "its bytes in the store changed");
    let plugins = town.local(&["--json", "list"]);
    assert!(!plugins.1.contains("p.hello.other"), "{plugins:?}");
}

/// "Revocation is in force on every reachable node"; "a node that was away catches up before it serves"; a node that is told to end answers
/// what it has begun.
#[test]
fn a_revocation_reaches_a_node_that_was_away_before_it_serves() {
    let Some(mut town) = Town::with_plugin(1) else {
        return;
    };
    let key = town.key_id("vendor.pub");
    town.kill_node(0);
    let said = town.fleet(&["trust", "remove", &key, "--key", &town.path("operator")]);
    assert_eq!(said.0, 0, "{said:?}");
    town.start_node(0);
    let end = Instant::now() + Duration::from_secs(60);
    while town.nodes().iter().all(|node| node["serving"] != true) {
        assert!(Instant::now() < end, "{}", town.log());
        // Until it has caught up, nothing is served.
        let said = town.fleet(&[
            "--json",
            "invoke",
            "p.hello.sh",
            "--text",
            "x",
            "--timeout-ms",
            "2000",
        ]);
        assert_ne!(json_of(&said.1)["status"], "ok");
    }
    assert_eq!(town.status(), "disabled");
    let said = town.fleet(&["--json", "invoke", "p.hello.sh", "--text", "x"]);
    assert_ne!(json_of(&said.1)["status"], "ok");
    assert!(town.end_node(0), "a signal is an end in good order");
}

/// "A redelivered request whose INVOKE stands is answered from the record or closed as unknown, never run twice."
#[test]
fn a_batch_runs_each_request_once() {
    let Some(town) = Town::with_plugin(2) else {
        return;
    };
    let jobs: Vec<String> = (0..20)
        .map(|job| {
            let request = json!({
                "request_id": format!("job-{}", job % 10), "run_id": "batch", "timestamp": "2026-01-31T12:00:00Z", "context": {},
                "payload": {"kind": "text", "content": "a b c", "encoding": "utf-8", "metadata": {}},
                "policy": {"deterministic_only": false, "timeout_ms": 30000, "max_retries": 0},
            });
            json!({ "plugin_id": "p.hello.sh", "request": request }).to_string()
        })
        .collect();
    let file = town.path("jobs");
    fs::write(&file, jobs.join("\n")).unwrap();
    // Each request is there twice, and the file is submitted twice.
    for _ in 0..2 {
        let said = town.fleet(&["submit", &file, "--wait-ms", "60000"]);
        assert_eq!(said.0, 0, "{said:?}\n{}", town.log());
        assert!(
            lines(&said.1).all(|response| response["status"] == "ok"),
            "{said:?}"
        );
    }
    let file = town.path("proof.json");
    assert_eq!(town.fleet(&["proof", "batch", "--out", &file]).0, 0);
    let proof: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let invoked: Vec<&str> = proof["parts"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|part| part["bundle"]["events"].as_array().unwrap())
        .filter(|event| event["kind"] == "INVOKE")
        .map(|event| event["request_id"].as_str().unwrap())
        .collect();
    let distinct: std::collections::BTreeSet<&str> = invoked.iter().copied().collect();
    assert_eq!((invoked.len(), distinct.len()), (10, 10));
    assert_eq!(town.verify(&proof), [true, true]);
}

/// "Exit codes as the local command's; wrong credentials 3, no server 4"; the body of a request that is none gets the service API's error; a
/// request that comes after its caller's time is refused; stock tools see the service.
#[test]
fn what_is_wrong_is_said_in_the_service_api_s_words() {
    let Some(town) = Town::with_plugin(1) else {
        return;
    };
    let said = town.fleet_at("nats://127.0.0.1:1", &["nodes"]);
    assert_eq!(said.0, 4, "{said:?}");
    let said = town.fleet_at(
        &town.url().replace("nats://", "nats://nobody:wrong@"),
        &["nodes"],
    );
    assert_eq!(said.0, 3, "{said:?}");
    let (headers, _) = town.request("omega.invoke.p.hello.sh", &[], b"{}");
    assert_eq!(headers["Nats-Service-Error-Code"], "400");
    let late = [("Plugin-Gateway-Deadline", "2026-01-01T00:00:00Z")];
    let (_, body) = town.request("omega.invoke.p.hello.sh", &late, &message("late"));
    let response = json_of(std::str::from_utf8(&body).unwrap());
    assert_eq!(response["status"], "rejected");
    assert!(
        response["notes"]
            .as_str()
            .unwrap()
            .contains("time was over"),
        "{response}"
    );
    let (headers, body) = town.request("omega.invoke.p.hello.sh", &[], &message("in time"));
    assert_eq!(json_of(std::str::from_utf8(&body).unwrap())["status"], "ok");
    for name in ["Node", "Run", "Event", "Checkpoint"] {
        assert!(
            headers.contains_key(&format!("Plugin-Gateway-{name}")),
            "{headers:?}"
        );
    }
    let (_, info) = town.request("$SRV.INFO.plugin-gateway", &[], b"");
    let info = json_of(std::str::from_utf8(&info).unwrap());
    assert_eq!(info["type"], "io.nats.micro.v1.info_response");
    assert_eq!(info["endpoints"][0]["subject"], "omega.invoke.p.hello.sh");
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
