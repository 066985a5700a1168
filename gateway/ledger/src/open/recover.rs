//! Opening a ledger after anything: check, mend only what a crash can leave, refuse the rest. What is decided in which case
//! stands in [`decide`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use plugin_protocol::event::{Event, EventKind, meta};

use super::decide::{Case, Decision, Tail, decide};
use super::quarantine::{Cut, move_to_quarantine, record_cuts};
use super::survey::{Survey, rebuild_tiles};
use super::torn::{Rest, classify};
use crate::disk::{EventPlace, Layout, Lock, Segment, list_segments, read_small};
use crate::error::Error;
use crate::line::{Clock, Draft, event_at};
use crate::options::Options;
use crate::read::PlacedLines;
use crate::tree::{Anchor, Checkpoint, Claims, LogKey, load_signer, note_path};
use crate::write::{GROUP_BYTES, Publisher, Writer};

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

/// Opens the ledger for its one writer.
pub(crate) fn recover(
    state: &Path,
    options: &Options,
    registry_events: &mut dyn FnMut(&Event),
) -> Result<(Writer, Lock, Opening), Error> {
    let layout = Layout::existing(state)?;
    let lock = Lock::take(&layout.lock())?;
    let signer = load_signer(&layout)?;
    let key = signer.public();
    let anchor = Anchor::read(&layout, options.anchor.as_deref())?;
    let claims = Claims::gather(&layout, &key, Some(&anchor))?;
    let checkpoint = claims.checkpoints().next_back().copied();
    let mut survey = Survey::make(&layout, &key, claims, options.check_bytes, registry_events)?;

    let (tail, rest) = survey.tail()?;
    let case = decide(tail, survey.claims.standing());
    match (case.decision, survey.walked.last.as_ref()) {
        (Decision::Open, _) => {}
        (Decision::Cut, Some(segment)) => {
            move_to_quarantine(&layout, options.disk.as_ref(), segment, &rest)?;
        }
        (Decision::RefuseClaim, _) => return Err(survey.broken_claim(case)),
        (Decision::Cut, None) | (Decision::RefuseLine, _) => return Err(survey.broken_line(case)),
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

    fn broken_line(&mut self, case: Case) -> Error {
        match self.walked.stop.take() {
            Some(stop) => Error::Broken {
                index: stop.index,
                reason: format!("{} ({})", stop.reason, case.because),
            },
            None => self.broken_claim(case),
        }
    }

    fn broken_claim(&self, case: Case) -> Error {
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
    let ends: Vec<u64> = list_segments(layout)?
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
    open: &[EventPlace],
) -> Result<Vec<Event>, Error> {
    let mut lines = PlacedLines::new(layout);
    let mut invokes = Vec::new();
    for place in open {
        invokes.push(event_at(place.index, &lines.read(place)?)?);
    }
    writer.append_all(invokes.iter().map(unknown_outcome).collect())?;
    Ok(invokes)
}

fn unknown_outcome(invoke: &Event) -> Draft {
    let meta = [
        (meta::OUTCOME, "unknown".to_owned()),
        (
            meta::REASON,
            "the gateway ended before it recorded what came of this call".to_owned(),
        ),
        (meta::INVOKE, invoke.event_id.to_string()),
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
