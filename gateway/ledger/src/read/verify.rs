//! Verifying a whole ledger without its lock: every line, hash and link, the tree over them, and every checkpoint.
//!
//! Segments are read side by side, as many as there are processors; their ends are then joined in order.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use plugin_protocol::digest::{EventHash, FileHash};
use serde::Serialize;

use super::pruned::{Base, Pruned};
use super::tally::pruning;
use crate::disk::{Layout, Line, Lines, Segment, list_segments};
use crate::error::Error;
use crate::line::{Head, scan};
use crate::tree::{Anchor, Claims, Growing, Hash, leaf_hash, load_key};

/// How many bytes are read between two reports of progress.
const PROGRESS_BYTES: u64 = 1 << 20;

/// How long an unfinished last line may take to be finished by a writer at work; a write takes far less.
/// Tests, which look at thousands of torn ledgers that nobody writes, do not wait.
const SETTLE: Duration = Duration::from_millis(if cfg!(test) { 0 } else { 200 });

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Whether everything holds.
    pub valid: bool,
    /// The good events before the first bad one, or all.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The hash of the last good event, `""` when there is none.
    pub head: String,
    /// The index of the first event that is bad, missing, or no longer vouched for.
    pub broken_at: Option<u64>,
    /// What is wrong there, `""` when nothing is.
    pub reason: String,
    /// What was pruned, when anything was: of those events the hashes in the tree were checked, and the lines that were carried over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Pruned>,
}

/// Checks the ledger below `state`, and that it agrees with the anchor in the folder `anchor`; with none, with the anchor inside the state.
/// `progress` is told the bytes done and the bytes in all, from several threads.
///
/// # Errors
/// When there is no ledger or the system refuses; a broken ledger is an answer, not an error.
pub fn verify(
    state: &Path,
    anchor: Option<&Path>,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Verification, Error> {
    let layout = Layout::existing(state)?;
    let key = load_key(&layout)?;
    // Checkpoints first: the events of each were durable before it was written, so a running writer cannot make the ledger look broken.
    let gathered = Anchor::read(&layout, anchor)
        .and_then(|anchor| Claims::gather(&layout, &key, Some(&anchor)));
    let claims = match gathered {
        Ok(claims) => claims,
        Err(Error::Note { path, source }) => {
            let reason = format!(
                "'{}' is not what this ledger wrote: {source}",
                path.display()
            );
            return Ok(Joined::default().report(Some((None, reason))));
        }
        Err(error) => return Err(error),
    };
    let base = Base::load(&layout)?;
    let begun = match Joined::begin(&layout, base, claims) {
        Ok(begun) => begun,
        Err(reason) => return Ok(Joined::default().report(Some((Some(0), reason)))),
    };
    let segments = list_segments(&layout)?;
    let joined = read_all(&segments, begun, progress)?;
    let complaint = joined.complaint();
    Ok(joined.report(complaint))
}

fn read_all(
    segments: &[Segment],
    mut joined: Joined,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Joined, Error> {
    let workers = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(segments.len().max(1));
    let told = Progress {
        done: AtomicU64::new(0),
        total: segments.iter().map(|segment| segment.bytes).sum(),
        progress,
    };
    let next = AtomicUsize::new(0);
    // The channel holds few results, so that memory does not grow with the ledger.
    let (results, finished) = bounded(workers);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (results, next, told) = (results.clone(), &next, &told);
            scope.spawn(move || read_segments(segments, next, told, &results));
        }
        drop(results);
        joined.join_all(segments, finished)
    })?;
    progress(told.total, told.total);
    Ok(joined)
}

/// The progress of all threads together.
struct Progress<'a> {
    done: AtomicU64,
    total: u64,
    progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// One segment, checked by itself.
#[derive(Debug, Default)]
struct Part {
    /// The hash that its first event gives as the previous one.
    before: Option<EventHash>,
    head: Head,
    leaves: Vec<Hash>,
    /// The newest pruning that its events record.
    pruned: Option<(u64, FileHash)>,
    bytes: u64,
    /// The first bad byte, and what is wrong there.
    wrong: Option<(u64, String)>,
}

fn read_segments(
    segments: &[Segment],
    next: &AtomicUsize,
    told: &Progress<'_>,
    results: &Sender<(usize, Result<Part, Error>)>,
) {
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some(segment) = segments.get(at) else {
            return;
        };
        let part = read_segment(segment, at + 1 == segments.len(), told);
        // The joining side stops listening once something is broken.
        if results.send((at, part)).is_err() {
            return;
        }
    }
}

