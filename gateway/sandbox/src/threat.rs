//! The threats that the layers answer: words only, no enforcement.

use std::fmt;

/// What a plugin must not be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threat {
    /// It reads or changes the host's files.
    Files,
    /// It talks over a network or to a local socket.
    Network,
    /// It signals, traces or reads other processes.
    Processes,
    /// It starts programs or processes.
    Starts,
    /// It gains privilege.
    Privilege,
    /// It starves others of memory, processors, processes or disk.
    Starves,
    /// It outlives the gateway or hides from it.
    Outlives,
    /// Code runs that was changed after its signature.
    ChangedCode,
}

impl Threat {
    /// The threat in words that follow "a plugin".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Files => "reads or changes the host's files",
            Self::Network => "talks over a network or to a local socket",
            Self::Processes => "signals, traces or reads other processes",
            Self::Starts => "starts programs or processes",
            Self::Privilege => "gains privilege",
            Self::Starves => "starves others of memory, processors, processes or disk",
            Self::Outlives => "outlives or hides from the gateway",
            Self::ChangedCode => "runs code that was changed",
        }
    }
}

impl fmt::Display for Threat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
