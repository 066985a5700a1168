//! Ends that look alike to the kernel are told apart: a program that gave up by itself is not one that touched what it must not.

use std::time::Duration;

use super::support::{Link, limits, package, run, run_c, run_within, sandbox, script};
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

/// A plugin's own handler for the signal runs as it does anywhere, and what the plugin does after it counts.
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

#[test]
fn aborts_without_end_are_ended() {
    let flood = "static void handler(int s) {} int main(void) { request(); signal(SIGABRT, handler); for (;;) raise(SIGABRT); }";
    let report = run_c(&sandbox(), flood, Link::Static);
    assert_eq!(report.end, End::Signalled(libc::SIGABRT), "{report:?}");
    assert!(report.usage.wall < Duration::from_secs(2), "{report:?}");
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

/// A program that writes to an unmapped address, or allocates more than its heap has room for.
const JAVA: &str = r#"import java.lang.reflect.Field;
import java.util.ArrayList;
public class Main {
    public static void main(String[] words) throws Exception {
        if (words.length > 0) {
            ArrayList<byte[]> held = new ArrayList<>();
            for (;;) held.add(new byte[1 << 20]);
        }
        Field field = Class.forName("sun.misc.Unsafe").getDeclaredField("theUnsafe");
        field.setAccessible(true);
        ((sun.misc.Unsafe) field.get(null)).putInt(8L, 1);
    }
}"#;

#[test]
fn a_crash_of_the_java_machines_is_no_violation() {
    if Runtimes::default().get("java").is_none() {
        return skip::skip("java is not installed");
    }
    let folder = package(&[("Main.java", JAVA), ("manifest", "Main-Class: Main\n")]);
    for words in [
        &["javac", "-nowarn", "-XDignore.symbol.file", "Main.java"][..],
        &["jar", "cfm", "main.jar", "manifest", "Main.class"],
    ] {
        let mut command = std::process::Command::new(words[0]);
        match command
            .args(&words[1..])
            .current_dir(folder.path())
            .output()
        {
            Ok(output) if output.status.success() => {}
            other => return skip::skip(&format!("java is there, but not its compiler: {other:?}")),
        }
    }
    let time = Duration::from_secs(60);
    let entry = |args: &[&str]| crate::Entry::Runtime {
        name: "java".to_owned(),
        script: "main.jar".into(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
    };
    let run = |args| {
        run_within(
            &sandbox(),
            &entry(args),
            folder.path(),
            "{}\n",
            time,
            limits(),
        )
    };
    let report = run(&[]);
    // Nothing keeps the machine from saying so on standard output; whoever judges the answer knows these words.
    assert_eq!(report.end, End::ExtraOutput, "{}", stderr(&report));
    let banner = "#\n# A fatal error has been detected by the Java Runtime Environment:";
    assert!(super::support::text(&report).starts_with(banner));
    let report = run(&["hold"]);
    assert_eq!(report.end, End::Exited(1), "{}", stderr(&report));
    assert!(stderr(&report).contains("java.lang.OutOfMemoryError"));
}
