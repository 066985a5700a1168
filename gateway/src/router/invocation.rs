//! One invocation: check, wait for a place, write down, run, check again, write down, answer.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use plugin_protocol::digest::{PackageDigest, PayloadHash};
use plugin_protocol::ids::{PluginId, RequestId, RunId};
use plugin_protocol::message::{EvidenceHashes, Response, Status};
use plugin_protocol::report::PluginStatus;
use plugin_protocol::words;
use serde_json::Value;

use super::budget::Budget;
use super::judge::{Judgement, facts_of, judge};
use super::prepare::{Prepared, Shelf};
use super::record::{Invoke, Outcome, Place};
use super::slots::{MAX_WAITING, NoSlot, Slot, Slots};
use crate::error::Error;
use crate::ledger::{Ledger, Recorded};
use crate::registry::{Registry, Store};
use crate::sandbox::{Cancel, Job, Limits, Report, Sandbox, Settings};
use crate::validator::{self, Admitted};

/// Everything that a call passes through.
#[derive(Debug)]
pub(crate) struct Router {
    registry: Arc<RwLock<Registry>>,
    ledger: Ledger,
    settings: Settings,
    sandbox: OnceLock<Sandbox<Recorded<Invoke>>>,
    slots: Slots,
    shelf: Shelf,
}

/// One call as the host made it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) plugin_id: &'a str,
    pub(crate) request: &'a Value,
    pub(crate) cancel: Option<&'a Cancel>,
}

/// A call that is under way: who asked, when it came and what is known of it so far.
#[derive(Debug)]
struct Exchange<'a> {
    call: Call<'a>,
    start: Instant,
    place: Place,
    input_hash: Option<PayloadHash>,
}

/// A call that may start: nothing is missing but the record.
#[derive(Debug)]
struct Ready<'a> {
    plugin_id: PluginId,
    prepared: Arc<Prepared>,
    admitted: Admitted,
    sandbox: &'a Sandbox<Recorded<Invoke>>,
    budget: Budget,
    _slot: Slot,
}

/// Why a call is answered without starting anything.
#[derive(Debug)]
struct Turned {
    cause: &'static str,
    notes: String,
    /// Whether the notes may quote what the host sent, and so stay out of the ledger.
    quotes: bool,
}

impl Turned {
    fn new(cause: &'static str, notes: String) -> Self {
        Self {
            cause,
            notes,
            quotes: false,
        }
    }
}

impl Router {
    pub(crate) fn new(
        registry: Arc<RwLock<Registry>>,
        store: Arc<Store>,
        ledger: Ledger,
        settings: Settings,
        at_once: usize,
    ) -> Self {
        Self {
            registry,
            ledger,
            settings,
            sandbox: OnceLock::new(),
            slots: Slots::new(at_once),
            shelf: Shelf::new(store),
        }
    }

    /// Takes one call from request to answer.
    ///
    /// # Errors
    /// When the ledger cannot write down what happened: then there is no answer.
    pub(crate) fn invoke(&self, call: Call<'_>) -> Result<Recorded<Outcome>, Error> {
        let mut exchange = Exchange::begin(call);
        match self.ready(&mut exchange) {
            Ok(ready) => self.attempts(&exchange, ready),
            Err(turned) => self.turn_away(&exchange, turned),
        }
    }

