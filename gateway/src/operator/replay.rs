//! Repeats a run's deterministic calls and compares the output hashes. The state is only read: the calls go the usual
//! way through a gateway in a throw-away state.

use std::collections::BTreeMap;
use std::path::Path;

use plugin_protocol::digest::{FileHash, ManifestHash, PackageDigest, PayloadHash};
use plugin_protocol::event::{Event, EventKind, meta};
use plugin_protocol::ids::{PluginId, RunId};
use plugin_protocol::json;
use plugin_protocol::manifest::DeterminismMode;
use plugin_protocol::payload::Payload;
use plugin_protocol::report::PluginStatus;
use serde::Serialize;
use serde_json::Value;

use super::harness::Harness;
use super::inventory::inventory;
use crate::error::{Error, chain};
use ledger::{self, Filter, REQUEST_LINK, Salt};
use registry::{Registry, Store};

/// The result.
#[derive(Debug, Serialize)]
pub(crate) struct Replay {
    pub(crate) run_id: RunId,
    /// Calls that gave the same output again.
    pub(crate) same: usize,
    /// Calls that did not.
    pub(crate) different: usize,
    /// Calls that were not made again.
    pub(crate) not_replayed: usize,
    pub(crate) calls: Vec<Replayed>,
}

/// One call.
#[derive(Debug, Serialize)]
pub(crate) struct Replayed {
    /// The index of the event by which it is known.
    pub(crate) index: u64,
    pub(crate) request_id: String,
    pub(crate) plugin_id: String,
    pub(crate) outcome: Comparison,
    /// The output's hash in the ledger, `""` where there is none.
    pub(crate) recorded: String,
    /// The output's hash this time, `""` where there is none.
    pub(crate) replayed: String,
    /// Why, unless it is the same.
    pub(crate) reason: String,
}

/// How a call compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Comparison {
    Same,
    Different,
    NotReplayed,
}

/// A call of the run as the ledger has it.
struct PastCall {
    index: u64,
    /// Its `INVOKE`, or the refusal where no plugin saw it.
    event: Event,
    closing: Option<Event>,
}

/// What is needed to judge the calls and to repeat them.
struct Stage<'a> {
    state: &'a Path,
    run: &'a RunId,
    registry: Registry,
    store: Store,
    erased: bool,
    /// The run's salt, where it has one.
    salt: Option<Salt>,
    harness: Option<Harness>,
    /// The plugins whose installation was tried; where it failed, why.
    installed: BTreeMap<PluginId, Result<(), String>>,
}

/// Repeats those calls of `run` that can be repeated.
///
/// # Errors
/// When the run has no events, or the state cannot be read. A call that cannot be repeated is no error: it is part of the answer.
pub(crate) fn replay(state: &Path, run: &RunId) -> Result<Replay, Error> {
    // Half of a run would look like all of it.
    if let Some(pruned) = ledger::pruned_of_run(state, run)? {
        return Err(Error::Ledger(ledger::Error::RunPruned {
            run: run.to_string(),
            before: pruned.before,
        }));
    }
    let recorded = calls(state, run)?;
    let mut stage = Stage {
        state,
        run,
        registry: inventory(state)?,
        store: Store::open(state)?,
        erased: ledger::was_erased(state, run)?,
        salt: ledger::salt_of(state, run)?,
        harness: None,
        installed: BTreeMap::new(),
    };
    let calls = recorded
        .iter()
        .map(|call| stage.replay(call))
        .collect::<Result<Vec<_>, _>>()?;
    let count = |verdict| calls.iter().filter(|call| call.outcome == verdict).count();
    Ok(Replay {
        run_id: run.clone(),
        same: count(Comparison::Same),
        different: count(Comparison::Different),
        not_replayed: count(Comparison::NotReplayed),
        calls,
    })
}

