//! Reading in order without the lock: all events, the last ones, and those that are still to come.
//!
//! A reader beside a running writer sees whole lines only; the last of them may not be durable yet.

use std::collections::VecDeque;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::checked::{CheckedLines, Stored};
use super::placed::PlacedLines;
use super::pruned::Base;
use crate::disk::{Boundary, EventPlace, Layout, Line, Lines, list_segments};
use crate::error::Error;
use crate::line::{Head, Scanned, scan};

/// How often a follower looks for new events.
const FOLLOW_EVERY: Duration = Duration::from_millis(50);

/// Every event in order, each checked against the one before; after the end, newer ones once they are there.
#[derive(Debug)]
pub struct Events {
    /// The lines that a pruning carried over; they come first.
    carried: std::vec::IntoIter<Stored>,
    lines: CheckedLines,
}

/// Reads all events of the ledger below `state` from the first; of those that were pruned, the ones that were carried over.
///
/// # Errors
/// When there is no ledger, or the system refuses.
pub fn events(state: &Path) -> Result<Events, Error> {
    let layout = Layout::existing(state)?;
    let base = Base::load(&layout)?;
    Ok(Events {
        carried: base.stored()?.into_iter(),
        lines: CheckedLines::open(&layout, base.start()),
    })
}

/// Reads the events of the ledger below `state` from the one with index `from`; where there are fewer, those that come next. What lies
/// before it in older segments is not read, and in its own only counted; of those that were pruned, the ones that were carried over.
///
/// # Errors
/// As [`tail`].
pub fn events_from(state: &Path, from: u64) -> Result<Events, Error> {
    let layout = Layout::existing(state)?;
    let base = Base::load(&layout)?;
    let start = match from.checked_sub(1) {
        None => base.start(),
        Some(before) => after(&layout, up_to(&layout, before)?.as_ref())?,
    };
    let mut carried = base.stored()?;
    carried.retain(|stored| stored.index >= from);
    Ok(Events {
        carried: carried.into_iter(),
        lines: CheckedLines::open(&layout, start),
    })
}

/// The line with this index and its place; of a ledger that is shorter the last one.
fn up_to(layout: &Layout, index: u64) -> Result<Option<(EventPlace, Vec<u8>)>, Error> {
    let segments = list_segments(layout)?;
    let mut found = None;
    // A segment that was just begun is empty, and then the line is in the one before.
    let behind = segments.iter().rev().skip_while(|one| one.first > index);
    for segment in behind {
        let mut lines = Lines::open(&segment.path, 0)?;
        for at in segment.first..=index {
            let place = EventPlace {
                index: at,
                segment: segment.first,
                offset: lines.offset(),
            };
            let next = lines.next().map_err(Error::io("read", &segment.path))?;
            if !matches!(next, Line::Whole(_)) {
                break;
            }
            found = Some(place);
        }
        if found.is_some() {
            break;
        }
    }
    let read = |place| Ok((place, PlacedLines::new(layout).read(&place)?));
    found.map(read).transpose()
}

impl Events {
    /// Reads the events behind `start`.
    pub(crate) fn from(layout: &Layout, start: Boundary) -> Self {
        Self {
            carried: Vec::new().into_iter(),
            lines: CheckedLines::open(layout, start),
        }
    }
}

impl Iterator for Events {
    type Item = Result<Stored, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(stored) = self.carried.next() {
            return Some(Ok(stored));
        }
        self.lines.next_matching(&mut |_| true).transpose()
    }
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
fn last(layout: &Layout, n: usize) -> Result<VecDeque<(EventPlace, Vec<u8>)>, Error> {
    let mut last = VecDeque::new();
    for segment in list_segments(layout)?.into_iter().rev() {
        let mut found = VecDeque::new();
        let mut lines = Lines::open(&segment.path, 0)?;
        for index in segment.first.. {
            let place = EventPlace {
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

/// The registry's events (`REGISTER`, `ENABLE`, `DISABLE`) that come after those there are now; asked again, it goes on where it ended.
#[derive(Debug)]
pub struct RegistryNews {
    lines: CheckedLines,
}

/// Waits, as [`RegistryNews`], for what the registry will record in the ledger below `state`. The past costs one look at the last segment.
///
/// # Errors
/// As [`tail`].
pub fn registry_news(state: &Path) -> Result<RegistryNews, Error> {
    let layout = Layout::existing(state)?;
    let start = after(&layout, last(&layout, 1)?.back())?;
    Ok(RegistryNews {
        lines: CheckedLines::open(&layout, start),
    })
}

impl Iterator for RegistryNews {
    type Item = Result<Stored, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut wanted = |scanned: &Scanned<'_>| scanned.kind.is_registry();
        self.lines.next_matching(&mut wanted).transpose()
    }
}

/// Where the event after `last` begins.
fn after(layout: &Layout, last: Option<&(EventPlace, Vec<u8>)>) -> Result<Boundary, Error> {
    let Some((place, line)) = last else {
        return Ok(Base::load(layout)?.start());
    };
    let scanned = scan(line).map_err(|flaw| Error::Broken {
        index: place.index,
        reason: flaw.to_string(),
    })?;
    let head = Head {
        size: place.index + 1,
        hash: Some(scanned.event_hash),
    };
    Ok(Boundary {
        head,
        segment: place.segment,
        offset: place.offset + line.len() as u64 + 1,
    })
}

/// Follows the ledger from its last `n` events on. `stop` is asked whenever there is nothing new.
///
/// # Errors
/// As [`tail`].
pub fn follow<'a>(state: &Path, n: usize, stop: &'a dyn Fn() -> bool) -> Result<Follow<'a>, Error> {
    let layout = Layout::existing(state)?;
    // One event at least, even if none is shown: new ones are checked to follow it.
    let last = last(&layout, n.max(1))?;
    let start = after(&layout, last.back())?;
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
