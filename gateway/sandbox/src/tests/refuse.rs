//! The sandbox refuses what a plugin must not do, names it, and shows nothing of the host. Every attack is first shown to
//! work outside.

use super::support::{
    Link, package, program, run, run_c, run_ending, sandbox, script, text, works_outside,
};
use crate::{End, Report};

/// Runs an attack outside, where it must work, and inside, where the call must fail and be named.
fn refused(source: &str, call: &str, detail: &str) {
    works_outside(source, Link::Static);
    refused_inside(source, call, detail);
}

/// The program goes on and itself says that the call failed; where refused calls end a plugin, it is ended at the call.
fn refused_inside(source: &str, call: &str, detail: &str) {
    let (sandbox, folder) = (sandbox(), package(&[]));
    for link in [Link::Static, Link::Dynamic] {
        let entry = program(source, link);
        let report = run(&sandbox, &entry, folder.path(), "{}\n");
        assert_eq!(report.end, End::Exited(1), "{report:?}");
        named(&report, call, detail);
        violated(&run_ending(&sandbox, &entry, folder.path()), call, detail);
    }
}

/// Asserts that the call is among the refused ones.
fn named(report: &Report, call: &str, detail: &str) {
    let asked = crate::Denial {
        call: call.to_owned(),
        detail: detail.to_owned(),
    };
    assert!(report.denied.first.contains(&asked), "{report:?}");
    assert!(
        report.denied.total >= 1 && report.denied.calls.contains_key(call),
        "{report:?}"
    );
}

/// Runs an attack outside, where it must work, and inside, where it must end as a violation of this call.
fn hostile(source: &str, call: &str, detail: &str) {
    works_outside(source, Link::Static);
    hostile_inside(source, call, detail);
}

fn hostile_inside(source: &str, call: &str, detail: &str) {
    let sandbox = sandbox();
    for link in [Link::Static, Link::Dynamic] {
        let report = run_c(&sandbox, source, link);
        violated(&report, call, detail);
    }
}

fn violated(report: &Report, call: &str, detail: &str) {
    let End::Violation(denial) = &report.end else {
        panic!("{call} was let through: {report:?}");
    };
    assert_eq!(
        (denial.call.as_str(), denial.detail.as_str()),
        (call, detail)
    );
}

/// Runs an attack outside, where it must exit with 0, and inside, where it must not.
fn fails_inside(source: &str) {
    works_outside(source, Link::Static);
    let sandbox = sandbox();
    for link in [Link::Static, Link::Dynamic] {
        let report = run_c(&sandbox, source, link);
        assert!(
            !matches!(report.end, End::Exited(0) | End::Answered),
            "{report:?}"
        );
    }
}

#[test]
fn sockets_of_every_kind() {
    refused(
        "int main(void) { request(); return socket(AF_INET, SOCK_STREAM, 0) < 0; }",
        "socket",
        "AF_INET, SOCK_STREAM",
    );
    refused(
        "int main(void) { request(); return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0; }",
        "socket",
        "AF_INET, SOCK_DGRAM",
    );
    refused(
        "int main(void) { request(); return socket(AF_UNIX, SOCK_STREAM, 0) < 0; }",
        "socket",
        "AF_UNIX, SOCK_STREAM",
    );
    refused(
        "int main(void) { request(); return socket(AF_NETLINK, SOCK_RAW, 0) < 0; }",
        "socket",
        "AF_NETLINK, SOCK_RAW",
    );
    refused(
        "int main(void) { request(); int s[2]; return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) != 0; }",
        "socketpair",
        "AF_UNIX, SOCK_SEQPACKET",
    );
    refused_inside(
        "int main(void) { request(); return socket(AF_ALG, SOCK_SEQPACKET, 0) < 0; }",
        "socket",
        "AF_ALG, SOCK_SEQPACKET",
    );
    refused_inside(
        "int main(void) { request(); return socket(AF_VSOCK, SOCK_STREAM, 0) < 0; }",
        "socket",
        "AF_VSOCK, SOCK_STREAM",
    );
    refused_inside(
        "int main(void) { request(); return socket(AF_PACKET, SOCK_RAW, 0) < 0; }",
        "socket",
        "AF_PACKET, SOCK_RAW",
    );
}

