//! A package's JSON Schemas, compiled once for each package and kept in memory; nothing is ever fetched.

use std::collections::BTreeMap;

use jsonschema::{Draft, PatternOptions, ValidationError};
use plugin_protocol::report::Issue;
use plugin_protocol::{json, mcp};
use serde_json::Value;

use super::entry::inside;
use super::pattern::MAX_REGEX_BYTES;
use super::schema_cost::measure;
use super::schema_refs::{self, Plain, plain};
use super::server::Pinned;
use super::shape::Shape;
use super::words::{cut, error, pointer, quoted, shown};
use super::{CheckedManifest, PackageFiles};

/// The largest schema file in bytes.
const MAX_SCHEMA_BYTES: usize = 256 * 1024;
/// The most schemas of one package.
const MAX_SCHEMAS: usize = 64;
/// The most findings about one payload that a message names.
const MAX_TOLD: usize = 3;
/// The longest message of the schema library that is passed on, in characters.
const MAX_FOREIGN_CHARS: usize = 200;

/// A package's compiled schemas by `schema_ref`.
#[derive(Debug, Default)]
pub struct Schemas {
    by_ref: BTreeMap<String, Compiled>,
    /// The tools of a server.
    pinned: Option<Pinned>,
}

/// One schema, ready to check with.
#[derive(Debug)]
pub(super) struct Compiled {
    shape: Shape,
    /// Whether it describes the whole payload also for `json`.
    describes_payload: bool,
    /// Whether each error may be named, which can cost far more than finding that there is one.
    explained: bool,
}

impl Compiled {
    /// What is wrong with `value`, of which `subject` says what it is.
    pub(super) fn check(
        &self,
        value: &Value,
        subject: impl FnOnce() -> String,
    ) -> Result<(), String> {
        if self.shape.fits(value) {
            return Ok(());
        }
        let start = subject();
        if !self.explained {
            return Err(start);
        }
        let issues = self.shape.issues(value);
        let told: Vec<String> = issues.iter().take(MAX_TOLD).map(told).collect();
        Err(format!("{start}: {}", told.join("; ")))
    }
}

impl Schemas {
    /// Compiles every schema that the manifest names.
    ///
    /// # Errors
    /// Everything that is wrong with the files, by `schema_ref`.
    pub fn compile(
        manifest: &CheckedManifest,
        files: &dyn PackageFiles,
    ) -> Result<Self, Vec<Issue>> {
        let named = manifest.schemas.iter().flatten();
        let mut by_ref = BTreeMap::new();
        let mut issues = Vec::new();
        for (count, (name, path)) in named.enumerate() {
            let field = pointer("/schemas", name);
            if count == MAX_SCHEMAS {
                let message =
                    format!("more than {MAX_SCHEMAS} schemas: join them or leave some out");
                issues.push(error(field, message));
                break;
            }
            match compile_file(path, files) {
                Ok(compiled) => drop(by_ref.insert(name.clone(), compiled)),
                Err(why) => issues.push(error(field, why)),
            }
        }
        let mut pinned = None;
        if manifest.is_server() {
            match Pinned::read(files) {
                Ok(tools) => pinned = Some(tools),
                Err(found) => issues.extend(found),
            }
        }
        if issues.is_empty() {
            Ok(Self { by_ref, pinned })
        } else {
            Err(issues)
        }
    }

    /// Whether payloads that name the schema `name` are checked.
    #[must_use]
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.by_ref.contains_key(name) || (self.pinned.is_some() && name == mcp::CALL)
    }

    /// The pinned tools; none where the package is no server.
    #[must_use]
    pub fn pinned(&self) -> Option<&Pinned> {
        self.pinned.as_ref()
    }

    /// The schema called `name`, with plain references: each is a pointer from its root.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&Value> {
        self.by_ref
            .get(name)
            .map(|compiled| compiled.shape.schema())
    }

    /// Whether the schema called `name` is of the older form, which describes the whole payload and not its `data`.
    pub(super) fn describes_payload(&self, name: &str) -> bool {
        let compiled = self.by_ref.get(name);
        compiled.is_some_and(|compiled| compiled.describes_payload)
    }

    /// Checks `value` against the schema called `name`; without one, everything fits.
    pub(super) fn check(&self, name: &str, value: &Value) -> Result<(), String> {
        if let Some(pinned) = self.pinned.as_ref().filter(|_| name == mcp::CALL) {
            return pinned.check_call(value);
        }
        let Some(compiled) = self.by_ref.get(name) else {
            return Ok(());
        };
        compiled.check(value, || {
            format!("the payload does not follow its schema {}", quoted(name))
        })
    }
}

