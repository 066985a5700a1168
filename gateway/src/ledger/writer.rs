//! The one writer: it puts batches of events behind the chain and makes them durable.
//!
//! The happy path, call by call, for a batch that fits its segment:
//!
//! 1. `pwrite` of all lines at the end of the segment. A crash here leaves any part of them: whole lines are kept by recovery
//!    (nobody was told of them, but they are true), a last fragment is cut.
//! 2. `fdatasync` of the segment. Only after this may a caller be told.
//!
//! A batch that does not fit first closes the segment: (1) and (2) for the lines that fit, then `open(O_CREAT|O_EXCL)` of the
//! next segment and `fsync` of the folder. A crash before the `fsync` leaves no new segment, after it an empty last one; both open.

use std::sync::Arc;

use plugin_protocol::event::{Event, MAX_EVENT_BYTES};
use plugin_protocol::ids::EventId;
use plugin_protocol::time::Timestamp;

use super::chain::Head;
use super::error::Error;
use super::event::{Clock, Draft, Stamp, seal};
use super::io::{Disk, DiskFile, write_all_at};
use super::layout::Layout;
use super::segment::Segment;

/// A batch is synced when it has grown beyond this: 16 MiB. With the lines of one more write this bounds what a crash can tear.
pub(crate) const GROUP_BYTES: u64 = 16 << 20;

const READ_CLOCK: &str = "draw names for the events of";

/// Writes events; lives in one thread.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) layout: Layout,
    disk: Arc<dyn Disk>,
    clock: Clock,
    head: Head,
    segment: Segment,
    file: Box<dyn DiskFile>,
    /// A segment that is longer than this gets no further line.
    segment_bytes: u64,
    /// Lines of the batch in hand that are not yet written.
    buffer: Vec<u8>,
    /// What was written since the last sync.
    unsynced_bytes: u64,
    /// Names the events of the batch that is not synced yet. In one segment, what is synced and what is not never share a stamp:
    /// recovery tells them apart by it.
    stamp: Option<Stamp>,
}

/// What becomes of one draft: its event, or the one error that is its own fault (too long).
pub(crate) type Sealed = Result<Event, Error>;

impl Writer {
    /// Goes on at the end of `segment`, which is opened, or made when there is none yet.
    pub(crate) fn resume(
        layout: &Layout,
        disk: Arc<dyn Disk>,
        segment_bytes: u64,
        clock: Clock,
        head: Head,
        segment: Option<Segment>,
    ) -> Result<Self, Error> {
        let (segment, file) = match segment {
            Some(segment) => {
                let file = disk
                    .open(&segment.path)
                    .map_err(Error::io("open", &segment.path))?;
                (segment, file)
            }
            None => create_segment(layout, disk.as_ref(), head.size)?,
        };
        let layout = layout.clone();
        Ok(Self {
            layout,
            disk,
            clock,
            head,
            segment,
            file,
            segment_bytes,
            buffer: Vec::new(),
            unsynced_bytes: 0,
            stamp: None,
        })
    }

    pub(crate) fn head(&self) -> Head {
        self.head
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

    /// Writes and syncs.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn append(&mut self, drafts: Vec<Draft>) -> Result<Vec<Sealed>, Error> {
        let outcomes = self.write(drafts.into_iter())?;
        self.sync()?;
        Ok(outcomes)
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

    /// The name for the next event. A spent stamp ends its batch, which is synced before the next one begins.
    fn next_id(&mut self) -> Result<(EventId, Timestamp), Error> {
        if self.stamp.as_ref().is_some_and(Stamp::is_spent) {
            self.flush()?;
            self.sync()?;
            self.stamp = None;
        }
        let fail = Error::io(READ_CLOCK, self.layout.state());
        let mut stamp = match self.stamp.take() {
            Some(stamp) => stamp,
            None => match self.clock.stamp() {
                Ok(stamp) => stamp,
                Err(error) => return Err(fail(error)),
            },
        };
        let named = (stamp.next_id().map_err(fail)?, stamp.ts().clone());
        self.stamp = Some(stamp);
        Ok(named)
    }

    fn chain(&mut self, draft: Draft) -> Result<Sealed, Error> {
        let (event_id, ts) = self.next_id()?;
        let start = self.buffer.len();
        let event = seal(draft, event_id, ts, self.head.hash, &mut self.buffer);
        let bytes = self.buffer.len() - start;
        if bytes > MAX_EVENT_BYTES {
            self.buffer.truncate(start);
            return Ok(Err(Error::TooLong { bytes }));
        }
        self.buffer.push(b'\n');
        let end = self.segment.bytes + self.buffer.len() as u64;
        if end > self.segment_bytes && self.segment.bytes + start as u64 > 0 {
            let line = self.buffer.split_off(start);
            self.roll()?;
            self.buffer = line;
        }
        self.head = Head {
            size: self.head.size + 1,
            hash: Some(event.event_hash),
        };
        Ok(Ok(event))
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
    fn roll(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.sync()?;
        (self.segment, self.file) =
            create_segment(&self.layout, self.disk.as_ref(), self.head.size)?;
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
    disk.sync_dir(&layout.segments())
        .map_err(Error::io("sync", &layout.segments()))?;
    Ok((
        Segment {
            first,
            path,
            bytes: 0,
        },
        file,
    ))
}