#[test]
fn a_forbidden_call_of_any_thread_is_its_plugins() {
    refused(
        "static void *ask(void *at) { return (void *)(long)(socket(AF_INET, SOCK_STREAM, 0) < 0); }
        int main(void) { request(); pthread_t thread; void *failed; pthread_create(&thread, 0, ask, 0); pthread_join(thread, &failed); return failed != 0; }",
        "socket",
        "AF_INET, SOCK_STREAM",
    );
}

#[test]
fn processes_by_every_call() {
    let fork = "int main(void) { request(); int pid = syscall(SYS_fork); if (pid == 0) _exit(0); return pid < 0; }";
    refused(fork, "fork", "");
    refused(
        "int main(void) { request(); int pid = fork(); if (pid == 0) _exit(0); return pid < 0; }",
        "clone",
        "flags 0x1200011",
    );
    refused(
        "int main(void) { request(); int pid = vfork(); if (pid == 0) _exit(0); return pid < 0; }",
        "vfork",
        "",
    );
    let double = "int main(void) { request(); int pid = fork(); if (pid == 0) { setsid(); if (fork() == 0) pause(); _exit(0); } return pid < 0; }";
    refused_inside(double, "clone", "flags 0x1200011");
}

#[test]
fn exec_by_every_call() {
    let exec = r#"int main(void) { request(); char *v[] = {"true", 0}; execv("/bin/true", v); return 1; }"#;
    refused(exec, "execve", "\"/bin/true\"");
    let again = r#"int main(void) { request(); char *v[] = {"true", 0}; int fd = open("/bin/true", O_PATH); syscall(SYS_execveat, fd, "", v, v + 1, AT_EMPTY_PATH); return 1; }"#;
    works_outside(again, Link::Static);
    let inside = r#"int main(void) { request(); char *v[] = {"true", 0}; syscall(SYS_execveat, 0, "/bin/true", v, v + 1, 0); return 1; }"#;
    hostile_inside(inside, "execveat", "\"/bin/true\"");
    refused(
        "int main(void) { request(); return syscall(SYS_memfd_create, \"x\", 0) < 0; }",
        "memfd_create",
        "\"x\"",
    );
}

#[test]
fn files_of_the_host() {
    let read = r#"int main(void) { request(); return open("/etc/passwd", O_RDONLY) < 0; }"#;
    works_outside(read, Link::Static);
    let report = run_c(&sandbox(), read, Link::Static);
    assert_eq!(report.end, End::Exited(1), "{report:?}");
    named(&report, "openat", "\"/etc/passwd\", O_RDONLY");
    // A program with libraries may open files for reading, but there is no such file in its root.
    assert_eq!(run_c(&sandbox(), read, Link::Dynamic).end, End::Exited(1));
    let write = r#"int main(void) { request(); return open("/tmp/plugin-gateway-was-here", O_WRONLY | O_CREAT, 0600) < 0; }"#;
    refused(
        write,
        "openat",
        "\"/tmp/plugin-gateway-was-here\", O_WRONLY|O_CREAT",
    );
    std::fs::remove_file("/tmp/plugin-gateway-was-here").unwrap();
    refused(
        r#"int main(void) { request(); return mkdir("/tmp/plugin-gateway-folder", 0700) && errno != EEXIST; }"#,
        "mkdir",
        "\"/tmp/plugin-gateway-folder\"",
    );
    std::fs::remove_dir("/tmp/plugin-gateway-folder").unwrap();
    refused_inside(
        r#"int main(void) { request(); return unlink("/package/plugin.json") != 0; }"#,
        "unlink",
        "\"/package/plugin.json\"",
    );
    refused_inside(
        r#"int main(void) { request(); return chmod("/", 0777) != 0; }"#,
        "chmod",
        "\"/\"",
    );
}

#[test]
fn names_and_times_of_the_hosts_files() {
    for path in [
        "/etc/passwd",
        "/proc/self",
        "/sys",
        "/dev/tty",
        "/root",
        "/home",
        "/tmp",
        "/var",
    ] {
        let source = format!(
            r#"int main(void) {{ request(); struct stat s; char b[9]; if (stat("{path}", &s) == 0) return 0; if (readlink("{path}", b, 9) > 0) return 0; return access("{path}", F_OK) != 0; }}"#
        );
        fails_inside(&source);
    }
}

