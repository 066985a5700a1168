//! Where on the host a plugin may read and execute.

use std::path::PathBuf;

/// Places that a plugin may use; everything else is closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Files and folders that may be read.
    pub(crate) read: Vec<PathBuf>,
    /// Files that may be executed, and read.
    pub(crate) execute: Vec<PathBuf>,
}
