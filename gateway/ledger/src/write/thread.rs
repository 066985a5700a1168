//! The writer's thread: it takes the waiting jobs, batch by batch, and keeps the times for syncs and checkpoints.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use plugin_protocol::digest::FileHash;
use plugin_protocol::event::{Event, meta};
use plugin_protocol::ids::EventId;

use super::appended::Appended;
use super::indexer::Indexer;
use super::prune::Plan;
use super::writer::Writer;
use crate::disk::{Boundary, Lock};
use crate::error::Error;
use crate::line::Draft;
use crate::options::{Durability, Options};
use crate::proof::{Exported, RunSoFar};
use crate::tree::Checkpoint;

/// The most events that share one sync: bounds a batch's memory (at 65,535 bytes a line) and the wait of its first caller.
const BATCH_EVENTS: usize = 256;

/// How long a relaxed ledger may leave events unsynced.
const RELAXED_SYNC: Duration = Duration::from_millis(10);

/// What the writer shows to the callers.
#[derive(Debug)]
pub(crate) struct Shared {
    end: Mutex<Boundary>,
    /// How many events the newest checkpoint is over.
    signed: AtomicU64,
    cause: OnceLock<Arc<Error>>,
}

impl Shared {
    pub(crate) fn new(writer: &Writer) -> Self {
        Self {
            end: Mutex::new(writer.end()),
            signed: AtomicU64::new(writer.publisher.signed()),
            cause: OnceLock::new(),
        }
    }

    /// The end of what callers may have been told of.
    pub(crate) fn end(&self) -> Boundary {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn signed(&self) -> u64 {
        self.signed.load(Ordering::Relaxed)
    }

    /// Shows how far `writer` is.
    fn follow(&self, writer: &Writer) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = writer.end();
        self.signed
            .store(writer.publisher.signed(), Ordering::Relaxed);
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.cause.get().is_some()
    }

    pub(crate) fn unavailable(&self) -> Error {
        Error::Unavailable {
            cause: self.cause.get().cloned(),
        }
    }
}

/// What a caller asks of the writer.
#[derive(Debug)]
pub(crate) enum Job {
    /// Record this.
    Append {
        draft: Draft,
        reply: SyncSender<Result<Appended, Error>>,
    },
    /// Record the export of a run, and sign for it.
    Export {
        run: Box<RunSoFar>,
        proof_id: EventId,
        attachments: FileHash,
        reply: SyncSender<Result<Exported, Error>>,
    },
    /// Say whether the events before this may be dropped, and write nothing more among them.
    MayPrune {
        before: u64,
        reply: SyncSender<Result<(), Error>>,
    },
    /// Drop them.
    Prune {
        plan: Box<Plan>,
        reply: SyncSender<Result<Option<Event>, Error>>,
    },
    /// Sign for everything.
    Checkpoint {
        reply: SyncSender<Result<Option<(Checkpoint, String)>, Error>>,
    },
}

/// The writer and everything that lives as long as it does.
#[derive(Debug)]
pub(crate) struct WriterThread {
    writer: Writer,
    queue: Receiver<Job>,
    shared: Arc<Shared>,
    durability: Durability,
    checkpoint_events: u64,
    checkpoint_every: Duration,
    indexer: Indexer,
    #[expect(dead_code, reason = "held until the writer ends")]
    lock: Lock,
}

impl WriterThread {
    pub(crate) fn new(
        writer: Writer,
        queue: Receiver<Job>,
        shared: Arc<Shared>,
        options: &Options,
        indexer: Indexer,
        lock: Lock,
    ) -> Self {
        let &Options {
            durability,
            checkpoint_events,
            checkpoint_every,
            ..
        } = options;
        Self {
            writer,
            queue,
            shared,
            durability,
            checkpoint_events,
            checkpoint_every,
            indexer,
            lock,
        }
    }

