//! The ledger as its callers see it: they hand over a value and wait until its event is durable.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use plugin_protocol::event::Event;

use super::chain::Head;
use super::error::Error;
use super::event::{Draft, Record, Recorded};
use super::io::{Disk, RealDisk};
use super::lock::Lock;
use super::recover::{self, Opening};
use super::segment::SEGMENT_BYTES;
use super::writer::Writer;

/// How many events may wait for the writer: more callers than that wait to be let in.
const QUEUE_EVENTS: usize = 1_024;

/// The most events that share one sync: bounds a batch's memory (at 65,535 bytes a line) and the wait of its first caller.
const BATCH_EVENTS: usize = 256;

/// How long a relaxed ledger may leave events unsynced.
const RELAXED_SYNC: Duration = Duration::from_millis(10);

/// What opening reads at the end of the ledger at least: 32 MiB, some 60,000 events, which takes a small part of a second.
const CHECK_BYTES: u64 = 32 << 20;

/// The most events that wait for a checkpoint.
const CHECKPOINT_EVENTS: u64 = 4_096;

/// The longest that an event waits for a checkpoint.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// The `meta` member that marks events of a relaxed ledger.
const DURABILITY: &str = "durability";

/// When a caller is told that its event is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is on the disk (`fdatasync`).
    #[default]
    Full,
    /// When it is written; it is synced within 10 ms. A power cut can lose it. Each event says `durability: relaxed` in its `meta`.
    Relaxed,
}

/// How a ledger is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// When a caller is told that its event is recorded.
    pub durability: Durability,
    /// The folder of the anchor; none for the one inside the state folder, which does not notice that all of it was put back.
    pub anchor: Option<PathBuf>,
    pub(crate) segment_bytes: u64,
    /// Opening reads at least so many bytes at the end of the ledger.
    pub(crate) check_bytes: u64,
    /// A checkpoint is due after so many events,
    pub(crate) checkpoint_events: u64,
    /// or so long after the first of them.
    pub(crate) checkpoint_every: Duration,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: fn() -> SystemTime,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            anchor: None,
            segment_bytes: SEGMENT_BYTES,
            check_bytes: CHECK_BYTES,
            checkpoint_events: CHECKPOINT_EVENTS,
            checkpoint_every: CHECKPOINT_EVERY,
            disk: Arc::new(RealDisk),
            clock: SystemTime::now,
        }
    }
}

/// An open ledger. Clones share it; when the last is dropped the writer ends in good order and lets go of the lock.
#[derive(Debug, Clone)]
pub struct Ledger {
    // Declared for its drop: the last clone closes the channel and waits for the writer.
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    jobs: Option<Sender<Job>>,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer shows to the callers.
#[derive(Debug)]
struct Shared {
    head: Mutex<Head>,
    cause: OnceLock<Arc<Error>>,
}

#[derive(Debug)]
struct Job {
    draft: Draft,
    reply: Sender<Result<Event, Error>>,
}

impl Ledger {
    /// Takes the lock, checks what is there, mends what a crash may leave, and starts the writer.
    ///
    /// Each `REGISTER`, `ENABLE` and `DISABLE` event is given to `registry_events` in ledger order.
    ///
    /// # Errors
    /// When another process writes this ledger, when it is not what was written, or when the system refuses.
    pub fn open(
        state: &Path,
        options: Options,
        registry_events: &mut dyn FnMut(&Event),
    ) -> Result<(Self, Opening), Error> {
        let (writer, lock, opening) = recover::open(state, &options, registry_events)?;
        let shared = Arc::new(Shared {
            head: Mutex::new(writer.head()),
            cause: OnceLock::new(),
        });
        let (jobs, queue) = bounded(QUEUE_EVENTS);
        let thread = WriterThread {
            writer,
            queue,
            shared: Arc::clone(&shared),
            durability: options.durability,
            checkpoint_events: options.checkpoint_events,
            checkpoint_every: options.checkpoint_every,
            lock,
        };
        let started = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || thread.run());
        let writer = started.map_err(Error::io("start the writer of", state))?;
        let inner = Inner {
            jobs: Some(jobs),
            shared,
            writer: Some(writer),
        };
        Ok((
            Self {
                inner: Arc::new(inner),
            },
            opening,
        ))
    }

