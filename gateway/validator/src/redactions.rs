//! Whether what `evidence.redactions` names can be there: a pointer that hits nothing leaves nothing out, and its author believes it does.
//! It never looks at a request; the ledger's `Document` is what applies a pointer, and this follows the same readings of it.

use plugin_protocol::manifest::{Manifest, Port};
use plugin_protocol::payload::PayloadKind;
use plugin_protocol::report::{Issue, Severity};
use serde_json::{Map, Value};

use super::Schemas;
use super::pattern::Pattern;
use super::schema_refs::target;
use super::words::{error, issue, quoted};

/// What a pointer may begin with: members of a request, of a payload of any kind, and the names under which it finds them.
const FIRST_STEPS: [&str; 21] = [
    "request_id",
    "run_id",
    "timestamp",
    "payload",
    "context",
    "policy",
    "kind",
    "content",
    "encoding",
    "metadata",
    "data",
    "schema_ref",
    "artifact_id",
    "artifact_hash",
    "mime_type",
    "slice_ids",
    "source",
    "filters",
    "request",
    "result",
    "response",
];

/// The most parts of a schema that are looked at for one pointer; beyond, it is taken to name something.
const MAX_LOOKS: usize = 10_000;

/// Errors for pointers whose first step names no member of a request or a result.
pub(super) fn unknown(manifest: &Value, issues: &mut Vec<Issue>) {
    let listed = manifest.pointer("/evidence/redactions");
    let listed = listed.and_then(Value::as_array).into_iter().flatten();
    for (index, pointer) in listed.enumerate() {
        let Some(pointer) = pointer.as_str() else {
            continue;
        };
        let steps = steps(pointer);
        // What is no pointer at all is the schema's to say.
        let known = |step: &String| FIRST_STEPS.contains(&step.as_str());
        if pointer.starts_with('/') && !steps.first().is_some_and(known) {
            let message = format!(
                "{} names no member of a request or a result, so it would leave nothing out: write the whole way, for instance \"/payload/data/secret\"",
                quoted(pointer)
            );
            issues.push(error(field(index), message));
        }
    }
}

/// Warnings for pointers that no declared kind of payload has room for.
pub(super) fn idle(manifest: &Manifest) -> Vec<Issue> {
    let why = "no declared input or output has such a member, so it leaves nothing out";
    warned(manifest, why, |steps| !reaches(manifest, None, steps))
}

/// Warnings for pointers that lead to no member that the declared schemas name.
pub(super) fn unnamed(manifest: &Manifest, schemas: &Schemas) -> Vec<Issue> {
    let why = "no declared schema has such a member, so it may leave nothing out: correct it, or name the member in the schema";
    warned(manifest, why, |steps| {
        reaches(manifest, None, steps) && !reaches(manifest, Some(schemas), steps)
    })
}

fn warned(manifest: &Manifest, why: &str, is_idle: impl Fn(&[String]) -> bool) -> Vec<Issue> {
    let listed = manifest.evidence.redactions.iter().enumerate();
    listed
        .filter(|(_, pointer)| is_idle(&steps(pointer)))
        .map(|(index, pointer)| {
            let message = format!("{} can hit nothing: {why}", quoted(pointer));
            issue(field(index), message, Severity::Warning)
        })
        .collect()
}

fn field(index: usize) -> String {
    format!("/evidence/redactions/{index}")
}

/// The steps of a pointer (RFC 6901, section 4).
fn steps(pointer: &str) -> Vec<String> {
    let steps = pointer.split('/').skip(1);
    steps
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect()
}

