//! The sandbox bounds time, processor, memory, threads and output, tells them apart, and never waits on a plugin.

use std::time::{Duration, Instant};

use super::support::{
    Link, Permit, alone, children, limits, package, program, run_c, run_within, sandbox, text,
};
use crate::sandbox::{Cancel, End, Job, Limits, STDERR_TAIL_BYTES};

fn within(source: &str, time: Duration, limits: Limits) -> crate::sandbox::Report {
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

const SHORT: Duration = Duration::from_millis(200);

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
        let report = within(source, SHORT, limits());
        assert_eq!(report.end, End::TimedOut, "{source}");
        assert!(report.usage.wall >= SHORT);
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
fn memory_is_refused_beyond_its_limit() {
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
        assert_eq!(run(32 << 20).end, End::Exited(9));
        let enough = run(96 << 20);
        assert_eq!(enough.end, End::Answered);
        assert!(
            enough.usage.peak_memory_bytes >= 64 << 20,
            "{:?}",
            enough.usage
        );
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
fn one_line_and_no_more() {
    let crash = End::Signalled(libc::SIGSEGV);
    let cases = [
        (r#"answer("one\ntwo\n");"#, End::ExtraOutput),
        (r#"answer("one\n"); answer("t");"#, End::ExtraOutput),
        (
            r#"answer("one\n"); answer("two\n"); pause();"#,
            End::ExtraOutput,
        ),
        (r#"answer("one\n"); pause();"#, End::Answered),
        (r#"answer("one\n"); close(1); pause();"#, End::Answered),
        (r#"answer("one"); close(1); pause();"#, End::Answered),
        (r#"answer("one\n"); *(volatile int *)8 = 1;"#, End::Answered),
        ("return 7;", End::Exited(7)),
        ("*(volatile int *)8 = 1;", crash.clone()),
        (r#"answer("half a li"); *(volatile int *)8 = 1;"#, crash),
        ("return 0;", End::Exited(0)),
    ];
    let cases = cases.map(|(body, end)| {
        (
            format!("int main(void) {{ request(); {body} return 0; }}"),
            end,
        )
    });
    for (source, end) in cases {
        assert_eq!(
            run_c(&sandbox(), &source, Link::Static).end,
            end,
            "{source}"
        );
    }
}

#[test]
fn output_is_capped() {
    let endless = "int main(void) { char b[4096]; memset(b, 'x', sizeof b); for (;;) write(1, b, sizeof b); }";
    let report = within(
        endless,
        Duration::from_secs(20),
        Limits {
            answer_bytes: 10_000,
            ..limits()
        },
    );
    assert_eq!(
        (report.end, report.answer.len()),
        (End::AnswerTooLarge, 10_001)
    );
    let exact = "int main(void) { char b[101]; memset(b, 'x', 100); b[100] = '\\n'; write(1, b, 101); pause(); }";
    assert_eq!(
        within(
            exact,
            Duration::from_secs(20),
            Limits {
                answer_bytes: 100,
                ..limits()
            }
        )
        .end,
        End::Answered
    );
    assert_eq!(
        within(
            exact,
            Duration::from_secs(20),
            Limits {
                answer_bytes: 99,
                ..limits()
            }
        )
        .end,
        End::AnswerTooLarge
    );
}

#[test]
fn stderr_keeps_its_tail() {
    let source = r#"int main(void) { request(); char b[1000]; memset(b, 'e', sizeof b); for (int i = 0; i < 200; i++) write(2, b, sizeof b); write(2, "last", 4); answer("fine\n"); }"#;
    let report = run_c(&sandbox(), source, Link::Static);
    assert_eq!(report.end, End::Answered);
    assert_eq!(report.stderr.bytes.len(), STDERR_TAIL_BYTES);
    assert!(report.stderr.bytes.ends_with(b"elast"));
    assert_eq!(report.stderr.dropped, 200_004 - 65_536);
}

#[test]
fn an_unread_request_blocks_nobody() {
    let folder = package(&[]);
    let input = format!("{}\n", "x".repeat(4 << 20));
    let sandbox = sandbox();
    for (source, end) in [
        (
            r#"int main(void) { answer("fine\n"); pause(); }"#,
            End::Answered,
        ),
        (
            r#"int main(void) { close(0); usleep(20000); answer("fine\n"); }"#,
            End::Answered,
        ),
        ("int main(void) { pause(); }", End::TimedOut),
        ("int main(void) { return 4; }", End::Exited(4)),
    ] {
        let report = run_within(
            &sandbox,
            &program(source, Link::Static),
            folder.path(),
            &input,
            SHORT * 2,
            limits(),
        );
        assert_eq!(report.end, end, "{source}");
    }
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
        cancel: Some(&cancel),
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
    let source = r#"int main(void) { request(); struct rlimit l; int sum = 0; int kinds[] = {RLIMIT_CORE, RLIMIT_FSIZE, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_RTPRIO}; for (int i = 0; i < 5; i++) { getrlimit(kinds[i], &l); sum += l.rlim_max != 0; } printf("%d\n", sum); }"#;
    assert_eq!(text(&run_c(&sandbox(), source, Link::Static)), "0\n");
}
