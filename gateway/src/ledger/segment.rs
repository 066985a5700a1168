//! Segments: the files that hold the lines, found and read in order.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use plugin_protocol::event::MAX_EVENT_BYTES;

use super::error::Error;
use super::layout::{Layout, SEGMENT_DIGITS, SEGMENT_SUFFIX};

/// A new segment begins when a line would make the present one longer than this: 64 MiB, some 120,000 events.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;

/// What is read ahead, in bytes.
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
pub(crate) fn list(layout: &Layout) -> Result<Vec<Segment>, Error> {
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

/// Reads lines one after the other in constant memory.
#[derive(Debug)]
pub(crate) struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Where the next line begins, in bytes from the start of the file.
    offset: u64,
}

impl Lines {
    pub(crate) fn open(path: &Path, offset: u64) -> Result<Self, Error> {
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        file.seek(SeekFrom::Start(offset))
            .map_err(Error::io("read", path))?;
        Ok(Self {
            reader: BufReader::with_capacity(READ_BYTES, file),
            line: Vec::new(),
            offset,
        })
    }

    /// Where the next line begins, in bytes from the start of the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn next(&mut self) -> io::Result<Line<'_>> {
        const LIMIT: u64 = MAX_EVENT_BYTES as u64 + 1;
        self.line.clear();
        let read = self
            .reader
            .by_ref()
            .take(LIMIT)
            .read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(Line::End);
        }
        if self.line.pop_if(|last| *last == b'\n').is_some() {
            self.offset += read as u64;
            return Ok(Line::Whole(&self.line));
        }
        Ok(if read as u64 == LIMIT {
            Line::TooLong
        } else {
            Line::Fragment(&self.line)
        })
    }
}
