//! Reading in order without the lock: all events, the last ones, and those that are still to come.
//!
//! A reader beside a running writer sees whole lines only; the last of them may not be durable yet.

use std::collections::VecDeque;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use plugin_protocol::event::{Event, EventKind};

use crate::disk::layout::Layout;
use crate::disk::segment::{self, Line, Lines};
use crate::error::Error;
use crate::ledger::CHECK_BYTES;
use crate::line::chain::Head;
use crate::line::scan::{Scanned, scan};
use crate::open::init::{public_key, read_small};
use crate::open::recover::read;
use crate::open::survey::Begin;
use crate::read::walk::{Place, Start};
use crate::tree::checkpoint::Checkpoint;
use crate::tree::claims::{Claims, note_path, note_sizes};

/// How often a follower looks for new events.
const FOLLOW_EVERY: Duration = Duration::from_millis(50);

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
        let event = read(&line).map_err(|reason| Error::Broken { index, reason })?;
        Ok(Self { index, line, event })
    }
}

/// Every event in order, each checked against the one before; after the end, newer ones once they are there.
#[derive(Debug)]
pub struct Events {
    lines: CheckedLines,
}

/// Reads all events of the ledger below `state` from the first.
///
/// # Errors
/// When there is no ledger, or the system refuses.
pub fn events(state: &Path) -> Result<Events, Error> {
    Ok(Events {
        lines: CheckedLines::open(&Layout::existing(state)?, Start::default()),
    })
}

impl Iterator for Events {
    type Item = Result<Stored, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.lines.next_matching(&mut |_| true).transpose()
    }
}

/// Gives each `REGISTER`, `ENABLE` and `DISABLE` event of the ledger below `state`, in order.
///
/// A large ledger is read from its newest mark on; the registry's events before it are found by the index, each is checked to carry its
/// own hash, and all together to be those that the mark was signed for.
///
/// # Errors
/// When there is no ledger, it is broken, or the system refuses.
pub fn registry_events(state: &Path, each: &mut dyn FnMut(&Event)) -> Result<(), Error> {
    let layout = Layout::existing(state)?;
    let key = public_key(&layout)?;
    let claims = Claims::gather(&layout, &key, None)?;
    let begin = Begin::find(&layout, &key, &claims, CHECK_BYTES)?;
    if let Some(mark) = &begin.mark {
        mark.each_registry_line(&layout, &mut |place, line| {
            each(&read(line).map_err(|reason| Error::Broken {
                index: place.index,
                reason,
            })?);
            Ok(())
        })?;
    }
    let mut lines = CheckedLines::open(&layout, begin.start);
    let mut registry = |scanned: &Scanned<'_>| match scanned.kind {
        EventKind::Register | EventKind::Enable | EventKind::Disable => true,
        EventKind::Invoke
        | EventKind::Result
        | EventKind::Reject
        | EventKind::Error
        | EventKind::ProofExport => false,
    };
    while let Some(stored) = lines.next_matching(&mut registry)? {
        each(&stored.event);
    }
    Ok(())
}

/// The newest checkpoint of the ledger below `state`, checked with its own public key, and the note.
///
/// # Errors
/// When there is no ledger, the note is not what this ledger wrote, or the system refuses.
pub fn newest_checkpoint(state: &Path) -> Result<Option<(Checkpoint, String)>, Error> {
    let layout = Layout::existing(state)?;
    let Some(&size) = note_sizes(&layout)?.last() else {
        return Ok(None);
    };
    let path = note_path(&layout, size);
    let note = read_small(&path)?;
    let checkpoint = public_key(&layout)?
        .open(&note)
        .map_err(|source| Error::Note { path, source })?;
    Ok(Some((checkpoint, note)))
}

/// The last `n` events, oldest first.
///
/// # Errors
/// When there is no ledger, the lines wanted are broken, or the system refuses.
pub fn tail(state: &Path, n: usize) -> Result<Vec<Stored>, Error> {
    let layout = Layout::existing(state)?;
    last(&layout, n)?
        .into_iter()
        .map(|(place, line)| Stored::read(place.index, line))
        .collect()
}

/// The last `n` lines and their places, oldest first.
fn last(layout: &Layout, n: usize) -> Result<VecDeque<(Place, Vec<u8>)>, Error> {
    let mut last = VecDeque::new();
    for segment in segment::list(layout)?.into_iter().rev() {
        let mut found = VecDeque::new();
        let mut lines = Lines::open(&segment.path, 0)?;
        for index in segment.first.. {
            let place = Place {
                index,
                segment: segment.first,
                offset: lines.offset(),
            };
            let Line::Whole(line) = lines.next().map_err(Error::io("read", &segment.path))? else {
                break;
            };
            found.push_back((place, line.to_owned()));
            if found.len() > n - last.len() {
                found.pop_front();
            }
        }
        found
            .into_iter()
            .rev()
            .for_each(|line| last.push_front(line));
        if last.len() >= n {
            break;
        }
    }
    Ok(last)
}

/// The last events, and then every new one as it comes; it ends only when `stop` says so.
pub struct Follow<'a> {
    past: std::vec::IntoIter<Stored>,
    lines: CheckedLines,
    stop: &'a dyn Fn() -> bool,
}

impl std::fmt::Debug for Follow<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follow")
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

/// Follows the ledger from its last `n` events on. `stop` is asked whenever there is nothing new.
///
/// # Errors
/// As [`tail`].
pub fn follow<'a>(state: &Path, n: usize, stop: &'a dyn Fn() -> bool) -> Result<Follow<'a>, Error> {
    let layout = Layout::existing(state)?;
    // One event at least, even if none is shown: new ones are checked to follow it.
    let last = last(&layout, n.max(1))?;
    let start = match last.back() {
        None => Start::default(),
        Some((place, line)) => {
            let broken = |reason: String| Error::Broken {
                index: place.index,
                reason,
            };
            let hash = scan(line)
                .map_err(|flaw| broken(flaw.to_string()))?
                .event_hash;
            let head = Head {
                size: place.index + 1,
                hash: Some(hash),
            };
            Start {
                head,
                segment: place.segment,
                offset: place.offset + line.len() as u64 + 1,
            }
        }
    };
    let shown = last.len().min(n);
    let skipped = last.len() - shown;
    let past: Result<Vec<Stored>, Error> = last
        .into_iter()
        .skip(skipped)
        .map(|(place, line)| Stored::read(place.index, line))
        .collect();
    Ok(Follow {
        past: past?.into_iter(),
        lines: CheckedLines::open(&layout, start),
        stop,
    })
}

impl Iterator for Follow<'_> {
    type Item = Result<Stored, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(stored) = self.past.next() {
            return Some(Ok(stored));
        }
        loop {
            match self.lines.next_matching(&mut |_| true).transpose() {
                Some(stored) => return Some(stored),
                None if (self.stop)() => return None,
                None => sleep(FOLLOW_EVERY),
            }
        }
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
    pub(crate) fn open(layout: &Layout, start: Start) -> Self {
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

    fn search(
        &mut self,
        wanted: &mut dyn FnMut(&Scanned<'_>) -> bool,
    ) -> Result<Option<Stored>, Error> {
        loop {
            let (segment, offset) = self.at;
            let path = self.layout.segment(segment);
            let lines = match &mut self.lines {
                Some(lines) => lines,
                // An empty ledger that was never opened has no segment yet.
                None if !path.is_file() => return Ok(None),
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
