//! The tree's hashes on disk, in the layout of C2SP tlog-tiles: 256 hashes a tile, level over level.
//!
//! Everything here can be made again from the lines. It is written without syncs: tiles that a crash lost are noticed, because
//! the root is then wrong.

use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use super::consistency::consistency_ranges;
use super::merkle::{Hash, node_hash, path_ranges, peaks, range_root};
use crate::disk::{Disk, write_all_at};
use crate::error::Error;

/// The hashes in a full tile.
pub(crate) const TILE_HASHES: usize = 256;

/// The levels of the binary tree in one level of tiles.
const TILE_HEIGHT: u32 = 8;

/// The bytes of a hash.
const HASH_BYTES: usize = 32;

/// How many tiles a reader keeps in memory: 2 MiB.
const CACHED_TILES: usize = 256;

/// The growing right edge of the tiles.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tiles {
    size: u64,
    /// For each level of tiles, the hashes of its last tile, which is not full.
    edge: Vec<Vec<Hash>>,
    /// Tiles that became full since the last save.
    full: Vec<(usize, u64, Vec<Hash>)>,
    /// The partial tiles on disk: level, index, hashes.
    partial: Vec<(usize, u64, usize)>,
}

impl Tiles {
    /// The leaves.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn push(&mut self, leaf: Hash) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0.. {
            if self.edge.len() == level {
                self.edge.push(Vec::with_capacity(TILE_HASHES));
            }
            let Some(row) = self.edge.get_mut(level) else {
                return;
            };
            row.push(hash);
            if row.len() < TILE_HASHES {
                return;
            }
            let tile = std::mem::replace(row, Vec::with_capacity(TILE_HASHES));
            hash = perfect_root(&tile);
            let index = (self.size >> (TILE_HEIGHT * (u32::try_from(level).unwrap_or(0) + 1))) - 1;
            self.full.push((level, index, tile));
        }
    }

    /// A tree of `size` leaves from its edge; none when the edge has not the shape of such a tree's.
    pub(crate) fn resume(size: u64, edge: Vec<Vec<Hash>>) -> Option<Self> {
        let mut count = size;
        for row in &edge {
            let fits = count > 0 && row.len() as u64 == count % TILE_HASHES as u64;
            count = fits.then_some(count / TILE_HASHES as u64)?;
        }
        (count == 0).then(|| Self {
            size,
            edge,
            ..Self::default()
        })
    }

    /// The hashes of the last tile of each level, which is not full.
    pub(crate) fn edge(&self) -> &[Vec<Hash>] {
        &self.edge
    }

    /// Makes sure that the tiles that became full are below `folder`, and durable: their leaves' lines are to be dropped.
    pub(crate) fn settle(&mut self, disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
        for (level, index, tile) in std::mem::take(&mut self.full) {
            let path = folder.join(tile_name(level, index, None));
            if std::fs::read(&path).ok().as_deref() != Some(tile.as_flattened()) {
                write_tile(disk, &path, &tile).map_err(Error::io("write", &path))?;
            }
            let synced = disk.open(&path).and_then(|mut file| file.sync());
            synced.map_err(Error::io("sync", &path))?;
            let folders = path.ancestors().skip(1);
            for above in folders.take_while(|above| above.starts_with(folder)) {
                disk.sync_dir(above).map_err(Error::io("sync", above))?;
            }
        }
        Ok(())
    }

    /// The hashes of all leaves, from the tiles below `folder`; none where a tile is missing. `self` is the tree at its end.
    pub(crate) fn each_leaf(
        &self,
        folder: &Path,
        each: &mut dyn FnMut(u64, &Hash),
    ) -> Result<(), Error> {
        let width = TILE_HASHES as u64;
        for index in 0..self.size / width {
            let path = folder.join(tile_name(0, index, None));
            let tile =
                read_tile(folder, 0, index, TILE_HASHES).map_err(Error::io("read", &path))?;
            (index * width..)
                .zip(&tile)
                .for_each(|(at, leaf)| each(at, leaf));
        }
        let first = self.size / width * width;
        let last = self.edge.first().into_iter().flatten();
        (first..).zip(last).for_each(|(at, leaf)| each(at, leaf));
        Ok(())
    }

    /// Takes away every tile that is not full before the end of `self`, so that the tiles behind it can be made again.
    pub(crate) fn take_away_behind(&self, folder: &Path) -> Result<(), Error> {
        let mut count = self.size;
        for level in 0.. {
            count /= TILE_HASHES as u64;
            let row = folder.join(format!("tile/{level}"));
            if !row.is_dir() {
                return Ok(());
            }
            let full = |path: &Path| {
                let digits: String = path
                    .strip_prefix(&row)
                    .ok()?
                    .to_str()?
                    .replace(['/', 'x'], "");
                digits.parse::<u64>().ok().filter(|index| *index < count)
            };
            take_away(&row, &|path| full(path).is_some())?;
        }
        Ok(())
    }

    /// The root over all leaves.
    pub(crate) fn root(&self) -> Hash {
        // The edge holds every perfect subtree of the right edge, so this reads nothing.
        let mut edge = |level: u32, index: u64| {
            node_in(
                self.edge
                    .get(tile_level(level))
                    .map(Vec::as_slice)
                    .unwrap_or_default(),
                level,
                index,
            )
            .ok_or(())
        };
        range_root(&(0..self.size), &mut edge).unwrap_or_default()
    }

    /// Writes what is new since the last save below `folder`. After a failure it can be tried again.
    pub(crate) fn save(&mut self, disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
        for (level, index, tile) in &self.full {
            let path = folder.join(tile_name(*level, *index, None));
            write_tile(disk, &path, tile).map_err(Error::io("write", &path))?;
        }
        let mut written = Vec::new();
        for (level, row) in self
            .edge
            .iter()
            .enumerate()
            .filter(|(_, row)| !row.is_empty())
        {
            let count = self.size >> (TILE_HEIGHT * u32::try_from(level).unwrap_or(0));
            let partial = (level, count / TILE_HASHES as u64, row.len());
            if !self.partial.contains(&partial) {
                let path = folder.join(tile_name(level, partial.1, Some(row.len())));
                write_tile(disk, &path, row).map_err(Error::io("write", &path))?;
            }
            written.push(partial);
        }
        for (level, index, hashes) in self
            .partial
            .iter()
            .filter(|partial| !written.contains(partial))
        {
            let path = folder.join(tile_name(*level, *index, Some(*hashes)));
            match disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", &path)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.full.clear();
        self.partial = written;
        Ok(())
    }

    /// The edge of the tree of `size` leaves as the tiles below `folder` hold it; none when a tile is missing or has the wrong length.
    /// The caller compares its root to know whether it is right.
    pub(crate) fn load(folder: &Path, size: u64) -> Option<Self> {
        let mut tiles = Self {
            size,
            ..Self::default()
        };
        let mut count = size;
        for level in 0.. {
            if count == 0 {
                break;
            }
            let (index, hashes) = (
                count / TILE_HASHES as u64,
                usize::try_from(count % TILE_HASHES as u64).ok()?,
            );
            let row = if hashes == 0 {
                Vec::new()
            } else {
                read_tile(folder, level, index, hashes).ok()?
            };
            if hashes > 0 && folder.join(tile_name(level, index, Some(hashes))).is_file() {
                tiles.partial.push((level, index, hashes));
            }
            tiles.edge.push(row);
            count /= TILE_HASHES as u64;
        }
        Some(tiles)
    }

    /// For each level of tiles, the hashes of its last tile where that is not full.
    pub(super) fn into_edge(self) -> Vec<Vec<Hash>> {
        self.edge
    }

    /// A reader of this tree: the full tiles below `folder`, and the edge as it is now.
    pub(crate) fn reader(&self, folder: PathBuf) -> TileReader {
        TileReader {
            folder,
            size: self.size,
            edge: self.edge.clone(),
            cache: HashMap::new(),
        }
    }
}

