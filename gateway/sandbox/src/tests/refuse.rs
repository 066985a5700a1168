//! The sandbox refuses what a plugin must not do, names it, and shows nothing of the host. Every attack is first shown to
//! work outside.

use super::acts::{self, Act, Fate};
use super::support::{
    Link, package, program, run, run_c, run_ending, sandbox, script, text, works_outside,
};
use crate::{End, Report};

/// Does each act outside, where it must work if it is to be shown, and inside, where it must meet its fate.
fn held(acts: &[Act]) {
    for act in acts {
        if act.shown {
            works_outside(act.source, Link::Static);
        }
        for link in [Link::Static, Link::Dynamic] {
            held_inside(act, link);
        }
    }
}

/// A refused program goes on and says itself that it failed; where a refused call is to end it, it is ended there.
fn held_inside(act: &Act, link: Link) {
    let (sandbox, folder) = (sandbox(), package(&[]));
    let entry = program(act.source, link);
    let report = run(&sandbox, &entry, folder.path(), "{}\n");
    match act.fate {
        Fate::Refused(call, detail) => {
            assert_eq!(report.end, End::Exited(1), "{report:?}");
            named(&report, call, detail);
            violated(&run_ending(&sandbox, &entry, folder.path()), call, detail);
        }
        Fate::Ended(call, detail) => violated(&report, call, detail),
        Fate::Fails => assert!(
            !matches!(report.end, End::Exited(0) | End::Answered),
            "{act:?} {report:?}"
        ),
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

fn violated(report: &Report, call: &str, detail: &str) {
    let End::Violation(denial) = &report.end else {
        panic!("{call} was let through: {report:?}");
    };
    assert_eq!(
        (denial.call.as_str(), denial.detail.as_str()),
        (call, detail)
    );
}

#[test]
fn sockets_of_every_kind() {
    held(acts::SOCKETS);
}

#[test]
fn a_forbidden_call_of_any_thread_is_its_plugins() {
    held(acts::OF_A_THREAD);
}

#[test]
fn processes_by_every_call() {
    held(acts::PROCESSES);
}

#[test]
fn exec_by_every_call() {
    held(acts::EXECS);
    let again = r#"int main(void) { request(); char *v[] = {"true", 0}; int fd = open("/bin/true", O_PATH); syscall(SYS_execveat, fd, "", v, v + 1, AT_EMPTY_PATH); return 1; }"#;
    works_outside(again, Link::Static);
}

#[test]
fn files_of_the_host() {
    held(acts::READS);
    let read = acts::READS[0].source;
    let report = run_c(&sandbox(), read, Link::Static);
    assert_eq!(report.end, End::Exited(1), "{report:?}");
    named(&report, "openat", "\"/etc/passwd\", O_RDONLY");
    // A program with libraries may open files for reading, but there is no such file in its root.
    assert_eq!(run_c(&sandbox(), read, Link::Dynamic).end, End::Exited(1));
    held(acts::WRITES);
}

#[test]
fn names_and_times_of_the_hosts_files() {
    held(acts::LOOKS);
}

#[test]
fn other_processes() {
    held(acts::OTHERS);
}

#[test]
fn walls_of_the_jail() {
    held(acts::WALLS);
    held(acts::CALLS);
}

#[test]
fn calls_that_do_not_exist_inside() {
    held(acts::RINGS);
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
    held(acts::CODE);
}

#[test]
fn memory_that_no_limit_counts() {
    held(acts::MEMORY);
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
    held(acts::DESCRIPTORS);
}

#[test]
fn escaping_the_death_signal_or_a_limit() {
    held(acts::BOUNDS);
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
    let source = "import os\nseen = [path for path in ['/etc/passwd', '/proc', '/sys', '/dev/tty', '/dev/full', '/root/.bashrc', '/home', '/tmp', '/var', '/opt'] if os.path.exists(path)]\nprint(seen)\n";
    let folder = package(&[("main.py", source)]);
    let report = run(
        &sandbox(),
        &script("python3", "main.py"),
        folder.path(),
        "{}\n",
    );
    assert_eq!(text(&report), "[]\n", "{report:?}");
}
