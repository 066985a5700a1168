//! One invocation: check the request, wait for a slot, record the `INVOKE`, run, check the answer, record the end, answer.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::Instant;

use plugin_protocol::digest::PackageDigest;
use plugin_protocol::event::meta;
use plugin_protocol::ids::PluginId;
use plugin_protocol::message::Receipt;
use plugin_protocol::words;

use super::breaker::{Breaker, Ending, Pass};
use super::budget::Budget;
use super::cause::Cause;
use super::evidence;
use super::exchange::{Call, Exchange};
use super::judge::{Judgement, judge};
use super::metrics::{Gauges, Metrics};
use super::pipeline::{StepThreads, overloaded};
use super::pool::{Ahead, Means, Pool, Use};
use super::prepare::{Prepared, Shelf, Taken};
use super::record::{CallIds, Invoke, Outcome, Unkept};
use super::refusal::{TurnedAway, circuit_fact, enabled, no_slot, not_ready, open_circuit};
use super::settings::DenialRules;
use super::slots::{Slot, Slots};
use super::stock::Rules;
use super::talk;
use super::witnessed::Witnessed;
use crate::config::{Config, PoolSize};
use crate::error::{Error, chain};
use ledger::{Ledger, Meanwhile, Record, Recorded, Recording};
use registry::{Registry, Store};
use sandbox::{Ask, Cancel, Layer, Sandbox, Settings, Started};
use validator::{self, Admitted};

/// Everything that a call passes through.
#[derive(Debug)]
pub(crate) struct Router {
    registry: Arc<RwLock<Registry>>,
    ledger: Ledger,
    settings: Settings,
    sandbox: Arc<OnceLock<Sandbox<Recorded<Invoke>>>>,
    slots: Slots,
    shelf: Arc<Shelf>,
    /// What waits for calls, where something does. It is ended before the sandbox goes.
    pool: OnceLock<Pool>,
    pool_rules: Rules,
    breaker: Breaker,
    metrics: Metrics,
    step_threads: StepThreads,
    slots_max: usize,
    waiting_at_most: usize,
    denials: Arc<DenialRules>,
    witnessed: Witnessed,
}

/// A call that may start as soon as its `INVOKE` is recorded.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pub(super) plugin_id: PluginId,
    pub(super) prepared: Arc<Prepared>,
    taken: Taken,
    pub(super) admitted: Admitted,
    sandbox: &'a Sandbox<Recorded<Invoke>>,
    budget: Budget,
    pass: Option<Pass<'a>>,
    _slot: Slot,
    /// Dropped when the slot is free again, so that what is started ahead comes after what waits for that.
    _use: Option<Use<'a>>,
}

/// A call whose `INVOKE` is being made durable, and the process that waited for it, if one did.
type Begun<'a> = (Recording<'a, Invoke>, Option<Ahead>);

/// How one attempt ended.
enum Attempt {
    /// The call was turned away before the plugin was started.
    TurnedAway(TurnedAway),
    /// The plugin ran; its end is not recorded yet.
    Ended(Box<Outcome>),
}

impl Router {
    pub(crate) fn new(
        registry: Arc<RwLock<Registry>>,
        store: Arc<Store>,
        ledger: Ledger,
        settings: Settings,
        config: &Config,
    ) -> Self {
        let (slots_max, waiting_at_most) = (config.calls_at_once, config.calls_waiting);
        Self {
            registry,
            witnessed: Witnessed::new(ledger.clone(), config.witness),
            ledger,
            settings,
            sandbox: Arc::default(),
            slots: Slots::new(slots_max, waiting_at_most),
            shelf: Arc::new(Shelf::new(store)),
            pool: OnceLock::new(),
            pool_rules: Rules {
                size: config.pool.size,
                memory_bytes: config.pool.memory_bytes(),
                processors: thread::available_parallelism().map_or(1, usize::from),
            },
            breaker: Breaker::new(config.circuit),
            metrics: Metrics::default(),
            step_threads: StepThreads::default(),
            slots_max,
            waiting_at_most,
            denials: Arc::new(DenialRules::of(config)),
        }
    }

    /// Takes one call from request to answer.
    ///
    /// # Errors
    /// When the ledger cannot record what happened: then there is no answer.
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

    /// Answers a call as `overloaded` without looking at it.
    ///
    /// # Errors
    /// When the ledger cannot record that.
    pub(crate) fn overloaded(
        &self,
        call: Call<'_>,
        notes: &str,
    ) -> Result<Recorded<Outcome>, Error> {
        self.refuse(call, overloaded(notes))
    }

