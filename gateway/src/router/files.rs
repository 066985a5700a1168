//! A package's files as the validator asks for them. The registry and the validator do not know each other; here they meet.

use std::io;

use registry::{Package, StoredPackage};
use validator::PackageFiles;

/// The files of a folder that was read, and is read again where the validator asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offered<'a>(pub(crate) &'a Package);

/// The files of a package in the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InStore<'a>(pub(crate) &'a StoredPackage);

impl PackageFiles for Offered<'_> {
    fn contains(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    fn executable(&self, path: &str) -> bool {
        self.0.executable(path)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.file(path).map_err(io::Error::other)
    }
}

impl PackageFiles for InStore<'_> {
    fn contains(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    fn executable(&self, path: &str) -> bool {
        self.0.executable(path)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.file(path).map_err(io::Error::other)
    }
}
