//! A verified package's tree by its paths: a later glance asks for each of them alone, and lists and opens no folder. It says only that
//! nothing was touched; what was touched is found by walking.
//!
//! Nothing is missed by that. What comes into a folder or goes out of it changes the folder's own ctime, and every folder is in the outline.

use std::ffi::CString;
use std::path::Path;

use super::verified::Glance;

/// The most paths: a package with more is walked, or watched.
const MAX_PATHS: usize = 512;

/// The paths of a package, its own folder among them.
#[derive(Debug)]
pub(super) struct Outline {
    /// Each as it is in the package, and from the root of the file system.
    paths: Vec<(String, CString)>,
}

/// An outline under way; none once there are too many paths.
#[derive(Debug)]
pub(super) struct Drawing<'a> {
    root: &'a Path,
    paths: Option<Vec<(String, CString)>>,
}

impl<'a> Drawing<'a> {
    /// Begins with the package's own folder.
    pub(super) fn of(root: &'a Path) -> Self {
        let mut drawing = Self {
            root,
            paths: Some(Vec::new()),
        };
        drawing.add("");
        drawing
    }

    /// Adds an entry of the walk.
    pub(super) fn add(&mut self, path: &str) {
        let whole = self.root.join(path).into_os_string();
        self.paths = self.paths.take().and_then(|mut paths| {
            let whole = CString::new(whole.into_encoded_bytes()).ok()?;
            paths.push((path.to_owned(), whole));
            (paths.len() <= MAX_PATHS).then_some(paths)
        });
    }

    pub(super) fn finish(self) -> Option<Outline> {
        self.paths.map(|paths| Outline { paths })
    }
}

impl Outline {
    /// A new glance; none where something cannot be looked at, as what is gone.
    pub(super) fn glance(&self) -> Option<Glance> {
        let mut glance = Glance::default();
        for (path, whole) in &self.paths {
            glance.add(path, &rustix::fs::lstat(whole).ok()?);
        }
        Some(glance)
    }
}
