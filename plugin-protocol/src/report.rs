//! What the eight operations return other than a response: findings, inventory and pipelines.

use serde::{Deserialize, Serialize};

use crate::digest::ManifestHash;
use crate::ids::{PluginId, RunId};
use crate::message::{Response, Status};
use crate::shape;
use crate::time::Timestamp;

/// What was found about a manifest or package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationReport {
    /// Whether no issue is an error.
    pub valid: bool,
    /// Every finding.
    pub issues: Vec<Issue>,
    /// The manifest's hash, `""` where it could not be read as JSON.
    #[serde(with = "crate::digest::or_empty")]
    pub manifest_hash: Option<ManifestHash>,
    /// When it was checked.
    pub checked_at: Timestamp,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// A JSON pointer (RFC 6901) to the place, `""` for the whole.
    pub field: String,
    /// What is wrong and how to mend it.
    pub message: String,
    /// How bad it is.
    pub severity: Severity,
}

/// The place and what is wrong there; the whole has no name.
impl std::fmt::Display for Issue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.field, self.message)
        }
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum Severity {
    /// The thing is refused.
    Error,
    /// The thing works, but not as written.
    Warning,
    /// Good to know.
    Info,
}

shape::words!(Severity);

/// The status of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum PluginStatus {
    /// Known and trusted, not yet usable.
    Registered,
    /// Usable.
    Enabled,
    /// Switched off.
    Disabled,
    /// Never usable.
    Rejected,
}

shape::words!(PluginStatus);

impl PluginStatus {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Rejected => "rejected",
        }
    }
}

/// One plugin of the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// The plugin's name for machines.
    pub plugin_id: PluginId,
    /// Its name for people.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its status.
    pub status: PluginStatus,
    /// What it declared.
    pub capabilities: Vec<String>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// Whether a trusted key signed it.
    pub signature_valid: bool,
}

/// How several plugins are asked in one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct PipelinePolicy {
    /// One after the other, or all at once.
    pub strategy: Strategy,
    /// The plugins, at least one.
    pub plugin_ids: Vec<String>,
    /// Wall-clock milliseconds for the whole pipeline.
    pub timeout_ms: u64,
    /// Whether a failing step ends it.
    pub stop_on_failure: bool,
    /// What each step is given.
    #[serde(default)]
    pub input: PipelineInput,
}

shape::objects!(PipelinePolicy);

/// The most steps of one pipeline: a fan-out takes a thread for each.
pub const MAX_PIPELINE_STEPS: usize = 256;

impl PipelinePolicy {
    /// Checks what its shape does not say.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check(&self) -> Result<(), String> {
        let steps = self.plugin_ids.len();
        if steps == 0 || steps > MAX_PIPELINE_STEPS {
            return Err(format!(
                "plugin_ids names {steps} plugins: name 1 to {MAX_PIPELINE_STEPS}"
            ));
        }
        if self.strategy == Strategy::FanOut && self.input == PipelineInput::Previous {
            return Err(
                "input 'previous' needs the strategy 'sequential': a fan-out has no step before"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// The order of a pipeline's steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum Strategy {
    /// One after the other.
    Sequential,
    /// All at once.
    FanOut,
}

shape::words!(Strategy);

/// What a pipeline's step is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum PipelineInput {
    /// The request's payload.
    #[default]
    Same,
    /// The result of the step before.
    Previous,
}

shape::words!(PipelineInput);

/// A pipeline's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineResponse {
    /// The request's run.
    pub run_id: RunId,
    /// The order that was asked for.
    pub strategy: Strategy,
    /// The steps that ran, by index.
    pub steps: Vec<PipelineStep>,
    /// `ok` when all steps are; the failing step's status when the pipeline stopped there; else `error`.
    pub overall_status: Status,
    /// Wall-clock milliseconds.
    pub total_duration_ms: u64,
}

/// One step of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineStep {
    /// The plugin.
    pub plugin_id: String,
    /// Its answer.
    pub response: Response,
    /// Its place, from 0.
    pub step_index: usize,
}
