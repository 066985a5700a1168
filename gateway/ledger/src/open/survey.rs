//! One look over a ledger: from the newest good mark that leaves enough to check, or from the first event, to the end.

use std::path::Path;

use plugin_protocol::event::{Event, EventKind};

use crate::disk::io::Disk;
use crate::disk::layout::Layout;
use crate::disk::segment;
use crate::error::Error;
use crate::open::recover::read;
use crate::read::mark::Mark;
use crate::read::tally::Tally;
use crate::read::walk::{Start, Walked, walk};
use crate::tree::checkpoint::LogKey;
use crate::tree::claims::Claims;
use crate::tree::merkle::{Growing, leaf_hash};
use crate::tree::tiles::{Tiles, edge_peaks};

/// More leaves than these are not kept in memory while reading; the tiles are then made again, saved bit by bit.
const UNSAVED_LEAVES: u64 = 1 << 18;

/// Tiles are saved every so many leaves while they are made again.
const SAVE_LEAVES: u64 = 1 << 14;

/// What one look found.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) walked: Walked,
    pub(crate) claims: Claims,
    pub(crate) tally: Tally,
    /// The tiles, at the end of the good events; none when those on disk do not fit them.
    pub(crate) tiles: Option<Tiles>,
    /// The first event whose bytes were read.
    pub(crate) checked_from: u64,
}

impl Survey {
    /// Looks the ledger over, giving each registry event to `registry_events` in order. At least the last `check_bytes` are read.
    pub(crate) fn make(
        layout: &Layout,
        key: &LogKey,
        mut claims: Claims,
        check_bytes: u64,
        registry_events: &mut dyn FnMut(&Event),
    ) -> Result<Self, Error> {
        let begin = Begin::find(layout, key, &claims, check_bytes)?;
        if let Some(mark) = &begin.mark {
            mark.each_registry_line(layout, &mut |place, line| {
                give(place.index, line, registry_events)
            })?;
        }
        let Begin {
            start,
            mut tree,
            mut tally,
            ..
        } = begin;
        claims.skip_to(start.head.size, &tree.root());
        // The tiles on disk are as old as the newest checkpoint; they are taken up there, when their root is the tree's.
        let newest = claims
            .checkpoints()
            .next_back()
            .map_or(0, |claim| claim.size)
            .max(start.head.size);
        let mut tiles = Tiles::load(&layout.tiles(), newest);
        let join = |tree: &Growing, tiles: &mut Option<Tiles>| {
            if tree.size() == newest {
                tiles.take_if(|tiles| tiles.root() != tree.root());
            }
        };
        join(&tree, &mut tiles);
        let walked = walk(layout, start, &mut |place, line, scanned| {
            let leaf = leaf_hash(line);
            tree.push(leaf);
            claims.meet(tree.size(), &mut || tree.root());
            if tree.size() > newest {
                tiles.take_if(|tiles| tiles.size() - newest >= UNSAVED_LEAVES);
                tiles.iter_mut().for_each(|tiles| tiles.push(leaf));
            } else {
                join(&tree, &mut tiles);
            }
            tally.note(place, scanned);
            match scanned.kind {
                EventKind::Register | EventKind::Enable | EventKind::Disable => {
                    give(place.index, line, registry_events)
                }
                EventKind::Invoke
                | EventKind::Result
                | EventKind::Reject
                | EventKind::Error
                | EventKind::ProofExport => Ok(()),
            }
        })?;
        tiles.take_if(|tiles| tiles.size() != walked.head.size);
        Ok(Self {
            walked,
            claims,
            tally,
            tiles,
            checked_from: start.head.size,
        })
    }
}

fn give(index: u64, line: &[u8], registry_events: &mut dyn FnMut(&Event)) -> Result<(), Error> {
    registry_events(&read(line).map_err(|reason| Error::Broken { index, reason })?);
    Ok(())
}

/// Where a look begins, and what is known there.
#[derive(Debug, Default)]
pub(crate) struct Begin {
    pub(crate) start: Start,
    tree: Growing,
    tally: Tally,
    pub(crate) mark: Option<Mark>,
}

impl Begin {
    /// The newest good mark that leaves at least `check_bytes` to read, or the first event.
    pub(crate) fn find(
        layout: &Layout,
        key: &LogKey,
        claims: &Claims,
        check_bytes: u64,
    ) -> Result<Self, Error> {
        let segments = segment::list(layout)?;
        let bytes_from = |start: &Start| -> u64 {
            let behind = segments
                .iter()
                .filter(|segment| segment.first >= start.segment)
                .map(|segment| segment.bytes)
                .sum::<u64>();
            behind.saturating_sub(start.offset)
        };
        if bytes_from(&Start::default()) <= check_bytes {
            return Ok(Self::default());
        }
        for claim in claims.checkpoints().rev() {
            let mark = Mark::load(layout, key, claim.size, &claim.root)
                .filter(|mark| bytes_from(&mark.start()) >= check_bytes);
            let Some(mark) = mark else { continue };
            let Some(tree) =
                tree_at(&layout.tiles(), claim.size).filter(|tree| tree.root() == claim.root)
            else {
                continue;
            };
            let Some(tally) = mark.tally(layout) else {
                continue;
            };
            return Ok(Self {
                start: mark.start(),
                tree,
                tally,
                mark: Some(mark),
            });
        }
        Ok(Self::default())
    }
}

fn tree_at(tiles: &Path, size: u64) -> Option<Growing> {
    Growing::resume(size, edge_peaks(&Tiles::load(tiles, size)?))
}

/// Makes all tiles again from the lines, which must be good from first to last.
pub(crate) fn rebuild_tiles(layout: &Layout, disk: &dyn Disk) -> Result<Tiles, Error> {
    let folder = layout.tiles();
    let old = folder.join("tile");
    if old.exists() {
        std::fs::remove_dir_all(&old).map_err(Error::io("remove", &old))?;
    }
    let mut tiles = Tiles::default();
    let walked = walk(layout, Start::default(), &mut |_, line, _| {
        tiles.push(leaf_hash(line));
        if tiles.size().is_multiple_of(SAVE_LEAVES) {
            tiles.save(disk, &folder)?;
        }
        Ok(())
    })?;
    match walked.stop {
        None => Ok(tiles),
        Some(stop) => Err(stop.into_error()),
    }
}
