//! The system-call policy as data: for each class, what goes through, what is answered, what is refused and what is hostile, each with
//! its reason. Which group a call stands in decides what becomes of a plugin that makes it; it never decides whether the call has an effect.
//! A call that stands nowhere here fails with `ENOSYS`, as on a kernel that does not have it.

/// What a row says of its calls, before any conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Goes through.
    Allow,
    /// Fails with this error number, because libraries and runtimes try it for good reasons.
    Fail(i32),
    /// What ordinary libraries try and can do without: it has no effect, fails with its usual error number, and is named.
    Refuse(i32),
    /// What no honest plugin does: it ends the plugin.
    Hostile,
}

/// Some calls, by name, and one answer for one reason.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) calls: &'static str,
    pub(super) answer: Answer,
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "the reason is for the reader; a test asks that it is there"
        )
    )]
    pub(super) why: &'static str,
}

const fn allow(calls: &'static str, why: &'static str) -> Row {
    Row {
        calls,
        answer: Answer::Allow,
        why,
    }
}

const fn fail(errno: i32, calls: &'static str, why: &'static str) -> Row {
    Row {
        calls,
        answer: Answer::Fail(errno),
        why,
    }
}

const fn refuse(errno: i32, calls: &'static str, why: &'static str) -> Row {
    Row {
        calls,
        answer: Answer::Refuse(errno),
        why,
    }
}

const fn hostile(calls: &'static str, why: &'static str) -> Row {
    Row {
        calls,
        answer: Answer::Hostile,
        why,
    }
}

/// The answer "done" to a call that did nothing.
const NOTHING_DONE: i32 = 0;

