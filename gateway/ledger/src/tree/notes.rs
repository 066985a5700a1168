//! The checkpoints' files: their names, and reading the newest. It never writes one.

use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::keys::load_key;
use crate::disk::{Layout, read_small};
use crate::error::Error;

/// The file name ending of a checkpoint.
const NOTE_SUFFIX: &str = ".note";

/// The sizes of the checkpoints in the ledger's folder.
pub(crate) fn note_sizes(layout: &Layout) -> Result<Vec<u64>, Error> {
    let folder = layout.checkpoints();
    let fail = |source| Error::Io {
        action: "list the checkpoints in",
        path: folder.clone(),
        source,
    };
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let size = name
            .to_str()
            .and_then(|name| name.strip_suffix(NOTE_SUFFIX))
            .and_then(|size| size.parse::<u64>().ok());
        sizes.extend(size);
    }
    sizes.sort_unstable();
    Ok(sizes)
}

pub(crate) fn note_path(layout: &Layout, size: u64) -> PathBuf {
    layout.checkpoints().join(format!("{size}{NOTE_SUFFIX}"))
}

/// The newest checkpoint of the ledger below `state`, checked with its own public key, and the note.
///
/// # Errors
/// When there is no ledger, the note is not what this ledger wrote, or the system refuses.
pub fn newest_checkpoint(state: &Path) -> Result<Option<(Checkpoint, String)>, Error> {
    let layout = Layout::existing(state)?;
    let Some(&size) = note_sizes(&layout)?.last() else {
        return Ok(None);
    };
    let path = note_path(&layout, size);
    let note = read_small(&path)?;
    let checkpoint = load_key(&layout)?
        .open(&note)
        .map_err(|source| Error::Note { path, source })?;
    Ok(Some((checkpoint, note)))
}
