//! What a plugin says of itself, as typed fields.
//!
//! A [`Manifest`] has the right shape. Whether its parts agree with each other (capabilities with inputs, versions with the
//! gateway), the gateway's validator judges.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod defaults;

pub use defaults::fill;

use crate::ids::PluginId;
use crate::json::MAX_SAFE_INTEGER;
use crate::payload::PayloadKind;
use crate::shape;
use crate::version::{Range, Version};

/// The longest time that a call may take, whatever a manifest asks, in milliseconds (contract, section 4).
pub const MAX_CALL_MS: u64 = 60_000;

/// The shortest time that a manifest may ask for a call, in milliseconds (contract, section 4).
pub const MIN_CALL_MS: u64 = 100;

/// The most calls at once that a manifest may allow (contract, section 4).
pub const MAX_CONCURRENCY: u64 = 100;

/// The longest `name` and `vendor`, in characters (contract, section 4).
pub const MAX_NAME_CHARS: usize = 128;

/// The longest `description`, in characters (contract, section 4).
pub const MAX_DESCRIPTION_CHARS: usize = 1024;

/// The descriptors that a plugin may have open when its manifest names no number.
pub const DEFAULT_OPEN_FILES: u64 = 256;

/// The most descriptors that a manifest may ask for (contract, section 4).
pub const MAX_OPEN_FILES: u64 = 4_096;

/// The memory that a plugin may use when its manifest names no amount, in bytes.
pub const DEFAULT_MEMORY_BYTES: u64 = 128 * 1024 * 1024;

/// A manifest (contract, section 4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Manifest {
    /// The plugin's name for machines.
    pub plugin_id: PluginId,
    /// The plugin's name for people, 1 to 128 characters.
    #[serde(deserialize_with = "shape::text::<_, 1, MAX_NAME_CHARS>")]
    pub name: String,
    /// Who made it, 1 to 128 characters.
    #[serde(deserialize_with = "shape::text::<_, 1, MAX_NAME_CHARS>")]
    pub vendor: String,
    /// What it does, at most 1024 characters.
    #[serde(deserialize_with = "shape::text::<_, 0, MAX_DESCRIPTION_CHARS>")]
    pub description: String,
    /// The plugin's own version.
    pub version: Version,
    /// The plugin API that it was written for.
    pub api_version: Version,
    /// The gateway versions that it works with.
    pub supported_omega_api_versions: Range,
    /// What it needs, by name: at least one, each once. They are texts, so that a forbidden or unknown name can be read and reported.
    #[serde(deserialize_with = "shape::set")]
    pub capabilities: Vec<String>,
    /// What it takes and gives.
    pub io: Io,
    /// What it may use.
    pub limits: Limits,
    /// Whether the same input gives the same result.
    pub determinism: Determinism,
    /// What the ledger keeps of its calls.
    pub evidence: Evidence,
    /// What is started.
    pub entrypoint: Entrypoint,
    /// `schema_ref` to the path of a JSON Schema inside the package.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "shape::paths"
    )]
    pub schemas: Option<BTreeMap<String, String>>,
}

shape::objects!(
    Manifest,
    Io,
    Port,
    PortLimits,
    Limits,
    Determinism,
    Evidence
);
shape::tagged!(Entrypoint);

/// The payloads that a plugin takes and gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Io {
    /// What it takes.
    pub inputs: Vec<Port>,
    /// What it gives.
    pub outputs: Vec<Port>,
}

/// One kind of payload that a plugin takes or gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Port {
    /// The payload's kind.
    pub kind: PayloadKind,
    /// The name of the schema that it follows, not empty.
    #[serde(deserialize_with = "shape::non_empty")]
    pub schema_ref: String,
    /// How large it may be.
    pub limits: PortLimits,
}

/// How large one payload may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct PortLimits {
    /// The payload's canonical JSON in bytes, at least 1.
    #[serde(deserialize_with = "shape::bounded::<_, _, 1, MAX_SAFE_INTEGER>")]
    pub max_bytes: u64,
}

/// What one call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Limits {
    /// The request line, and the answer line, in bytes; at least 1.
    #[serde(deserialize_with = "shape::bounded::<_, _, 1, MAX_SAFE_INTEGER>")]
    pub max_bytes: u64,
    /// Wall-clock milliseconds, at least 100; above [`MAX_CALL_MS`] it is clamped.
    #[serde(deserialize_with = "shape::bounded::<_, _, MIN_CALL_MS, MAX_SAFE_INTEGER>")]
    pub max_ms: u64,
    /// Calls at once, 1 to 100.
    #[serde(deserialize_with = "shape::bounded::<_, _, 1, MAX_CONCURRENCY>")]
    pub max_concurrency: u32,
    /// Memory in bytes; [`DEFAULT_MEMORY_BYTES`] when absent.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "shape::bounded_if_present::<_, 1, MAX_SAFE_INTEGER>"
    )]
    pub max_memory_bytes: Option<u64>,
    /// CPU milliseconds; `max_ms` when absent.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "shape::bounded_if_present::<_, 1, MAX_SAFE_INTEGER>"
    )]
    pub max_cpu_ms: Option<u64>,
    /// Open descriptors, 1 to 4096; [`DEFAULT_OPEN_FILES`] when absent.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "shape::bounded_if_present::<_, 1, MAX_OPEN_FILES>"
    )]
    pub max_open_files: Option<u64>,
}

