//! Rough clients: garbage, half lines, huge lines, floods. Each gets the right error, nothing is lost, and memory is bounded.

use std::fs;
use std::time::Duration;

use campaigns::answers::{prompt, slow};
use campaigns::processes::peak_memory_kib;
use campaigns::{Channel, Host};
use serde_json::{Value, json};

use super::client::{face, hello, session, text};

fn host_with(settings: &str) -> Host {
    let host = Host::new();
    host.alone();
    fs::write(host.state().join("config.toml"), settings).unwrap();
    host
}

#[test]
fn inv_pnp_08_garbage_has_its_error_and_the_rest_goes_on() {
    let host = Host::new();
    host.install(&prompt("p.test.prompt"));
    let mut face = session(&host);
    for (line, code) in [
        ("garbage", -32_700),
        ("{\"jsonrpc\":\"2.0\",\"id\":1", -32_700),
        ("\u{feff}{}", -32_700),
        ("[]", -32_600),
        (
            "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]",
            -32_600,
        ),
        (
            "{\"jsonrpc\":\"1.0\",\"id\":{},\"method\":\"ping\"}",
            -32_600,
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}",
            -32_600,
        ),
    ] {
        face.send_raw(format!("{line}\n").as_bytes());
        assert_eq!(face.notice()["error"]["code"], code, "{line}");
    }
    // Nothing was asked, so an answer means nothing; and a notification that nobody knows has none.
    for line in [
        json!({"jsonrpc": "2.0", "id": 77, "result": {}}),
        json!({"jsonrpc": "2.0", "id": 78, "error": {"code": 1, "message": "x"}}),
        json!({"jsonrpc": "2.0", "method": "notifications/nothing", "params": {"x": [1]}}),
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled"}),
        json!({"jsonrpc": "2.0", "method": "tools/call", "params": text("p_test_prompt", "x")}),
    ] {
        face.send_raw(format!("{line}\n").as_bytes());
    }
    assert_eq!(face.code("tools/list", json!({"_meta": 1})), -32_602);
    assert_eq!(
        face.call("tools/call", text("p_test_prompt", "x"))["isError"],
        false
    );
    assert_eq!(face.notices, [] as [Value; 0]);
}

#[test]
fn inv_pnp_08_a_huge_line_is_refused_unread_and_half_a_line_at_the_end_is_told() {
    let host = host_with("[channel]\nmax_line_bytes = 100000\n");
    let mut face = face(&host);
    face.call("initialize", hello("2025-11-25"));
    let mut huge = vec![b'x'; 3_000_000];
    huge.push(b'\n');
    face.send_raw(&huge);
    assert_eq!(face.notice()["error"]["code"], -32_600);
    assert_eq!(face.call("ping", json!({})), json!({}));
    face.send_raw(b"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"pi");
    face.close();
    let rest = face.ended().rest;
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!(rest[0]["error"]["code"], -32_700);
}

/// More calls than there is room for: each is answered, with what the gateway says of an overload, and recorded.
#[test]
fn inv_pnp_08_a_flood_of_calls_is_answered_to_the_last() {
    const CALLS: usize = 200;
    let host = host_with("calls_at_once = 2\ncalls_waiting = 2\n");
    host.install(&slow("p.test.slow", 100));
    let mut face = session(&host);
    let ids: Vec<Value> = (0..CALLS)
        .map(|_| face.send("tools/call", text("p_test_slow", "x")))
        .collect();
    let mut good = 0;
    for id in &ids {
        let said = face.answer(id);
        if said["result"]["isError"] == false {
            good += 1;
        } else {
            assert!(
                said["result"]["content"][0]["text"]
                    .as_str()
                    .unwrap()
                    .contains("overloaded"),
                "{said}"
            );
        }
    }
    assert!(good > 0 && good < CALLS, "{good}");
    let closed = host.events().into_iter().filter(|event| {
        event["plugin_id"] == "p.test.slow"
            && ["RESULT", "REJECT"]
                .iter()
                .any(|kind| event["kind"] == *kind)
    });
    assert_eq!(closed.count(), CALLS, "each is recorded");
}

/// A client that asks and does not read holds itself up: nothing is lost once it reads, and little is kept until then.
#[test]
fn inv_pnp_08_a_client_that_does_not_read_is_not_read_from() {
    const PINGS: usize = 20_000;
    const PEAK_KIB: u64 = 64 * 1024;
    let host = Host::new();
    let mut face = Channel::speaking(&host, &["mcp"], Duration::from_secs(1));
    let ids: Vec<Value> = (0..PINGS).map(|_| face.send("ping", json!({}))).collect();
    for id in &ids {
        assert_eq!(face.answer(id)["result"], json!({}));
    }
    let peak = peak_memory_kib(face.pid());
    assert!(peak < PEAK_KIB, "{peak} KiB");
}

/// An id names one request at a time.
#[test]
fn inv_pnp_08_an_id_in_flight_is_not_given_twice() {
    let host = Host::new();
    host.install(&slow("p.test.slow", 500));
    let mut face = session(&host);
    let id = json!("same");
    face.send_as(&id, "tools/call", text("p_test_slow", "x"));
    face.send_as(&id, "tools/call", text("p_test_slow", "x"));
    assert_eq!(face.answer(&id)["error"]["code"], -32_600);
    assert_eq!(face.answer(&id)["result"]["isError"], false);
}