#[test]
fn other_processes() {
    hostile(
        "int main(void) { request(); return ptrace(PTRACE_TRACEME, 0, 0, 0) < 0; }",
        "ptrace",
        "request 0",
    );
    refused(
        "int main(void) { request(); return kill(getppid(), 0) != 0; }",
        "kill",
        "0, signal 0",
    );
    refused_inside(
        "int main(void) { request(); return kill(-1, SIGKILL) != 0; }",
        "kill",
        "-1, signal 9",
    );
    refused(
        "int main(void) { request(); return syscall(SYS_pidfd_open, getpid(), 0) < 0; }",
        "pidfd_open",
        "",
    );
    hostile_inside(
        "int main(void) { request(); return syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0); }",
        "process_vm_readv",
        "",
    );
}

#[test]
fn walls_of_the_jail() {
    hostile_inside(
        "int main(void) { request(); return unshare(CLONE_NEWUSER); }",
        "unshare",
        "flags 0x10000000",
    );
    hostile_inside(
        r#"int main(void) { request(); return mount("none", "/", "tmpfs", 0, 0); }"#,
        "mount",
        "\"/\"",
    );
    hostile_inside(
        r#"int main(void) { request(); return chroot("/"); }"#,
        "chroot",
        "\"/\"",
    );
    hostile_inside(
        "int main(void) { request(); return setuid(0); }",
        "setuid",
        "0",
    );
    for (call, name) in [
        ("SYS_bpf", "bpf"),
        ("SYS_userfaultfd", "userfaultfd"),
        ("SYS_perf_event_open", "perf_event_open"),
        ("SYS_keyctl", "keyctl"),
        ("SYS_seccomp", "seccomp"),
        ("SYS_landlock_create_ruleset", "landlock_create_ruleset"),
        ("SYS_modify_ldt", "modify_ldt"),
        ("SYS_fanotify_init", "fanotify_init"),
        ("SYS_pidfd_getfd", "pidfd_getfd"),
        ("SYS_setns", "setns"),
    ] {
        let report = run_c(
            &sandbox(),
            &format!(
                "int main(void) {{ request(); return syscall({call}, 0, 0, 0, 0, 0, 0) < 0; }}"
            ),
            Link::Static,
        );
        violated(&report, name, "");
    }
}

#[test]
fn calls_that_do_not_exist_inside() {
    fails_inside(
        "int main(void) { request(); char p[120] = {0}; return syscall(SYS_io_uring_setup, 4, p) < 0; }",
    );
    for call in [
        "SYS_clone3",
        "SYS_openat2",
        "SYS_io_uring_enter",
        "SYS_splice",
        "SYS_vmsplice",
        "999",
    ] {
        let source = format!(
            "int main(void) {{ request(); return !(syscall({call}, 0, 0, 0, 0, 0, 0) < 0 && errno == ENOSYS); }}"
        );
        assert_eq!(
            run_c(&sandbox(), &source, Link::Static).end,
            End::Exited(0),
            "{call}"
        );
    }
}

#[test]
fn foreign_abis_are_killed() {
    let i386 = "int main(void) { request(); int pid; asm volatile(\"int $0x80\" : \"=a\"(pid) : \"a\"(20)); return pid <= 0; }";
    works_outside(i386, Link::Static);
    let x32 = "int main(void) { request(); return syscall(0x40000000 | SYS_getpid) <= 0; }";
    for source in [i386, x32] {
        for link in [Link::Static, Link::Dynamic] {
            let report = run_c(&sandbox(), source, link);
            assert!(
                matches!(&report.end, End::Violation(denial) if denial.detail.contains("foreign ABI")),
                "{report:?}"
            );
        }
    }
}

#[test]
fn executable_memory() {
    let map = "int main(void) { request(); return mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED; }";
    fails_inside(map);
    let protect = "int main(void) { request(); void *at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); return mprotect(at, 4096, PROT_READ | PROT_EXEC); }";
    fails_inside(protect);
}

#[test]
fn memory_that_no_limit_counts() {
    fails_inside(
        "int main(void) { request(); return mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED; }",
    );
    fails_inside(
        "int main(void) { request(); return mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0) == MAP_FAILED; }",
    );
}

#[test]
fn huge_pages_of_the_hosts() {
    // Outside, the kernel answers whether there are any; inside, the call does not reach the kernel.
    let source = "int main(void) { request(); void *at = mmap(0, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0); return at == MAP_FAILED && errno == EACCES ? 7 : 0; }";
    works_outside(source, Link::Static);
    for link in [Link::Static, Link::Dynamic] {
        assert_eq!(run_c(&sandbox(), source, link).end, End::Exited(7));
    }
}

