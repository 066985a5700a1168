//! Copies a package into a folder of the store: each file with its time, links as links, all of it read-only and durable.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use plugin_protocol::digest::FileHash;
use rustix::fs::{Timespec, Timestamps};

use super::list::{List, Mode};
use super::progress::{Step, Tell};
use super::tree::{self, Entry, Kind, MAX_TOTAL_BYTES};
use super::{Error, Package, SIGNATURE_FILE};

pub(super) fn copy(
    package: &Package,
    target: &Path,
    syncs_each: bool,
    tell: &Tell<'_>,
) -> Result<(), Error> {
    let source = tree::open_root(package.root())?;
    let list = package.list();
    let mut copying = Copying {
        root: package.root(),
        list,
        target,
        budget: MAX_TOTAL_BYTES,
        syncs_each,
    };
    let mut copied = 0;
    tree::walk(source, package.root(), &mut |entry| {
        if entry.kind == Kind::Folder || entry.path == SIGNATURE_FILE {
            return Ok(());
        }
        copied += 1;
        tell(Step::Keeping, copied, Some(list.files().len()));
        copying.take(entry)
    })?;
    // Every path that was copied is in the list, and none was copied twice. So where the counts are equal, so are the sets.
    let is_missing = |path: &str| fs::symlink_metadata(target.join(path)).is_err();
    match list.files().iter().find(|file| is_missing(&file.path)) {
        Some(missing) if copied != list.files().len() => Err(Error::Changed {
            path: missing.path.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}

/// A copy under way.
struct Copying<'a> {
    root: &'a Path,
    list: &'a List,
    target: &'a Path,
    budget: u64,
    syncs_each: bool,
}

impl Copying<'_> {
    fn take(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let changed = || Error::Changed {
            path: entry.path.clone(),
        };
        let listed = self.list.find(&entry.path).ok_or_else(changed)?;
        if entry.mode() != Some(listed.mode) {
            return Err(changed());
        }
        let place = self.target.join(&entry.path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(Error::io("copy to", &place))?;
        }
        let hash = match &entry.kind {
            Kind::Link(text) => {
                std::os::unix::fs::symlink(text, &place).map_err(Error::io("copy to", &place))?;
                FileHash::of(text.as_bytes())
            }
            Kind::File | Kind::Folder => self.copy_bytes(entry, &place, listed.mode)?,
        };
        if hash == listed.sha256 {
            Ok(())
        } else {
            Err(changed())
        }
    }

    /// Copies a file with its modification time, by which interpreters tell whether what they compiled of it is still right.
    fn copy_bytes(
        &mut self,
        entry: &Entry<'_>,
        place: &Path,
        mode: Mode,
    ) -> Result<FileHash, Error> {
        let action = || Error::io("copy to", place);
        let mut out = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(place)
            .map_err(action())?;
        let (hash, _) = tree::hash_file(
            &mut entry.open(self.root)?,
            &self.root.join(&entry.path),
            &mut self.budget,
            &mut |bytes| out.write_all(bytes),
        )?;
        let modified = Timespec {
            tv_sec: entry.stat.st_mtime,
            tv_nsec: entry.stat.st_mtime_nsec.cast_signed(),
        };
        let times = Timestamps {
            last_access: modified,
            last_modification: modified,
        };
        rustix::fs::futimens(&out, &times).map_err(Error::io("copy to", place))?;
        let bits = if mode == Mode::Executable {
            0o555
        } else {
            0o444
        };
        // The mode is set after creation, because the umask would narrow it there.
        out.set_permissions(Permissions::from_mode(bits))
            .map_err(action())?;
        if self.syncs_each {
            out.sync_all().map_err(action())?;
        }
        Ok(hash)
    }
}

/// Makes every folder read-only, and all of it durable.
pub(super) fn seal(root: &Path, syncs_each: bool) -> Result<(), Error> {
    each_folder(root, &mut |folder| {
        fs::set_permissions(folder, Permissions::from_mode(0o555))?;
        if syncs_each {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    })
    .and_then(|()| match syncs_each {
        true => Ok(()),
        false => Ok(rustix::fs::syncfs(File::open(root)?)?),
    })
    .map_err(Error::io("seal package", root))
}

/// Makes every folder below `root` writable by its owner again: in sealed folders only root can remove files.
pub(super) fn unseal(root: &Path) -> io::Result<()> {
    each_folder(root, &mut |folder| {
        fs::set_permissions(folder, Permissions::from_mode(0o700))
    })
}

fn each_folder(folder: &Path, act: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    act(folder)?;
    for item in fs::read_dir(folder)? {
        let item = item?;
        if item.file_type()?.is_dir() {
            each_folder(&item.path(), act)?;
        }
    }
    Ok(())
}
