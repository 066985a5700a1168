//! The names of the sandbox's layers and what is said about each: words only, no enforcement.

use std::borrow::Cow;
use std::fmt;

/// One layer of the sandbox, named as operators, ledger events and `doctor` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// The system-call allow-list.
    Seccomp,
    /// File, network and scope rules of the Landlock module.
    Landlock,
    /// No exec may raise privileges.
    NoNewPrivs,
    /// An unprivileged user id, without capabilities.
    Uid,
    /// Resource limits of the process.
    Rlimits,
    /// Three descriptors and no more.
    Descriptors,
    /// A session of its own, without a terminal.
    Session,
    /// The plugin dies with the thread that started it.
    DeathSignal,
    /// A private, read-only root in a mount namespace.
    MountNs,
    /// A process-id namespace in which the plugin is alone.
    PidNs,
    /// A network namespace without any interface that is up.
    NetNs,
    /// A namespace of its own for System V and POSIX message queues.
    IpcNs,
    /// A namespace of its own for host names.
    UtsNs,
    /// A namespace that hides the control-group tree.
    CgroupNs,
    /// A user namespace, the way to the other namespaces for an ordinary user.
    UserNs,
    /// A control group that counts and caps memory and processes.
    Cgroup,
    /// Only the supervisor's own exec is let through.
    ExecOnce,
    /// What is run is a sealed copy of the bytes that were verified.
    SealedImage,
    /// Hostile calls are reported by name before the plugin is killed.
    Explained,
}

impl Layer {
    /// Every layer, in the order in which `doctor` lists them.
    pub const ALL: [Self; 19] = [
        Self::Seccomp,
        Self::Landlock,
        Self::NoNewPrivs,
        Self::Uid,
        Self::Rlimits,
        Self::Descriptors,
        Self::Session,
        Self::DeathSignal,
        Self::ExecOnce,
        Self::SealedImage,
        Self::Explained,
        Self::UserNs,
        Self::MountNs,
        Self::PidNs,
        Self::NetNs,
        Self::IpcNs,
        Self::UtsNs,
        Self::CgroupNs,
        Self::Cgroup,
    ];

    /// The layer's name in configuration, events and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::NoNewPrivs => "no-new-privs",
            Self::Uid => "uid",
            Self::Rlimits => "rlimits",
            Self::Descriptors => "descriptors",
            Self::Session => "session",
            Self::DeathSignal => "death-signal",
            Self::MountNs => "mount-ns",
            Self::PidNs => "pid-ns",
            Self::NetNs => "net-ns",
            Self::IpcNs => "ipc-ns",
            Self::UtsNs => "uts-ns",
            Self::CgroupNs => "cgroup-ns",
            Self::UserNs => "user-ns",
            Self::Cgroup => "cgroup",
            Self::ExecOnce => "exec-once",
            Self::SealedImage => "sealed-image",
            Self::Explained => "explained-denials",
        }
    }

    /// The layer of this name; `None` where there is none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.as_str() == name)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What `doctor` says about one layer on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// A short title for people.
    pub name: Cow<'static, str>,
    /// The layer this row is about.
    pub layer: Layer,
    /// Whether the row is about a threat and all layers that answer it. `layer` is then the first of those, or the missing one that is needed.
    pub about_threat: bool,
    /// Whether plugins are refused when it is missing.
    pub required: bool,
    /// Whether it is in force here.
    pub enforced: bool,
    /// What was found.
    pub detail: String,
    /// What to do when it is missing; empty when nothing need be done.
    pub remedy: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for layer in Layer::ALL {
            assert_eq!(Layer::from_name(layer.as_str()), Some(layer));
        }
        assert_eq!(Layer::from_name("nothing"), None);
    }
}
