//! What a pruning left of the events before the first segment: where the chain and the tree go on, the lines that were carried over,
//! and the names of the runs whose lines are gone. Without one, all of it is empty and reading begins at the first event.
//!
//! ```text
//! seg/pruned.json     {before, bytes, carried, edge, head, lines_sha256, runs_sha256}, canonical; the pruning's event has its SHA-256
//! seg/pruned.ndjson   the lines that were carried over, as they were: the registry's events, and those that record a quarantine
//! seg/pruned.runs     SHA-256 of the id of each run that has dropped lines: 64 hex digits and a newline each, sorted
//! ```

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use plugin_protocol::digest::{EventHash, FileHash};
use plugin_protocol::ids::RunId;
use plugin_protocol::{canonical, json};
use serde::{Deserialize, Serialize};

use super::checked::Stored;
use super::tally::Tally;
use crate::disk::{Boundary, CARRIED, EventPlace, Layout};
use crate::error::Error;
use crate::line::{Head, hash_of_line, scan};
use crate::tree::{Growing, Hash, Tiles, edge_peaks};

/// The most that one of the files may hold, in bytes: a million registry events, or sixteen million runs.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// How often the files are looked at, when a pruning may just be putting others in their place.
const LOOKS: usize = 3;

/// What is gone of a ledger, and what was carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// The events below this were pruned.
    pub before: u64,
    /// How many of them have no line any more.
    pub dropped: u64,
    /// The bytes of those lines with their newlines.
    pub bytes: u64,
    /// How many of them were carried over.
    pub carried: u64,
}

/// `pruned.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Descriptor {
    pub(crate) before: u64,
    pub(crate) bytes: u64,
    /// The indexes of the lines that were carried over.
    pub(crate) carried: Vec<u64>,
    /// The hashes of the last tile of each level, which is not full, in a tree of `before` leaves.
    pub(crate) edge: Vec<Vec<FileHash>>,
    /// The hash of the last event before the first segment.
    pub(crate) head: EventHash,
    pub(crate) lines_sha256: FileHash,
    pub(crate) runs_sha256: FileHash,
}

impl Descriptor {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        canonical::bytes(self)
    }

    pub(crate) fn summary(&self) -> Pruned {
        let carried = self.carried.len() as u64;
        Pruned {
            before: self.before,
            dropped: self.before.saturating_sub(carried),
            bytes: self.bytes,
            carried,
        }
    }
}

/// Where the ledger begins: at its first event, or behind what was pruned.
#[derive(Debug, Default)]
pub(crate) struct Base {
    start: Boundary,
    pub(crate) tiles: Tiles,
    pub(crate) carried: Vec<(EventPlace, Vec<u8>)>,
    /// The descriptor and SHA-256 of its file; none when nothing was pruned.
    pub(crate) pruned: Option<(Descriptor, FileHash)>,
}