    /// Answers a call without looking at it.
    pub(super) fn refuse(
        &self,
        call: Call<'_>,
        turned: TurnedAway,
    ) -> Result<Recorded<Outcome>, Error> {
        let mut exchange = Exchange::begin(call);
        exchange.input_hash = exchange.payload_hash();
        self.turn_away(&exchange, turned)
    }

    /// The same receipt with the checkpoint that is the newest now.
    pub(super) fn renewed(&self, receipt: Receipt) -> Receipt {
        self.ledger.renewed(receipt)
    }

    /// Forgets that a plugin failed: an operator enabled or replaced it.
    pub(crate) fn forgive(&self, plugin_id: &PluginId) {
        self.breaker.forget(plugin_id);
        if let Some(pool) = self.pool.get() {
            pool.forgive(plugin_id);
        }
    }

    /// From now on processes are started before they are needed, as the settings say.
    pub(crate) fn start_ahead(&self) {
        if self.pool_rules.size == PoolSize::Off {
            return;
        }
        // Where there is none, no plugin is run here.
        if !self.sandbox().is_ok_and(Sandbox::starts_ahead) {
            tracing::info!("nothing is started ahead of its call: no control group bounds it here");
            return;
        }
        let means = Means {
            sandbox: Arc::clone(&self.sandbox),
            shelf: Arc::clone(&self.shelf),
            ledger: self.ledger.clone(),
            slots: self.slots.clone(),
            slots_max: self.slots_max,
            denials: Arc::clone(&self.denials),
        };
        match Pool::open(means, self.pool_rules) {
            Ok(pool) => drop(self.pool.set(pool)),
            Err(error) => tracing::error!(%error, "nothing is started ahead of its call"),
        }
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        self.keep_up(&registry);
    }

    /// Ends what waits of plugins that may not be called any more, or not in that version, before the change of the registry that says so
    /// is acknowledged.
    pub(crate) fn keep_up(&self, registry: &Registry) {
        if let Some(pool) = self.pool.get() {
            pool.keep_up(registry);
        }
    }

    /// Lets go of what is kept ready of a package that no plugin is any more: its program in memory, and its launchers.
    pub(crate) fn let_go(&self, package: &PackageDigest) {
        let prepared = self.shelf.forget(package);
        if let (Some(prepared), Some(sandbox)) = (prepared, self.sandbox.get()) {
            sandbox.let_go(&prepared.root);
        }
    }

    /// What was counted since the start, as OpenMetrics text.
    pub(crate) fn metrics(&self) -> String {
        let (running, waiting) = self.slots.counts();
        self.metrics.counts().render(Some(Gauges {
            running,
            waiting,
            slots: self.slots_max,
            waiting_at_most: self.waiting_at_most,
            circuits_open: self.breaker.open_count(),
            packages_ready: self.shelf.len(),
            pool: self.pool.get().map(Pool::held).unwrap_or_default(),
            ledger_events: self.ledger.head().size,
        }))
    }

    /// The sandbox's layers in force, or why no plugin is run here.
    pub(crate) fn isolation(&self) -> Result<Vec<Layer>, String> {
        let sandbox = self.sandbox().map_err(|turned| turned.notes)?;
        let enforced = sandbox.protections().iter().filter(|row| row.enforced);
        Ok(enforced.map(|row| row.layer).collect())
    }

    /// How the ledger stands with its witnesses.
    pub(crate) fn witnessed(&self) -> &Witnessed {
        &self.witnessed
    }

    pub(super) fn step_threads(&self) -> &StepThreads {
        &self.step_threads
    }

