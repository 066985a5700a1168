//! Acts that a plugin must not do, as C programs that exit with 0 where they worked: `refuse` shows that this host refuses and names
//! each, and `poorer` that hosts which lack something let none out.

/// What becomes of an act.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It is refused, and named as this call with this detail; its program goes on and exits with 1.
    Refused(&'static str, &'static str),
    /// It ends its program, and is named as this call with this detail.
    Ended(&'static str, &'static str),
    /// It does not work, however that comes.
    Fails,
}

/// One act.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Act {
    /// The program's own text, behind the tests' prelude.
    pub(crate) source: &'static str,
    pub(crate) fate: Fate,
    /// Whether it is shown to work outside; not every host has or allows what the others ask for.
    pub(crate) shown: bool,
}

const fn refused(source: &'static str, call: &'static str, detail: &'static str) -> Act {
    Act {
        source,
        fate: Fate::Refused(call, detail),
        shown: true,
    }
}

const fn hostile(source: &'static str, call: &'static str, detail: &'static str) -> Act {
    Act {
        source,
        fate: Fate::Ended(call, detail),
        shown: true,
    }
}

const fn fails(source: &'static str) -> Act {
    Act {
        source,
        fate: Fate::Fails,
        shown: true,
    }
}

impl Act {
    const fn only_inside(self) -> Self {
        Self {
            shown: false,
            ..self
        }
    }
}

pub(crate) const SOCKETS: &[Act] = &[
    refused(
        "int main(void) { request(); return socket(AF_INET, SOCK_STREAM, 0) < 0; }",
        "socket",
        "AF_INET, SOCK_STREAM",
    ),
    refused(
        "int main(void) { request(); return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0; }",
        "socket",
        "AF_INET, SOCK_DGRAM",
    ),
    refused(
        "int main(void) { request(); return socket(AF_UNIX, SOCK_STREAM, 0) < 0; }",
        "socket",
        "AF_UNIX, SOCK_STREAM",
    ),
    refused(
        "int main(void) { request(); return socket(AF_NETLINK, SOCK_RAW, 0) < 0; }",
        "socket",
        "AF_NETLINK, SOCK_RAW",
    ),
    refused(
        "int main(void) { request(); int s[2]; return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) != 0; }",
        "socketpair",
        "AF_UNIX, SOCK_SEQPACKET",
    ),
    refused(
        "int main(void) { request(); return socket(AF_ALG, SOCK_SEQPACKET, 0) < 0; }",
        "socket",
        "AF_ALG, SOCK_SEQPACKET",
    )
    .only_inside(),
    refused(
        "int main(void) { request(); return socket(AF_VSOCK, SOCK_STREAM, 0) < 0; }",
        "socket",
        "AF_VSOCK, SOCK_STREAM",
    )
    .only_inside(),
    refused(
        "int main(void) { request(); return socket(AF_PACKET, SOCK_RAW, 0) < 0; }",
        "socket",
        "AF_PACKET, SOCK_RAW",
    )
    .only_inside(),
];

pub(crate) const OF_A_THREAD: &[Act] = &[refused(
    "static void *ask(void *at) { return (void *)(long)(socket(AF_INET, SOCK_STREAM, 0) < 0); }
    int main(void) { request(); pthread_t thread; void *failed; return pthread_create(&thread, 0, ask, 0) || pthread_join(thread, &failed) || failed; }",
    "socket",
    "AF_INET, SOCK_STREAM",
)];

pub(crate) const PROCESSES: &[Act] = &[
    refused(
        "int main(void) { request(); int pid = syscall(SYS_fork); if (pid == 0) _exit(0); return pid < 0; }",
        "fork",
        "",
    ),
    refused(
        "int main(void) { request(); int pid = fork(); if (pid == 0) _exit(0); return pid < 0; }",
        "clone",
        "flags 0x1200011",
    ),
    refused(
        "int main(void) { request(); int pid = vfork(); if (pid == 0) _exit(0); return pid < 0; }",
        "vfork",
        "",
    ),
    refused(
        "int main(void) { request(); int pid = fork(); if (pid == 0) { setsid(); if (fork() == 0) pause(); _exit(0); } return pid < 0; }",
        "clone",
        "flags 0x1200011",
    )
    .only_inside(),
];

