//! Processes that are started before there is a request: what they may do until then, what counts afterwards, and that none is left.

use std::path::Path;
use std::time::{Duration, Instant};

use super::support::{
    Link, Permit, alone, children_of, launchers_of, limits, package, program, sandbox, soon, text,
    wait_for,
};
use crate::{Ask, End, Entry, Limits, Report, Sandbox, Setup, Standing, Started, WhenRefused};

const ECHO: &str = "int main(void) { request(); answer(line); }";

fn setup<'a>(entry: &'a Entry, package: &'a Path, limits: Limits) -> Setup<'a> {
    Setup {
        entry,
        package,
        time: Duration::from_secs(20),
        limits,
        when_refused: WhenRefused::GoOn,
        deterministic: false,
        names_reads: false,
    }
}

/// One that was started ahead; none where this host has no groups for that.
fn ahead(
    sandbox: &Sandbox<Permit>,
    entry: &Entry,
    package: &Path,
    limits: Limits,
) -> Option<Started<Permit>> {
    if !sandbox.starts_ahead() {
        skip::skip("nothing is started ahead without control groups");
        return None;
    }
    let setup = setup(entry, package, limits);
    let mut started = sandbox.start_ahead(&setup, soon()).unwrap();
    started.hurry();
    Some(started)
}

fn ask(input: &str) -> Ask<'_> {
    Ask {
        input: input.as_bytes(),
        deadline: soon(),
        cancel: None,
        listener: None,
    }
}

fn fed(started: Started<Permit>) -> Report {
    started.feed(&Permit, &ask("{}\n")).unwrap()
}

/// Waits until it stands so.
fn stands(started: &Started<Permit>, wanted: Standing) {
    wait_for(|| started.standing().unwrap(), |now| *now == wanted);
}

#[test]
fn one_that_waits_answers_its_request_and_whoever_lets_go_of_one_ends_it() {
    alone(
        "ahead::one_that_waits_answers_its_request_and_whoever_lets_go_of_one_ends_it",
        || {
            let sandbox = sandbox();
            let folder = package(&[]);
            let echo = program(ECHO, Link::Static);
            let start = || {
                let setup = setup(&echo, folder.path(), limits());
                sandbox.start(&setup, soon()).unwrap()
            };
            let plugins = || children_of(std::process::id());
            let (kept, other) = (start(), start());
            wait_for(plugins, |found| found.len() == 2);
            assert_eq!(kept.standing().unwrap(), Standing::Waits);
            drop(other);
            assert_eq!(plugins().len(), 1);
            assert_eq!(text(&fed(kept)), "{}\n");
            assert!(start().end().unwrap().is_some() && plugins().is_empty());
            let Some(waits) = ahead(&sandbox, &echo, folder.path(), limits()) else {
                return;
            };
            let waited = Instant::now();
            std::thread::sleep(Duration::from_millis(100));
            let report = fed(waits);
            assert_eq!((report.end, report.answer), (End::Answered, b"{}\n".into()));
            assert!(report.usage.wall < waited.elapsed(), "{:?}", report.usage);
        },
    );
}

/// Uses up processor time, as many milliseconds as its one argument says: with its request, or before that.
const WORK: &str = r#"
static void work(long ms) {
    struct timespec now, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    end.tv_sec += ms / 1000;
    do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec + ms % 1000 * 1000000));
}
"#;

/// "Time limits count from the request, processor limits do not start before it."
#[test]
fn processor_time_before_the_request_is_not_the_runs_and_has_a_bound_of_its_own() {
    alone(
        "ahead::processor_time_before_the_request_is_not_the_runs_and_has_a_bound_of_its_own",
        processor_time,
    );
}

fn sleeps(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('S'))
}

