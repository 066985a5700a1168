//! The one writer: it puts batches of events behind the chain and makes them durable.
//!
//! The happy path, call by call, for a batch that fits its segment:
//!
//! 1. `pwrite` of all lines at the end of the segment. A crash here leaves any part of them: whole lines are kept by recovery
//!    (nobody was told of them, but they are true), what is torn is cut.
//! 2. `fdatasync` of the segment. Only after this may a caller be told.
//!
//! A batch that does not fit first closes the segment: (1) and (2) for the lines that fit, a checkpoint, then `open(O_CREAT|O_EXCL)`
//! of the next segment, `fallocate`, and `fsync` of the folder. A crash before the `fsync` leaves no new segment, after it an empty
//! last one; both open.

use std::sync::Arc;

use plugin_protocol::event::{Event, EventKind, MAX_EVENT_BYTES};
use plugin_protocol::ids::EventId;
use plugin_protocol::time::Timestamp;

use super::publish::Publisher;
use crate::disk::{
    Boundary, Disk, DiskFile, EventPlace, Layout, RETREAT_BYTES, Reserve, Segment, is_full, keep,
    write_all_at,
};
use crate::error::Error;
use crate::line::{Clock, Draft, Head, Stamp, scan, seal};
use crate::options::Options;
use crate::tree::Checkpoint;

/// A batch is synced when it has grown beyond this: 16 MiB. With the lines of one more write this bounds what a crash can tear.
pub(crate) const GROUP_BYTES: u64 = 16 << 20;

const READ_CLOCK: &str = "draw names for the events of";

/// Writes events; lives in one thread.
#[derive(Debug)]
pub(crate) struct Writer {
    layout: Layout,
    disk: Arc<dyn Disk>,
    clock: Clock,
    head: Head,
    segment: Segment,
    file: Box<dyn DiskFile>,
    reserve: Reserve,
    pub(crate) publisher: Publisher,
    /// A segment that is longer than this gets no further line.
    segment_bytes: u64,
    /// Lines of the batch in hand that are not yet written.
    buffer: Vec<u8>,
    /// What was written since the last sync.
    unsynced_bytes: u64,
    /// Names the events of the batch that is not synced yet. In one segment, what is synced and what is not never share a stamp:
    /// recovery tells them apart by it.
    stamp: Option<Stamp>,
    /// Segments that were closed since this was last asked for.
    pub(crate) closed: Vec<Segment>,
}

/// What becomes of one draft: its event, or the one error that is its own fault (too long, or no space to begin it).
pub(crate) type Sealed = Result<Event, Error>;

