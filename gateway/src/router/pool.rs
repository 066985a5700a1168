//! Processes that are started before there is a request for them: one thread starts, looks at and ends them. Each serves one call or none.
//!
//! Nobody waits for it but a change of the registry: that is acknowledged when nothing that it takes away waits any more.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use plugin_protocol::digest::PackageDigest;
use plugin_protocol::ids::PluginId;

use super::discarded::Discarded;
use super::prepare::{Prepared, Shelf, Taken};
use super::record::Invoke;
use super::refusal::enabled;
use super::settings::DenialRules;
use super::slots::Slots;
use super::stock::{Rules, Stocks};
use crate::config::PoolSize;
use crate::error::Error;
use ledger::{Ledger, Recorded};
use registry::Registry;
use sandbox::{Sandbox, Standing, Started};

/// Time between two looks at those that wait: how late it may be known that one has ended. A call looks by itself.
const LOOK: Duration = Duration::from_secs(1);

/// How long the start of one may take. Whoever changes the registry may wait so long for it.
const START_TIME: Duration = Duration::from_secs(5);

/// A process that waits for its request.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) started: Started<Recorded<Invoke>>,
    /// The package as it was before the start.
    pub(super) taken: Taken,
}

/// What the pool needs of the router.
#[derive(Debug)]
pub(super) struct Means {
    pub(super) sandbox: Arc<OnceLock<Sandbox<Recorded<Invoke>>>>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) ledger: Ledger,
    pub(super) slots: Slots,
    pub(super) slots_max: usize,
    pub(super) denials: Arc<DenialRules>,
}

/// What waits at this moment, and what was discarded so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    /// Processes that wait.
    pub(crate) waiting: usize,
    /// The most memory in bytes that they may hold.
    pub(crate) bytes: u64,
    /// Those that were discarded for what they did before their request.
    pub(crate) discarded: u64,
}

/// The processes that wait. They are ended when it is dropped.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A call that is counted; it ends when dropped.
#[derive(Debug)]
pub(super) struct Use<'a> {
    pool: &'a Pool,
    plugin: PluginId,
}

#[derive(Debug)]
struct Shared {
    means: Means,
    rules: Rules,
    state: Mutex<State>,
    /// There is something to do for the thread.
    work: Condvar,
    /// What was being started is there, or is gone.
    settled: Condvar,
}

#[derive(Debug)]
struct State {
    stocks: Stocks<Ahead>,
    /// Of which plugin one is being started.
    starting: Option<(PluginId, PackageDigest)>,
    /// Those that a call found in no state to be asked.
    spoilt: Vec<(PluginId, PackageDigest, Ahead)>,
    looked: Instant,
    discarded: u64,
    over: bool,
}

