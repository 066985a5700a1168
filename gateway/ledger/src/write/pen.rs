//! The one pen: the writer and what belongs to it. Whoever holds it does jobs, batch by batch, and is told when a sync or a checkpoint is
//! due. It does not know who holds it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
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

/// Jobs that are done in one go: appends, which share a write and a sync, and at most one job of another kind behind them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    drafts: Vec<Draft>,
    replies: Vec<SyncSender<Result<Appended, Error>>>,
    other: Option<Job>,
}

impl Batch {
    /// Takes the next jobs off the queue.
    pub(crate) fn take(jobs: &mut VecDeque<Job>) -> Self {
        let mut batch = Self::default();
        while batch.other.is_none()
            && batch.drafts.len() < BATCH_EVENTS
            && let Some(job) = jobs.pop_front()
        {
            batch.add(job);
        }
        batch
    }

    /// One job alone.
    pub(crate) fn of(job: Job) -> Self {
        let mut batch = Self::default();
        batch.add(job);
        batch
    }

    fn add(&mut self, job: Job) {
        match job {
            Job::Append { draft, reply } => {
                self.drafts.push(draft);
                self.replies.push(reply);
            }
            Job::Export { .. }
            | Job::Checkpoint { .. }
            | Job::MayPrune { .. }
            | Job::Prune { .. } => self.other = Some(job),
        }
    }
}

/// The writer and everything that lives as long as it does.
#[derive(Debug)]
pub(crate) struct Pen {
    writer: Writer,
    shared: Arc<Shared>,
    durability: Durability,
    checkpoint_events: u64,
    checkpoint_every: Duration,
    sync_due: Option<Instant>,
    checkpoint_due: Option<Instant>,
    indexer: Indexer,
    #[expect(dead_code, reason = "held until the writer ends")]
    lock: Lock,
}

impl Pen {
    pub(crate) fn new(
        writer: Writer,
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
            shared,
            durability,
            checkpoint_events,
            checkpoint_every,
            sync_due: None,
            checkpoint_due: None,
            indexer,
            lock,
        }
    }

    /// When there is something to do that no caller asks for.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.sync_due.into_iter().chain(self.checkpoint_due).min()
    }

    /// Does what is due by now.
    pub(crate) fn do_what_is_due(&mut self) {
        let now = Instant::now();
        if self.sync_due.take_if(|due| *due <= now).is_some() {
            self.attempt(Writer::sync);
        }
        if self.checkpoint_due.take_if(|due| *due <= now).is_some() {
            self.attempt(|writer| writer.publish().map(drop));
        }
        self.set_times(now);
    }

    /// Sets the times for what was written and not yet synced or signed for. After a failure nothing is due any more.
    fn set_times(&mut self, now: Instant) {
        let healthy = !self.shared.is_poisoned();
        let later = |pending: bool, due: Option<Instant>, wait| {
            (pending && healthy).then(|| due.unwrap_or(now + wait))
        };
        self.sync_due = later(self.writer.is_dirty(), self.sync_due, RELAXED_SYNC);
        let unpublished = self.writer.publisher.unpublished();
        self.checkpoint_due = later(unpublished > 0, self.checkpoint_due, self.checkpoint_every);
    }

    /// Ends in good order: all events are synced and signed for, and the reserve is given back.
    pub(crate) fn finish(mut self) {
        self.attempt(|writer| {
            writer.publish()?;
            writer.release()
        });
    }

    /// Does these jobs and tells whoever waits for them.
    pub(crate) fn work(&mut self, jobs: Batch) {
        let Batch {
            drafts,
            replies,
            other,
        } = jobs;
        let drafts = drafts
            .into_iter()
            .map(|draft| self.marked(draft))
            .collect::<Vec<_>>();
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
        let now = Instant::now();
        self.set_times(now);
        if self.writer.publisher.unpublished() >= self.checkpoint_events {
            self.checkpoint_due = self.checkpoint_due.map(|due| due.min(now));
        }
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
                cosigned: false,
            })
        }
        (_, None) | (None, _) => Err(no_space),
    }
}
