//! Marks: what the writer knew at a checkpoint, signed, so that opening and the readers of the registry may begin there.
//!
//! A mark is believed only beside its checkpoint, with the tree's edge leading to that checkpoint's root and the registry's events,
//! read one by one from the lines, giving the mark's digest. Without a good mark everything is read from the first event.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use plugin_protocol::canonical;
use plugin_protocol::digest::{EventHash, FileHash};
use plugin_protocol::event::MAX_EVENT_BYTES;
use plugin_protocol::ids::EventId;
use plugin_protocol::json;
use serde::{Deserialize, Serialize};

use crate::disk::layout::Layout;
use crate::error::Error;
use crate::line::chain::Head;
use crate::line::event::hash_of_line;
use crate::line::scan::scan;
use crate::open::init::read_small;
use crate::read::tally::{RegistryLog, Tally};
use crate::read::walk::{Place, Start};
use crate::tree::checkpoint::{LogKey, LogSigner};

/// A registry event's entry in the index: its index, its segment and its offset, big-endian.
const ENTRY_BYTES: usize = 24;

/// What is done with a line and its place.
pub(crate) type EachLine<'a> = dyn FnMut(&Place, &[u8]) -> Result<(), Error> + 'a;

/// What the writer knew behind event `size` − 1.
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
    pub(crate) fn of(end: &Start, root: &[u8; 32], tally: &Tally) -> Option<Self> {
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
    pub(crate) fn start(&self) -> Start {
        Start {
            head: Head {
                size: self.size,
                hash: Some(self.head),
            },
            segment: self.segment,
            offset: self.offset,
        }
    }

    /// What the writer knew; none when the lines do not bear it out.
    pub(crate) fn tally(&self, layout: &Layout) -> Option<Tally> {
        let mut tally = Tally {
            last_id: Some(self.last_id),
            ..Tally::default()
        };
        let mut lines = PlacedLines::new(layout);
        for &[index, segment, offset] in &self.calls {
            let place = Place {
                index,
                segment,
                offset,
            };
            let line = lines.read(&place).ok()?;
            tally.calls.open(&place, &scan(&line).ok()?);
        }
        self.each_registry_line(layout, &mut |place, line| {
            if let Ok(scanned) = scan(line) {
                tally.registry.push(place, &scanned.event_hash);
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
        let path = registry_index(layout);
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let mut lines = PlacedLines::new(layout);
        for nth in 0..self.registry_count {
            let mut entry = [0; ENTRY_BYTES];
            file.read_exact_at(&mut entry, nth * ENTRY_BYTES as u64)
                .map_err(Error::io("read", &path))?;
            let (numbers, _) = entry.as_chunks::<8>();
            if let &[index, segment, offset] = numbers {
                let [index, segment, offset] = [index, segment, offset].map(u64::from_be_bytes);
                let place = Place {
                    index,
                    segment,
                    offset,
                };
                each(&place, &lines.read(&place)?)?;
            }
        }
        Ok(())
    }
}

/// The index of registry events.
pub(crate) fn registry_index(layout: &Layout) -> PathBuf {
    layout.index().join("registry")
}

/// The entries for `places`, and where the first of them goes when `count` entries are there with them.
pub(crate) fn registry_entries(places: &[Place], count: u64) -> (Vec<u8>, u64) {
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

/// Reads single lines at known places; each is checked to be an event that carries its own hash.
#[derive(Debug)]
pub(crate) struct PlacedLines {
    layout: Layout,
    open: Option<(u64, File)>,
}

impl PlacedLines {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            layout: layout.clone(),
            open: None,
        }
    }

    pub(crate) fn read(&mut self, place: &Place) -> Result<Vec<u8>, Error> {
        let line = self.read_unchecked(place)?;
        let sound = scan(&line).is_ok_and(|scanned| scanned.event_hash == hash_of_line(&line));
        if sound {
            Ok(line)
        } else {
            Err(self.broken(place))
        }
    }

    fn read_unchecked(&mut self, place: &Place) -> Result<Vec<u8>, Error> {
        const FIRST_READ: usize = 1_024;
        let path = self.layout.segment(place.segment);
        if self
            .open
            .as_ref()
            .is_none_or(|(segment, _)| *segment != place.segment)
        {
            self.open = Some((
                place.segment,
                File::open(&path).map_err(Error::io("open", &path))?,
            ));
        }
        let Some((_, file)) = &self.open else {
            return Err(self.broken(place));
        };
        let mut bytes = Vec::new();
        for size in [FIRST_READ, MAX_EVENT_BYTES + 1] {
            bytes.resize(size, 0);
            let read =
                read_at_most(file, &mut bytes, place.offset).map_err(Error::io("read", &path))?;
            bytes.truncate(read);
            if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                bytes.truncate(end);
                return Ok(bytes);
            }
        }
        Err(self.broken(place))
    }

    fn broken(&self, place: &Place) -> Error {
        let path = self.layout.segment(place.segment);
        let name = path.file_name().unwrap_or_default().display();
        Error::Broken {
            index: place.index,
            reason: format!("'{name}' at byte {}: no whole event is there", place.offset),
        }
    }
}

fn read_at_most(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