/// The run's calls, each with the event that closes it.
fn calls(state: &Path, run: &RunId) -> Result<Vec<PastCall>, Error> {
    let filter = Filter {
        run: Some(run.clone()),
        ..Filter::default()
    };
    let mut calls: Vec<PastCall> = Vec::new();
    let mut open = BTreeMap::new();
    let mut events = 0;
    for stored in ledger::query(state, &filter)? {
        let ledger::Stored { index, event, .. } = stored?;
        events += 1;
        match event.kind {
            EventKind::Invoke => {
                open.insert(event.event_id.to_string(), calls.len());
            }
            EventKind::Result | EventKind::Reject | EventKind::Error => {
                let closes = event.meta.get(meta::INVOKE).and_then(|name| open.get(name));
                if let Some(call) = closes.and_then(|at| calls.get_mut(*at)) {
                    call.closing = Some(event);
                    continue;
                }
            }
            EventKind::Register
            | EventKind::Enable
            | EventKind::Disable
            | EventKind::ProofExport => continue,
        }
        calls.push(PastCall {
            index,
            event,
            closing: None,
        });
    }
    if events == 0 {
        return Err(Error::Ledger(ledger::Error::NoSuchRun {
            run: run.to_string(),
        }));
    }
    Ok(calls)
}

impl Stage<'_> {
    fn replay(&mut self, call: &PastCall) -> Result<Replayed, Error> {
        let recorded = call.closing.as_ref().and_then(|event| event.output_hash);
        let (outcome, output, reason) = match self.request(call)? {
            Err(reason) => (Comparison::NotReplayed, None, reason),
            Ok((plugin_id, request)) => {
                let salt = self.salt.clone().filter(|_| ledger::is_salted(&call.event));
                self.again(&plugin_id, &request, recorded, salt.as_ref())?
            }
        };
        let text =
            |hash: Option<PayloadHash>| hash.map(|hash| hash.to_string()).unwrap_or_default();
        Ok(Replayed {
            index: call.index,
            request_id: (call.event.request_id.as_ref())
                .map(ToString::to_string)
                .unwrap_or_default(),
            plugin_id: (call.event.plugin_id.as_ref())
                .map(ToString::to_string)
                .unwrap_or_default(),
            outcome,
            recorded: text(recorded),
            replayed: text(output),
            reason,
        })
    }

    /// The request of a call that can be made again, or why it cannot.
    fn request(&self, call: &PastCall) -> Result<Result<(PluginId, Value), String>, Error> {
        let event = &call.event;
        let (EventKind::Invoke, Some(plugin_id)) = (event.kind, event.plugin_id.clone()) else {
            return Ok(Err("it was refused before a plugin saw it".to_owned()));
        };
        let closing = call.closing.as_ref();
        if closing.is_none_or(|closing| closing.output_hash.is_none()) {
            let status = closing.and_then(|closing| closing.meta.get(meta::STATUS));
            let status = status.map_or("an unknown outcome", String::as_str);
            return Ok(Err(format!(
                "it ended as {status}, without a result to compare with"
            )));
        }
        if let Some(reason) = self.not_the_same_plugin(&plugin_id, event)? {
            return Ok(Err(reason));
        }
        Ok(self.kept(event)?.map(|request| (plugin_id, request)))
    }

    /// Why the plugin cannot be expected to give the same result, or is not the one that answered.
    fn not_the_same_plugin(
        &self,
        plugin_id: &PluginId,
        event: &Event,
    ) -> Result<Option<String>, Error> {
        let fact = |name: &str| event.meta.get(name).map_or("", String::as_str);
        let Ok(manifest_hash) = ManifestHash::parse(fact(meta::MANIFEST_HASH)) else {
            return Ok(Some("its event does not name the manifest".to_owned()));
        };
        let (_, manifest) = validator::check_manifest(&self.store.manifest(manifest_hash)?);
        let mode = manifest.map(|manifest| manifest.determinism.mode);
        if mode != Some(DeterminismMode::Deterministic) {
            return Ok(Some("the plugin is not deterministic".to_owned()));
        }
        let Some(plugin) = self.registry.get(plugin_id) else {
            return Ok(Some("the plugin is no longer registered".to_owned()));
        };
        if PackageDigest::parse(fact(meta::PACKAGE_DIGEST)) != Ok(plugin.package_digest) {
            let version = &plugin.info.version;
            return Ok(Some(format!(
                "another package of the plugin is registered now, version {version}"
            )));
        }
        Ok((plugin.info.status != PluginStatus::Enabled)
            .then(|| "the plugin is not enabled".to_owned()))
    }

    /// The whole request as it was kept, or why it is not there.
    fn kept(&self, event: &Event) -> Result<Result<Value, String>, Error> {
        let link = event.meta.get(REQUEST_LINK.evidence);
        let Some(hash) = link.and_then(|hash| FileHash::parse(hash).ok()) else {
            let reason =
                "its request was not kept: the manifest's evidence.log_level is not `full`";
            return Ok(Err(reason.to_owned()));
        };
        if event.meta.contains_key(REQUEST_LINK.redacted) {
            return Ok(Err("its request was kept with redactions".to_owned()));
        }
        let salted = ledger::is_salted(event);
        let salt = self.salt.as_ref().filter(|salt| salt.is_of(event));
        if salted && salt.is_none() {
            return Ok(Err(
                "its hashes are salted, and the salt was erased: nothing can be compared"
                    .to_owned(),
            ));
        }
        let bytes = match ledger::kept_evidence(self.state, self.run, &hash, salt) {
            Ok(Some(bytes)) => bytes,
            Ok(None) if self.erased => return Ok(Err("its request was erased".to_owned())),
            Ok(None) => return Ok(Err("its request is missing from the evidence".to_owned())),
            Err(changed @ ledger::Error::EvidenceChanged { .. }) => {
                return Ok(Err(chain(&changed)));
            }
            Err(error) => return Err(error.into()),
        };
        let request = json::read(&bytes).unwrap_or_default();
        let payload = request.get("payload").cloned().unwrap_or_default();
        let hash = serde_json::from_value::<Payload>(payload)
            .map(|payload| payload.hash())
            .map(|hash| salt.map_or(hash, |salt| salt.payload(&hash)));
        Ok(match hash {
            Ok(hash) if Some(hash) == event.input_hash => Ok(request),
            Ok(_) | Err(_) => Err("what was kept is not the request of the event".to_owned()),
        })
    }

    fn again(
        &mut self,
        plugin_id: &PluginId,
        request: &Value,
        recorded: Option<PayloadHash>,
        salt: Option<&Salt>,
    ) -> Result<(Comparison, Option<PayloadHash>, String), Error> {
        let harness = match self.harness.take() {
            Some(harness) => harness,
            None => Harness::with_settings_of(self.state)?,
        };
        let harness = self.harness.insert(harness);
        if !self.installed.contains_key(plugin_id) {
            let digest = self
                .registry
                .get(plugin_id)
                .map(|plugin| plugin.package_digest);
            let done = match digest.map(|digest| self.store.open_package(digest)) {
                Some(Ok(package)) => harness.try_install(package.root())?.map(drop),
                Some(Err(error)) => Err(chain(&error)),
                None => Err("the plugin is no longer registered".to_owned()),
            };
            self.installed.insert(plugin_id.clone(), done);
        }
        if let Some(Err(reason)) = self.installed.get(plugin_id) {
            return Ok((Comparison::NotReplayed, None, reason.clone()));
        }
        let outcome = harness.invoke(plugin_id.as_str(), request, None)?;
        let response = &outcome.response;
        // As the event would have it.
        let output = response.evidence_hashes.output_hash;
        let output = output.map(|hash| salt.map_or(hash, |salt| salt.payload(&hash)));
        Ok(if outcome.report.is_none() {
            (Comparison::NotReplayed, None, response.notes.clone())
        } else if output == recorded {
            (Comparison::Same, output, String::new())
        } else if output.is_some() {
            let reason = "the same request gave another result";
            (Comparison::Different, output, reason.to_owned())
        } else {
            let reason = format!("it ended as {}: {}", response.status, response.notes);
            (Comparison::Different, None, reason)
        })
    }
}
