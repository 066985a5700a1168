//! Which folders inside those that a plugin sees are hidden from it, because they are not its interpreter's: packages that the host
//! installed for its own programs, and the trees of other interpreters. It only looks at names.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::plan::places::LIBRARY_FOLDERS;

/// Folders for whatever an administrator or a distribution installs for python, beside its standard library.
const INSTALLED: [&str; 2] = ["site-packages", "dist-packages"];

/// The names of the folders that interpreters have among shared libraries.
const INTERPRETERS: [&str; 9] = [
    "erlang", "guile", "julia", "node", "ocaml", "perl", "php", "python", "ruby",
];

/// The folders in `folder` that are hidden. A folder that is among `shown`, lies in one of them or contains one, is not hidden.
pub(super) fn hidden_in(folder: &Path, shown: &[PathBuf]) -> Vec<PathBuf> {
    let holds_libraries = LIBRARY_FOLDERS
        .iter()
        .any(|known| fs::canonicalize(known).is_ok_and(|known| known == folder));
    let is_wanted = |path: &Path| {
        let other = |shown: &&PathBuf| shown.as_path() != folder;
        let mut others = shown.iter().filter(other);
        others.any(|shown| {
            shown.starts_with(path) || (path.starts_with(shown) && shown.starts_with(folder))
        })
    };
    // A folder that the gateway cannot list, no plugin can list either.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter(|entry| is_anothers(&entry.file_name(), holds_libraries))
        .map(|entry| entry.path())
        .filter(|path| !is_wanted(path))
        .collect()
}

fn is_anothers(name: &OsStr, among_libraries: bool) -> bool {
    let name = name.to_string_lossy();
    INSTALLED.contains(&&*name)
        || among_libraries
            && INTERPRETERS
                .iter()
                .any(|interpreter| name.starts_with(interpreter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_are_hidden_unless_they_are_shown_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["site-packages/numpy", "json", "dist-packages", "python3"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let hidden = |shown: &[&str]| {
            let shown: Vec<PathBuf> = shown.iter().map(|name| folder.path().join(name)).collect();
            let mut hidden = hidden_in(folder.path(), &shown);
            hidden.sort();
            let names = hidden
                .iter()
                .map(|path| path.file_name().unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(hidden(&[""]), ["dist-packages", "site-packages"]);
        assert_eq!(hidden(&["", "site-packages"]), ["dist-packages"]);
        assert_eq!(hidden(&["", "site-packages/numpy"]), ["dist-packages"]);
    }

    #[test]
    fn interpreters_among_libraries_are_anothers() {
        for name in [
            "perl-base",
            "perl5",
            "ruby",
            "python3.11",
            "node_modules",
            "nodejs",
        ] {
            assert!(is_anothers(OsStr::new(name), true) && !is_anothers(OsStr::new(name), false));
        }
        assert!(!is_anothers(OsStr::new("gconv"), true));
    }
}
