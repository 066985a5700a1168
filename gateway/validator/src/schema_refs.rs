//! Makes a schema plain before it is measured and used: every `$ref` becomes a pointer from its root, and nothing else names a part.
//! So the measure and the checker follow the same references; nothing outside the schema is ever looked for.
//!
//! `$id` and `$anchor` (`"$id": "#name"` in draft-07) of every part that a keyword leads to are known; a reference to one of them, relative
//! to its own base, is resolved as RFC 3986 says. Percent escapes are decoded (RFC 6901, section 6).

use std::collections::HashMap;

use jsonschema::{Draft, Uri};
use referencing::uri::resolve_against;
use serde_json::{Map, Value};

use super::pattern::Patterns;
use super::schema_cost::{
    IN_PLACE_LIST, IN_PLACE_MAP, IN_PLACE_ONE, INWARD_LIST, INWARD_MAP, INWARD_ONE,
};
use super::schemas::draft;
use super::words::{pointer, quoted, shown};

/// The longest pointer to a part, in bytes: a few times what nested names come to.
const MAX_POINTER_BYTES: usize = 8 * 1024;
/// The base of a schema without `$id`.
const NO_BASE: &str = "json-schema:///";
/// Where parts are kept that only references lead to.
const KEPT: [&str; 2] = ["$defs", "definitions"];
/// Keywords that hold values and no schemas.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];

/// A plain schema and its patterns.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) schema: Value,
    pub(super) patterns: Patterns,
}

/// Makes `schema` plain, or says what cannot be resolved or used.
pub(super) fn plain(schema: &Value, draft: Draft) -> Result<Plain, String> {
    let base = Uri::parse(NO_BASE.to_owned()).map_err(|_| "it has no base".to_owned())?;
    let mut names = Names {
        draft,
        resources: HashMap::from([(base.as_str().to_owned(), String::new())]),
        bases: HashMap::new(),
        anchors: HashMap::new(),
    };
    names.collect(schema, "", &base)?;
    let mut writer = Writer {
        root: schema,
        names,
        patterns: Patterns::default(),
    };
    let schema = writer.schema(schema, "", &base, true)?;
    Ok(Plain {
        schema,
        patterns: writer.patterns,
    })
}

/// The part of a plain schema, or of one whose references are pointers, that `reference` names.
pub(super) fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(&decoded(reference.strip_prefix('#')?)?)
}

