//! A package in the store as others see it: its files by their signed hashes. It is made by the store alone, which verified it.

use std::path::{Path, PathBuf};

use plugin_protocol::digest::PackageDigest;

use super::list::List;
use super::verified::Glance;
use super::{Error, tree};

/// A package in the store, verified when it was opened.
#[derive(Debug, Clone)]
pub struct StoredPackage {
    pub(super) digest: PackageDigest,
    pub(super) root: PathBuf,
    pub(super) list: List,
    pub(super) glance: Glance,
}

impl StoredPackage {
    /// The package's digest.
    #[must_use]
    pub fn digest(&self) -> PackageDigest {
        self.digest
    }

    /// The glance at the folder when its files were compared with the signed list.
    #[must_use]
    pub fn glance(&self) -> Glance {
        self.glance
    }

    /// The folder, which is read-only.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the package has the file `path`, or a link there that leads to a file.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.list.resolve(path).is_some()
    }

    /// Whether the file `path` is there and executable.
    #[must_use]
    pub fn executable(&self, path: &str) -> bool {
        self.list.is_executable(path)
    }

    /// The bytes of the file `path`, whose hash is the signed one.
    ///
    /// # Errors
    /// [`Error::Changed`] when the file is missing or differs.
    pub fn file(&self, path: &str) -> Result<Vec<u8>, Error> {
        tree::listed_bytes(&self.root, &self.list, path)
    }
}
