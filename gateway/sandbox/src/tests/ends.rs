//! Ends that look alike to the kernel are told apart: a program that gave up by itself is not one that touched what it must not.

use std::time::Duration;

use super::support::{Link, limits, package, program, run, run_c, run_within, sandbox, script};
use crate::{End, Limits, Report, Runtimes};

fn stderr(report: &Report) -> String {
    String::from_utf8_lossy(&report.stderr.bytes).into_owned()
}

#[test]
fn an_abort_is_told_from_a_crash() {
    let sandbox = sandbox();
    let aborts = [
        "abort();",
        "raise(SIGABRT); abort();",
        "signal(SIGABRT, SIG_IGN); abort();",
        "sigset_t s; sigfillset(&s); sigprocmask(SIG_BLOCK, &s, 0); abort();",
        "free(malloc(8) + 1);",
    ];
    let thread = "pthread_t t; pthread_create(&t, 0, (void *(*)(void *))abort, 0); pause();";
    for body in aborts.into_iter().chain([thread]) {
        let source = format!("int main(void) {{ request(); {body} }}");
        for link in [Link::Static, Link::Dynamic] {
            let report = run_c(&sandbox, &source, link);
            assert_eq!(
                report.end,
                End::Signalled(libc::SIGABRT),
                "{body}: {report:?}"
            );
        }
    }
    let crash = "int main(void) { request(); *(volatile int *)8 = 1; }";
    assert_eq!(
        run_c(&sandbox, crash, Link::Static).end,
        End::Signalled(libc::SIGSEGV)
    );
}

/// A handler of the plugin's own for the signal runs as anywhere, and what comes after it counts.
#[test]
fn an_abort_that_was_caught_is_none() {
    let caught = r#"#include <setjmp.h>
static jmp_buf back; static void handler(int s) { longjmp(back, 1); }
int main(void) { request(); signal(SIGABRT, handler); if (!setjmp(back)) abort(); answer("caught\n"); }"#;
    let sandbox = sandbox();
    for link in [Link::Static, Link::Dynamic] {
        let report = run_c(&sandbox, caught, link);
        assert_eq!(report.end, End::Answered, "{report:?}");
    }
}

const HUNGRY_NODE: &str = "const held = []; for (;;) held.push(new Array(1000).fill(held.length));";

#[test]
fn nodes_own_heap_end_is_an_abort() {
    if Runtimes::default().get("node").is_none() {
        return skip::skip("node is not installed");
    }
    let folder = package(&[("main.js", HUNGRY_NODE)]);
    let limits = Limits {
        memory_bytes: 64 << 20,
        ..limits()
    };
    let time = Duration::from_secs(60);
    let entry = script("node", "main.js");
    let report = run_within(&sandbox(), &entry, folder.path(), "{}\n", time, limits);
    assert_eq!(
        report.end,
        End::Signalled(libc::SIGABRT),
        "{}",
        stderr(&report)
    );
    assert!(stderr(&report).contains("JavaScript heap out of memory"));
}

#[test]
fn a_crash_of_pythons_is_a_crash_and_its_abort_an_abort() {
    if Runtimes::default().get("python3").is_none() {
        return skip::skip("python3 is not installed");
    }
    let folder = package(&[
        ("abort.py", "import os\nos.abort()\n"),
        ("crash.py", "import ctypes\nctypes.string_at(8)\n"),
    ]);
    for (name, signal) in [("abort.py", libc::SIGABRT), ("crash.py", libc::SIGSEGV)] {
        let report = run(&sandbox(), &script("python3", name), folder.path(), "{}\n");
        assert_eq!(report.end, End::Signalled(signal), "{}", stderr(&report));
    }
}
