//! What all sessions of one gateway share: the gateway, the count of calls in flight, and the switch that stops them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::crew::Crew;
use super::message::Id;
use super::session::Session;
use crate::api::Gateway;
use crate::config::Channel;
use sandbox::Cancel;

/// How many reasons to stop may queue; one that does not fit would change nothing.
const REASONS: usize = 64;

/// The most subscriptions at a time: each costs a thread that reads the ledger.
const MAX_SUBSCRIBERS: usize = 16;

/// The most switches that are kept for further calls: each holds a descriptor.
const CANCELS_KEPT: usize = 64;

/// Why the gateway stops.
#[derive(Debug)]
pub(super) enum StopReason {
    /// The host closed its end: no request will follow.
    EndOfInput,
    /// A session asked for it; it is answered last.
    Shutdown(Arc<Session>, Option<Id>),
    /// A signal asked for it.
    Signal(nix::sys::signal::Signal),
    /// The host no longer reads the answers.
    HostGone,
    /// The last call has ended.
    Idle,
}

/// What all sessions share.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) gateway: Arc<Gateway>,
    pub(super) state: PathBuf,
    pub(super) settings: Channel,
    /// How many calls the host may have in flight.
    pub(super) in_flight: usize,
    pub(super) crew: Crew,
    /// Switches of calls that have ended, which nobody threw and nobody can throw any more.
    cancels: Mutex<Vec<Cancel>>,
    /// Once thrown, no new call is accepted.
    pub(super) stop: Arc<Cancel>,
    /// Thrown when the last call has ended; those who follow the ledger then stop.
    pub(super) quiet: Cancel,
    reasons: Sender<StopReason>,
    busy: AtomicUsize,
    subscribers: AtomicUsize,
    sessions: Mutex<Vec<Weak<Session>>>,
}

/// A call in flight; the gateway does not exit while one exists.
#[derive(Debug)]
pub(super) struct Busy(Arc<Hub>);

/// One of the [`MAX_SUBSCRIBERS`] subscriptions.
#[derive(Debug)]
pub(super) struct Subscriber(Arc<Hub>);

impl Hub {
    pub(super) fn new(
        gateway: Gateway,
        state: &Path,
        settings: Channel,
        in_flight: usize,
    ) -> io::Result<(Arc<Self>, Receiver<StopReason>)> {
        let (reasons, taken) = bounded(REASONS);
        let hub = Self {
            gateway: Arc::new(gateway),
            state: state.to_owned(),
            settings,
            in_flight,
            crew: Crew::default(),
            cancels: Mutex::default(),
            stop: Arc::new(Cancel::new()?),
            quiet: Cancel::new()?,
            reasons,
            busy: AtomicUsize::new(0),
            subscribers: AtomicUsize::new(0),
            sessions: Mutex::default(),
        };
        Ok((Arc::new(hub), taken))
    }

    /// Says why the gateway should stop. A reason that finds the queue full is dropped: the gateway is stopping already.
    pub(super) fn tell(&self, reason: StopReason) {
        drop(self.reasons.try_send(reason));
    }

    pub(super) fn reasons(&self) -> Sender<StopReason> {
        self.reasons.clone()
    }

    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(self))
    }

    /// A switch that is not thrown, for one call.
    ///
    /// # Errors
    /// When the kernel has no descriptor to give.
    pub(super) fn cancel(&self) -> io::Result<Arc<Cancel>> {
        let kept = self.cancels().pop();
        kept.map_or_else(Cancel::new, Ok).map(Arc::new)
    }

    /// Keeps the switch of a call that has ended, unless it was thrown or somebody still holds it and may throw it.
    pub(super) fn keep(&self, cancel: Arc<Cancel>) {
        if let Some(cancel) = Arc::into_inner(cancel).filter(|cancel| !cancel.is_thrown()) {
            let mut kept = self.cancels();
            if kept.len() < CANCELS_KEPT {
                kept.push(cancel);
            }
        }
    }

    fn cancels(&self) -> MutexGuard<'_, Vec<Cancel>> {
        self.cancels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.busy.load(Ordering::SeqCst) == 0
    }

    pub(super) fn subscriber(self: &Arc<Self>) -> Option<Subscriber> {
        let more = |count: usize| (count < MAX_SUBSCRIBERS).then_some(count + 1);
        self.subscribers
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more)
            .ok()
            .map(|_| Subscriber(Arc::clone(self)))
    }

    pub(super) fn subscribers(&self) -> usize {
        self.subscribers.load(Ordering::SeqCst)
    }

    pub(super) fn enter(&self, session: &Arc<Session>) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|session| session.strong_count() > 0);
        sessions.push(Arc::downgrade(session));
    }

    /// The sessions that are open now.
    pub(super) fn sessions(&self) -> Vec<Arc<Session>> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.iter().filter_map(Weak::upgrade).collect()
    }

    /// Cancels every call in flight.
    pub(super) fn cancel_all(&self) {
        for session in self.sessions() {
            session.cancel_all();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.stop.is_thrown() {
            self.0.tell(StopReason::Idle);
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.subscribers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_used_again_only_where_nobody_threw_it_or_still_can() {
        let state = tempfile::tempdir().unwrap();
        ledger::init(state.path()).unwrap();
        let gateway = Gateway::open(state.path()).unwrap();
        let (hub, _) = Hub::new(gateway, state.path(), Channel::default(), 8).unwrap();
        let kept = |hub: &Hub| hub.cancels().len();
        hub.keep(hub.cancel().unwrap());
        assert_eq!(kept(&hub), 1);
        let again = hub.cancel().unwrap();
        assert_eq!(kept(&hub), 0);
        let in_flight = Arc::clone(&again);
        hub.keep(again);
        assert_eq!(kept(&hub), 0, "somebody may throw it yet");
        in_flight.cancel();
        hub.keep(in_flight);
        assert_eq!(kept(&hub), 0, "it was thrown");
        assert!(!hub.cancel().unwrap().is_thrown());
        for cancel in (0..CANCELS_KEPT * 2)
            .map(|_| hub.cancel().unwrap())
            .collect::<Vec<_>>()
        {
            hub.keep(cancel);
        }
        assert_eq!(kept(&hub), CANCELS_KEPT);
    }
}