#[test]
fn descriptors_of_each_thread() {
    let source = r#"
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
"#;
    fails_inside(source);
}

#[test]
fn escaping_the_death_signal_or_a_limit() {
    fails_inside("int main(void) { request(); return prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0); }");
    fails_inside(
        "int main(void) { request(); struct rlimit l = {0, 0}; return setrlimit(RLIMIT_CORE, &l); }",
    );
    fails_inside(
        "int main(void) { request(); int p[2]; if (pipe(p)) return 1; return fcntl(p[1], F_SETPIPE_SZ, 1 << 20) < 0; }",
    );
}

#[test]
fn terminal_requests_also_behind_high_bits() {
    for request in ["0x5412UL", "0x541cUL", "0x100005412UL"] {
        let source = format!(
            "int main(void) {{ request(); return !(syscall(SYS_ioctl, 0, {request}, \"x\") < 0 && errno == ENOTTY); }}"
        );
        assert_eq!(
            run_c(&sandbox(), &source, Link::Static).end,
            End::Exited(0),
            "{request}"
        );
    }
}

#[test]
fn benign_probes_are_answered_and_counted() {
    let source = r#"int main(void) { request(); for (int i = 0; i < 3; i++) if (open("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", O_RDONLY) >= 0 || errno != ENOENT) return 1; answer("fine\n"); }"#;
    let report = run_c(&sandbox(), source, Link::Static);
    assert_eq!(
        (report.end.clone(), report.probes),
        (End::Answered, 3),
        "{report:?}"
    );
}

#[test]
fn an_answer_does_not_excuse_a_violation_that_follows() {
    let source =
        r#"int main(void) { request(); answer("fine\n"); ptrace(PTRACE_TRACEME, 0, 0, 0); }"#;
    violated(
        &run_c(&sandbox(), source, Link::Static),
        "ptrace",
        "request 0",
    );
}

#[test]
fn scripts_are_refused_the_same() {
    let cases = [
        (
            "python3",
            "a.py",
            "import socket\nsocket.socket()\n",
            "socket",
            "AF_INET, SOCK_STREAM",
        ),
        (
            "python3",
            "b.py",
            "import os\nos.fork()\n",
            "clone",
            "flags 0x1200011",
        ),
        (
            "python3",
            "c.py",
            "open('/package/new', 'w')\n",
            "openat",
            "\"/package/new\", O_WRONLY|O_CREAT|O_TRUNC",
        ),
        (
            "python3",
            "d.py",
            "import os\nos.execv('/bin/true', ['true'])\n",
            "execve",
            "\"/bin/true\"",
        ),
        (
            "node",
            "a.js",
            "require('node:net').connect(1, '127.0.0.1');\n",
            "socket",
            "AF_INET, SOCK_STREAM",
        ),
        (
            "node",
            "b.js",
            "require('node:fs').writeFileSync('/x', 'x');\n",
            "openat",
            "\"/x\", O_WRONLY|O_CREAT|O_TRUNC",
        ),
        ("sh", "a.sh", "/bin/true\n", "vfork", ""),
    ];
    let sandbox = sandbox();
    for (runtime, name, source, call, detail) in cases {
        let folder = package(&[(name, source)]);
        let entry = script(runtime, name);
        let report = run(&sandbox, &entry, folder.path(), "{}\n");
        assert!(
            matches!(report.end, End::Exited(code) if code != 0),
            "{report:?}"
        );
        named(&report, call, detail);
        violated(&run_ending(&sandbox, &entry, folder.path()), call, detail);
    }
}

#[test]
fn scripts_see_no_file_of_the_host() {
    let source = "import os\nseen = [path for path in ['/etc/passwd', '/proc', '/sys', '/dev/tty', '/dev/zero', '/root/.bashrc', '/home', '/tmp', '/var', '/opt'] if os.path.exists(path)]\nprint(seen)\n";
    let folder = package(&[("main.py", source)]);
    let report = run(
        &sandbox(),
        &script("python3", "main.py"),
        folder.path(),
        "{}\n",
    );
    assert_eq!(text(&report), "[]\n", "{report:?}");
}
