//! Whether a node may answer calls: connected, vouched for, and with the newest decision. A client that is connected again has its
//! subscriptions back before the node has caught up, so that each call asks here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Shared by all that open and close it.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    vouched: AtomicBool,
    caught_up: AtomicBool,
    draining: AtomicBool,
    /// Counts the times that the connection was lost: what was learned before counts no more.
    losses: AtomicU64,
    /// When the stream of decisions was last heard of, in milliseconds since `begin`.
    heard_ms: AtomicU64,
    begin: Instant,
    cut_off: Duration,
    back: Notify,
}

impl Gate {
    pub(super) fn new(cut_off: Duration) -> Self {
        Self(Arc::new(Inner {
            vouched: AtomicBool::new(false),
            caught_up: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            losses: AtomicU64::new(0),
            heard_ms: AtomicU64::new(0),
            begin: Instant::now(),
            cut_off,
            back: Notify::new(),
        }))
    }

    /// Why no call is answered now; none where calls are.
    pub(super) fn closed(&self) -> Option<&'static str> {
        let is = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        let table = [
            (is(&self.0.draining), "this node is about to end"),
            (
                !is(&self.0.vouched),
                "the operator has not vouched for this node",
            ),
            (
                !is(&self.0.caught_up),
                "this node is catching up with the operator's decisions",
            ),
            (
                self.is_cut_off(),
                "this node has been cut off from the operator's decisions for too long",
            ),
        ];
        let why = table.into_iter().find(|(holds, _)| *holds);
        why.map(|(_, why)| why)
    }

    fn is_cut_off(&self) -> bool {
        let heard = Duration::from_millis(self.0.heard_ms.load(Ordering::SeqCst));
        self.0.begin.elapsed().saturating_sub(heard) > self.0.cut_off
    }

    pub(super) fn is_vouched(&self) -> bool {
        self.0.vouched.load(Ordering::SeqCst)
    }

    pub(super) fn vouched(&self, is: bool) {
        self.0.vouched.store(is, Ordering::SeqCst);
    }

    pub(super) fn drain(&self) {
        self.0.draining.store(true, Ordering::SeqCst);
    }

    /// The connection is lost.
    pub(super) fn lost(&self) {
        self.0.losses.fetch_add(1, Ordering::SeqCst);
        self.0.caught_up.store(false, Ordering::SeqCst);
    }

    /// The connection is there again.
    pub(super) fn back(&self) {
        self.0.back.notify_one();
    }

    pub(super) async fn until_back(&self) {
        self.0.back.notified().await;
    }

    /// Drawn before the stream is asked, and given back with what was learned.
    pub(super) fn losses(&self) -> u64 {
        self.0.losses.load(Ordering::SeqCst)
    }

    /// The newest decision is in force, as of a question that was asked after `losses`.
    pub(super) fn caught_up(&self, losses: u64, asked: Instant) {
        let at = asked.saturating_duration_since(self.0.begin).as_millis();
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        self.0.heard_ms.fetch_max(at, Ordering::SeqCst);
        self.0.caught_up.store(true, Ordering::SeqCst);
        if self.losses() != losses {
            self.0.caught_up.store(false, Ordering::SeqCst);
        }
    }

    /// A decision cannot be carried out now.
    pub(super) fn behind(&self) {
        self.0.caught_up.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_only_for_a_node_that_is_vouched_for_and_caught_up_since_the_last_loss() {
        let gate = Gate::new(Duration::from_secs(60));
        assert!(gate.closed().unwrap().contains("vouched"));
        gate.vouched(true);
        assert!(gate.closed().unwrap().contains("catching up"));
        let (before, asked) = (gate.losses(), Instant::now());
        gate.caught_up(before, asked);
        assert_eq!(gate.closed(), None);
        gate.lost();
        gate.back();
        assert!(gate.closed().unwrap().contains("catching up"));
        // What was asked before the connection was lost says nothing about now.
        gate.caught_up(before, asked);
        assert!(gate.closed().unwrap().contains("catching up"));
        gate.caught_up(gate.losses(), Instant::now());
        assert_eq!(gate.closed(), None);
        gate.drain();
        assert!(gate.closed().unwrap().contains("end"));
    }

    #[test]
    fn a_node_that_is_cut_off_for_too_long_stops() {
        let gate = Gate::new(Duration::ZERO);
        gate.vouched(true);
        let asked = Instant::now();
        std::thread::sleep(Duration::from_millis(5));
        gate.caught_up(gate.losses(), asked);
        assert!(gate.closed().unwrap().contains("cut off"));
    }
}
