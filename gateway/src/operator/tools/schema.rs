//! A package's schema in the form that clients of the Model Context Protocol accept. What a client then lets pass, the gateway checks all the
//! same, by the schema as it was signed; so where a form cannot be had, the open object is shown.

use serde_json::{Map, Value, json};

/// Where parts are kept that references lead to.
const KEPT: [&str; 2] = ["$defs", "definitions"];

/// The dialect of a schema that names none.
const DEFAULT_DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The longest chain of references at a root that is followed.
const MAX_CHAIN: usize = 24;

/// Any object.
pub(super) fn open() -> Value {
    json!({ "type": "object" })
}

/// One text (contract, section 13).
pub(super) fn text() -> Value {
    json!({
        "type": "object",
        "properties": { "text": { "type": "string" } },
        "required": ["text"],
        "additionalProperties": false,
    })
}

/// The schema of a payload's data, from one whose references are pointers from its root.
pub(super) fn of_data(schema: &Value) -> Value {
    let data = if validator::describes_payload(schema) {
        data_part(schema)
    } else {
        schema.as_object().cloned()
    };
    data.map_or_else(open, accepted)
}

/// The part for `data` of a schema of the older form, which describes the whole payload. It is moved to the root together with what
/// references lead to; one that leads elsewhere would lead nowhere then.
fn data_part(schema: &Value) -> Option<Map<String, Value>> {
    let mut root = schema;
    for _ in 0..MAX_CHAIN {
        match root.get("$ref").and_then(Value::as_str) {
            Some(reference) => root = schema.pointer(reference.strip_prefix('#')?)?,
            None => break,
        }
    }
    let mut data = root.pointer("/properties/data")?.as_object()?.clone();
    for name in KEPT.iter().chain(&["$schema"]) {
        if let Some(part) = schema.get(name) {
            data.entry(*name).or_insert_with(|| part.clone());
        }
    }
    let data = Value::Object(data);
    leads_to_kept_parts(&data).then_some(())?;
    data.as_object().cloned()
}

fn leads_to_kept_parts(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => object.iter().all(|(name, inner)| {
            let reference = inner.as_str().filter(|_| name == "$ref");
            reference.map_or_else(
                || leads_to_kept_parts(inner),
                |reference| {
                    let mut kept = KEPT.iter().map(|kept| format!("#/{kept}/"));
                    kept.any(|kept| reference.starts_with(&kept))
                },
            )
        }),
        Value::Array(items) => items.iter().all(leads_to_kept_parts),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// What stock clients want: `"type": "object"` at the root, which is true of all data; properties that are objects; and no `$schema` for
/// the dialect that is the default, since some know only an older one by name and refuse the whole list.
fn accepted(mut schema: Map<String, Value>) -> Value {
    schema.insert("type".to_owned(), "object".into());
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for property in properties.values_mut() {
            match property.as_bool() {
                Some(true) => *property = json!({}),
                Some(false) => *property = json!({ "not": {} }),
                None => {}
            }
        }
    }
    let dialect = schema.get("$schema").and_then(Value::as_str);
    if dialect.is_some_and(|name| name.trim_end_matches('#') == DEFAULT_DIALECT) {
        schema.remove("$schema");
    }
    Value::Object(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_of_data_keeps_what_it_says() {
        let schema = json!({
            "$schema": DEFAULT_DIALECT, "properties": { "a": true, "b": false, "c": { "$ref": "#/$defs/n" } },
            "$defs": { "n": { "type": "number" } },
        });
        assert_eq!(
            of_data(&schema),
            json!({
                "type": "object", "properties": { "a": {}, "b": { "not": {} }, "c": { "$ref": "#/$defs/n" } },
                "$defs": { "n": { "type": "number" } },
            })
        );
        let older = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "type": ["object", "null"] });
        assert_eq!(of_data(&older)["$schema"], older["$schema"]);
        assert_eq!(of_data(&older)["type"], "object");
        assert_eq!(of_data(&json!(true)), open());
    }

    #[test]
    fn of_a_schema_of_the_whole_payload_the_part_for_data_is_shown() {
        let whole = |data: Value| {
            json!({
                "type": "object", "required": ["kind", "data"],
                "properties": { "kind": { "const": "json" }, "data": data },
                "$defs": { "n": { "type": "number" } },
            })
        };
        let inside = whole(json!({ "properties": { "n": { "$ref": "#/$defs/n" } } }));
        assert_eq!(
            of_data(&inside),
            json!({
                "type": "object", "properties": { "n": { "$ref": "#/$defs/n" } },
                "$defs": { "n": { "type": "number" } },
            })
        );
        let referred = json!({ "$ref": "#/$defs/whole", "$defs": { "whole": whole(json!({ "minProperties": 1 })) } });
        assert_eq!(of_data(&referred)["minProperties"], 1);
        let elsewhere = whole(json!({ "properties": { "n": { "$ref": "#/properties/kind" } } }));
        assert_eq!(of_data(&elsewhere), open());
    }
}
