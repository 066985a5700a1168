//! The sandbox bounds time, processor, memory, and threads, tells them apart, and never waits on a plugin.

use std::time::{Duration, Instant};

use super::support::{
    Link, Permit, alone, children, children_of, limits, package, program, run_c, run_within,
    sandbox, text, wait_for,
};
use crate::{Cancel, End, Job, Layer, Limits, Settings, examine};

pub(super) fn within(source: &str, time: Duration, limits: Limits) -> crate::Report {
    let folder = package(&[]);
    run_within(
        &sandbox(),
        &program(source, Link::Static),
        folder.path(),
        "{}\n",
        time,
        limits,
    )
}

pub(super) const SHORT: Duration = Duration::from_millis(500);

#[test]
fn a_sleeper_is_ended_at_its_deadline() {
    alone("limits::a_sleeper_is_ended_at_its_deadline", sleepers);
}

fn sleepers() {
    for source in [
        "int main(void) { pause(); }",
        "int main(void) { request(); for (;;) sleep(1000); }",
        "int main(void) { raise(SIGSTOP); pause(); }",
        "int main(void) { close(1); close(2); pause(); }",
        "int main(void) { sigset_t s; sigfillset(&s); sigprocmask(SIG_BLOCK, &s, 0); signal(SIGTERM, SIG_IGN); pause(); }",
    ] {
        // By this clock: the plugin's own begins when it has started, which takes from the same time.
        let asked = Instant::now();
        let report = within(source, SHORT, limits());
        assert_eq!(report.end, End::TimedOut, "{source}");
        assert!(asked.elapsed() >= SHORT, "{source}: ended too early");
    }
    assert!(children().is_empty(), "{:?}", children());
}

#[test]
fn processor_time_is_told_from_time() {
    let busy = "int main(void) { for (volatile long i = 0;; i++); }";
    let report = within(
        busy,
        Duration::from_secs(20),
        Limits {
            cpu: Duration::from_millis(100),
            ..limits()
        },
    );
    assert_eq!(report.end, End::CpuLimit);
    assert!(
        report.usage.cpu >= Duration::from_millis(90),
        "{:?}",
        report.usage
    );
    assert_eq!(within(busy, SHORT, limits()).end, End::TimedOut);
}

#[test]
fn memory_is_bounded_and_its_lack_is_told() {
    let grouped = has_groups();
    let source = r#"int main(void) { request(); char *at = malloc(64 << 20); if (!at) return 9; for (long i = 0; i < 64 << 20; i += 4096) ((volatile char *)at)[i] = 1; answer("fine\n"); return 0; }"#;
    for link in [Link::Static, Link::Dynamic] {
        let folder = package(&[]);
        let entry = program(source, link);
        let sandbox = sandbox();
        let run = |memory_bytes| {
            let limits = Limits {
                memory_bytes,
                ..limits()
            };
            run_within(
                &sandbox,
                &entry,
                folder.path(),
                "{}\n",
                Duration::from_secs(20),
                limits,
            )
        };
        // A group counts the memory that is used, and reports a kill; without one the allocation fails.
        let lack = if grouped {
            End::MemoryLimit
        } else {
            End::Exited(9)
        };
        assert_eq!(run(32 << 20).end, lack);
        let enough = run(96 << 20);
        assert_eq!(enough.end, End::Answered);
        assert!(
            enough.usage.peak_memory_bytes >= 64 << 20,
            "{:?}",
            enough.usage
        );
    }
}

/// Whether this host lets the gateway make control groups. Where not, it prints so, since the tests then prove less.
fn has_groups() -> bool {
    let rows = examine(&Settings::default()).unwrap();
    let row = rows.iter().find(|row| row.layer == Layer::Cgroup).unwrap();
    if !row.enforced {
        println!("less is tested without control groups: {}", row.detail);
    }
    row.enforced
}

#[test]
fn memory_of_every_kind_is_counted() {
    if !has_groups() {
        return;
    }
    // Neither data, nor stack, nor resident: page tables and pipes are the kernel's own memory.
    let tables = r#"int main(void) { request(); for (long at = 0; at < 7L << 30; at += 2 << 20) { char *page = mmap((void *)(1L << 40) + at, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0); if (page == MAP_FAILED) return 9; (void)*(volatile char *)page; } answer("fine\n"); }"#;
    let limits = |memory_bytes| Limits {
        memory_bytes,
        ..limits()
    };
    let time = Duration::from_secs(20);
    let enough = within(tables, time, limits(64 << 20));
    assert_eq!(enough.end, End::Answered);
    assert!(
        enough.usage.peak_memory_bytes > 12 << 20,
        "{:?}",
        enough.usage
    );
    let stack = r#"static int deep(int n) { volatile char block[65536]; for (int i = 0; i < 65536; i += 4096) block[i] = 1; return n ? deep(n - 1) + block[0] : 0; }
        int main(void) { request(); deep(100); answer("fine\n"); }"#;
    let report = within(stack, time, limits(64 << 20));
    assert_eq!(report.end, End::Answered);
    assert!(
        report.usage.peak_memory_bytes > 6 << 20,
        "{:?}",
        report.usage
    );
}

