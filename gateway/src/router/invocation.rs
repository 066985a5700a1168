//! One invocation: check, wait for a place, write down, run, check again, write down, answer.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use plugin_protocol::ids::PluginId;
use plugin_protocol::message::Status;
use plugin_protocol::words;

use super::budget::Budget;
use super::exchange::{Call, Exchange};
use super::judge::{Judgement, judge};
use super::prepare::{Prepared, Shelf};
use super::record::{Invoke, Outcome, Place};
use super::refusal::{Turned, enabled, no_slot};
use super::slots::{Slot, Slots};
use crate::error::{Error, chain};
use crate::ledger::{Ledger, Recorded};
use crate::registry::{Registry, Store};
use crate::sandbox::{Job, Limits, Sandbox, Settings};
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

/// A call that may start: nothing is missing but the record.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pub(super) plugin_id: PluginId,
    pub(super) prepared: Arc<Prepared>,
    pub(super) admitted: Admitted,
    sandbox: &'a Sandbox<Recorded<Invoke>>,
    budget: Budget,
    _slot: Slot,
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
            Err(turned) => {
                exchange.input_hash = exchange.input_hash.or_else(|| exchange.payload_hash());
                self.turn_away(&exchange, turned)
            }
        }
    }

    /// Everything that must hold before a plugin sees a request, the cheapest first.
    fn ready(&self, exchange: &mut Exchange<'_>) -> Result<Ready<'_>, Turned> {
        let (plugin_id, digest) = {
            let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
            enabled(&registry, exchange.call.plugin_id)?
        };
        let prepared = self
            .shelf
            .take(&digest)
            .map_err(|error| Turned::new("package", chain(&error)))?;
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

    /// The sandbox, opened at the first call. Where a required layer is missing nothing is ever run.
    fn sandbox(&self) -> Result<&Sandbox<Recorded<Invoke>>, Turned> {
        if self.sandbox.get().is_none() {
            let opened = Sandbox::open(self.settings.clone())
                .map_err(|error| Turned::new("isolation", chain(&error)))?;
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
            attempt += 1;
        }
    }

    fn attempt(
        &self,
        exchange: &Exchange<'_>,
        ready: &Ready<'_>,
        attempt: u8,
    ) -> Result<Recorded<Outcome>, Error> {
        let permit = match self.permit(exchange, ready, attempt)? {
            Ok(permit) => permit,
            Err(turned) => return self.turn_away(exchange, turned),
        };
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

    /// Writes down that the plugin will see the request. The registry is held meanwhile, so that no
    /// `INVOKE` ever follows the event that took the plugin's permission away.
    fn permit(
        &self,
        exchange: &Exchange<'_>,
        ready: &Ready<'_>,
        attempt: u8,
    ) -> Result<Result<Recorded<Invoke>, Turned>, Error> {
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        match enabled(&registry, exchange.call.plugin_id) {
            Err(turned) => Ok(Err(turned)),
            Ok((_, digest)) if digest != ready.prepared.digest => {
                let notes = format!(
                    "plugin '{}' was {} any more when its turn came: it was replaced",
                    ready.plugin_id,
                    words::NOT_ENABLED
                );
                Ok(Err(Turned::new("not_enabled", notes)))
            }
            Ok(_) => Ok(Ok(self.ledger.record(exchange.intent(ready, attempt))?)),
        }
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
