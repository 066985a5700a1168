//! The gateway: the eight operations of the contract, and nothing else is public.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use plugin_protocol::digest::{EventHash, KeyId};
use plugin_protocol::event::{EventKind, meta};
use plugin_protocol::ids::{PluginId, RunId};
use plugin_protocol::report::{PipelinePolicy, PipelineResponse, PluginInfo, ValidationReport};
use plugin_protocol::shown;
use serde::Serialize;
use serde_json::Value;

use crate::access::Exposure;
use crate::config::{Config, Durability, Hashes};
use crate::error::Error;
use crate::router::{
    Call, Candidate, Outcome, Pipeline, RegistryEvent, Rejection, Router, Standing, proof_extras,
    sandbox_settings,
};
use ledger::{self, Checkpoint, Dropped, Erased, Ledger, Opening, ProofBundle, Recorded};
use registry::{Change, Package, PublicKey, RegistrationDecision, Registry, Store, Tell};
use sandbox::{Cancel, Layer, Runtimes};

/// A state folder that is open for writing. There is one at a time for each folder.
///
/// Dropping it flushes the ledger and lets the folder go.
#[derive(Debug)]
pub struct Gateway {
    state: PathBuf,
    registry: Arc<RwLock<Registry>>,
    store: Arc<Store>,
    ledger: Ledger,
    router: Router,
    runtimes: Runtimes,
    opening: Opening,
    /// The anchor's folder; none when it lies inside the state.
    anchor: Option<PathBuf>,
}

/// That a refusal stands in the ledger.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct RefusalRecorded {
    pub(crate) event_hash: EventHash,
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

impl Gateway {
    /// Opens the state folder, which `plugin-gateway init` made, for writing.
    ///
    /// A host that may run under a limit on the size of files (`RLIMIT_FSIZE`) holds SIGXFSZ back in all of its threads, as the command
    /// does: a write beyond the limit then fails like one on a full disk, and does not end the host.
    ///
    /// # Errors
    /// When the folder is not a state, others than its user may write to it, another process holds it, its settings cannot be used, or
    /// its ledger is damaged.
    pub fn open(state: &Path) -> Result<Self, Error> {
        Self::open_anchored(state, None)
    }

