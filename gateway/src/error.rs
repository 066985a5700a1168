//! One error over all rooms, and the one table from a fault's kind to what the outside sees of it.

use std::io;
use std::path::{Path, PathBuf};

pub use plugin_protocol::fault::Kind;
use plugin_protocol::report::{Issue, Severity, ValidationReport};

use crate::config;

/// What can go wrong in an operation. A refused call is not here: it is a response.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger cannot be opened, read or written.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// What was asked for cannot be recorded, and so was not done.
    #[error("{what}")]
    NotRecorded {
        /// What was not done, in words.
        what: String,
        /// Why.
        source: ledger::Error,
    },
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
    /// The machine's clock shows a time that cannot be written down.
    #[error(transparent)]
    Clock(#[from] plugin_protocol::time::ClockUnusable),
    /// There is no state where one is needed.
    #[error("there is no state in '{}'", path.display())]
    NoState {
        /// The folder.
        path: PathBuf,
    },
    /// Others may write to the state, so that nothing in it can be relied on.
    #[error("{message}")]
    Exposed {
        /// What others may do, and to what.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The running gateway that holds the state answered with this error.
    #[error("{message}")]
    Live {
        /// Whose fault it is, as it said.
        kind: Kind,
        /// What it said.
        message: String,
        /// What to do, as it said.
        hint: String,
    },
    /// The answer cannot be written to the caller.
    #[error("cannot write the answer")]
    Output(#[from] io::Error),
}

impl Error {
    /// The system's error from doing `action` with the file or folder `path`.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Ledger(error) | Self::NotRecorded { source: error, .. } => ledger_kind(error),
            Self::Registry(error) => error.kind(),
            Self::Sandbox(sandbox::Error::Missing { .. } | sandbox::Error::Unanswered { .. }) => {
                Kind::Refused
            }
            Self::Exposed { .. } => Kind::Refused,
            Self::Config(config::Error::Write { .. }) => Kind::Internal,
            Self::Config(_) | Self::Usage { .. } | Self::NoState { .. } => Kind::Usage,
            Self::InvalidManifest { .. } | Self::InvalidPackage { .. } | Self::Invalid { .. } => {
                Kind::Invalid
            }
            Self::File { source, .. } => Kind::of_file(source),
            Self::Live { kind, .. } => *kind,
            Self::Output(_) | Self::Sandbox(_) | Self::Clock(_) => Kind::Internal,
        }
    }

    /// What to do about it, empty where the message says it already.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Usage { hint, .. } | Self::Live { hint, .. } | Self::Exposed { hint, .. } => {
                hint.clone()
            }
            Self::NoState { path } => format!("make one with `plugin-gateway --state {} init`", path.display()),
            Self::Ledger(ledger::Error::Broken { .. }) | Self::NotRecorded { source: ledger::Error::Broken { .. }, .. } => {
                "nothing was changed; compare with a copy or an anchor, and run `plugin-gateway ledger verify`".to_owned()
            }
            Self::InvalidManifest { .. } | Self::InvalidPackage { .. } => "`plugin-gateway validate PATH` shows every finding".to_owned(),
            Self::Sandbox(_) => "`plugin-gateway doctor` shows what this host can enforce".to_owned(),
            Self::Ledger(ledger::Error::NotPruned { .. }) => {
                "`plugin-gateway ledger checkpoint` shows how many events there are, `ledger tail` those that are left".to_owned()
            }
            Self::Ledger(ledger::Error::NoSuchRun { .. }) => "`plugin-gateway ledger tail` shows the runs".to_owned(),
            Self::Registry(registry::Error::Io { action, source, .. }) | Self::File { action, source, .. }
                if Kind::of_file(source) == Kind::Usage =>
            {
                where_to_look(action).to_owned()
            }
            Self::Config(config::Error::Read { .. } | config::Error::Invalid { .. }) => {
                "mend the file, or move it away for the defaults; `plugin-gateway config --help` lists every setting".to_owned()
            }
            Self::Ledger(_) | Self::NotRecorded { .. } | Self::Registry(_) | Self::Config(_) => String::new(),
            Self::Invalid { .. } | Self::File { .. } | Self::Output(_) | Self::Clock(_) => String::new(),
        }
    }
}

/// What to name in place of a file that is not there, by what was to be done with it.
fn where_to_look(action: &str) -> &'static str {
    const KNOWN: [(&str, &str); 4] = [
        (
            "read key file",
            "`plugin-gateway keygen --out FILE` makes a key: FILE to sign with, FILE.pub for `plugin-gateway trust add FILE.pub`",
        ),
        (
            "open package",
            "name the folder that holds plugin.json; `plugin-gateway new NAME --lang LANG` makes one",
        ),
        (
            "read the request from",
            "name a file, or `-` for standard input",
        ),
        (
            "read the manifest",
            "name a manifest file or a package's folder",
        ),
    ];
    let known = KNOWN.iter().find(|(tried, _)| *tried == action);
    known.map_or("", |(_, hint)| hint)
}

