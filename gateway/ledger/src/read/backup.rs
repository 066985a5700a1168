//! A copy of a ledger, made while its gateway may go on writing: up to the newest checkpoint, with everything that belongs to it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::disk::{
    Layout, Line, Lines, RealDisk, Segment, list_segments, make_folder, write_whole,
};
use crate::error::Error;
use crate::tree::{Checkpoint, newest_checkpoint, note_path};

/// Copies the ledger below `state` to the folder `to`, up to its newest checkpoint, which is returned: keys, segments, checkpoints,
/// tiles, index, kept evidence, quarantine, and the witnesses with what they cosigned. The copy is anchored in itself. It is not synced; none is made of an empty ledger.
///
/// What is written meanwhile may or may not be in it beyond the events; opening the copy takes what fits.
///
/// # Errors
/// When there is no ledger, or the system refuses. Whether the copy is sound is for [`super::verify()`] to say.
pub fn back_up(state: &Path, to: &Path) -> Result<Option<Checkpoint>, Error> {
    let (layout, copy) = (Layout::existing(state)?, Layout::new(to));
    // First, so that whatever is copied after it is at least as new.
    let Some((checkpoint, note)) = newest_checkpoint(state)? else {
        return Ok(None);
    };
    make_folder(to)?;
    for (from, to) in [
        (layout.log_key(), copy.log_key()),
        (layout.log_pub(), copy.log_pub()),
        (layout.log_vkey(), copy.log_vkey()),
    ] {
        copy_file(&from, &to)?;
    }
    // Checkpoints that are newer by now would claim events that are not copied.
    let is_older = |path: &Path| {
        let size = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        size.is_some_and(|size| size <= checkpoint.size)
    };
    copy_files(&layout.checkpoints(), &copy.checkpoints(), &is_older)?;
    make_folder(&copy.anchor())?;
    for path in [
        note_path(&copy, checkpoint.size),
        copy.anchor().join("head"),
    ] {
        write_whole(&RealDisk, &path, note.as_bytes()).map_err(Error::io("write", &path))?;
    }
    for (from, to) in [
        (layout.tiles(), copy.tiles()),
        (layout.index(), copy.index()),
        (layout.quarantine(), copy.quarantine()),
    ] {
        copy_files(&from, &to, &|_| true)?;
    }
    if layout.witness_list().exists() {
        make_folder(&copy.witnesses())?;
        copy_file(&layout.witness_list(), &copy.witness_list())?;
    }
    copy_files(&layout.cosigned(), &copy.cosigned(), &is_older)?;
    make_folder(&copy.segments())?;
    for (from, to) in [
        (layout.pruned(), copy.pruned()),
        (layout.carried(), copy.carried()),
        (layout.pruned_runs(), copy.pruned_runs()),
    ] {
        copy_file(&from, &to)?;
    }
    for segment in list_segments(&layout)? {
        copy_segment(&segment, &copy, checkpoint.size)?;
    }
    // After the events, as what they name was kept before they were written.
    copy_files(&layout.evidence(), &copy.evidence(), &|_| true)?;
    Ok(Some(checkpoint))
}

/// Copies a segment, and cuts the copy off before event `end`: what follows was written meanwhile, or set aside.
fn copy_segment(segment: &Segment, copy: &Layout, end: u64) -> Result<(), Error> {
    if segment.first >= end {
        return Ok(());
    }
    let path = copy.segment(segment.first);
    copy_file(&segment.path, &path)?;
    let mut lines = Lines::open(&path, 0)?;
    for _ in segment.first..end {
        // The next segment goes on. If none does, verifying the copy finds it out.
        let Line::Whole(_) = lines.next().map_err(Error::io("read", &path))? else {
            break;
        };
    }
    let cut = File::options().write(true).open(&path);
    cut.and_then(|copy| copy.set_len(lines.offset()))
        .map_err(Error::io("cut", &path))
}

/// Copies the files below `from` that `wanted` names, and their folders. What goes away meanwhile is left out, and so are
/// locks and what is being written.
fn copy_files(from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<(), Error> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("list", from))?,
    };
    make_folder(to)?;
    for entry in entries {
        let entry = entry.map_err(Error::io("list", from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(Error::io("read", &path))?;
        let in_the_making = path.extension().is_some_and(|ending| ending == "new");
        if kind.is_dir() {
            copy_files(&path, &target, wanted)?;
        } else if kind.is_file() && !in_the_making && entry.file_name() != "LOCK" && wanted(&path) {
            copy_file(&path, &target)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<(), Error> {
    match fs::copy(from, to) {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && to.parent().is_some_and(Path::is_dir) =>
        {
            Ok(())
        }
        copied => copied.map(drop).map_err(Error::io("copy", from)),
    }
}
