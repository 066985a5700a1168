//! One error over all rooms, and the one table from a fault's kind to what the outside sees of it.

use std::io;
use std::path::PathBuf;

use plugin_protocol::report::{Issue, Severity, ValidationReport};

use crate::{config, ledger, registry, sandbox};

/// What can go wrong in an operation. A refused call is not here: it is a response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The ledger cannot be opened, read or written.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The registry refuses, or a package, key or signature is not usable.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The sandbox cannot run anything here.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A manifest breaks the contract.
    #[error("the manifest is not valid: {}", first_error(&report.issues))]
    InvalidManifest {
        /// Every finding.
        report: Box<ValidationReport>,
    },
    /// A package's files are not what its manifest says.
    #[error("the package is not valid: {}", first_error(issues))]
    InvalidPackage {
        /// Every finding.
        issues: Vec<Issue>,
    },
    /// The caller asked for something that makes no sense.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do instead.
        hint: String,
    },
    /// What the caller gave breaks the contract.
    #[error("{message}")]
    Invalid {
        /// What is wrong and how to mend it.
        message: String,
    },
    /// A file that the caller named cannot be used.
    #[error("cannot {action} '{}'", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no state where one is needed.
    #[error("there is no state in '{}'", path.display())]
    NoState {
        /// The folder.
        path: PathBuf,
    },
    /// The caller cannot be spoken to.
    #[error("cannot write the answer")]
    Output(#[from] io::Error),
}

impl Error {
    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Ledger(error) => ledger_kind(error),
            Self::Registry(error) => registry_kind(error),
            Self::Sandbox(sandbox::Error::Missing { .. }) => Kind::Refused,
            Self::Config(_) | Self::Usage { .. } | Self::NoState { .. } => Kind::Usage,
            Self::InvalidManifest { .. } | Self::InvalidPackage { .. } | Self::Invalid { .. } => {
                Kind::Invalid
            }
            Self::File { source, .. } => file_kind(source),
            Self::Output(_) | Self::Sandbox(_) => Kind::Internal,
        }
    }

    /// What to do about it, empty where the message says it already.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Usage { hint, .. } => hint.clone(),
            Self::NoState { path } => format!("make one with `plugin-gateway --state {} init`", path.display()),
            Self::Ledger(ledger::Error::Broken { .. }) => {
                "nothing was changed; compare with a copy or an anchor, and run `plugin-gateway ledger verify`".to_owned()
            }
            Self::InvalidManifest { .. } | Self::InvalidPackage { .. } => "`plugin-gateway validate PATH` shows every finding".to_owned(),
            Self::Sandbox(_) => "`plugin-gateway doctor` shows what this host can enforce".to_owned(),
            Self::Ledger(_) | Self::Registry(_) | Self::Config(_) => String::new(),
            Self::Invalid { .. } | Self::File { .. } | Self::Output(_) => String::new(),
        }
    }
}

/// A file that is not there is a wrong name; anything else that the system refuses is a failure.
fn file_kind(source: &io::Error) -> Kind {
    if source.kind() == io::ErrorKind::NotFound {
        Kind::Usage
    } else {
        Kind::Internal
    }
}

fn ledger_kind(error: &ledger::Error) -> Kind {
    use ledger::Error as E;
    match error {
        E::NotInitialised { .. } => Kind::Usage,
        E::Unavailable { .. }
        | E::Locked { .. }
        | E::Broken { .. }
        | E::TooLong { .. }
        | E::NoSpace { .. }
        | E::Io { .. } => Kind::Ledger,
    }
}

fn registry_kind(error: &registry::Error) -> Kind {
    use registry::Error as E;
    match error {
        E::PluginNotFound(_) | E::KeyNotFound(_) => Kind::NotFound,
        E::AlreadyRegistered { .. }
        | E::NotHigher { .. }
        | E::CannotEnableRejected(_)
        | E::CannotDisableRejected(_) => Kind::Refused,
        E::KeyNotTrusted { .. } | E::KeyIdTaken(_) => Kind::Refused,
        E::KeyExists(_) => Kind::Usage,
        E::InvalidKey { .. }
        | E::NotAPackage { .. }
        | E::Entry { .. }
        | E::TooLarge { .. }
        | E::Changed { .. } => Kind::Invalid,
        E::Io { source, .. } => file_kind(source),
        E::PackageMissing(_) | E::ManifestMissing(_) => Kind::Internal,
        E::MalformedEvent { .. } => Kind::Ledger,
    }
}

/// Whose fault something is, as the outside sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The call's form is wrong.
    Usage,
    /// What was given breaks the contract.
    Invalid,
    /// Nothing has that name.
    NotFound,
    /// Policy or trust says no.
    Refused,
    /// The ledger is not available.
    Ledger,
    /// The gateway or its host failed.
    Internal,
}

impl Kind {
    /// The word in `{error: {kind}}`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Ledger => "ledger",
            Self::Internal => "internal",
        }
    }

    /// The exit code (contract, section 11).
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Invalid | Self::NotFound => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Ledger | Self::Internal => 4,
        }
    }
}

/// An error with all its causes, in one line.
#[must_use]
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

fn first_error(issues: &[Issue]) -> String {
    let error = issues
        .iter()
        .find(|issue| issue.severity == Severity::Error);
    error
        .map(|issue| format!("{}: {}", issue.field, issue.message))
        .unwrap_or_default()
}