fn ledger_kind(error: &ledger::Error) -> Kind {
    use ledger::Error as E;
    match error {
        E::NotInitialised { .. }
        | E::QuorumTooLarge { .. }
        | E::OtherOrigin { .. }
        | E::NotPruned { .. } => Kind::Usage,
        E::NoSuchRun { .. } | E::NoSuchEvent { .. } | E::RunPruned { .. } => Kind::NotFound,
        E::Unavailable { .. }
        | E::Note { .. }
        | E::AnchorMoved { .. }
        | E::AnchorGone { .. }
        | E::Locked { .. }
        | E::Broken { .. }
        | E::TooLong { .. }
        | E::EvidenceTooLarge { .. }
        | E::EvidenceChanged { .. }
        | E::NoSpace { .. }
        | E::Io { .. } => Kind::Ledger,
    }
}

/// The code on the supervisor channel (contract, section 12; JSON-RPC 2.0, section 5.1).
pub(crate) fn rpc_code(kind: Kind) -> i32 {
    match kind {
        // The contract has a code of its own for an unknown plugin alone; a run or a key is a param that names nothing.
        Kind::Usage | Kind::Invalid | Kind::NotFound => rpc::INVALID_PARAMS,
        Kind::Refused => rpc::REFUSED,
        Kind::Ledger => rpc::LEDGER_UNAVAILABLE,
        Kind::Internal => rpc::INTERNAL,
    }
}

/// Codes of the supervisor channel.
pub(crate) mod rpc {
    /// Not JSON under the contract's rules.
    pub(crate) const PARSE_ERROR: i32 = -32_700;
    /// JSON, but no request.
    pub(crate) const INVALID_REQUEST: i32 = -32_600;
    /// No method has that name.
    pub(crate) const METHOD_NOT_FOUND: i32 = -32_601;
    /// The method does not take these params.
    pub(crate) const INVALID_PARAMS: i32 = -32_602;
    /// The gateway or its host failed.
    pub(crate) const INTERNAL: i32 = -32_603;
    /// A registry verb names a plugin that is not there.
    pub(crate) const UNKNOWN_PLUGIN: i32 = -32_001;
    /// Policy or trust says no.
    pub(crate) const REFUSED: i32 = -32_002;
    /// The ledger cannot be read or written.
    pub(crate) const LEDGER_UNAVAILABLE: i32 = -32_003;
}

/// An error with all its causes, in one line, and what to do where the system's own words do not say it.
#[must_use]
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        words.push_str(&remedy_for(cause));
        next = cause.source();
    }
    words
}

/// What follows the system's "File too large", which says neither whose limit that is nor how to raise it.
const RAISE_FILE_LIMIT: &str = ": no file may grow that large here; raise the limit of whoever starts the gateway \
                                (`ulimit -f`, or `LimitFSIZE=` of a unit) and call again";

/// What to do about a limit of whoever starts the gateway; nothing for any other cause.
fn remedy_for(cause: &(dyn std::error::Error + 'static)) -> String {
    use rustix::io::Errno;
    let errno = cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::raw_os_error);
    match errno.map(Errno::from_raw_os_error) {
        Some(Errno::FBIG) => RAISE_FILE_LIMIT.to_owned(),
        Some(Errno::MFILE) => rlimit::Resource::NOFILE
            .get_soft()
            .map(raise_open_files)
            .unwrap_or_default(),
        Some(_) | None => String::new(),
    }
}

/// What follows the system's "Too many open files", which is not about the plugin's.
fn raise_open_files(limit: u64) -> String {
    format!(
        ": the gateway may have {limit} open at most, and each call takes some; raise the limit of whoever starts it \
         (`ulimit -n`, or `LimitNOFILE=` of a unit)"
    )
}

fn first_error(issues: &[Issue]) -> String {
    let error = issues
        .iter()
        .find(|issue| issue.severity == Severity::Error);
    error.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H7: "the stricter limit is kept, or named with its value and what to do"
    #[test]
    fn a_limit_of_the_hosts_is_named_with_what_to_do() {
        let words = |errno: rustix::io::Errno| {
            chain(&Error::File {
                action: "open",
                path: "x".into(),
                source: errno.into(),
            })
        };
        let open = rlimit::Resource::NOFILE.get_soft().unwrap();
        let said = words(rustix::io::Errno::MFILE);
        assert!(
            said.contains(&format!("may have {open} open")) && said.contains("`ulimit -n`"),
            "{said}"
        );
        assert!(words(rustix::io::Errno::FBIG).contains("`ulimit -f`"));
        assert!(!words(rustix::io::Errno::NOENT).contains("ulimit"));
    }

    #[test]
    fn every_kind_reads_back_and_has_one_code_for_each_door() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::from_name("nothing"), None);
        let codes = Kind::ALL.map(|kind| (kind.exit_code(), rpc_code(kind)));
        assert_eq!(
            codes,
            [
                (2, -32_602),
                (1, -32_602),
                (1, -32_602),
                (3, -32_002),
                (4, -32_003),
                (4, -32_603)
            ]
        );
    }
}
