//! The form of the messages between gateway and launcher: shared by both, so that they cannot disagree.
//! Each message is one packet; numbers are in the machine's own order, as both ends are on one machine.
//!
//! A message begins with one word. Zero: the body follows. Any other number is the length of a body that was too long for a packet
//! and lies in a file of its own, whose descriptor comes before all others.

/// The launcher's end of the socket that requests come through.
pub(crate) const CONTROL: i32 = 3;

/// The longest packet in bytes. Most orders take some hundred; a longer body goes into a file. So the size of a socket's buffer, which
/// the host chooses, does not bound what a manifest may say.
pub(crate) const PACKET_BYTES: usize = 16 * 1024;

/// The most arguments that a manifest may give its plugin (the contract, section 4).
pub(crate) const MANIFEST_ARGUMENTS_MAX: usize = 256;

/// The longest of them in bytes (the contract, section 4).
pub(crate) const ARGUMENT_BYTES_MAX: usize = 4096;

/// The most words that a program is started with: the manifest's arguments, and as many again for the program's name and for the
/// words of the loader and the interpreter, which the operator's settings choose.
pub(crate) const ARGUMENTS_MAX: usize = 2 * MANIFEST_ARGUMENTS_MAX;

/// The most variables that an interpreter is started with; a runtime's data file names one or two.
pub(crate) const ENVIRONMENT_MAX: usize = 8;

/// The longest body in bytes: all arguments that a manifest may give, each with its length and final zero, and 128 KiB for everything
/// else, of which paths and the interpreter's own words make up most. The kernel takes twice as much at an exec (execve(2)).
pub(crate) const BODY_BYTES_MAX: usize =
    MANIFEST_ARGUMENTS_MAX * (ARGUMENT_BYTES_MAX + 5) + 128 * 1024;

/// The most descriptors that come with one message: a long body, an answer's socket, three streams, a program, and control groups.
pub(crate) const DESCRIPTORS_MAX: usize = 12;

/// The launcher's reply: to its first message, and to each request.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The step that failed, as [`Step`] counts; meaningless when nothing failed.
    pub(crate) step: u32,
    /// The kernel's error number; 0 when nothing failed.
    pub(crate) errno: i32,
    /// The child's process id in the launcher's pid namespace; 0 when none was made.
    pub(crate) pid: i32,
}

/// The size of a reply in bytes.
pub(crate) const REPLY_BYTES: usize = size_of::<Reply>();

/// The name of the empty folder in a private root in which a program starts.
#[cfg_attr(
    not(any(test, freestanding)),
    expect(dead_code, reason = "the launcher makes it")
)]
pub(crate) const EMPTY_FOLDER: &core::ffi::CStr = c"empty";

/// Kinds of operation that build a private root.
pub(crate) mod operation {
    /// Make a folder: path.
    pub(crate) const FOLDER: u32 = 0;
    /// Make a symbolic link: path, target.
    pub(crate) const LINK: u32 = 1;
    /// Make an empty file to mount on: path.
    pub(crate) const FILE: u32 = 2;
    /// Show a host path, read-only: source, path.
    pub(crate) const BIND: u32 = 3;
    /// Show a host's device, which can be opened: source, path.
    pub(crate) const DEVICE: u32 = 4;
    /// Show an empty folder in the place of one that is shown: path.
    pub(crate) const COVER: u32 = 5;
}

/// The steps by name: first the launcher's own, once, then each child's, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Step {
    Setup,
    DeathSignal,
    Session,
    Signals,
    Namespaces,
    UserNamespace,
    HostName,
    PrivateRoot,
    WorkingDirectory,
    Rlimits,
    Identity,
    NoNewPrivs,
    Seccomp,
    Listener,
    Order,
    Clone,
    ControlGroups,
    ParentCheck,
    Descriptors,
    Landlock,
    Exec,
}

impl Step {
    /// Every step, by its number.
    #[cfg_attr(freestanding, expect(dead_code, reason = "the launcher sends numbers"))]
    pub(crate) const ALL: [Self; 21] = [
        Self::Setup,
        Self::DeathSignal,
        Self::Session,
        Self::Signals,
        Self::Namespaces,
        Self::UserNamespace,
        Self::HostName,
        Self::PrivateRoot,
        Self::WorkingDirectory,
        Self::Rlimits,
        Self::Identity,
        Self::NoNewPrivs,
        Self::Seccomp,
        Self::Listener,
        Self::Order,
        Self::Clone,
        Self::ControlGroups,
        Self::ParentCheck,
        Self::Descriptors,
        Self::Landlock,
        Self::Exec,
    ];

    /// The step's name in errors.
    #[cfg_attr(freestanding, expect(dead_code, reason = "the launcher sends numbers"))]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::DeathSignal => "death signal",
            Self::Session => "session",
            Self::Signals => "signals",
            Self::Namespaces => "namespaces",
            Self::UserNamespace => "user namespace",
            Self::HostName => "host name",
            Self::PrivateRoot => "private root",
            Self::WorkingDirectory => "working directory",
            Self::Rlimits => "resource limits",
            Self::Identity => "user id",
            Self::NoNewPrivs => "no new privileges",
            Self::Seccomp => "seccomp",
            Self::Listener => "listener",
            Self::Order => "order",
            Self::Clone => "clone",
            Self::ControlGroups => "control groups",
            Self::ParentCheck => "parent check",
            Self::Descriptors => "descriptors",
            Self::Landlock => "landlock",
            Self::Exec => "exec",
        }
    }
}

/// One instruction of a classic BPF program, laid out as `struct sock_filter`.
pub(crate) const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> [u8; 8] {
    let ([a, b], [c, d, e, f]) = (code.to_ne_bytes(), k.to_ne_bytes());
    [a, b, jt, jf, c, d, e, f]
}
