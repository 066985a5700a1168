//! What gateway and launcher say to each other: shared by both, so that they cannot disagree.
//! Each message is one packet; numbers are in the machine's own order, as both ends are on one machine.

/// The launcher's end of the socket that requests come through.
pub(crate) const CONTROL: i32 = 3;

/// The longest message in bytes. Arguments and the names in a private root make up most of one.
pub(crate) const MESSAGE_BYTES: usize = 64 * 1024;

/// The most descriptors that come with one message.
pub(crate) const DESCRIPTORS_MAX: usize = 8;

/// The most arguments of a program, its name among them.
pub(crate) const ARGUMENTS_MAX: usize = 512;

/// The most instructions of the launcher's filter, which is the kernel's own limit (`BPF_MAXINSNS`).
pub(crate) const INSTRUCTIONS_MAX: usize = 4096;

/// The launcher's answer: to being set up, and to each request.
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
    PrivateRoot,
    WorkingDirectory,
    Rlimits,
    Identity,
    NoNewPrivs,
    Seccomp,
    Listener,
    Clone,
    ParentCheck,
    Descriptors,
    Landlock,
    Exec,
}

impl Step {
    /// Every step, by its number.
    #[cfg_attr(freestanding, expect(dead_code, reason = "the launcher sends numbers"))]
    pub(crate) const ALL: [Self; 18] = [
        Self::Setup,
        Self::DeathSignal,
        Self::Session,
        Self::Signals,
        Self::Namespaces,
        Self::UserNamespace,
        Self::PrivateRoot,
        Self::WorkingDirectory,
        Self::Rlimits,
        Self::Identity,
        Self::NoNewPrivs,
        Self::Seccomp,
        Self::Listener,
        Self::Clone,
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
            Self::PrivateRoot => "private root",
            Self::WorkingDirectory => "working directory",
            Self::Rlimits => "resource limits",
            Self::Identity => "user id",
            Self::NoNewPrivs => "no new privileges",
            Self::Seccomp => "seccomp",
            Self::Listener => "listener",
            Self::Clone => "clone",
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

/// The number of instructions of [`last_filter`].
pub(crate) const LAST_FILTER_LENGTH: usize = 16;

/// Loads a word of `struct seccomp_data`.
const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;

const fn load(offset: u32) -> [u8; 8] {
    instruction(LOAD, 0, 0, offset)
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> [u8; 8] {
    instruction(code, jt, jf, k)
}

const fn give(value: u32) -> [u8; 8] {
    instruction(RETURN, 0, 0, value)
}

/// The calls that carry the launcher's mark lie in these ranges: 46–157 and 302 and up. A call elsewhere is let through
/// at once, so that the kernel still knows without running the filter that `read` or `futex` are fine.
const MARKED_LOW: u32 = 46;
const MARKED_LOW_END: u32 = 158;
const MARKED_HIGH: u32 = 302;

/// The child's last filter: what carries the launcher's mark is killed from now on, so that nothing which only the
/// launcher needs is left to a plugin, even to one that knew the mark. One call passes: the `execveat` that
/// carries this launch's own random numbers, in the upper halves of the first and the fifth argument.
pub(crate) const fn last_filter(mark: u64, cookies: [u32; 2]) -> [[u8; 8]; LAST_FILTER_LENGTH] {
    /// Offsets in `struct seccomp_data`: number, then arguments of eight bytes from 16.
    const NUMBER: u32 = 0;
    const FIRST_UPPER: u32 = 16 + 4;
    const FIFTH_UPPER: u32 = 16 + 4 * 8 + 4;
    const SIXTH_LOWER: u32 = 16 + 5 * 8;
    const SIXTH_UPPER: u32 = SIXTH_LOWER + 4;
    const EXECVEAT: u32 = 322;
    let [first, second] = cookies;
    #[expect(clippy::cast_possible_truncation, reason = "the halves are wanted apart")]
    let (lower, upper) = (mark as u32, (mark >> 32) as u32);
    [
        load(NUMBER),
        jump(JUMP_AT_LEAST, MARKED_HIGH, 2, 0),
        jump(JUMP_AT_LEAST, MARKED_LOW_END, 12, 0),
        jump(JUMP_AT_LEAST, MARKED_LOW, 0, 11),
        load(SIXTH_LOWER),
        jump(JUMP_EQUAL, lower, 0, 9),
        load(SIXTH_UPPER),
        jump(JUMP_EQUAL, upper, 0, 7),
        load(NUMBER),
        jump(JUMP_EQUAL, EXECVEAT, 0, 4),
        load(FIRST_UPPER),
        jump(JUMP_EQUAL, first, 0, 2),
        load(FIFTH_UPPER),
        jump(JUMP_EQUAL, second, 1, 0),
        give(KILL_PROCESS),
        give(ALLOW),
    ]
}
