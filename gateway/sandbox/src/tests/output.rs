//! What of a plugin's output is taken, and how much, and at which pace.

use std::time::{Duration, Instant};

use super::limits::{SHORT, within};
use super::support::{Link, limits, package, program, run_c, run_within, sandbox, text};
use crate::{End, Limits, STDERR_TAIL_BYTES};

#[test]
fn one_line_and_no_more() {
    let crash = End::Signalled(libc::SIGSEGV);
    // Each in one write, because the scheduler decides whether a second write comes within the grace after an answer.
    let cases = [
        (r#"answer("one\ntwo\n");"#, End::ExtraOutput),
        (r#"answer("one\nt");"#, End::ExtraOutput),
        (r#"answer("one\ntwo\n"); pause();"#, End::ExtraOutput),
        (r#"answer("one\n"); pause();"#, End::Answered),
        // "Anything more on stdout is a rejection, but blank lines are nothing"
        (r#"answer("\n \t\r\none\n\n \n"); pause();"#, End::Answered),
        (
            r#"answer("\n"); answer(" "); answer("\none\n"); answer("\n");"#,
            End::Answered,
        ),
        (r#"answer("one\n\ntwo\n");"#, End::ExtraOutput),
        (r#"answer("\n\n  ");"#, End::Exited(0)),
        (r#"answer("\n\n"); return 3;"#, End::Exited(3)),
        (r#"for (;;) answer("\n");"#, End::ExtraOutput),
        (
            r#"char b[8192]; memset(b, '\n', sizeof b); memcpy(b, "one", 3); write(1, b, sizeof b);"#,
            End::ExtraOutput,
        ),
        // "Anything more" also where there is no hurry, as the first line is none that could be an answer; and its end is not waited for where it is.
        (
            r#"answer("one\n"); for (volatile int i = 0; i < 50000000; i++); answer("two\n");"#,
            End::ExtraOutput,
        ),
        (r#"answer("{}\n"); for (;;);"#, End::Answered),
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

/// "Anything more on stdout is a rejection, but blank lines are nothing; its words quote the first 200 bytes of what was there."
#[test]
fn blank_lines_are_no_part_of_the_answer_and_what_was_too_much_is_kept() {
    let answer = |body: &str, answer_bytes: usize| {
        let source = format!("int main(void) {{ request(); {body} }}");
        let time = Duration::from_secs(20);
        let limits = Limits {
            answer_bytes,
            ..limits()
        };
        text(&within(&source, time, limits))
    };
    assert_eq!(answer(r#"answer("\n\r\n two \n \n");"#, 100), " two \n");
    // Blank lines are not counted as part of the line.
    assert_eq!(answer(r#"answer("\n\n\n123\n\n\n");"#, 3), "123\n");
    assert_eq!(answer(r#"answer(" \n ");"#, 100), "");
    assert_eq!(answer(r#"answer("123\n456\n");"#, 3), "123\n456\n");
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
fn stderr_without_end_is_read_at_a_pace() {
    /// Twice the tail and one read are the most that is taken at once.
    const READ_MAX: u64 = 4 * STDERR_TAIL_BYTES as u64;
    const UNPACED: u64 = 1 << 20;
    let source =
        "int main(void) { request(); static char b[65536]; for (;;) write(2, b, sizeof b); }";
    let folder = package(&[]);
    let entry = program(source, Link::Static);
    let limits = Limits {
        cpu: Duration::from_secs(20),
        ..limits()
    };
    let begun = Instant::now();
    let report = run_within(&sandbox(), &entry, folder.path(), "{}\n", SHORT, limits);
    let pauses = u64::try_from(begun.elapsed().as_millis()).unwrap() / 2;
    assert_eq!(report.end, End::TimedOut);
    let read = report.stderr.dropped + STDERR_TAIL_BYTES as u64;
    assert!(read > UNPACED, "{read} bytes show nothing");
    // However fast or slow this machine is: after each read there is a pause of 2 ms.
    let most = UNPACED + (pauses + 2) * READ_MAX;
    assert!(read <= most, "{read} bytes in {pauses} pauses");
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
