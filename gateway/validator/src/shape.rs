//! Turns JSON Schema errors into findings that say which field, what is wrong and what to write, in the schema's own words.

use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::Location;
use jsonschema::{Draft, ValidationError, Validator};
use plugin_protocol::report::Issue;
use plugin_protocol::schema;
use serde_json::Value;

use super::schema_refs;
use super::words::{cut, error, issue, listed, nearest, pointer, quoted, shown};

/// The most findings in one report: more than a person fixes before validating again.
pub(super) const MAX_ISSUES: usize = 64;

/// The manifest's shape.
pub(super) static MANIFEST: LazyLock<Shape> = LazyLock::new(|| Shape::of_ours(schema::MANIFEST));
/// The request's shape.
pub(super) static REQUEST: LazyLock<Shape> = LazyLock::new(|| Shape::of_ours(schema::REQUEST));
/// The answer's shape.
pub(super) static ANSWER: LazyLock<Shape> = LazyLock::new(|| Shape::of_ours(schema::ANSWER));

/// A compiled schema and its text, from which messages take their words.
#[derive(Debug)]
pub(super) struct Shape {
    schema: Value,
    validator: Validator,
}

impl Shape {
    #[expect(
        clippy::expect_used,
        reason = "the text is a constant of this program, and a test compiles each"
    )]
    fn of_ours(text: &str) -> Self {
        let schema: Value = serde_json::from_str(text).expect("a schema of ours is JSON");
        let options = jsonschema::options().with_draft(Draft::Draft202012);
        let built = options
            .should_validate_formats(true)
            .offline()
            .build(&schema);
        let validator = built.expect("a schema of ours compiles");
        Self { schema, validator }
    }

    /// A shape from a schema that was compiled elsewhere.
    pub(super) fn new(schema: Value, validator: Validator) -> Self {
        Self { schema, validator }
    }

    /// Its text.
    pub(super) fn schema(&self) -> &Value {
        &self.schema
    }

    /// Whether `value` has this shape; cheap.
    pub(super) fn fits(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// Every finding about `value`: at most [`MAX_ISSUES`], and one more that counts the others.
    pub(super) fn issues(&self, value: &Value) -> Vec<Issue> {
        if self.fits(value) {
            return Vec::new();
        }
        let found = self.validator.iter_errors(value);
        bounded(found.flat_map(|found| self.describe(&found)).collect())
    }

    fn describe(&self, found: &ValidationError<'_>) -> Vec<Issue> {
        let field = found.instance_path().as_str();
        let keyword = self.node(found.schema_path());
        if let ValidationErrorKind::Required { property } = found.kind() {
            let name = property.as_str().unwrap_or_default();
            return vec![error(pointer(field, name), missing(keyword.parent, name))];
        }
        if let ValidationErrorKind::AdditionalProperties { unexpected } = found.kind() {
            let unexpected = unexpected.iter();
            return unexpected
                .map(|name| {
                    let words = unknown(keyword.parent, found.instance(), name);
                    error(pointer(field, name), words)
                })
                .collect();
        }
        let message = match description(keyword.parent) {
            Some(rule) => format!("must be {rule}; it is {}", shown(found.instance())),
            None => cut(&found.masked().to_string(), MAX_FOREIGN_CHARS),
        };
        vec![error(field, message)]
    }

    /// The schema object whose keyword `path` names, following references.
    fn node<'a>(&'a self, path: &Location) -> Keyword<'a> {
        let mut parent = &self.schema;
        let mut at = &self.schema;
        for segment in path {
            parent = at;
            let segment = segment.to_string();
            let inner = match at {
                Value::Array(items) => segment
                    .parse()
                    .ok()
                    .and_then(|index: usize| items.get(index)),
                Value::Object(map) => map.get(&segment),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
            };
            at = match inner {
                Some(Value::String(target)) if segment == "$ref" => self.target(target),
                Some(inner) => inner,
                None => &Value::Null,
            };
        }
        Keyword { parent }
    }

    fn target(&self, reference: &str) -> &Value {
        schema_refs::target(&self.schema, reference).unwrap_or(&Value::Null)
    }
}

/// The longest message of the schema library that is passed on, in characters.
const MAX_FOREIGN_CHARS: usize = 200;

/// Where a keyword stands.
struct Keyword<'a> {
    parent: &'a Value,
}

/// The worst [`MAX_ISSUES`] findings, and one more that says how many were left out; its severity is that of the worst among them.
pub(super) fn bounded(mut issues: Vec<Issue>) -> Vec<Issue> {
    issues.sort_by_key(|issue| issue.severity);
    let more = issues.len().saturating_sub(MAX_ISSUES);
    if let Some(worst) = issues.get(MAX_ISSUES).map(|issue| issue.severity) {
        issues.truncate(MAX_ISSUES);
        issues.push(issue(
            "",
            format!("{more} more findings: mend those above first"),
            worst,
        ));
    }
    issues
}

fn description(schema: &Value) -> Option<&str> {
    schema.get("description").and_then(Value::as_str)
}

fn missing(object: &Value, name: &str) -> String {
    let rule = object
        .pointer(&pointer("/properties", name))
        .and_then(description);
    match rule {
        Some(rule) => format!("is missing: add {}, {rule}", quoted(name)),
        None => format!("is missing: add {}", quoted(name)),
    }
}

/// In words: `name` is no field of `object`, the schema. A field that is missing is rather meant by it than one that is there.
fn unknown<'a>(object: &'a Value, instance: &Value, name: &str) -> String {
    let known = object.get("properties").and_then(Value::as_object);
    let known: Vec<&str> = known
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let name_shown = quoted(name);
    let (free, taken): (Vec<&str>, Vec<&str>) = known
        .iter()
        .partition(|name| instance.get(**name).is_none());
    let near = |names: Vec<&'a str>| nearest(name, names.into_iter());
    match near(free).or_else(|| near(taken)) {
        Some(near) => format!("unknown field {name_shown}: write '{near}', or remove it"),
        None if known.is_empty() => format!("unknown field {name_shown}: remove it"),
        None => format!(
            "unknown field {name_shown}: remove it; the fields here are {}",
            listed(known)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_field_is_rather_meant_than_one_that_is_there() {
        let schema = serde_json::json!({ "properties": { "a": {}, "b": {} } });
        let there = serde_json::json!({ "a": 1, "c": 1 });
        assert!(unknown(&schema, &there, "c").contains("write 'b'"));
        let all = serde_json::json!({ "a": 1, "b": 1, "c": 1 });
        assert!(unknown(&schema, &all, "c").contains("write 'a'"));
    }

    #[test]
    fn every_schema_of_ours_compiles() {
        for shape in [&MANIFEST, &REQUEST, &ANSWER] {
            assert!(!shape.fits(&Value::Null));
        }
    }
}
