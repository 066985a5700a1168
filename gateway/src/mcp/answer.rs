//! Results and notifications as the protocol has them. What a plugin answered is taken as it is.

use plugin_protocol::canonical;
use serde_json::{Value, json};

use super::revision::{Era, meta};

/// Where a result names the call's closing event (contract, section 13).
const RECEIPT: &str = "plugin-gateway/receipt";

/// The name of the log.
const LOGGER: &str = "plugin-gateway";

/// Who answers.
pub(super) fn server_info() -> Value {
    json!({ "name": "plugin-gateway", "title": "Plugin gateway", "version": env!("CARGO_PKG_VERSION") })
}

/// A result in the form of its era.
pub(super) fn result(era: Era, mut fields: Value) -> Value {
    if era == Era::Stateless {
        fields["resultType"] = "complete".into();
        fields["_meta"][meta::SERVER] = server_info();
    }
    fields
}

/// The result of a call that the gateway answered with `response` (contract, section 6).
pub(super) fn of_call(
    era: Era,
    run_id: &str,
    request_id: &str,
    of_server: bool,
    response: &Value,
) -> Value {
    let status = response["status"].as_str().unwrap_or_default();
    let mut fields = if status == "ok" && of_server {
        of_server_s(&response["result"]["data"])
    } else if status == "ok" {
        content(&response["result"])
    } else {
        let notes = response["notes"].as_str().filter(|notes| !notes.is_empty());
        error(notes.unwrap_or(status))
    };
    let event_hash = response["_receipt"]["event_hash"].as_str();
    fields["_meta"] = json!({ RECEIPT: {
        "run_id": run_id,
        "request_id": request_id,
        "event_hash": event_hash.unwrap_or_default(),
        "status": status,
    }});
    result(era, fields)
}

/// The result of a call that failed before the gateway was asked: the words are for the model, which can then do better.
pub(super) fn refused(era: Era, words: &str) -> Value {
    result(era, error(words))
}

fn error(words: &str) -> Value {
    json!({ "content": [text(words)], "isError": true })
}

/// What a server's result becomes: what it was.
fn of_server_s(data: &Value) -> Value {
    let failed = data["isError"] == true;
    let mut fields = json!({ "content": data["content"], "isError": failed });
    if let Some(structured) = data.get("structuredContent") {
        fields["structuredContent"] = structured.clone();
    }
    fields
}

/// What a plugin's result becomes.
fn content(payload: &Value) -> Value {
    match payload["kind"].as_str() {
        Some("text") => {
            json!({ "content": [text(payload["content"].as_str().unwrap_or_default())], "isError": false })
        }
        Some("json") => {
            let data = &payload["data"];
            json!({ "content": [text(&canonical::text(data))], "structuredContent": data, "isError": false })
        }
        // A reference, or no result at all: the caller sees what it is.
        Some(_) => json!({ "content": [text(&canonical::text(payload))], "isError": false }),
        None => json!({ "content": [], "isError": false }),
    }
}

fn text(words: &str) -> Value {
    json!({ "type": "text", "text": words })
}

/// A notification with these params.
pub(super) fn notification(method: &str, params: &Value) -> Vec<u8> {
    crate::serve::message::notification(method, &params.to_string())
}

/// One line of the log.
pub(super) fn log(level: &str, data: &Value) -> Vec<u8> {
    notification(
        "notifications/message",
        &json!({ "level": level, "logger": LOGGER, "data": data }),
    )
}

/// That the tools are others now; for a subscription, with its name.
pub(super) fn tools_changed(subscription: Option<&Value>) -> Vec<u8> {
    let params = subscription.map_or_else(
        || json!({}),
        |id| json!({ "_meta": { meta::SUBSCRIPTION: id } }),
    );
    notification("notifications/tools/list_changed", &params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(response: Value) -> Value {
        of_call(Era::Session, "run", "call-1", false, &response)
    }

    #[test]
    fn a_text_is_one_content_and_json_is_structured_beside_the_same_text() {
        let text =
            call(json!({"status": "ok", "notes": "", "result": {"kind": "text", "content": "a"}}));
        assert_eq!(text["content"], json!([{"type": "text", "text": "a"}]));
        assert_eq!(
            (&text["isError"], text.get("structuredContent")),
            (&json!(false), None)
        );
        let json = call(
            json!({"status": "ok", "notes": "", "result": {"kind": "json", "data": {"b": 1, "a": 2}, "schema_ref": "x"}}),
        );
        assert_eq!(json["structuredContent"], json!({"a": 2, "b": 1}));
        assert_eq!(
            json["content"],
            json!([{"type": "text", "text": "{\"a\":2,\"b\":1}"}])
        );
        let reference = call(
            json!({"status": "ok", "notes": "", "result": {"kind": "binary_ref", "artifact_id": "x"}}),
        );
        assert_eq!(
            reference["content"][0]["text"],
            r#"{"artifact_id":"x","kind":"binary_ref"}"#
        );
    }

    #[test]
    fn a_server_s_result_goes_on_as_it_is() {
        let data = json!({
            "content": [{ "type": "image", "data": "", "mimeType": "image/png" }], "structuredContent": { "a": 1 }, "isError": true,
        });
        let payload = json!({ "kind": "json", "schema_ref": "mcp-result/1", "data": data });
        let response = json!({ "status": "ok", "notes": "", "result": payload });
        let mut result = of_call(Era::Session, "run", "call-1", true, &response);
        result.as_object_mut().unwrap().remove("_meta");
        assert_eq!(result, data);
        let failed = json!({ "status": "timeout", "notes": "late", "result": null });
        let result = of_call(Era::Session, "run", "call-1", true, &failed);
        assert_eq!(result["content"][0]["text"], "late");
    }

    #[test]
    fn any_status_but_ok_is_an_error_with_its_notes() {
        for status in ["rejected", "error", "timeout"] {
            let result = call(json!({"status": status, "notes": "words", "result": null}));
            assert_eq!(
                (&result["isError"], &result["content"][0]["text"]),
                (&json!(true), &json!("words"))
            );
            assert_eq!(result["_meta"][RECEIPT]["status"], status);
        }
        let wordless = call(json!({"status": "error", "notes": "", "result": null}));
        assert_eq!(wordless["content"][0]["text"], "error");
    }

    #[test]
    fn a_receipt_names_the_closing_event() {
        let response = json!({"status": "ok", "notes": "", "result": null, "_receipt": {"event_hash": "ab", "index": 3}});
        let result = of_call(Era::Stateless, "run", "call-1", false, &response);
        assert_eq!(
            result["_meta"][RECEIPT],
            json!({"run_id": "run", "request_id": "call-1", "event_hash": "ab", "status": "ok"})
        );
        assert_eq!(result["resultType"], "complete");
        assert_eq!(result["_meta"][meta::SERVER]["name"], "plugin-gateway");
    }
}