    /// Works until the last caller is gone.
    pub(crate) fn run(mut self) {
        let mut sync_due: Option<Instant> = None;
        let mut checkpoint_due: Option<Instant> = None;
        loop {
            let due = sync_due.into_iter().chain(checkpoint_due).min();
            let first = match due {
                None => self
                    .queue
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => self
                    .queue
                    .recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match first {
                Ok(first) => self.work(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
            let now = Instant::now();
            if sync_due.is_some_and(|due| due <= now) {
                self.attempt(Writer::sync);
            }
            let full = self.writer.publisher.unpublished() >= self.checkpoint_events;
            if full || checkpoint_due.is_some_and(|due| due <= now) {
                checkpoint_due = None;
                self.attempt(|writer| writer.publish().map(drop));
            }
            let healthy = !self.shared.is_poisoned();
            let later = |pending: bool, due: Option<Instant>, wait| {
                (pending && healthy).then(|| due.unwrap_or(now + wait))
            };
            sync_due = later(
                self.writer.is_dirty(),
                sync_due.filter(|due| *due > now),
                RELAXED_SYNC,
            );
            checkpoint_due = later(
                self.writer.publisher.unpublished() > 0,
                checkpoint_due,
                self.checkpoint_every,
            );
        }
    }

    /// Ends in good order: all events are synced and signed for, and the reserve is given back.
    fn finish(mut self) {
        self.attempt(|writer| {
            writer.publish()?;
            writer.release()
        });
    }

    /// Does the first job and those that wait behind it.
    fn work(&mut self, first: Job) {
        let (mut drafts, mut replies) = (Vec::new(), Vec::new());
        let mut other = None;
        for job in std::iter::once(first).chain(self.queue.try_iter()) {
            match job {
                Job::Append { draft, reply } => {
                    drafts.push(self.marked(draft));
                    replies.push(reply);
                }
                Job::Export { .. }
                | Job::Checkpoint { .. }
                | Job::MayPrune { .. }
                | Job::Prune { .. } => other = Some(job),
            }
            if other.is_some() || drafts.len() == BATCH_EVENTS {
                break;
            }
        }
        if !drafts.is_empty() {
            self.batch(drafts, &replies);
        }
        match other {
            Some(Job::Export {
                run,
                proof_id,
                attachments,
                reply,
            }) => {
                let exported = self.guarded(|writer| export(writer, *run, &proof_id, &attachments));
                drop(reply.send(exported));
            }
            Some(Job::Checkpoint { reply }) => drop(reply.send(self.guarded(Writer::publish))),
            Some(Job::MayPrune { before, reply }) => {
                drop(reply.send(self.guarded(|writer| writer.may_prune(before))));
            }
            Some(Job::Prune { plan, reply }) => {
                drop(reply.send(self.guarded(|writer| writer.prune(&plan, false))));
            }
            Some(Job::Append { .. }) | None => {}
        }
        self.writer
            .closed
            .drain(..)
            .for_each(|segment| self.indexer.push(segment));
    }

    /// Everything that waits shares one write and one sync: batching without a timer.
    fn batch(&mut self, drafts: Vec<Draft>, replies: &[SyncSender<Result<Appended, Error>>]) {
        let durability = self.durability;
        let mut index = self.writer.head().size;
        let durable = self.guarded(|writer| {
            let outcomes = writer.write(drafts.into_iter())?;
            match durability {
                Durability::Full => writer.sync()?,
                Durability::Relaxed => {}
            }
            Ok(outcomes)
        });
        let signed = self.writer.publisher.signed();
        let mut placed = |event: Event| {
            let appended = Appended {
                event,
                index,
                signed,
            };
            index += 1;
            appended
        };
        // A caller that is gone no longer needs its answer; the event stands.
        match durable {
            Ok(outcomes) => replies
                .iter()
                .zip(outcomes)
                .for_each(|(reply, outcome)| drop(reply.send(outcome.map(&mut placed)))),
            Err(_) => replies
                .iter()
                .for_each(|reply| drop(reply.send(Err(self.shared.unavailable())))),
        }
    }

    fn marked(&self, mut draft: Draft) -> Draft {
        match self.durability {
            Durability::Full => {}
            Durability::Relaxed => {
                draft
                    .meta
                    .insert(meta::DURABILITY.to_owned(), "relaxed".to_owned());
            }
        }
        draft
    }

    /// Does `what` unless an earlier failure was final, and publishes the new end. Any failure but a refusal is final.
    fn guarded<T>(
        &mut self,
        what: impl FnOnce(&mut Writer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.shared.is_poisoned() {
            return Err(self.shared.unavailable());
        }
        match what(&mut self.writer) {
            Ok(done) => {
                self.shared.follow(&self.writer);
                Ok(done)
            }
            Err(
                error @ (Error::NoSuchRun { .. }
                | Error::NotPruned { .. }
                | Error::NoSpace { .. }
                | Error::TooLong { .. }),
            ) => Err(error),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "ledger unavailable"
                );
                // Only the first failure is the cause.
                drop(self.shared.cause.set(Arc::new(error)));
                Err(self.shared.unavailable())
            }
        }
    }

    fn attempt(&mut self, what: impl FnOnce(&mut Writer) -> Result<(), Error>) {
        // The failure is kept, and the next caller is told of it.
        drop(self.guarded(what));
    }
}

/// Commits to the run's events, and signs for that.
fn export(
    writer: &mut Writer,
    mut run: RunSoFar,
    proof_id: &EventId,
    attachments: &FileHash,
) -> Result<Exported, Error> {
    writer.sync()?;
    let draft = run.draft(writer.layout(), &writer.end(), proof_id, attachments)?;
    let index = writer.head().size;
    let no_space = Error::NoSpace {
        path: writer.layout().ledger(),
    };
    let event = writer.append_all(vec![draft])?.pop();
    match (event, writer.publish()?) {
        (Some(event), Some((_, note))) => {
            let reader = writer.publisher.tiles.reader(writer.layout().tiles());
            Ok(Exported {
                run,
                event,
                index,
                note,
                reader,
            })
        }
        (_, None) | (None, _) => Err(no_space),
    }
}
