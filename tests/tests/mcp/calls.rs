//! Tools and their calls: what is listed, what is answered, and what the ledger has of it.

use std::time::Duration;

use campaigns::answers::{crashing, prompt, slow};
use campaigns::parrot;
use campaigns::{Channel, Host, Package};
use serde_json::{Value, json};

use super::client::{RECEIPT, cancel, kinds, session, text, tools, wait_for_invoke};

fn with_schemas(id: &str) -> Package {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Words", "type": "object",
        "properties": { "words": { "type": "array", "items": { "type": "string" } } },
        "required": ["words"], "additionalProperties": false,
    });
    let package = prompt(id).file("words.json", schema.to_string().as_bytes(), 0o644);
    package.with(|manifest| {
        manifest["capabilities"] = json!(["read_json", "write_report"]);
        manifest["io"]["inputs"] = json!([{ "kind": "json", "schema_ref": "words/1" }]);
        manifest["schemas"] = json!({ "words/1": "words.json" });
        manifest["determinism"]["mode"] = json!("probabilistic");
    })
}

fn definition<'a>(list: &'a Value, name: &str) -> &'a Value {
    let tools = list["tools"].as_array().unwrap();
    tools.iter().find(|tool| tool["name"] == name).unwrap()
}

/// "Its tools are the enabled plugins", with the names, titles and schemas of section 13.
#[test]
fn inv_pnp_01_the_enabled_plugins_are_the_tools() {
    let host = Host::new();
    host.install(&prompt("p.test.prompt"));
    host.install(&with_schemas("p.test.words"));
    let off = host.install(&prompt("p.test.off"));
    host.say(["disable", &off]).expect(0);
    let reference = prompt("p.test.reference").with(|manifest| {
        manifest["capabilities"] = json!(["read_binary_ref", "write_report"]);
        manifest["io"]["inputs"] = json!([{ "kind": "binary_ref", "schema_ref": "file/1" }]);
    });
    host.install(&reference);
    let mut face = session(&host);
    let list = face.call("tools/list", json!({}));
    assert_eq!(list["tools"].as_array().unwrap().len(), 2, "{list}");
    let of_text = definition(&list, "p_test_prompt");
    assert_eq!(
        of_text["inputSchema"],
        json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": false})
    );
    assert_eq!(
        of_text["annotations"],
        json!({"readOnlyHint": true, "idempotentHint": true})
    );
    assert_eq!(
        (&of_text["title"], &of_text["description"]),
        (
            &json!("A test plugin"),
            &json!("Made on the spot by a test.")
        )
    );
    assert_eq!(of_text.get("outputSchema"), None);
    let of_json = definition(&list, "p_test_words");
    assert_eq!(of_json["inputSchema"]["required"], json!(["words"]));
    assert_eq!(of_json["annotations"], json!({"readOnlyHint": true}));
    let shown = host.say(["list"]).expect(0).stdout;
    for words in [
        "p_test_prompt",
        "p_test_off",
        "none: it takes neither json nor text",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let shown = host.say(["show", "p.test.words"]).expect(0).stdout;
    assert!(shown.contains("p_test_words"), "{shown}");
}

/// "ids that collide after replacement get `_2`, `_3` in order of registration, and `list` shows the tool name".
#[test]
fn inv_pnp_01_plugins_that_would_share_a_name_are_numbered() {
    let host = Host::new();
    let (first, second) = (prompt("p.test.a_b"), parrot::package("p.test.a.b"));
    host.install(&first);
    // Registered in another millisecond.
    std::thread::sleep(Duration::from_millis(2));
    host.install(&second);
    let mut face = session(&host);
    assert_eq!(tools(&mut face), ["p_test_a_b", "p_test_a_b_2"]);
    let called = face.call("tools/call", text("p_test_a_b", "x"));
    assert_eq!(called["structuredContent"], json!({"said": 1}));
    assert!(host.say(["list"]).expect(0).stdout.contains("p_test_a_b_2"));
}

/// A page holds 64 tools; the rest comes by the cursor.
#[test]
fn inv_pnp_08_the_list_comes_in_pages() {
    let host = Host::new();
    let mut face = session(&host);
    assert_eq!(
        face.code("tools/list", json!({"cursor": "made up"})),
        -32_602
    );
    assert_eq!(face.code("tools/list", json!({"cursor": 1})), -32_602);
    let empty = face.call("tools/list", json!({"cursor": "after:zzz"}));
    assert_eq!(empty, json!({"tools": []}));
}

/// "Any status but `ok` is `isError: true` with the notes", and each result names the event that closed its call.
#[test]
fn inv_pnp_10_a_result_has_the_receipt_of_its_event() {
    let host = Host::new();
    host.install(&prompt("p.test.prompt"));
    host.install(&crashing("p.test.crash"));
    host.install(&with_schemas("p.test.words"));
    host.install(&parrot::package("p.test.parrot"));
    let mut face = session(&host);
    let said = face.call("tools/call", text("p_test_prompt", "x"));
    assert_eq!(said["structuredContent"], json!({"said": 1}));
    assert_eq!(
        said["content"],
        json!([{"type": "text", "text": "{\"said\":1}"}])
    );
    assert_eq!(said["isError"], false);
    let run = said["_meta"][RECEIPT]["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let crashed = face.call("tools/call", text("p_test_crash", "x"));
    let wrong = face.call(
        "tools/call",
        json!({"name": "p_test_words", "arguments": {"words": 1}}),
    );
    let results = [
        (&said, "ok", "RESULT"),
        (&crashed, "error", "ERROR"),
        (&wrong, "rejected", "REJECT"),
    ];
    for (result, status, kind) in results {
        let receipt = &result["_meta"][RECEIPT];
        assert_eq!(
            (&receipt["run_id"], &receipt["status"]),
            (&json!(run), &json!(status))
        );
        assert_eq!(result["isError"], status != "ok");
        assert!(
            result["content"][0]["text"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{result}"
        );
        let events = host.events();
        let event = events
            .iter()
            .find(|event| event["event_hash"] == receipt["event_hash"]);
        let event = event.unwrap_or_else(|| panic!("{receipt} names no event"));
        assert_eq!(
            (&event["request_id"], &event["kind"]),
            (&receipt["request_id"], &json!(kind))
        );
    }
    assert!(
        wrong["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("schema"),
        "{wrong}"
    );
    assert_eq!(
        kinds(&host, &run, None),
        ["INVOKE", "RESULT", "INVOKE", "ERROR", "REJECT"]
    );
    face.close();
    assert_eq!(face.ended().code, Some(0));
    proves(&host, &run);
}

/// "`plugin-gateway proof export` of the session's run gives an auditor what an agent really called."
fn proves(host: &Host, run: &str) {
    let (bundle, key) = (
        host.folder().join("proof.json"),
        host.state().join("log.pub"),
    );
    let (bundle, key) = (bundle.to_str().unwrap(), key.to_str().unwrap());
    host.say(["proof", "export", run, "--out", bundle])
        .expect(0);
    host.say(["proof", "verify", bundle, "--key", key])
        .expect(0);
}

/// "bad arguments are `isError` (SEP-1303)", an unknown tool and params of a wrong form are errors of the protocol.
#[test]
fn inv_pnp_06_what_a_model_can_mend_is_told_to_it() {
    let host = Host::new();
    host.install(&prompt("p.test.prompt"));
    let mut face = session(&host);
    for (arguments, words) in [
        (json!({}), "'text' is missing"),
        (json!({"text": 1}), "must be a string"),
        (json!({"text": "x", "more": 1}), "no argument 'more'"),
    ] {
        let said = face.call(
            "tools/call",
            json!({"name": "p_test_prompt", "arguments": arguments}),
        );
        assert_eq!(said["isError"], true, "{said}");
        assert!(
            said["content"][0]["text"].as_str().unwrap().contains(words),
            "{said}"
        );
    }
    // A number that no double holds is refused at every door; here the model can send a string instead.
    face.send_raw(b"{\"jsonrpc\":\"2.0\",\"id\":\"n\",\"method\":\"tools/call\",\"params\":{\"name\":\"p_test_prompt\",\"arguments\":{\"n\":9007199254740993}}}\n");
    let said = face.answer(&json!("n"));
    assert_eq!(said["result"]["isError"], true, "{said}");
    for (params, code) in [
        (json!({"name": "nothing"}), -32_602),
        (json!({}), -32_602),
        (json!({"name": "p_test_prompt", "arguments": []}), -32_602),
    ] {
        assert_eq!(face.code("tools/call", params), code);
    }
}

/// Ten calls at once, each with its own answer.
#[test]
fn inv_pnp_08_ten_calls_are_in_flight_at_once() {
    let host = Host::new();
    host.install(&slow("p.test.slow", 300));
    host.install(&prompt("p.test.prompt"));
    let mut face = session(&host);
    let slow: Vec<Value> = (0..10)
        .map(|_| face.send("tools/call", text("p_test_slow", "x")))
        .collect();
    let prompt = face.send("tools/call", text("p_test_prompt", "x"));
    assert_eq!(face.answer(&prompt)["result"]["isError"], false);
    for id in &slow {
        assert_eq!(face.answer(id)["result"]["isError"], false);
    }
    assert!(
        face.order.iter().position(|id| *id == prompt)
            < face.order.iter().position(|id| *id == slow[9])
    );
}

/// "`notifications/cancelled`": the call is ended, recorded and not answered, and the next one works.
#[test]
fn inv_pnp_09_a_call_that_is_taken_back_is_ended_and_not_answered() {
    let host = Host::new();
    host.install(&slow("p.test.slow", 50_000));
    host.install(&prompt("p.test.prompt"));
    let mut face = session(&host);
    let late = face.send("tools/call", text("p_test_slow", "x"));
    wait_for_invoke(&host, "p.test.slow", 1);
    cancel(&mut face, &json!("nobody's"));
    cancel(&mut face, &late);
    let said = face.call("tools/call", text("p_test_prompt", "x"));
    let run = said["_meta"][RECEIPT]["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    while kinds(&host, &run, Some("call-1")).len() < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(kinds(&host, &run, Some("call-1")), ["INVOKE", "ERROR"]);
    face.close();
    let order = std::mem::take(&mut face.order);
    let rest = face.ended().rest;
    assert!(
        !order.contains(&late) && rest.iter().all(|line| line["id"] != late),
        "{rest:?}"
    );
}

/// A client that gives a token hears how far a long call is, and one that set a level hears how each call ended.
#[test]
fn inv_pnp_01_progress_and_the_log_come_where_they_are_wanted() {
    let host = Host::new();
    host.install(&slow("p.test.slow", 1_600));
    let mut face = session(&host);
    face.call("logging/setLevel", json!({"level": "info"}));
    let mut params = text("p_test_slow", "x");
    params["_meta"] = json!({"progressToken": "mine"});
    let id = face.send("tools/call", params);
    assert_eq!(face.answer(&id)["result"]["isError"], false);
    let notices: Vec<Value> = face.notices.drain(..).collect();
    let (progress, rest): (Vec<_>, Vec<_>) = notices
        .iter()
        .partition(|notice| notice["method"] == "notifications/progress");
    assert!(
        progress
            .iter()
            .all(|notice| notice["params"]["progressToken"] == "mine")
    );
    assert!(!progress.is_empty(), "{notices:?}");
    let [log] = rest[..] else { panic!("{rest:?}") };
    assert_eq!(
        (&log["method"], &log["params"]["data"]["status"]),
        (&json!("notifications/message"), &json!("ok"))
    );
    silent_unless_asked(&mut face);
}

fn silent_unless_asked(face: &mut Channel) {
    face.call("logging/setLevel", json!({"level": "error"}));
    face.call("tools/call", text("p_test_slow", "x"));
    assert_eq!(face.notices, [] as [Value; 0]);
}