/// Makes proofs from tiles; it stays valid while the tree grows.
#[derive(Debug)]
pub(crate) struct TileReader {
    folder: PathBuf,
    size: u64,
    edge: Vec<Vec<Hash>>,
    cache: HashMap<(usize, u64), Vec<Hash>>,
}

impl TileReader {
    /// The inclusion proof for leaf `index`, lowest hash first.
    pub(crate) fn path(&mut self, index: u64) -> Result<Vec<Hash>, Error> {
        path_ranges(index, self.size)
            .iter()
            .map(|range| range_root(range, &mut |level, index| self.node(level, index)))
            .collect()
    }

    /// The proof that the tree of `old` leaves is the beginning of this one, lowest hash first.
    pub(crate) fn consistency(&mut self, old: u64) -> Result<Vec<Hash>, Error> {
        consistency_ranges(old, self.size)
            .iter()
            .map(|range| range_root(range, &mut |level, index| self.node(level, index)))
            .collect()
    }

    fn node(&mut self, level: u32, index: u64) -> Result<Hash, Error> {
        let row = tile_level(level);
        let tile = (index << (level % TILE_HEIGHT)) / TILE_HASHES as u64;
        let full = self.size >> (TILE_HEIGHT * u32::try_from(row + 1).unwrap_or(u32::MAX));
        let fail = || Error::Io {
            action: "read",
            path: self.folder.join(tile_name(row, tile, None)),
            source: io::ErrorKind::InvalidData.into(),
        };
        if tile >= full {
            return self
                .edge
                .get(row)
                .and_then(|hashes| node_in(hashes, level, index))
                .ok_or_else(fail);
        }
        if !self.cache.contains_key(&(row, tile)) {
            let path = self.folder.join(tile_name(row, tile, None));
            let hashes = read_tile(&self.folder, row, tile, TILE_HASHES)
                .map_err(Error::io("read", &path))?;
            if self.cache.len() >= CACHED_TILES {
                self.cache.clear();
            }
            self.cache.insert((row, tile), hashes);
        }
        self.cache
            .get(&(row, tile))
            .and_then(|hashes| node_in(hashes, level, index))
            .ok_or_else(fail)
    }
}