/// A URI's fragment with its percent escapes decoded; none where they are no UTF-8.
pub(super) fn decoded(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// A pointer as a reference: what a URI's fragment may not hold is escaped.
fn reference_to(pointer: &str) -> String {
    let mut out = String::from("#");
    for byte in pointer.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~$".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The names that parts of a schema give themselves.
struct Names {
    draft: Draft,
    /// URIs to pointers.
    resources: HashMap<String, String>,
    /// Pointers of parts with a URI of their own to that URI.
    bases: HashMap<String, Uri<String>>,
    /// The URI of a resource and a name in it to a pointer.
    anchors: HashMap<(String, String), String>,
}

impl Names {
    fn collect(&mut self, schema: &Value, at: &str, base: &Uri<String>) -> Result<(), String> {
        let Value::Object(object) = schema else {
            return Ok(());
        };
        if at.len() > MAX_POINTER_BYTES {
            return Err(format!(
                "the way to a part of it has more than {MAX_POINTER_BYTES} bytes: use shorter names"
            ));
        }
        if !at.is_empty() && object.contains_key("$schema") && draft(schema)? != self.draft {
            return Err(format!(
                "at '{at}': a part of another draft is not supported: write the whole in one draft"
            ));
        }
        let base = &self.name(object, at, base)?;
        for (name, inner) in parts(object) {
            self.collect(inner, &format!("{at}{name}"), base)?;
        }
        Ok(())
    }

    /// Takes the names of the part at `at`; its base.
    fn name(
        &mut self,
        object: &Map<String, Value>,
        at: &str,
        base: &Uri<String>,
    ) -> Result<Uri<String>, String> {
        let text = |keyword: &str| object.get(keyword).and_then(Value::as_str);
        let is_draft_7 = self.draft == Draft::Draft7;
        let mut base = base.clone();
        // Beside a reference, draft-07 reads nothing.
        let id = text("$id").filter(|_| !(is_draft_7 && object.contains_key("$ref")));
        let mut anchors = Vec::new();
        if let Some((uri, fragment)) = id.map(|id| id.split_once('#').unwrap_or((id, ""))) {
            match (uri.is_empty(), fragment.is_empty()) {
                (true, false) if is_draft_7 => anchors.push(fragment),
                (_, false) => {
                    return Err(format!(
                        "at '{at}': $id {} with a fragment is not supported: use $anchor",
                        quoted(id.unwrap_or_default())
                    ));
                }
                (_, true) => {
                    base = resolve_against(&base.borrow(), uri)
                        .map_err(|_| format!("at '{at}': $id {} is not a URI", quoted(uri)))?;
                    let known = self
                        .resources
                        .insert(base.as_str().to_owned(), at.to_owned());
                    if known.is_some_and(|place| !place.is_empty() || !at.is_empty()) {
                        return Err(format!(
                            "two parts of it have the $id {}: name them differently",
                            quoted(base.as_str())
                        ));
                    }
                    self.bases.insert(at.to_owned(), base.clone());
                }
            }
        }
        if !is_draft_7 {
            anchors.extend(text("$anchor"));
            anchors.extend(text("$dynamicAnchor"));
        }
        for name in anchors {
            let key = (base.as_str().to_owned(), name.to_owned());
            let known = self.anchors.insert(key, at.to_owned());
            if known.is_some_and(|place| place != at) {
                return Err(format!(
                    "two parts of it have the anchor {}: name them differently",
                    quoted(name)
                ));
            }
        }
        Ok(base)
    }
}

/// Writes a schema anew.
struct Writer<'a> {
    root: &'a Value,
    names: Names,
    patterns: Patterns,
}

impl Writer<'_> {
    /// Writes what stands where a schema is, or may be: where `known` is false, only a reference can make one of it, and what cannot be
    /// resolved stays as it is. The measure refuses it if a reference does.
    fn schema(
        &mut self,
        value: &Value,
        at: &str,
        base: &Uri<String>,
        known: bool,
    ) -> Result<Value, String> {
        let object = match value {
            Value::Object(object) => object,
            Value::Array(items) if !known => return self.list(items, at, base, known),
            Value::Array(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_) => return Ok(value.clone()),
        };
        let base = &self.names.bases.get(at).unwrap_or(base).clone();
        let mut written = Map::new();
        for (name, inner) in object {
            let place = pointer(at, name);
            let inner = match (name.as_str(), inner) {
                ("$id" | "$anchor" | "$dynamicAnchor", Value::String(_)) => continue,
                ("$schema", _) if !at.is_empty() => continue,
                ("$ref", Value::String(text)) => self.reference(inner, text, base, known)?,
                ("pattern", Value::String(text)) if known => {
                    let added = self.patterns.add(text);
                    added.map_err(|why| format!("at {}: {why}", quoted(&place)))?;
                    inner.clone()
                }
                (keyword, _) if DATA.contains(&keyword) => inner.clone(),
                (keyword, Value::Object(map)) if is_map(keyword) => {
                    if keyword == "patternProperties" && known {
                        let mut keys = map.keys();
                        let added = keys.try_for_each(|key| self.patterns.add_key(key));
                        added.map_err(|why| format!("at {}: {why}", quoted(&place)))?;
                    }
                    self.map(map, &place, base, known)?
                }
                (keyword, Value::Array(items)) if is_list(keyword) => {
                    self.list(items, &place, base, known)?
                }
                (keyword, _) if is_one(keyword) => self.schema(inner, &place, base, known)?,
                _ => self.schema(inner, &place, base, false)?,
            };
            written.insert(name.clone(), inner);
        }
        Ok(Value::Object(written))
    }

    fn map(
        &mut self,
        map: &Map<String, Value>,
        at: &str,
        base: &Uri<String>,
        known: bool,
    ) -> Result<Value, String> {
        let members = map.iter().map(|(name, inner)| {
            let inner = self.schema(inner, &pointer(at, name), base, known)?;
            Ok((name.clone(), inner))
        });
        members.collect::<Result<_, String>>().map(Value::Object)
    }

    fn list(
        &mut self,
        items: &[Value],
        at: &str,
        base: &Uri<String>,
        known: bool,
    ) -> Result<Value, String> {
        let items = items.iter().enumerate();
        items
            .map(|(index, inner)| self.schema(inner, &format!("{at}/{index}"), base, known))
            .collect::<Result<_, String>>()
            .map(Value::Array)
    }

    fn reference(
        &self,
        whole: &Value,
        text: &str,
        base: &Uri<String>,
        known: bool,
    ) -> Result<Value, String> {
        match self.place(text, base) {
            Ok(place) => Ok(Value::String(reference_to(&place))),
            Err(_) if !known => Ok(whole.clone()),
            Err(why) => Err(format!("$ref {} {why}", shown(whole))),
        }
    }

    /// The pointer from the root to what `text` names.
    fn place(&self, text: &str, base: &Uri<String>) -> Result<String, &'static str> {
        const LEAVES: &str =
            "leaves the schema: only references within it, like \"#/$defs/name\", are followed";
        const NOTHING: &str = "names nothing in the schema: correct it";
        let (uri, fragment) = text.split_once('#').unwrap_or((text, ""));
        let uri = if uri.is_empty() {
            base.clone()
        } else {
            resolve_against(&base.borrow(), uri).map_err(|_| LEAVES)?
        };
        let resource = self.names.resources.get(uri.as_str()).ok_or(LEAVES)?;
        let fragment = decoded(fragment).ok_or("has a percent escape that is none: correct it")?;
        if fragment.is_empty() || fragment.starts_with('/') {
            let place = format!("{resource}{fragment}");
            return match self.root.pointer(&place) {
                Some(_) => Ok(place),
                None => Err(NOTHING),
            };
        }
        let anchor = (uri.as_str().to_owned(), fragment);
        self.names.anchors.get(&anchor).cloned().ok_or(NOTHING)
    }
}

