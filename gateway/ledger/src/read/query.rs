//! Finding events that match, without the lock; by the index when a run, a request or a plugin is asked for.

use std::collections::VecDeque;
use std::path::Path;

use plugin_protocol::event::EventKind;
use plugin_protocol::ids::{PluginId, RequestId, RunId};
use plugin_protocol::time::Timestamp;

use super::checked::{CheckedLines, Stored};
use super::index::{Key, places_of};
use super::placed::PlacedLines;
use super::pruned::Base;
use crate::disk::{EventPlace, Layout, Segment, list_segments};
use crate::error::Error;
use crate::line::{Scanned, escaped, scan};

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
    wanted: Wanted,
    /// The lines that a pruning carried over; they come first.
    carried: VecDeque<Stored>,
    source: Source,
}

/// Where a query takes its lines from.
#[derive(Debug)]
enum Source {
    /// Every line, each checked to follow the one before.
    All(CheckedLines),
    /// The lines that an index leads to, each checked to carry its own hash.
    Keyed {
        layout: Layout,
        key: Key,
        segments: VecDeque<Segment>,
        places: VecDeque<EventPlace>,
        lines: PlacedLines,
    },
}

/// Finds the events that match `filter`.
///
/// # Errors
/// When there is no ledger, or the system refuses.
pub fn query(state: &Path, filter: &Filter) -> Result<Query, Error> {
    let layout = Layout::existing(state)?;
    let wanted = Wanted::new(filter);
    let base = Base::load(&layout)?;
    let mut carried: VecDeque<Stored> = base.stored()?.into();
    carried.retain(|stored| scan(&stored.line).is_ok_and(|scanned| wanted.matches(&scanned)));
    let source = match wanted.key() {
        None => Source::All(CheckedLines::open(&layout, base.start())),
        Some(key) => {
            let segments = list_segments(&layout)?.into();
            Source::Keyed {
                key,
                segments,
                places: VecDeque::new(),
                lines: PlacedLines::new(&layout),
                layout,
            }
        }
    };
    Ok(Query {
        wanted,
        carried,
        source,
    })
}

impl Iterator for Query {
    type Item = Result<Stored, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(stored) = self.carried.pop_front() {
            return Some(Ok(stored));
        }
        let found = self.source.next_matching(&self.wanted);
        if found.is_err()
            && let Source::Keyed {
                segments, places, ..
            } = &mut self.source
        {
            segments.clear();
            places.clear();
        }
        found.transpose()
    }
}

impl Source {
    fn next_matching(&mut self, wanted: &Wanted) -> Result<Option<Stored>, Error> {
        match self {
            Self::All(lines) => lines.next_matching(&mut |scanned| wanted.matches(scanned)),
            Self::Keyed {
                layout,
                key,
                segments,
                places,
                lines,
            } => loop {
                while let Some(place) = places.pop_front() {
                    let line = lines.read(&place)?;
                    if scan(&line).is_ok_and(|scanned| wanted.matches(&scanned)) {
                        return Stored::read(place.index, line).map(Some);
                    }
                }
                let Some(segment) = segments.pop_front() else {
                    return Ok(None);
                };
                *places = places_of(layout, &segment, u64::MAX, key)?.into();
            },
        }
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

    /// What to look up: the part that fewest events share.
    fn key(&self) -> Option<Key> {
        let request = self.request.clone().map(Key::Request);
        request
            .or(self.run.clone().map(Key::Run))
            .or(self.plugin.clone().map(Key::Plugin))
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

fn in_utc(time: &Timestamp) -> String {
    let parsed = time.as_str().parse::<jiff::Timestamp>();
    parsed.map_or_else(|_| time.to_string(), |time| format!("{time:.3}"))
}
