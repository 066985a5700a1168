//! The calls whose verdict depends on their arguments.
//!
//! Arguments that the kernel reads as ints are judged by their lower half alone, because that is all the kernel looks at:
//! so nothing hides in the upper half.

use super::program::{Check, Verdict};
use super::{Wanted, answer_of, plain};
use crate::filter::policy::Answer;
use crate::image::Class;

/// Stands for the lower half of a launcher's mark until the launcher starts. No other constant of a filter has this value, nor that of
/// [`MARK_UPPER`].
pub(super) const MARK_LOWER: u32 = 0xc00c_1e01;
/// The same for the upper half.
pub(super) const MARK_UPPER: u32 = 0xc00c_1e02;

/// The calls that only the launcher, and its child before exec, may make in this way. They carry the mark in the sixth argument
/// register, which none of them uses. The child's last filter kills every call that carries the mark.
pub(super) const LAUNCHER_CALLS: [&str; 13] = [
    // Requests come in, answers and the listener go out.
    "recvmsg",
    "sendmsg",
    // A plugin is made.
    "clone",
    "clone3",
    // The plugin's own user, without capabilities.
    "setresgid",
    "setresuid",
    "capset",
    // Death signal, session, limits.
    "prctl",
    "setsid",
    "prlimit64",
    // The plugin's own domain and last filter.
    "landlock_restrict_self",
    "seccomp",
    // The one exec.
    "execveat",
];

/// The check that a call carries the launcher's mark.
pub(super) fn marked() -> Vec<Check> {
    vec![equals(5, MARK_LOWER), upper_equals(5, MARK_UPPER)]
}

/// The calls by which a program raises a signal in itself, and which argument is the signal. Raising SIGABRT is reported and then let through:
/// it does not end process number 1 of a pid namespace, so libraries go on to end the process by a crash, and the abort would look like that crash.
const ABORTS: [(&str, u8); 2] = [("tgkill", 2), ("tkill", 1)];
const SIGABRT: u32 = 6;

/// `CLONE_VM | FS | FILES | SIGHAND | THREAD | SYSVSEM`: what makes a thread and nothing else.
const THREAD_FLAGS: u32 = 0x0005_0f00;
/// `CLONE_SETTLS | PARENT_SETTID | CHILD_CLEARTID | DETACHED | CHILD_SETTID`: harmless beside them.
const THREAD_EXTRAS: u32 = 0x0178_0000;

const PROT_WRITE: u32 = 2;
const PROT_EXEC: u32 = 4;
const MAP_SHARED: u32 = 1;
const MAP_PRIVATE: u32 = 2;
const MAP_ANONYMOUS: u32 = 0x20;
/// Counted as stack and so not by the data limit.
const MAP_GROWSDOWN: u32 = 0x100;
/// From the host's pool of huge pages, which the memory control group does not count.
const MAP_HUGETLB: u32 = 0x4_0000;

/// close_range(2): gives this thread a descriptor table of its own, so that each thread could have as many descriptors as the limit allows.
const CLOSE_RANGE_UNSHARE: u32 = 2;

/// `O_ACCMODE | O_CREAT | O_TRUNC | O_TMPFILE`'s own bit: everything that changes a file.
const OPEN_FOR_CHANGE: u32 = 0x40_0243;
/// `O_DIRECT`: reads past the page cache, and so takes the disk's time as often as it likes.
const O_DIRECT: u32 = 0x4000;

/// What files are not opened with by those who may only read.
pub(super) const OPEN_OTHERWISE: u32 = OPEN_FOR_CHANGE | O_DIRECT;

/// fcntl(2) commands on flags and copies of a descriptor. Locks, owners, leases and pipe sizes are not among them.
const FCNTL_COMMANDS: [u32; 7] = [0, 1, 2, 3, 1027, 1030, 1032];
/// `F_SETFL`, which could add `O_DIRECT` to an open file.
const F_SETFL: u32 = 4;

/// futex(2): for threads of one process only. Without it the kernel identifies a futex by its page, and a page of a file is shared by every process
/// that maps it.
const FUTEX_PRIVATE: u32 = 0x80;
/// futex(2): chooses the clock; it makes no difference to the filter.
const FUTEX_REALTIME: u32 = 0x100;
/// `FUTEX_WAIT_BITSET`. glibc waits for the end of a thread by it and without the flag, as the kernel wakes it without the flag.
const FUTEX_WAIT_BITSET: u32 = 9;
/// `FUTEX_WAIT` and `FUTEX_WAKE`, by which musl ends threads without the flag. So does the C++ library (libstdc++) with its futures, and with a
/// local static that one thread makes while another wants it.
const FUTEX_WAIT: u32 = 0;
const FUTEX_WAKE: u32 = 1;

