//! Finding events by run, plugin or request without reading everything: one file for each closed segment, sorted by a hash of the key.
//!
//! It is made from the segment and can be made again; every line that it leads to is checked, and a file that is damaged is
//! not used. The open segment has none and is read through.
//!
//! A file: 64 bytes of header (magic, first event, the segment's bytes, entries, SHA-256 of the table), a table with 24 bytes for
//! each block (its first key, and 16 bytes of its SHA-256), then blocks of 256 entries of 16 bytes (key, event's number in
//! the segment, offset). Numbers are big-endian.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::disk::{EventPlace, Layout, Line, Lines, SEGMENT_DIGITS, Segment};
use crate::error::Error;
use crate::line::{Scanned, scan};

const MAGIC: &[u8; 8] = b"PGWIDX1\n";
const HEADER_BYTES: usize = 64;
const TABLE_ENTRY_BYTES: usize = 24;
const ENTRY_BYTES: usize = 16;
const BLOCK_ENTRIES: usize = 256;

/// What events are found by. Texts are as they stand in the line: JSON, without the quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Run(String),
    Plugin(String),
    Request(String),
}

impl Key {
    fn hash(&self) -> u64 {
        match self {
            Self::Run(run) => key_hash(b'r', run),
            Self::Plugin(plugin) => key_hash(b'p', plugin),
            Self::Request(request) => key_hash(b'q', request),
        }
    }

    fn matches(&self, scanned: &Scanned<'_>) -> bool {
        match self {
            Self::Run(run) => scanned.run_id == run,
            Self::Plugin(plugin) => scanned.plugin_id == plugin,
            Self::Request(request) => scanned.request_id == request,
        }
    }
}

pub(crate) fn key_hash(kind: u8, text: &str) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update([kind]);
    hasher.update(text);
    let digest: [u8; 32] = hasher.finalize().into();
    u64::from_be_bytes(first_bytes(&digest))
}

fn first_bytes<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

/// The places in `segment` of the events before `end` that may match `key`. Keys can share a hash, so other events may be among them.
pub(crate) fn places_of(
    layout: &Layout,
    segment: &Segment,
    end: u64,
    key: &Key,
) -> Result<Vec<EventPlace>, Error> {
    let mut places = match read_index(layout, segment, key.hash()) {
        Some(places) => places,
        None => read_through(segment, key)?,
    };
    places.retain(|place| place.index < end);
    Ok(places)
}

fn read_through(segment: &Segment, key: &Key) -> Result<Vec<EventPlace>, Error> {
    let mut places = Vec::new();
    let mut lines = Lines::open(&segment.path, 0)?;
    for index in segment.first.. {
        let offset = lines.offset();
        let Line::Whole(line) = lines.next().map_err(Error::io("read", &segment.path))? else {
            break;
        };
        if scan(line).is_ok_and(|scanned| key.matches(&scanned)) {
            places.push(EventPlace {
                index,
                segment: segment.first,
                offset,
            });
        }
    }
    Ok(places)
}

pub(crate) fn index_path(layout: &Layout, first: u64) -> PathBuf {
    layout.index().join(format!("{first:0SEGMENT_DIGITS$}.idx"))
}

/// The first event of the segment that the index at `path` is of.
pub(crate) fn index_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".idx")?.parse().ok()
}

/// Looks a key up; none when there is no sound index of this very segment.
fn read_index(layout: &Layout, segment: &Segment, key: u64) -> Option<Vec<EventPlace>> {
    let file = File::open(index_path(layout, segment.first)).ok()?;
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0).ok()?;
    let (numbers, _) = header.as_chunks::<8>();
    let &[magic, first, bytes, entries, ..] = numbers else {
        return None;
    };
    let [first, bytes, entries] = [first, bytes, entries].map(u64::from_be_bytes);
    // If the segment grew, its index says nothing about the rest; if it is shorter than the index says, the index is another ledger's.
    if &magic != MAGIC || first != segment.first || bytes != segment.bytes {
        return None;
    }
    let entries = usize::try_from(entries).ok()?;
    let mut table = vec![0; entries.div_ceil(BLOCK_ENTRIES) * TABLE_ENTRY_BYTES];
    file.read_exact_at(&mut table, HEADER_BYTES as u64).ok()?;
    if Sha256::digest(&table)[..] != header[32..] {
        return None;
    }
    let (table_entries, _) = table.as_chunks::<TABLE_ENTRY_BYTES>();
    let begins_at = |block: &[u8; TABLE_ENTRY_BYTES]| u64::from_be_bytes(first_bytes(block));
    let from = table_entries
        .partition_point(|block| begins_at(block) < key)
        .saturating_sub(1);
    let mut places = Vec::new();
    for (at, block) in table_entries
        .iter()
        .enumerate()
        .skip(from)
        .take_while(|(_, block)| begins_at(block) <= key)
    {
        let count = BLOCK_ENTRIES.min(entries - at * BLOCK_ENTRIES);
        let mut bytes = vec![0; count * ENTRY_BYTES];
        file.read_exact_at(
            &mut bytes,
            (HEADER_BYTES + table.len() + at * BLOCK_ENTRIES * ENTRY_BYTES) as u64,
        )
        .ok()?;
        if Sha256::digest(&bytes)[..16] != block[8..] {
            return None;
        }
        let (chunks, _) = bytes.as_chunks::<ENTRY_BYTES>();
        let found = chunks
            .iter()
            .map(|chunk| u128::from_be_bytes(*chunk))
            .filter(|entry| entry >> 64 == u128::from(key));
        places.extend(found.map(|entry| place_of(entry, segment.first)));
    }
    Some(places)
}

/// An entry is a key, a number and an offset side by side, so that sorting entries sorts by key and then by event.
pub(crate) fn entry(key: u64, number: u64, offset: u64) -> u128 {
    u128::from(key) << 64
        | u128::from(number & 0xffff_ffff) << 32
        | u128::from(offset & 0xffff_ffff)
}

fn place_of(entry: u128, first: u64) -> EventPlace {
    let [.., a, b, c, d, e, f, g, h] = entry.to_be_bytes();
    let number = u32::from_be_bytes([a, b, c, d]);
    EventPlace {
        index: first + u64::from(number),
        segment: first,
        offset: u64::from(u32::from_be_bytes([e, f, g, h])),
    }
}

pub(crate) fn encode(first: u64, bytes: u64, entries: &[u128]) -> Vec<u8> {
    let mut table = Vec::new();
    let mut blocks = Vec::with_capacity(entries.len() * ENTRY_BYTES);
    for block in entries.chunks(BLOCK_ENTRIES) {
        let encoded: Vec<u8> = block.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        table.extend_from_slice(encoded.get(..8).unwrap_or_default());
        table.extend_from_slice(&Sha256::digest(&encoded)[..16]);
        blocks.extend_from_slice(&encoded);
    }
    let mut file = MAGIC.to_vec();
    [first, bytes, entries.len() as u64]
        .iter()
        .for_each(|number| file.extend_from_slice(&number.to_be_bytes()));
    file.extend_from_slice(&Sha256::digest(&table));
    file.extend_from_slice(&table);
    file.extend_from_slice(&blocks);
    file
}
