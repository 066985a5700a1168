//! Honest programs run to their end, whatever harmless things they try: event loops, probes, small devices, shells. "Refused is not guilty."

use super::support::{Link, package, run, run_c, run_ending, sandbox, script, seal, text};
use crate::plan::runtimes::Runtimes;

use crate::{End, Report};

/// Runs C source in both native classes; it must answer `fine`.
fn fine(source: &str) -> Vec<Report> {
    let sandbox = sandbox();
    [Link::Static, Link::Dynamic]
        .map(|link| {
            let report = run_c(&sandbox, source, link);
            assert_eq!(text(&report), "fine\n", "{report:?}");
            assert_eq!(report.end, End::Answered, "{report:?}");
            report
        })
        .into()
}

/// Runs a script; none where the host lacks its runtime.
fn scripted(runtime: &str, name: &str, source: &str) -> Option<Report> {
    if Runtimes::default().get(runtime).is_none() {
        skip::skip(&format!("{runtime} is not installed"));
        return None;
    }
    let folder = package(&[(name, source)]);
    Some(run(
        &sandbox(),
        &script(runtime, name),
        folder.path(),
        "{}\n",
    ))
}

fn calls(report: &Report) -> Vec<&str> {
    report.denied.calls.keys().copied().collect()
}

/// As the C++ library waits for a local static that another thread is making: by futexes that are not marked private, and wakes so. Who got to
/// sleep in that way was never woken, and hung until its deadline.
#[test]
fn who_waits_for_another_threads_static_goes_on_when_it_is_made() {
    let source = r#"
#include <linux/futex.h>
enum { MAKING = 1, WANTED, MADE };
static int state = MAKING;
static void *make(void *ignored) {
    usleep(100000);
    if (__atomic_exchange_n(&state, MADE, __ATOMIC_ACQ_REL) == WANTED) syscall(SYS_futex, &state, FUTEX_WAKE, 0x7fffffff);
    return 0;
}
int main(void) {
    request();
    pthread_t thread; pthread_create(&thread, 0, make, 0);
    int seen = MAKING;
    if (!__atomic_compare_exchange_n(&state, &seen, WANTED, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) return 1;
    while (__atomic_load_n(&state, __ATOMIC_ACQUIRE) != MADE) syscall(SYS_futex, &state, FUTEX_WAIT, WANTED, 0);
    pthread_join(thread, 0);
    puts("fine");
    return 0;
}"#;
    fine(source);
}

/// The same by the library itself: a local static, and a promise.
#[test]
fn threads_of_a_program_in_cpp_wait_for_each_other() {
    let source = r#"
#include <chrono>
#include <cstdio>
#include <future>
#include <thread>
static void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(100)); }
struct Slow { int value; Slow() : value(7) { pause(); } };
static int one() { static Slow made; return made.value; }
int main() {
    char line[4096];
    if (!fgets(line, sizeof line, stdin)) return 3;
    int sum = 0;
    std::thread first([] { one(); }), second([&] { std::this_thread::yield(); sum = one(); });
    first.join(); second.join();
    std::promise<int> promise;
    std::future<int> future = promise.get_future();
    std::thread third([&] { pause(); promise.set_value(5); });
    std::printf("%d\n", sum + future.get());
    third.join();
}"#;
    let folder = package(&[("main.cpp", source)]);
    let args = ["-O1", "-pthread", "-o", "program", "main.cpp"];
    let mut built = std::process::Command::new("c++");
    match built.args(args).current_dir(folder.path()).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => return skip::skip(&format!("c++: {error}")),
    }
    let report = run(
        &sandbox(),
        &seal(&folder.path().join("program")),
        folder.path(),
        "{}\n",
    );
    assert_eq!(text(&report), "12\n", "{report:?}");
}

