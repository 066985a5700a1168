//! What can go wrong in the registry, each named so that the caller can tell refusals from failures.

use std::io;
use std::path::{Path, PathBuf};

use plugin_protocol::digest::{KeyId, ManifestHash, PackageDigest};
use plugin_protocol::fault::Kind;
use plugin_protocol::ids::PluginId;
use plugin_protocol::words;

/// Why the registry refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The id is held by a plugin that was not rejected.
    #[error(
        "{word}: '{id}' holds version {held}; to put a higher version in its place: `plugin-gateway register --replace PACKAGE`",
        word = words::ALREADY_REGISTERED
    )]
    AlreadyRegistered {
        /// The id.
        id: PluginId,
        /// The version that holds it.
        held: String,
    },
    /// A replacement must be newer than what it replaces.
    #[error(
        "{word}: '{id}' holds version {held}, and {offered} is not higher; raise `version` in plugin.json, sign it again, and `plugin-gateway register --replace PACKAGE`",
        word = words::ALREADY_REGISTERED
    )]
    NotHigher {
        /// The id.
        id: PluginId,
        /// The version that holds it.
        held: String,
        /// The version that was offered.
        offered: String,
    },
    /// The id is unknown.
    #[error("{word}: '{0}' is not registered here; `plugin-gateway list` shows what is, `plugin-gateway register PACKAGE` adds it", word = words::PLUGIN_NOT_FOUND)]
    PluginNotFound(PluginId),
    /// A rejected plugin stays unusable.
    #[error(
        "{word}: '{0}' was refused when it was registered: `plugin-gateway show {0}` says why; once that is mended, `plugin-gateway register PACKAGE`",
        word = words::CANNOT_ENABLE_REJECTED
    )]
    CannotEnableRejected(PluginId),
    /// A rejected plugin was never on, so it cannot be disabled.
    #[error(
        "{word}: '{0}' was refused when it was registered and never ran, so that there is nothing to switch off: `plugin-gateway show {0}` says why",
        word = words::CANNOT_DISABLE_REJECTED
    )]
    CannotDisableRejected(PluginId),
    /// The key that vouched for the plugin has lost its trust.
    #[error(
        "cannot enable '{id}': the key {key_id} that signed it is no longer trusted; trust it again with `plugin-gateway trust add FILE.pub`, or sign the package with a trusted key and `plugin-gateway register --replace PACKAGE`"
    )]
    KeyNotTrusted {
        /// The plugin.
        id: PluginId,
        /// Its signer.
        key_id: KeyId,
    },
    /// The key is not in the allow-list.
    #[error("no key with the id {0} is trusted: `plugin-gateway trust list` shows those that are")]
    KeyNotFound(KeyId),
    /// Another key has this id already, which does not happen by accident.
    #[error("key id {0} already names a different key: make a new key pair")]
    KeyIdTaken(KeyId),
    /// A text or file is not an Ed25519 key.
    #[error("{what} is not a usable Ed25519 key: {why}")]
    InvalidKey {
        /// What was read.
        what: String,
        /// What is wrong and how to mend it.
        why: String,
    },
    /// The key file exists already; none is ever overwritten.
    #[error("'{}' exists already: choose another name, keys are never overwritten", .0.display())]
    KeyExists(PathBuf),
    /// The folder is not a package.
    #[error("'{}' is not a package: {why}", path.display())]
    NotAPackage {
        /// The folder.
        path: PathBuf,
        /// What is wrong and how to mend it.
        why: String,
    },
    /// Something in the folder may not be part of a package.
    #[error("package entry '{path}' is refused: {why}")]
    Entry {
        /// The path inside the package, made printable.
        path: String,
        /// What is wrong and how to mend it.
        why: &'static str,
    },
    /// A package is larger than a limit.
    #[error("package '{}' has more than {limit} {unit}: leave out what the plugin does not need", path.display())]
    TooLarge {
        /// The folder.
        path: PathBuf,
        /// The limit.
        limit: u64,
        /// What the limit counts.
        unit: &'static str,
    },
    /// A file is not the one that was signed.
    #[error("package file '{path}' changed since it was signed")]
    Changed {
        /// The path inside the package, made printable.
        path: String,
    },
    /// Somebody holds a file open for writing and could change it unseen.
    #[error(
        "package file '{path}' is open for writing, so that its bytes could change unseen: find out who holds it (`fuser -v`), and call again"
    )]
    OpenForWriting {
        /// The path inside the package, made printable.
        path: String,
    },
    /// The store has no such package.
    #[error("package {0} is not in the store: register it again")]
    PackageMissing(PackageDigest),
    /// The store has no such manifest, or its bytes do not have its hash.
    #[error("manifest {0} is missing from the store or damaged: register the package again")]
    ManifestMissing(ManifestHash),
    /// An event of the registry does not fit what the events before it say.
    #[error("registry event {event_id} cannot be applied: {why}")]
    MalformedEvent {
        /// The event.
        event_id: String,
        /// What is wrong with it.
        why: String,
    },
    /// The system refused.
    #[error("cannot {action} '{}'", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::PluginNotFound(_) | Self::KeyNotFound(_) => Kind::NotFound,
            Self::AlreadyRegistered { .. }
            | Self::NotHigher { .. }
            | Self::CannotEnableRejected(_)
            | Self::CannotDisableRejected(_) => Kind::Refused,
            Self::KeyNotTrusted { .. } | Self::KeyIdTaken(_) => Kind::Refused,
            Self::KeyExists(_) => Kind::Usage,
            Self::InvalidKey { .. }
            | Self::NotAPackage { .. }
            | Self::Entry { .. }
            | Self::TooLarge { .. }
            | Self::Changed { .. }
            | Self::OpenForWriting { .. } => Kind::Invalid,
            Self::Io { source, .. } => Kind::of_file(source),
            Self::PackageMissing(_) | Self::ManifestMissing(_) => Kind::Internal,
            Self::MalformedEvent { .. } => Kind::Ledger,
        }
    }

    /// Wraps a system error with what was tried, for `map_err`.
    pub(super) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source: source.into(),
        }
    }
}