/// For every class.
pub(super) const EVERYONE: &[Row] = &[
    allow(
        "read readv write writev",
        "the request comes in and the answer goes out through these",
    ),
    allow(
        "pread64 preadv pwrite64 pwritev lseek",
        "fail by themselves on pipes; files read by position",
    ),
    allow(
        "close close_range dup dup2 dup3 fstat",
        "the process's own three descriptors",
    ),
    allow("poll ppoll select pselect6", "waiting for input"),
    allow(
        "epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2",
        "event loops of Go and Node",
    ),
    allow(
        "eventfd eventfd2 pipe pipe2 timerfd_create timerfd_settime timerfd_gettime signalfd signalfd4",
        "waking an event loop; bounded by the descriptor limit",
    ),
    allow(
        "brk munmap mremap mseal",
        "private memory, counted by the data limit",
    ),
    allow(
        "membarrier rseq",
        "threads of one process; no effect outside",
    ),
    allow(
        "set_robust_list get_robust_list set_tid_address gettid",
        "start-up of threads",
    ),
    allow(
        "getpid getppid getpgrp getpgid getsid",
        "own numbers, in a namespace of its own",
    ),
    allow(
        "getuid geteuid getgid getegid getresuid getresgid getgroups capget",
        "own identity, which is nobody's",
    ),
    allow(
        "sched_yield sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval getpriority getcpu",
        "runtimes size their thread pools by these",
    ),
    allow(
        "nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times",
        "reading clocks and waiting; setting clocks is elsewhere",
    ),
    allow(
        "alarm getitimer setitimer pause timer_create timer_settime timer_gettime timer_getoverrun timer_delete",
        "signals to itself; bounded by the pending-signal limit",
    ),
    allow(
        "getrusage getrlimit uname getrandom umask",
        "reads of nothing that is secret",
    ),
    allow(
        "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack restart_syscall",
        "signal handlers of its own",
    ),
    allow(
        "tgkill tkill",
        "abort() and raise(); other processes are out of sight, or kept off by Landlock's signal scope",
    ),
    allow(
        "exit exit_group",
        "ending; exit_group also serves the supervisor when exec fails",
    ),
    allow("getcwd", "the empty folder that it starts in"),
    fail(
        libc::ENOSYS,
        "clone3 openat2",
        "filters cannot read their flags; libraries fall back to clone and openat",
    ),
    fail(
        libc::ENOSYS,
        "io_uring_setup io_uring_enter io_uring_register",
        "would make calls behind the filter's back; libraries fall back",
    ),
    allow(
        "shutdown getsockname getpeername",
        "a pair of sockets between own threads, which has no name; anything else is no socket",
    ),
    fail(
        libc::ENOPROTOOPT,
        "setsockopt",
        "event loops set nothing on a pair; the options reach filters, buffers and other sockets",
    ),
    fail(
        libc::EPERM,
        "munlock munlockall sched_getattr ioprio_get",
        "follow what is refused, or only ask",
    ),
    fail(
        libc::EPERM,
        "get_mempolicy set_mempolicy mbind migrate_pages move_pages mincore cachestat",
        "placement in memory, and a view of other programs' cached pages",
    ),
    fail(
        libc::EPERM,
        "sysinfo",
        "the host's memory, load and number of processes, which tell of others; libraries take a failure for \"unknown\"",
    ),
    fail(
        libc::EPERM,
        "setrlimit setpgid setsid",
        "limits and session stay as they were set",
    ),
    fail(
        libc::EACCES,
        "chdir fchdir",
        "path lookups that Landlock does not cover",
    ),
    refuse(
        libc::EPERM,
        "mlock mlock2 mlockall",
        "memory that cannot be taken back; libraries that keep secrets ask for it",
    ),
    refuse(
        libc::EPERM,
        "sched_setaffinity sched_setparam sched_setscheduler sched_setattr setpriority ioprio_set",
        "share of the processor is the host's to give; pools of threads ask for it",
    ),
    refuse(
        libc::EPERM,
        "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch flock",
        "files change for nobody here, and locks would be a channel between two runs",
    ),
    refuse(libc::EPERM, "fork vfork", "a plugin is one process"),
    refuse(libc::EACCES, "execve", "a plugin is one program"),
    refuse(
        libc::EACCES,
        "socket connect bind listen accept accept4",
        "no network, no name service and no local sockets; libraries ask whether there are any",
    ),
    refuse(
        libc::EACCES,
        "sendmsg recvmsg sendmmsg recvmmsg",
        "a pair of sockets could pass descriptors on by these",
    ),
    refuse(
        libc::EPERM,
        "pidfd_open pidfd_send_signal",
        "handles on processes; Go and asyncio ask whether there are any",
    ),
    refuse(
        libc::EPERM,
        "kill rt_sigqueueinfo rt_tgsigqueueinfo",
        "signals to others; raise() and abort() use tgkill",
    ),
    refuse(
        libc::EACCES,
        "shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl",
        "System V objects outlive their maker",
    ),
    refuse(
        libc::EACCES,
        "mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr",
        "message queues outlive their maker",
    ),
    refuse(
        libc::EPERM,
        "memfd_create memfd_secret",
        "files that could be executed or passed on, uncounted by the data limit",
    ),
    refuse(
        libc::EROFS,
        "creat mkdir mkdirat mknod mknodat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat",
        "changes to files",
    ),
    refuse(
        libc::EROFS,
        "truncate ftruncate fallocate chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat futimesat",
        "changes to files",
    ),
    refuse(
        libc::EROFS,
        "setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat file_setattr",
        "changes to files",
    ),
    hostile(
        "execveat",
        "the launcher's own exec: whoever makes it guesses at what it is known by",
    ),
    hostile(
        "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self",
        "the jail's own walls; what intercepts calls begins here",
    ),
    hostile(
        "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd",
        "other processes' memory and descriptors",
    ),
    hostile(
        "setns unshare mount umount2 pivot_root chroot move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick mount_setattr statmount listmount",
        "the jail's own walls",
    ),
    hostile(
        "bpf perf_event_open userfaultfd",
        "kernel machinery with a long record of holes",
    ),
    hostile(
        "keyctl add_key request_key",
        "keyrings are shared between processes of one user",
    ),
    hostile(
        "modify_ldt iopl ioperm",
        "segments and ports of the processor",
    ),
    hostile(
        "init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff acct quotactl quotactl_fd syslog vhangup",
        "the machine itself",
    ),
    hostile(
        "sethostname setdomainname settimeofday clock_settime adjtimex clock_adjtime",
        "the machine's names and clocks",
    ),
    hostile(
        "open_by_handle_at name_to_handle_at fanotify_init fanotify_mark lookup_dcookie",
        "files reached around every path check",
    ),
    hostile(
        "setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset",
        "an identity other than its own",
    ),
];