/// Whether a request or a result may have what the steps lead to, by each way that a pointer is read.
fn reaches(manifest: &Manifest, schemas: Option<&Schemas>, steps: &[String]) -> bool {
    let any = |ports: &[Port], steps: &[String]| {
        ports.iter().any(|port| payload_has(port, schemas, steps))
    };
    let (inputs, outputs) = (&manifest.io.inputs, &manifest.io.outputs);
    let request = |steps: &[String]| match split(steps) {
        None => true,
        Some(("request_id" | "run_id" | "timestamp", rest)) => rest.is_empty(),
        Some(("context", rest)) => rest.len() <= 1,
        Some(("policy", [])) => true,
        Some(("policy", [member])) => {
            ["deterministic_only", "timeout_ms", "max_retries"].contains(&member.as_str())
        }
        Some(("payload", rest)) => any(inputs, rest),
        Some(_) => false,
    };
    let behind = match split(steps) {
        Some(("request", rest)) => request(rest),
        Some(("result" | "payload", rest)) => any(outputs, rest),
        Some(("response", [result, rest @ ..])) if result == "result" => any(outputs, rest),
        Some(_) | None => false,
    };
    behind || request(steps) || any(inputs, steps) || any(outputs, steps)
}

fn split(steps: &[String]) -> Option<(&str, &[String])> {
    let (first, rest) = steps.split_first()?;
    Some((first, rest))
}

fn payload_has(port: &Port, schemas: Option<&Schemas>, steps: &[String]) -> bool {
    use PayloadKind::{BinaryRef, DatasetSlice, Json, Text};
    let Some((first, rest)) = split(steps) else {
        return true;
    };
    match (port.kind, first) {
        (_, "kind")
        | (Text, "content" | "encoding")
        | (Json, "schema_ref")
        | (BinaryRef, "artifact_id" | "artifact_hash" | "mime_type")
        | (DatasetSlice, "source") => rest.is_empty(),
        (Text, "metadata") | (DatasetSlice, "filters") => rest.len() <= 1,
        (DatasetSlice, "slice_ids") => match rest {
            [] => true,
            [item] => index(item).is_some(),
            [_, _, ..] => false,
        },
        (Json, "data") => {
            let name = &port.schema_ref;
            let Some(root) = schemas.and_then(|schemas| schemas.text(name)) else {
                return true;
            };
            let whole = schemas.is_some_and(|schemas| schemas.describes_payload(name));
            let steps = if whole { steps } else { rest };
            let mut looks = MAX_LOOKS;
            has(root, root, steps, &mut looks) != Named::No
        }
        (Text | Json | BinaryRef | DatasetSlice, _) => false,
    }
}

/// Whether a schema names a part of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    /// It says nothing of any part.
    Silent,
    /// It names others.
    No,
    Yes,
}

/// Whether `schema` names what the steps lead to. Parts that look at the same value add to each other.
fn has(root: &Value, schema: &Value, steps: &[String], looks: &mut usize) -> Named {
    *looks = looks.saturating_sub(1);
    let Some((step, rest)) = split(steps) else {
        return if *schema == false {
            Named::No
        } else {
            Named::Yes
        };
    };
    let object = match schema {
        _ if *looks == 0 => return Named::Yes,
        Value::Object(object) => object,
        Value::Bool(false) => return Named::No,
        Value::Null | Value::Bool(true) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Named::Silent;
        }
    };
    let mut named = scalar(object);
    for part in inward(object, step, &mut named) {
        let inner = has(root, part, rest, looks);
        // A member that is there counts, whatever its schema says of what is in it.
        named = named.max(if inner == Named::No {
            Named::No
        } else {
            Named::Yes
        });
    }
    for part in in_place(root, object) {
        named = named.max(has(root, part, steps, looks));
    }
    named
}

/// No where the type has no parts.
fn scalar(object: &Map<String, Value>) -> Named {
    let types = match object.get("type") {
        Some(Value::Array(types)) => types.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => return Named::Silent,
    };
    if types.iter().any(|name| name == "object" || name == "array") {
        Named::Silent
    } else {
        Named::No
    }
}