impl Pool {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn open(means: Means, rules: Rules) -> std::io::Result<Self> {
        let state = State {
            stocks: Stocks::new(rules),
            starting: None,
            spoilt: Vec::new(),
            looked: Instant::now(),
            discarded: 0,
            over: false,
        };
        let shared = Arc::new(Shared {
            means,
            rules,
            state: Mutex::new(state),
            work: Condvar::new(),
            settled: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        // Not of a lower priority itself: it holds locks that calls need, and would hold them for as long as others have the processors. What it
        // starts is, as soon as it has begun.
        let thread = std::thread::Builder::new()
            .name("plugin-pool".to_owned())
            .spawn(move || own.work())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// A call of this package begins.
    pub(super) fn begin(&self, plugin: &PluginId, prepared: &Prepared) -> Use<'_> {
        let now = Instant::now();
        let mut state = self.shared.lock();
        state.stocks.know(
            plugin,
            prepared.digest,
            prepared.manifest.limits.memory_bytes(),
            now,
        );
        state.stocks.begin(plugin, now);
        Use {
            pool: self,
            plugin: plugin.clone(),
        }
    }

    /// Keeps some ready of a plugin that was not called yet, where the operator named a number.
    fn expect(&self, plugin: &PluginId, digest: PackageDigest) {
        // How much one may hold is known when the first is there.
        let mut state = self.shared.lock();
        state.stocks.know(plugin, digest, 0, Instant::now());
        self.shared.work.notify_one();
    }

    /// A process of this package that waits for a request, if there is one.
    pub(super) fn take(&self, plugin: &PluginId, digest: PackageDigest) -> Option<Ahead> {
        loop {
            let ahead = self.shared.lock().stocks.take(plugin, digest)?;
            if matches!(ahead.started.standing(), Ok(Standing::Waits)) {
                return Some(ahead);
            }
            // Ended elsewhere: this call has no time for it.
            let mut state = self.shared.lock();
            state.spoilt.push((plugin.clone(), digest, ahead));
            self.shared.work.notify_one();
        }
    }

    /// Lets a plugin have some again: an operator enabled or replaced it.
    pub(super) fn forgive(&self, plugin: &PluginId) {
        self.shared.lock().stocks.forgive(plugin);
    }

    /// Ends what waits of plugins that may not be called any more, or not in that version, and returns when all of it is gone.
    pub(super) fn keep_up(&self, registry: &Registry) {
        self.retain(|plugin, package| {
            enabled(registry, plugin.as_str()).is_ok_and(|(_, it)| it.package_digest == package)
        });
        if let PoolSize::Fixed(_) = self.shared.rules.size {
            for plugin in registry.list() {
                if let Ok((id, plugin)) = enabled(registry, plugin.plugin_id.as_str()) {
                    self.expect(&id, plugin.package_digest);
                }
            }
        }
    }

    fn retain(&self, stays: impl Fn(&PluginId, PackageDigest) -> bool) {
        let mut state = self.shared.lock();
        let gone = state.stocks.retain(&stays);
        let is_started = |state: &mut State| {
            let starting = state.starting.as_ref();
            starting.is_some_and(|(plugin, digest)| !stays(plugin, *digest))
        };
        let waited = self.shared.settled.wait_while(state, is_started);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let spoilt: Vec<_> = state
            .spoilt
            .extract_if(.., |(plugin, digest, _)| !stays(plugin, *digest))
            .collect();
        drop(state);
        // Not under the lock, because this waits until they have ended.
        drop((gone, spoilt));
    }

    /// What waits, and what was discarded.
    pub(super) fn held(&self) -> Held {
        let state = self.shared.lock();
        Held {
            waiting: state.stocks.count(),
            bytes: state.stocks.held_bytes(),
            discarded: state.discarded,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // One that panicked has left its processes to the drop of what it shares.
            drop(thread.join());
        }
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let lacks = self
            .pool
            .shared
            .lock()
            .stocks
            .end(&self.plugin, Instant::now());
        if lacks {
            self.pool.shared.work.notify_one();
        }
    }
}

/// What the thread does next.
enum Next {
    /// Ends these: the first for what they did, the others because they are not wanted any more.
    End(Vec<(PluginId, PackageDigest, Ahead)>, Vec<Ahead>),
    Start(PluginId, PackageDigest),
    /// Nothing for now, or for good where there is no time.
    Wait(Option<Duration>),
    Over,
}

impl Shared {
    fn work(&self) {
        let mut state = self.lock();
        loop {
            match self.next(&mut state) {
                Next::Over => break,
                Next::Wait(None) => {
                    let waited = self.work.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
                Next::Wait(Some(time)) => {
                    let waited = self.work.wait_timeout(state, time);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Next::End(spoilt, old) => {
                    drop(state);
                    drop(old);
                    for (plugin, digest, ahead) in spoilt {
                        self.discard(plugin, digest, ahead);
                    }
                    state = self.lock();
                }
                Next::Start(plugin, digest) => {
                    state.starting = Some((plugin.clone(), digest));
                    drop(state);
                    self.one_more(&plugin, digest);
                    state = self.lock();
                    state.starting = None;
                    self.settled.notify_all();
                }
            }
        }
        let rest = state.stocks.retain(|_, _| false);
        let spoilt = std::mem::take(&mut state.spoilt);
        drop(state);
        drop((rest, spoilt));
    }

    fn next(&self, state: &mut State) -> Next {
        if state.over {
            return Next::Over;
        }
        let now = Instant::now();
        let mut spoilt = std::mem::take(&mut state.spoilt);
        if now.saturating_duration_since(state.looked) >= LOOK {
            state.looked = now;
            let waits = |ahead: &Ahead| matches!(ahead.started.standing(), Ok(Standing::Waits));
            spoilt.extend(state.stocks.extract(|ahead| !waits(ahead)));
        }
        let old = state.stocks.old(now);
        if !(spoilt.is_empty() && old.is_empty()) {
            return Next::End(spoilt, old);
        }
        match state.stocks.lacking(now) {
            // Calls go first: while they keep all processors busy, what is started ahead would only take from them.
            Some((plugin, digest)) if self.means.slots.counts().0 < self.rules.processors => {
                Next::Start(plugin, digest)
            }
            Some(_) => Next::Wait(Some(LOOK)),
            None if state.stocks.count() > 0 => Next::Wait(Some(LOOK)),
            None => Next::Wait(None),
        }
    }

    /// Starts one more, and keeps it where it is still wanted then.
    fn one_more(&self, plugin: &PluginId, digest: PackageDigest) {
        let ahead = match self.start(plugin, digest) {
            Ok(Some(ahead)) => ahead,
            Ok(None) => return self.lock().stocks.rest(plugin, Instant::now()),
            Err(error) => {
                tracing::warn!(plugin = plugin.as_str(), %error, "nothing could be started ahead of its call");
                return self.lock().stocks.rest(plugin, Instant::now());
            }
        };
        let bytes = ahead.started.memory_bytes();
        let now = Instant::now();
        let kept = self.lock().stocks.put(plugin, digest, ahead, bytes, now);
        // Before anybody is told that nothing is being started any more.
        drop(kept);
    }

    /// None where that is not possible now, and where calls might need what it would take.
    fn start(&self, plugin: &PluginId, digest: PackageDigest) -> Result<Option<Ahead>, Error> {
        let Means {
            sandbox,
            shelf,
            slots_max,
            denials,
            ..
        } = &self.means;
        let Some(sandbox) = sandbox.get() else {
            return Ok(None);
        };
        let left = sandbox.identities_left();
        if left.is_some_and(|left| left <= *slots_max) {
            return Ok(None);
        }
        let taken = shelf.take(&digest)?;
        let prepared = &taken.prepared;
        let setup = prepared.setup(
            Duration::from_millis(prepared.manifest.limits.call_ms()),
            denials.when_refused(plugin),
            prepared.looks.begin(),
        );
        let started = sandbox.start_ahead(&setup, Instant::now() + START_TIME)?;
        // One that could not be started in time holds nothing.
        Ok((started.memory_bytes() > 0).then_some(Ahead { started, taken }))
    }

    /// Ends one that cannot be asked any more. Where that is its own doing, it is recorded, and nothing more is started of its plugin.
    fn discard(&self, plugin: PluginId, digest: PackageDigest, ahead: Ahead) {
        let standing = match ahead.started.standing() {
            Ok(standing) => standing,
            Err(error) => {
                tracing::error!(%error, "a process that waits cannot be looked at");
                return;
            }
        };
        let report = match ahead.started.end() {
            Ok(Some(report)) => report,
            // It went with its launcher.
            Ok(None) | Err(sandbox::Error::LauncherGone) => return,
            Err(error) => {
                tracing::error!(%error, "a process that waited could not be ended in good order");
                return;
            }
        };
        if matches!(standing, Standing::Lost | Standing::Waits) {
            return;
        }
        let gone = {
            let mut state = self.lock();
            state.discarded += 1;
            state.stocks.close(&plugin, digest)
        };
        drop(gone);
        let discarded = Discarded::new(plugin, digest, standing, report);
        tracing::warn!(
            plugin = discarded.plugin().as_str(),
            reason = discarded.reason(),
            "a process was discarded before it had a request"
        );
        if let Err(error) = self.means.ledger.record(discarded) {
            tracing::error!(%error, "that a process was discarded could not be recorded");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
