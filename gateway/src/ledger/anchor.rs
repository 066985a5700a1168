//! The anchor: the last checkpoint, kept where a copy of the state put back does not reach. It only ever moves on from
//! what this ledger last put there (compare-and-swap).

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, LogKey};
use super::error::Error;
use super::init::read_small;
use super::io::{Disk, write_whole};

/// The anchor as this ledger knows it.
#[derive(Debug)]
pub(crate) struct Anchor {
    folder: PathBuf,
    /// The note that is there; none before the first checkpoint.
    note: Option<String>,
}

impl Anchor {
    /// Reads the anchor in `folder`, which need not be there yet.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let anchor = Self {
            folder: folder.to_owned(),
            note: None,
        };
        let note = anchor.current()?;
        Ok(Self { note, ..anchor })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("head")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.note.is_none()
    }

    /// What it vouches for.
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
        // Held until the end of this function; two copies of a ledger take turns at it.
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
        Ok(())
    }
}