/// The parts for one step into the value; `named` becomes no where there are members and this is none of them.
fn inward<'a>(object: &'a Map<String, Value>, step: &str, named: &mut Named) -> Vec<&'a Value> {
    let mut parts = Vec::new();
    let mut told = false;
    let mut note = |keyword: &str| {
        let value = object.get(keyword);
        told |= value.is_some();
        value
    };
    let properties = note("properties").and_then(|map| map.get(step));
    parts.extend(properties);
    for (source, part) in note("patternProperties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if Pattern::compile(source).is_ok_and(|pattern| pattern.matches(step)) {
            parts.push(part);
        }
    }
    if parts.is_empty() {
        parts.extend(note("additionalProperties"));
    }
    if let Some(index) = index(step) {
        let listed = |list: &'a Value| list.get(index).or(Some(list).filter(|it| !it.is_array()));
        let first = note("prefixItems").and_then(|list| list.get(index));
        let rest = note("items").and_then(listed);
        parts.extend(first.or(rest).or(note("additionalItems")));
    } else {
        note("items");
        note("prefixItems");
    }
    if told {
        *named = (*named).max(Named::No);
    }
    parts
}

/// The parts that look at the same value.
fn in_place<'a>(root: &'a Value, object: &'a Map<String, Value>) -> Vec<&'a Value> {
    let reference = object.get("$ref").and_then(Value::as_str);
    let mut parts: Vec<&Value> = reference
        .and_then(|text| target(root, text))
        .into_iter()
        .collect();
    parts.extend(
        ["if", "then", "else"]
            .iter()
            .filter_map(|name| object.get(*name)),
    );
    for name in ["allOf", "anyOf", "oneOf"] {
        parts.extend(
            object
                .get(name)
                .and_then(Value::as_array)
                .into_iter()
                .flatten(),
        );
    }
    for name in ["dependentSchemas", "dependencies"] {
        let map = object.get(name).and_then(Value::as_object);
        parts.extend(map.into_iter().flat_map(Map::values));
    }
    parts
}

/// The place in an array that a step names.
fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || !step.starts_with('0');
    let digits = step.bytes().all(|byte| byte.is_ascii_digit());
    step.parse().ok().filter(|_| plain && digits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// "pointers are checked against the declared schemas": a member that none of them names is a likely slip.
    #[test]
    fn a_schema_names_its_members_by_every_keyword() {
        let schema = json!({
            "$ref": "#/$defs/base",
            "properties": {"a/b": {"type": "string"}, "free": {}, "open": {"type": "object"}, "never": false},
            "patternProperties": {"^x-": {"properties": {"y": true}}},
            "anyOf": [{"properties": {"any": {"items": {"properties": {"z": {}}}}}}, true],
            "$defs": {
                "base": {"properties": {
                    "based": {"type": ["array", "null"], "prefixItems": [{"type": "string"}], "items": false},
                    "tree": {"$ref": "#"},
                    "more": {"additionalProperties": {"properties": {"w": {}}}}
                }}
            }
        });
        for (pointer, named) in [
            ("", Named::Yes),
            ("/a~1b", Named::Yes),
            ("/a~1b/c", Named::No),
            ("/free/any/thing", Named::Yes),
            ("/open/any", Named::Yes),
            ("/never", Named::No),
            ("/x-1/y", Named::Yes),
            ("/x-1/q", Named::No),
            ("/any/7/z", Named::Yes),
            ("/any/z", Named::No),
            ("/any/7/q", Named::No),
            ("/any/07/z", Named::No),
            ("/based/0", Named::Yes),
            ("/based/1", Named::No),
            ("/tree/tree/based/0", Named::Yes),
            ("/tree/tree/secret", Named::No),
            ("/more/anything/w", Named::Yes),
            ("/more/anything/q", Named::No),
            ("/secret", Named::No),
        ] {
            let mut looks = MAX_LOOKS;
            let found = has(&schema, &schema, &steps(pointer), &mut looks);
            assert_eq!(found, named, "{pointer}");
        }
        let silent = json!({"minProperties": 1});
        let mut looks = MAX_LOOKS;
        assert_eq!(
            has(&silent, &silent, &steps("/a"), &mut looks),
            Named::Silent
        );
    }

    #[test]
    fn looking_ends() {
        let twice = json!({"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}});
        let mut looks = MAX_LOOKS;
        let long = steps(&"/a".repeat(100));
        assert_eq!(has(&twice, &twice, &long, &mut looks), Named::Yes);
        assert_eq!(looks, 0);
    }
}
