//! Who else may read or write a state: the folder, the log's key and the settings, looked at before they are relied on. It changes nothing.
//!
//! Whoever may write there decides what runs: new settings name another interpreter or give up layers of the sandbox, and another ledger
//! with another key trusts and enables what he likes. So such a state is opened by nobody. Whoever may read it learns what was kept of
//! requests, and with the log's key signs histories of his own; that is said, but a state that was copied with wide modes still works.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config;
use crate::error::Error;

/// The log's private key in the state folder.
const LOG_KEY: &str = "log.key";

/// Who may read, write, and look up names, among group and others (inode(7)). An access list shows in the group's bits.
const READ: u32 = 0o044;
const WRITE: u32 = 0o022;
const SEARCH: u32 = 0o011;

/// The superuser may do anything anyway.
const ROOT: u32 = 0;

/// What others than the gateway's user may do to a state.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Exposure {
    /// What others may read, but not write.
    readable: Vec<PathBuf>,
    /// What others may write.
    writable: Vec<PathBuf>,
    /// What belongs to another user, and to whom.
    foreign: Vec<(PathBuf, u32)>,
}

/// The owner and the mode of something.
#[derive(Debug, Clone, Copy)]
struct Seen {
    uid: u32,
    mode: u32,
}

impl Exposure {
    /// Looks at the state in `folder`. What is not there is exposed to nobody.
    pub(crate) fn of(folder: &Path) -> Self {
        let seen = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            let (uid, mode) = (metadata.uid(), metadata.mode());
            Some(Seen { uid, mode })
        };
        Self::judge(rustix::process::geteuid().as_raw(), folder, &seen)
    }

    /// The same as the user `own` sees it.
    fn judge(own: u32, folder: &Path, seen: &dyn Fn(&Path) -> Option<Seen>) -> Self {
        let mut found = Self::default();
        let Some(state) = seen(folder) else {
            return found;
        };
        if ![own, ROOT].contains(&state.uid) {
            found.foreign.push((folder.to_owned(), state.uid));
        }
        found.sort_in(folder, state.mode & (READ | WRITE | SEARCH));
        // Where nobody else gets into the folder, modes inside it let nobody in either.
        let reached = state.mode & SEARCH != 0;
        for (name, secret) in [(LOG_KEY, true), (config::FILE, false)] {
            let path = folder.join(name);
            let Some(file) = seen(&path) else {
                continue;
            };
            if ![own, ROOT, state.uid].contains(&file.uid) {
                found.foreign.push((path.clone(), file.uid));
                found.writable.push(path);
            } else if reached {
                found.sort_in(&path, file.mode & (READ | WRITE));
            } else if secret && file.mode & (READ | WRITE) != 0 {
                // A private key's own mode is looked at wherever it lies, as other programs do: a copy of it goes elsewhere.
                found.readable.push(path);
            }
        }
        found
    }

    fn sort_in(&mut self, path: &Path, mode: u32) {
        if mode & WRITE != 0 {
            self.writable.push(path.to_owned());
        } else if mode != 0 {
            self.readable.push(path.to_owned());
        }
    }

    /// Whether others may write, so that nothing in the state can be relied on.
    pub(crate) fn is_open_to_change(&self) -> bool {
        !self.writable.is_empty()
    }

    /// What is wrong in words; none where all is as it should be.
    pub(crate) fn words(&self) -> Option<String> {
        let mut words = Vec::new();
        for (verb, paths) in [("write", &self.writable), ("read", &self.readable)] {
            if !paths.is_empty() {
                words.push(format!(
                    "others than its user can {verb} {}",
                    quoted(paths, " and ")
                ));
            }
        }
        let foreign = self.foreign.iter();
        words.extend(
            foreign.map(|(path, uid)| format!("'{}' belongs to user {uid}", path.display())),
        );
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// The commands that mend it.
    pub(crate) fn remedy(&self) -> String {
        let mut remedy = String::new();
        let wide: Vec<PathBuf> = self
            .writable
            .iter()
            .chain(&self.readable)
            .filter(|path| !self.foreign.iter().any(|(foreign, _)| foreign == *path))
            .cloned()
            .collect();
        // Writing into a string cannot fail.
        if !wide.is_empty() {
            write!(remedy, "chmod go-rwx {}", quoted(&wide, " ")).unwrap_or_default();
        }
        for (path, uid) in &self.foreign {
            if !remedy.is_empty() {
                remedy.push_str("; ");
            }
            write!(
                remedy,
                "run the command as user {uid}, or `chown -R` '{}'",
                path.display()
            )
            .unwrap_or_default();
        }
        remedy
    }

    /// # Errors
    /// When others may write.
    pub(crate) fn refuse_change(&self) -> Result<(), Error> {
        if !self.is_open_to_change() {
            return Ok(());
        }
        Err(Error::Exposed {
            message: self.words().unwrap_or_default(),
            hint: format!(
                "{}; then look at what may have been changed: `plugin-gateway config`, `trust list`, `ledger verify`",
                self.remedy()
            ),
        })
    }
}

