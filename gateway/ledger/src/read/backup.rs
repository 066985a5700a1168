//! A copy of a ledger, made while its gateway may go on writing: up to the newest checkpoint, with everything that belongs to it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::disk::{Layout, Line, Lines, Segment, list_segments};
use crate::error::Error;
use crate::tree::{Checkpoint, newest_checkpoint, note_path};

/// The mode of a ledger's folders.
const FOLDER_MODE: u32 = 0o700;

/// The mode of a ledger's files.
const FILE_MODE: u32 = 0o600;

/// Copies the ledger below `state` to the folder `to`, up to its newest checkpoint, which is returned: keys, segments, checkpoints,
/// tiles, index, kept evidence and quarantine. The copy is anchored in itself. It is not synced; none is made of an empty ledger.
///
/// What is written meanwhile may or may not be in it beyond the events; opening the copy takes what fits.
///
/// # Errors
/// When there is no ledger, it has fewer events than its checkpoint says, or the system refuses.
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
    write(&note_path(&copy, checkpoint.size), note.as_bytes())?;
    make_folder(&copy.anchor())?;
    write(&copy.anchor().join("head"), note.as_bytes())?;
    for (from, to) in [
        (layout.tiles(), copy.tiles()),
        (layout.index(), copy.index()),
        (layout.quarantine(), copy.quarantine()),
    ] {
        copy_files(&from, &to, &|_| true)?;
    }
    make_folder(&copy.segments())?;
    for segment in list_segments(&layout)? {
        copy_segment(&segment, &copy, checkpoint.size)?;
    }
    // After the events, as what they name was kept before they were written.
    copy_files(&layout.evidence(), &copy.evidence(), &|_| true)?;
    Ok(Some(checkpoint))
}

/// Copies the lines of a segment that come before event `end`.
fn copy_segment(segment: &Segment, copy: &Layout, end: u64) -> Result<(), Error> {
    if segment.first >= end {
        return Ok(());
    }
    let path = copy.segment(segment.first);
    let mut out = BufWriter::new(create(&path).map_err(Error::io("create", &path))?);
    let mut lines = Lines::open(&segment.path, 0)?;
    for _ in segment.first..end {
        // The next segment goes on. If none does, verifying the copy finds it out.
        let Line::Whole(line) = lines.next().map_err(Error::io("read", &segment.path))? else {
            break;
        };
        out.write_all(line)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(Error::io("write", &path))?;
    }
    out.flush().map_err(Error::io("write", &path))
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

fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(path)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    create(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(Error::io("write", path))
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

fn make_folder(path: &Path) -> Result<(), Error> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(FOLDER_MODE).create(path);
    made.map_err(Error::io("make folder", path))
}
