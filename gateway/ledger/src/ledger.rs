//! The ledger as its callers see it: they hand over a value and wait until its event is durable.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use plugin_protocol::event::Event;
use plugin_protocol::ids::{EventId, RunId};

use crate::disk::io::{Disk, RealDisk};
use crate::disk::layout::Layout;
use crate::disk::segment::{self, SEGMENT_BYTES};
use crate::error::Error;
use crate::evidence::Store;
use crate::line::chain::Head;
use crate::line::event::{Draft, Record, Recorded};
use crate::open::recover::{self, Opening};
use crate::proof::bundle::{ProofBundle, ProofExtras, RunSoFar, attachments_hash};
use crate::read::index::Indexer;
use crate::tree::checkpoint::Checkpoint;
use crate::write::thread::{Job, Shared, WriterThread};

/// How many events may wait for the writer: more callers than that wait to be let in.
const QUEUE_EVENTS: usize = 1_024;

/// What opening reads at the end of the ledger at least: 32 MiB, some 60,000 events, which takes a small part of a second.
pub(crate) const CHECK_BYTES: u64 = 32 << 20;

/// The most events that wait for a checkpoint.
const CHECKPOINT_EVENTS: u64 = 4_096;

/// The longest that an event waits for a checkpoint.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

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
        Self::new(Durability::Full, None)
    }
}

impl Options {
    /// What an operator chooses; the rest is as usual.
    #[must_use]
    pub fn new(durability: Durability, anchor: Option<PathBuf>) -> Self {
        Self {
            durability,
            anchor,
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
    layout: Layout,
    evidence: Store,
    jobs: Option<SyncSender<Job>>,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
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
        let layout = Layout::new(state);
        let closed = segment::list(&layout)?;
        let closed = closed.split_last().map_or(&[][..], |(_, closed)| closed);
        let indexer = Indexer::start(&layout, Arc::clone(&options.disk), closed)?;
        let evidence = Store::open(&layout, Arc::clone(&options.disk))?;
        let shared = Arc::new(Shared::new(writer.end()));
        // These channels sleep at once where nothing is there: a sync takes so long that trying again meanwhile, as crossbeam's do,
        // only takes processor time from the plugins.
        let (jobs, queue) = sync_channel(QUEUE_EVENTS);
        let thread = WriterThread::new(writer, queue, Arc::clone(&shared), &options, indexer, lock);
        let started = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || thread.run());
        let writer = started.map_err(Error::io("start the writer of", state))?;
        let inner = Inner {
            layout,
            evidence,
            jobs: Some(jobs),
            shared,
            writer: Some(writer),
        };
        let ledger = Self {
            inner: Arc::new(inner),
        };
        ledger.complete_erasures()?;
        Ok((ledger, opening))
    }

    /// Records `value` and returns when its event is durable. What it has to be kept is durable before, and named by the event.
    ///
    /// # Errors
    /// [`Error::TooLong`] when it does not fit a line; anything else means that nothing is known to be recorded.
    pub fn record<T: Record>(&self, value: T) -> Result<Recorded<T>, Error> {
        let mut draft = value.draft();
        let held = match value.evidence() {
            Some(document) => {
                draft.meta.extend(document.links());
                Some(self.evidence().keep(&draft.run_id, document)?)
            }
            None => None,
        };
        let event = self.append(draft)?;
        drop(held);
        Ok(Recorded::new(value, event))
    }

    pub(crate) fn evidence(&self) -> &Store {
        &self.inner.evidence
    }

    /// The end of the ledger: the last event that a caller may have been told of.
    #[must_use]
    pub fn head(&self) -> Head {
        self.inner.shared.end().head
    }

    /// Signs a checkpoint over all events, durable when this returns; none for a ledger without events.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn checkpoint(&self) -> Result<Option<(Checkpoint, String)>, Error> {
        self.ask(|reply| Job::Checkpoint { reply })
    }

    /// Records the export of `run`, signs a checkpoint over it, and makes the bundle that proves the run.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`] when the run has no events, or as [`Self::record`].
    pub fn export_proof(&self, run: &RunId, extras: ProofExtras) -> Result<ProofBundle, Error> {
        let layout = &self.inner.layout;
        let proof_id = EventId::now();
        let attachments = attachments_hash(&extras.manifest_digests, &extras.validation_reports);
        let gathered = Box::new(RunSoFar::gather(layout, run, self.inner.shared.end())?);
        let exported = self.ask(|reply| Job::Export {
            run: gathered,
            proof_id,
            attachments,
            reply,
        })?;
        exported.bundle(layout, proof_id, extras)
    }

    pub(crate) fn append(&self, draft: Draft) -> Result<Event, Error> {
        self.ask(|reply| Job::Append { draft, reply })
    }

    /// Hands a job to the writer and waits for what comes of it.
    fn ask<T>(&self, job: impl FnOnce(SyncSender<Result<T, Error>>) -> Job) -> Result<T, Error> {
        let shared = &self.inner.shared;
        if shared.is_poisoned() {
            return Err(shared.unavailable());
        }
        let (reply, answer) = sync_channel(1);
        let sent = self
            .inner
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(job(reply)).is_ok());
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
