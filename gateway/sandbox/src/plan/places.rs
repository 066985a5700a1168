//! Where on the host a plugin may read and execute.

use std::path::PathBuf;

/// Where C libraries and distributions keep shared libraries.
pub(crate) const LIBRARY_FOLDERS: [&str; 4] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
];

/// Places that a plugin may use; everything else is closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Files and folders that may be read.
    pub(crate) read: Vec<PathBuf>,
    /// Files that may be executed, and read.
    pub(crate) execute: Vec<PathBuf>,
}