    /// Checks everything that must hold before a plugin sees a request, the cheapest first.
    fn ready(&self, exchange: &mut Exchange<'_>) -> Result<Ready<'_>, TurnedAway> {
        let call = exchange.call;
        if call.cancel.is_some_and(Cancel::is_thrown) {
            return Err(TurnedAway::cancelled());
        }
        if call.within.is_some_and(|end| end <= exchange.start) {
            return Err(TurnedAway::too_late());
        }
        if let Some(turned) = self.witnessed.refusal() {
            return Err(turned);
        }
        let (plugin_id, digest) = {
            let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
            let (id, plugin) = enabled(&registry, exchange.call.plugin_id)?;
            (id, plugin.package_digest)
        };
        let taken = self
            .shelf
            .take(&digest)
            .map_err(|error| not_ready(&error))?;
        let prepared = Arc::clone(&taken.prepared);
        let admitted = if call.lists_tools {
            validator::admit_listing(call.request, &prepared.manifest)
        } else {
            validator::admit_value(call.request, &prepared.manifest, &prepared.schemas)
        };
        let admitted = admitted.map_err(|refusal| {
            exchange.input_hash = refusal.input_hash;
            TurnedAway {
                quotes: true,
                ..TurnedAway::new(Cause::Request, refusal.notes)
            }
        })?;
        exchange.input_hash = Some(admitted.input_hash());
        let sandbox = self.sandbox()?;
        sandbox
            .admit(&prepared.entry)
            .map_err(|error| TurnedAway::new(Cause::Isolation, chain(&error)))?;
        let limits = &prepared.manifest.limits;
        let budget = Budget::new(
            exchange.start,
            admitted.request().policy,
            limits,
            call.within,
        );
        let refused = |refused| open_circuit(&plugin_id, refused);
        self.breaker
            .check(&plugin_id, Instant::now())
            .map_err(refused)?;
        let at_once = usize::try_from(limits.max_concurrency).unwrap_or(usize::MAX);
        let slot = self
            .slots
            .take(&plugin_id, at_once, budget.end(), call.cancel)
            .map_err(|reason| no_slot(reason, self.waiting_at_most))?;
        // The circuit may have opened while the call waited.
        let pass = self
            .breaker
            .admit(&plugin_id, Instant::now())
            .map_err(refused)?;
        let pool = self.pool.get();
        let counted = pool.map(|pool| pool.begin(&plugin_id, &prepared));
        Ok(Ready {
            plugin_id,
            prepared,
            taken,
            admitted,
            sandbox,
            budget,
            pass: Some(pass),
            _slot: slot,
            _use: counted,
        })
    }

    /// The sandbox, opened at the first call. While a required layer is missing, no plugin is run.
    fn sandbox(&self) -> Result<&Sandbox<Recorded<Invoke>>, TurnedAway> {
        if self.sandbox.get().is_none() {
            let opened = Sandbox::open(self.settings.clone())
                .map_err(|error| TurnedAway::new(Cause::Isolation, chain(&error)))?;
            self.sandbox.get_or_init(|| opened);
        }
        self.sandbox
            .get()
            .ok_or_else(|| TurnedAway::new(Cause::Isolation, "the sandbox did not open".to_owned()))
    }

    fn attempts(
        &self,
        exchange: &Exchange<'_>,
        mut ready: Ready<'_>,
    ) -> Result<Recorded<Outcome>, Error> {
        let mut attempt = 1;
        loop {
            let mut outcome = match self.attempt(exchange, &ready, attempt)? {
                Attempt::TurnedAway(turned) => return self.turn_away(exchange, turned),
                Attempt::Ended(outcome) => outcome,
            };
            let (cause, status) = (outcome.cause, outcome.response.status);
            ready.prepared.looks.end(status);
            let again = cause != Cause::Cancelled && ready.budget.retry(status, Instant::now());
            if !again && let Some(pass) = ready.pass.take() {
                let change = pass.end(Ending::of(status, cause), Instant::now());
                outcome.meta.extend(change.map(circuit_fact));
            }
            let recorded = self.record_end(*outcome)?;
            if !again {
                return Ok(recorded);
            }
            attempt += 1;
        }
    }

    fn attempt(
        &self,
        exchange: &Exchange<'_>,
        ready: &Ready<'_>,
        attempt: u8,
    ) -> Result<Attempt, Error> {
        let begun = Instant::now();
        let (recording, ahead) = match self.begin(exchange, ready, attempt)? {
            Ok(begins) => begins,
            Err(turned) => return Ok(Attempt::TurnedAway(turned)),
        };
        let start = if ahead.is_some() {
            meta::START_WARM
        } else {
            meta::START_COLD
        };
        // Meanwhile the event that says so is made durable: a process has not seen its request before that.
        let (started, taken) = match ahead {
            Some(Ahead { started, taken }) => (Ok(started), taken),
            None => (self.start(exchange, ready), ready.taken.clone()),
        };
        // Where this fails the process is ended, and has seen nothing.
        let permit = recording.wait()?;
        self.metrics.recorded(begun.elapsed());
        let begun = Instant::now();
        let deadline = ready.budget.attempt_end(begun);
        let allowed = ready.prepared.allowed(
            deadline.saturating_duration_since(begun),
            ready.budget.attempt_set_by(begun),
        );
        let listener = talk::listener(ready.admitted.asked());
        let ask = Ask {
            input: ready.admitted.line(),
            deadline,
            cancel: exchange.call.cancel,
            listener: listener.as_deref(),
        };
        let (judgement, report) = match started.and_then(|started| started.feed(&permit, &ask)) {
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
                let judgement = if self.shelf.is_untouched(&taken) {
                    judge(&report, allowed, check)
                } else {
                    Judgement::touched()
                };
                (judgement, Some(report))
            }
            Err(error) => (Judgement::fault(&error), None),
        };
        let ids = CallIds {
            invoke: Some(permit.event().event_id),
            ..exchange.ids.clone()
        };
        let kept = judgement.result.as_ref().map(|result| {
            let manifest = &ready.prepared.manifest;
            evidence::of_result(&manifest.evidence, result, judgement.output_bytes)
        });
        let mut outcome = exchange.outcome(ids, judgement, report);
        outcome.kept = kept.unwrap_or_default();
        outcome.meta.extend([
            (meta::ATTEMPT.to_owned(), attempt.to_string()),
            (meta::START.to_owned(), start.to_owned()),
        ]);
        Ok(Attempt::Ended(Box::new(outcome)))
    }

