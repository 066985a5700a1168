//! Payloads to try a plugin with, made from what its manifest declares. They are guesses: a plugin may want more than a schema says.

use std::collections::BTreeMap;
use std::path::Path;

use plugin_protocol::manifest::{Manifest, Port};
use plugin_protocol::payload::PayloadKind;
use plugin_protocol::{json, mcp};
use serde_json::{Value, json};
use validator::describes_payload;

/// What a text sample says.
const WORDS: &str = "The quick brown fox jumps over the lazy dog.";

/// A text that careless programs stumble over: quotes, escapes, controls, the last character of Unicode, and format characters.
const ODD_WORDS: &str = "\"\\\u{0}\u{1f}\u{7f}\u{10ffff}%s%n\n\r{}[]";

/// How deep a schema is followed.
const MAX_DEPTH: usize = 16;

/// SHA-256 of nothing.
const NO_BYTES: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A payload and its name in the report.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) payload: Value,
    /// What its author says comes out.
    pub(super) expected: Option<Value>,
}

impl Sample {
    pub(super) fn of(name: &str, payload: Value) -> Self {
        Self {
            name: name.to_owned(),
            payload,
            expected: None,
        }
    }
}

/// One payload for each declared input.
pub(super) fn usual(folder: &Path, manifest: &Manifest) -> Vec<Sample> {
    let schemas = manifest.schemas.as_ref();
    let sample = |port: &Port| {
        let path = schemas.and_then(|schemas| schemas.get(&port.schema_ref));
        let schema = path.and_then(|path| read(&folder.join(path)));
        let payload = match port.kind {
            PayloadKind::Text => text(WORDS),
            PayloadKind::Json if port.schema_ref == mcp::CALL => {
                json!({ "kind": "json", "schema_ref": mcp::CALL, "data": call_of(folder) })
            }
            PayloadKind::Json => {
                let data = schema.map_or_else(|| json!({}), |schema| data_of(&schema));
                json!({ "kind": "json", "schema_ref": port.schema_ref, "data": data })
            }
            PayloadKind::BinaryRef => of_kind(PayloadKind::BinaryRef),
            PayloadKind::DatasetSlice => of_kind(PayloadKind::DatasetSlice),
        };
        Sample::of(port.kind.as_str(), payload)
    };
    manifest.io.inputs.iter().map(sample).collect()
}

/// Payloads at the edge of what is declared: well formed, and nothing that a program should fall over.
pub(super) fn odd(manifest: &Manifest) -> Vec<Sample> {
    let mut samples = Vec::new();
    for port in &manifest.io.inputs {
        match port.kind {
            PayloadKind::Text => {
                samples.push(Sample::of("an empty text", text("")));
                samples.push(Sample::of("a blank text", text(" \t\n")));
                samples.push(Sample::of("a text of odd characters", text(ODD_WORDS)));
            }
            PayloadKind::Json => {
                let with = |data: Value| json!({ "kind": "json", "schema_ref": port.schema_ref, "data": data });
                samples.push(Sample::of("an empty object", with(json!({}))));
                let odd = json!({ "": [null, {}, [], ODD_WORDS], "text": -1.5, "__proto__": {} });
                samples.push(Sample::of("an object of odd members", with(odd)));
            }
            PayloadKind::BinaryRef | PayloadKind::DatasetSlice => {}
        }
    }
    samples
}

/// A payload of a kind that the manifest does not declare, where there is one.
pub(super) fn undeclared(manifest: &Manifest) -> Option<Value> {
    let declared = |kind| manifest.io.inputs.iter().any(|port| port.kind == kind);
    let kinds = [
        PayloadKind::BinaryRef,
        PayloadKind::DatasetSlice,
        PayloadKind::Json,
        PayloadKind::Text,
    ];
    kinds.into_iter().find(|kind| !declared(*kind)).map(of_kind)
}

fn of_kind(kind: PayloadKind) -> Value {
    match kind {
        PayloadKind::Text => text(WORDS),
        PayloadKind::Json => json!({ "kind": "json", "schema_ref": "sample/1", "data": {} }),
        PayloadKind::BinaryRef => {
            json!({ "kind": "binary_ref", "artifact_id": "sample", "artifact_hash": NO_BYTES, "mime_type": "application/octet-stream" })
        }
        PayloadKind::DatasetSlice => {
            json!({ "kind": "dataset_slice", "slice_ids": ["sample-1"], "source": "sample", "filters": BTreeMap::<String, String>::new() })
        }
    }
}

