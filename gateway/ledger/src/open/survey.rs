//! One pass over a ledger: from the newest good mark that leaves enough to check, or from the first event, to the end.

use plugin_protocol::event::Event;

use crate::disk::{Disk, Layout};
use crate::error::Error;
use crate::line::event_at;
use crate::read::{Base, Begin, Tally, Walked, walk};
use crate::tree::{Claims, Growing, LogKey, Tiles, leaf_hash};

/// The most leaves that are kept in memory while reading. Beyond it the tiles are made again afterwards and saved bit by bit.
const UNSAVED_LEAVES: u64 = 1 << 18;

/// How many leaves are added between two saves while the tiles are made again.
const SAVE_LEAVES: u64 = 1 << 14;

/// What one pass found.
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
    /// Reads the ledger, giving each registry event to `registry_events` in order. At least the last `check_bytes` are read.
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
                registry_events(&event_at(place.index, line)?);
                Ok(())
            })?;
        }
        for (place, line) in &begin.carried {
            let event = event_at(place.index, line)?;
            if event.kind.is_registry() {
                registry_events(&event);
            }
        }
        let Begin {
            start,
            mut tree,
            mut tally,
            ..
        } = begin;
        claims.skip_to(start.head.size, &tree.root());
        // The tiles on disk are as old as the newest checkpoint; they are used from there on if their root is the tree's.
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
            if scanned.kind.is_registry() {
                registry_events(&event_at(place.index, line)?);
            }
            Ok(())
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

/// Makes all tiles again from the lines, which must be good from first to last.
pub(crate) fn rebuild_tiles(layout: &Layout, disk: &dyn Disk) -> Result<Tiles, Error> {
    let folder = layout.tiles();
    // The tiles over what was pruned cannot be made again; they were synced before its lines were dropped.
    let base = Base::load(layout)?;
    let start = base.start();
    let mut tiles = base.tiles;
    tiles.take_away_behind(&folder)?;
    let walked = walk(layout, start, &mut |_, line, _| {
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
