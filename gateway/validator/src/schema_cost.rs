//! Bounds the cost of checking a value against a package's schema, before the schema is used. It never resolves anything outside the schema.
//!
//! A schema is a graph: an edge is *in place* when both ends look at the same value (`allOf`, `$ref`, `if` …) and
//! *inward* when the target looks at a part of it (`properties`, `items` …). In-place paths multiply: thirty
//! definitions that each refer twice to the next are a billion checks of one number.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::schema_refs::decoded;

/// The most schema objects that may look at one value, counted by path: a hundred times a usual one.
const MAX_CHECKS: u64 = 2_000;
/// The longest chain of schema objects that look at one value; with the nesting of values it bounds the stack.
const MAX_CHAIN: u64 = 24;
/// The most schema objects counted by path, in place and inward, where a reference back to an object on the path
/// counts once: the checker remembers results only at such references.
const MAX_PATHS: u64 = 20_000;
/// The most objects in a schema.
const MAX_OBJECTS: usize = 20_000;

pub(super) const IN_PLACE_ONE: [&str; 4] = ["not", "if", "then", "else"];
pub(super) const IN_PLACE_LIST: [&str; 3] = ["allOf", "anyOf", "oneOf"];
pub(super) const IN_PLACE_MAP: [&str; 2] = ["dependentSchemas", "dependencies"];
pub(super) const INWARD_ONE: [&str; 7] = [
    "additionalProperties",
    "additionalItems",
    "contains",
    "items",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
];
pub(super) const INWARD_LIST: [&str; 2] = ["items", "prefixItems"];
pub(super) const INWARD_MAP: [&str; 2] = ["properties", "patternProperties"];
/// Keywords whose target cannot be told from the text alone.
const REFUSED: [&str; 3] = ["$dynamicRef", "$recursiveRef", "$recursiveAnchor"];

/// What is known of a schema's cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    /// Whether naming every error is cheap. It is not where the schema refers to itself: the checker remembers results
    /// while it looks for the first error, but not while it names all.
    pub(super) explained: bool,
}

/// Measures `schema`, or says why it is refused.
pub(super) fn measure(schema: &Value) -> Result<Cost, String> {
    let mut walk = Walk {
        root: schema,
        in_place: HashMap::new(),
        entered: HashMap::new(),
        recursive: false,
    };
    walk.inward(schema, true)?;
    Ok(Cost {
        explained: !walk.recursive,
    })
}

/// A schema object by its address, which is stable while the schema is borrowed.
type Id = *const Map<String, Value>;

#[derive(Clone, Copy)]
struct Weight {
    checks: u64,
    chain: u64,
}

struct Walk<'a> {
    root: &'a Value,
    /// Weights; `None` while the object is being weighed, which shows a cycle.
    in_place: HashMap<Id, Option<Weight>>,
    /// How many paths lead on from an object; `None` while it is on the path itself.
    entered: HashMap<Id, Option<u64>>,
    recursive: bool,
}

impl<'a> Walk<'a> {
    /// Weighs every object that is reachable from `schema`, and returns how many paths lead on from it.
    fn inward(&mut self, schema: &'a Value, is_root: bool) -> Result<u64, String> {
        let Value::Object(object) = schema else {
            return Ok(1);
        };
        let id: Id = object;
        match self.entered.get(&id) {
            Some(Some(paths)) => return Ok(*paths),
            Some(None) => {
                self.recursive = true;
                return Ok(1);
            }
            None => {}
        }
        if self.entered.len() >= MAX_OBJECTS {
            return Err(format!(
                "it has more than {MAX_OBJECTS} parts: make it smaller"
            ));
        }
        refuse_keywords(object, is_root)?;
        self.entered.insert(id, None);
        self.weigh(schema, 0)?;
        let mut paths: u64 = 1;
        let edges = self.in_place_edges(object)?;
        for next in edges.into_iter().chain(inward_edges(object)) {
            paths = paths.saturating_add(self.inward(next, false)?);
        }
        if paths > MAX_PATHS {
            return Err(format!(
                "its references multiply to more than {MAX_PATHS} paths: refer to each part once"
            ));
        }
        self.entered.insert(id, Some(paths));
        Ok(paths)
    }

