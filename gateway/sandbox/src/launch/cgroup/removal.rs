//! Removes groups that are empty; one that stays busy is logged.

use std::fs;
use std::path::Path;

/// Removes one of this gateway's empty groups. A group that cannot be removed is left for the next gateway, which looks for leftovers.
pub(super) fn remove(folder: &Path) {
    if !try_remove(folder) {
        tracing::warn!(folder = %folder.display(), "a control group cannot be removed");
    }
}

/// Removes an empty group; false when it stays busy.
pub(super) fn try_remove(folder: &Path) -> bool {
    // A group whose last process has only just been reaped may be busy for a moment.
    const TRIES: u32 = 10;
    for _ in 0..TRIES {
        match fs::remove_dir(folder) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            Ok(()) | Err(_) => return true,
        }
    }
    false
}
