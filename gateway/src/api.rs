//! The gateway: the eight operations of the contract, and nothing else is public.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use plugin_protocol::canonical;
use plugin_protocol::digest::{KeyId, ManifestHash};
use plugin_protocol::event::EventKind;
use plugin_protocol::ids::{PluginId, RunId};
use plugin_protocol::json;
use plugin_protocol::report::{Issue, PluginInfo, Severity, ValidationReport};
use serde_json::Value;

use crate::config::Config;
use crate::error::Error;
use crate::ledger::{self, Draft, Ledger, Opening, Record, Recorded};
use crate::registry::{
    Change, Package, PublicKey, RegistrationDecision, RegistrationFacts, Registry, Store,
};
use crate::router::{Call, Offered, Outcome, Router};
use crate::sandbox::{Cancel, Layer, Settings};
use crate::validator;

/// A state folder that is open for writing. There is one at a time for each folder.
///
/// Dropping it flushes the ledger and lets the folder go.
#[derive(Debug)]
pub struct Gateway {
    registry: Arc<RwLock<Registry>>,
    store: Arc<Store>,
    ledger: Ledger,
    router: Router,
    opening: Opening,
}

/// A package that asks to be registered.
#[derive(Debug, Clone, Copy)]
pub struct Registration<'a> {
    /// The package's folder.
    pub package: &'a Path,
    /// The content of a `plugin.sig` to use in place of the one in the folder.
    pub signature: Option<&'a [u8]>,
    /// Whether a lower version under the same id may be replaced.
    pub replace: bool,
}

/// One event of the registry, about to be recorded.
struct RegistryEvent {
    kind: EventKind,
    plugin_id: Option<PluginId>,
    meta: BTreeMap<String, String>,
}

impl Record for RegistryEvent {
    fn draft(&self) -> Draft {
        Draft {
            run_id: RunId::system(),
            kind: self.kind,
            plugin_id: self.plugin_id.clone(),
            request_id: None,
            input_hash: None,
            output_hash: None,
            meta: self.meta.clone(),
        }
    }
}

impl Gateway {
    /// Opens the state folder, which `plugin-gateway init` made, for writing.
    ///
    /// # Errors
    /// When the folder is not a state, another process holds it, its settings cannot be used, or
    /// its ledger is damaged.
    pub fn open(state: &Path) -> Result<Self, Error> {
        let config = Config::load(state)?;
        let mut registry = Registry::new();
        let mut fault = None;
        let (ledger, opening) = Ledger::open(state, ledger::Options::default(), &mut |event| {
            if fault.is_none() {
                fault = registry.apply(event).err();
            }
        })?;
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        let registry = Arc::new(RwLock::new(registry));
        let store = Arc::new(Store::open(state)?);
        let settings = sandbox_settings(&config)?;
        let router = Router::new(
            Arc::clone(&registry),
            Arc::clone(&store),
            ledger.clone(),
            settings,
            config.calls_at_once,
        );
        Ok(Self {
            registry,
            store,
            ledger,
            router,
            opening,
        })
    }

    /// Checks a manifest's bytes: every finding at once.
    #[must_use]
    pub fn validate_manifest(manifest: &[u8]) -> ValidationReport {
        validator::check_manifest(manifest).0
    }

    /// Registers a signed package. A package that is not valid, or that no trusted key vouches for,
    /// is recorded as `rejected`.
    ///
    /// # Errors
    /// When the folder cannot be read as a package, its id is taken, or the ledger is unavailable.
    pub fn register_plugin(&self, registration: Registration<'_>) -> Result<PluginInfo, Error> {
        Ok(self.register(registration)?.0)
    }

    /// Lets a registered plugin be called. Idempotent.
    ///
    /// # Errors
    /// When it is unknown, rejected, or no longer vouched for; or the ledger is unavailable.
    pub fn enable_plugin(&self, id: &PluginId) -> Result<PluginInfo, Error> {
        self.switch(id, Registry::enable)
    }

    /// Switches a plugin off. Idempotent.
    ///
    /// # Errors
    /// When it is unknown or rejected; or the ledger is unavailable.
    pub fn disable_plugin(&self, id: &PluginId) -> Result<PluginInfo, Error> {
        self.switch(id, Registry::disable)
    }

    /// Every plugin, sorted by id.
    #[must_use]
    pub fn list_plugins(&self) -> Vec<PluginInfo> {
        self.read().list()
    }

    /// Asks a plugin once. A call that is refused, fails or takes too long is an outcome, not an error.
    ///
    /// `request` is the whole request (contract, section 6); `cancel` lets another thread end the call.
    ///
    /// # Errors
    /// When the ledger cannot write down what happens: then nothing is run, or nothing is answered.
    pub fn invoke(
        &self,
        plugin_id: &str,
        request: &Value,
        cancel: Option<&Cancel>,
    ) -> Result<Recorded<Outcome>, Error> {
        self.router.invoke(Call {
            plugin_id,
            request,
            cancel,
        })
    }
}

