//! What a program is shown of the file system, and which paths lie outside. It decides what is named, and never what a program gets: the kernel
//! looks for the file by itself, in the private root and under Landlock.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::plan::Plan;
use crate::plan::layout::EMPTY_FOLDER;
use crate::plan::loader_cache::LOADER_CACHE;
use crate::plan::runtimes::search::{Search, plain};

/// The most paths that are remembered of one kind of program, each of at most 256 bytes: an interpreter with a large library opens some
/// hundred at its start.
const KNOWN_MAX: usize = 2048;

/// What a program is shown.
#[derive(Debug)]
pub(crate) struct View {
    /// Files and folders of the host, by the paths that they are asked for and by their real ones.
    shown: Vec<PathBuf>,
    /// The package, where the program sees it.
    package: PathBuf,
    /// Where an interpreter searches by itself.
    search: Search,
    /// How many files of the package an interpreter opens before anything of the package can run.
    pub(crate) reads_before_start: u32,
    /// Paths that lead to what is shown, so that nothing is looked up for what each call of the same program opens again. They are kept as
    /// long as the root that the launcher made of the same folders.
    known: Mutex<HashSet<Box<[u8]>>>,
}

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Into the package.
    Package,
    /// To what is shown of the host, or to a folder above that; or to where the interpreter searches by itself.
    Shown,
    /// To what is not there for the program.
    Outside,
}

impl View {
    /// What a planned program is shown, with the package where it sees that.
    pub(crate) fn of(plan: &Plan, package: &Path) -> Self {
        let runtime = plan.runtime.as_ref();
        let list = plan.loader_cache.as_ref().map(|_| LOADER_CACHE.into());
        let shown: Vec<PathBuf> = plan.visible.iter().cloned().chain(list).collect();
        Self {
            search: runtime
                .map(|runtime| runtime.search.clone())
                .unwrap_or_default(),
            reads_before_start: runtime.map_or(0, |runtime| runtime.reads_before_start),
            ..Self::new(&shown, package)
        }
    }

    fn new(visible: &[PathBuf], package: &Path) -> Self {
        let real = visible
            .iter()
            .filter_map(|path| fs::canonicalize(path).ok());
        Self {
            shown: visible.iter().cloned().chain(real).collect(),
            package: package.to_owned(),
            search: Search::default(),
            reads_before_start: 0,
            known: Mutex::default(),
        }
    }

    /// Whether this is also what another plan shows, of the same kind as the one that it was made for: a kind has the same folders.
    pub(crate) fn is_of(&self, plan: &Plan, package: &Path) -> bool {
        let runtime = plan.runtime.as_ref();
        self.package == package
            && runtime.map_or(0, |runtime| runtime.reads_before_start) == self.reads_before_start
            && runtime.map_or(&Search::default(), |runtime| &runtime.search) == &self.search
    }

    /// Whether a path is known to lead to what is shown.
    pub(crate) fn knows(&self, path: &[u8]) -> bool {
        self.known().contains(path)
    }

    /// Remembers that a path leads to what is shown.
    pub(crate) fn remember(&self, path: &str) {
        let mut known = self.known();
        if known.len() < KNOWN_MAX {
            known.insert(path.as_bytes().into());
        }
    }

    fn known(&self) -> MutexGuard<'_, HashSet<Box<[u8]>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a path leads from the empty folder, in which a program begins and stays.
    pub(crate) fn place(&self, path: &str) -> Place {
        let empty = Path::new(EMPTY_FOLDER);
        let path = plain(&empty.join(path));
        if path == empty {
            return Place::Shown;
        }
        if path.starts_with(&self.package) {
            return Place::Package;
        }
        let is_above = |shown: &Path| shown.starts_with(&path);
        if is_above(&self.package) || self.shown.iter().any(|shown| is_above(shown)) {
            return Place::Shown;
        }
        // A link of the host's among what is shown may lead to what is not. Nothing else is looked up for a program.
        let leads_on = || fs::canonicalize(&path).is_ok_and(|real| !self.shows(&real));
        if (self.shows(&path) && !leads_on()) || self.search.is_own(&path, &self.package) {
            Place::Shown
        } else {
            Place::Outside
        }
    }

    fn shows(&self, path: &Path) -> bool {
        self.shown.iter().any(|shown| path.starts_with(shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let host = tempfile::tempdir().unwrap();
        let base = host.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("usr/lib")).unwrap();
        fs::write(base.join("secret"), "").unwrap();
        let link = std::os::unix::fs::symlink::<&Path, PathBuf>;
        link("usr/lib".as_ref(), base.join("lib")).unwrap();
        link("../../secret".as_ref(), base.join("usr/lib/link")).unwrap();
        let view = View::new(&[base.join("lib")], "/package".as_ref());
        let place = |path: &str| view.place(&path.replace('~', base.to_str().unwrap()));
        for path in ["/package", "/package/a", "../package/a"] {
            assert_eq!(place(path), Place::Package, "{path}");
        }
        for path in [
            "/",
            ".",
            "..",
            "~",
            "~/lib/x",
            "~/usr/lib/x",
            "~/usr",
            "/x/../~/lib/x",
        ] {
            assert_eq!(place(path), Place::Shown, "{path}");
        }
        for path in [
            "/packages",
            "data.txt",
            "package/a",
            "~/secret",
            "~/lib/../secret",
            "~/usr/lib/link",
            "/package/../etc/passwd",
        ] {
            assert_eq!(place(path), Place::Outside, "{path}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_only_by_its_whole_path() {
        let view = View::new(&[], "/package".as_ref());
        view.remember("/lib/x");
        assert!(view.knows(b"/lib/x"));
        for other in [&b"/lib"[..], b"/lib/x/", b"/lib/xy", b"/lib/../lib/x"] {
            assert!(!view.knows(other));
        }
        (0..KNOWN_MAX).for_each(|at| view.remember(&format!("/{at}")));
        assert_eq!(view.known().len(), KNOWN_MAX);
        assert!(view.knows(b"/0") && !view.knows(format!("/{}", KNOWN_MAX - 1).as_bytes()));
    }
}