impl Base {
    /// Reads it.
    ///
    /// # Errors
    /// When the files are not what a pruning left. Whether a pruning of this ledger left them is for [`Self::complaint`] to say.
    pub(crate) fn load(layout: &Layout) -> Result<Self, Error> {
        let path = layout.pruned();
        let mut looks = LOOKS;
        loop {
            let Some(bytes) = read_whole(&path)? else {
                return Ok(Self::default());
            };
            looks -= 1;
            match Self::read(layout, &bytes) {
                // A pruning may have put others in their place meanwhile.
                Ok(None) | Err(_) if looks > 0 && read_whole(&path)?.as_deref() != Some(&bytes) => {
                }
                Ok(Some(base)) => return Ok(base),
                Ok(None) => {
                    return Err(Error::Broken {
                        index: 0,
                        reason: format!("'{}' is not what a pruning left", path.display()),
                    });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The base that the descriptor in `bytes` and the lines beside it make; none when they do not fit.
    fn read(layout: &Layout, bytes: &[u8]) -> Result<Option<Self>, Error> {
        let lines = read_whole(&layout.carried())?.unwrap_or_default();
        Ok(Self::parse(bytes, &lines))
    }

    fn parse(bytes: &[u8], lines: &[u8]) -> Option<Self> {
        let descriptor: Descriptor = json::read_as(bytes).ok()?;
        let before = descriptor.before;
        let rows = descriptor.edge.iter();
        let edge = rows.map(|row| row.iter().map(|hash| *hash.as_bytes()).collect());
        let tiles = Tiles::resume(before, edge.collect())?;
        let sound = before > 0
            && descriptor.to_bytes() == bytes
            && FileHash::of(lines) == descriptor.lines_sha256
            && descriptor.carried.is_sorted_by(|a, b| a < b)
            && descriptor.carried.last().is_none_or(|last| *last < before);
        let mut carried = Vec::new();
        let mut offset = 0;
        let mut indexes = descriptor.carried.iter();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let place = EventPlace {
                index: *indexes.next()?,
                segment: CARRIED,
                offset,
            };
            offset += line.len() as u64;
            let line = line.strip_suffix(b"\n")?;
            if scan(line).ok()?.event_hash != hash_of_line(line) {
                return None;
            }
            carried.push((place, line.to_owned()));
        }
        let start = Boundary {
            head: Head {
                size: before,
                hash: Some(descriptor.head),
            },
            segment: before,
            offset: 0,
        };
        let whole = sound && indexes.next().is_none();
        whole.then_some(Self {
            start,
            tiles,
            carried,
            pruned: Some((descriptor, FileHash::of(bytes))),
        })
    }

    /// The first event that has its line in a segment.
    pub(crate) fn before(&self) -> u64 {
        self.start.head.size
    }

    /// Where reading begins.
    pub(crate) fn start(&self) -> Boundary {
        self.start
    }

    /// The tree over the events before it.
    pub(crate) fn tree(&self) -> Growing {
        // The shape of the edge was checked.
        Growing::resume(self.before(), edge_peaks(&self.tiles)).unwrap_or_default()
    }

    /// The summary of the events before it, as far as it is still needed: a pruning leaves no call open.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for (place, line) in &self.carried {
            if let Ok(scanned) = scan(line) {
                tally.note(place, &scanned);
            }
        }
        tally
    }

    /// The lines that were carried over, as events.
    pub(crate) fn stored(&self) -> Result<Vec<Stored>, Error> {
        let lines = self.carried.iter();
        lines
            .map(|(place, line)| Stored::read(place.index, line.clone()))
            .collect()
    }

    /// The rows of `pruned.runs`.
    ///
    /// # Errors
    /// When it is not the list that the pruning left.
    pub(crate) fn lost_runs(&self, layout: &Layout) -> Result<Vec<[u8; RUN_BYTES]>, Error> {
        let Some((descriptor, _)) = &self.pruned else {
            return Ok(Vec::new());
        };
        let path = layout.pruned_runs();
        let runs = read_whole(&path)?.unwrap_or_default();
        if FileHash::of(&runs) != descriptor.runs_sha256 {
            return Err(Error::Broken {
                index: 0,
                reason: format!("'{}' is not what a pruning left", path.display()),
            });
        }
        Ok(runs.as_chunks::<RUN_BYTES>().0.to_vec())
    }

    pub(crate) fn summary(&self) -> Option<Pruned> {
        self.pruned
            .as_ref()
            .map(|(descriptor, _)| descriptor.summary())
    }

    /// Whether the ledger says that it was pruned to here; `recorded` is its newest event about that. One that is recorded and not carried
    /// out yet does no harm: it is carried out at the next opening.
    pub(crate) fn complaint(&self, recorded: Option<&(u64, FileHash)>) -> Option<String> {
        let (descriptor, sha256) = self.pruned.as_ref()?;
        let before = descriptor.before;
        match recorded {
            Some(recorded) if recorded == &(before, *sha256) || recorded.0 > before => None,
            Some(_) => Some(format!(
                "what is there of the events before event {before} is not what the pruning's event says"
            )),
            None => Some(format!(
                "the lines before event {before} are not there, and no event says that they were pruned"
            )),
        }
    }
}

/// What is gone of the ledger below `state`; none when it is whole.
///
/// # Errors
/// When there is no ledger, or it cannot be read.
pub fn pruned(state: &Path) -> Result<Option<Pruned>, Error> {
    Ok(Base::load(&Layout::existing(state)?)?.summary())
}

/// What is gone of the ledger below `state`, when lines of `run` are among it.
///
/// # Errors
/// As [`pruned()`].
pub fn pruned_of_run(state: &Path, run: &RunId) -> Result<Option<Pruned>, Error> {
    let layout = Layout::existing(state)?;
    let base = Base::load(&layout)?;
    let lost = lost_lines(&layout, &base, run)?;
    Ok(base.summary().filter(|_| lost))
}

/// Whether lines of `run` were dropped.
///
/// # Errors
/// When the list of such runs is not the one that the pruning left.
pub(crate) fn lost_lines(layout: &Layout, base: &Base, run: &RunId) -> Result<bool, Error> {
    let rows = base.lost_runs(layout)?;
    Ok(rows.binary_search(&run_row(run.as_str())).is_ok())
}

/// A line of `pruned.runs`, in bytes.
pub(crate) const RUN_BYTES: usize = 65;

/// The line of `pruned.runs` for a run.
pub(crate) fn run_row(run: &str) -> [u8; RUN_BYTES] {
    let mut row = [b'\n'; RUN_BYTES];
    let digits = FileHash::of(run.as_bytes()).to_string();
    row.iter_mut()
        .zip(digits.bytes())
        .for_each(|(to, from)| *to = from);
    row
}

/// The edge of `tiles` as a descriptor holds it: one row for each level of tiles.
pub(crate) fn edge_of(tiles: &Tiles) -> Vec<Vec<FileHash>> {
    let row = |row: &Vec<Hash>| row.iter().map(|hash| FileHash::from_bytes(*hash)).collect();
    tiles.edge().iter().map(row).collect()
}

/// The bytes of a file; none where there is none.
fn read_whole(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(Error::io("open", path))?,
    };
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(Error::io("read", path))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::io("read", path)(
            std::io::ErrorKind::FileTooLarge.into(),
        ));
    }
    Ok(Some(bytes))
}
