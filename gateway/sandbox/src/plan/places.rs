//! Where on the host a plugin may read and execute.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, While};

/// Where C libraries and distributions keep shared libraries.
pub(crate) const LIBRARY_FOLDERS: [&str; 4] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
];

/// The only devices that readers see: what is read from them says nothing about the host. Only the gateway opens one for writing (see
/// [`crate::denial`]).
const DEVICES: [&str; 4] = ["/dev/null", ZERO, "/dev/urandom", "/dev/random"];

/// A device that gives zeros. A shared map of the host's is memory that no limit on private memory counts.
pub(crate) const ZERO: &str = "/dev/zero";

/// The host's device that is shown for one. `/dev/full` gives zeros as well, and the kernel maps it nowhere.
pub(crate) fn behind(device: &'static str) -> &'static str {
    if device == ZERO { "/dev/full" } else { device }
}

/// Places that a plugin may use; everything else is closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Files and folders that may be read.
    pub(crate) read: Vec<PathBuf>,
    /// Files that may be executed, and read.
    pub(crate) execute: Vec<PathBuf>,
}

/// Whether a file lies right in one of the library folders.
pub(super) fn is_in_library_folder(path: &Path) -> bool {
    let folder = path.parent();
    LIBRARY_FOLDERS
        .iter()
        .any(|known| folder == Some(Path::new(known)))
}

/// The links that a path in a library folder leads through elsewhere, as Debian's alternatives are: in the library folder they are seen, and would lead
/// nowhere. What they lead to in the end is shown only where it is shown by itself.
pub(super) fn links_elsewhere(path: &Path) -> Vec<PathBuf> {
    /// More links than this are a mistake or a loop, and then the library is not found.
    const LINKS_MAX: usize = 8;
    let mut links = Vec::new();
    let mut at = path.to_path_buf();
    while links.len() < LINKS_MAX && is_in_library_folder(path) {
        let Ok(target) = fs::read_link(&at) else {
            break;
        };
        at = at.parent().unwrap_or(&at).join(target);
        if fs::symlink_metadata(&at).is_ok_and(|meta| meta.is_symlink()) {
            links.push(at.clone());
        }
    }
    links
}

/// Loader and library folders as (seen from inside, let through).
pub(super) fn libraries(loader: &Path) -> Result<(Vec<PathBuf>, Places), Error> {
    let folders: Vec<PathBuf> = LIBRARY_FOLDERS
        .map(PathBuf::from)
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    let real = fs::canonicalize(loader).during("find a program's loader")?;
    let mut visible = folders.clone();
    visible.push(loader.to_path_buf());
    Ok((
        visible,
        Places {
            read: folders,
            execute: vec![real],
        },
    ))
}

/// Shows the devices that this host has.
pub(super) fn add_devices(visible: &mut Vec<PathBuf>, places: &mut Places) {
    use std::os::unix::fs::FileTypeExt;
    let is_device =
        |path: &str| fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_char_device());
    let there = |device: &&'static str| is_device(device) && is_device(behind(device));
    for device in DEVICES.into_iter().filter(there) {
        visible.push(device.into());
        places.read.push(behind(device).into());
    }
}
