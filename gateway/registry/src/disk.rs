//! What the store does on the disk: folders that are removed again unless they were put in their place, and files that are written beside
//! theirs. It knows nothing of what they hold.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Error;
use super::copy::unseal;

/// The largest file that is read whole, in bytes: a list of the most files with the longest paths.
const MAX_LIST_BYTES: u64 = 32 * 1024 * 1024;

/// A package that is out of the store already; its files are removed when this is dropped.
#[derive(Debug)]
pub struct TakenOut {
    pub(super) _files: Building,
}

/// A folder below the store that is removed again unless it was renamed away.
#[derive(Debug)]
pub(super) struct Building {
    pub(super) path: PathBuf,
}

impl Building {
    pub(super) fn new(parent: &Path) -> Result<Self, Error> {
        tempfile::Builder::new()
            .prefix(".new-")
            .tempdir_in(parent)
            .map(|folder| Self {
                path: folder.keep(),
            })
            .map_err(Error::io("create folder in", parent))
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        // If it cannot be removed, it stays as a leftover that no digest names.
        drop(unseal(&self.path));
        drop(fs::remove_dir_all(&self.path));
    }
}

pub(super) fn write_beside(folder: &Path, place: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(0o444))?;
    file.as_file().sync_all()?;
    file.persist(place).map_err(|error| error.error)?;
    Ok(())
}

pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_LIST_BYTES)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io("sync folder", folder))
}