/// `EAGAIN`.
const AGAIN: u16 = 11;

/// `FIONREAD`, `FIONBIO`, `FIONCLEX`, `FIOCLEX`: what event loops do to pipes. No terminal request is among them.
const IOCTL_REQUESTS: [u32; 4] = [0x541b, 0x5421, 0x5450, 0x5451];

/// prctl(2): dumpable, seccomp mode, bounding set and no_new_privs (read), name, timer slack (read), no_new_privs (set), name of a mapping, auxv.
const PRCTL_OPTIONS: [u32; 10] = [3, 15, 16, 21, 23, 30, 38, 39, 0x5356_4d41, 0x4155_5856];

/// madvise(2): normal, random, sequential, dontneed, free, fork and dump marks, huge pages or not, wiping on fork.
/// `MADV_MERGEABLE` is not among them, because pages that are merged across programs tell one program what another holds. Nor are
/// those that bring unread pages of files into memory or move pages out: `MADV_WILLNEED`, `MADV_COLD`, `MADV_PAGEOUT`, `MADV_POPULATE_READ`.
const MADVISE_ADVICE: [u32; 13] = [0, 1, 2, 4, 8, 10, 11, 14, 15, 16, 17, 18, 19];

/// arch_prctl(2): set and get the FS and GS bases.
const ARCH_PRCTL_CODES: [u32; 4] = [0x1001, 0x1002, 0x1003, 0x1004];

/// personality(2) with this value only asks.
const PERSONALITY_QUERY: u32 = u32::MAX;

/// `AF_UNIX`.
const LOCAL_FAMILY: u32 = 1;
/// `SOCK_STREAM` and `SOCK_DGRAM`.
const PAIR_KINDS: [u32; 2] = [1, 2];
/// `SOCK_NONBLOCK | SOCK_CLOEXEC`, which may stand beside a kind.
const PAIR_EXTRAS: u32 = 0x8_0800;
/// `SOL_SOCKET`.
const SOCKET_LEVEL: u32 = 1;
/// What event loops ask of a socket: kind, error, sizes of buffers, whether it listens, protocol, family. The process at the other end, and
/// a handle on it, are not among them.
const SOCKET_OPTIONS: [u32; 7] = [3, 4, 7, 8, 30, 38, 39];

const fn equals(argument: u8, value: u32) -> Check {
    Check {
        argument,
        upper: false,
        mask: u32::MAX,
        equal: true,
        value,
    }
}

const fn upper_equals(argument: u8, value: u32) -> Check {
    Check {
        argument,
        upper: true,
        mask: u32::MAX,
        equal: true,
        value,
    }
}

const fn masked(argument: u8, mask: u32, value: u32) -> Check {
    Check {
        argument,
        upper: false,
        mask,
        equal: true,
        value,
    }
}

const fn unlike(argument: u8, mask: u32, value: u32) -> Check {
    Check {
        argument,
        upper: false,
        mask,
        equal: false,
        value,
    }
}

/// Any of these values in one argument.
fn one_of(argument: u8, values: &[u32]) -> Vec<Vec<Check>> {
    values
        .iter()
        .map(|&value| vec![equals(argument, value)])
        .collect()
}