fn quoted(paths: &[PathBuf], between: &str) -> String {
    let paths = paths.iter().map(|path| format!("'{}'", path.display()));
    paths.collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const OWN: u32 = 1_000;
    const OTHER: u32 = 2_000;

    /// The modes of folder, key and settings, all of them the user's own, and what others may write and read then, by a letter each.
    const MODES: [(u32, u32, u32, &str, &str); 10] = [
        (0o700, 0o600, 0o600, "", ""),
        // What an editor leaves under a usual umask.
        (0o700, 0o600, 0o664, "", ""),
        (0o700, 0o644, 0o600, "", "k"),
        (0o700, 0o666, 0o666, "", "k"),
        (0o755, 0o600, 0o600, "", "s"),
        (0o711, 0o600, 0o600, "", "s"),
        (0o755, 0o640, 0o644, "", "skc"),
        (0o750, 0o600, 0o660, "c", "s"),
        (0o770, 0o600, 0o600, "s", ""),
        (0o1777, 0o622, 0o602, "skc", ""),
    ];

    /// The owners of folder, key and settings, and what others may write then.
    const OWNERS: [(u32, u32, u32, u32, &str); 6] = [
        (OWN, OWN, ROOT, OWN, ""),
        (ROOT, ROOT, ROOT, ROOT, ""),
        // A state that is another's altogether is his to write.
        (ROOT, OTHER, OTHER, OTHER, ""),
        (OWN, OWN, OWN, OTHER, "c"),
        (ROOT, OWN, OTHER, OWN, "k"),
        (OWN, ROOT, OTHER, OTHER, "kc"),
    ];

    fn paths(letters: &str) -> Vec<PathBuf> {
        let path = |letter| match letter {
            's' => "/state".into(),
            'k' => "/state/log.key".into(),
            _ => "/state/config.toml".into(),
        };
        letters.chars().map(path).collect()
    }

    /// What is found where folder, key and settings are these.
    fn judged(own: u32, seen: [Seen; 3]) -> Exposure {
        Exposure::judge(own, Path::new("/state"), &|path| {
            let at = paths("skc").iter().position(|known| known == path);
            Some(seen[at.unwrap()])
        })
    }

    #[test]
    fn what_others_may_do_is_told_by_the_modes_on_the_way() {
        for case in MODES {
            let (of_state, of_key, of_settings, writable, readable) = case;
            let modes = [of_state, of_key, of_settings];
            let found = judged(OWN, modes.map(|mode| Seen { uid: OWN, mode }));
            let expected = Exposure {
                readable: paths(readable),
                writable: paths(writable),
                foreign: Vec::new(),
            };
            assert_eq!(found, expected, "{case:?}");
            assert_eq!(found.refuse_change().is_err(), !writable.is_empty());
            let words = found.words();
            assert_eq!(words.is_none(), found == Exposure::default());
            assert_eq!(
                found.remedy().starts_with("chmod go-rwx '/state"),
                words.is_some()
            );
        }
    }

    #[test]
    fn what_belongs_to_another_user_is_his_to_write() {
        for case in OWNERS {
            let (own, of_state, of_key, of_settings, writable) = case;
            let owners = [of_state, of_key, of_settings];
            let found = judged(own, owners.map(|uid| Seen { uid, mode: 0o600 }));
            assert_eq!(found.writable, paths(writable), "{case:?}");
            let belongs = owners.contains(&OTHER);
            assert_eq!(found.words().is_some(), belongs, "{case:?}");
            assert_eq!(found.remedy().contains("user 2000"), belongs, "{case:?}");
        }
    }

    #[test]
    fn a_state_is_looked_at_as_it_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        assert_eq!(Exposure::of(&state), Exposure::default());
        fs::create_dir(&state).unwrap();
        for (mode, open) in [(0o700, false), (0o755, false), (0o777, true)] {
            fs::set_permissions(&state, Permissions::from_mode(mode)).unwrap();
            let found = Exposure::of(&state);
            assert_eq!(found.is_open_to_change(), open);
            assert_eq!(found.words().is_some(), mode != 0o700);
        }
        let Err(Error::Exposed { message, hint }) = Exposure::of(&state).refuse_change() else {
            panic!("it is opened");
        };
        let path = state.display();
        assert_eq!(message, format!("others than its user can write '{path}'"));
        assert!(
            hint.starts_with(&format!("chmod go-rwx '{path}'; ")),
            "{hint}"
        );
    }
}
