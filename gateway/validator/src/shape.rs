//! Turns JSON Schema errors into findings that say which field, what is wrong and what to write, in the schema's own words.

use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
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
        if let Some(nearest) = self.describe_nearest(found) {
            return nearest;
        }
        let message = match description(keyword.parent) {
            Some(rule) => format!("must be {rule}; it is {}", shown(found.instance())),
            None => cut(&found.masked().to_string(), MAX_FOREIGN_CHARS),
        };
        vec![error(field, message)]
    }

    /// What none of the alternatives of `anyOf` or `oneOf` takes, by the one that it is nearest to; none for other keywords, and where the
    /// schema says in its own words what is right.
    fn describe_nearest(&self, found: &ValidationError<'_>) -> Option<Vec<Issue>> {
        let (ValidationErrorKind::AnyOf { context }
        | ValidationErrorKind::OneOfNotValid { context }) = found.kind()
        else {
            return None;
        };
        if description(self.node(found.schema_path()).parent).is_some() {
            return None;
        }
        let field = found.instance_path().as_str();
        let types: Option<Vec<&str>> = context
            .iter()
            .map(|faults| only_type(field, faults))
            .collect();
        if let Some(types) = types.filter(|types| !types.is_empty()) {
            let words = format!(
                "must be of type {}; it is {}",
                types.join(" or "),
                shown(found.instance())
            );
            return Some(vec![error(field, words)]);
        }
        let nearest = context
            .iter()
            .min_by_key(|faults| distance(field, faults))?;
        let of = context.len();
        let mut issues: Vec<Issue> = nearest
            .iter()
            .flat_map(|fault| self.describe(fault))
            .collect();
        for issue in &mut issues {
            // Of alternatives inside of an alternative, the innermost says it.
            if !issue.message.ends_with(NEAREST_END) {
                issue.message = format!("{} (the nearest of {of}{NEAREST_END}", issue.message);
            }
        }
        Some(issues)
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

/// How a finding ends that is about one alternative of several.
const NEAREST_END: &str = " alternatives asks for that)";

/// The type that an alternative asks for, where that is all that it is not content with.
fn only_type<'a>(field: &str, faults: &'a [ValidationError<'_>]) -> Option<&'a str> {
    let [fault] = faults else { return None };
    let ValidationErrorKind::Type {
        kind: TypeKind::Single(kind),
    } = fault.kind()
    else {
        return None;
    };
    (fault.instance_path().as_str() == field).then(|| kind.as_str())
}

/// How far a value is from an alternative. Another type altogether is farthest; then a wrong constant, by which most tell their
/// alternatives apart; then the number of faults.
fn distance(field: &str, faults: &[ValidationError<'_>]) -> (bool, usize, usize) {
    let is_another = faults.iter().any(|fault| {
        matches!(fault.kind(), ValidationErrorKind::Type { .. })
            && fault.instance_path().as_str() == field
    });
    let constants = faults.iter().filter(|fault| {
        matches!(
            fault.kind(),
            ValidationErrorKind::Constant { .. } | ValidationErrorKind::Enum { .. }
        )
    });
    (is_another, constants.count(), faults.len())
}

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
    use serde_json::json;

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
    fn a_value_that_no_alternative_takes_is_told_by_the_nearest() {
        let schema = json!({ "properties": {
            "shape": { "oneOf": [
                { "type": "object", "required": ["kind", "radius"], "properties": { "kind": { "const": "circle" }, "radius": { "type": "number" } } },
                { "type": "object", "required": ["kind", "side"], "properties": { "kind": { "const": "square" }, "side": { "$ref": "#/$defs/side" } } },
                { "type": "null" },
            ] },
            "plain": { "anyOf": [{ "type": "string" }, { "type": "integer" }] },
            "told": { "description": "a colour", "anyOf": [{ "type": "string" }, { "type": "integer" }] },
            "deep": { "anyOf": [{ "type": "array" }, { "anyOf": [{ "required": ["a"] }, { "minProperties": 9, "required": ["a", "b"] }] }] },
        }, "$defs": { "side": { "anyOf": [{ "minimum": 1 }, { "minimum": 2 }] } } });
        let validator = jsonschema::validator_for(&schema).unwrap();
        let shape = Shape::new(schema, validator);
        for (value, field, words) in [
            (
                json!({ "shape": { "kind": "circle" } }),
                "/shape/radius",
                "is missing: add 'radius' (the nearest of 3 alternatives asks for that)",
            ),
            (
                json!({ "shape": { "kind": "square", "side": 0 } }),
                "/shape/side",
                "value is less than the minimum of 1 (the nearest of 2 alternatives asks for that)",
            ),
            (
                json!({ "plain": true }),
                "/plain",
                "must be of type string or integer; it is true",
            ),
            (
                json!({ "told": true }),
                "/told",
                "must be a colour; it is true",
            ),
            (
                json!({ "deep": {} }),
                "/deep/a",
                "is missing: add 'a' (the nearest of 2 alternatives asks for that)",
            ),
        ] {
            let issues = shape.issues(&value);
            let [issue] = issues.as_slice() else {
                panic!("{value}: {issues:?}");
            };
            assert_eq!(
                (issue.field.as_str(), issue.message.as_str()),
                (field, words),
                "{value}"
            );
        }
    }

    #[test]
    fn every_schema_of_ours_compiles() {
        for shape in [&MANIFEST, &REQUEST, &ANSWER] {
            assert!(!shape.fits(&Value::Null));
        }
    }
}