fn text(content: &str) -> Value {
    json!({ "kind": "text", "content": content, "encoding": "utf-8", "metadata": {} })
}

/// The schema was checked with its package; if it cannot be read now, there is no sample.
fn read(path: &Path) -> Option<Value> {
    json::read_schema(&std::fs::read(path).ok()?, usize::MAX).ok()
}

/// A call of a server's first tool.
fn call_of(folder: &Path) -> Value {
    let pinned = read(&folder.join(mcp::TOOLS_FILE)).unwrap_or_default();
    let tool = &pinned["tools"][0];
    json!({ "tool": tool["name"], "arguments": instance(&tool["inputSchema"], MAX_DEPTH) })
}

/// What a `json` payload carries by its schema, which in the older form describes the whole payload.
fn data_of(schema: &Value) -> Value {
    let sample = instance(schema, MAX_DEPTH);
    match sample.get("data") {
        Some(data) if describes_payload(schema) => data.clone(),
        Some(_) | None => sample,
    }
}

/// A value that a schema of the common kind accepts. What only a validator understands (`pattern`, `$ref`, `allOf`) is passed over.
fn instance(schema: &Value, depth: usize) -> Value {
    let first = |name: &str| schema.get(name).and_then(|list| list.get(0)).cloned();
    let given = schema
        .get("const")
        .or_else(|| schema.get("default"))
        .cloned();
    if let Some(value) = first("examples").or(given).or_else(|| first("enum")) {
        return value;
    }
    let number = |name: &str| schema.get(name).and_then(Value::as_u64).unwrap_or(0);
    let kind = schema
        .get("type")
        .and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
    match kind {
        Some("string") => {
            let least = usize::try_from(number("minLength"))
                .unwrap_or(0)
                .min(WORDS.len() * MAX_DEPTH);
            Value::String(
                WORDS
                    .chars()
                    .cycle()
                    .take(least.max("The quick brown fox".len()))
                    .collect(),
            )
        }
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("array") => {
            let count = usize::try_from(number("minItems").max(1))
                .unwrap_or(1)
                .min(MAX_DEPTH);
            let item = schema.get("items").filter(|_| depth > 0);
            item.map_or_else(
                || json!([]),
                |item| json!(vec![instance(item, depth - 1); count]),
            )
        }
        Some(_) | None => object(schema, depth),
    }
}

fn object(schema: &Value, depth: usize) -> Value {
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let member = |name: &Value| {
        let name = name.as_str()?;
        let inner = schema
            .get("properties")
            .and_then(|properties| properties.get(name));
        let value = inner
            .filter(|_| depth > 0)
            .map_or_else(|| json!({}), |inner| instance(inner, depth - 1));
        Some((name.to_owned(), value))
    };
    Value::Object(required.filter_map(member).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_fits_a_schema_of_the_common_kind() {
        let schema = json!({
            "type": "object",
            "required": ["text", "count", "tags", "mode", "deep"],
            "properties": {
                "text": { "type": "string", "minLength": 30 },
                "count": { "type": "integer", "minimum": 7 },
                "tags": { "type": "array", "minItems": 2, "items": { "enum": ["red", "blue"] } },
                "mode": { "const": "fast" },
                "deep": { "type": ["object", "null"], "required": ["flag"], "properties": { "flag": { "type": "boolean" } } },
                "left_out": { "type": "string" }
            },
            "additionalProperties": false
        });
        let sample = instance(&schema, MAX_DEPTH);
        let validator = jsonschema::validator_for(&schema).unwrap();
        assert!(validator.is_valid(&sample), "{sample}");
    }

    /// "A schema whose root requires both `kind` and `data` describes the whole payload (the older OMEGA form)"
    #[test]
    fn a_sample_of_the_older_form_is_its_data() {
        let data =
            json!({ "type": "object", "required": ["x"], "properties": { "x": { "const": 7 } } });
        let older = json!({ "required": ["kind", "data"], "properties": { "data": data } });
        assert_eq!(data_of(&older), json!({ "x": 7 }));
        assert_eq!(data_of(&data), json!({ "x": 7 }));
        let newer = json!({ "required": ["data"], "properties": { "data": data } });
        assert_eq!(data_of(&newer), json!({ "data": { "x": 7 } }));
    }

    #[test]
    fn a_schema_without_end_is_followed_a_little_way() {
        let mut schema = json!({ "type": "string" });
        for _ in 0..200 {
            schema = json!({ "type": "object", "required": ["x"], "properties": { "x": schema } });
        }
        assert!(instance(&schema, MAX_DEPTH).to_string().len() < 200);
    }
}
