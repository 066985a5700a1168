//! Tells a torn write, which a crash can leave behind the last good line, from damage.
//!
//! After a crash before a batch's sync, any of the batch's disk sectors may be written; the others are zero or beyond the end of
//! the file. A crash never touches an earlier batch, because that one was synced before this one was written. So the rest of the
//! segment is a *torn write* in two cases: it is a fragment without a newline; or it has holes of whole zero sectors (no line
//! holds a zero byte), its whole lines all belong to one batch, and the batch's missing lines fit the hole. All else is *damage*.

use plugin_protocol::event::MAX_EVENT_BYTES;
use plugin_protocol::ids::EventId;

use crate::line::{batch_of, hash_of_line, place_in_batch, scan};

/// The smallest unit that a disk writes whole, in bytes.
const SECTOR: u64 = 512;

/// No line with its newline is shorter, in bytes: an event whose optional fields are all empty has some 330.
const SHORTEST_LINE: usize = 300;

/// Whether a crash can have left `rest`, the last segment's bytes from `offset` on; `last` is the last good event.
pub(crate) fn is_torn_write(rest: &[u8], offset: u64, last: Option<&EventId>) -> bool {
    if !rest.contains(&b'\n') {
        return true;
    }
    let holes = holes(rest, offset);
    let Some(first) = holes.first() else {
        return false;
    };
    let all_zeros_in_holes = rest.iter().filter(|byte| **byte == 0).count()
        == holes.iter().map(Hole::len).sum::<usize>();
    // Up to the first hole there may be the beginning of one line, and no newline.
    let begins_torn = !rest.get(..first.from).unwrap_or_default().contains(&b'\n');
    all_zeros_in_holes && begins_torn && one_batch(rest, first, last)
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

/// Whether every line that survived whole belongs to the batch that was being written, and the lines lost in the hole can belong to it too.
fn one_batch(rest: &[u8], first: &Hole, last: Option<&EventId>) -> bool {
    let mut before = last.map(Position::of);
    let mut torn_batch: Option<u64> = None;
    let mut at = first.from;
    // The line that the hole cut ends at the next newline. After that, a piece without a zero byte is a whole line.
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

/// A batch and a place in it, both read from an event's name.
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

    /// Whether the `lost` bytes before this first survivor can be exactly the missing lines of its own batch.
    /// Where the first survivor begins its batch, the lost bytes belonged to an earlier batch, which had been synced.
    fn lost_fits(self, lost: usize, last: Option<Self>) -> bool {
        let missing = match last {
            Some(last) if last.batch == self.batch => self.place - last.place - 1,
            Some(_) | None => self.place,
        };
        let missing = usize::from(missing);
        missing > 0 && (missing * SHORTEST_LINE..=missing * (MAX_EVENT_BYTES + 1)).contains(&lost)
    }
}
