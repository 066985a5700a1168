//! A package's files as the validator asks for them. The registry and the validator do not know each other; here they meet.

use std::io;

use plugin_protocol::digest::FileHash;

use crate::registry::{Package, PackageFile, StoredPackage};
use crate::validator::PackageFiles;

/// The files of a folder that was read, and is read again where the validator asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offered<'a>(pub(crate) &'a Package);

/// The files of a package in the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a>(pub(crate) &'a StoredPackage);

impl Offered<'_> {
    fn find(&self, path: &str) -> Option<&PackageFile> {
        self.0.files().iter().find(|file| file.path == path)
    }
}

impl PackageFiles for Offered<'_> {
    fn contains(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    fn executable(&self, path: &str) -> bool {
        self.find(path).is_some_and(|file| file.executable)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let file = self.find(path).ok_or(io::ErrorKind::NotFound)?;
        let bytes = std::fs::read(self.0.root().join(path))?;
        if FileHash::of(&bytes) == file.sha256 {
            Ok(bytes)
        } else {
            Err(io::Error::other("it changed while the package was read"))
        }
    }
}

impl PackageFiles for Kept<'_> {
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
