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

use super::chain::Head;
use super::error::Error;
use super::event::{Clock, Draft, Stamp, seal};
use super::io::{Disk, DiskFile, write_all_at};
use super::layout::Layout;
use super::segment::Segment;

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
    /// Whether something was written since the last sync.
    dirty: bool,
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
            dirty: false,
        })
    }

    pub(crate) fn head(&self) -> Head {
        self.head
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
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
        let mut stamp = self.stamp()?;
        let mut outcomes = Vec::new();
        for draft in drafts {
            if outcomes.len() % Stamp::MAX_EVENTS == Stamp::MAX_EVENTS - 1 {
                stamp = self.stamp()?;
            }
            outcomes.push(self.chain(draft, &mut stamp)?);
        }
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
        if self.dirty {
            self.file
                .sync()
                .map_err(Error::io("sync", &self.segment.path))?;
            self.dirty = false;
        }
        Ok(())
    }

    fn stamp(&mut self) -> Result<Stamp, Error> {
        self.clock
            .stamp()
            .map_err(Error::io("name events of", self.layout.state()))
    }

    fn chain(&mut self, draft: Draft, stamp: &mut Stamp) -> Result<Sealed, Error> {
        let start = self.buffer.len();
        let event_id = stamp
            .next_id()
            .map_err(Error::io("name events of", self.layout.state()))?;
        let event = seal(draft, stamp, event_id, self.head.hash, &mut self.buffer);
        let bytes = self.buffer.len() - start;
        if bytes > MAX_EVENT_BYTES {
            self.buffer.truncate(start);
            return Ok(Err(Error::TooLong { bytes }));
        }
        self.buffer.push(b'\n');
        if self.segment.bytes + self.buffer.len() as u64 > self.segment_bytes
            && self.segment.bytes + start as u64 > 0
        {
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
        self.buffer.clear();
        self.dirty = true;
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
