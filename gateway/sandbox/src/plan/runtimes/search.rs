//! Where an interpreter searches by itself, in vain, for whatever it is asked to load: no word of the plugin's. It is only used to tell that from what
//! a plugin asks for.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// How a shared library's file is called, or begins to be.
const LIBRARY_MARK: &str = ".so";

/// The places of one interpreter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Search {
    /// Folders of its module path that are not there on this host.
    pub(super) modules: Vec<PathBuf>,
    /// Folders in which its loader looks for libraries before the host's.
    pub(super) libraries: Vec<PathBuf>,
    /// Names of files that it looks for in each folder above a script.
    pub(super) above: Vec<String>,
}

/// A path from the root, without `.` and `..`; nothing is looked up for it.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    plain
}

impl Search {
    /// Whether a path is one that the interpreter asks for by itself, with the package there.
    pub(crate) fn is_own(&self, path: &Path, package: &Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        let within = |folders: &[PathBuf]| folders.iter().any(|folder| path.starts_with(folder));
        let is_above = path
            .parent()
            .is_some_and(|folder| package.starts_with(folder));
        within(&self.modules)
            || (is_library(name) && within(&self.libraries))
            || (is_above && self.above.iter().any(|known| name == known.as_str()))
    }
}

fn is_library(name: &OsStr) -> bool {
    name.to_string_lossy().contains(LIBRARY_MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interpreter_searches_is_told_from_what_a_plugin_reads() {
        let search = Search {
            modules: vec!["/usr/local/lib/site_ruby".into()],
            libraries: vec!["/opt/x/lib".into()],
            above: vec!["package.json".to_owned()],
        };
        let is_own = |path: &str| search.is_own(Path::new(path), Path::new("/store/package"));
        for path in [
            "/usr/local/lib/site_ruby/json.rb",
            "/opt/x/lib/tls/libz.so.1",
            "/package.json",
            "/store/package.json",
        ] {
            assert!(is_own(path), "{path}");
        }
        for path in [
            "/opt/x/lib/secret",
            "/etc/package.json",
            "/etc/passwd",
            "/store/other",
        ] {
            assert!(!is_own(path), "{path}");
        }
    }
}
