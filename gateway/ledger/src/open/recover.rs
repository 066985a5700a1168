//! Opening a ledger after anything: check, mend only what a crash can leave, refuse the rest. What is decided in which case
//! stands in one table, [`CASES`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use plugin_protocol::event::{Event, EventKind};
use plugin_protocol::json;

use crate::disk::layout::Layout;
use crate::disk::lock::Lock;
use crate::disk::segment::{self, Segment};
use crate::error::Error;
use crate::ledger::Options;
use crate::line::event::{Clock, Draft};
use crate::open::init::{read_small, signer};
use crate::open::quarantine::{Cut, cut, record_cuts};
use crate::open::survey::{Survey, rebuild_tiles};
use crate::open::torn::{Rest, classify};
use crate::read::mark::PlacedLines;
use crate::read::tally::CLOSES;
use crate::tree::anchor::Anchor;
use crate::tree::checkpoint::{Checkpoint, LogKey};
use crate::tree::claims::{Claims, Standing, note_path};
use crate::write::publish::Publisher;
use crate::write::writer::{GROUP_BYTES, Writer};

/// The most that a crash can tear, in bytes: a batch, and the write that made it too large.
const TORN_BYTES: u64 = 2 * GROUP_BYTES;

/// What opening a ledger found and did.
#[derive(Debug)]
pub struct Opening {
    /// The events, those that opening added included.
    pub events: u64,
    /// The newest checkpoint that was there.
    pub checkpoint: Option<Checkpoint>,
    /// The first event whose bytes were read and checked; those before it are vouched for by a checkpoint alone.
    pub checked_from: u64,
    /// The unfinished writes that were moved to quarantine.
    pub cuts: Vec<Cut>,
    /// The calls that a crash left open, now closed by an `ERROR` with `outcome` = `unknown`: their `INVOKE` events.
    pub closed: Vec<Event>,
    /// Whether the tree's hashes on disk did not fit the events and were made again.
    pub tiles_rebuilt: bool,
}

/// What stands behind the last good line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing.
    Clean,
    /// A write that a crash tore.
    Torn,
    /// Something that no crash leaves, or anything before the last segment.
    Damaged,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on at the end.
    Open,
    /// Move what is torn to quarantine, then go on.
    Cut,
    /// Refuse and name the bad line.
    RefuseLine,
    /// Refuse and name the checkpoint that is not borne out.
    RefuseClaim,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) tail: Tail,
    pub(crate) standing: Standing,
    pub(crate) verdict: Verdict,
    /// Why.
    pub(crate) because: &'static str,
}

/// Every combination of what opening can find, and what is done about it.
pub(crate) const CASES: [Case; 9] = [
    case(
        Tail::Clean,
        Standing::Kept,
        Verdict::Open,
        "all is as it was left",
    ),
    case(
        Tail::Torn,
        Standing::Kept,
        Verdict::Cut,
        "a crash came before the sync, so nobody was told of what is torn",
    ),
    case(
        Tail::Damaged,
        Standing::Kept,
        Verdict::RefuseLine,
        "what was synced has changed",
    ),
    case(
        Tail::Clean,
        Standing::Differs,
        Verdict::RefuseClaim,
        "another history was put in the place of the one that was signed",
    ),
    case(
        Tail::Torn,
        Standing::Differs,
        Verdict::RefuseClaim,
        "the same, and then a crash",
    ),
    case(
        Tail::Damaged,
        Standing::Differs,
        Verdict::RefuseLine,
        "the bad line says more than the checkpoint does",
    ),
    case(
        Tail::Clean,
        Standing::Ahead,
        Verdict::RefuseClaim,
        "events that were signed for are gone: the end was cut off, or an old copy was put back",
    ),
    case(
        Tail::Torn,
        Standing::Ahead,
        Verdict::RefuseClaim,
        "what is torn was signed for, and so had been synced: no crash did this",
    ),
    case(
        Tail::Damaged,
        Standing::Ahead,
        Verdict::RefuseLine,
        "the bad line is why the signed events cannot be reached",
    ),
];

const fn case(tail: Tail, standing: Standing, verdict: Verdict, because: &'static str) -> Case {
    Case {
        tail,
        standing,
        verdict,
        because,
    }
}

fn decide(tail: Tail, standing: Standing) -> &'static Case {
    let found = CASES
        .iter()
        .find(|case| case.tail == tail && case.standing == standing);
    // The table is complete (a test goes through it); were it not, refusing is safe.
    found.unwrap_or(&CASES[2])
}

