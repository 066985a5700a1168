//! The table of calls, without a gateway.

use std::io::Write;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::super::revision::Era;
use super::*;

struct Sink(Sender<Vec<u8>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes.to_owned()).unwrap();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn calls(max_held_bytes: usize) -> (Calls, Receiver<Vec<u8>>) {
    let (lines, heard) = unbounded();
    let out = Arc::new(Out::open(Sink(lines), || {}).unwrap());
    (Calls::new("run".to_owned(), out, max_held_bytes), heard)
}

fn flight(id: &str) -> Flight {
    Flight {
        id: Id::of(&json!(id)).unwrap(),
        manner: Manner {
            era: Era::Session,
            progress: Some(json!("token")),
            level: None,
        },
        level: None,
        tool: Arc::new(Tool::of_text("tool")),
        payload: json!({}),
        bytes: 10,
    }
}

fn asked(calls: &Calls, key: u64, connection: u64) -> String {
    let line = calls.line(key, connection).unwrap();
    let message: Value = serde_json::from_slice(&line).unwrap();
    message["params"]["request"]["request_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn hear(calls: &Calls, key: u64, status: &str, notes: &str) {
    let result = json!({ "status": status, "notes": notes, "result": null });
    let message = json!({ "jsonrpc": "2.0", "id": key, "result": result });
    calls.hear(message.to_string().as_bytes());
}

fn next(heard: &Receiver<Vec<u8>>) -> Value {
    serde_json::from_slice(&heard.recv_timeout(Duration::from_secs(60)).unwrap()).unwrap()
}

#[test]
fn an_answer_goes_to_the_id_of_its_call() {
    let (calls, heard) = calls(100);
    let (first, second) = (
        calls.begin(flight("a")).unwrap(),
        calls.begin(flight("b")).unwrap(),
    );
    assert_eq!(
        calls.begin(flight("a")).unwrap_err().code,
        -32_600,
        "in flight"
    );
    assert_eq!(asked(&calls, first, 1), "call-1");
    assert_eq!(asked(&calls, second, 1), "call-2");
    hear(&calls, second, "ok", "");
    assert_eq!(next(&heard)["id"], "b");
    hear(&calls, first, "error", "words");
    let said = next(&heard);
    assert_eq!(
        (&said["id"], &said["result"]["isError"]),
        (&json!("a"), &json!(true))
    );
    assert!(calls.wait_until_none(Instant::now()));
    // One that is over is not heard of again.
    hear(&calls, first, "ok", "");
    assert!(calls.begin(flight("a")).is_ok());
}

#[test]
fn a_call_that_is_taken_back_is_not_answered() {
    let (calls, heard) = calls(100);
    let (first, second) = (
        calls.begin(flight("a")).unwrap(),
        calls.begin(flight("b")).unwrap(),
    );
    let id = Id::of(&json!("a")).unwrap();
    assert_eq!(calls.take_back(&id), Some(first));
    assert_eq!(
        calls.line(first, 1),
        None,
        "nor asked, where it was not yet"
    );
    asked(&calls, second, 1);
    calls.take_back(&Id::of(&json!("b")).unwrap());
    hear(&calls, second, "error", CANCELLED_NOTES);
    assert!(calls.wait_until_none(Instant::now()) && heard.is_empty());
    assert_eq!(calls.take_back(&id), None);
}

#[test]
fn a_call_whose_gateway_ends_is_asked_again_and_in_the_end_given_up() {
    let (calls, heard) = calls(100);
    let key = calls.begin(flight("a")).unwrap();
    asked(&calls, key, 1);
    // The gateway cancels what it has in flight, and then ends.
    hear(&calls, key, "error", CANCELLED_NOTES);
    assert!(heard.is_empty(), "its answer is kept back");
    assert_eq!(calls.lost(0), [0; 0], "not this one's connection");
    assert_eq!(calls.lost(1), [key]);
    assert_eq!(asked(&calls, key, 2), "call-1.2");
    assert_eq!(calls.lost(2), [key]);
    assert_eq!(asked(&calls, key, 3), "call-1.3");
    assert_eq!(calls.lost(3), [0; 0]);
    assert_eq!(next(&heard)["error"]["code"], -32_603);
    assert!(calls.wait_until_none(Instant::now()));
}

#[test]
fn what_is_held_is_bounded() {
    let (calls, _heard) = calls(25);
    calls.begin(flight("a")).unwrap();
    calls.begin(flight("b")).unwrap();
    assert!(
        calls
            .begin(flight("c"))
            .unwrap_err()
            .message
            .contains("overloaded")
    );
    let id = Id::of(&json!("a")).unwrap();
    calls.take_back(&id);
    assert_eq!(calls.line(1, 1), None);
    assert!(
        calls.begin(flight("c")).is_ok(),
        "one that is over makes room"
    );
}
