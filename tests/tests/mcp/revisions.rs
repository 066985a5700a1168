//! What each revision of the protocol asks of a server.

use campaigns::Host;
use campaigns::answers::prompt;
use serde_json::{Value, json};

use super::client::{cancel, face, hello, session, stateless, text, tools};

/// "revisions 2024-11-05 to 2025-11-25 by `initialize`": the one that was asked for, and for any other the newest.
#[test]
fn inv_pnp_01_initialize_agrees_on_a_revision() {
    let host = Host::new();
    let mut face = face(&host);
    for (asked, agreed) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("next", "2025-11-25"),
    ] {
        let said = face.call("initialize", hello(asked));
        assert_eq!(said["protocolVersion"], agreed, "{said}");
        assert_eq!(said["capabilities"]["tools"]["listChanged"], true);
        assert_eq!(said["serverInfo"]["name"], "plugin-gateway");
    }
    assert_eq!(face.code("initialize", json!({})), -32_602);
    assert_eq!(face.call("ping", json!({})), json!({}));
    assert_eq!(
        face.call("logging/setLevel", json!({"level": "error"})),
        json!({})
    );
    assert_eq!(
        face.code("logging/setLevel", json!({"level": "loud"})),
        -32_602
    );
    for unknown in [
        "resources/list",
        "server/discover",
        "subscriptions/listen",
        "sampling",
    ] {
        assert_eq!(face.code(unknown, json!({})), -32_601, "{unknown}");
    }
}

/// A client that never begins is told how to, and may ping.
#[test]
fn inv_pnp_08_a_client_that_never_initialises_is_told_so() {
    let host = Host::new();
    let mut face = face(&host);
    for early in [
        "tools/list",
        "tools/call",
        "logging/setLevel",
        "server/discover",
    ] {
        assert_eq!(face.code(early, json!({})), -32_602, "{early}");
    }
    assert_eq!(face.call("ping", json!({})), json!({}));
    assert_eq!(face.code("nothing", json!({})), -32_601);
}

/// "2026-07-28, stateless, by `server/discover`": each request says what it needs, and no session is asked for.
#[test]
fn inv_pnp_01_the_stateless_revision_needs_no_session() {
    let host = Host::new();
    let id = host.install(&prompt("p.test.prompt"));
    let mut face = face(&host);
    let said = face.call("server/discover", stateless(json!({})));
    assert_eq!(said["supportedVersions"][0], "2026-07-28");
    let list = face.call("tools/list", stateless(json!({})));
    assert_eq!(list["tools"][0]["name"], "p_test_prompt");
    for cacheable in [&said, &list] {
        assert!(
            cacheable["ttlMs"].is_u64() && cacheable["cacheScope"] == "private",
            "{cacheable}"
        );
        assert_eq!(cacheable["resultType"], "complete");
        assert_eq!(
            cacheable["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
            "plugin-gateway"
        );
    }
    let called = face.call("tools/call", stateless(text("p_test_prompt", "x")));
    assert_eq!(
        (&called["resultType"], &called["isError"]),
        (&json!("complete"), &json!(false))
    );
    // What the older ones have, this one has not.
    for gone in ["ping", "logging/setLevel", "nothing"] {
        assert_eq!(face.code(gone, stateless(json!({}))), -32_601, "{gone}");
    }
    let mut lacking = stateless(json!({}));
    lacking["_meta"]
        .as_object_mut()
        .unwrap()
        .remove("io.modelcontextprotocol/clientCapabilities");
    assert_eq!(face.code("tools/list", lacking), -32_602);
    let mut other = stateless(json!({}));
    other["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("1900-01-01");
    let request = face.send("server/discover", other);
    let error = face.answer(&request)["error"].clone();
    assert_eq!(error["code"], -32_022);
    assert_eq!(error["data"]["requested"], "1900-01-01");
    let supported = error["data"]["supported"].as_array().unwrap();
    assert!(supported.contains(&json!("2026-07-28")) && supported.contains(&json!("2025-11-25")));
    host.say(["disable", &id]).expect(0);
}

/// "`notifications/tools/list_changed`": to a session once it has begun.
#[test]
fn inv_pnp_01_a_session_hears_that_the_tools_are_others() {
    let host = Host::new();
    let mut face = session(&host);
    assert_eq!(tools(&mut face), [""; 0]);
    let id = host.install(&prompt("p.test.prompt"));
    assert_eq!(face.notice()["method"], "notifications/tools/list_changed");
    assert_eq!(tools(&mut face), ["p_test_prompt"]);
    host.say(["disable", &id]).expect(0);
    assert_eq!(face.notice()["method"], "notifications/tools/list_changed");
    assert_eq!(face.code("tools/call", text("p_test_prompt", "x")), -32_602);
}

/// Without a session it is opt-in, under the subscription's own id, until it is taken back.
#[test]
fn inv_pnp_01_without_a_session_a_subscription_hears_of_the_tools() {
    const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
    let host = Host::new();
    let mut face = face(&host);
    let wanted = json!({"notifications": {"toolsListChanged": true, "promptsListChanged": true}});
    face.send_as(
        &json!("mine"),
        "subscriptions/listen",
        stateless(wanted.clone()),
    );
    let heard = face.notice();
    assert_eq!(heard["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(
        heard["params"]["notifications"],
        json!({"toolsListChanged": true})
    );
    assert_eq!(heard["params"]["_meta"][SUBSCRIPTION], "mine");
    assert_eq!(
        face.code("subscriptions/listen", stateless(json!({}))),
        -32_602
    );
    let second = face.send("subscriptions/listen", stateless(wanted));
    assert_eq!(face.notice()["params"]["_meta"][SUBSCRIPTION], second);
    cancel(&mut face, &second);
    host.install(&prompt("p.test.prompt"));
    let heard = face.notice();
    assert_eq!(heard["method"], "notifications/tools/list_changed");
    assert_eq!(heard["params"]["_meta"][SUBSCRIPTION], "mine");
    // The end is the answer; the one that was taken back has none.
    face.close();
    let rest = face.ended().rest;
    let answers: Vec<&Value> = rest
        .iter()
        .filter(|line| line.get("id").is_some())
        .collect();
    assert_eq!(answers.len(), 1, "{rest:?}");
    assert_eq!(answers[0]["id"], "mine");
    assert_eq!(answers[0]["result"]["_meta"][SUBSCRIPTION], "mine");
}
