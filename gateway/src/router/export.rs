//! What goes into a proof beside a run's events: the manifests of its plugins, and what is found about them.

use std::collections::BTreeSet;
use std::path::Path;

use plugin_protocol::digest::ManifestHash;
use plugin_protocol::event::{EventKind, meta};
use plugin_protocol::ids::{PluginId, RunId};

use crate::error::Error;
use ledger::{self, Filter, ManifestDigest, ProofExtras};
use registry::Store;

/// Gathers what belongs to `run` from the ledger below `state` and from the store.
pub(crate) fn proof_extras(state: &Path, store: &Store, run: &RunId) -> Result<ProofExtras, Error> {
    let filter = Filter {
        run: Some(run.clone()),
        kind: Some(EventKind::Invoke),
        ..Filter::default()
    };
    let mut manifests: BTreeSet<(PluginId, ManifestHash)> = BTreeSet::new();
    for stored in ledger::query(state, &filter)? {
        let event = stored?.event;
        let named = event
            .meta
            .get(meta::MANIFEST_HASH)
            .map(|hash| ManifestHash::parse(hash));
        if let (Some(plugin_id), Some(Ok(hash))) = (event.plugin_id, named) {
            manifests.insert((plugin_id, hash));
        }
    }
    let mut extras = ProofExtras::default();
    for (plugin_id, manifest_hash) in manifests {
        let (report, _) = validator::check_manifest(&store.manifest(manifest_hash)?);
        extras.validation_reports.push(report);
        extras.manifest_digests.push(ManifestDigest {
            plugin_id,
            manifest_hash,
        });
    }
    Ok(extras)
}