#[test]
fn one_runs_lack_of_memory_is_not_the_next_ones() {
    let name = "limits::one_runs_lack_of_memory_is_not_the_next_ones";
    alone(name, lack_and_kill);
}

fn lack_and_kill() {
    let sandbox = sandbox();
    let folder = package(&[]);
    let hungry = "int main(void) { request(); for (;;) memset(malloc(1 << 20), 1, 1 << 20); }";
    let hungry = program(hungry, Link::Static);
    let idle = program(
        "int main(void) { request(); for (;;) pause(); }",
        Link::Static,
    );
    let limits = Limits {
        memory_bytes: 16 << 20,
        ..limits()
    };
    let time = Duration::from_secs(20);
    let run = |entry| run_within(&sandbox, entry, folder.path(), "{}\n", time, limits).end;
    let lack = if has_groups() {
        End::MemoryLimit
    } else {
        End::Signalled(libc::SIGSEGV)
    };
    for _ in 0..3 {
        assert_eq!(run(&hungry), lack);
        // The same signal from somebody else, in the same group.
        let end = std::thread::scope(|scope| {
            let running = scope.spawn(|| run(&idle));
            let plugins = wait_for(|| children_of(std::process::id()), |found| found.len() == 1);
            let pid = nix::unistd::Pid::from_raw(plugins[0].try_into().unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
            running.join().unwrap()
        });
        assert_eq!(end, End::Signalled(libc::SIGKILL));
    }
}

#[test]
fn a_thread_bomb_ends_at_its_limit() {
    let source = r#"
static void *work(void *at) { pause(); return 0; }
int main(void) {
    request();
    int count = 0;
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 65536);
    while (count < 1000 && pthread_create(&thread, &attr, work, 0) == 0) count++;
    printf("%d\n", count);
    fflush(stdout);
    pause();
}
"#;
    let report = run_c(&sandbox(), source, Link::Static);
    let count: u32 = text(&report).trim().parse().unwrap();
    assert!((1..=64).contains(&count), "{count}");
}

#[test]
fn a_caller_can_give_up() {
    let folder = package(&[]);
    let entry = program("int main(void) { pause(); }", Link::Static);
    let cancel = Cancel::new().unwrap();
    let sandbox = sandbox();
    let job = Job {
        entry: &entry,
        package: folder.path(),
        input: b"{}\n",
        deadline: Instant::now() + Duration::from_secs(60),
        limits: limits(),
        when_refused: crate::WhenRefused::GoOn,
        deterministic: false,
        names_reads: false,
        cancel: Some(&cancel),
        listener: None,
    };
    let report = std::thread::scope(|scope| {
        let running = scope.spawn(|| sandbox.run(&Permit, &job).unwrap());
        std::thread::sleep(Duration::from_millis(50));
        cancel.cancel();
        running.join().unwrap()
    });
    assert_eq!(report.end, End::Cancelled);
    // A thrown switch stays thrown.
    assert_eq!(sandbox.run(&Permit, &job).unwrap().end, End::Cancelled);
}

#[test]
fn files_cannot_grow_and_cores_are_not_written() {
    let source = r#"int main(void) { request(); struct rlimit l; getrlimit(RLIMIT_CORE, &l); int sum = l.rlim_max > 1; int kinds[] = {RLIMIT_FSIZE, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_RTPRIO}; for (int i = 0; i < 4; i++) { getrlimit(kinds[i], &l); sum += l.rlim_max != 0; } printf("%d\n", sum); }"#;
    assert_eq!(text(&run_c(&sandbox(), source, Link::Static)), "0\n");
}

/// Holds the host's core pattern for one test at a time, and puts it back when it is dropped.
struct CorePattern {
    before: String,
    _lock: nix::fcntl::Flock<std::fs::File>,
}

const CORE_PATTERN: &str = "/proc/sys/kernel/core_pattern";

