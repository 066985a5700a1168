//! Reading without the lock: all events, the last ones, those that match, and those that are still to come.
//!
//! A reader beside a running writer sees whole lines only; the last of them may not be durable yet.

use std::collections::VecDeque;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use plugin_protocol::canonical;
use plugin_protocol::event::{Event, EventKind};
use plugin_protocol::ids::{PluginId, RequestId, RunId};
use plugin_protocol::time::Timestamp;

use super::chain::Head;
use super::error::Error;
use super::layout::Layout;
use super::recover::read;
use super::scan::Scanned;
use super::segment::{self, Line, Lines};

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
        lines: CheckedLines::open(state)?,
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
/// # Errors
/// When there is no ledger, it is broken, or the system refuses.
pub fn registry_events(state: &Path, each: &mut dyn FnMut(&Event)) -> Result<(), Error> {
    let mut lines = CheckedLines::open(state)?;
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

/// Which events are wanted: all that match every part that is set.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this run.
    pub run: Option<RunId>,
    /// About this plugin.
    pub plugin: Option<PluginId>,
    /// About this request.
    pub request: Option<RequestId>,
    /// Of this kind.
    pub kind: Option<EventKind>,
    /// Recorded then or later.
    pub since: Option<Timestamp>,
    /// Recorded then or before.
    pub until: Option<Timestamp>,
}

/// The events that match a filter, in ledger order.
#[derive(Debug)]
pub struct Query {
    lines: CheckedLines,
    wanted: Wanted,
}

/// Finds the events that match `filter`.
///
/// # Errors
/// When there is no ledger, or the system refuses.
pub fn query(state: &Path, filter: &Filter) -> Result<Query, Error> {
    Ok(Query {
        lines: CheckedLines::open(state)?,
        wanted: Wanted::new(filter),
    })
}

impl Iterator for Query {
    type Item = Result<Stored, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let wanted = &self.wanted;
        self.lines
            .next_matching(&mut |scanned| wanted.matches(scanned))
            .transpose()
    }
}

/// A filter in the form in which lines hold it.
#[derive(Debug)]
struct Wanted {
    run: Option<String>,
    plugin: Option<String>,
    request: Option<String>,
    kind: Option<EventKind>,
    since: Option<String>,
    until: Option<String>,
}

impl Wanted {
    fn new(filter: &Filter) -> Self {
        Self {
            run: filter.run.as_ref().map(|run| escaped(run.as_str())),
            plugin: filter
                .plugin
                .as_ref()
                .map(|plugin| plugin.as_str().to_owned()),
            request: filter
                .request
                .as_ref()
                .map(|request| escaped(request.as_str())),
            kind: filter.kind,
            since: filter.since.as_ref().map(in_utc),
            until: filter.until.as_ref().map(in_utc),
        }
    }

    fn matches(&self, scanned: &Scanned<'_>) -> bool {
        let same = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        same(&self.run, scanned.run_id)
            && same(&self.plugin, scanned.plugin_id)
            && same(&self.request, scanned.request_id)
            && self.kind.is_none_or(|kind| kind == scanned.kind)
            // Times of the ledger all have one form and zone, so their texts sort as they do.
            && self.since.as_ref().is_none_or(|since| since.as_str() <= scanned.ts)
            && self.until.as_ref().is_none_or(|until| scanned.ts <= until.as_str())
    }
}

fn escaped(id: &str) -> String {
    let quoted = canonical::text(&id);
    quoted
        .get(1..quoted.len() - 1)
        .unwrap_or_default()
        .to_owned()
}

fn in_utc(time: &Timestamp) -> String {
    let parsed = time.as_str().parse::<jiff::Timestamp>();
    parsed.map_or_else(|_| time.to_string(), |time| format!("{time:.3}"))
}

/// The last `n` events, oldest first.
///
/// # Errors
/// When there is no ledger, the lines wanted are broken, or the system refuses.
pub fn tail(state: &Path, n: usize) -> Result<Vec<Stored>, Error> {
    let layout = Layout::existing(state)?;
    let mut last: VecDeque<Stored> = VecDeque::new();
    for segment in segment::list(&layout)?.into_iter().rev() {
        let mut found: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        let (mut index, mut lines) = (segment.first, Lines::open(&segment.path, 0)?);
        while let Line::Whole(line) = lines.next().map_err(Error::io("read", &segment.path))? {
            found.push_back((index, line.to_owned()));
            index += 1;
            if found.len() > n - last.len() {
                found.pop_front();
            }
        }
        for (index, line) in found.into_iter().rev() {
            let event = read(&line).map_err(|reason| Error::Broken { index, reason })?;
            last.push_front(Stored { index, line, event });
        }
        if last.len() >= n {
            break;
        }
    }
    Ok(last.into())
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
    let mut lines = CheckedLines::open(state)?;
    let past = tail(state, n)?;
    let end = past.last().map_or(0, |stored| stored.index + 1);
    // What `tail` gave is passed over, and checked on the way.
    while lines.head.size < end && lines.next_matching(&mut |_| true)?.is_some() {}
    Ok(Follow {
        past: past.into_iter(),
        lines,
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
struct CheckedLines {
    layout: Layout,
    head: Head,
    segment: Option<(u64, Lines)>,
    failed: bool,
}

impl CheckedLines {
    fn open(state: &Path) -> Result<Self, Error> {
        Ok(Self {
            layout: Layout::existing(state)?,
            head: Head::default(),
            segment: None,
            failed: false,
        })
    }

    fn next_matching(
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
            let Some((first, lines)) = &mut self.segment else {
                if !self.enter_next()? {
                    return Ok(None);
                }
                continue;
            };
            let path = self.layout.segment(*first);
            let index = self.head.size;
            let broken = |reason| Error::Broken { index, reason };
            match lines.next().map_err(Error::io("read", &path))? {
                Line::Whole(line) => {
                    let scanned = self.head.follow(line).map_err(broken)?;
                    if wanted(&scanned) {
                        let event = read(line).map_err(broken)?;
                        return Ok(Some(Stored {
                            index,
                            line: line.to_owned(),
                            event,
                        }));
                    }
                }
                Line::TooLong => {
                    return Err(broken("its line is longer than a line may be".to_owned()));
                }
                Line::Fragment(_) => {
                    // The writer may be at it: read the same place again next time.
                    let again = lines.offset();
                    self.segment = Some((*first, Lines::open(&path, again)?));
                    return Ok(None);
                }
                Line::End => {
                    if !self.enter_next()? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Goes on to the segment that begins with the next event, when it is there and is not the present one.
    fn enter_next(&mut self) -> Result<bool, Error> {
        let next = self.head.size;
        if self
            .segment
            .as_ref()
            .is_some_and(|(first, _)| *first == next)
        {
            return Ok(false);
        }
        let path = self.layout.segment(next);
        if !path.is_file() {
            return Ok(false);
        }
        self.segment = Some((next, Lines::open(&path, 0)?));
        Ok(true)
    }
}