    /// Records `value` and returns when its event is durable.
    ///
    /// # Errors
    /// [`Error::TooLong`] when it does not fit a line; anything else means that nothing is known to be recorded.
    pub fn record<T: Record>(&self, value: T) -> Result<Recorded<T>, Error> {
        let event = self.append(value.draft())?;
        Ok(Recorded::new(value, event))
    }

    /// The end of the ledger: the last event that is durable.
    #[must_use]
    pub fn head(&self) -> Head {
        *self
            .inner
            .shared
            .head
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, draft: Draft) -> Result<Event, Error> {
        let shared = &self.inner.shared;
        if shared.cause.get().is_some() {
            return Err(shared.unavailable());
        }
        let (reply, answer) = bounded(1);
        let sent = self
            .inner
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(Job { draft, reply }).is_ok());
        if !sent {
            return Err(shared.unavailable());
        }
        answer.recv().unwrap_or_else(|_| Err(shared.unavailable()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has already shown itself as unavailable to every caller.
            drop(writer.join());
        }
    }
}

impl Shared {
    fn unavailable(&self) -> Error {
        Error::Unavailable {
            cause: self.cause.get().cloned(),
        }
    }
}

struct WriterThread {
    writer: Writer,
    queue: Receiver<Job>,
    shared: Arc<Shared>,
    durability: Durability,
    checkpoint_events: u64,
    checkpoint_every: Duration,
    #[expect(dead_code, reason = "held until the writer ends")]
    lock: Lock,
}

impl WriterThread {
    fn run(mut self) {
        let mut sync_due: Option<Instant> = None;
        let mut checkpoint_due: Option<Instant> = None;
        loop {
            let due = sync_due.into_iter().chain(checkpoint_due).min();
            let first = match due {
                None => self
                    .queue
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => self.queue.recv_deadline(due),
            };
            match first {
                Ok(first) => self.batch(first),
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
            let healthy = self.shared.cause.get().is_none();
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

    /// Ends in good order: everything synced, signed for, and the reserve given back.
    fn finish(mut self) {
        self.attempt(|writer| {
            writer.publish()?;
            writer.release()
        });
    }

    /// Everything that waits shares one write and one sync: batching without a timer.
    fn batch(&mut self, first: Job) {
        let jobs = std::iter::once(first)
            .chain(self.queue.try_iter())
            .take(BATCH_EVENTS);
        let (drafts, replies): (Vec<Draft>, Vec<_>) =
            jobs.map(|job| (self.marked(job.draft), job.reply)).unzip();
        if self.shared.cause.get().is_some() {
            return self.refuse(&replies);
        }
        let written = self.writer.write(drafts.into_iter());
        let durable = written.and_then(|outcomes| match self.durability {
            Durability::Full => self.writer.sync().map(|()| outcomes),
            Durability::Relaxed => Ok(outcomes),
        });
        match durable {
            Ok(outcomes) => {
                *self
                    .shared
                    .head
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = self.writer.head();
                for (reply, outcome) in replies.iter().zip(outcomes) {
                    // A caller that is gone no longer needs its answer; the event stands.
                    drop(reply.send(outcome));
                }
            }
            Err(error) => {
                self.poison(error);
                self.refuse(&replies);
            }
        }
    }

    fn marked(&self, mut draft: Draft) -> Draft {
        match self.durability {
            Durability::Full => {}
            Durability::Relaxed => {
                draft
                    .meta
                    .insert(DURABILITY.to_owned(), "relaxed".to_owned());
            }
        }
        draft
    }

    /// Does `what`, unless something failed before; a failure is final.
    fn attempt(&mut self, what: impl FnOnce(&mut Writer) -> Result<(), Error>) {
        if self.shared.cause.get().is_none()
            && let Err(error) = what(&mut self.writer)
        {
            self.poison(error);
        }
    }

    fn poison(&self, error: Error) {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "ledger unavailable"
        );
        // Only the first failure is the cause.
        drop(self.shared.cause.set(Arc::new(error)));
    }

    fn refuse(&self, replies: &[Sender<Result<Event, Error>>]) {
        for reply in replies {
            drop(reply.send(Err(self.shared.unavailable())));
        }
    }
}
