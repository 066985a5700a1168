//! Folders in the temporary folder that do not outlive the process that made them. Each is removed when it is dropped, when a signal
//! ends the program ([`remove_all`]), or, after a `kill -9`, when the next one is made. A folder that is in use, or somebody else's,
//! is never removed.
//!
//! A folder is in use while a process holds a lock on it; the kernel releases the lock when that process ends, however it ends. The
//! maker of a folder locks it and then checks that it is still there; a sweeper locks it and then removes it. So where the two meet
//! at a new folder, only one of them gets it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open};

/// What the names of these folders begin with. Folders of other programs, and of older gateways, which did not lock theirs, have other
/// names and are left alone.
const PREFIX: &str = "plugin-gateway-passing-";

/// How often a new folder is made when a sweeper removes it before it is locked. Even once is rare.
const TRIES: usize = 8;

/// The most folders that one sweep removes, so that a start takes its usual time; the next start goes on.
const SWEPT_MAX: usize = 64;

/// How often removing a folder is tried, since other threads, which the signal did not stop, may still write into it.
const REMOVALS: usize = 16;

/// The folders of this process.
static LIVING: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A folder that is gone when this is dropped, with everything in it. Nobody but its owner can look into it.
#[derive(Debug)]
pub struct ThrowAwayFolder {
    path: PathBuf,
    /// Held until the folder is removed.
    _lock: OwnedFd,
}

impl ThrowAwayFolder {
    /// Makes one in the temporary folder, and removes those that were left there by processes of this user which are no more.
    ///
    /// # Errors
    /// When no folder can be made in the temporary folder.
    pub fn new() -> io::Result<Self> {
        let base = std::env::temp_dir();
        sweep(&base);
        for _ in 0..TRIES {
            if let Some(made) = Self::make(&base)? {
                return Ok(made);
            }
        }
        Err(io::Error::other(
            "each new folder was removed at once by somebody else",
        ))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A locked new folder; none where a sweeper locked or removed it first.
    fn make(base: &Path) -> io::Result<Option<Self>> {
        let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(base)?;
        let Ok(Some(lock)) = lock(made.path()) else {
            return Ok(None);
        };
        let path = made.keep();
        living().push(path.clone());
        Ok(Some(Self { path, _lock: lock }))
    }
}

impl Drop for ThrowAwayFolder {
    fn drop(&mut self) {
        living().retain(|other| *other != self.path);
        if let Err(error) = remove(&self.path) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "a temporary folder could not be removed");
        }
    }
}

/// Removes every folder of this process, for when a signal ends it and nothing is dropped.
pub fn remove_all() {
    let all = std::mem::take(&mut *living());
    for path in all {
        // Nobody is left to tell; the next start removes what could not be.
        let removed = (0..REMOVALS).any(|_| remove(&path).is_ok());
        tracing::debug!(removed, "a temporary folder is removed for a signal");
    }
}

fn living() -> MutexGuard<'static, Vec<PathBuf>> {
    LIVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks one of this user's folders; `None` when another process holds the lock, or when the folder of this name is gone.
fn lock(path: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let folder = open(path, flags, Mode::empty())?;
    let stat = fstat(&folder)?;
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Ok(None);
    }
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    }
    let there = fs::symlink_metadata(path)?;
    let same = (there.dev(), there.ino()) == (stat.st_dev, stat.st_ino);
    Ok(same.then_some(folder))
}

/// Removes the folders that dead processes left.
fn sweep(base: &Path) {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    let left = ours.filter_map(|entry| {
        let lock = lock(&entry.path()).ok().flatten()?;
        Some((entry.path(), lock))
    });
    for (path, lock) in left.take(SWEPT_MAX) {
        let removed = remove(&path);
        tracing::debug!(?removed, "a folder that was left behind is removed");
        drop(lock);
    }
}

/// Removes a folder whose own folders may be read-only, as those of a package store are.
fn remove(path: &Path) -> io::Result<()> {
    open_up(path)?;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn open_up(folder: &Path) -> io::Result<()> {
    /// The permissions that the owner needs to empty a folder.
    const OWNERS: u32 = 0o700;
    let meta = match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        meta => meta?,
    };
    if meta.permissions().mode() & OWNERS != OWNERS {
        fs::set_permissions(folder, fs::Permissions::from_mode(OWNERS))?;
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_in(base: &Path) -> usize {
        fs::read_dir(base).unwrap().count()
    }

    #[test]
    fn what_is_in_use_stays_and_what_is_not_goes() {
        let base = tempfile::tempdir().unwrap();
        let kept = ThrowAwayFolder::make(base.path()).unwrap().unwrap();
        let sealed = kept.path().join("a/b");
        fs::create_dir_all(&sealed).unwrap();
        fs::write(sealed.join("key"), "secret").unwrap();
        fs::set_permissions(&sealed, fs::Permissions::from_mode(0o500)).unwrap();
        // Left behind, somebody else's, and a link that leads away.
        fs::create_dir(base.path().join(format!("{PREFIX}left"))).unwrap();
        fs::create_dir(base.path().join("plugin-gateway-other")).unwrap();
        let away = base.path().join("away");
        fs::create_dir(&away).unwrap();
        fs::write(away.join("file"), "x").unwrap();
        std::os::unix::fs::symlink(&away, base.path().join(format!("{PREFIX}link"))).unwrap();
        sweep(base.path());
        assert!(kept.path().join("a/b/key").exists());
        assert!(!base.path().join(format!("{PREFIX}left")).exists());
        assert!(away.join("file").exists());
        assert_eq!(left_in(base.path()), 4);
        drop(kept);
        assert_eq!(left_in(base.path()), 3);
    }

    #[test]
    fn those_who_make_and_those_who_sweep_do_not_take_each_others() {
        let base = tempfile::tempdir().unwrap();
        let (made, swept) = (std::sync::atomic::AtomicUsize::new(0), base.path());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        sweep(swept);
                        if let Some(folder) = ThrowAwayFolder::make(swept).unwrap() {
                            fs::write(folder.path().join("file"), "x").unwrap();
                            made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert!(made.into_inner() > 200);
        sweep(swept);
        assert_eq!(left_in(swept), 0);
    }
}
