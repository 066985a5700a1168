//! The anchor: the last checkpoint, kept where restoring an old copy of the state does not overwrite it. It is replaced only
//! while it still holds what this ledger last put there (compare-and-swap).

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, LogKey};
use crate::disk::{Disk, Layout, read_small, write_whole};
use crate::error::Error;

/// The file of the note.
const HEAD: &str = "head";

/// The anchor as this ledger knows it.
#[derive(Debug)]
pub(crate) struct Anchor {
    folder: PathBuf,
    /// The note that is there; none before the first checkpoint.
    note: Option<String>,
    /// The old anchor of a ledger that was anchored inside its state before; none once the new anchor has a note.
    old: Option<PathBuf>,
}

impl Anchor {
    /// Reads the anchor in the folder that the operator names, or else inside the state.
    ///
    /// # Errors
    /// When the named anchor is empty although this ledger has checkpoints, which must have been anchored there: a volume that is not
    /// mounted must not make an old copy of the state look new. A ledger that was anchored inside its state until now may move.
    pub(crate) fn read(layout: &Layout, named: Option<&Path>) -> Result<Self, Error> {
        let inside = layout.anchor();
        let mut anchor = Self {
            folder: named.unwrap_or(&inside).to_owned(),
            note: None,
            old: None,
        };
        anchor.note = anchor.current()?;
        if named.is_some() && anchor.note.is_none() {
            let old = inside.join(HEAD);
            if !old.exists() && has_checkpoints(layout)? {
                return Err(Error::AnchorGone {
                    path: anchor.path(),
                });
            }
            anchor.old = Some(old);
        }
        Ok(anchor)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(HEAD)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.note.is_none()
    }

    /// The checkpoint that it holds.
    pub(crate) fn checkpoint(&self, key: &LogKey) -> Result<Option<Checkpoint>, Error> {
        let opened = self.note.as_deref().map(|note| key.open(note)).transpose();
        opened.map_err(|source| Error::Note {
            path: self.path(),
            source,
        })
    }

    fn current(&self) -> Result<Option<String>, Error> {
        let path = self.path();
        match path.try_exists().map_err(Error::io("read", &path))? {
            true => read_small(&path).map(Some),
            false => Ok(None),
        }
    }

    /// Moves on to `note`, durable when this returns.
    ///
    /// # Errors
    /// When another copy of the ledger moved it meanwhile, or the system refuses.
    pub(crate) fn swap(&mut self, disk: &dyn Disk, note: &str) -> Result<(), Error> {
        let folder = &self.folder;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(Error::io("create", folder))?;
        let lock = folder.join("LOCK");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        // The lock is held until the end of this function, so that two copies of a ledger take turns.
        let held = options
            .open(&lock)
            .and_then(|file| file.lock().map(|()| file));
        let held = held.map_err(Error::io("lock", &lock))?;
        if self.current()? != self.note {
            return Err(Error::AnchorMoved { path: self.path() });
        }
        write_whole(disk, &self.path(), note.as_bytes())
            .map_err(Error::io("write", &self.path()))?;
        self.note = Some(note.to_owned());
        drop(held);
        match self.old.take().map(|old| (fs::remove_file(&old), old)) {
            Some((Err(error), old)) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", &old)(error))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn has_checkpoints(layout: &Layout) -> Result<bool, Error> {
    let folder = layout.checkpoints();
    let entries = fs::read_dir(&folder).map_err(Error::io("read", &folder))?;
    let notes = entries.flatten().map(|entry| entry.path());
    Ok(notes
        .into_iter()
        .any(|path| path.extension().is_some_and(|end| end == "note")))
}