pub(crate) const EXECS: &[Act] = &[
    refused(
        r#"int main(void) { request(); char *v[] = {"true", 0}; execv("/bin/true", v); return 1; }"#,
        "execve",
        "\"/bin/true\"",
    ),
    hostile(
        r#"int main(void) { request(); char *v[] = {"true", 0}; syscall(SYS_execveat, 0, "/bin/true", v, v + 1, 0); return 1; }"#,
        "execveat",
        "\"/bin/true\"",
    ),
    refused(
        "int main(void) { request(); return syscall(SYS_memfd_create, \"x\", 0) < 0; }",
        "memfd_create",
        "\"x\"",
    ),
];

pub(crate) const WRITES: &[Act] = &[
    refused(
        r#"int main(void) { request(); char *it = "/tmp/plugin-gateway-was-here"; return open(it, O_WRONLY | O_CREAT, 0600) < 0 || unlink(it); }"#,
        "openat",
        "\"/tmp/plugin-gateway-was-here\", O_WRONLY|O_CREAT",
    ),
    refused(
        r#"int main(void) { request(); char *it = "/tmp/plugin-gateway-folder"; return mkdir(it, 0700) || rmdir(it); }"#,
        "mkdir",
        "\"/tmp/plugin-gateway-folder\"",
    ),
    refused(
        r#"int main(void) { request(); return unlink("/package/plugin.json") != 0; }"#,
        "unlink",
        "\"/package/plugin.json\"",
    )
    .only_inside(),
    refused(
        r#"int main(void) { request(); return chmod("/", 0777) != 0; }"#,
        "chmod",
        "\"/\"",
    )
    .only_inside(),
];

/// A file of the host's that is read.
pub(crate) const READS: &[Act] = &[fails(
    r#"int main(void) { request(); return open("/etc/passwd", O_RDONLY) < 0; }"#,
)];

macro_rules! looked_at {
    ($($path:literal)*) => {
        &[$(fails(concat!(
            "int main(void) { request(); struct stat s; char b[9]; if (stat(\"", $path, "\", &s) == 0) return 0; if (readlink(\"",
            $path, "\", b, 9) > 0) return 0; return access(\"", $path, "\", F_OK) != 0; }"
        ))),*]
    };
}

/// Names and times of the host's files, which only a private root hides from programs with a loader.
pub(crate) const LOOKS: &[Act] = looked_at!(
    "/etc/passwd" "/proc/self" "/sys" "/dev/tty" "/root" "/home" "/tmp" "/var"
);

pub(crate) const OTHERS: &[Act] = &[
    hostile(
        "int main(void) { request(); return ptrace(PTRACE_TRACEME, 0, 0, 0) < 0; }",
        "ptrace",
        "request 0",
    ),
    refused(
        "int main(void) { request(); return kill(getppid(), 0) != 0; }",
        "kill",
        "0, signal 0",
    ),
    refused(
        "int main(void) { request(); return kill(-1, SIGKILL) != 0; }",
        "kill",
        "-1, signal 9",
    )
    .only_inside(),
    refused(
        "int main(void) { request(); return syscall(SYS_pidfd_open, getpid(), 0) < 0; }",
        "pidfd_open",
        "",
    ),
    hostile(
        "int main(void) { request(); return syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0); }",
        "process_vm_readv",
        "",
    )
    .only_inside(),
];

macro_rules! called_plainly {
    ($($name:ident)*) => {
        [$(hostile(
            concat!("int main(void) { request(); return syscall(SYS_", stringify!($name), ", 0, 0, 0, 0, 0, 0) < 0; }"),
            stringify!($name),
            "",
        )
        .only_inside()),*]
    };
}

