//! Compares a stored package's folder with its list, hashing only files that changed since they were verified.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use plugin_protocol::digest::FileHash;
use rustix::fs::Stat;

use super::Error;
use super::list::{Links, List};
use super::tree::{self, Entry, Kind, MAX_TOTAL_BYTES};

/// What identifies an untouched file: the kernel updates ctime with every change of content or mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) size: i64,
    pub(super) mtime_ns: i128,
    pub(super) ctime_ns: i128,
}

/// How old a change must be before its stamp is trusted, in nanoseconds: two changes within one tick of
/// the file system's clock (10 ms at most) share a stamp.
const SETTLED_NS: i128 = 100_000_000;

/// What a package's folder looked like, as one number over every path with its stamp. Folders count too, so that a file which
/// came and went shows in its folder's times. Two glances at an untouched folder are equal. They differ where the folder was
/// changed in between, even if it was changed back, because nobody can set a ctime back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Glance {
    sum: u64,
    /// When the last change was made to anything in it, in nanoseconds since the epoch.
    newest_ns: i128,
}

/// One tick of the file system's clock, and a little: two changes within it may share a stamp.
pub const TICK: Duration = Duration::from_millis(12);

impl Glance {
    /// The order in which entries are met is the system's and does not count.
    pub(super) fn add(&mut self, path: &str, stat: &Stat) {
        let stamp = Stamp::of(stat);
        let mut hasher = DefaultHasher::new();
        (path, stamp).hash(&mut hasher);
        self.sum = self.sum.wrapping_add(hasher.finish());
        self.newest_ns = self.newest_ns.max(stamp.ctime_ns);
    }

    /// Whether every change since `then`, before which nothing was looked at, is certain to give a different glance.
    pub(super) fn was_settled(&self, then: SystemTime) -> bool {
        let then = then.duration_since(UNIX_EPOCH);
        then.is_ok_and(|then| then.as_nanos().cast_signed() - self.newest_ns > SETTLED_NS)
    }

    /// Whether every change from now on is certain to give a different glance. A last change that lies in the future was made before
    /// the clock was set back; the next change gets the clock's present time, which differs.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.is_ok_and(|now| now.as_nanos().cast_signed().abs_diff(self.newest_ns) > TICK.as_nanos())
    }
}

/// The stamps of verified files by path.
pub(super) type Stamps = HashMap<String, Stamp>;

/// What a comparison found: the folder holds what was signed.
pub(super) struct Checked {
    /// New stamps, where something was hashed.
    pub(super) fresh: Option<Stamps>,
    /// How many bytes were hashed for that.
    pub(super) hashed_bytes: u64,
    /// The texts of the links.
    pub(super) links: Links,
    /// What the folder looked like.
    pub(super) glance: Glance,
}

/// One comparison under way.
pub(super) struct Files<'a> {
    root: &'a Path,
    list: &'a List,
    known: &'a Stamps,
    links: Links,
    /// Which entries of the list were met.
    met: Vec<bool>,
    /// Set once a file had to be hashed: all stamps of this pass.
    fresh: Option<Stamps>,
    budget: u64,
    glance: Glance,
    is_open_for_writing: fn(&File) -> bool,
}

impl<'a> Files<'a> {
    /// Begins with the glance at the package's own folder.
    pub(super) fn new(
        root: &'a Path,
        list: &'a List,
        known: &'a Stamps,
        glance: Glance,
        is_open_for_writing: fn(&File) -> bool,
    ) -> Self {
        Self {
            root,
            list,
            known,
            links: Links::new(),
            met: vec![false; list.files().len()],
            fresh: None,
            budget: MAX_TOTAL_BYTES,
            glance,
            is_open_for_writing,
        }
    }

    /// Takes one entry of the walk.
    pub(super) fn check(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let changed = || Error::Changed {
            path: entry.path.clone(),
        };
        self.glance.add(&entry.path, &entry.stat);
        let Some(mode) = entry.mode() else {
            let expected = self.list.has_folder(&entry.path);
            return if expected { Ok(()) } else { Err(changed()) };
        };
        let at = self.list.position(&entry.path).ok_or_else(changed)?;
        let listed = self.list.files().get(at).ok_or_else(changed)?;
        if mode != listed.mode {
            return Err(changed());
        }
        match &entry.kind {
            // Its text was read by the walk.
            Kind::Link(target) if FileHash::of(target.as_bytes()) == listed.sha256 => {
                self.links.insert(entry.path.clone(), target.clone());
            }
            Kind::Link(_) => return Err(changed()),
            Kind::File | Kind::Folder => self.check_bytes(entry, listed.sha256)?,
        }
        if let Some(met) = self.met.get_mut(at) {
            *met = true;
        }
        Ok(())
    }

    /// Hashes a file, unless its stamp is the one that it was verified with.
    fn check_bytes(&mut self, entry: &Entry<'_>, expected: FileHash) -> Result<(), Error> {
        let stamp = Stamp::of(&entry.stat);
        if self.known.get(&entry.path) != Some(&stamp) {
            // The stamp was taken before the read, so that a change in between shows as a new stamp next time.
            let mut file = entry.open(self.root)?;
            // Asked before the bytes are read: a writer that comes later changes the stamp.
            if (self.is_open_for_writing)(&file) {
                return Err(Error::OpenForWriting {
                    path: entry.path.clone(),
                });
            }
            let (hash, _) = tree::hash_file(
                &mut file,
                &self.root.join(&entry.path),
                &mut self.budget,
                &mut |_| Ok(()),
            )?;
            if hash != expected {
                return Err(Error::Changed {
                    path: entry.path.clone(),
                });
            }
            if stamp.is_settled() {
                let known = self.known;
                let fresh = self.fresh.get_or_insert_with(|| known.clone());
                fresh.insert(entry.path.clone(), stamp);
            }
        }
        Ok(())
    }

    /// Ends the comparison.
    pub(super) fn finish(self) -> Result<Checked, Error> {
        let files = self.list.files();
        match self.met.iter().zip(files).find(|(met, _)| !**met) {
            Some((_, missing)) => Err(Error::Changed {
                path: missing.path.clone(),
            }),
            None => Ok(Checked {
                fresh: self.fresh,
                hashed_bytes: MAX_TOTAL_BYTES.saturating_sub(self.budget),
                links: self.links,
                glance: self.glance,
            }),
        }
    }
}

impl Stamp {
    /// Whether any later change is certain to have another stamp.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.is_ok_and(|now| now.as_nanos().cast_signed() - self.ctime_ns > SETTLED_NS)
    }

    fn of(stat: &Stat) -> Self {
        const NANOS: i128 = 1_000_000_000;
        Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: stat.st_size,
            mtime_ns: i128::from(stat.st_mtime) * NANOS + i128::from(stat.st_mtime_nsec),
            ctime_ns: i128::from(stat.st_ctime) * NANOS + i128::from(stat.st_ctime_nsec),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_right_after_a_change_is_not_settled_and_one_that_saw_the_future_is() {
        let folder = tempfile::tempdir().unwrap();
        let glance = || {
            let mut glance = Glance::default();
            glance.add("", &rustix::fs::stat(folder.path()).unwrap());
            glance
        };
        std::fs::write(folder.path().join("file"), "x").unwrap();
        let fresh = glance();
        assert!(!fresh.is_settled());
        std::thread::sleep(TICK * 2);
        assert!(glance().is_settled() && glance() == fresh);
        let future = Glance {
            newest_ns: i128::MAX / 2,
            ..fresh
        };
        assert!(future.is_settled());
    }
}