fn is_one(keyword: &str) -> bool {
    IN_PLACE_ONE.contains(&keyword) || INWARD_ONE.contains(&keyword)
}

fn is_list(keyword: &str) -> bool {
    IN_PLACE_LIST.contains(&keyword) || INWARD_LIST.contains(&keyword)
}

fn is_map(keyword: &str) -> bool {
    IN_PLACE_MAP.contains(&keyword) || INWARD_MAP.contains(&keyword) || KEPT.contains(&keyword)
}

/// The parts that keywords lead to, each with the rest of its pointer.
fn parts(object: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (keyword, inner) in object {
        let at = pointer("", keyword);
        if let (Value::Object(map), true) = (inner, is_map(keyword)) {
            found.extend(map.iter().map(|(name, part)| (pointer(&at, name), part)));
        } else if let (Value::Array(items), true) = (inner, is_list(keyword)) {
            let items = items.iter().enumerate();
            found.extend(items.map(|(index, part)| (format!("{at}/{index}"), part)));
        } else if is_one(keyword) {
            found.push((at, inner));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain_of(schema: &Value) -> Result<Value, String> {
        plain(schema, draft(schema)?).map(|plain| plain.schema)
    }

    #[test]
    fn every_way_to_name_a_part_becomes_a_pointer() {
        let parts = json!({
            "plain": {"type": "string"},
            "a<b/c~d é%": {"type": "integer"},
            "anchored": {"$anchor": "here", "type": "null"},
            "inner": {
                "$id": "inner.json", "$ref": "#/$defs/own",
                "$defs": {"own": {"$anchor": "here", "$ref": "root.json#here"}}
            }
        });
        for (reference, place) in [
            ("#", "#"),
            ("", "#"),
            ("#/$defs/plain", "#/$defs/plain"),
            ("#/%24defs/plain", "#/$defs/plain"),
            (
                "#/$defs/a%3Cb~1c~0d%20%C3%A9%25",
                "#/$defs/a%3Cb~1c~0d%20%C3%A9%25",
            ),
            ("#here", "#/$defs/anchored"),
            ("#h%65re", "#/$defs/anchored"),
            ("root.json#/$defs/plain", "#/$defs/plain"),
            ("https://example.com/x/root.json#here", "#/$defs/anchored"),
            ("inner.json", "#/$defs/inner"),
            ("../x/inner.json#here", "#/$defs/inner/$defs/own"),
            ("inner.json#/$defs/own", "#/$defs/inner/$defs/own"),
            ("#/$defs/inner/$defs/own", "#/$defs/inner/$defs/own"),
        ] {
            let schema = json!({
                "$id": "https://example.com/x/root.json", "$defs": parts, "items": {"$ref": reference}
            });
            let plain = plain_of(&schema).unwrap();
            assert_eq!(plain["items"]["$ref"], place, "{reference}");
            assert!(target(&plain, place).is_some());
            let inner = &plain["$defs"]["inner"];
            assert_eq!(inner["$ref"], "#/$defs/inner/$defs/own");
            assert_eq!(inner["$defs"]["own"]["$ref"], "#/$defs/anchored");
            let text = plain.to_string();
            assert!(!text.contains("$id") && !text.contains("$anchor"), "{text}");
        }
    }

    #[test]
    fn draft_7_names_parts_by_an_id_that_is_a_fragment() {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"a": {"$id": "#a"}, "b": {"$id": "#ignored", "$ref": "#a"}},
            "properties": {"x": {"$ref": "#a"}, "$ref": {"type": "string"}, "$id": {"const": {"$ref": "kept"}}}
        });
        let plain = plain_of(&schema).unwrap();
        assert_eq!(plain["properties"]["x"]["$ref"], "#/definitions/a");
        assert_eq!(plain["definitions"]["b"]["$ref"], "#/definitions/a");
        assert_eq!(plain["properties"]["$id"]["const"]["$ref"], "kept");
        assert_eq!(plain["properties"]["$ref"]["type"], "string");
        let mut ignored = schema;
        ignored["properties"]["x"]["$ref"] = json!("#ignored");
        assert!(plain_of(&ignored).unwrap_err().contains("names nothing"));
    }

    #[test]
    fn what_is_named_twice_or_not_at_all_is_refused() {
        for (schema, words) in [
            (
                json!({"$ref": "https://example.com/a"}),
                "leaves the schema",
            ),
            (json!({"$ref": "file:///etc/passwd"}), "leaves the schema"),
            (json!({"$ref": "other.json#/a"}), "leaves the schema"),
            (json!({"$ref": "#/$defs/none"}), "names nothing"),
            (json!({"$ref": "#none"}), "names nothing"),
            (json!({"$ref": "#/%ZZ"}), "percent escape"),
            (json!({"$ref": "#/%FF"}), "percent escape"),
            (
                json!({"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}),
                "two parts",
            ),
            (
                json!({"$defs": {"a": {"$id": "x"}, "b": {"$id": "x"}}}),
                "two parts",
            ),
            (json!({"items": {"$id": "x#y"}}), "not supported"),
            (
                json!({"items": {"$id": "x", "$schema": "http://json-schema.org/draft-07/schema#"}}),
                "another draft",
            ),
            (
                json!({"items": {"pattern": "a(?=b)"}}),
                "at '/items/pattern'",
            ),
            (
                json!({"patternProperties": {"\\bx": true}}),
                "not supported",
            ),
        ] {
            let why = plain_of(&schema).unwrap_err();
            assert!(why.contains(words), "{schema}: {why}");
        }
        let mut long = json!({"items": {}});
        long = json!({"properties": {"x".repeat(MAX_POINTER_BYTES): long}});
        assert!(plain_of(&long).unwrap_err().contains("shorter names"));
        // Only a reference would make schemas of these.
        let unused = json!({"x-note": {"$ref": "elsewhere", "pattern": "(?=a)b"}});
        assert_eq!(plain_of(&unused), Ok(unused));
    }
}