    /// The same, with the ledger anchored in `anchor` whatever the settings say.
    pub(crate) fn open_anchored(state: &Path, anchor: Option<&Path>) -> Result<Self, Error> {
        Exposure::of(state).refuse_change()?;
        let config = Config::load(state)?.anchored(anchor);
        let mut registry = Registry::new();
        let mut fault = None;
        let (ledger, opening) = Ledger::open(state, ledger_options(&config), &mut |event| {
            if fault.is_none() {
                fault = registry.apply(event).err();
            }
        })?;
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        let registry = Arc::new(RwLock::new(registry));
        let store = Arc::new(Store::open(state)?.asking(sandbox::is_open_for_writing));
        let settings = sandbox_settings(&config)?;
        let runtimes = settings.runtimes.clone();
        let router = Router::new(
            Arc::clone(&registry),
            Arc::clone(&store),
            ledger.clone(),
            settings,
            &config,
        );
        Ok(Self {
            state: state.to_owned(),
            registry,
            store,
            ledger,
            router,
            runtimes,
            opening,
            anchor: config.ledger.anchor_folder().map(Path::to_owned),
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
        let info = self.switch("enable", id, Registry::enable)?;
        self.router.forgive(id);
        Ok(info)
    }

    /// Switches a plugin off. Idempotent.
    ///
    /// # Errors
    /// When it is unknown or rejected; or the ledger is unavailable.
    pub fn disable_plugin(&self, id: &PluginId) -> Result<PluginInfo, Error> {
        self.switch("disable", id, Registry::disable)
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
    /// When the ledger cannot record what happens: then nothing is run, or nothing is answered.
    pub fn invoke(
        &self,
        plugin_id: &str,
        request: &Value,
        cancel: Option<&Cancel>,
    ) -> Result<Recorded<Outcome>, Error> {
        let call = Call::new(plugin_id, request, cancel);
        self.router.invoke(call).map_err(not_begun(plugin_id))
    }

    /// Asks several plugins, one after the other or all at once, inside one total time.
    ///
    /// Every step is a call of its own, with its own events. `cancel` lets another thread end the
    /// whole pipeline: the steps that run are ended, the others never start.
    ///
    /// # Errors
    /// When the pipeline itself is not valid, or the ledger cannot record what happens.
    pub fn invoke_pipeline(
        &self,
        policy: &PipelinePolicy,
        request: &Value,
        cancel: Option<&Cancel>,
    ) -> Result<PipelineResponse, Error> {
        self.router.pipeline(Pipeline {
            policy,
            request,
            cancel,
        })
    }
}

impl Gateway {
    /// Exports the proof of a run: its events, with proofs that they stand in the ledger, complete and in order. Where the settings ask for
    /// witnesses it waits for their cosignatures, as long as the settings say, and leaves without them then.
    ///
    /// # Errors
    /// When the run has no events, or the ledger is unavailable.
    pub fn export_proof(&self, run: &RunId) -> Result<ProofBundle, Error> {
        let extras = proof_extras(&self.state, &self.store, run)?;
        self.router
            .witnessed()
            .awaiting(|awaited| self.ledger.export_witnessed(run, extras, awaited))
    }
}

/// What an operator does beside the eight operations.
impl Gateway {
    /// As [`Self::invoke`], for somebody who looks at the plugin: what it reads in vain is named, which makes the call slower.
    pub(crate) fn invoke_naming_reads(
        &self,
        plugin_id: &str,
        request: &Value,
        cancel: Option<&Cancel>,
    ) -> Result<Recorded<Outcome>, Error> {
        let call = Call::new(plugin_id, request, cancel);
        let call = call.naming_reads();
        self.router.invoke(call).map_err(not_begun(plugin_id))
    }

    /// Asks a server for its tools, whatever its package pins. The result is what the server says.
    pub(crate) fn list_tools(
        &self,
        plugin_id: &str,
        request: &Value,
    ) -> Result<Recorded<Outcome>, Error> {
        let call = Call::new(plugin_id, request, None);
        let call = call.naming_reads().listing_tools();
        self.router.invoke(call).map_err(not_begun(plugin_id))
    }

    /// A router over the same state, as it would be on another host.
    #[cfg(test)]
    pub(crate) fn router_under(&self, settings: sandbox::Settings) -> Router {
        Router::new(
            Arc::clone(&self.registry),
            Arc::clone(&self.store),
            self.ledger.clone(),
            settings,
            &Config::default(),
        )
    }

    /// From now on processes are started before they are needed, as the settings say. For a gateway that stays.
    pub(crate) fn start_ahead(&self) {
        self.router.start_ahead();
    }

    pub(crate) fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Records a call as `overloaded` and answers so, without looking at it.
    pub(crate) fn overloaded(
        &self,
        plugin_id: &str,
        request: &Value,
        notes: &str,
    ) -> Result<Recorded<Outcome>, Error> {
        self.router
            .overloaded(Call::new(plugin_id, request, None), notes)
    }

    /// The same for every step of a pipeline.
    pub(crate) fn pipeline_overloaded(
        &self,
        policy: &PipelinePolicy,
        request: &Value,
        notes: &str,
    ) -> Result<PipelineResponse, Error> {
        let pipeline = Pipeline {
            policy,
            request,
            cancel: None,
        };
        self.router.pipeline_overloaded(pipeline, notes)
    }

    /// What was counted since the start, as OpenMetrics text.
    pub(crate) fn metrics(&self) -> String {
        self.router.metrics()
    }

    /// The sandbox's layers in force, or why no plugin is run here.
    pub(crate) fn isolation(&self) -> Result<Vec<Layer>, String> {
        self.router.isolation()
    }

    /// How the ledger stands with its witnesses.
    pub(crate) fn witnesses(&self) -> Standing {
        self.router.witnessed().standing()
    }

    /// The runtimes as plugins are run by them, each found where it was first asked for.
    pub(crate) fn runtimes(&self) -> &Runtimes {
        &self.runtimes
    }

    /// The folder of the ledger's anchor; none for the one inside the state.
    pub(crate) fn anchor(&self) -> Option<&Path> {
        self.anchor.as_deref()
    }

    /// How many events are durable.
    pub(crate) fn events(&self) -> u64 {
        self.ledger.head().size
    }

    /// How many events are durable, and those that follow, as they come.
    pub(crate) fn events_to_come(&self) -> (u64, ledger::Events) {
        self.ledger.to_come()
    }

    /// Signs a checkpoint over everything recorded so far; none where nothing is.
    pub(crate) fn checkpoint(&self) -> Result<Option<(Checkpoint, String)>, Error> {
        Ok(self.ledger.checkpoint()?)
    }

    /// Records the erasure, then removes what is kept of the requests and results of `run`.
    pub(crate) fn erase_evidence(&self, run: &RunId) -> Result<Erased, Error> {
        Ok(self.ledger.erase_evidence(run)?)
    }

    /// Records that a decision from outside was not carried out, and why. Both texts are cut to what a line of the ledger bears.
    pub(crate) fn record_refusal(
        &self,
        decision: &str,
        reason: &str,
    ) -> Result<RefusalRecorded, Error> {
        const DECISION_CHARS: usize = 200;
        const REASON_CHARS: usize = 2_000;
        let meta = [
            (meta::SUBJECT, meta::SUBJECT_DECISION.to_owned()),
            (meta::SUBJECT_DECISION, shown::cut(decision, DECISION_CHARS)),
            (meta::REASON, shown::cut(reason, REASON_CHARS)),
        ];
        let event = RegistryEvent {
            kind: EventKind::Error,
            plugin_id: None,
            meta: meta.map(|(name, value)| (name.to_owned(), value)).into(),
        };
        let recorded = self.ledger.record(event)?;
        let event_hash = recorded.event().event_hash;
        Ok(RefusalRecorded { event_hash })
    }

    /// Drops the lines of the events before `before` and records that.
    pub(crate) fn prune(&self, before: u64) -> Result<Dropped, Error> {
        Ok(self.ledger.prune(before)?)
    }

    /// Takes a plugin out of the registry. Its package leaves the store unless another plugin has the same, or requests are kept that
    /// could be replayed with it; returns whether it did.
    pub(crate) fn remove_plugin(&self, id: &PluginId) -> Result<bool, Error> {
        let mut registry = self.write();
        let change = registry.remove(id)?;
        let package = registry.get(id).map(|plugin| plugin.package_digest);
        let what = || format!("cannot remove '{id}'");
        self.carry_out(&mut registry, Some(id.clone()), change, what)?;
        let unused = package.filter(|package| !registry.uses(*package));
        unused
            .iter()
            .for_each(|package| self.router.let_go(package));
        let taken_out = match unused.filter(|_| !ledger::keeps_evidence(&self.state)) {
            Some(package) => self.store.remove_package(package)?,
            None => None,
        };
        // Nobody waits for the registry while the files are removed.
        drop(registry);
        Ok(taken_out.is_some())
    }

    pub(crate) fn trust_add(&self, key: &PublicKey, label: &str) -> Result<bool, Error> {
        let mut registry = self.write();
        let change = registry.trust_add(key, label)?;
        let what = || format!("cannot trust key {}", key.id());
        self.carry_out(&mut registry, None, change, what)
    }

    pub(crate) fn trust_remove(&self, key_id: KeyId) -> Result<bool, Error> {
        let mut registry = self.write();
        let change = registry.trust_remove(key_id)?;
        let what = || format!("cannot remove the trust in key {key_id}");
        self.carry_out(&mut registry, None, change, what)
    }

    /// Registers a package, and says why where it is rejected.
    pub(crate) fn register(
        &self,
        registration: Registration<'_>,
    ) -> Result<(PluginInfo, Option<Rejection>), Error> {
        self.register_telling(registration, &registry::untold)
    }

    /// The same; `tell` hears how far it is.
    pub(crate) fn register_telling(
        &self,
        registration: Registration<'_>,
        tell: &Tell<'_>,
    ) -> Result<(PluginInfo, Option<Rejection>), Error> {
        let package = Package::read_telling(registration.package, tell)?;
        let candidate = Candidate::of(&package)?;
        let signature = registration.signature.or(package.signature_bytes());
        let facts = candidate.facts(&package, signature, registration.replace);
        // A large package takes a while to keep; nobody waits for the registry meanwhile.
        let judged = self.read().judge_registration(facts);
        if matches!(judged, RegistrationDecision::Registered { .. }) {
            match self.store.put_package_telling(&package, tell) {
                // Where another plugin with the same package was removed in between, it is put in again below.
                Ok(_)
                | Err(registry::Error::PackageMissing(_) | registry::Error::Changed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut registry = self.write();
        let (meta, rejection) = match registry.judge_registration(facts) {
            RegistrationDecision::Refused(error) => return Err(error.into()),
            RegistrationDecision::Rejected { meta, reason } => (
                meta,
                Some(Rejection {
                    reason,
                    trust: candidate.fault.is_none(),
                }),
            ),
            RegistrationDecision::Registered { meta, .. } => {
                // Done already, but for a key that was trusted, or an id that came free, in between.
                self.store.put_package(&package)?;
                (meta, None)
            }
        };
        self.store.put_manifest(&candidate.canonical)?;
        let what = format!("cannot register '{}'", candidate.plugin_id);
        let before = registry.get(&candidate.plugin_id);
        let before = before.map(|plugin| plugin.package_digest);
        let event = RegistryEvent {
            kind: EventKind::Register,
            plugin_id: Some(candidate.plugin_id),
            meta,
        };
        let recorded = self.ledger.record(event);
        let recorded = recorded.map_err(|source| Error::NotRecorded { what, source })?;
        registry.apply(recorded.event())?;
        self.router.keep_up(&registry);
        let replaced = before.filter(|package| !registry.uses(*package));
        replaced
            .iter()
            .for_each(|package| self.router.let_go(package));
        Ok((registry::plugin_info(recorded.event())?, rejection))
    }

    fn switch(
        &self,
        verb: &str,
        id: &PluginId,
        judge: fn(&Registry, &PluginId) -> Result<Change, registry::Error>,
    ) -> Result<PluginInfo, Error> {
        let mut registry = self.write();
        let change = judge(&registry, id)?;
        let what = || format!("cannot {verb} '{id}'");
        self.carry_out(&mut registry, Some(id.clone()), change, what)?;
        let plugin = registry
            .get(id)
            .ok_or_else(|| registry::Error::PluginNotFound(id.clone()))?;
        Ok(plugin.info.clone())
    }

    /// Records a change and applies it to the registry; returns whether there was one. `what` says what is not done where that fails.
    fn carry_out(
        &self,
        registry: &mut Registry,
        plugin_id: Option<PluginId>,
        change: Change,
        what: impl FnOnce() -> String,
    ) -> Result<bool, Error> {
        let Change::Record { kind, meta } = change else {
            return Ok(false);
        };
        let event = RegistryEvent {
            kind,
            plugin_id,
            meta,
        };
        let recorded = self.ledger.record(event);
        let recorded = recorded.map_err(|source| Error::NotRecorded {
            what: what(),
            source,
        })?;
        registry.apply(recorded.event())?;
        self.router.keep_up(registry);
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

/// Says of a call that was not begun for lack of space that it was not.
fn not_begun(plugin_id: &str) -> impl FnOnce(Error) -> Error {
    const SHOWN_CHARS: usize = 80;
    move |error| {
        if let Error::Ledger(source @ ledger::Error::NoSpace { .. }) = error {
            let what = format!("cannot call '{}'", shown::cut(plugin_id, SHOWN_CHARS));
            Error::NotRecorded { what, source }
        } else {
            error
        }
    }
}

/// The operator's settings as the ledger takes them.
fn ledger_options(config: &Config) -> ledger::Options {
    let durability = match config.ledger.durability {
        Durability::Full => ledger::Durability::Full,
        Durability::Relaxed => ledger::Durability::Relaxed,
    };
    let anchor = config.ledger.anchor_folder();
    let mut options = ledger::Options::new(durability, anchor.map(Path::to_owned));
    options.origin = config.ledger.chosen_origin().map(str::to_owned);
    options.hashes = match config.ledger.hashes {
        Hashes::Plain => ledger::Hashes::Plain,
        Hashes::Salted => ledger::Hashes::Salted,
    };
    options
}
