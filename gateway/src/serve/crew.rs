//! The threads that run calls: one per call, started on demand and kept for a while when idle.
//!
//! The sessions bound the number of calls, and with it the number of threads. A thread that started a plugin
//! stays until the plugin is reaped, because a plugin is killed when the thread that started it ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a thread runs.
pub(super) type Work = Box<dyn FnOnce() + Send>;

/// How long a thread without work is kept.
const KEPT_IDLE: Duration = Duration::from_secs(10);

/// The stack of a call's thread, in bytes. Only the part that is used takes memory; the deepest use is
/// checking a value of 128 levels against a schema.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// The threads.
#[derive(Debug, Default)]
pub(super) struct Crew {
    idle: Arc<Idle>,
}

/// The threads that wait for work. The one that became idle last is taken first: its stack is still in the processor's cache, and the
/// others may end.
#[derive(Debug, Default)]
struct Idle {
    hands: Mutex<Vec<Hand>>,
    /// How many threads were started, which is how they are told apart.
    started: AtomicUsize,
}

/// A thread that waits for the one piece of work that it will be given.
#[derive(Debug, Clone)]
pub(super) struct Hand {
    // The standard library's channel sleeps at once when it is empty; Crossbeam's would yield the processor a few times first.
    work: SyncSender<Work>,
    number: usize,
}

impl Crew {
    /// A thread that waits for work, or a new one; none where the system cannot start one.
    pub(super) fn take(&self) -> Option<Hand> {
        let waiting = self.idle.hands().pop();
        waiting.or_else(|| self.start())
    }

    /// Runs `job` on a thread of the crew.
    ///
    /// # Errors
    /// Returns the job when the system cannot start a thread.
    pub(super) fn run(&self, job: Work) -> Result<(), Work> {
        match self.take() {
            Some(hand) => hand.give(job),
            None => Err(job),
        }
    }

    fn start(&self) -> Option<Hand> {
        let (give, given) = sync_channel(1);
        let number = self.idle.started.fetch_add(1, Ordering::Relaxed);
        let hand = Hand { work: give, number };
        let (idle, own) = (Arc::clone(&self.idle), hand.clone());
        let started = std::thread::Builder::new()
            .name("call".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || idle.work(&own, &given));
        started.ok().map(|_| hand)
    }
}

impl Hand {
    /// Gives the work, which the thread waits for.
    ///
    /// # Errors
    /// Returns it where the thread has ended, as none does that was taken.
    pub(super) fn give(self, work: Work) -> Result<(), Work> {
        self.work.send(work).map_err(|unsent| unsent.0)
    }
}

impl Idle {
    /// Works until there is nothing to do for a while.
    fn work(&self, own: &Hand, given: &Receiver<Work>) {
        let mut next = given.recv().ok();
        while let Some(job) = next {
            job();
            self.hands().push(own.clone());
            next = given.recv_timeout(KEPT_IDLE).ok().or_else(|| {
                // Whoever has taken it meanwhile gives it something.
                let is_taken = !self.leave(own);
                is_taken.then(|| given.recv().ok()).flatten()
            });
        }
    }

    /// Takes a thread out of those that wait; false where somebody took it.
    fn leave(&self, own: &Hand) -> bool {
        let mut hands = self.hands();
        let at = hands.iter().position(|hand| hand.number == own.number);
        at.map(|at| hands.remove(at)).is_some()
    }

    fn hands(&self) -> MutexGuard<'_, Vec<Hand>> {
        // A thread is put in or taken out in one step.
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;

    #[test]
    fn jobs_run_side_by_side_and_threads_are_used_again() {
        let crew = Crew::default();
        let (met, meet) = (bounded::<()>(0), bounded::<std::thread::ThreadId>(8));
        let names =
            |count: usize| -> Vec<_> { (0..count).map(|_| meet.1.recv().unwrap()).collect() };
        for _ in 0..4 {
            let (wait, tell) = (met.1.clone(), meet.0.clone());
            let job: Work = Box::new(move || {
                wait.recv().unwrap();
                tell.send(std::thread::current().id()).unwrap();
            });
            assert!(crew.run(job).is_ok());
        }
        for _ in 0..4 {
            // Each of them waits, so all four run at the same time.
            met.0.send(()).unwrap();
        }
        let first = names(4);
        // A thread that has just ended its job takes a moment until it waits for the next.
        while crew.idle.hands().len() < first.len() {
            std::thread::yield_now();
        }
        let tell = meet.0.clone();
        let job: Work = Box::new(move || tell.send(std::thread::current().id()).unwrap());
        assert!(crew.run(job).is_ok());
        assert!(first.contains(&names(1)[0]));
    }
}
