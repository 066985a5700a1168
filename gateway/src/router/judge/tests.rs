//! What each end of a run is to the host.

use sandbox::{Tail, Usage};

use super::*;

/// Ends so, is judged so, and these words are in its notes.
#[track_caller]
fn says(end: End, answer: &str, stderr: &str, status: Status, words: &str) {
    let judgement = judged(end, answer, stderr);
    assert_eq!(judgement.status, status, "{}", judgement.notes);
    assert!(judgement.notes.contains(words), "{}", judgement.notes);
}

fn judged(end: End, answer: &str, stderr: &str) -> Judgement {
    let report = Report {
        end,
        answer: answer.into(),
        stderr: Tail {
            bytes: stderr.into(),
            dropped: 0,
        },
        usage: Usage::default(),
        layers: Vec::new(),
        denied: sandbox::Denials::default(),
        reads_named: false,
        probes: 0,
    };
    let allowed = Allowed {
        time: Duration::from_secs(2),
        time_set_by: TimeSetBy::Manifest,
        cpu: Duration::from_secs(2),
        memory_bytes: 1,
        answer_bytes: 1,
    };
    judge(&report, allowed, |_| unreachable!("there is no answer"))
}

/// What V8 says when its heap ends.
const HEAP: &str =
    "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory";

/// "Anything more on stdout is a rejection …; its words quote the first 200 bytes of what was there."
#[test]
fn what_does_not_belong_on_stdout_is_quoted_and_kept_out_of_the_ledger() {
    let message = r#"{"type":"result","response":{}}"#;
    let long = format!("{message}\n{}", "x".repeat(300));
    for (output, said) in [
        (
            "one\ntwo\n".to_owned(),
            "it began with \"one\\ntwo\\n\"".to_owned(),
        ),
        (
            format!("Loading…\n{message}\n"),
            "it began with \"Loading…\\n{".to_owned(),
        ),
        (
            format!("{message}\n\n \ndone\n"),
            "after the answer came \"done\\n\"".to_owned(),
        ),
        (
            long,
            format!("after the answer came \"{}…\"", "x".repeat(200)),
        ),
        (
            format!("{message}\n"),
            "4096 bytes of blank lines".to_owned(),
        ),
        (String::new(), "4096 bytes of blank lines".to_owned()),
        (
            "{}\n\u{1b}[2J".to_owned(),
            "\"{}\\n\u{fffd}[2J\"".to_owned(),
        ),
    ] {
        let judgement = judged(End::ExtraOutput, &output, "");
        assert!(judgement.notes.contains(&said), "{}", judgement.notes);
        assert!(judgement.notes.contains("stderr"), "{}", judgement.notes);
        assert!(judgement.quotes);
        let reason = &judgement.facts[meta::REASON];
        assert!(reason.contains("more than one line") && !reason.contains('"'));
    }
}

#[test]
fn an_end_without_an_answer_says_what_to_look_for() {
    let judgement = judged(End::Exited(0), "", "one\ntwo\n\nthree\u{1b}[2J\nSECRET \n");
    for said in [
        "exited with code 0 and gave no answer",
        "flush",
        "newline",
        "return",
        "stderr: two | three\u{fffd}[2J | SECRET",
    ] {
        assert!(judgement.notes.contains(said), "{}", judgement.notes);
    }
    assert!(!judgement.notes.contains("one |"), "{}", judgement.notes);
    assert!(judgement.quotes && !judgement.facts[meta::REASON].contains("SECRET"));
    let failed = judged(End::Exited(1), "", "ValueError: x");
    assert!(
        failed.notes.ends_with("stderr: ValueError: x"),
        "{}",
        failed.notes
    );
    assert!(!failed.notes.contains("flush"), "{}", failed.notes);
    assert!(
        judged(End::Exited(0), "", " \n")
            .notes
            .ends_with("nothing calls")
    );
}

/// "`error`: the plugin crashed, exited without an answer, or answered `error`. `timeout`: it was killed at its time."
#[test]
fn ends_that_look_alike_are_told_apart_in_words() {
    for (end, answer, stderr, status, said) in [
        (
            End::Signalled(6),
            "",
            "",
            Status::Error,
            "the plugin aborted (SIGABRT, signal 6) and gave no answer",
        ),
        (
            End::Signalled(6),
            "",
            HEAP,
            Status::Error,
            "its JavaScript heap was full",
        ),
        (
            End::Signalled(11),
            "",
            "",
            Status::Error,
            "signal 11 (SIGSEGV",
        ),
        (
            End::Exited(1),
            "",
            "Exception in thread \"main\" java.lang.OutOfMemoryError: x",
            Status::Error,
            "its Java heap was full",
        ),
        (
            End::Exited(2),
            "",
            "fatal error: runtime: out of memory",
            Status::Error,
            "Go got no more memory",
        ),
        (
            End::Exited(1),
            "",
            "something else",
            Status::Error,
            "exited with code 1 and gave no answer",
        ),
        (
            End::ExtraOutput,
            "#\n# A fatal error has been detected by the Java Runtime Environment:\n#\n",
            "",
            Status::Error,
            "the Java virtual machine itself crashed",
        ),
        (
            End::ExtraOutput,
            "one\ntwo\n",
            "",
            Status::Rejected,
            "more than one line",
        ),
        (
            End::NeverStarted,
            "",
            "",
            Status::Timeout,
            "timeout: the plugin could not be started",
        ),
    ] {
        says(end, answer, stderr, status, said);
    }
}

/// Whose number it was, and what the plugin's last words mean, stand in the notes, and nothing there says otherwise.
#[test]
fn notes_name_the_field_that_set_a_limit_and_the_likely_mistake() {
    for (end, answer, stderr, status, said) in [
        (
            End::Signalled(11),
            "",
            HEAP,
            Status::Error,
            "was ended by signal 11 and gave no answer; by its stderr, its JavaScript heap was full",
        ),
        (
            End::Exited(1),
            "",
            "ModuleNotFoundError: No module named 'numpy'",
            Status::Error,
            "the Python module 'numpy' is not in the package: put it there, beside the program: `pip install --target PACKAGE numpy`",
        ),
        (
            End::TimedOut,
            "",
            "",
            Status::Timeout,
            "killed after 2000 ms: limits.max_ms",
        ),
        (
            End::CpuLimit,
            "",
            "",
            Status::Error,
            "(2000 ms): raise limits.max_cpu_ms",
        ),
        (
            End::MemoryLimit,
            "",
            "",
            Status::Error,
            "(1 bytes): raise limits.max_memory_bytes",
        ),
    ] {
        says(end, answer, stderr, status, said);
    }
}