    fn weigh(&mut self, schema: &'a Value, depth: u64) -> Result<Weight, String> {
        const CHAIN: &str =
            "its references and combinations follow each other too deep: flatten it";
        let Value::Object(object) = schema else {
            return Ok(Weight {
                checks: 1,
                chain: 1,
            });
        };
        let id: Id = object;
        match self.in_place.get(&id) {
            Some(Some(weight)) => return Ok(*weight),
            Some(None) => {
                return Err("a part of it refers to itself without going into the value: remove that reference".to_owned());
            }
            None => {}
        }
        if depth > MAX_CHAIN {
            return Err(CHAIN.to_owned());
        }
        self.in_place.insert(id, None);
        let mut weight = Weight {
            checks: 1,
            chain: 1,
        };
        for next in self.in_place_edges(object)? {
            let inner = self.weigh(next, depth + 1)?;
            weight.checks = weight.checks.saturating_add(inner.checks);
            weight.chain = weight.chain.max(inner.chain + 1);
        }
        // To know what was evaluated, the checker evaluates once more.
        if object.contains_key("unevaluatedProperties") || object.contains_key("unevaluatedItems") {
            weight.checks = weight.checks.saturating_mul(2);
        }
        if weight.checks > MAX_CHECKS {
            return Err(format!(
                "more than {MAX_CHECKS} of its parts apply to one value: simplify its allOf, anyOf, oneOf and $ref"
            ));
        }
        if weight.chain > MAX_CHAIN {
            return Err(CHAIN.to_owned());
        }
        self.in_place.insert(id, Some(weight));
        Ok(weight)
    }

    fn in_place_edges(&self, object: &'a Map<String, Value>) -> Result<Vec<&'a Value>, String> {
        let mut edges = Vec::new();
        edges.extend(IN_PLACE_ONE.iter().filter_map(|name| object.get(*name)));
        edges.extend(lists(object, &IN_PLACE_LIST));
        edges.extend(maps(object, &IN_PLACE_MAP));
        if let Some(reference) = object.get("$ref") {
            edges.push(self.resolve(reference)?);
        }
        Ok(edges)
    }

    /// What a reference names. All of them are pointers by now (`schema_refs`), save those that stand among values.
    fn resolve(&self, reference: &Value) -> Result<&'a Value, String> {
        let text = reference.as_str().unwrap_or_default();
        let shown = super::words::shown(reference);
        let pointer = text.strip_prefix('#').and_then(decoded);
        let pointer = pointer.filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let pointer = pointer.ok_or_else(|| {
            format!("$ref {shown} leaves the schema: only references within it, like \"#/$defs/name\", are followed")
        })?;
        let target = self.root.pointer(&pointer);
        // The checker would go on from the base of such a part, which is another than the root.
        let mut ends = pointer.match_indices('/').map(|(at, _)| at).skip(1);
        if ends.any(|end| named(self.root.pointer(&pointer[..end]))) {
            return Err(OWN_ID.to_owned());
        }
        target.ok_or_else(|| format!("$ref {shown} names nothing in the schema: correct it"))
    }
}

const OWN_ID: &str = "a part of it has its own $id where no schema is expected: remove it, or move the part to \"$defs\"";

fn named(part: Option<&Value>) -> bool {
    let id = |name: &str| part?.get(name)?.as_str();
    id("$id").or_else(|| id("id")).is_some()
}