/// P1: what tokio does at its start and at each wake: a pair of sockets for signals, an eventfd, epoll.
#[test]
fn an_event_loop_of_epoll_a_pair_and_an_eventfd_runs() {
    let source = r#"
#include <sys/epoll.h>
#include <sys/eventfd.h>
static int pair[2], waker;
static void *other(void *at) { uint64_t one = 1; send(pair[1], "x", 1, MSG_NOSIGNAL); write(waker, &one, 8); return 0; }
int main(void) {
    request();
    int ready = epoll_create1(EPOLL_CLOEXEC), error = 1; socklen_t size = sizeof error;
    waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) return 1;
    struct epoll_event event = {EPOLLIN | EPOLLET, {.fd = pair[0]}};
    epoll_ctl(ready, EPOLL_CTL_ADD, pair[0], &event);
    event.data.fd = waker;
    epoll_ctl(ready, EPOLL_CTL_ADD, waker, &event);
    pthread_t thread; pthread_create(&thread, 0, other, 0); pthread_join(thread, 0);
    int seen = 0;
    while (seen < 2) { int count = epoll_wait(ready, &event, 1, 5000); if (count != 1) return 2; seen++; char b[8]; if (event.data.fd == pair[0]) { if (recv(pair[0], b, 8, 0) != 1) return 3; } else read(waker, b, 8); epoll_ctl(ready, EPOLL_CTL_DEL, event.data.fd, 0); }
    if (getsockopt(pair[0], SOL_SOCKET, SO_ERROR, &error, &size) || error) return 4;
    if (shutdown(pair[0], SHUT_RDWR)) return 5;
    int grams[2]; char b[4];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, grams) || write(grams[0], "ab", 2) != 2 || read(grams[1], b, 4) != 2) return 6;
    answer("fine\n");
}"#;
    for report in fine(source) {
        assert_eq!(report.denied.total, 0, "{report:?}");
    }
}

/// A socket pair passes no descriptor on, and reaches no other process.
#[test]
fn a_pair_of_sockets_reaches_nobody() {
    let source = r#"
#include <sys/un.h>
int main(void) {
    request();
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair)) return 1;
    char data = 'x', room[CMSG_SPACE(4)] = {0}; struct iovec part = {&data, 1};
    struct msghdr message = {0, 0, &part, 1, room, sizeof room, 0};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message); head->cmsg_level = SOL_SOCKET; head->cmsg_type = SCM_RIGHTS; head->cmsg_len = CMSG_LEN(4); *(int *)CMSG_DATA(head) = 1;
    if (sendmsg(pair[0], &message, 0) >= 0 || errno != EACCES) return 2;
    struct sockaddr_un name = {AF_UNIX, "\0nobody"};
    if (sendto(pair[0], "x", 1, 0, (void *)&name, sizeof name) >= 0 || errno != EACCES) return 3;
    if (bind(pair[0], (void *)&name, sizeof name) == 0 || connect(pair[0], (void *)&name, sizeof name) == 0) return 4;
    struct ucred who; socklen_t size = sizeof who;
    if (getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &who, &size) == 0) return 5;
    int large = 1 << 30;
    if (setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &large, sizeof large) == 0) return 6;
    answer("fine\n");
}"#;
    for report in fine(source) {
        assert_eq!(calls(&report), ["bind", "connect", "sendmsg", "sendto"]);
    }
}

/// P1.
#[test]
fn asyncio_runs() {
    let source = "import asyncio\nasync def main():\n    await asyncio.sleep(0.01)\n    await asyncio.to_thread(lambda: 1)\n    print('fine')\nasyncio.run(main())\n";
    if let Some(report) = scripted("python3", "main.py", source) {
        assert_eq!(
            (text(&report).as_str(), report.denied.total),
            ("fine\n", 0),
            "{report:?}"
        );
    }
}

/// P2: each library gets an errno and goes on; what it asked for is named.
#[test]
fn what_python_libraries_try_is_refused_and_they_go_on() {
    let source = r#"
import ctypes, os, socket, tempfile, uuid
uuid.uuid1()
try:
    socket.socket(socket.AF_INET6)
except OSError as error:
    assert error.errno == 97, error
try:
    from multiprocessing.pool import ThreadPool
    with ThreadPool(2) as pool:
        pool.map(abs, [1])
except OSError:
    pass
try:
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    kind(lambda number: number)(1)
except (MemoryError, OSError):
    pass
try:
    tempfile.gettempdir()
except FileNotFoundError:
    pass
try:
    os.fork()
except PermissionError:
    pass
print('fine')
"#;
    if let Some(report) = scripted("python3", "main.py", source) {
        assert_eq!(
            text(&report),
            "fine\n",
            "{report:?} {}",
            String::from_utf8_lossy(&report.stderr.bytes)
        );
        let named = calls(&report);
        assert!(
            named.contains(&"socket") && named.contains(&"clone") && named.contains(&"openat"),
            "{report:?}"
        );
    }
}

