//! Several faces, `serve` and the command's verbs on one state: "It holds the state like `serve`, or goes through a running one's control
//! socket."

use std::time::Duration;

use campaigns::answers::{prompt, slow};
use campaigns::processes::exists;
use campaigns::{Channel, Host};
use nix::sys::signal::Signal;
use serde_json::json;

use super::client::{RECEIPT, kinds, session, text, wait_for_invoke};

fn called(face: &mut Channel) -> String {
    let said = face.call("tools/call", text("p_test_prompt", "x"));
    assert_eq!(said["isError"], false, "{said}");
    said["_meta"][RECEIPT]["run_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Two faces and an operator at once, and when the holder leaves, the other one takes over.
#[test]
fn inv_pnp_01_faces_share_a_state_and_one_takes_over() {
    let host = Host::new();
    host.install(&prompt("p.test.prompt"));
    host.alone();
    let (mut first, mut second) = (session(&host), session(&host));
    let runs = [called(&mut first), called(&mut second)];
    assert_ne!(runs[0], runs[1], "a run is a session's");
    let other = host.install(&prompt("p.test.other"));
    host.say(["disable", &other]).expect(0);
    first.close();
    assert_eq!(first.ended().code, Some(0));
    called(&mut second);
    // Now it is the one that holds the state.
    let mut third = session(&host);
    called(&mut third);
    second.close();
    assert_eq!(second.ended().code, Some(0));
    called(&mut third);
    assert_eq!(
        kinds(&host, &runs[1], None),
        ["INVOKE", "RESULT", "INVOKE", "RESULT"]
    );
    host.verified();
}

/// A call whose holder is killed, or leaves, is asked again of the next one: nobody waits in vain.
#[test]
fn inv_pnp_07_a_call_outlives_the_process_that_held_the_state() {
    for kill in [true, false] {
        let host = Host::new();
        host.install(&prompt("p.test.prompt"));
        host.install(&slow("p.test.slow", 1_500));
        host.alone();
        let (mut first, mut second) = (session(&host), session(&host));
        called(&mut first);
        let late = second.send("tools/call", text("p_test_slow", "x"));
        wait_for_invoke(&host, "p.test.slow", 1);
        if kill {
            first.signal(Signal::SIGKILL);
        } else {
            first.close();
        }
        let said = second.answer(&late);
        assert_eq!(said["result"]["isError"], false, "{said}");
        let receipt = &said["result"]["_meta"][RECEIPT];
        let run = receipt["run_id"].as_str().unwrap();
        let again = receipt["request_id"].as_str().unwrap();
        assert!(again.starts_with("call-1."), "{again}");
        assert_eq!(
            kinds(&host, run, Some("call-1")),
            ["INVOKE", "ERROR"],
            "what came of it is recorded"
        );
        assert_eq!(kinds(&host, run, Some(again)), ["INVOKE", "RESULT"]);
        drop(first);
        host.verified();
    }
}

/// Beside `serve`, which was there first; and an operator's shutdown of a face's gateway lets the state go.
#[test]
fn inv_pnp_01_a_face_goes_through_serve_and_lets_the_state_go_when_asked() {
    let host = Host::new();
    host.install(&prompt("p.test.prompt"));
    let mut serve = Channel::open(&host);
    serve.call("ping", json!({}));
    let mut face = session(&host);
    let run = called(&mut face);
    let proof = serve.call("exportProof", json!({"run_id": run}));
    assert_eq!(proof["events"].as_array().unwrap().len(), 2);
    serve.call("shutdown", json!({}));
    assert_eq!(serve.ended().code, Some(0));
    called(&mut face);
    let mut operator =
        std::os::unix::net::UnixStream::connect(host.state().join("control.sock")).unwrap();
    std::io::Write::write_all(
        &mut operator,
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"shutdown\"}\n",
    )
    .unwrap();
    std::io::Read::read_to_end(&mut operator, &mut Vec::new()).unwrap();
    let mut serve = Channel::open(&host);
    serve.call("ping", json!({}));
    called(&mut face);
}

/// "be gone within a second of end of input, with calls in flight cancelled and recorded", and by a signal as well.
#[test]
fn inv_pnp_09_at_the_end_calls_in_flight_are_cancelled_and_recorded() {
    for signal in [None, Some(Signal::SIGTERM)] {
        let host = Host::new();
        host.install(&prompt("p.test.prompt"));
        host.install(&slow("p.test.slow", 50_000));
        let mut face = session(&host);
        let run = called(&mut face);
        face.send("tools/call", text("p_test_slow", "x"));
        wait_for_invoke(&host, "p.test.slow", 1);
        let pid = face.pid();
        match signal {
            None => face.close(),
            Some(signal) => face.signal(signal),
        }
        let ended = face.ended();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        assert!(!exists(pid));
        while kinds(&host, &run, Some("call-2")).len() < 2 {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(kinds(&host, &run, Some("call-2")), ["INVOKE", "ERROR"]);
    }
}

/// Requests through a pipe that ends at once: what is quick is answered.
#[test]
fn inv_pnp_01_what_is_quick_is_answered_at_the_end_of_the_input() {
    let host = Host::new();
    host.install(&prompt("p.test.prompt"));
    let mut face = session(&host);
    let ids = [
        face.send("tools/list", json!({})),
        face.send("ping", json!({})),
    ];
    face.close();
    let rest = face.ended().rest;
    for id in ids {
        assert!(rest.iter().any(|line| line["id"] == id), "{rest:?}");
    }
}