/// Opens the ledger for its one writer.
pub(crate) fn open(
    state: &Path,
    options: &Options,
    registry_events: &mut dyn FnMut(&Event),
) -> Result<(Writer, Lock, Opening), Error> {
    let layout = Layout::existing(state)?;
    let lock = Lock::take(&layout.lock())?;
    let signer = signer(&layout)?;
    let key = signer.public();
    let anchor = Anchor::read(&layout, options.anchor.as_deref())?;
    let claims = Claims::gather(&layout, &key, Some(&anchor))?;
    let checkpoint = claims.checkpoints().next_back().copied();
    let mut survey = Survey::make(&layout, &key, claims, options.check_bytes, registry_events)?;

    let (tail, rest) = survey.tail()?;
    let case = decide(tail, survey.claims.standing());
    match (case.verdict, survey.walked.last.as_ref()) {
        (Verdict::Open, _) => {}
        (Verdict::Cut, Some(segment)) => cut(&layout, options.disk.as_ref(), segment, &rest)?,
        (Verdict::RefuseClaim, _) => return Err(survey.broken_claim(case)),
        (Verdict::Cut, None) | (Verdict::RefuseLine, _) => return Err(survey.broken_line(case)),
    }

    let head = survey.walked.head;
    let tiles = survey.tiles.take();
    let tiles_rebuilt = tiles.is_none();
    let tiles = match tiles {
        Some(tiles) => tiles,
        None => rebuild_tiles(&layout, options.disk.as_ref())?,
    };
    let mut clock = Clock::new(options.clock);
    if let Some(id) = &survey.tally.last_id {
        clock.continue_after(id);
    }
    let recorded_cuts = std::mem::take(&mut survey.tally.recorded_cuts);
    let open_calls = survey.tally.calls.places();
    let recent = recent_notes(&layout, &survey.claims)?;
    let mut publisher = Publisher::resume(
        &layout,
        Arc::clone(&options.disk),
        signer,
        anchor,
        (tiles, survey.tally),
        recent,
    );
    if let Some((checkpoint, note)) = newest_note(&layout, &key, head.size) {
        publisher.already(checkpoint, note);
    }
    let mut writer = Writer::resume(&layout, options, clock, head, survey.walked.last, publisher)?;
    let cuts = record_cuts(&layout, &mut writer, &recorded_cuts)?;
    let closed = close_calls(&layout, &mut writer, &open_calls)?;
    let opening = Opening {
        events: writer.head().size,
        checkpoint,
        checked_from: survey.checked_from,
        cuts,
        closed,
        tiles_rebuilt,
    };
    Ok((writer, lock, opening))
}

impl Survey {
    /// What stands behind the last good line, and its bytes.
    fn tail(&self) -> Result<(Tail, Vec<u8>), Error> {
        let Some(stop) = &self.walked.stop else {
            return Ok((Tail::Clean, Vec::new()));
        };
        let Some(segment) = self.walked.last.as_ref().filter(|_| stop.in_last) else {
            return Ok((Tail::Damaged, Vec::new()));
        };
        let rest = rest_of(segment)?;
        let tail = match classify(&rest, segment.bytes, self.tally.last_id.as_ref()) {
            Rest::Fragment | Rest::TornBatch if rest.len() as u64 <= TORN_BYTES => Tail::Torn,
            Rest::Fragment | Rest::TornBatch | Rest::Damage => Tail::Damaged,
        };
        Ok((tail, rest))
    }

    fn broken_line(&mut self, case: &Case) -> Error {
        match self.walked.stop.take() {
            Some(stop) => Error::Broken {
                index: stop.index,
                reason: format!("{} ({})", stop.reason, case.because),
            },
            None => self.broken_claim(case),
        }
    }

    fn broken_claim(&self, case: &Case) -> Error {
        let events = self.walked.head.size;
        let (index, complaint) = self
            .claims
            .complaint(events)
            .unwrap_or((events, "it is not what it was".to_owned()));
        Error::Broken {
            index,
            reason: format!("{complaint} ({})", case.because),
        }
    }
}

/// What follows the good bytes of the last segment; a little more than a crash can tear is enough to know.
fn rest_of(segment: &Segment) -> Result<Vec<u8>, Error> {
    let mut rest = Vec::new();
    let read = File::open(&segment.path).and_then(|mut file| {
        file.seek(SeekFrom::Start(segment.bytes))?;
        file.take(TORN_BYTES + 1).read_to_end(&mut rest)
    });
    read.map_err(Error::io("read", &segment.path))?;
    Ok(rest)
}

/// The checkpoints that are at no segment's end.
fn recent_notes(layout: &Layout, claims: &Claims) -> Result<Vec<u64>, Error> {
    let ends: Vec<u64> = segment::list(layout)?
        .iter()
        .map(|segment| segment.first)
        .collect();
    let mut recent: Vec<u64> = claims
        .checkpoints()
        .map(|claim| claim.size)
        .filter(|size| ends.binary_search(size).is_err())
        .collect();
    recent.dedup();
    Ok(recent)
}

fn newest_note(layout: &Layout, key: &LogKey, size: u64) -> Option<(Checkpoint, String)> {
    let note = read_small(&note_path(layout, size)).ok()?;
    Some((key.open(&note).ok()?, note))
}

/// Closes each open call: whether the plugin ran, and what came of it, nobody knows. It is never run again by itself.
fn close_calls(
    layout: &Layout,
    writer: &mut Writer,
    open: &[crate::read::walk::Place],
) -> Result<Vec<Event>, Error> {
    let mut lines = PlacedLines::new(layout);
    let mut invokes = Vec::new();
    for place in open {
        invokes.push(read(&lines.read(place)?).map_err(|reason| Error::Broken {
            index: place.index,
            reason,
        })?);
    }
    writer.append_all(invokes.iter().map(unknown_outcome).collect())?;
    Ok(invokes)
}

fn unknown_outcome(invoke: &Event) -> Draft {
    let meta = [
        ("outcome", "unknown".to_owned()),
        (
            "reason",
            "the gateway ended before it recorded what came of this call".to_owned(),
        ),
        (CLOSES, invoke.event_id.to_string()),
    ];
    Draft {
        run_id: invoke.run_id.clone(),
        kind: EventKind::Error,
        plugin_id: invoke.plugin_id.clone(),
        request_id: invoke.request_id.clone(),
        input_hash: invoke.input_hash,
        output_hash: None,
        meta: BTreeMap::from(meta.map(|(key, value)| (key.to_owned(), value))),
    }
}

/// Reads a line that the scanner passed.
pub(crate) fn read(line: &[u8]) -> Result<Event, String> {
    json::read_as(line).map_err(|error| error.to_string())
}
