//! Small files, read and written whole. A file larger than the gateway ever writes is not read.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::io::{Disk, write_all_at};
use crate::error::Error;

/// The mode of the ledger's folders.
const FOLDER_MODE: u32 = 0o700;

/// The longest note that is read, in bytes; ours have some 250.
pub(crate) const MAX_NOTE_BYTES: usize = 64 << 10;

/// Makes a folder of the ledger's, and those above it, for its own user alone.
pub(crate) fn make_folder(folder: &Path) -> Result<(), Error> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(FOLDER_MODE).create(folder);
    made.map_err(Error::io("create", folder))
}

/// Puts `bytes` at `path` so that after a crash either nothing or all of it is there: write beside it, sync, rename, sync the folder.
pub(crate) fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let mut file = disk.replace(beside)?;
    write_all_at(file.as_mut(), bytes, 0)?;
    file.sync()?;
    disk.rename(beside, path)?;
    disk.sync_dir(folder)
}

/// The text of a small file; a larger one is an error.
pub(crate) fn read_small(path: &Path) -> Result<String, Error> {
    let metadata = std::fs::metadata(path).map_err(Error::io("read", path))?;
    if metadata.len() > MAX_NOTE_BYTES as u64 {
        return Err(Error::io("read", path)(
            std::io::ErrorKind::FileTooLarge.into(),
        ));
    }
    std::fs::read_to_string(path).map_err(Error::io("read", path))
}