pub(crate) const WALLS: &[Act] = &[
    hostile(
        "int main(void) { request(); return unshare(CLONE_NEWUSER); }",
        "unshare",
        "flags 0x10000000",
    )
    .only_inside(),
    hostile(
        r#"int main(void) { request(); return mount("none", "/", "tmpfs", 0, 0); }"#,
        "mount",
        "\"/\"",
    )
    .only_inside(),
    hostile(
        r#"int main(void) { request(); return chroot("/"); }"#,
        "chroot",
        "\"/\"",
    )
    .only_inside(),
    hostile(
        "int main(void) { request(); return setuid(0); }",
        "setuid",
        "0",
    )
    .only_inside(),
];

pub(crate) const CALLS: &[Act] = &called_plainly!(
    bpf userfaultfd perf_event_open keyctl seccomp landlock_create_ruleset modify_ldt fanotify_init pidfd_getfd setns
);

pub(crate) const RINGS: &[Act] = &[fails(
    "int main(void) { request(); char p[120] = {0}; return syscall(SYS_io_uring_setup, 4, p) < 0; }",
)];

pub(crate) const CODE: &[Act] = &[
    fails(
        "int main(void) { request(); return mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED; }",
    ),
    fails(
        "int main(void) { request(); void *at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); return mprotect(at, 4096, PROT_READ | PROT_EXEC); }",
    ),
];

pub(crate) const MEMORY: &[Act] = &[
    fails(
        "int main(void) { request(); return mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED; }",
    ),
    fails(
        "int main(void) { request(); return mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0) == MAP_FAILED; }",
    ),
];

pub(crate) const DESCRIPTORS: &[Act] = &[fails(
    r#"
static int count;
static void *hoard(void *at) { if (syscall(SYS_close_range, 4095, 4095, 2)) return 0; while (dup(0) >= 0) __atomic_fetch_add(&count, 1, __ATOMIC_SEQ_CST); pause(); }
int main(void) {
    request();
    struct rlimit few = {16, 16};
    setrlimit(RLIMIT_NOFILE, &few);
    pthread_t thread;
    for (int i = 0; i < 4; i++) pthread_create(&thread, 0, hoard, 0);
    for (int i = 0; i < 100 && count < 4 * 13; i++) usleep(1000);
    return count <= 16;
}
"#,
)];

pub(crate) const BOUNDS: &[Act] = &[
    fails("int main(void) { request(); return prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0); }"),
    fails(
        "int main(void) { request(); struct rlimit l = {0, 0}; return setrlimit(RLIMIT_CORE, &l); }",
    ),
    fails(
        "int main(void) { request(); int p[2]; if (pipe(p)) return 1; return fcntl(p[1], F_SETPIPE_SZ, 1 << 20) < 0; }",
    ),
];

/// All of them, by theme.
pub(crate) const ALL: &[&[Act]] = &[
    SOCKETS,
    OF_A_THREAD,
    PROCESSES,
    EXECS,
    WRITES,
    READS,
    LOOKS,
    OTHERS,
    WALLS,
    CALLS,
    RINGS,
    CODE,
    MEMORY,
    DESCRIPTORS,
    BOUNDS,
];

/// All acts as one program, which does the one whose number is its argument and exits with 0 where there is no such number.
pub(crate) fn in_one_program() -> String {
    let (mut acts, mut cases) = (String::new(), String::new());
    for (number, act) in ALL.concat().iter().enumerate() {
        let name = format!("act_{number}(void)");
        acts.push_str(&act.source.replace("main(void)", &name));
        acts.push('\n');
        cases.push_str(&format!("case {number}: return act_{number}();\n"));
    }
    format!(
        "{acts}int main(int count, char **words) {{ switch (atoi(words[count - 1])) {{ {cases} }} return 0; }}"
    )
}
