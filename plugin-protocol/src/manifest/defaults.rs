//! What a manifest may leave out (contract, section 4), filled in before anything is judged or hashed.

use serde_json::{Map, Value, json};

/// Bytes of a request or answer line.
const MAX_BYTES: u64 = 65_536;
/// Time for one call in milliseconds.
const MAX_MS: u64 = 5_000;
/// Calls at the same time.
const CONCURRENCY: u64 = 4;

/// Puts in what a manifest left out. What is there stays, right or wrong, and so does a manifest that is no object.
pub fn fill(manifest: &mut Value) {
    let Some(members) = manifest.as_object_mut() else {
        return;
    };
    set(members, "description", json!(""));
    if let Some(api) = members.get("api_version").and_then(Value::as_str) {
        let range = format!("^{api}");
        set(members, "supported_omega_api_versions", json!(range));
    }
    let objects = [
        (
            "limits",
            json!({"max_bytes": MAX_BYTES, "max_ms": MAX_MS, "max_concurrency": CONCURRENCY}),
        ),
        ("determinism", json!({"mode": "probabilistic", "notes": ""})),
        (
            "evidence",
            json!({"log_level": "summary", "redactions": []}),
        ),
    ];
    for (name, defaults) in objects {
        let own = members.entry(name).or_insert_with(|| json!({}));
        if let (Some(own), Value::Object(defaults)) = (own.as_object_mut(), defaults) {
            for (member, value) in defaults {
                set(own, &member, value);
            }
        }
    }
    fill_ports(members);
}

/// An `io` entry's limits are those of the manifest.
fn fill_ports(members: &mut Map<String, Value>) {
    let Some(bytes) = members.get("limits").and_then(|of| of.get("max_bytes")) else {
        return;
    };
    let limits = json!({"max_bytes": bytes});
    let Some(io) = members.get_mut("io").and_then(Value::as_object_mut) else {
        return;
    };
    let sides = io.values_mut().filter_map(Value::as_array_mut);
    for port in sides.flatten().filter_map(Value::as_object_mut) {
        set(port, "limits", limits.clone());
    }
}

fn set(members: &mut Map<String, Value>, name: &str, value: Value) {
    if !members.contains_key(name) {
        members.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    #[test]
    fn a_small_manifest_becomes_the_contract_s_whole_one() {
        let mut small = json!({
            "plugin_id": "p.text.hello", "name": "Hello", "vendor": "V",
            "version": "1.0.0", "api_version": "1.0.0", "capabilities": ["read_text", "write_report"],
            "io": {"inputs": [{"kind": "text", "schema_ref": "s"}], "outputs": [{"kind": "text", "schema_ref": "s", "limits": {"max_bytes": 7}}]},
            "entrypoint": {"type": "process", "command": ["./hello"]},
        });
        fill(&mut small);
        let added = json!({
            "description": "", "supported_omega_api_versions": "^1.0.0",
            "limits": {"max_bytes": 65_536, "max_ms": 5_000, "max_concurrency": 4},
            "determinism": {"mode": "probabilistic", "notes": ""},
            "evidence": {"log_level": "summary", "redactions": []},
        });
        for (name, value) in added.as_object().unwrap() {
            assert_eq!(small.get(name), Some(value), "{name}");
        }
        assert_eq!(
            small.pointer("/io/inputs/0/limits/max_bytes"),
            Some(&json!(65_536))
        );
        assert_eq!(
            small.pointer("/io/outputs/0/limits/max_bytes"),
            Some(&json!(7)),
            "what is there stays"
        );
        assert!(serde_json::from_value::<Manifest>(small).is_ok());
    }

    #[test]
    fn a_part_of_an_object_is_completed_and_a_wrong_one_is_left_alone() {
        let mut partial = json!({"limits": {"max_ms": 100}, "evidence": 3, "io": [1]});
        fill(&mut partial);
        assert_eq!(
            partial["limits"],
            json!({"max_bytes": 65_536, "max_ms": 100, "max_concurrency": 4})
        );
        assert_eq!(
            (&partial["evidence"], &partial["io"]),
            (&json!(3), &json!([1]))
        );
        let mut none = json!([]);
        fill(&mut none);
        assert_eq!(none, json!([]));
    }
}
