//! The threads that run calls: one per call, started on demand and kept for a while when idle.
//!
//! The sessions bound the number of calls, and with it the number of threads. A thread that started a plugin
//! stays until the plugin is reaped, because a plugin is killed when the thread that started it ends.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// What a thread runs.
pub(super) type Work = Box<dyn FnOnce() + Send>;

/// How long a thread without work is kept.
const KEPT_IDLE: Duration = Duration::from_secs(10);

/// The stack of a call's thread, in bytes. Only the part that is used takes memory; the deepest use is
/// checking a value of 128 levels against a schema.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// The threads.
#[derive(Debug)]
pub(super) struct Crew {
    /// A channel without buffer: a job reaches a thread that is waiting, or nobody.
    hand_over: Sender<Work>,
    waiting: Receiver<Work>,
}

impl Crew {
    pub(super) fn new() -> Self {
        let (hand_over, waiting) = bounded(0);
        Self { hand_over, waiting }
    }

    /// Runs `job` on a thread of the crew.
    ///
    /// # Errors
    /// Returns the job when the system cannot start a thread.
    pub(super) fn run(&self, job: Work) -> Result<(), Work> {
        let job = match self.hand_over.try_send(job) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => job,
        };
        // The job is sent over a channel, so that it can be returned when no thread starts.
        let (first, take_first) = bounded::<Work>(1);
        let waiting = self.waiting.clone();
        let work = move || {
            let mut next = take_first.recv().ok();
            while let Some(job) = next {
                job();
                next = waiting.recv_timeout(KEPT_IDLE).ok();
            }
        };
        let started = std::thread::Builder::new()
            .name("call".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(work);
        match started {
            Ok(_) => first.send(job).map_err(|unsent| unsent.0),
            Err(_) => Err(job),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_side_by_side_and_threads_are_used_again() {
        let crew = Crew::new();
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
        let tell = meet.0.clone();
        let mut job: Work = Box::new(move || tell.send(std::thread::current().id()).unwrap());
        // A thread that has just ended its job takes a moment until it waits for the next.
        while let Err(TrySendError::Full(back)) = crew.hand_over.try_send(job) {
            job = back;
            std::thread::yield_now();
        }
        assert!(first.contains(&names(1)[0]));
    }
}