    /// Everything that must hold before a plugin sees a request, the cheapest first.
    fn ready(&self, exchange: &mut Exchange<'_>) -> Result<Ready<'_>, Turned> {
        let (plugin_id, digest) = self.enabled(exchange.call.plugin_id)?;
        let prepared = self
            .shelf
            .take(&digest)
            .map_err(|error| Turned::new("package", crate::error::chain(&error)))?;
        let admitted =
            validator::admit_value(exchange.call.request, &prepared.manifest, &prepared.schemas)
                .map_err(|refusal| {
                    exchange.input_hash = refusal.input_hash;
                    Turned {
                        cause: "request",
                        notes: refusal.notes,
                        quotes: true,
                    }
                })?;
        exchange.input_hash = Some(admitted.input_hash());
        let sandbox = self.sandbox()?;
        let budget = Budget::new(
            exchange.start,
            admitted.request().policy,
            &prepared.manifest.limits,
        );
        let at_once =
            usize::try_from(prepared.manifest.limits.max_concurrency).unwrap_or(usize::MAX);
        let slot = self
            .slots
            .take(&plugin_id, at_once, budget.end())
            .map_err(no_slot)?;
        Ok(Ready {
            plugin_id,
            prepared,
            admitted,
            sandbox,
            budget,
            _slot: slot,
        })
    }

    /// The plugin's id and package, when it is known and enabled now.
    fn enabled(&self, plugin_id: &str) -> Result<(PluginId, PackageDigest), Turned> {
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        let found = PluginId::parse(plugin_id)
            .ok()
            .and_then(|id| registry.get(&id).map(|plugin| (id, plugin)));
        let Some((id, plugin)) = found else {
            let notes = format!(
                "plugin {} {}: register it first",
                shown(plugin_id),
                words::NOT_FOUND
            );
            return Err(Turned::new("not_found", notes));
        };
        match plugin.info.status {
            PluginStatus::Enabled => Ok((id, plugin.package_digest)),
            status @ (PluginStatus::Registered
            | PluginStatus::Disabled
            | PluginStatus::Rejected) => {
                let notes = format!(
                    "plugin '{id}' is {} ({})",
                    words::NOT_ENABLED,
                    status.as_str()
                );
                Err(Turned::new("not_enabled", notes))
            }
        }
    }

    /// The sandbox, opened at the first call. Where a required layer is missing nothing is ever run.
    fn sandbox(&self) -> Result<&Sandbox<Recorded<Invoke>>, Turned> {
        if self.sandbox.get().is_none() {
            let opened = Sandbox::open(self.settings.clone())
                .map_err(|error| Turned::new("isolation", crate::error::chain(&error)))?;
            self.sandbox.get_or_init(|| opened);
        }
        self.sandbox
            .get()
            .ok_or_else(|| Turned::new("isolation", "the sandbox did not open".to_owned()))
    }

    fn attempts(
        &self,
        exchange: &Exchange<'_>,
        mut ready: Ready<'_>,
    ) -> Result<Recorded<Outcome>, Error> {
        let mut attempt = 1;
        loop {
            let outcome = self.attempt(exchange, &ready, attempt)?;
            let given_up = outcome.cause == "cancelled";
            if given_up || !ready.budget.retry(outcome.response.status, Instant::now()) {
                return Ok(outcome);
            }
            // Trust may have been taken away while the last attempt ran.
            if let Err(turned) = self.enabled(exchange.call.plugin_id) {
                return self.turn_away(exchange, turned);
            }
            attempt += 1;
        }
    }

    fn attempt(
        &self,
        exchange: &Exchange<'_>,
        ready: &Ready<'_>,
        attempt: u8,
    ) -> Result<Recorded<Outcome>, Error> {
        let permit = self.ledger.record(exchange.intent(ready, attempt))?;
        let begun = Instant::now();
        let deadline = ready.budget.attempt_end(begun);
        let allowed = ready
            .prepared
            .allowed(deadline.saturating_duration_since(begun));
        let job = Job {
            entry: &ready.prepared.entry,
            package: &ready.prepared.root,
            input: ready.admitted.line(),
            deadline,
            limits: Limits {
                cpu: allowed.cpu,
                memory_bytes: allowed.memory_bytes,
                answer_bytes: usize::try_from(allowed.answer_bytes).unwrap_or(usize::MAX),
            },
            cancel: exchange.call.cancel,
        };
        let (judgement, report) = match ready.sandbox.run(&permit, &job) {
            Ok(report) => {
                let manifest = &ready.prepared.manifest;
                let check = |line: &[u8]| {
                    validator::check_answer(
                        line,
                        &ready.admitted,
                        manifest,
                        &ready.prepared.schemas,
                    )
                };
                (judge(&report, allowed, check), Some(report))
            }
            Err(error) => (Judgement::fault(&error), None),
        };
        let place = Place {
            invoke: Some(permit.event().event_id),
            ..exchange.place.clone()
        };
        let mut outcome = exchange.outcome(place, judgement, report);
        outcome
            .meta
            .insert("attempt".to_owned(), attempt.to_string());
        Ok(self.ledger.record(outcome)?)
    }

    fn turn_away(
        &self,
        exchange: &Exchange<'_>,
        turned: Turned,
    ) -> Result<Recorded<Outcome>, Error> {
        let judgement = Judgement::without_result(Status::Rejected, turned.cause, turned.notes)
            .quoting(turned.quotes);
        let outcome = exchange.outcome(exchange.place.clone(), judgement, None);
        Ok(self.ledger.record(outcome)?)
    }
}

impl<'a> Exchange<'a> {
    fn begin(call: Call<'a>) -> Self {
        let text = |name: &str| call.request.get(name).and_then(Value::as_str);
        let place = Place {
            // A request without a usable run still leaves a trace, in the gateway's own run.
            run_id: text("run_id")
                .and_then(|id| RunId::parse(id).ok())
                .unwrap_or_else(RunId::system),
            plugin_id: PluginId::parse(call.plugin_id).ok(),
            request_id: text("request_id").and_then(|id| RequestId::parse(id).ok()),
            invoke: None,
        };
        Self {
            call,
            start: Instant::now(),
            place,
            input_hash: None,
        }
    }