fn processor_time() {
    let sandbox = sandbox();
    let folder = package(&[]);
    let limits = Limits {
        cpu: Duration::from_millis(700),
        ..limits()
    };
    let of = |main: &str| program(&format!("{WORK}{main}"), Link::Static);
    let slow_start = of("int main(void) { work(900); request(); answer(line); }");
    // What is left of its start when the request comes counts: so this waits until it sleeps.
    let Some(waits) = ahead(&sandbox, &slow_start, folder.path(), limits) else {
        return;
    };
    wait_for(
        || children_of(std::process::id()),
        |found| found.len() == 1 && sleeps(found[0]),
    );
    let report = fed(waits);
    assert_eq!(report.end, End::Answered, "{report:?}");
    let used = report.usage;
    assert!(
        used.cpu < limits.cpu && used.cpu_before > limits.cpu,
        "{used:?}"
    );
    // The limit is the same as ever.
    let busy = of("int main(void) { request(); work(5000); answer(line); }");
    let report = fed(ahead(&sandbox, &busy, folder.path(), limits).unwrap());
    assert_eq!(report.end, End::CpuLimit, "{report:?}");
    // And one that never stops is found out, and ended by the kernel where nobody looks.
    let endless = of("int main(void) { work(60000); request(); }");
    let waits = ahead(&sandbox, &endless, folder.path(), limits).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let standing = loop {
        let standing = waits.standing().unwrap();
        if standing != Standing::Waits || Instant::now() > deadline {
            break standing;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(
        matches!(standing, Standing::Worked | Standing::Ended),
        "{standing:?}"
    );
}

#[test]
fn one_that_ends_writes_or_is_hostile_before_its_request_is_known_for_it() {
    let sandbox = sandbox();
    let folder = package(&[]);
    let wait = "for (;;) pause();";
    for (before, standing, is_end) in [
        (
            "answer(\"{}\\n\");",
            Standing::Wrote,
            (|end: &End| matches!(end, End::Answered)) as fn(&End) -> bool,
        ),
        ("_exit(7);", Standing::Ended, |end| *end == End::Exited(7)),
        ("ptrace(PTRACE_TRACEME, 0, 0, 0);", Standing::Ended, |end| {
            matches!(end, End::Violation(_)) || *end == End::Signalled(31)
        }),
    ] {
        let source = format!("int main(void) {{ {before} {wait} }}");
        let entry = program(&source, Link::Static);
        let Some(started) = ahead(&sandbox, &entry, folder.path(), limits()) else {
            return;
        };
        stands(&started, standing);
        let report = started.end().unwrap().unwrap();
        assert!(is_end(&report.end), "{before}: {report:?}");
    }
}

/// "Denied or hostile calls before the request count against the call that gets the process."
#[test]
fn what_it_asked_for_before_its_request_counts_in_the_run_that_gets_it() {
    let sandbox = sandbox();
    let folder = package(&[]);
    let asks = "int main(void) { socket(AF_INET, SOCK_STREAM, 0); request(); answer(line); }";
    let entry = program(asks, Link::Static);
    let Some(started) = ahead(&sandbox, &entry, folder.path(), limits()) else {
        return;
    };
    std::thread::sleep(Duration::from_millis(100));
    let report = fed(started);
    assert_eq!(report.end, End::Answered);
    assert_eq!(report.denied.total, 1, "{report:?}");
    // Hostile between the last look and the request: the run is a violation, whatever it answers.
    let traced = "int main(void) { request(); answer(line); ptrace(PTRACE_TRACEME, 0, 0, 0); }";
    let entry = program(traced, Link::Static);
    let report = fed(ahead(&sandbox, &entry, folder.path(), limits()).unwrap());
    assert!(!matches!(report.end, End::Answered), "{report:?}");
}

#[test]
fn those_that_wait_are_lost_with_their_launcher_and_the_next_has_another() {
    alone(
        "ahead::those_that_wait_are_lost_with_their_launcher_and_the_next_has_another",
        || {
            let sandbox = sandbox();
            let folder = package(&[]);
            let echo = program(ECHO, Link::Static);
            let Some(started) = ahead(&sandbox, &echo, folder.path(), limits()) else {
                return;
            };
            for launcher in launchers_of(std::process::id()) {
                let killed = std::process::Command::new("kill")
                    .args(["-9", &launcher.to_string()])
                    .status();
                assert!(killed.unwrap().success());
            }
            stands(&started, Standing::Lost);
            drop(started);
            let next = ahead(&sandbox, &echo, folder.path(), limits()).unwrap();
            assert_eq!(text(&fed(next)), "{}\n");
            sandbox.let_go(folder.path());
            wait_for(|| launchers_of(std::process::id()), Vec::is_empty);
        },
    );
}

/// A pooled process is waiting where the request will come: its interpreter and its module are loaded before that.
#[test]
fn a_script_that_waits_has_its_modules_loaded() {
    let sandbox = sandbox();
    let folder = package(&[(
        "main.py",
        "import json, sys, time\nloaded = time.process_time()\nline = sys.stdin.readline()\nprint(json.dumps(loaded))\n",
    )]);
    let entry = super::support::script("python3", "main.py");
    let Some(started) = ahead(&sandbox, &entry, folder.path(), limits()) else {
        return;
    };
    std::thread::sleep(Duration::from_secs(1));
    let report = fed(started);
    assert_eq!(report.end, End::Answered, "{report:?}");
    let used = report.usage;
    assert!(used.cpu_before > used.cpu, "its start was before: {used:?}");
}
