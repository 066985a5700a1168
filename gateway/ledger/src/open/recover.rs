//! Opening a ledger in whatever state it is: check it, mend only what a crash can leave, refuse the rest. [`decide`] holds the
//! table of cases.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use plugin_protocol::digest::FileHash;
use plugin_protocol::event::{Event, EventKind, meta};

use super::decide::{Action, Decision, Tail, decide};
use super::init::check_origin;
use super::quarantine::{Cut, move_to_quarantine, record_cuts};
use super::survey::{Survey, rebuild_tiles};
use super::torn::is_torn_write;
use crate::disk::{EventPlace, Layout, Lock, Segment, list_segments, make_folder, read_small};
use crate::error::Error;
use crate::line::{Clock, Draft, event_at};
use crate::options::Options;
use crate::read::{Base, PlacedLines, Pruned};
use crate::tree::{Anchor, Checkpoint, Claims, LogKey, load_signer, note_path};
use crate::write::{GROUP_BYTES, Plan, Publisher, Writer, sweep};

/// The most that a crash can tear, in bytes: a batch, and the write that made it too large.
const TORN_BYTES: u64 = 2 * GROUP_BYTES;

/// What opening a ledger found and did.
#[derive(Debug)]
pub struct Opening {
    /// How many events there are now, with those that opening added.
    pub events: u64,
    /// The newest checkpoint that was there.
    pub checkpoint: Option<Checkpoint>,
    /// The first event whose bytes were read and checked; those before it are vouched for by a checkpoint alone.
    pub checked_from: u64,
    /// The unfinished writes that were moved to quarantine.
    pub cuts: Vec<Cut>,
    /// The `INVOKE` events of the calls that a crash left open; each is now closed by an `ERROR` with `outcome` = `unknown`.
    pub closed: Vec<Event>,
    /// Whether the tree's hashes on disk did not fit the events and were made again.
    pub tiles_rebuilt: bool,
    /// What was pruned, if anything.
    pub pruned: Option<Pruned>,
}

