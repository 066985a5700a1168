//! Whose fault something is, as every command and the channel say it (contract, section 11).

use std::io;

/// Whose fault something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The call's form is wrong.
    Usage,
    /// What was given breaks the contract.
    Invalid,
    /// Nothing has that name.
    NotFound,
    /// Policy or trust says no; credentials too.
    Refused,
    /// The ledger is not available.
    Ledger,
    /// The gateway, a server or their host failed.
    Internal,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Usage,
        Self::Invalid,
        Self::NotFound,
        Self::Refused,
        Self::Ledger,
        Self::Internal,
    ];

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

    /// Reads the word in `{error: {kind}}`; `None` when no kind is called so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
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

    /// A file that is not there, or a folder in the place of one, is a wrong name; anything else that the system refuses is a failure.
    #[must_use]
    pub fn of_file(error: &io::Error) -> Self {
        let wrong_name = [io::ErrorKind::NotFound, io::ErrorKind::IsADirectory];
        if wrong_name.contains(&error.kind()) {
            Self::Usage
        } else {
            Self::Internal
        }
    }
}