    /// Hands over the record that the plugin will see the request, with a process that waits for one, if there is one. The registry's lock
    /// is held meanwhile, so that no `INVOKE` can follow the event that disabled or replaced the plugin: events are written in the order in
    /// which they are handed over. What is taken here was not ended with the others of its plugin, and so is none that should have been.
    fn begin(
        &self,
        exchange: &Exchange<'_>,
        ready: &Ready<'_>,
        attempt: u8,
    ) -> Result<Result<Begun<'_>, TurnedAway>, Error> {
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        match enabled(&registry, exchange.call.plugin_id) {
            Err(turned) => Ok(Err(turned)),
            Ok((_, plugin)) if plugin.package_digest != ready.prepared.digest => {
                let notes = format!(
                    "plugin '{}' is {} in the version that was called: it was replaced while the call waited",
                    ready.plugin_id,
                    words::NOT_ENABLED
                );
                Ok(Err(TurnedAway::new(Cause::NotEnabled, notes)))
            }
            Ok((_, plugin)) => {
                let ahead = self
                    .pool
                    .get()
                    .filter(|_| !self.is_looked_at(exchange, ready));
                let ahead =
                    ahead.and_then(|pool| pool.take(&ready.plugin_id, plugin.package_digest));
                // A process is started meanwhile, where none waits.
                let meanwhile = match ahead {
                    Some(_) => Meanwhile::Nothing,
                    None => Meanwhile::Something,
                };
                let intent = exchange.intent(ready, plugin.key_id, attempt);
                let recording = self.ledger.begin(intent, meanwhile)?;
                Ok(Ok((recording, ahead)))
            }
        }
    }

    /// Whether what the plugin reads in this call is to be named, and so its process to be started for that.
    fn is_looked_at(&self, exchange: &Exchange<'_>, ready: &Ready<'_>) -> bool {
        exchange.call.names_reads || ready.prepared.looks.is_suspect()
    }

    /// Starts the process of a call.
    fn start(
        &self,
        exchange: &Exchange<'_>,
        ready: &Ready<'_>,
    ) -> Result<Started<Recorded<Invoke>>, sandbox::Error> {
        let now = Instant::now();
        let until = ready.budget.attempt_end(now);
        let setup = ready.prepared.setup(
            until.saturating_duration_since(now),
            self.denials.when_refused(&ready.plugin_id),
            ready.prepared.looks.begin() || exchange.call.names_reads,
        );
        ready.sandbox.start(&setup, until)
    }

    fn turn_away(
        &self,
        exchange: &Exchange<'_>,
        turned: TurnedAway,
    ) -> Result<Recorded<Outcome>, Error> {
        let judgement = Judgement::without_result(turned.status, turned.cause, turned.notes)
            .quoting(turned.quotes);
        self.record_end(exchange.outcome(exchange.ids.clone(), judgement, None))
    }

    fn record_end(&self, outcome: Outcome) -> Result<Recorded<Outcome>, Error> {
        let unkept = Unkept::of(&outcome);
        let recorded = self.record(outcome).inspect_err(|_| {
            // Close the call all the same, if the ledger still can record it. The error tells the host why there is no answer.
            if let Some(unkept) = unkept {
                drop(self.record(unkept));
            }
        })?;
        self.metrics.ended(&recorded);
        Ok(recorded)
    }

    fn record<T: Record>(&self, value: T) -> Result<Recorded<T>, Error> {
        let begun = Instant::now();
        let recorded = self.ledger.record(value)?;
        self.metrics.recorded(begun.elapsed());
        Ok(recorded)
    }
}