/// Opens the ledger for its one writer.
pub(crate) fn recover(
    state: &Path,
    options: &Options,
    registry_events: &mut dyn FnMut(&Event),
) -> Result<(Writer, Lock, Opening), Error> {
    let layout = Layout::existing(state)?;
    let lock = Lock::take(&layout.lock())?;
    // Copies by tools that keep no empty folder lose it.
    make_folder(&layout.quarantine())?;
    // What a pruning left behind that a crash cut off.
    sweep(&layout, options.disk.as_ref())?;
    let signer = load_signer(&layout)?;
    check_origin(options.origin.as_deref(), signer.name())?;
    let key = signer.public();
    let anchor = Anchor::read(&layout, options.anchor.as_deref())?;
    let claims = Claims::gather(&layout, &key, Some(&anchor))?;
    let checkpoint = claims.checkpoints().next_back().copied();
    let mut survey = Survey::make(&layout, &key, claims, options.check_bytes, registry_events)?;

    let base = Base::load(&layout)?;
    if let Some(reason) = base.complaint(survey.tally.pruned.as_ref()) {
        let index = base.before();
        return Err(Error::Broken { index, reason });
    }
    let recorded_pruning = survey.tally.pruned.filter(|(to, _)| *to > base.before());

    let (tail, rest) = survey.tail()?;
    let decision = decide(tail, survey.claims.agreement());
    match (decision.action, survey.walked.last.as_ref()) {
        (Action::Open, _) => {}
        (Action::Cut, Some(segment)) => {
            move_to_quarantine(&layout, options.disk.as_ref(), segment, &rest)?;
        }
        (Action::RefuseClaim, _) => return Err(survey.broken_claim(decision)),
        (Action::Cut, None) | (Action::RefuseLine, _) => return Err(survey.broken_line(decision)),
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
    if let Some((before, sha256)) = recorded_pruning {
        complete_pruning(&layout, &mut writer, &key, (before, sha256))?;
    }
    let opening = Opening {
        events: writer.head().size,
        checkpoint,
        checked_from: survey.checked_from,
        cuts,
        closed,
        tiles_rebuilt,
        pruned: Base::load(&layout)?.summary(),
    };
    Ok((writer, lock, opening))
}

/// Drops the lines that a recorded pruning was to drop when a crash cut it off.
fn complete_pruning(
    layout: &Layout,
    writer: &mut Writer,
    key: &LogKey,
    (before, sha256): (u64, FileHash),
) -> Result<(), Error> {
    writer.publish()?;
    let plan = Plan::make(layout, writer.disk(), key, before)?;
    if plan.sha256() != sha256 {
        let reason =
            format!("event {before} and those before it are not what their pruning's event says");
        return Err(Error::Broken { index: 0, reason });
    }
    plan.put_together(layout, writer.disk())?;
    writer.prune(&plan, true)?;
    sweep(layout, writer.disk())
}

impl Survey {
    /// What follows the last good line, and its bytes.
    fn tail(&self) -> Result<(Tail, Vec<u8>), Error> {
        let Some(stop) = &self.walked.stop else {
            return Ok((Tail::Clean, Vec::new()));
        };
        let Some(segment) = self.walked.last.as_ref().filter(|_| stop.in_last) else {
            return Ok((Tail::Damaged, Vec::new()));
        };
        let rest = rest_of(segment)?;
        let torn = rest.len() as u64 <= TORN_BYTES
            && is_torn_write(&rest, segment.bytes, self.tally.last_id.as_ref());
        let tail = if torn { Tail::Torn } else { Tail::Damaged };
        Ok((tail, rest))
    }

    fn broken_line(&mut self, decision: Decision) -> Error {
        match self.walked.stop.take() {
            Some(stop) => Error::Broken {
                index: stop.index,
                reason: format!("{} ({})", stop.reason, decision.because),
            },
            None => self.broken_claim(decision),
        }
    }

    fn broken_claim(&self, decision: Decision) -> Error {
        let events = self.walked.head.size;
        let (index, complaint) = self
            .claims
            .complaint(events)
            .unwrap_or((events, "a checkpoint does not match its events".to_owned()));
        Error::Broken {
            index,
            reason: format!("{complaint} ({})", decision.because),
        }
    }
}

/// What follows the good bytes of the last segment, read to at most one byte more than a crash can tear.
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
    let before = Base::load(layout)?.before();
    let ends: Vec<u64> = list_segments(layout)?
        .iter()
        .map(|segment| segment.first)
        .collect();
    let mut recent: Vec<u64> = claims
        .checkpoints()
        .map(|claim| claim.size)
        // Those over what was pruned stay: nothing else says what the tree was then.
        .filter(|size| *size > before && ends.binary_search(size).is_err())
        .collect();
    recent.dedup();
    Ok(recent)
}

fn newest_note(layout: &Layout, key: &LogKey, size: u64) -> Option<(Checkpoint, String)> {
    let note = read_small(&note_path(layout, size)).ok()?;
    Some((key.open(&note).ok()?, note))
}

/// Closes each open call. Nobody knows whether its plugin ran or what came of it, and the gateway does not run it again.
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
    // The hash is taken over, and so is what it is.
    let hashes = [meta::HASHES, meta::SALT_ID];
    let hashes = hashes.into_iter().filter_map(|name| {
        let value = invoke.meta.get(name)?;
        Some((name.to_owned(), value.clone()))
    });
    Draft {
        run_id: invoke.run_id.clone(),
        kind: EventKind::Error,
        plugin_id: invoke.plugin_id.clone(),
        request_id: invoke.request_id.clone(),
        input_hash: invoke.input_hash,
        output_hash: None,
        meta: meta
            .map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .chain(hashes)
            .collect(),
    }
}
