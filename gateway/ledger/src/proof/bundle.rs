//! Proof bundles (contract, section 10): what an auditor is given about one run, and how the gateway makes it.
//! `check` checks one, and trusts nothing from here.

use plugin_protocol::canonical;
use plugin_protocol::digest::{EventHash, FileHash, ManifestHash};
use plugin_protocol::event::Event;
use plugin_protocol::ids::{EventId, PluginId, RunId};
use plugin_protocol::report::ValidationReport;
use plugin_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The name of the format whose checkpoint the log's key alone signed.
pub(crate) const FORMAT: &str = "plugin-gateway-proof/1";

/// The name of the format whose checkpoint has signatures of witnesses too; all else is the same.
pub(crate) const FORMAT_2: &str = "plugin-gateway-proof/2";

/// What proves that a run's events are in the log, and that none is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofBundle {
    /// `plugin-gateway-proof/1`, or `plugin-gateway-proof/2` where witnesses cosigned the checkpoint.
    pub format: String,
    /// The export's name, which its event carries too.
    pub proof_id: EventId,
    /// The run.
    pub run_id: RunId,
    /// When it was exported: the time of the export's event.
    pub created_at: Timestamp,
    /// The hash of the run's last event.
    pub head_event_hash: EventHash,
    /// The run's events in ledger order, without `PROOF_EXPORT` events.
    pub events: Vec<Event>,
    /// A proof for each event, in the same order.
    pub inclusion: Vec<Inclusion>,
    /// The export's own event, which says how many events there are and what their root is.
    pub export: Export,
    /// The signed checkpoint to which every proof leads.
    pub checkpoint: String,
    /// The manifests of the run's plugins.
    pub plugin_manifest_digests: Vec<ManifestDigest>,
    /// The validator's reports about them.
    pub validation_reports: Vec<ValidationReport>,
}

/// The proof that an event is in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inclusion {
    /// The event's index in the ledger.
    pub index: u64,
    /// The proof, lowest hash first (RFC 6962, section 2.1.1).
    pub hashes: Vec<FileHash>,
}

/// The event of an export, with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The `PROOF_EXPORT` event.
    pub event: Event,
    /// Its index in the ledger.
    pub index: u64,
    /// Its proof.
    pub hashes: Vec<FileHash>,
}

/// A plugin and its manifest's hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestDigest {
    /// The plugin.
    pub plugin_id: PluginId,
    /// SHA-256 of its canonical manifest.
    pub manifest_hash: ManifestHash,
}

/// What goes into a bundle beside the run's events; the export's event commits to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProofExtras {
    /// The manifests of the run's plugins.
    pub manifest_digests: Vec<ManifestDigest>,
    /// What was found about them.
    pub validation_reports: Vec<ValidationReport>,
}

impl ProofBundle {
    /// The bundle's bytes: its canonical JSON, without a newline.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::bytes(self)
    }
}

/// SHA-256 of the canonical JSON of `{"plugin_manifest_digests":…,"validation_reports":…}`.
pub(crate) fn attachments_hash(
    digests: &[ManifestDigest],
    reports: &[ValidationReport],
) -> FileHash {
    #[derive(Serialize)]
    struct Attachments<'a> {
        plugin_manifest_digests: &'a [ManifestDigest],
        validation_reports: &'a [ValidationReport],
    }
    FileHash::of(&canonical::bytes(&Attachments {
        plugin_manifest_digests: digests,
        validation_reports: reports,
    }))
}
