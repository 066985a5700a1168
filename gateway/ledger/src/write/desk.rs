//! Where jobs are handed in, and where the one pen lies. A caller who finds the pen free and nobody waiting writes for itself, which spares
//! it two hand-overs between threads; in every other case the writer's thread does all that waits. It never touches the disk.
//!
//! | pen | queue | something due | a caller | the thread |
//! |---|---|---|---|---|
//! | on the desk | empty | no | takes the pen and does its own job | sleeps until the next thing is due |
//! | on the desk | any | yes | hands its job in and waits | takes the pen and does what is due |
//! | on the desk | jobs | no | hands its job in and waits | takes the pen and does the jobs |
//! | with somebody | any | any | hands its job in and waits | waits until it is put back |
//!
//! Whoever puts the pen back wakes the thread where there is something for it to do. A caller who has something else to do meanwhile leaves
//! its job to the thread in any case.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::pen::{Batch, Job, Pen};

/// How many jobs may lie on the desk; further callers wait until there is room.
const JOBS: usize = 1_024;

/// The desk of one ledger.
#[derive(Debug)]
pub(crate) struct Desk {
    state: Mutex<State>,
    /// Where the thread sleeps.
    thread: Condvar,
    /// Where callers wait who found no room.
    room: Condvar,
}

#[derive(Debug)]
struct State {
    jobs: VecDeque<Job>,
    /// None while somebody writes, and for good once the ledger is closed or somebody failed to put it back.
    pen: Option<Box<Pen>>,
    /// When the thread is needed without any job.
    due: Option<Instant>,
    sleep: Sleep,
    waiting_for_room: usize,
    /// No further job will come.
    closing: bool,
    /// There is no pen any more.
    gone: bool,
}

/// Whether the thread sleeps, and until when it would by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sleep {
    Awake,
    Until(Instant),
    UntilWoken,
}

/// A turn with the pen, which is put back at its end. Where that is a panic's, what is on disk is not known, and nobody writes any more.
struct Turn<'a> {
    desk: &'a Desk,
    pen: Option<Box<Pen>>,
    is_over: bool,
}

impl Desk {
    pub(crate) fn new(pen: Pen) -> Self {
        let state = State {
            jobs: VecDeque::new(),
            due: pen.due(),
            pen: Some(Box::new(pen)),
            sleep: Sleep::Awake,
            waiting_for_room: 0,
            closing: false,
            gone: false,
        };
        Self {
            state: Mutex::new(state),
            thread: Condvar::new(),
            room: Condvar::new(),
        }
    }

    /// Has a job done: by the caller who has nothing else to do, or by the thread. Says whether there is anybody to do it.
    pub(crate) fn hand_in(&self, job: Job) -> bool {
        self.take_in(job, true)
    }

    /// Has a job done by the thread, while the caller does something else.
    pub(crate) fn leave_to_thread(&self, job: Job) -> bool {
        self.take_in(job, false)
    }

    fn take_in(&self, job: Job, by_caller: bool) -> bool {
        let mut state = self.lock();
        while state.jobs.len() >= JOBS && !state.gone {
            state.waiting_for_room += 1;
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting_for_room -= 1;
        }
        if state.gone {
            return false;
        }
        let nobody_waits = state.jobs.is_empty() && !state.is_due();
        match state.pen.take_if(|_| by_caller && nobody_waits) {
            Some(pen) => {
                drop(state);
                Turn::with(self, pen).take(|pen| pen.work(Batch::of(job)));
            }
            None => {
                state.jobs.push_back(job);
                self.leave(state);
            }
        }
        true
    }

    /// No further job will come: the thread does what is there, and ends.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        self.leave(state);
    }

    /// The thread's work, until the desk is closed.
    pub(crate) fn serve(&self) {
        loop {
            let Some((pen, batch)) = self.next_turn() else {
                return;
            };
            Turn::with(self, pen).take(|pen| match batch {
                Some(batch) => pen.work(batch),
                None => pen.do_what_is_due(),
            });
        }
    }

    /// Waits until there is something for the thread to do: jobs, or none where something is due. None at the end.
    fn next_turn(&self) -> Option<(Box<Pen>, Option<Batch>)> {
        let mut state = self.lock();
        loop {
            if state.gone {
                return None;
            }
            let (due, has_jobs) = (state.is_due(), !state.jobs.is_empty());
            if state.pen.is_some() && !due && !has_jobs && state.closing {
                state.gone = true;
                let pen = state.pen.take()?;
                drop(state);
                pen.finish();
                return None;
            }
            if (due || has_jobs)
                && let Some(pen) = state.pen.take()
            {
                // What is due comes first: a busy ledger signs its checkpoints all the same.
                let batch = (!due).then(|| Batch::take(&mut state.jobs));
                if state.waiting_for_room > 0 {
                    self.room.notify_all();
                }
                return Some((pen, batch));
            }
            state = self.sleep(state);
        }
    }

    fn sleep<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        // While somebody else has the pen nothing can be done, whatever is due.
        let due = state.due.filter(|_| state.pen.is_some());
        state.sleep = due.map_or(Sleep::UntilWoken, Sleep::Until);
        let mut state = match due {
            None => self
                .thread
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(due) => {
                let left = due.saturating_duration_since(Instant::now());
                let woken = self.thread.wait_timeout(state, left);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.sleep = Sleep::Awake;
        state
    }

    /// Lets go of the state, and wakes the thread if there is something that it would sleep through.
    fn leave(&self, mut state: MutexGuard<'_, State>) {
        let wake = state.is_slept_through();
        if wake {
            // So that it is woken once.
            state.sleep = Sleep::Awake;
        }
        // Before it is woken, or it would wait for this lock.
        drop(state);
        if wake {
            self.thread.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held but a failed allocation, and a job is put in or taken out in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    /// Whether there is something for the thread to do, or will be, before it wakes. While the pen is away there is nothing; whoever has it
    /// asks again.
    fn is_slept_through(&self) -> bool {
        let too_long = match (self.sleep, self.due) {
            (Sleep::Awake, _) => return false,
            (_, None) => false,
            (Sleep::Until(woken), Some(due)) => due < woken,
            (Sleep::UntilWoken, Some(_)) => true,
        };
        let is_there = self.pen.is_some() || self.gone;
        is_there && (too_long || !self.jobs.is_empty() || self.closing || self.gone)
    }
}

impl<'a> Turn<'a> {
    fn with(desk: &'a Desk, pen: Box<Pen>) -> Self {
        Self {
            desk,
            pen: Some(pen),
            is_over: false,
        }
    }

    fn take(mut self, what: impl FnOnce(&mut Pen)) {
        if let Some(pen) = self.pen.as_deref_mut() {
            what(pen);
        }
        self.is_over = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let pen = self.pen.take().filter(|_| self.is_over);
        let mut state = self.desk.lock();
        match pen {
            Some(pen) => {
                state.due = pen.due();
                state.pen = Some(pen);
            }
            None => {
                // Whoever waits for a reply is told by the end of its channel.
                state.gone = true;
                state.jobs.clear();
                self.desk.room.notify_all();
            }
        }
        self.desk.leave(state);
    }
}
