//! Tells what a crash can leave behind the last good line from damage.
//!
//! A crash before the sync of a batch leaves any of its disk sectors written and the others zero or beyond the end. What it can
//! never do is touch an earlier batch, because that one was synced before this one was written. So a rest is a *torn write*
//! when it is a fragment without newline, or when it has holes of whole zero sectors (no line holds a zero byte) and every line that
//! is whole in it belongs to one and the same batch, the lines of which before it fit the hole. All else is *damage*.

use plugin_protocol::event::MAX_EVENT_BYTES;
use plugin_protocol::ids::EventId;

use crate::line::{batch_of, hash_of_line, place_in_batch, scan};

/// The smallest unit that a disk writes whole, in bytes.
const SECTOR: u64 = 512;

/// No line with its newline is shorter, in bytes: an event whose optional fields are all empty has some 330.
const SHORTEST_LINE: usize = 300;

/// What lies behind the last good line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The beginning of a line, without its newline.
    Fragment,
    /// A batch of which only some sectors were written.
    TornBatch,
    /// Something that no crash leaves.
    Damage,
}

/// Classifies the `rest` of the last segment from byte `offset` on; `last` is the last good event.
pub(crate) fn classify(rest: &[u8], offset: u64, last: Option<&EventId>) -> Rest {
    if !rest.contains(&b'\n') {
        return Rest::Fragment;
    }
    let holes = holes(rest, offset);
    let Some(first) = holes.first() else {
        return Rest::Damage;
    };
    let all_zeros_in_holes = rest.iter().filter(|byte| **byte == 0).count()
        == holes.iter().map(Hole::len).sum::<usize>();
    // Up to the first hole there may be the beginning of one line, and no newline.
    let begins_torn = !rest.get(..first.from).unwrap_or_default().contains(&b'\n');
    if all_zeros_in_holes && begins_torn && one_batch(rest, first, last) {
        Rest::TornBatch
    } else {
        Rest::Damage
    }
}

/// A run of zero bytes that begins where the rest or a sector does, and ends where a sector or the file does.
#[derive(Debug, PartialEq, Eq)]
struct Hole {
    from: usize,
    to: usize,
}

impl Hole {
    fn len(&self) -> usize {
        self.to - self.from
    }
}

fn holes(rest: &[u8], offset: u64) -> Vec<Hole> {
    let aligned = |at: usize| (offset + at as u64).is_multiple_of(SECTOR);
    let mut holes = Vec::new();
    let mut at = 0;
    while at < rest.len() {
        let run = rest
            .get(at..)
            .unwrap_or_default()
            .iter()
            .take_while(|byte| **byte == 0)
            .count();
        let to = at + run;
        if run > 0 && (at == 0 || aligned(at)) && (to == rest.len() || aligned(to)) {
            holes.push(Hole { from: at, to });
        }
        at = to + 1;
    }
    holes
}

/// Whether every line that survived whole belongs to the batch that was being written, and what the hole took can be the rest of it.
fn one_batch(rest: &[u8], first: &Hole, last: Option<&EventId>) -> bool {
    let mut before = last.map(Position::of);
    let mut torn_batch: Option<u64> = None;
    let mut at = first.from;
    // The line that the hole cut ends at the next newline; a piece behind a newline without a zero byte is a whole line.
    for (nth, piece) in rest
        .get(first.from..)
        .unwrap_or_default()
        .split_inclusive(|byte| *byte == b'\n')
        .enumerate()
    {
        let (start, line) = (
            at,
            piece
                .strip_suffix(b"\n")
                .filter(|line| nth > 0 && !line.contains(&0)),
        );
        at += piece.len();
        let Some(line) = line else { continue };
        // A line that is whole and bad was not torn: it was changed.
        let Some(survivor) = Position::of_line(line) else {
            return false;
        };
        let same_batch = torn_batch.is_none_or(|batch| batch == survivor.batch);
        let follows = before.is_none_or(|before| before < survivor);
        if !same_batch || !follows || (torn_batch.is_none() && !survivor.lost_fits(start, before)) {
            return false;
        }
        torn_batch = Some(survivor.batch);
        before = Some(survivor);
    }
    true
}

/// A batch and a place in it, as an event's name tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    batch: u64,
    place: u16,
}

impl Position {
    fn of(id: &EventId) -> Self {
        Self {
            batch: batch_of(id),
            place: place_in_batch(id),
        }
    }

    fn of_line(line: &[u8]) -> Option<Self> {
        let scanned = scan(line)
            .ok()
            .filter(|scanned| scanned.event_hash == hash_of_line(line))?;
        EventId::parse(scanned.event_id).ok().as_ref().map(Self::of)
    }

    /// Whether the `lost` bytes before this first survivor can be exactly the lines of its own batch that are missing.
    /// A first survivor that begins its batch shows that what is lost was of an earlier one, which had been synced.
    fn lost_fits(self, lost: usize, last: Option<Self>) -> bool {
        let missing = match last {
            Some(last) if last.batch == self.batch => self.place - last.place - 1,
            Some(_) | None => self.place,
        };
        let missing = usize::from(missing);
        missing > 0 && (missing * SHORTEST_LINE..=missing * (MAX_EVENT_BYTES + 1)).contains(&lost)
    }
}
