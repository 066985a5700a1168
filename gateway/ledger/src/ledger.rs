//! The ledger as its callers see it: they hand over a value and wait until its event is durable. It never touches the disk itself.

use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError, RwLock};

use plugin_protocol::event::Event;
use plugin_protocol::ids::{EventId, RunId};
use plugin_protocol::message::Receipt;
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, Layout, list_segments};
use crate::error::Error;
use crate::evidence::{self, Erased, Held, Store, complete_erasures};
use crate::line::Head;
use crate::open::{Opening, recover};
use crate::options::{Hashes, Options};
use crate::proof::{ProofBundle, ProofExtras, RunSoFar, attachments_hash};
use crate::read::{Events, Pruned};
use crate::recorded::{Record, Recorded};
use crate::tree::{Checkpoint, load_key};
use crate::witness::{Awaited, await_cosigned};
use crate::write::{self, Appended, Plan, WriterHandle, sweep};

/// An open ledger. Clones share it; when the last is dropped the writer finishes what it has and lets go of the lock.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    layout: Layout,
    evidence: Store,
    writer: WriterHandle,
    hashes: Hashes,
    disk: Arc<dyn Disk>,
    /// A pruning holds this alone; whoever reads lines by their place, shared.
    pruning: RwLock<()>,
}

/// What a pruning did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// What is gone of the ledger now.
    #[serde(flatten)]
    pub pruned: Pruned,
    /// The event that records it.
    pub event_id: String,
}

/// What a caller does while its value is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meanwhile {
    /// It waits: where nobody else writes, it may as well write itself.
    Nothing,
    /// Something that takes about as long.
    Something,
}

/// A value that is being recorded.
#[derive(Debug)]
pub struct Recording<'a, T> {
    value: T,
    writer: &'a WriterHandle,
    answer: Receiver<Result<Appended, Error>>,
    /// No erasure comes between a document and the event that names it.
    _held: Option<Held<'a>>,
}