/// P2.
#[test]
fn nodes_home_folder_is_asked_for_in_vain() {
    let source = "const os = require('node:os');\ntry { os.homedir(); } catch {}\ntry { os.userInfo(); } catch {}\ntry { os.networkInterfaces(); } catch {}\nconsole.log('fine');\n";
    if let Some(report) = scripted("node", "main.js", source) {
        assert_eq!(text(&report), "fine\n", "{report:?}");
    }
}

/// P2.
#[test]
fn java_draws_a_random_uuid() {
    let source = "public class Main { public static void main(String[] a) { java.util.UUID.randomUUID(); System.out.println(\"fine\"); } }\n";
    let folder = package(&[("Main.java", source), ("manifest", "Main-Class: Main\n")]);
    let built = |tool: &str, words: &[&str]| {
        let done = std::process::Command::new(tool)
            .args(words)
            .current_dir(folder.path())
            .status();
        done.is_ok_and(|status| status.success())
    };
    let jar = ["cfm", "main.jar", "manifest", "Main.class"];
    if Runtimes::default().get("java").is_none()
        || !built("javac", &["Main.java"])
        || !built("jar", &jar)
    {
        return skip::skip("java or what builds for it is not installed");
    }
    let report = run(
        &sandbox(),
        &script("java", "main.jar"),
        folder.path(),
        "{}\n",
    );
    assert_eq!(text(&report), "fine\n", "{report:?}");
    println!("java was refused {:?}", report.denied);
}

/// P3.
#[test]
fn a_static_program_that_looks_for_files_goes_on_with_what_it_carries() {
    let source = r#"int main(void) {
    request();
    const char *paths[] = {"/etc/timezone", "/usr/share/locale/locale.alias", "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache", "/usr/share/zoneinfo/Europe/Berlin", "/etc/mime.types"};
    for (int i = 0; i < 5; i++) if (open(paths[i], O_RDONLY) >= 0 || errno != ENOENT) return 1;
    answer("fine\n");
}"#;
    for link in [Link::Static, Link::Dynamic] {
        let report = run_c(&sandbox(), source, link);
        if link == Link::Static {
            assert_eq!(
                (text(&report).as_str(), report.probes, report.denied.total),
                ("fine\n", 5, 0),
                "{report:?}"
            );
        }
    }
}

/// "`/dev/null`, `/dev/zero`, `/dev/urandom`": it is read like the host's, and it is no memory, as the host's is where it is mapped.
#[test]
fn zeros_are_read_and_neither_mapped_nor_written() {
    if !has_private_root() {
        skip::skip("without a private root there is no other device in the place of /dev/zero");
        return;
    }
    let source = r#"#include <sys/mman.h>
int main(void) {
    request();
    char b[64]; memset(b, 'x', 64);
    int zero = open("/dev/zero", O_RDONLY);
    if (zero < 0 || read(zero, b, 64) != 64) { answer("not there\n"); return 1; }
    for (int i = 0; i < 64; i++) if (b[i]) { answer("no zero\n"); return 1; }
    for (int kind = 0; kind < 2; kind++)
        if (mmap(0, 1 << 20, PROT_READ, kind ? MAP_SHARED : MAP_PRIVATE, zero, 0) != MAP_FAILED) { answer("mapped\n"); return 1; }
    if (open("/dev/zero", O_RDWR) >= 0) { answer("written\n"); return 1; }
    answer("fine\n");
}"#;
    for report in fine(source) {
        assert_eq!(report.denied.total, 1, "{report:?}");
    }
}

/// Whether programs have a root of their own here.
fn has_private_root() -> bool {
    let mut rows = sandbox().protections().to_vec().into_iter();
    rows.any(|row| row.layer == crate::Layer::MountNs && row.enforced)
}

