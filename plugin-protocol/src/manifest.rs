//! What a plugin says of itself, as typed fields.
//!
//! A [`Manifest`] has the right shape; whether its parts agree with each other (capabilities with
//! inputs, versions with the gateway) is the gateway's validator to judge.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::PluginId;
use crate::payload::PayloadKind;
use crate::version::{Range, Version};

/// The longest time that a call may take, whatever a manifest asks, in milliseconds (contract, section 4).
pub const MAX_CALL_MS: u64 = 60_000;

/// The memory that a plugin may use when its manifest names no amount, in bytes.
pub const DEFAULT_MEMORY_BYTES: u64 = 128 * 1024 * 1024;

/// A manifest (contract, section 4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The plugin's name for machines.
    pub plugin_id: PluginId,
    /// The plugin's name for people, 1 to 128 characters.
    pub name: String,
    /// Who made it, 1 to 128 characters.
    pub vendor: String,
    /// What it does, at most 1024 characters.
    pub description: String,
    /// The plugin's own version.
    pub version: Version,
    /// The plugin API that it was written for.
    pub api_version: Version,
    /// The gateway versions that it works with.
    pub supported_omega_api_versions: Range,
    /// What it needs, by name. Texts, since a forbidden or unknown name must be reported, not unreadable.
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schemas: Option<BTreeMap<String, String>>,
}

/// The payloads that a plugin takes and gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Io {
    /// What it takes.
    pub inputs: Vec<Port>,
    /// What it gives.
    pub outputs: Vec<Port>,
}

/// One kind of payload that a plugin takes or gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// The payload's kind.
    pub kind: PayloadKind,
    /// The name of the schema that it follows, not empty.
    pub schema_ref: String,
    /// How large it may be.
    pub limits: PortLimits,
}

/// How large one payload may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortLimits {
    /// The payload's canonical JSON in bytes, at least 1.
    pub max_bytes: u64,
}

/// What one call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The request line, and the answer line, in bytes; at least 1.
    pub max_bytes: u64,
    /// Wall-clock milliseconds, at least 100; above [`MAX_CALL_MS`] it is clamped.
    pub max_ms: u64,
    /// Calls at once, 1 to 100.
    pub max_concurrency: u32,
    /// Memory in bytes; [`DEFAULT_MEMORY_BYTES`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory_bytes: Option<u64>,
    /// CPU milliseconds; `max_ms` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cpu_ms: Option<u64>,
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

    /// The CPU limit in milliseconds.
    #[must_use]
    pub fn cpu_ms(&self) -> u64 {
        self.max_cpu_ms.unwrap_or(self.max_ms).min(MAX_CALL_MS)
    }
}

/// Whether the same input gives the same result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Determinism {
    /// The promise.
    pub mode: DeterminismMode,
    /// Words about it.
    pub notes: String,
}

/// The promise about results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeterminismMode {
    /// The same input gives the same result.
    Deterministic,
    /// It may not.
    Probabilistic,
}

/// What the ledger's evidence keeps of a plugin's calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// How much is kept.
    pub log_level: LogLevel,
    /// JSON pointers (RFC 6901) into request and result whose values are never kept.
    pub redactions: Vec<String>,
}

/// How much evidence is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Request and result payloads.
    Full,
    /// Sizes and kinds.
    Summary,
    /// Hashes only.
    Minimal,
}

/// What is started for a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Entrypoint {
    /// A native program, or a script behind one of the operator's runtimes.
    Process {
        /// The program and its arguments, at least one.
        command: Vec<String>,
    },
    /// An exported JavaScript function, run under Node in the same sandbox.
    Worker {
        /// The module's path inside the package.
        file: String,
        /// The exported function's name.
        export: String,
    },
}
