//! The ledger as its callers see it: they hand over a value and wait until its event is durable.

use std::path::Path;
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
    pub(crate) segment_bytes: u64,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: fn() -> SystemTime,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            segment_bytes: SEGMENT_BYTES,
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
    #[expect(dead_code, reason = "held until the writer ends")]
    lock: Lock,
}

impl WriterThread {
    fn run(mut self) {
        let mut unsynced_since: Option<Instant> = None;
        loop {
            let first = match unsynced_since {
                None => self
                    .queue
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(since) => self.queue.recv_deadline(since + RELAXED_SYNC),
            };
            match first {
                Ok(first) => self.batch(first),
                Err(RecvTimeoutError::Timeout) => self.sync(),
                Err(RecvTimeoutError::Disconnected) => return self.sync(),
            }
            unsynced_since = match self.writer.is_dirty() && self.shared.cause.get().is_none() {
                true => unsynced_since.or_else(|| Some(Instant::now())),
                false => None,
            };
        }
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

    fn sync(&mut self) {
        if self.shared.cause.get().is_none()
            && let Err(error) = self.writer.sync()
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
