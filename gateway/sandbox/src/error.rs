//! The sandbox's own faults. What a plugin does wrong is never an error: it is in a report's `End`.

use std::io;
use std::path::PathBuf;

use crate::layer::Layer;
use crate::threat::Threat;

/// A fault of the host or of the gateway, never of the plugin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A required layer is not available on this host.
    #[error("the host lacks the required layer '{layer}': {remedy}")]
    Missing {
        /// The layer.
        layer: Layer,
        /// What the operator can do.
        remedy: String,
    },
    /// On this host too few layers answer a threat for plugins of this class.
    #[error(
        "{class} are refused on this host: against a plugin that {threat} it has only [{held}], and two layers are needed; missing: {missing}; {remedy}"
    )]
    Unanswered {
        /// The class, in the plural.
        class: &'static str,
        /// The threat.
        threat: Threat,
        /// The layers that are in force against it.
        held: String,
        /// The layers that would answer it and are missing here.
        missing: String,
        /// What the operator can do.
        remedy: String,
    },
    /// A step of the launcher's or of its child's failed.
    #[error("the plugin's start failed at step '{step}'")]
    Step {
        /// The step's name.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The launcher of this kind of plugin is gone; the next run gets a new one.
    #[error("the launcher ended while it was needed")]
    LauncherGone,
    /// The time for a run was over before its plugin could be started. [`crate::Sandbox::run`] returns this as an `End`, not as an error.
    #[error("the time was over before the plugin could be started")]
    TooLate,
    /// No runtime has this name.
    #[error("no runtime is called '{name}'")]
    UnknownRuntime {
        /// The name asked for.
        name: String,
    },
    /// The interpreter of a runtime cannot be used, or is not there.
    #[error("there is no interpreter for the runtime '{name}' on this host: {reason}")]
    NoInterpreter {
        /// The runtime's name.
        name: String,
        /// What was found in its place, and why that is none.
        reason: String,
    },
    /// An interpreter would have other libraries than those that it was found with.
    #[error(
        "the interpreter '{}' would not be started with the libraries that it has outside of the sandbox: {difference}", interpreter.display()
    )]
    OtherLibraries {
        /// The interpreter.
        interpreter: PathBuf,
        /// Which is not the same.
        difference: String,
    },
    /// The bytes are not those whose digest was verified.
    #[error("the program's bytes do not have the digest they were verified with")]
    Digest,
    /// The program cannot be run here.
    #[error("cannot run the program: {reason}")]
    Format {
        /// Why.
        reason: &'static str,
    },
    /// A path or argument that cannot be handed to the kernel or would leave the package.
    #[error("unusable {subject}: {value}")]
    Unusable {
        /// What it was meant for.
        subject: &'static str,
        /// What was given.
        value: String,
    },
    /// Every user id of the pool is taken.
    #[error("every user id of the pool is in use")]
    UidsExhausted,
    /// A system call of the supervisor failed.
    #[error("cannot {action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Names what was being done when a system call fails.
pub(crate) trait While<T> {
    /// Turns any system error into [`Error::Io`] with these words.
    fn during(self, action: &'static str) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> While<T> for Result<T, E> {
    fn during(self, action: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            action,
            source: source.into(),
        })
    }
}
