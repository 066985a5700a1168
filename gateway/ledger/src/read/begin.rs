//! Where reading may begin: at the newest good mark that leaves enough to check, or at the first event.

use std::path::Path;

use super::mark::Mark;
use super::pruned::Base;
use super::tally::Tally;
use crate::disk::{Boundary, EventPlace, Layout, list_segments};
use crate::error::Error;
use crate::tree::{Claims, Growing, LogKey, Tiles, edge_peaks};

/// Where reading begins, and what is known there.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) start: Boundary,
    pub(crate) tree: Growing,
    pub(crate) tally: Tally,
    pub(crate) mark: Option<Mark>,
    /// Where reading begins behind what was pruned: the lines that were carried over.
    pub(crate) carried: Vec<(EventPlace, Vec<u8>)>,
}

impl Begin {
    /// The newest good mark that leaves at least `check_bytes` to read, or the first event.
    pub(crate) fn find(
        layout: &Layout,
        key: &LogKey,
        claims: &Claims,
        check_bytes: u64,
    ) -> Result<Self, Error> {
        let segments = list_segments(layout)?;
        let base = Base::load(layout)?;
        let from_base = || Self {
            start: base.start(),
            tree: base.tree(),
            tally: base.tally(),
            mark: None,
            carried: base.carried.clone(),
        };
        let bytes_from = |start: &Boundary| -> u64 {
            let behind = segments
                .iter()
                .filter(|segment| segment.first >= start.segment)
                .map(|segment| segment.bytes)
                .sum::<u64>();
            behind.saturating_sub(start.offset)
        };
        // What a witness showed may be about any of the events, so all are read.
        if bytes_from(&Boundary::default()) <= check_bytes || layout.ahead().exists() {
            return Ok(from_base());
        }
        for claim in claims.checkpoints().rev() {
            let mark = Mark::load(layout, key, claim.size, &claim.root)
                .filter(|mark| bytes_from(&mark.start()) >= check_bytes)
                // Its segment may be gone.
                .filter(|mark| layout.segment(mark.start().segment).is_file());
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
                carried: Vec::new(),
            });
        }
        Ok(from_base())
    }
}

/// The tree over the first `size` events, as the hashes on disk give it.
pub(super) fn tree_at(tiles: &Path, size: u64) -> Option<Growing> {
    Growing::resume(size, edge_peaks(&Tiles::load(tiles, size)?))
}