impl Limits {
    /// The wall-clock limit after clamping, in milliseconds.
    #[must_use]
    pub fn call_ms(&self) -> u64 {
        self.max_ms.min(MAX_CALL_MS)
    }

    /// The memory limit in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.max_memory_bytes.unwrap_or(DEFAULT_MEMORY_BYTES)
    }

    /// How many descriptors may be open.
    #[must_use]
    pub fn open_files(&self) -> u64 {
        self.max_open_files.unwrap_or(DEFAULT_OPEN_FILES)
    }

    /// The CPU limit in milliseconds.
    #[must_use]
    pub fn cpu_ms(&self) -> u64 {
        self.max_cpu_ms.unwrap_or(self.max_ms).min(MAX_CALL_MS)
    }
}

/// Whether the same input gives the same result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Determinism {
    /// The promise.
    pub mode: DeterminismMode,
    /// Words about it.
    pub notes: String,
}

/// The promise about results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum DeterminismMode {
    /// The same input gives the same result.
    Deterministic,
    /// It may not.
    Probabilistic,
}

shape::words!(DeterminismMode);

/// What the ledger's evidence keeps of a plugin's calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Evidence {
    /// How much is kept.
    pub log_level: LogLevel,
    /// JSON pointers (RFC 6901) into request and result whose values are never kept.
    #[serde(deserialize_with = "shape::pointers")]
    pub redactions: Vec<String>,
}

/// How much evidence is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum LogLevel {
    /// Request and result payloads.
    Full,
    /// Sizes and kinds.
    Summary,
    /// Hashes only.
    Minimal,
}

shape::words!(LogLevel);

/// What is started for a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    remote = "Self",
    tag = "type",
    rename_all = "snake_case",
    deny_unknown_fields
)]
pub enum Entrypoint {
    /// A native program, or a script behind one of the operator's runtimes.
    Process {
        /// The program and its arguments, at least one.
        #[serde(deserialize_with = "shape::command")]
        command: Vec<String>,
    },
    /// An exported JavaScript function, run under Node in the same sandbox.
    Worker {
        /// The module's path inside the package.
        #[serde(deserialize_with = "shape::path")]
        file: String,
        /// The exported function's name.
        #[serde(deserialize_with = "shape::path")]
        export: String,
    },
    /// A server of the Model Context Protocol, started as a process is and spoken to by [`crate::mcp`].
    Mcp {
        /// The program and its arguments, at least one.
        #[serde(deserialize_with = "shape::command")]
        command: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::json as strict;

    fn manifest() -> Value {
        let port = json!({"kind": "text", "schema_ref": "s", "limits": {"max_bytes": 1}});
        json!({
            "plugin_id": "p.text.hello", "name": "Hello", "vendor": "V", "description": "",
            "version": "1.0.0", "api_version": "1.0.0", "supported_omega_api_versions": "^1.0.0",
            "capabilities": ["read_text"], "io": {"inputs": [port], "outputs": [port]},
            "limits": {"max_bytes": 1, "max_ms": 61_000, "max_concurrency": 1},
            "determinism": {"mode": "deterministic", "notes": ""},
            "evidence": {"log_level": "minimal", "redactions": []},
            "entrypoint": {"type": "process", "command": ["./hello"]},
        })
    }

    fn read(value: &Value) -> Result<Manifest, strict::Error> {
        strict::read_as(value.to_string().as_bytes())
    }

    #[test]
    fn a_manifest_reads_back() {
        let typed = read(&manifest()).unwrap();
        assert_eq!(
            json!(typed),
            manifest(),
            "nothing is added and nothing lost"
        );
    }

    #[test]
    fn unknown_fields_are_refused_at_every_level() {
        for place in [
            "",
            "/io",
            "/io/inputs/0",
            "/io/inputs/0/limits",
            "/io/outputs/0",
            "/limits",
            "/determinism",
            "/evidence",
            "/entrypoint",
        ] {
            let mut more = manifest();
            more.pointer_mut(place).unwrap()["more"] = json!("x");
            let refused = read(&more).unwrap_err().to_string();
            assert!(
                refused.contains("unknown field `more`"),
                "{place}: {refused}"
            );
        }
    }

    #[test]
    fn limits_left_out_have_the_contract_s_values() {
        let limits = read(&manifest()).unwrap().limits;
        assert_eq!(limits.memory_bytes(), 128 * 1024 * 1024);
        assert_eq!(limits.call_ms(), 60_000, "clamped");
        assert_eq!(limits.cpu_ms(), 60_000, "max_ms, clamped as well");
        let mut own = manifest();
        own["limits"]["max_cpu_ms"] = json!(50);
        own["limits"]["max_memory_bytes"] = json!(4096);
        let limits = read(&own).unwrap().limits;
        assert_eq!((limits.cpu_ms(), limits.memory_bytes()), (50, 4096));
    }

    #[test]
    fn a_forbidden_capability_is_readable_so_that_it_can_be_named() {
        let mut forbidden = manifest();
        forbidden["capabilities"] = json!(["network_access"]);
        assert_eq!(read(&forbidden).unwrap().capabilities, ["network_access"]);
    }
}