impl Writer {
    /// Goes on at the end of `segment`, which is opened, or made when there is none yet.
    pub(crate) fn resume(
        layout: &Layout,
        options: &Options,
        clock: Clock,
        head: Head,
        segment: Option<Segment>,
        publisher: Publisher,
    ) -> Result<Self, Error> {
        let disk = Arc::clone(&options.disk);
        let (segment, file) = match segment {
            Some(segment) => {
                let file = disk
                    .open(&segment.path)
                    .map_err(Error::io("open", &segment.path))?;
                (segment, file)
            }
            None => {
                let created = create_segment(layout, disk.as_ref(), head.size)?;
                disk.sync_dir(&layout.segments())
                    .map_err(Error::io("sync", &layout.segments()))?;
                created
            }
        };
        Ok(Self {
            layout: layout.clone(),
            disk,
            clock,
            head,
            segment,
            file,
            reserve: Reserve::default(),
            publisher,
            segment_bytes: options.segment_bytes,
            buffer: Vec::new(),
            unsynced_bytes: 0,
            stamp: None,
            closed: Vec::new(),
        })
    }

    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// The end of the ledger as a place to go on reading from.
    pub(crate) fn end(&self) -> Boundary {
        Boundary {
            head: self.head,
            segment: self.segment.first,
            offset: self.segment.bytes + self.buffer.len() as u64,
        }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.unsynced_bytes > 0
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    /// Chains and writes `drafts`, one outcome for each. They are durable only after [`Self::sync`].
    ///
    /// # Errors
    /// Any error is final: what is on disk is then unknown, and the writer must not be used again.
    pub(crate) fn write(
        &mut self,
        drafts: impl Iterator<Item = Draft>,
    ) -> Result<Vec<Sealed>, Error> {
        if self.unsynced_bytes > GROUP_BYTES {
            self.sync()?;
        }
        self.stamp = match self.stamp.take().filter(|_| self.unsynced_bytes > 0) {
            Some(mut stamp) => {
                self.clock
                    .refresh(&mut stamp)
                    .map_err(Error::io(READ_CLOCK, self.layout.state()))?;
                Some(stamp)
            }
            None => None,
        };
        let outcomes = drafts
            .map(|draft| self.chain(draft))
            .collect::<Result<_, _>>()?;
        self.flush()?;
        Ok(outcomes)
    }

    /// Writes and syncs `drafts`, each of which must succeed.
    ///
    /// # Errors
    /// As [`Self::write`], and when one of the drafts is refused.
    pub(crate) fn append_all(&mut self, drafts: Vec<Draft>) -> Result<Vec<Event>, Error> {
        let outcomes = self.write(drafts.into_iter())?;
        self.sync()?;
        outcomes.into_iter().collect()
    }

    /// Makes durable what was written.
    ///
    /// # Errors
    /// As [`Self::write`]: after a failed sync the kernel calls the lost pages clean, so trying again would prove nothing.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        if self.is_dirty() {
            self.file
                .sync()
                .map_err(Error::io("sync", &self.segment.path))?;
            self.unsynced_bytes = 0;
        }
        Ok(())
    }

    /// Publishes a checkpoint over all events, syncing them first; none when there are no events, or no space for it now.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn publish(&mut self) -> Result<Option<(Checkpoint, String)>, Error> {
        self.sync()?;
        self.publish_end(false)
    }

    /// Closes the open segment if it holds events before `before`; false when there is no space for the next one.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn close_before(&mut self, before: u64) -> Result<bool, Error> {
        if self.segment.first < before {
            self.roll()?;
        }
        Ok(self.segment.first >= before)
    }

    /// Gives back the space that was set aside, but for what lets an operator switch off and revoke on a disk that is full by the next
    /// opening. On a disk that is full now, and where nothing was written, all of it stays: whatever is given back, somebody else may take.
    ///
    /// # Errors
    /// When the system refuses; the events are safe all the same.
    pub(crate) fn release(&mut self) -> Result<(), Error> {
        if self.reserve.is_low() || self.reserve.is_untouched() {
            return Ok(());
        }
        keep(self.file.as_mut(), self.segment.bytes).map_err(self.not_given_back())
    }

    fn not_given_back(&self) -> impl FnOnce(std::io::Error) -> Error {
        Error::io("give back the reserve of", &self.segment.path)
    }

    fn publish_end(&mut self, at_segment_end: bool) -> Result<Option<(Checkpoint, String)>, Error> {
        match self.publisher.publish(&self.end(), at_segment_end) {
            // A checkpoint can wait for space; the events that close what is open have theirs.
            Err(Error::Io { source, .. }) if is_full(&source) => {
                self.reserve.set_low();
                Ok(None)
            }
            published => published,
        }
    }

    /// The name for the next event. A spent stamp ends its batch, which is synced before the next one begins.
    fn next_id(&mut self) -> Result<(EventId, Timestamp), Error> {
        if self.stamp.as_ref().is_some_and(Stamp::is_spent) {
            self.flush()?;
            self.sync()?;
            self.stamp = None;
        }
        let stamp = match self.stamp.take() {
            Some(stamp) => Ok(stamp),
            None => self.clock.stamp(),
        };
        let named = stamp.and_then(|mut stamp| {
            let named = (stamp.next_id()?, stamp.ts().clone());
            self.stamp = Some(stamp);
            Ok(named)
        });
        named.map_err(Error::io(READ_CLOCK, self.layout.state()))
    }

    fn chain(&mut self, draft: Draft) -> Result<Sealed, Error> {
        let (event_id, ts) = self.next_id()?;
        let start = self.buffer.len();
        let event = seal(draft, event_id, ts, self.head.hash, &mut self.buffer);
        if let Some(refusal) = self.refusal(&event, start)? {
            self.buffer.truncate(start);
            self.stamp.iter_mut().for_each(Stamp::give_back);
            return Ok(Err(refusal));
        }
        self.buffer.push(b'\n');
        if self.segment.bytes + self.buffer.len() as u64 > self.segment_bytes
            && self.segment.bytes + start as u64 > 0
        {
            let line = self.buffer.split_off(start);
            self.roll()?;
            self.buffer.extend_from_slice(&line);
        }
        self.follow(&event);
        Ok(Ok(event))
    }

    /// Why the event whose line begins at `start` of the buffer is not written, when it is not.
    fn refusal(&mut self, event: &Event, start: usize) -> Result<Option<Error>, Error> {
        let bytes = self.buffer.len() - start;
        if bytes > MAX_EVENT_BYTES {
            return Ok(Some(Error::TooLong { bytes }));
        }
        let end = self.segment.bytes + self.buffer.len() as u64 + 1;
        let calls = &self.publisher.tally.calls;
        let open = calls.count() + usize::from(event.kind == EventKind::Invoke);
        self.reserve
            .ensure(self.file.as_mut(), end, open)
            .map_err(Error::io("reserve space in", &self.segment.path))?;
        let fits = match event.kind {
            EventKind::Invoke
            | EventKind::Register
            | EventKind::Enable
            | EventKind::ProofExport => !self.reserve.is_low(),
            EventKind::Disable => self.reserve.has_room(end, open, 0),
            EventKind::Result | EventKind::Reject | EventKind::Error => {
                let line = self.buffer.get(start..).unwrap_or_default();
                self.reserve.has_room(end, open, RETREAT_BYTES)
                    || scan(line).is_ok_and(|scanned| calls.is_open(&scanned))
            }
        };
        Ok((!fits).then(|| Error::NoSpace {
            path: self.layout.ledger(),
        }))
    }

    /// Moves head, tree and tally on to `event`, whose line is the last in the buffer.
    fn follow(&mut self, event: &Event) {
        let lines = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let from = lines
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let line = lines.get(from..).unwrap_or_default();
        let place = EventPlace {
            index: self.head.size,
            segment: self.segment.first,
            offset: self.segment.bytes + from as u64,
        };
        if let Ok(scanned) = scan(line) {
            self.publisher.follow(&place, line, &scanned);
        }
        self.head = Head {
            size: self.head.size + 1,
            hash: Some(event.event_hash),
        };
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = write_all_at(self.file.as_mut(), &self.buffer, self.segment.bytes);
        written.map_err(Error::io("write", &self.segment.path))?;
        self.segment.bytes += self.buffer.len() as u64;
        self.unsynced_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Closes the segment, durable to its end, before the next one may exist: so only the last can be torn.
    /// On a full disk the segment stays open and grows into its reserve.
    fn roll(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.sync()?;
        if self.reserve.is_low() {
            return Ok(());
        }
        let open_calls = self.publisher.tally.calls.count();
        let mut reserve = Reserve::default();
        let created = create_segment(&self.layout, self.disk.as_ref(), self.head.size).and_then(
            |(segment, mut file)| {
                reserve
                    .ensure(file.as_mut(), 0, open_calls)
                    .map_err(Error::io("reserve space in", &segment.path))?;
                Ok((segment, file))
            },
        );
        let (segment, file) = match created {
            Err(Error::Io { source, .. }) if is_full(&source) => {
                self.reserve.set_low();
                return Ok(());
            }
            created => created?,
        };
        if reserve.is_low() {
            self.reserve.set_low();
            return self
                .disk
                .remove(&segment.path)
                .map_err(Error::io("remove", &segment.path));
        }
        self.publish_end(true)?;
        self.disk
            .sync_dir(&self.layout.segments())
            .map_err(Error::io("sync", &self.layout.segments()))?;
        self.file
            .truncate(self.segment.bytes)
            .map_err(self.not_given_back())?;
        self.closed
            .push(std::mem::replace(&mut self.segment, segment));
        (self.file, self.reserve) = (file, reserve);
        Ok(())
    }
}

fn create_segment(
    layout: &Layout,
    disk: &dyn Disk,
    first: u64,
) -> Result<(Segment, Box<dyn DiskFile>), Error> {
    let path = layout.segment(first);
    let file = disk.create(&path).map_err(Error::io("create", &path))?;
    Ok((
        Segment {
            first,
            path,
            bytes: 0,
        },
        file,
    ))
}
