//! What can go wrong at the edge, and the exit code of each.

use std::error::Error as _;
use std::path::{Path, PathBuf};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The ledger, or something about witnesses in its state, cannot be used.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Others, or their answers, cannot be used.
    #[error("{0}")]
    Refused(String),
    /// A file cannot be used.
    #[error("cannot {action} '{}'", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    /// As `plugin-gateway` has them: 2 wrong usage, 3 refused, 4 the gateway or its host failed.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Ledger(ledger::Error::NotInitialised { .. }) => 2,
            Self::Refused(_) => 3,
            Self::Ledger(_) | Self::File { .. } => 4,
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Refused(_) => "refused",
            Self::Ledger(_) => "ledger",
            Self::File { .. } => "internal",
        }
    }

    /// The error and its causes in a line.
    pub(crate) fn words(&self) -> String {
        let mut words = self.to_string();
        let mut cause = self.source();
        while let Some(found) = cause {
            words = format!("{words}: {found}");
            cause = found.source();
        }
        words
    }
}
