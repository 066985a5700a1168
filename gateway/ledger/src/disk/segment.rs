//! Segments: the files that hold the lines, found and read in order.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use plugin_protocol::event::MAX_EVENT_BYTES;

use super::layout::{Layout, SEGMENT_DIGITS, SEGMENT_SUFFIX};
use crate::error::Error;

/// A new segment begins when a line would make the present one longer than this: 64 MiB, some 120,000 events.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;

/// What is read ahead, in bytes: several of the longest lines.
const READ_BYTES: usize = 256 << 10;

/// A segment as the folder lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The index of its first event, which is its name.
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// The segments of a ledger by first index. Files with other names are not the ledger's and are passed over.
pub(crate) fn list_segments(layout: &Layout) -> Result<Vec<Segment>, Error> {
    let folder = layout.segments();
    let fail = |source| Error::Io {
        action: "list the segments in",
        path: folder.clone(),
        source,
    };
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if let Some(first) = entry.file_name().to_str().and_then(first_index) {
            let bytes = entry.metadata().map_err(fail)?.len();
            segments.push(Segment {
                first,
                path: entry.path(),
                bytes,
            });
        }
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}

fn first_index(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    (digits.len() == SEGMENT_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

/// One step through a file of lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A line, without its newline.
    Whole(&'a [u8]),
    /// What is left at the end of the file without a newline.
    Fragment(&'a [u8]),
    /// More bytes without a newline than a line may have; the rest was not read.
    TooLong,
    /// The end of the file, just behind a newline.
    End,
}

/// The longest line with its newline, in bytes.
const LINE_BYTES: usize = MAX_EVENT_BYTES + 1;

/// Reads lines one after the other in constant memory; each is lent from the buffer that it was read into.
#[derive(Debug)]
pub(crate) struct Lines {
    file: File,
    /// [`READ_BYTES`] long; the bytes from `start` to `end` were read and not yet given.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Where the next line begins, in bytes from the start of the file.
    offset: u64,
}

impl Lines {
    pub(crate) fn open(path: &Path, offset: u64) -> Result<Self, Error> {
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        file.seek(SeekFrom::Start(offset))
            .map_err(Error::io("read", path))?;
        Ok(Self {
            file,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            offset,
        })
    }

    /// Where the next line begins, in bytes from the start of the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn next(&mut self) -> io::Result<Line<'_>> {
        let mut searched = 0;
        loop {
            let ahead = self.ahead();
            let rest = ahead.get(searched..).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', rest) {
                return Ok(Line::Whole(self.take(searched + at)));
            }
            searched = ahead.len();
            if searched == LINE_BYTES {
                return Ok(Line::TooLong);
            }
            if !self.fill()? {
                return Ok(if searched == 0 {
                    Line::End
                } else {
                    Line::Fragment(self.ahead())
                });
            }
        }
    }

    /// What was read of the next line and perhaps those after it, no more than a line may have.
    fn ahead(&self) -> &[u8] {
        let end = self.end.min(self.start + LINE_BYTES);
        self.buffer.get(self.start..end).unwrap_or_default()
    }

    /// The line of `length` bytes that comes next; behind its newline the one after it begins.
    fn take(&mut self, length: usize) -> &[u8] {
        let line = self.start..self.start + length;
        self.start = line.end + 1;
        self.offset += length as u64 + 1;
        self.buffer.get(line).unwrap_or_default()
    }

    /// Moves what has not been given to the front and reads more behind it; false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = loop {
            match self.file.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.end += read;
        Ok(read > 0)
    }
}
