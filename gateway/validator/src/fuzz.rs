//! The entry points for untrusted bytes, for the fuzz targets of `tests/fuzz`. This file is built only with `--cfg fuzzing`, which
//! cargo-fuzz sets.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a fuzz target says what it found by panicking"
)]

use plugin_protocol::canonical;
use plugin_protocol::digest::PayloadHash;
use plugin_protocol::json;
use serde_json::{Value, json};

use super::{Admitted, CheckedManifest, Schemas, admit_value, check_answer, check_manifest};

/// The longest notes that may come out, in bytes: 2,000 characters and the words that say what was cut.
const NOTES_MAX_BYTES: usize = 4 * 2_000 + 200;

/// Takes any bytes as a manifest: the report is valid exactly when a checked manifest comes back, and its canonical form is valid too.
pub fn manifest(bytes: &[u8]) {
    let (report, checked) = check_manifest(bytes);
    assert_eq!(report.valid, checked.is_some());
    assert_eq!(report.valid && report.manifest_hash.is_none(), false);
    if let Some(checked) = checked {
        let (again, same) = check_manifest(checked.canonical());
        assert_eq!(again.manifest_hash, report.manifest_hash);
        assert!(same.is_some());
    }
}

/// Takes any bytes as an answer line: an accepted one is a single line for this request, and its result's hash is that of its canonical form.
pub fn answer(line: &[u8]) {
    let (manifest, admitted) = asked();
    let Ok(verdict) = check_answer(line, &admitted, &manifest, &Schemas::default()) else {
        return;
    };
    let line = line.trim_ascii();
    assert!(!line.contains(&b'\n'));
    assert!(verdict.notes.len() <= NOTES_MAX_BYTES);
    assert!(!verdict.notes.chars().any(|letter| letter == '\u{1b}'));
    let value = json::read(line).expect("an accepted line can be read");
    assert_eq!(
        value.pointer("/response/request_id"),
        Some(&Value::from("r1"))
    );
    match (&verdict.result, verdict.output_hash) {
        (Some(result), Some(hash)) => {
            let canonical = result.canonical();
            assert_eq!(PayloadHash::of(&canonical), hash);
            let again = json::read(&canonical).expect("a canonical form can be read");
            assert_eq!(canonical::bytes(&again), canonical);
        }
        (None, None) => {}
        (_, _) => panic!("a result without its hash, or a hash without a result"),
    }
}

/// A manifest with every kind of input and output, and a request for it.
fn asked() -> (CheckedManifest, Admitted) {
    let port =
        |kind: &str| json!({"kind": kind, "schema_ref": "any/1", "limits": {"max_bytes": 4096}});
    let ports: Vec<Value> = ["text", "json", "binary_ref", "dataset_slice"]
        .map(port)
        .to_vec();
    let manifest = json!({
        "plugin_id": "p.fuzz.any", "name": "any", "vendor": "any", "description": "", "version": "1.0.0", "api_version": "1.0.0",
        "supported_omega_api_versions": ">=1.0.0 <2.0.0",
        "capabilities": ["read_text", "read_json", "read_binary_ref", "read_dataset_slice", "write_suggestion", "write_report"],
        "io": {"inputs": ports, "outputs": ports},
        "limits": {"max_bytes": 65536, "max_ms": 1000, "max_concurrency": 1},
        "determinism": {"mode": "deterministic", "notes": ""},
        "evidence": {"log_level": "full", "redactions": []},
        "entrypoint": {"type": "process", "command": ["./any"]},
    });
    let (report, manifest) = check_manifest(manifest.to_string().as_bytes());
    let manifest = manifest.unwrap_or_else(|| panic!("{report:?}"));
    let request = json!({
        "request_id": "r1", "run_id": "run", "timestamp": "2025-01-01T00:00:00Z",
        "payload": {"kind": "text", "content": "x", "encoding": "utf-8", "metadata": {}},
        "context": {}, "policy": {"deterministic_only": false, "timeout_ms": 1000, "max_retries": 0},
    });
    let admitted = admit_value(&request, &manifest, &Schemas::default());
    let admitted = admitted.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    (manifest, admitted)
}