    fn intent(&self, ready: &Ready<'_>, attempt: u8) -> Invoke {
        let request = ready.admitted.request();
        Invoke {
            run_id: request.run_id.clone(),
            plugin_id: ready.plugin_id.clone(),
            request_id: request.request_id.clone(),
            input_hash: ready.admitted.input_hash(),
            manifest_hash: ready.prepared.manifest.hash(),
            package_digest: ready.prepared.digest,
            attempt,
        }
    }

    fn outcome(&self, place: Place, judgement: Judgement, report: Option<Report>) -> Outcome {
        let mut meta: BTreeMap<String, String> = report.as_ref().map(facts_of).unwrap_or_default();
        meta.extend(judgement.facts);
        meta.insert("cause".to_owned(), judgement.cause.to_owned());
        if !judgement.quotes {
            meta.insert("reason".to_owned(), judgement.notes.clone());
        }
        meta.values_mut().for_each(bound);
        let request_id = self
            .call
            .request
            .get("request_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let response = Response {
            request_id: request_id.to_owned(),
            plugin_id: self.call.plugin_id.to_owned(),
            status: judgement.status,
            result: judgement.result,
            evidence_hashes: EvidenceHashes {
                input_hash: self.input_hash,
                ..judgement.hashes
            },
            duration_ms: whole_ms(self.start.elapsed()),
            notes: judgement.notes,
        };
        Outcome {
            response,
            cause: judgement.cause,
            report,
            place,
            meta,
        }
    }
}

/// Keeps a fact of the ledger short, so that an event always fits in its line.
fn bound(fact: &mut String) {
    const FACT_CHARS: usize = 1_024;
    if let Some((end, _)) = fact.char_indices().nth(FACT_CHARS) {
        fact.truncate(end);
    }
}

fn no_slot(reason: NoSlot) -> Turned {
    let notes = match reason {
        NoSlot::LineFull => format!(
            "{}: {MAX_WAITING} calls are waiting already: try again later",
            words::OVERLOADED
        ),
        NoSlot::TooLate => format!(
            "{}: no place came free within the request's time: try again later, or allow more time",
            words::OVERLOADED
        ),
    };
    Turned::new("overloaded", notes)
}

/// A host's text fit to be shown: short, and without control characters.
fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    format!(
        "'{}'",
        text.chars()
            .take(SHOWN_CHARS)
            .flat_map(char::escape_default)
            .collect::<String>()
    )
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
