//! Tests of the validator, by part.

mod answers;
mod exchange;
mod manifests;
mod packages;
mod remarks;
mod servers;

use std::collections::BTreeMap;
use std::io;

use plugin_protocol::report::{Issue, Severity, ValidationReport};
use serde_json::{Value, json};

use super::*;

/// A manifest that keeps every rule without a remark.
fn manifest() -> Value {
    json!({
        "plugin_id": "p.text.hello", "name": "Hello", "vendor": "Example", "description": "Greets.",
        "version": "1.0.0", "api_version": "1.0.0", "supported_omega_api_versions": ">=1.0.0 <2.0.0",
        "capabilities": ["read_text", "read_json", "write_report"],
        "io": {
            "inputs": [
                {"kind": "text", "schema_ref": "text/1", "limits": {"max_bytes": 400}},
                {"kind": "json", "schema_ref": "point/1", "limits": {"max_bytes": 400}}
            ],
            "outputs": [{"kind": "json", "schema_ref": "point/1", "limits": {"max_bytes": 400}}]
        },
        "limits": {"max_bytes": 4096, "max_ms": 1000, "max_concurrency": 4},
        "determinism": {"mode": "deterministic", "notes": ""},
        "evidence": {"log_level": "summary", "redactions": ["/payload/content"]},
        "entrypoint": {"type": "process", "command": ["./hello"]},
        "schemas": {"point/1": "schemas/point.json"}
    })
}

/// [`manifest`] with `value` at a JSON pointer whose parent exists.
fn with(at: &str, value: Value) -> Value {
    let mut changed = manifest();
    put(&mut changed, at, Some(value));
    changed
}

/// [`manifest`] without what a JSON pointer names.
fn without(at: &str) -> Value {
    let mut changed = manifest();
    put(&mut changed, at, None);
    changed
}

fn put(target: &mut Value, at: &str, value: Option<Value>) {
    let (parent, key) = at.rsplit_once('/').unwrap();
    match (target.pointer_mut(parent).unwrap(), value) {
        (Value::Object(map), Some(value)) => drop(map.insert(key.to_owned(), value)),
        (Value::Object(map), None) => drop(map.remove(key)),
        (Value::Array(items), Some(value)) => items[key.parse::<usize>().unwrap()] = value,
        (other, _) => panic!("{other} has no {key}"),
    }
}

fn report_of(manifest: &Value) -> ValidationReport {
    let (report, checked) = check_manifest(manifest.to_string().as_bytes());
    assert_eq!(report.valid, checked.is_some(), "{report:?}");
    report
}

fn checked(manifest: &Value) -> CheckedManifest {
    let (report, checked) = check_manifest(manifest.to_string().as_bytes());
    checked.unwrap_or_else(|| panic!("{report:?}"))
}

/// The one finding about `field`.
fn only<'a>(issues: &'a [Issue], field: &str) -> &'a Issue {
    let found: Vec<&Issue> = issues.iter().filter(|issue| issue.field == field).collect();
    assert_eq!(found.len(), 1, "{field}: {issues:?}");
    found[0]
}

/// Files in memory: bytes and whether they are executable.
struct Files(BTreeMap<&'static str, (Vec<u8>, bool)>);

impl PackageFiles for Files {
    fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn executable(&self, path: &str) -> bool {
        self.0.get(path).is_some_and(|file| file.1)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0
            .get(path)
            .map(|file| file.0.clone())
            .ok_or(io::ErrorKind::NotFound.into())
    }
}

fn elf() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(64, 0);
    header[18] = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    header
}

/// The files that [`manifest`] names.
fn files() -> Files {
    let schema = br#"{"type":"object","properties":{"x":{"type":"integer","description":"a whole number"}},"required":["x"],"additionalProperties":false}"#;
    Files(BTreeMap::from([
        ("hello", (elf(), true)),
        ("schemas/point.json", (schema.to_vec(), false)),
    ]))
}

fn schemas(manifest: &CheckedManifest) -> Schemas {
    Schemas::compile(manifest, &files()).unwrap()
}
