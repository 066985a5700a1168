//! Marks: what the writer knew at a checkpoint, signed, so that opening and the readers of the registry may begin there.
//!
//! A mark is believed only beside its checkpoint, with the tree's edge leading to that checkpoint's root and the registry's events,
//! read one by one from the lines, giving the mark's digest. Without a good mark everything is read from the first event.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use plugin_protocol::canonical;
use plugin_protocol::digest::{EventHash, FileHash};
use plugin_protocol::ids::EventId;
use plugin_protocol::json;
use serde::{Deserialize, Serialize};

use super::placed::PlacedLines;
use super::tally::{RegistryLog, Tally};
use crate::disk::{Boundary, EventPlace, Layout, read_small};
use crate::error::Error;
use crate::line::{Head, scan};
use crate::tree::{LogKey, LogSigner};

/// A registry event's entry in the index: its index, its segment and its offset, big-endian.
const ENTRY_BYTES: usize = 24;

/// What is called with each line and its place.
pub(crate) type EachLine<'a> = dyn FnMut(&EventPlace, &[u8]) -> Result<(), Error> + 'a;

/// What the writer knew after event `size` − 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mark {
    pub(crate) size: u64,
    head: EventHash,
    last_id: EventId,
    segment: u64,
    offset: u64,
    root: FileHash,
    /// The open calls: index, segment and offset of each `INVOKE`.
    calls: Vec<[u64; 3]>,
    registry_count: u64,
    registry_digest: FileHash,
}

impl Mark {
    /// The mark for the end of the ledger; none for an empty one.
    pub(crate) fn of(end: &Boundary, root: &[u8; 32], tally: &Tally) -> Option<Self> {
        Some(Self {
            size: end.head.size,
            head: end.head.hash?,
            last_id: tally.last_id?,
            segment: end.segment,
            offset: end.offset,
            root: FileHash::from_bytes(*root),
            calls: tally
                .calls
                .places()
                .iter()
                .map(|place| [place.index, place.segment, place.offset])
                .collect(),
            registry_count: tally.registry.count,
            registry_digest: FileHash::from_bytes(tally.registry.digest),
        })
    }

    pub(crate) fn path(layout: &Layout, size: u64) -> PathBuf {
        layout.checkpoints().join(format!("{size}.mark"))
    }

    /// The size in the name of the mark at `path`.
    pub(crate) fn size_of(path: &Path) -> Option<u64> {
        let name = path.file_name()?.to_str()?;
        name.strip_suffix(".mark")?.parse().ok()
    }

    pub(crate) fn sign(&self, signer: &LogSigner) -> String {
        signer.sign_text(
            &key_name(signer.name()),
            &format!("{}\n", canonical::text(self)),
        )
    }

    /// The mark of the checkpoint over `size` events with `root`, when there is one and `key` signed it.
    pub(crate) fn load(layout: &Layout, key: &LogKey, size: u64, root: &[u8; 32]) -> Option<Self> {
        let note = read_small(&Self::path(layout, size)).ok()?;
        let text = key.open_text(&key_name(key.name()?), &note).ok()?;
        let mark: Self = json::read_as(text.trim_end().as_bytes()).ok()?;
        (mark.size == size && mark.root.as_bytes() == root).then_some(mark)
    }

    /// Where to go on reading.
    pub(crate) fn start(&self) -> Boundary {
        Boundary {
            head: Head {
                size: self.size,
                hash: Some(self.head),
            },
            segment: self.segment,
            offset: self.offset,
        }
    }

    /// The summary that the writer had; none when the lines do not agree with it.
    pub(crate) fn tally(&self, layout: &Layout) -> Option<Tally> {
        let mut tally = Tally {
            last_id: Some(self.last_id),
            ..Tally::default()
        };
        let mut lines = PlacedLines::new(layout);
        for &[index, segment, offset] in &self.calls {
            let place = EventPlace {
                index,
                segment,
                offset,
            };
            let line = lines.read(&place).ok()?;
            tally.calls.open(&place, &scan(&line).ok()?);
        }
        self.each_registry_line(layout, &mut |place, line| {
            if let Ok(scanned) = scan(line) {
                tally.note_registry(place, &scanned);
            }
            Ok(())
        })
        .ok()?;
        tally.registry.fresh.clear();
        let digest = *self.registry_digest.as_bytes();
        let expected = RegistryLog {
            count: self.registry_count,
            digest,
            fresh: Vec::new(),
        };
        (tally.registry == expected).then_some(tally)
    }

    /// Gives each registry event's line up to this mark, in order, found by the index.
    pub(crate) fn each_registry_line(
        &self,
        layout: &Layout,
        each: &mut EachLine<'_>,
    ) -> Result<(), Error> {
        if self.registry_count == 0 {
            return Ok(());
        }
        let mut lines = PlacedLines::new(layout);
        for place in registry_places(layout, self.registry_count)? {
            each(&place, &lines.read(&place)?)?;
        }
        Ok(())
    }
}

/// The places of the first `count` registry events, as the index has them.
pub(crate) fn registry_places(layout: &Layout, count: u64) -> Result<Vec<EventPlace>, Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let path = registry_index(layout);
    let file = File::open(&path).map_err(Error::io("open", &path))?;
    let mut places = Vec::new();
    for nth in 0..count {
        let mut entry = [0; ENTRY_BYTES];
        file.read_exact_at(&mut entry, nth * ENTRY_BYTES as u64)
            .map_err(Error::io("read", &path))?;
        let (numbers, _) = entry.as_chunks::<8>();
        if let &[index, segment, offset] = numbers {
            let [index, segment, offset] = [index, segment, offset].map(u64::from_be_bytes);
            places.push(EventPlace {
                index,
                segment,
                offset,
            });
        }
    }
    Ok(places)
}

/// The index of registry events.
pub(crate) fn registry_index(layout: &Layout) -> PathBuf {
    layout.index().join("registry")
}

/// The entries for `places`, and the offset in the file of the first of them, where the file will then hold `count` entries.
pub(crate) fn registry_entries(places: &[EventPlace], count: u64) -> (Vec<u8>, u64) {
    let entries = places
        .iter()
        .flat_map(|place| [place.index, place.segment, place.offset])
        .flat_map(u64::to_be_bytes);
    (
        entries.collect(),
        (count - places.len() as u64) * ENTRY_BYTES as u64,
    )
}

/// Marks are signed under a key name of their own, so that none passes for a checkpoint.
fn key_name(log: &str) -> String {
    format!("{log}/mark")
}
