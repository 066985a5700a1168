//! One fault over the crate, and the one table from its kind to what the outside sees.

/// Whose fault it is, in the local command's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The call's form is wrong.
    Usage,
    /// What was given breaks the contract.
    Invalid,
    /// Nothing has that name.
    NotFound,
    /// Policy or trust says no: credentials too.
    Refused,
    /// A node's ledger is not available.
    Ledger,
    /// A server, a node or this host failed.
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

    /// Reads the word; what is unknown is a failure.
    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "usage" => Self::Usage,
            "invalid" => Self::Invalid,
            "not_found" => Self::NotFound,
            "refused" => Self::Refused,
            "ledger" => Self::Ledger,
            _ => Self::Internal,
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

/// What went wrong, in words, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Whose fault it is.
    pub kind: Kind,
    /// What went wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl Fault {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: String::new(),
        }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// What an error says with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        next = cause.source();
    }
    words
}

impl From<registry::Error> for Fault {
    fn from(error: registry::Error) -> Self {
        use registry::Error as E;
        let kind = match &error {
            E::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Kind::Usage,
            E::KeyExists(_) => Kind::Usage,
            E::Io { .. } | E::PackageMissing(_) | E::ManifestMissing(_) => Kind::Internal,
            E::MalformedEvent { .. } => Kind::Ledger,
            E::PluginNotFound(_) | E::KeyNotFound(_) => Kind::NotFound,
            E::AlreadyRegistered { .. }
            | E::NotHigher { .. }
            | E::CannotEnableRejected(_)
            | E::CannotDisableRejected(_)
            | E::KeyNotTrusted { .. }
            | E::KeyIdTaken(_) => Kind::Refused,
            E::InvalidKey { .. }
            | E::NotAPackage { .. }
            | E::Entry { .. }
            | E::TooLarge { .. }
            | E::Changed { .. }
            | E::OpenForWriting { .. } => Kind::Invalid,
        };
        Self::new(kind, chain(&error))
    }
}

impl From<ledger::Error> for Fault {
    fn from(error: ledger::Error) -> Self {
        Self::new(Kind::Ledger, chain(&error))
    }
}
