//! The log as a static site in the layout of C2SP `tlog-tiles`, which any web server can serve. What it says is checked against the
//! checkpoint before that is put there. It never writes to the ledger.

use std::fs;
use std::path::Path;

use crate::disk::{Boundary, Layout, RealDisk, write_whole};
use crate::error::Error;
use crate::read::CheckedLines;
use crate::tree::{Checkpoint, SiteTiles, leaf_hash, newest_checkpoint, tile_name};
use crate::witness::{Awaited, await_cosigned};

/// The lines in one bundle.
const BUNDLE: u64 = 256;

/// What was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The events that the checkpoint is over.
    pub events: u64,
    /// The files that were written, and were not there before.
    pub files: u64,
}

/// Publishes the ledger below `state` in the folder `to`, up to a checkpoint that enough witnesses cosigned where they are `awaited` and did
/// so in time, else up to the newest. With `lines`, the events themselves are published; without, only their hashes.
///
/// Tiles and bundles that are there stay, and the checkpoint comes last: whoever reads meanwhile finds all that it is over.
///
/// # Errors
/// When there is no checkpoint yet, the hashes on disk are not those that were signed for, or the system refuses.
pub fn publish(
    state: &Path,
    to: &Path,
    lines: bool,
    awaited: Option<&Awaited<'_>>,
) -> Result<Published, Error> {
    let layout = Layout::existing(state)?;
    let Some(newest) = newest_checkpoint(state)? else {
        return Ok(Published {
            events: 0,
            files: 0,
        });
    };
    // What witnesses cosigned earlier says less than the newest.
    let cosigned = await_cosigned(state, newest.0.size, awaited)?;
    let (checkpoint, note) = cosigned.unwrap_or(newest);
    let mut files = 0;
    let mut tiles = SiteTiles::begin(&layout.tiles(), checkpoint)?;
    while let Some((name, bytes)) = tiles.next_tile()? {
        files += put(to, &name, &bytes)?;
    }
    if lines {
        files += put_lines(&layout, to, &checkpoint)?;
    }
    let path = to.join("checkpoint");
    fs::create_dir_all(to).map_err(Error::io("create", to))?;
    write_whole(&RealDisk, &path, note.as_bytes()).map_err(Error::io("write", &path))?;
    Ok(Published {
        events: checkpoint.size,
        files,
    })
}

/// Puts the bundles of lines there: each line with its length before it, in two bytes, the higher first.
fn put_lines(layout: &Layout, to: &Path, checkpoint: &Checkpoint) -> Result<u64, Error> {
    let mut source = CheckedLines::open(layout, Boundary::default());
    let mut tree = crate::tree::Growing::default();
    let (mut files, mut bundle) = (0, Vec::new());
    for index in 0..checkpoint.size {
        let missing = || Error::Broken {
            index,
            reason: "it is missing".to_owned(),
        };
        let stored = source.next_matching(&mut |_| true)?.ok_or_else(missing)?;
        let length = u16::try_from(stored.line.len()).map_err(|_| missing())?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(&stored.line);
        tree.push(leaf_hash(&stored.line));
        let held = index % BUNDLE + 1;
        if held == BUNDLE || index + 1 == checkpoint.size {
            let partial = usize::try_from(held).ok().filter(|_| held < BUNDLE);
            let name = tile_name("entries", index / BUNDLE, partial);
            files += put(to, &name, &bundle)?;
            bundle.clear();
        }
    }
    if tree.root() == checkpoint.root {
        return Ok(files);
    }
    Err(Error::Broken {
        index: checkpoint.size,
        reason: "the events before it are not those that the checkpoint was signed for".to_owned(),
    })
}

/// Puts a file there that never changes; 1 where it is new. Of the two forms of a tile, the one that is not full goes when the full one comes.
fn put(to: &Path, name: &str, bytes: &[u8]) -> Result<u64, Error> {
    let path = to.join(name);
    if fs::read(&path).is_ok_and(|there| there == bytes) {
        return Ok(0);
    }
    let folder = path.parent().unwrap_or(to);
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    write_whole(&RealDisk, &path, bytes).map_err(Error::io("write", &path))?;
    let partial = to.join(format!("{name}.p"));
    match fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", &partial)(error))
        }
        Ok(()) | Err(_) => Ok(1),
    }
}
