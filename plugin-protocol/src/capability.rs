//! What a plugin may declare that it needs; everything else is refused.

use serde::{Deserialize, Serialize};

use crate::payload::PayloadKind;
use crate::shape;

/// A capability that a manifest may declare (contract, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum Capability {
    /// The plugin reads payloads of kind `text`.
    ReadText,
    /// The plugin reads payloads of kind `json`.
    ReadJson,
    /// The plugin reads payloads of kind `binary_ref`.
    ReadBinaryRef,
    /// The plugin reads payloads of kind `dataset_slice`.
    ReadDatasetSlice,
    /// The plugin answers with a suggestion, which the host may take or leave.
    WriteSuggestion,
    /// The plugin answers with a report.
    WriteReport,
}

shape::words!(Capability);

/// Capabilities that are refused by name. The sandbox also makes each of them impossible.
pub const FORBIDDEN: [&str; 4] = [
    "filesystem_access",
    "network_access",
    "process_spawn",
    "env_access",
];

impl Capability {
    /// The word in the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadText => "read_text",
            Self::ReadJson => "read_json",
            Self::ReadBinaryRef => "read_binary_ref",
            Self::ReadDatasetSlice => "read_dataset_slice",
            Self::WriteSuggestion => "write_suggestion",
            Self::WriteReport => "write_report",
        }
    }

    /// The capability that an input of `kind` needs.
    #[must_use]
    pub fn to_read(kind: PayloadKind) -> Self {
        match kind {
            PayloadKind::Text => Self::ReadText,
            PayloadKind::Json => Self::ReadJson,
            PayloadKind::BinaryRef => Self::ReadBinaryRef,
            PayloadKind::DatasetSlice => Self::ReadDatasetSlice,
        }
    }

    /// Whether this capability lets a plugin answer with a payload.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Self::WriteSuggestion | Self::WriteReport)
    }
}
