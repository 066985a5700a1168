//! The tiles of one checkpoint, from the highest to the lowest, each checked against the one above it. It writes nothing.

use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::merkle::Hash;
use super::tiles::{TILE_HASHES, Tiles, perfect_root, read_tile, tile_name};
use crate::error::Error;

/// The tiles of a checkpoint, one after the other.
#[derive(Debug)]
pub(crate) struct SiteTiles {
    folder: PathBuf,
    edge: Vec<Vec<Hash>>,
    /// The level in hand, and the next tile of it.
    level: usize,
    next: u64,
    /// The hashes of the full tiles of the level in hand, as the level above has them.
    above: Vec<Hash>,
    /// Those of the level below, as they are gathered.
    gathered: Vec<Hash>,
}

impl SiteTiles {
    /// Begins with the tiles below `folder`, whose right edge must have the checkpoint's root.
    pub(crate) fn begin(folder: &Path, checkpoint: Checkpoint) -> Result<Self, Error> {
        let tiles = Tiles::load(folder, checkpoint.size)
            .filter(|tiles| tiles.root() == checkpoint.root)
            .ok_or_else(|| invalid(folder))?;
        let edge = tiles.into_edge();
        Ok(Self {
            folder: folder.to_owned(),
            level: edge.len(),
            edge,
            next: 0,
            above: Vec::new(),
            gathered: Vec::new(),
        })
    }

    /// The next tile: its name, and its bytes.
    pub(crate) fn next_tile(&mut self) -> Result<Option<(String, Vec<u8>)>, Error> {
        loop {
            if self.next == 0 {
                if self.level == 0 {
                    return Ok(None);
                }
                self.level -= 1;
                self.above = std::mem::take(&mut self.gathered);
            }
            let at = usize::try_from(self.next).unwrap_or(usize::MAX);
            if let Some(expected) = self.above.get(at) {
                let hashes = read_tile(&self.folder, self.level, self.next, TILE_HASHES)
                    .map_err(Error::io("read", &self.folder))?;
                if perfect_root(&hashes) != *expected {
                    return Err(invalid(
                        &self.folder.join(tile_name(self.level, self.next, None)),
                    ));
                }
                let name = tile_name(self.level, self.next, None);
                let bytes = hashes.as_flattened().to_vec();
                self.gather(hashes);
                self.next += 1;
                return Ok(Some((name, bytes)));
            }
            let edge = self.edge.get(self.level).cloned().unwrap_or_default();
            let index = std::mem::take(&mut self.next);
            if edge.is_empty() {
                continue;
            }
            let name = tile_name(self.level, index, Some(edge.len()));
            let bytes = edge.as_flattened().to_vec();
            self.gather(edge);
            return Ok(Some((name, bytes)));
        }
    }

    /// Keeps the hashes of a level for checking the one below. Below the lowest there is none.
    fn gather(&mut self, hashes: Vec<Hash>) {
        if self.level > 0 {
            self.gathered.extend(hashes);
        }
    }
}

fn invalid(path: &Path) -> Error {
    Error::io("find the tree that was signed for in", path)(std::io::ErrorKind::InvalidData.into())
}
