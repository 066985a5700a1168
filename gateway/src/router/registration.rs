//! A registration, from a package's folder to the facts that the registry judges; and the registry's events.

use std::collections::BTreeMap;

use plugin_protocol::digest::ManifestHash;
use plugin_protocol::event::EventKind;
use plugin_protocol::ids::PluginId;
use plugin_protocol::report::{Issue, Severity, ValidationReport};
use plugin_protocol::{canonical, json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::files::findings;
use crate::error::Error;
use ledger::{Draft, Record};
use registry::{Package, RegistrationFacts};

/// One event of the registry, about to be recorded.
pub(crate) struct RegistryEvent {
    pub(crate) kind: EventKind,
    pub(crate) plugin_id: Option<PluginId>,
    pub(crate) meta: BTreeMap<String, String>,
}

impl Record for RegistryEvent {
    fn draft(&self) -> Draft {
        Draft::of_system(self.kind, self.plugin_id.clone(), self.meta.clone())
    }
}

/// Why a package was recorded as rejected.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rejection {
    pub(crate) reason: String,
    /// Whether the reason is signature or trust, not what the package holds.
    pub(crate) trust: bool,
}

/// What a package says of itself, as far as it can be read.
pub(crate) struct Candidate {
    pub(crate) plugin_id: PluginId,
    name: String,
    version: String,
    capabilities: Vec<String>,
    pub(crate) manifest_hash: ManifestHash,
    /// The manifest's canonical JSON.
    pub(crate) canonical: Vec<u8>,
    /// What is wrong with it, whoever signed it.
    pub(crate) fault: Option<String>,
}

impl Candidate {
    /// Reads the manifest of `package`.
    ///
    /// # Errors
    /// When not even a plugin's id can be read: then there is nothing to record it under.
    pub(crate) fn of(package: &Package) -> Result<Self, Error> {
        let (report, manifest) = validator::check_manifest(package.manifest_bytes());
        let Some(manifest) = manifest else {
            return Self::unusable(package.manifest_bytes(), report);
        };
        let fault = all_errors(&findings(&manifest, package));
        Ok(Self {
            plugin_id: manifest.plugin_id.clone(),
            name: manifest.name.clone(),
            version: manifest.version.to_string(),
            capabilities: manifest.capabilities.clone(),
            manifest_hash: manifest.hash(),
            canonical: manifest.canonical().to_vec(),
            fault,
        })
    }

    fn unusable(manifest: &[u8], report: ValidationReport) -> Result<Self, Error> {
        let value = json::read(manifest).unwrap_or_default();
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        match (PluginId::parse(text("plugin_id")), report.manifest_hash) {
            (Ok(plugin_id), Some(manifest_hash)) => Ok(Self {
                plugin_id,
                name: text("name").to_owned(),
                version: text("version").to_owned(),
                capabilities: Vec::new(),
                manifest_hash,
                canonical: canonical::bytes(&value),
                fault: all_errors(&report.issues),
            }),
            _ => Err(Error::InvalidManifest {
                report: Box::new(report),
            }),
        }
    }

    pub(crate) fn facts<'a>(
        &'a self,
        package: &'a Package,
        signature: Option<&'a [u8]>,
        replace: bool,
    ) -> RegistrationFacts<'a> {
        RegistrationFacts {
            plugin_id: &self.plugin_id,
            name: &self.name,
            version: &self.version,
            capabilities: &self.capabilities,
            manifest_hash: self.manifest_hash,
            package_digest: package.digest(),
            package: Some(package),
            signature,
            replace,
            fault: self.fault.as_deref(),
        }
    }
}

/// The errors among the findings in one text, none where there is no error.
fn all_errors(issues: &[Issue]) -> Option<String> {
    let errors = issues
        .iter()
        .filter(|issue| issue.severity == Severity::Error);
    let words: Vec<String> = errors.map(ToString::to_string).collect();
    if words.is_empty() {
        None
    } else {
        Some(words.join("; "))
    }
}