impl CorePattern {
    /// `None` where the host's pattern cannot be set from here.
    fn set(pattern: &str) -> Option<Self> {
        let lock = std::fs::File::open("/proc/sys/kernel").unwrap();
        let exclusive = nix::fcntl::FlockArg::LockExclusive;
        let _lock = nix::fcntl::Flock::lock(lock, exclusive).ok()?;
        let before = std::fs::read_to_string(CORE_PATTERN).ok()?;
        std::fs::write(CORE_PATTERN, pattern).ok()?;
        Some(Self { before, _lock })
    }
}

impl Drop for CorePattern {
    fn drop(&mut self) {
        std::fs::write(CORE_PATTERN, &self.before).unwrap();
    }
}

/// A crash must not start the host's crash handler, which runs as root and outside every sandbox.
#[test]
fn a_crash_starts_no_handler_of_the_hosts() {
    let name = "limits::a_crash_starts_no_handler_of_the_hosts";
    alone(name, crash_under_a_handler);
}

fn crash_under_a_handler() {
    use std::os::unix::fs::PermissionsExt;
    let folder = package(&[]);
    let (handler, ran) = (folder.path().join("handler"), folder.path().join("ran"));
    let words = format!("#!/bin/sh\ncat >/dev/null; echo $1 >>'{}'\n", ran.display());
    std::fs::write(&handler, words).unwrap();
    std::fs::set_permissions(&handler, std::fs::Permissions::from_mode(0o755)).unwrap();
    let sandbox = sandbox();
    // Names of this test's own, because the handler also gets other crashes on this host.
    let own = std::process::id();
    let crash = |name: &str| {
        format!(
            "int main(void) {{ prctl(PR_SET_NAME, \"{name}-{own}\"); *(volatile int *)8 = 1; }}"
        )
    };
    let inside = program(&crash("in"), Link::Static);
    let outside = super::support::compile(folder.path(), &crash("out"), Link::Static);
    // The kernel takes 127 bytes.
    let Some(_pattern) = CorePattern::set(&format!("|{} %e", handler.display())) else {
        return println!("skipped: the host's core pattern cannot be set from here");
    };
    let told = |name: &str| {
        let told = std::fs::read_to_string(&ran).unwrap_or_default();
        let line = format!("{name}-{own}");
        told.lines().filter(|other| *other == line).count()
    };
    for times in 1..=2 {
        let limited = ["--core=0:0".as_ref(), outside.as_os_str()];
        let crashed = std::process::Command::new("prlimit").args(limited).status();
        assert!(!crashed.unwrap().success());
        wait_for(|| told("out"), |&count| count == times);
        for _ in 0..3 {
            let report = run_within(
                &sandbox,
                &inside,
                folder.path(),
                "{}\n",
                SHORT * 10,
                limits(),
            );
            assert_eq!(report.end, End::Signalled(libc::SIGSEGV));
        }
    }
    std::thread::sleep(SHORT);
    assert_eq!(told("in"), 0, "the handler ran for a plugin");
}

/// A limit of the host that is stricter than the sandbox's stays, and plugins are still started.
#[test]
fn stricter_limits_of_the_hosts_are_kept() {
    let words = [
        "prlimit",
        "--core=0:0",
        "--nofile=100:100",
        "--fsize=100000000:100000000",
        "--nice=0:0",
        "--sigpending=9:9",
    ];
    let name = "limits::stricter_limits_of_the_hosts_are_kept";
    super::support::alone_under(&words, name, || {
        let source = r#"int main(void) { request(); struct rlimit c, s; getrlimit(RLIMIT_CORE, &c); getrlimit(RLIMIT_SIGPENDING, &s); printf("%ld %ld\n", (long)c.rlim_max, (long)s.rlim_max); }"#;
        let seen = text(&run_c(&sandbox(), source, Link::Static));
        // Root may raise the limit that its launcher was given, where it has the capability.
        assert!(["1 9\n", "0 9\n"].contains(&seen.as_str()), "{seen}");
    });
}

/// Opens what it can, and says how many there were, the first three included.
const OPENS: &str = r#"
int main(void) { request(); int most = 2, at; while ((at = dup(0)) >= 0) most = at; printf("%d\n", most + 1); fflush(stdout); return 0; }"#;

#[test]
fn descriptors_are_as_many_as_the_job_allows() {
    let (sandbox, folder) = (sandbox(), package(&[]));
    for link in [Link::Static, Link::Dynamic] {
        let opens = program(OPENS, link);
        for open_files in [4, 16, 256, 4096] {
            let limits = Limits {
                open_files,
                ..limits()
            };
            let time = Duration::from_secs(20);
            let report = run_within(&sandbox, &opens, folder.path(), "{}\n", time, limits);
            assert_eq!(
                text(&report).trim(),
                open_files.to_string(),
                "{link:?} {report:?}"
            );
        }
    }
}
