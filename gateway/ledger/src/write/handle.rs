//! The way to the writer: callers hand in a job and wait for its result. It never touches the disk.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use plugin_protocol::digest::FileHash;
use plugin_protocol::event::Event;
use plugin_protocol::ids::EventId;

use super::appended::Appended;
use super::desk::Desk;
use super::indexer::Indexer;
use super::pen::{Job, Pen, Shared};
use super::prune::Plan;
use super::writer::Writer;
use crate::disk::{Boundary, Lock, Segment};
use crate::error::Error;
use crate::line::Draft;
use crate::options::Options;
use crate::proof::{Exported, RunSoFar};
use crate::tree::Checkpoint;

/// The running writer. When it is dropped the writer finishes what it has, and lets go of the lock.
#[derive(Debug)]
pub(crate) struct WriterHandle {
    desk: Arc<Desk>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl WriterHandle {
    /// Starts the writer's thread and the indexer's. `closed` are the segments that no event is added to any more.
    pub(crate) fn start(
        writer: Writer,
        lock: Lock,
        options: &Options,
        closed: &[Segment],
    ) -> Result<Self, Error> {
        let layout = writer.layout().clone();
        let indexer = Indexer::start(&layout, Arc::clone(&options.disk), closed)?;
        let shared = Arc::new(Shared::new(&writer));
        let pen = Pen::new(writer, Arc::clone(&shared), options, indexer, lock);
        let desk = Arc::new(Desk::new(pen));
        let of_thread = Arc::clone(&desk);
        let started = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || of_thread.serve());
        let thread = started.map_err(Error::io("start the writer of", layout.state()))?;
        Ok(Self {
            desk,
            shared,
            thread: Some(thread),
        })
    }

    /// The end of the ledger: behind the last event that a caller may have been told of.
    pub(crate) fn end(&self) -> Boundary {
        self.shared.end()
    }

    /// How many events the newest checkpoint is over.
    pub(crate) fn signed(&self) -> u64 {
        self.shared.signed()
    }

    /// Records one event.
    pub(crate) fn append(&self, draft: Draft) -> Result<Appended, Error> {
        self.ask(|reply| Job::Append { draft, reply })
    }

    /// Hands one event in, and may write it itself; [`Self::wait`] has what came of it.
    pub(crate) fn append_here(
        &self,
        draft: Draft,
    ) -> Result<Receiver<Result<Appended, Error>>, Error> {
        self.hand_over(|reply| Job::Append { draft, reply }, Desk::hand_in)
    }

    /// Leaves one event to the thread; [`Self::wait`] has what came of it.
    pub(crate) fn append_later(
        &self,
        draft: Draft,
    ) -> Result<Receiver<Result<Appended, Error>>, Error> {
        self.hand_over(|reply| Job::Append { draft, reply }, Desk::leave_to_thread)
    }

    /// Signs a checkpoint over all events; none for a ledger without events.
    pub(crate) fn checkpoint(&self) -> Result<Option<(Checkpoint, String)>, Error> {
        self.ask(|reply| Job::Checkpoint { reply })
    }

    /// Records the export of a run, and signs a checkpoint over it.
    pub(crate) fn export(
        &self,
        run: RunSoFar,
        proof_id: EventId,
        attachments: FileHash,
    ) -> Result<Exported, Error> {
        let run = Box::new(run);
        self.ask(|reply| Job::Export {
            run,
            proof_id,
            attachments,
            reply,
        })
    }

    /// Makes sure that the events before `before` may be dropped, and that nothing more is written among them.
    pub(crate) fn may_prune(&self, before: u64) -> Result<(), Error> {
        self.ask(|reply| Job::MayPrune { before, reply })
    }

    /// Records the pruning and drops the lines.
    pub(crate) fn prune(&self, plan: Plan) -> Result<Option<Event>, Error> {
        let plan = Box::new(plan);
        self.ask(|reply| Job::Prune { plan, reply })
    }

    /// Hands a job to the writer and waits for its result.
    fn ask<T>(&self, job: impl FnOnce(SyncSender<Result<T, Error>>) -> Job) -> Result<T, Error> {
        self.wait(self.hand_over(job, Desk::hand_in)?)
    }

    fn hand_over<T>(
        &self,
        job: impl FnOnce(SyncSender<Result<T, Error>>) -> Job,
        way: fn(&Desk, Job) -> bool,
    ) -> Result<Receiver<Result<T, Error>>, Error> {
        let shared = &self.shared;
        if shared.is_poisoned() {
            return Err(shared.unavailable());
        }
        // The standard library's channel sleeps at once when it is empty. Crossbeam's would spin first, and since a sync takes far
        // longer than that, spinning would only take processor time from the plugins.
        let (reply, answer) = sync_channel(1);
        if !way(&self.desk, job(reply)) {
            return Err(shared.unavailable());
        }
        Ok(answer)
    }

    /// Waits for what came of a job that was handed over.
    pub(crate) fn wait<T>(&self, answer: Receiver<Result<T, Error>>) -> Result<T, Error> {
        answer
            .recv()
            .unwrap_or_else(|_| Err(self.shared.unavailable()))
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.desk.close();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has already shown itself as unavailable to every caller.
            drop(thread.join());
        }
    }
}