/// P4: and writing anywhere but to `/dev/null` is refused.
#[test]
fn small_devices_are_there_and_nothing_else_can_be_written() {
    let source = r#"int main(void) {
    request();
    char b[8] = {0};
    int null = open("/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (null < 0 || write(null, "x", 1) != 1) return 1;
    int both = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (both < 0 || read(both, b, 8) != 0 || fcntl(both, F_GETFD) != FD_CLOEXEC || fcntl(null, F_GETFD) != 0) return 2;
    int random = open("/dev/urandom", O_RDONLY);
    if (random < 0 || read(random, b, 8) != 8) return 3;
    const char *others[] = {"/dev/urandom", "/dev/full", "/dev/../dev/null", "/dev/tty", "/tmp/x", "/package/x"};
    for (int i = 0; i < 6; i++) if (open(others[i], O_WRONLY) >= 0) return 4;
    answer("fine\n");
}"#;
    for report in fine(source) {
        assert_eq!(report.denied.total, 6, "{report:?}");
    }
    if let Some(report) = scripted(
        "python3",
        "main.py",
        "import os\nopen(os.devnull, 'w').write('x')\nassert len(open('/dev/urandom', 'rb').read(9)) == 9\nprint('fine')\n",
    ) {
        assert_eq!(
            (text(&report).as_str(), report.denied.total),
            ("fine\n", 0),
            "{report:?}"
        );
    }
    if let Some(report) = scripted(
        "sh",
        "main.sh",
        "echo x >/dev/null; cat </nothing 2>/dev/null; read -r line </dev/null; echo fine\n",
    ) {
        assert_eq!(text(&report), "fine\n", "{report:?}");
    }
}

/// The path in memory may change between the look and the answer: the plugin gets `/dev/null` itself, whatever the path then says.
#[test]
fn a_path_exchanged_during_the_call_leads_to_no_file() {
    let source = r#"
static char path[32] = "/dev/null";
static volatile int over;
static void *swap(void *at) { while (!over) { memcpy(path, "/package", 9); memcpy(path, "/dev/null", 10); } return 0; }
int main(void) {
    request();
    pthread_t thread; pthread_create(&thread, 0, swap, 0);
    for (int i = 0; i < 2000; i++) {
        struct stat s;
        int fd = open(path, O_RDWR | O_NONBLOCK);
        if (fd >= 0) { if (fstat(fd, &s) || !S_ISCHR(s.st_mode) || s.st_rdev != 0x103) return 1; close(fd); }
    }
    over = 1; pthread_join(thread, 0);
    answer("fine\n");
}"#;
    fine(source);
}

/// H1: bash, when it is called sh, opens the terminal at its start.
#[test]
fn a_shell_that_looks_for_its_terminal_goes_on() {
    let bash = std::path::Path::new("/bin/bash");
    if !bash.exists() {
        return skip::skip("bash is not installed");
    }
    let folder = package(&[("main.sh", "read -r line; echo fine\n")]);
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("sh");
    std::os::unix::fs::symlink(bash, &link).unwrap();
    let mut settings = crate::Settings::default();
    settings.runtimes.choose(
        "sh",
        crate::RuntimeChoice {
            interpreter: Some(link),
            ..crate::RuntimeChoice::default()
        },
    );
    let sandbox = crate::Sandbox::open(settings).unwrap();
    let entry = script("sh", "main.sh");
    for report in [
        run(&sandbox, &entry, folder.path(), "{}\n"),
        run_ending(&sandbox, &entry, folder.path()),
    ] {
        assert_eq!(
            (text(&report).as_str(), report.denied.total),
            ("fine\n", 0),
            "{report:?}"
        );
    }
}

/// The first 16 that differ are kept, and all are counted.
#[test]
fn refused_calls_are_kept_to_a_bound_and_counted() {
    let source = r#"int main(void) {
    request();
    char path[32];
    for (int i = 0; i < 100; i++) { snprintf(path, sizeof path, "/x%d", i / 2); mkdir(path, 0700); }
    answer("fine\n");
}"#;
    for report in fine(source) {
        assert_eq!(
            (report.denied.first.len(), report.denied.total),
            (crate::DENIALS_KEPT, 100)
        );
        assert_eq!(report.denied.first[1].to_string(), "mkdir(\"/x1\")");
    }
}

/// "A flood of refused or answered calls is charged to the plugin's time and bounded".
#[test]
fn a_flood_of_refused_or_answered_calls_ends_its_plugin() {
    for (call, name) in [
        ("socket(AF_INET, SOCK_STREAM, 0)", "socket"),
        ("open(\"/proc/self/none\", O_RDWR)", "open"),
        ("close(open(\"/dev/null\", O_RDWR))", "open"),
    ] {
        let source = format!("int main(void) {{ request(); for (;;) {call}; }}");
        let report = run_c(&sandbox(), &source, Link::Static);
        assert!(
            matches!(&report.end, End::Flood(last) if last.call.starts_with(name)),
            "{report:?}"
        );
        assert!(
            report.probes + report.denied.total >= crate::ASKED_MAX,
            "{report:?}"
        );
    }
}
