//! Plugins that talk: "stdin stays open until then; what it says besides is passed over".

use std::time::Duration;

use super::support::{Permit, descriptors, limits, package, sandbox, script, soon, text};
use crate::{End, Heard, Job, Listener, Report, WhenRefused};

/// Replies to a question, takes the answer, and passes over the rest.
#[derive(Debug)]
struct Simple;

impl Listener for Simple {
    fn hear(&self, line: &[u8]) -> Heard {
        match line {
            [b'?', ..] => Heard::Reply(b"reply\n".to_vec()),
            [b'!', answer @ ..] => Heard::Answer(answer.to_vec()),
            _ => Heard::PassOver,
        }
    }
}

fn talk(source: &str, time: Duration, listener: Option<&dyn Listener>) -> Report {
    let folder = package(&[("talk.sh", source)]);
    let entry = script("sh", "talk.sh");
    let job = Job {
        entry: &entry,
        package: folder.path(),
        input: b"request\n",
        deadline: soon().min(std::time::Instant::now() + time),
        limits: limits(),
        when_refused: WhenRefused::GoOn,
        deterministic: false,
        names_reads: false,
        cancel: None,
        listener,
    };
    sandbox().run(&Permit, &job).unwrap()
}

#[test]
fn a_plugin_that_talks_is_replied_to_and_ended_with_its_answer() {
    const SOURCE: &str = "read -r line; echo log; echo; echo '?'; read -r reply; echo \"!$line $reply\"; read -r never; echo '!again'\n";
    let time = Duration::from_secs(20);
    let report = talk(SOURCE, time, Some(&Simple));
    assert_eq!(report.end, End::Answered);
    assert_eq!(text(&report), "request reply");
    // Without a listener its input ends, and its lines are too many.
    assert_eq!(talk(SOURCE, time, None).end, End::ExtraOutput);
}

#[test]
fn a_plugin_that_talks_and_never_answers_ends_in_its_own_way_or_at_its_bounds() {
    let before = descriptors();
    let short = Duration::from_millis(300);
    let long = Duration::from_secs(20);
    for (source, time, end) in [
        ("read -r line; echo log\n", long, End::Exited(0)),
        (
            "read -r line; printf '!no newline'; exit 3\n",
            long,
            End::Exited(3),
        ),
        (
            "read -r line; read -r never; echo '!'\n",
            short,
            End::TimedOut,
        ),
        (
            "exec <&-; while :; do echo '?'; done\n",
            long,
            End::TooMuchTalk,
        ),
        (
            "read -r line; while :; do printf 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; done\n",
            long,
            End::AnswerTooLarge,
        ),
    ] {
        let report = talk(source, time, Some(&Simple));
        assert_eq!(report.end, end, "{source}");
        assert_eq!(text(&report), "", "{source}");
    }
    assert!(descriptors() <= before + 16, "nothing of them is kept");
}