/// Every conditional verdict, by the call's name.
pub(super) fn table(wanted: &Wanted) -> Vec<(&'static str, Verdict)> {
    let when = |lists, answer| Verdict::When(lists, Box::new(plain(answer, wanted)));
    // What the tables say of the call where its arguments let nothing through.
    let as_listed = |name, lists| {
        let answer = answer_of(wanted.class, name).unwrap_or(Answer::Hostile);
        (name, when(lists, answer))
    };
    let own_limit_asked = vec![equals(0, 0), equals(2, 0), upper_equals(2, 0)];
    let not_permitted = Answer::Fail(libc::EPERM);
    let unknown = Answer::Fail(libc::EINVAL);
    let mut table = vec![
        as_listed("clone", vec![vec![masked(0, !THREAD_EXTRAS, THREAD_FLAGS)]]),
        as_listed("socketpair", pairs()),
        // Without an address: a null pointer, whole.
        as_listed("sendto", vec![vec![equals(4, 0), upper_equals(4, 0)]]),
        as_listed("recvfrom", vec![vec![equals(4, 0), upper_equals(4, 0)]]),
        (
            "getsockopt",
            when(socket_options(), Answer::Fail(libc::ENOPROTOOPT)),
        ),
        ("mmap", when(maps(wanted), Answer::Fail(libc::EACCES))),
        (
            "mprotect",
            when(protections(wanted), Answer::Fail(libc::EACCES)),
        ),
        (
            "close_range",
            when(vec![vec![masked(2, CLOSE_RANGE_UNSHARE, 0)]], unknown),
        ),
        ("fcntl", when(descriptor_flags(), unknown)),
        ("futex", futexes(wanted, plain(unknown, wanted))),
        (
            "preadv2",
            // Its flags ask what is in the page cache, or read past it.
            when(vec![vec![equals(5, 0)]], Answer::Fail(libc::EOPNOTSUPP)),
        ),
        (
            "ioctl",
            when(one_of(1, &IOCTL_REQUESTS), Answer::Fail(libc::ENOTTY)),
        ),
        ("madvise", when(one_of(2, &MADVISE_ADVICE), unknown)),
        ("prctl", when(one_of(0, &PRCTL_OPTIONS), unknown)),
        ("arch_prctl", when(one_of(0, &ARCH_PRCTL_CODES), unknown)),
        as_listed("personality", vec![vec![equals(0, PERSONALITY_QUERY)]]),
        ("prlimit64", when(vec![own_limit_asked], not_permitted)),
    ];
    if wanted.reported {
        table.extend(ABORTS.map(|(name, signal)| {
            let other = vec![vec![unlike(signal, u32::MAX, SIGABRT)]];
            (name, Verdict::When(other, Box::new(Verdict::Report)))
        }));
    }
    if wanted.class != Class::Static {
        table.extend([("open", 1), ("openat", 2)].map(|(name, flags)| {
            let reads = vec![masked(flags, OPEN_OTHERWISE, 0)];
            let quietly = if wanted.names_reads && wanted.reported {
                Vec::new()
            } else {
                vec![reads]
            };
            as_listed(name, quietly)
        }));
    }
    table
}

/// Commands of fcntl(2), and new flags that are not `O_DIRECT`.
fn descriptor_flags() -> Vec<Vec<Check>> {
    let mut lists = one_of(1, &FCNTL_COMMANDS);
    lists.push(vec![equals(1, F_SETFL), masked(2, O_DIRECT, 0)]);
    lists
}

/// Locks between threads of one process; and the operations that C libraries use without the private flag. Who could not be woken does not get to
/// sleep: it is told that the value has changed, looks again, and goes on once that is so. Else it would sleep for ever.
fn futexes(wanted: &Wanted, otherwise: Verdict) -> Verdict {
    let shared = |way| vec![masked(1, !FUTEX_REALTIME, way)];
    let mut lists = vec![
        vec![masked(1, FUTEX_PRIVATE, FUTEX_PRIVATE)],
        shared(FUTEX_WAIT_BITSET),
    ];
    if wanted.wakes_shared {
        lists.extend([FUTEX_WAIT, FUTEX_WAKE].map(shared));
        return Verdict::When(lists, Box::new(otherwise));
    }
    let looks_again = Verdict::FailsWhen(shared(FUTEX_WAIT), AGAIN, Box::new(otherwise));
    Verdict::When(lists, Box::new(looks_again))
}

/// Streams and datagrams of the local family, whose protocol is 0 or the family's own number (unix(7)).
fn pairs() -> Vec<Vec<Check>> {
    let pair = |kind| {
        vec![
            equals(0, LOCAL_FAMILY),
            masked(1, !PAIR_EXTRAS, kind),
            masked(2, !LOCAL_FAMILY, 0),
        ]
    };
    PAIR_KINDS.into_iter().map(pair).collect()
}

fn socket_options() -> Vec<Vec<Check>> {
    let option = |&option: &u32| vec![equals(1, SOCKET_LEVEL), equals(2, option)];
    SOCKET_OPTIONS.iter().map(option).collect()
}

/// Private memory, without the ways around the data limit; executable as the class allows.
fn maps(wanted: &Wanted) -> Vec<Vec<Check>> {
    let counted = [
        unlike(3, MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED | MAP_ANONYMOUS),
        masked(3, MAP_GROWSDOWN | MAP_HUGETLB, 0),
    ];
    if wanted.makes_code {
        return vec![counted.to_vec()];
    }
    let mut plain = vec![masked(2, PROT_EXEC, 0)];
    plain.extend(counted);
    match wanted.class {
        Class::Static => vec![plain],
        Class::Dynamic | Class::Runtime => {
            let code_of_a_file = vec![
                masked(2, PROT_EXEC | PROT_WRITE, PROT_EXEC),
                masked(
                    3,
                    MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_HUGETLB,
                    MAP_PRIVATE,
                ),
            ];
            vec![plain, code_of_a_file]
        }
    }
}

/// Nothing becomes executable later, unless the runtime makes code.
fn protections(wanted: &Wanted) -> Vec<Vec<Check>> {
    if wanted.makes_code {
        vec![Vec::new()]
    } else {
        vec![vec![masked(2, PROT_EXEC, 0)]]
    }
}