/// The level of tiles that holds a level of the binary tree.
fn tile_level(level: u32) -> usize {
    (level / TILE_HEIGHT) as usize
}

/// The node at `level` and `index` of the binary tree, from the hashes of its tile.
fn node_in(tile: &[Hash], level: u32, index: u64) -> Option<Hash> {
    let width = 1 << (level % TILE_HEIGHT);
    let from = usize::try_from((index << (level % TILE_HEIGHT)) % TILE_HASHES as u64).ok()?;
    tile.get(from..from + width).map(perfect_root)
}

/// The root over a power of two of hashes.
pub(super) fn perfect_root(hashes: &[Hash]) -> Hash {
    match hashes {
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            if left.is_empty() {
                Hash::default()
            } else {
                node_hash(&perfect_root(left), &perfect_root(right))
            }
        }
    }
}

/// A tile's path: `tile/<level>/<index in groups of three digits>`, with `.p/<hashes>` for one that is not full.
pub(crate) fn tile_name(level: impl Display, index: u64, partial: Option<usize>) -> String {
    let mut name = format!("{:03}", index % 1_000);
    let mut rest = index / 1_000;
    while rest > 0 {
        name = format!("x{:03}/{name}", rest % 1_000);
        rest /= 1_000;
    }
    let partial = partial
        .map(|hashes| format!(".p/{hashes}"))
        .unwrap_or_default();
    format!("tile/{level}/{name}{partial}")
}

fn write_tile(disk: &dyn Disk, path: &Path, hashes: &[Hash]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension("new");
    let mut file = disk.replace(&beside)?;
    write_all_at(file.as_mut(), hashes.as_flattened(), 0)?;
    disk.rename(&beside, path)
}

/// Removes the files below `folder` but those that are to stay.
fn take_away(folder: &Path, stays: &dyn Fn(&Path) -> bool) -> Result<(), Error> {
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        if path.is_dir() {
            take_away(&path, stays)?;
        } else if !stays(&path) {
            std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// The first `hashes` hashes of a tile, from the full one or from a partial one that has them.
pub(super) fn read_tile(
    folder: &Path,
    level: usize,
    index: u64,
    hashes: usize,
) -> io::Result<Vec<Hash>> {
    let full = folder.join(tile_name(level, index, None));
    let bytes = std::fs::read(&full)
        .or_else(|_| std::fs::read(folder.join(tile_name(level, index, Some(hashes)))));
    let bytes = bytes.or_else(|error| {
        widest_partial(&folder.join(tile_name(level, index, None))).ok_or(error)
    })?;
    let (chunks, rest) = bytes.as_chunks::<HASH_BYTES>();
    match chunks.get(..hashes) {
        Some(chunks) if rest.is_empty() => Ok(chunks.to_vec()),
        Some(_) | None => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn widest_partial(full: &Path) -> Option<Vec<u8>> {
    let mut folder = full.as_os_str().to_owned();
    folder.push(".p");
    let names = std::fs::read_dir(&folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<usize>().ok());
    std::fs::read(Path::new(&folder).join(names.max()?.to_string())).ok()
}

/// The perfect subtrees of the right edge, largest first, from the lines' own tree. Used to resume a [`crate::tree::merkle::Growing`].
pub(crate) fn edge_peaks(tiles: &Tiles) -> Vec<Hash> {
    let node = |(level, index): (u32, u64)| {
        tiles
            .edge
            .get(tile_level(level))
            .and_then(|row| node_in(row, level, index))
    };
    peaks(tiles.size).filter_map(node).collect()
}