/// What an operator does beside the eight operations.
impl Gateway {
    pub(crate) fn opening(&self) -> &Opening {
        &self.opening
    }

    pub(crate) fn trust_add(&self, key: &PublicKey, label: &str) -> Result<bool, Error> {
        let mut registry = self.write();
        let change = registry.trust_add(key, label)?;
        self.carry_out(&mut registry, None, change)
    }

    pub(crate) fn trust_remove(&self, key_id: KeyId) -> Result<bool, Error> {
        let mut registry = self.write();
        let change = registry.trust_remove(key_id)?;
        self.carry_out(&mut registry, None, change)
    }

    /// Registers a package, and says why where it is rejected.
    pub(crate) fn register(
        &self,
        registration: Registration<'_>,
    ) -> Result<(PluginInfo, Option<Rejection>), Error> {
        let package = Package::read(registration.package)?;
        let candidate = Candidate::of(&package)?;
        let signature = registration.signature.or(package.signature_bytes());
        let mut registry = self.write();
        let (meta, rejection) = match registry.judge_registration(candidate.facts(
            &package,
            signature,
            registration.replace,
        )) {
            RegistrationDecision::Refused(error) => return Err(error.into()),
            RegistrationDecision::Rejected { meta, reason } => (
                meta,
                Some(Rejection {
                    reason,
                    trust: candidate.fault.is_none(),
                }),
            ),
            RegistrationDecision::Registered { meta, .. } => {
                self.store.put_package(&package)?;
                (meta, None)
            }
        };
        self.store.put_manifest(&candidate.canonical)?;
        let event = RegistryEvent {
            kind: EventKind::Register,
            plugin_id: Some(candidate.plugin_id),
            meta,
        };
        let recorded = self.ledger.record(event)?;
        registry.apply(recorded.event())?;
        Ok((crate::registry::plugin_info(recorded.event())?, rejection))
    }

    fn switch(
        &self,
        id: &PluginId,
        judge: fn(&Registry, &PluginId) -> Result<Change, crate::registry::Error>,
    ) -> Result<PluginInfo, Error> {
        let mut registry = self.write();
        let change = judge(&registry, id)?;
        self.carry_out(&mut registry, Some(id.clone()), change)?;
        let plugin = registry
            .get(id)
            .ok_or_else(|| crate::registry::Error::PluginNotFound(id.clone()))?;
        Ok(plugin.info.clone())
    }

    /// Records a change and takes it in; says whether there was one.
    fn carry_out(
        &self,
        registry: &mut Registry,
        plugin_id: Option<PluginId>,
        change: Change,
    ) -> Result<bool, Error> {
        let Change::Record { kind, meta } = change else {
            return Ok(false);
        };
        let recorded = self.ledger.record(RegistryEvent {
            kind,
            plugin_id,
            meta,
        })?;
        registry.apply(recorded.event())?;
        Ok(true)
    }

    fn read(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a package was recorded as rejected.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) reason: String,
    /// Whether it is a question of signature and trust, not of what the package holds.
    pub(crate) trust: bool,
}

/// What a package says of itself, read as far as it can be.
struct Candidate {
    plugin_id: PluginId,
    name: String,
    version: String,
    capabilities: Vec<String>,
    manifest_hash: ManifestHash,
    /// The manifest's canonical JSON.
    canonical: Vec<u8>,
    /// What is wrong with it, whoever signed it.
    fault: Option<String>,
}

impl Candidate {
    /// Reads the manifest of `package`.
    ///
    /// # Errors
    /// When not even a plugin's id can be read: then there is nothing to record it under.
    fn of(package: &Package) -> Result<Self, Error> {
        let (report, manifest) = validator::check_manifest(package.manifest_bytes());
        let Some(manifest) = manifest else {
            return Self::unusable(package.manifest_bytes(), report);
        };
        let fault = all_errors(&validator::check_package(&manifest, &Offered(package)));
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

    fn facts<'a>(
        &'a self,
        package: &Package,
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
    let words: Vec<String> = errors
        .map(|issue| format!("{}: {}", issue.field, issue.message))
        .collect();
    if words.is_empty() {
        None
    } else {
        Some(words.join("; "))
    }
}

/// The operator's settings for the sandbox over what was found on the host.
pub(crate) fn sandbox_settings(config: &Config) -> Result<Settings, Error> {
    let mut settings = Settings::default();
    for name in &config.allow_missing_layers {
        let layer = Layer::from_name(name).ok_or_else(|| Error::Usage {
            message: format!("config.toml: allow_missing_layers names '{name}', which is no layer"),
            hint: "run `plugin-gateway doctor` to see the layers' names".to_owned(),
        })?;
        settings.allow_missing.push(layer);
    }
    for (name, choice) in &config.runtimes {
        settings.runtimes.choose(name, choice.clone());
    }
    Ok(settings)
}
