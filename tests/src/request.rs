//! Payloads and requests that break no rule until a test changes them.

use serde_json::{Value, json};

/// A text payload.
pub fn text(content: &str) -> Value {
    json!({ "kind": "text", "content": content, "encoding": "utf-8", "metadata": {} })
}

/// A JSON payload.
pub fn data(schema_ref: &str, data: Value) -> Value {
    json!({ "kind": "json", "data": data, "schema_ref": schema_ref })
}

/// A request with this payload.
pub fn request(payload: Value) -> Value {
    json!({
        "request_id": "request-1",
        "run_id": "run-1",
        "timestamp": "2026-01-02T03:04:05Z",
        "payload": payload,
        "context": {},
        "policy": { "deterministic_only": false, "timeout_ms": 20_000, "max_retries": 0 }
    })
}

/// The value with one member changed; `pointer` names a member that is there already, or a new one of an object that is.
#[must_use]
pub fn with(mut value: Value, pointer: &str, member: Value) -> Value {
    let (parent, name) = split(pointer);
    match value
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("there is no '{parent}'"))
    {
        Value::Object(members) => drop(members.insert(name, member)),
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = member,
        other => panic!("'{parent}' is {other}, which has no members"),
    }
    value
}

/// The value without the member that `pointer` names.
#[must_use]
pub fn without(mut value: Value, pointer: &str) -> Value {
    let (parent, name) = split(pointer);
    let removed = match value.pointer_mut(parent) {
        Some(Value::Object(members)) => members.remove(&name),
        _ => None,
    };
    assert!(removed.is_some(), "there is no '{pointer}' to remove");
    value
}

/// The pointer of the parent, and the member's own name (RFC 6901).
fn split(pointer: &str) -> (&str, String) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer begins with '/'");
    (parent, name.replace("~1", "/").replace("~0", "~"))
}
