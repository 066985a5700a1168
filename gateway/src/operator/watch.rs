//! Waits until something in a package changes. It looks at stamps and sizes, never at contents, and rests between two looks.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The shortest rest between two looks: soon enough for whoever has just saved a file.
const REST: Duration = Duration::from_millis(250);

/// A rest is at least so many times as long as the look before it, so that a package of many files costs a twentieth of a processor.
const RESTS_PER_LOOK: u32 = 20;

/// The most files and folders that are looked at: as many as a package may hold.
const MAX_ENTRIES: usize = 65_536;

/// What a folder looked like.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Look(BTreeMap<PathBuf, Stamp>);

/// What changes with a file: its place on disk, its size, and when its bytes and its mode were changed.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Look {
    /// Looks at everything in `folder`; what cannot be seen is not there.
    pub(crate) fn at(folder: &Path) -> Self {
        let mut seen = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries.flatten() {
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                if seen.len() == MAX_ENTRIES {
                    return Self(seen);
                }
                if metadata.is_dir() {
                    folders.push(entry.path());
                }
                let stamp = Stamp {
                    inode: metadata.ino(),
                    size: metadata.size(),
                    changed: (metadata.ctime(), metadata.ctime_nsec()),
                };
                seen.insert(entry.path(), stamp);
            }
        }
        Self(seen)
    }

    /// Waits until `folder` looks otherwise and then stays the same for one rest, and gives the name of a file that changed, as it stands
    /// below `folder`. Whoever saves a file writes it in several steps, and a compiler takes its time.
    pub(crate) fn wait_for_change(self, folder: &Path) -> PathBuf {
        let mut before = self;
        let mut changed = None;
        loop {
            let begun = Instant::now();
            let now = Self::at(folder);
            let different = now.first_difference(&before);
            match (different, changed.take()) {
                (None, Some(path)) => {
                    return folder_path(folder, path);
                }
                (None, None) => {}
                (Some(_), Some(earlier)) => changed = Some(earlier),
                (Some(path), None) => changed = Some(path),
            }
            before = now;
            thread::sleep(REST.max(begun.elapsed() * RESTS_PER_LOOK));
        }
    }

    fn first_difference(&self, before: &Self) -> Option<PathBuf> {
        let is_new = |(path, stamp): &(&PathBuf, &Stamp)| before.0.get(*path) != Some(*stamp);
        // A folder's own stamp changes with what is in it: the file is the better name.
        let mut changed: Vec<&PathBuf> =
            self.0.iter().filter(is_new).map(|(path, _)| path).collect();
        changed.extend(before.0.keys().filter(|path| !self.0.contains_key(*path)));
        changed.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        changed.first().map(|path| (*path).clone())
    }
}

fn folder_path(folder: &Path, path: PathBuf) -> PathBuf {
    path.strip_prefix(folder)
        .map(Path::to_owned)
        .unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_change_is_seen_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        fs::create_dir(place.join("deep")).unwrap();
        fs::write(place.join("deep/a"), "1").unwrap();
        let first = Look::at(place);
        assert_eq!(Look::at(place), first);
        fs::write(place.join("deep/a"), "2").unwrap();
        let second = Look::at(place);
        assert_eq!(second.first_difference(&first), Some(place.join("deep/a")));
        fs::write(place.join("deep/b"), "").unwrap();
        let third = Look::at(place);
        assert_eq!(third.first_difference(&second), Some(place.join("deep/b")));
        fs::remove_file(place.join("deep/a")).unwrap();
        assert_eq!(
            Look::at(place).first_difference(&third),
            Some(place.join("deep/a"))
        );
        assert_eq!(Look::at(&place.join("none")), Look(BTreeMap::new()));
    }

    #[test]
    fn a_change_ends_the_wait_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_owned();
        fs::write(place.join("a"), "1").unwrap();
        let before = Look::at(&place);
        fs::write(place.join("a"), "22").unwrap();
        assert_eq!(before.wait_for_change(&place), Path::new("a"));
    }
}