/// For static programs, whose root is empty: whatever they open is not there. Their calls are reported all the same, so that the path is named.
pub(super) const STATIC: &[Row] = &[refuse(
    libc::ENOENT,
    "open openat",
    "a static program has no file to open",
)];

/// For static programs with an empty root, where looking finds nothing.
pub(super) const STATIC_IN_EMPTY_ROOT: &[Row] = &[allow(
    "stat lstat newfstatat statx access faccessat readlink readlinkat",
    "fstat of old C libraries, and questions to an empty root",
)];

/// For static programs without a root of their own, where looking would tell of the host's files.
pub(super) const STATIC_IN_HOST_ROOT: &[Row] = &[fail(
    libc::EACCES,
    "stat lstat newfstatat statx access faccessat readlink readlinkat",
    "names and times of the host's files",
)];

/// For programs and interpreters that read libraries.
pub(super) const READERS: &[Row] = &[
    allow(
        "stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat",
        "loaders and module systems look before they open",
    ),
    allow("getdents getdents64", "module systems list folders"),
    fail(
        NOTHING_DONE,
        "fadvise64 readahead",
        "throw pages of files out of the cache that all share, or fetch them unread; hints, so that nobody misses what they do",
    ),
    fail(
        libc::ENOSYS,
        "statfs fstatfs",
        "the size and use of the host's disks, which tell of others",
    ),
    fail(
        libc::ENODATA,
        "getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr",
        "attributes of files that Landlock does not cover",
    ),
];

/// The answers to calls whose arguments do not meet their conditions. [`super::conditions`] takes its answers from here, so that
/// filter and supervisor agree.
pub(super) const BY_ARGUMENTS: &[Row] = &[
    refuse(libc::EPERM, "clone", "a plugin is one process"),
    refuse(
        libc::EAFNOSUPPORT,
        "socketpair",
        "streams and datagrams between own threads, and no other family",
    ),
    refuse(
        libc::EACCES,
        "sendto recvfrom",
        "an address would be somebody else's",
    ),
    hostile("personality", "another layout of memory, or another ABI"),
];

/// For programs and interpreters that read: files are opened for nothing else.
pub(super) const WRITES: &[Row] = &[refuse(
    libc::EROFS,
    "open openat",
    "a file to write; libraries look for a place",
)];

/// The answer that these tables give to a call.
pub(super) fn answer(tables: &[&[Row]], name: &str) -> Option<Answer> {
    let mut rows = tables.iter().flat_map(|table| table.iter());
    let found = rows.find(|row| row.calls.split_whitespace().any(|call| call == name));
    found.map(|row| row.answer)
}

#[cfg(test)]
mod tests {
    use super::super::calls;
    use super::*;

    #[test]
    fn every_row_names_known_calls_and_says_why() {
        for table in [
            EVERYONE,
            STATIC,
            STATIC_IN_EMPTY_ROOT,
            STATIC_IN_HOST_ROOT,
            READERS,
            BY_ARGUMENTS,
            WRITES,
        ] {
            for row in table {
                assert!(!row.why.is_empty());
                for call in row.calls.split_whitespace() {
                    assert!(calls::number(call).is_some(), "no call is named {call}");
                }
            }
        }
    }

    #[test]
    fn no_call_has_two_answers() {
        for tables in [
            [EVERYONE, BY_ARGUMENTS, STATIC, STATIC_IN_EMPTY_ROOT],
            [EVERYONE, BY_ARGUMENTS, STATIC, STATIC_IN_HOST_ROOT],
            [EVERYONE, BY_ARGUMENTS, READERS, WRITES],
        ] {
            let mut seen = std::collections::BTreeSet::new();
            for call in tables
                .into_iter()
                .flatten()
                .flat_map(|row| row.calls.split_whitespace())
            {
                assert!(seen.insert(call), "{call} stands twice");
            }
        }
    }
}