/// Whether a schema's root requires both `kind` and `data`: such a one, of the older OMEGA form, describes the whole payload (contract,
/// section 4). A root that is only a reference counts as what it refers to.
#[must_use]
pub fn describes_payload(schema: &Value) -> bool {
    // Longer chains are refused with the schema.
    const MAX_CHAIN: usize = 24;
    let mut root = schema;
    for _ in 0..MAX_CHAIN {
        let reference = root.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(|reference| schema_refs::target(schema, reference));
        let required = root.get("required").and_then(Value::as_array);
        let requires = |name: &str| required.is_some_and(|names| names.iter().any(|n| n == name));
        match target {
            _ if requires("kind") && requires("data") => return true,
            Some(target) => root = target,
            None => return false,
        }
    }
    false
}

/// A finding as one clause.
pub(super) fn told(issue: &Issue) -> String {
    let place = if issue.field.is_empty() {
        "the whole"
    } else {
        &issue.field
    };
    format!("{} {}", cut(place, MAX_FOREIGN_CHARS), issue.message)
}

fn compile_file(path: &str, files: &dyn PackageFiles) -> Result<Compiled, String> {
    let shown_path = quoted(path);
    let place = inside(path)?;
    if !files.contains(&place) {
        return Err(format!(
            "{shown_path} is not in the package: add the file, or name another"
        ));
    }
    let bytes = files
        .read(&place)
        .map_err(|unread| format!("{shown_path} cannot be read: {unread}"))?;
    compile(&bytes).map_err(|why| format!("{shown_path} is not a usable JSON Schema: {why}"))
}

fn compile(bytes: &[u8]) -> Result<Compiled, String> {
    let schema = json::read_schema(bytes, MAX_SCHEMA_BYTES).map_err(|unread| unread.to_string())?;
    compile_value(&schema)
}

/// Compiles a schema that the strict reader read.
pub(super) fn compile_value(schema: &Value) -> Result<Compiled, String> {
    let draft = draft(schema)?;
    // Whether it is a schema at all is asked of the text that its author wrote.
    if draft == Draft::Draft7 {
        jsonschema::draft7::meta::validate(schema)
    } else {
        jsonschema::draft202012::meta::validate(schema)
    }
    .map_err(|misfit| told_misfit(&misfit))?;
    let Plain { schema, patterns } = plain(schema, draft)?;
    let cost = measure(&schema)?;
    // For the names in patternProperties, which have no keyword of their own: linear, without look-around.
    let keys = PatternOptions::regex()
        .size_limit(MAX_REGEX_BYTES)
        .dfa_size_limit(MAX_REGEX_BYTES);
    let validator = jsonschema::options()
        .with_draft(draft)
        .offline()
        .with_pattern_options(keys)
        .with_keyword("pattern", move |_, source, _| patterns.keyword(source))
        .should_validate_formats(true)
        .build(&schema)
        .map_err(|misfit| told_misfit(&misfit))?;
    Ok(Compiled {
        describes_payload: describes_payload(&schema),
        shape: Shape::new(schema, validator),
        explained: cost.explained,
    })
}

fn told_misfit(misfit: &ValidationError<'_>) -> String {
    let at = misfit.instance_path().as_str();
    let instance = shown(misfit.instance());
    let why = if at.ends_with("/type") {
        format!(
            "at '{at}': {instance} is no type: use string, number, integer, boolean, object, array or null"
        )
    } else {
        format!("at '{at}': {} ({instance})", misfit.masked())
    };
    cut(&why, MAX_FOREIGN_CHARS)
}

/// The draft that `$schema` names; 2020-12 where it names none.
pub(super) fn draft(schema: &Value) -> Result<Draft, String> {
    if !(schema.is_object() || schema.is_boolean()) {
        return Err(format!("it is {}: write an object", shown(schema)));
    }
    let Some(named) = schema.get("$schema") else {
        return Ok(Draft::Draft202012);
    };
    match named.as_str().unwrap_or_default().trim_end_matches('#') {
        "https://json-schema.org/draft/2020-12/schema" => Ok(Draft::Draft202012),
        "http://json-schema.org/draft-07/schema" | "https://json-schema.org/draft-07/schema" => {
            Ok(Draft::Draft7)
        }
        _ => Err(format!(
            "$schema {} is not supported: write \"https://json-schema.org/draft/2020-12/schema\" or \"http://json-schema.org/draft-07/schema#\"",
            shown(named)
        )),
    }
}