fn read_segment(segment: &Segment, last: bool, told: &Progress<'_>) -> Result<Part, Error> {
    let mut part = Part {
        head: Head {
            size: segment.first,
            hash: None,
        },
        ..Part::default()
    };
    let mut lines = Lines::open(&segment.path, 0)?;
    let mut settled = false;
    let mut untold = 0;
    loop {
        part.bytes = lines.offset();
        let wrong = match lines.next().map_err(Error::io("read", &segment.path))? {
            Line::Whole(line) => {
                if part.leaves.is_empty() {
                    part.before = scan(line).ok().and_then(|scanned| scanned.prev_hash);
                    part.head.hash = part.before;
                }
                untold += line.len() as u64 + 1;
                match part.head.follow(line) {
                    Ok(scanned) => {
                        part.pruned = pruning(&scanned).or(part.pruned);
                        part.leaves.push(leaf_hash(line));
                        None
                    }
                    Err(reason) => Some(reason),
                }
            }
            Line::End if !last && part.bytes == 0 => {
                Some("it is empty, and a later segment follows".to_owned())
            }
            Line::End => break,
            Line::Fragment(_) if last && !settled => {
                settled = true;
                sleep(SETTLE);
                lines = Lines::open(&segment.path, part.bytes)?;
                None
            }
            // The running writer has finished the line that was unfinished before, and this fragment is of a later one.
            Line::Fragment(_) if last && segment.bytes < part.bytes => break,
            Line::Fragment(rest) => Some(format!("an unfinished line of {} bytes", rest.len())),
            Line::TooLong => Some("a line longer than a line may be".to_owned()),
        };
        if wrong.is_some() {
            part.wrong = wrong.map(|reason| (part.bytes, reason));
            break;
        }
        if untold >= PROGRESS_BYTES {
            let done = told.done.fetch_add(untold, Ordering::Relaxed) + untold;
            (told.progress)(done.min(told.total), told.total);
            untold = 0;
        }
    }
    told.done.fetch_add(untold, Ordering::Relaxed);
    Ok(part)
}

/// The parts joined so far.
#[derive(Debug, Default)]
struct Joined {
    head: Head,
    bytes: u64,
    tree: Growing,
    claims: Claims,
    base: Base,
    /// The newest pruning that an event records.
    pruned: Option<(u64, FileHash)>,
    /// The first bad event, the place and what is wrong there.
    wrong: Option<(u64, String)>,
}

impl Joined {
    /// Begins behind what was pruned: the hashes of those events on disk must give every checkpoint's root and the edge that the pruning
    /// left, and the lines that were carried over must be among them.
    fn begin(layout: &Layout, base: Base, mut claims: Claims) -> Result<Self, String> {
        let mut tree = Growing::default();
        let mut carried = base.carried.iter().peekable();
        let mut wrong = None;
        let read = base.tiles.each_leaf(&layout.tiles(), &mut |index, leaf| {
            tree.push(*leaf);
            claims.meet(tree.size(), &mut || tree.root());
            let line = carried.next_if(|(place, _)| place.index == index);
            if line.is_some_and(|(_, line)| leaf_hash(line) != *leaf) {
                wrong = wrong.or(Some(index));
            }
        });
        if let Err(error) = read {
            return Err(format!(
                "the tree's hashes of the pruned events are not there: {error}"
            ));
        }
        if let Some(index) = wrong {
            return Err(format!(
                "event {index} was carried over, but it is not the one in the tree"
            ));
        }
        if tree != base.tree() {
            return Err(
                "the tree's hashes of the pruned events are not those that the pruning left"
                    .to_owned(),
            );
        }
        Ok(Self {
            head: base.start().head,
            tree,
            claims,
            pruned: base.tally().pruned,
            base,
            ..Self::default()
        })
    }

    /// Joins the parts in ledger order, whatever order they come in. The first bad one ends the joining; the receiver is then dropped, which ends the readers.
    fn join_all(
        &mut self,
        segments: &[Segment],
        finished: Receiver<(usize, Result<Part, Error>)>,
    ) -> Result<(), Error> {
        let mut early = std::collections::BTreeMap::new();
        for (at, segment) in segments.iter().enumerate() {
            while !early.contains_key(&at) {
                let Ok((done, part)) = finished.recv() else {
                    return Ok(());
                };
                early.insert(done, part);
            }
            if let Some(part) = early.remove(&at) {
                self.join(segment, part?);
            }
            if self.wrong.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn join(&mut self, segment: &Segment, part: Part) {
        let name = segment.path.file_name().unwrap_or_default().display();
        if segment.first != self.head.size {
            let expected = self.head.size;
            self.wrong = Some((
                expected,
                format!(
                    "'{name}' is there, but the segment that begins with event {expected} is not"
                ),
            ));
            return;
        }
        if !part.leaves.is_empty() && part.before != self.head.hash {
            let reason = format!(
                "'{name}' at byte 0: its prev_hash is not the event_hash of the event before it"
            );
            self.wrong = Some((self.head.size, reason));
            return;
        }
        for leaf in &part.leaves {
            self.tree.push(*leaf);
            self.claims.meet(self.tree.size(), &mut || self.tree.root());
        }
        if !part.leaves.is_empty() {
            self.head = part.head;
        }
        self.pruned = part.pruned.or(self.pruned);
        self.bytes += part.bytes;
        self.wrong = part.wrong.map(|(offset, reason)| {
            (
                self.head.size,
                format!("'{name}' at byte {offset}: {reason}"),
            )
        });
    }

    fn complaint(&self) -> Option<(Option<u64>, String)> {
        let wrong = self
            .wrong
            .clone()
            .or_else(|| self.claims.complaint(self.head.size))
            .or_else(|| {
                let complaint = self.base.complaint(self.pruned.as_ref())?;
                Some((self.base.before(), complaint))
            });
        wrong.map(|(index, reason)| (Some(index), reason))
    }

    fn report(&self, complaint: Option<(Option<u64>, String)>) -> Verification {
        let valid = complaint.is_none();
        let (broken_at, reason) = complaint.unwrap_or_default();
        let head = self
            .head
            .hash
            .map(|hash| hash.to_string())
            .unwrap_or_default();
        Verification {
            valid,
            events: self.head.size,
            bytes: self.bytes,
            head,
            broken_at,
            reason,
            pruned: self.base.summary(),
        }
    }
}