fn refuse_keywords(object: &Map<String, Value>, is_root: bool) -> Result<(), String> {
    if let Some(name) = REFUSED.iter().find(|name| object.contains_key(**name)) {
        return Err(format!(
            "{name} is not supported: use $ref with a place like \"#/$defs/name\""
        ));
    }
    let has_id = ["$id", "id"]
        .iter()
        .any(|name| object.get(*name).is_some_and(Value::is_string));
    if has_id && !is_root {
        return Err(OWN_ID.to_owned());
    }
    Ok(())
}

fn inward_edges(object: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let one = INWARD_ONE.iter().filter_map(|name| object.get(*name));
    one.chain(lists(object, &INWARD_LIST))
        .chain(maps(object, &INWARD_MAP))
}

fn lists<'a>(object: &'a Map<String, Value>, names: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    let lists = names
        .iter()
        .filter_map(|name| object.get(*name)?.as_array());
    lists.flatten()
}

fn maps<'a>(object: &'a Map<String, Value>, names: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    let maps = names
        .iter()
        .filter_map(|name| object.get(*name)?.as_object());
    maps.flat_map(Map::values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn usual_and_recursive_schemas_are_accepted() {
        let flat = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}});
        assert_eq!(measure(&flat), Ok(Cost { explained: true }));
        let tree = json!({"properties": {"children": {"items": {"$ref": "#"}}}});
        assert_eq!(measure(&tree), Ok(Cost { explained: false }));
        assert_eq!(measure(&json!(true)), Ok(Cost { explained: true }));
    }

    #[test]
    fn doubling_references_are_refused() {
        let mut defs = Map::new();
        for level in 0..30 {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            defs.insert(format!("d{level}"), json!({"allOf": [next, next]}));
        }
        defs.insert("d30".to_owned(), json!({"type": "number"}));
        let bomb = json!({"$ref": "#/$defs/d0", "$defs": defs});
        assert!(measure(&bomb).is_err());
    }

    #[test]
    fn paths_that_multiply_inward_are_refused() {
        let mut defs = Map::new();
        for level in 0..30 {
            let next = json!({"items": {"$ref": format!("#/$defs/d{}", level + 1)}});
            defs.insert(format!("d{level}"), json!({"allOf": [next, next]}));
        }
        defs.insert("d30".to_owned(), json!({"type": "number"}));
        let wide = json!({"$ref": "#/$defs/d0", "$defs": defs});
        assert!(measure(&wide).unwrap_err().contains("multiply"));
    }

    #[test]
    fn long_chains_and_cycles_in_place_are_refused() {
        assert!(measure(&json!({"$ref": "#"})).is_err());
        assert!(measure(&json!({"allOf": [{"not": {"$ref": "#"}}]})).is_err());
        let mut deep = json!({});
        for _ in 0..60 {
            deep = json!({"allOf": [deep]});
        }
        assert!(measure(&deep).is_err());
    }

    #[test]
    fn references_out_of_the_schema_are_refused() {
        for target in [
            "https://example.com/a.json",
            "file:///etc/passwd",
            "other.json",
            "#anchor",
            "#/$defs/none",
        ] {
            assert!(measure(&json!({"$ref": target})).is_err(), "{target}");
        }
        assert!(measure(&json!({"$dynamicRef": "#x"})).is_err());
        assert!(
            measure(&json!({"$id": "https://example.com/a", "items": {"type": "null"}})).is_ok()
        );
        assert!(measure(&json!({"items": {"$id": "https://example.com/a"}})).is_err());
        // The checker would follow the inner reference from the part with the $id, where more stands than the measure saw.
        let hidden = json!({
            "$ref": "#/const/x/y", "z": true,
            "const": {"x": {"$id": "https://example.com/a", "y": {"$ref": "#/z"}, "z": {"not": {}}}}
        });
        assert_eq!(measure(&hidden), Err(OWN_ID.to_owned()));
        let escaped = json!({"$ref": "#/$defs/a%3Cb", "$defs": {"a<b": {"type": "null"}}});
        assert_eq!(measure(&escaped), Ok(Cost { explained: true }));
    }
}