impl<T> Recording<'_, T> {
    /// Waits until the event is durable.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn wait(self) -> Result<Recorded<T>, Error> {
        let appended = self.writer.wait(self.answer)?;
        Ok(Recorded::new(self.value, appended))
    }
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
        let (writer, lock, opening) = recover(state, &options, registry_events)?;
        let layout = Layout::new(state);
        let segments = list_segments(&layout)?;
        let closed = segments.split_last().map_or(&[][..], |(_, closed)| closed);
        let evidence = Store::open(&layout, Arc::clone(&options.disk))?;
        let writer = WriterHandle::start(writer, lock, &options, closed)?;
        complete_erasures(&evidence, &writer)?;
        let inner = Inner {
            layout,
            evidence,
            writer,
            hashes: options.hashes,
            disk: options.disk,
            pruning: RwLock::new(()),
        };
        let ledger = Self {
            inner: Arc::new(inner),
        };
        Ok((ledger, opening))
    }

    /// Records `value` and returns when its event is durable. A document that is to be kept is durable before the event that names it.
    ///
    /// # Errors
    /// [`Error::TooLong`] when it does not fit a line. After any other error the event may or may not be recorded.
    pub fn record<T: Record>(&self, value: T) -> Result<Recorded<T>, Error> {
        self.begin(value, Meanwhile::Nothing)?.wait()
    }

    /// Hands `value` over to be recorded; a caller who does something else meanwhile leaves the writing to another thread. Nothing is recorded for sure until
    /// [`Recording::wait`] says so; whoever lets go of it does not take it back.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn begin<T: Record>(
        &self,
        value: T,
        meanwhile: Meanwhile,
    ) -> Result<Recording<'_, T>, Error> {
        let mut draft = value.draft();
        let evidence = &self.inner.evidence;
        let document = value.evidence();
        let has_hashes = draft.input_hash.or(draft.output_hash).is_some() || document.is_some();
        let is_salted = self.inner.hashes == Hashes::Salted && has_hashes;
        let held = (is_salted || document.is_some()).then(|| evidence.hold());
        let salt = match &held {
            Some(held) if is_salted => Some(evidence.salt(held, &draft.run_id)?),
            Some(_) | None => None,
        };
        if let Some(salt) = &salt {
            salt.apply(&mut draft);
        }
        if let (Some(document), Some(held)) = (document, &held) {
            draft.meta.extend(document.links(salt.as_ref()));
            evidence.keep(held, &draft.run_id, document, salt.as_ref())?;
        }
        Ok(Recording {
            answer: match meanwhile {
                Meanwhile::Nothing => self.inner.writer.append_here(draft)?,
                Meanwhile::Something => self.inner.writer.append_later(draft)?,
            },
            writer: &self.inner.writer,
            value,
            _held: held,
        })
    }

    /// The same receipt with the checkpoint that is the newest now.
    #[must_use]
    pub fn renewed(&self, receipt: Receipt) -> Receipt {
        write::renewed(receipt, self.inner.writer.signed())
    }

    /// The state folder that it is kept in.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.inner.layout.state()
    }

    /// How many events the newest checkpoint is over; 0 before the first.
    #[must_use]
    pub fn signed(&self) -> u64 {
        self.inner.writer.signed()
    }

    /// The end of the ledger: the last event that a caller may have been told of.
    #[must_use]
    pub fn head(&self) -> Head {
        self.inner.writer.end().head
    }

    /// How many events there are, and those that follow, as they come: nothing of the past is read. An event may be given before it is
    /// durable; it is once [`Self::head`] has come behind it.
    #[must_use]
    pub fn to_come(&self) -> (u64, Events) {
        let end = self.inner.writer.end();
        (end.head.size, Events::from(&self.inner.layout, end))
    }

    /// Signs a checkpoint over all events, durable when this returns; none for a ledger without events.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn checkpoint(&self) -> Result<Option<(Checkpoint, String)>, Error> {
        self.inner.writer.checkpoint()
    }

    /// Records the export of `run`, signs a checkpoint over it, and makes the bundle that proves the run.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`] when the run has no events, or as [`Self::record`].
    pub fn export_proof(&self, run: &RunId, extras: ProofExtras) -> Result<ProofBundle, Error> {
        self.export_witnessed(run, extras, None)
    }

    /// The same; where witnesses are `awaited`, the proofs lead to a checkpoint that enough of them cosigned. When there is none in time, they
    /// lead to this log's own, and the bundle has no signature but the log's.
    ///
    /// # Errors
    /// As [`Self::export_proof`].
    pub fn export_witnessed(
        &self,
        run: &RunId,
        extras: ProofExtras,
        awaited: Option<&Awaited<'_>>,
    ) -> Result<ProofBundle, Error> {
        let Inner { layout, writer, .. } = self.inner.as_ref();
        let _whole = self
            .inner
            .pruning
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let proof_id = EventId::now();
        let attachments = attachments_hash(&extras.manifest_digests, &extras.validation_reports);
        let run = RunSoFar::gather(layout, run, writer.end())?;
        let mut exported = writer.export(run, proof_id, attachments)?;
        let least = exported.index.saturating_add(1);
        if let Some((checkpoint, note)) = await_cosigned(layout.state(), least, awaited)? {
            exported = exported.lead_to(layout, &checkpoint, note);
        }
        exported.bundle(layout, proof_id, extras)
    }

    /// Drops the lines of the events before `before`, which a checkpoint covers, and records that. What later readers need is kept: the tree's
    /// hashes, the checkpoints, and the registry's events. Calls go on meanwhile.
    ///
    /// # Errors
    /// [`Error::NotPruned`] when these events may not be dropped, or the system refuses; a pruning that is recorded is then completed at
    /// the next opening.
    pub fn prune(&self, before: u64) -> Result<Dropped, Error> {
        let Inner { layout, writer, .. } = self.inner.as_ref();
        // An export that began before reads lines that would be gone.
        let _alone = self
            .inner
            .pruning
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        writer.may_prune(before)?;
        let disk = self.inner.disk.as_ref();
        let plan = Plan::make(layout, disk, &load_key(layout)?, before)?;
        plan.put_together(layout, disk)?;
        let pruned = plan.summary();
        let event = writer.prune(plan)?;
        sweep(layout, disk)?;
        Ok(Dropped {
            pruned,
            event_id: event
                .map(|event| event.event_id.to_string())
                .unwrap_or_default(),
        })
    }

    /// Records the erasure, then removes what is kept of the requests and results of `run`.
    ///
    /// Meanwhile a call whose evidence is kept waits before it writes its file.
    ///
    /// # Errors
    /// When there is no such run, or the system refuses; an erasure that was begun is then completed at the next opening.
    pub fn erase_evidence(&self, run: &RunId) -> Result<Erased, Error> {
        let _whole = self
            .inner
            .pruning
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        evidence::erase_evidence(&self.inner.evidence, &self.inner.writer, run)
    }
}
