//! Lines in order, each checked to follow the one before. After a bad line nothing more is given.

use plugin_protocol::event::Event;

use crate::disk::{Boundary, Layout, Line, Lines, list_segments};
use crate::error::Error;
use crate::line::{Head, Scanned, event_at};

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the ledger, from 0.
    pub index: u64,
    /// Its line without the newline: its canonical JSON.
    pub line: Vec<u8>,
    /// The same, read.
    pub event: Event,
}

impl Stored {
    pub(crate) fn read(index: u64, line: Vec<u8>) -> Result<Self, Error> {
        let event = event_at(index, &line)?;
        Ok(Self { index, line, event })
    }
}

/// Lines in order across segments, each checked; at the end it can be asked again.
#[derive(Debug)]
pub(crate) struct CheckedLines {
    layout: Layout,
    head: Head,
    /// The segment and where to go on in it, when its lines are not open.
    at: (u64, u64),
    lines: Option<Lines>,
    failed: bool,
}

impl CheckedLines {
    pub(crate) fn open(layout: &Layout, start: Boundary) -> Self {
        Self {
            layout: layout.clone(),
            head: start.head,
            at: (start.segment, start.offset),
            lines: None,
            failed: false,
        }
    }

    pub(crate) fn next_matching(
        &mut self,
        wanted: &mut dyn FnMut(&Scanned<'_>) -> bool,
    ) -> Result<Option<Stored>, Error> {
        if self.failed {
            return Ok(None);
        }
        let found = self.search(wanted);
        // After a broken line nothing that follows can be vouched for.
        self.failed = found.is_err();
        found
    }

    /// Where the next event stands when its segment is not there any more.
    fn moved(&self) -> Result<Option<(u64, u64)>, Error> {
        let index = self.head.size;
        let mut segments = list_segments(&self.layout)?;
        let Some(begin) = segments.first().map(|segment| segment.first) else {
            return Ok(None);
        };
        if begin > index {
            return Err(Error::Broken {
                index,
                reason: format!("the lines before event {begin} were pruned meanwhile"),
            });
        }
        segments.retain(|segment| segment.first <= index);
        let Some(segment) = segments.pop() else {
            return Ok(None);
        };
        let mut lines = Lines::open(&segment.path, 0)?;
        for _ in segment.first..index {
            lines.next().map_err(Error::io("read", &segment.path))?;
        }
        Ok(Some((segment.first, lines.offset())))
    }

    fn search(
        &mut self,
        wanted: &mut dyn FnMut(&Scanned<'_>) -> bool,
    ) -> Result<Option<Stored>, Error> {
        loop {
            let (segment, offset) = self.at;
            let path = self.layout.segment(segment);
            let lines = match &mut self.lines {
                Some(lines) => lines,
                // A pruning gave the segment another beginning; or the ledger is empty, was never opened, and has no segment yet.
                None if !path.is_file() => match self.moved()? {
                    Some(at) => {
                        self.at = at;
                        continue;
                    }
                    None => return Ok(None),
                },
                closed => closed.insert(Lines::open(&path, offset)?),
            };
            let index = self.head.size;
            let broken = |reason| Error::Broken { index, reason };
            match lines.next().map_err(Error::io("read", &path))? {
                Line::Whole(line) => {
                    let scanned = self.head.follow(line).map_err(broken)?;
                    if wanted(&scanned) {
                        return Stored::read(index, line.to_owned()).map(Some);
                    }
                }
                Line::TooLong => {
                    return Err(broken("its line is longer than a line may be".to_owned()));
                }
                Line::Fragment(_) | Line::End => {
                    let end = lines.offset();
                    self.lines = None;
                    // The next segment is named by the next event. While it is not there, the writer may still be at this one.
                    if segment == index || !self.layout.segment(index).is_file() {
                        self.at = (segment, end);
                        return Ok(None);
                    }
                    self.at = (index, 0);
                }
            }
        }
    }
}
