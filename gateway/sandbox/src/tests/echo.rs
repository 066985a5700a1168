//! The sandbox lets plugins of every kind do their work: read a line, compute, answer.

use super::support::{
    Link, alone, children, descriptors, launchers_of, package, program, run, run_c, sandbox,
    script, text,
};
use crate::{End, Entry, Layer};

const LINE: &str = "{\"type\":\"invoke\"}\n";

/// Answers with the number of environment variables and of descriptors.
const CENSUS: &str = r#"
extern char **environ;
int main(void) {
    request();
    int variables = 0, open = 0;
    for (char **at = environ; *at; at++) variables++;
    for (int fd = 0; fd < 16; fd++) if (fcntl(fd, F_GETFD) >= 0) open++;
    printf("variables %d descriptors %d uid0 %d caps %d\n", variables, open, getuid() == 0 || geteuid() == 0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    return 0;
}
"#;

#[test]
fn inv_pnp_05_environment_is_empty_and_descriptors_are_three() {
    let sandbox = sandbox();
    for link in [Link::Static, Link::Dynamic] {
        let report = run_c(&sandbox, CENSUS, link);
        assert_eq!(report.end, End::Answered, "{report:?}");
        assert_eq!(text(&report), "variables 0 descriptors 3 uid0 0 caps 1\n");
    }
}

#[test]
fn programs_echo_a_large_line() {
    let sandbox = sandbox();
    let folder = package(&[]);
    let line = format!("{}\n", "x".repeat(500_000));
    for link in [Link::Static, Link::Dynamic] {
        let echo = program("int main(void) { request(); answer(line); }", link);
        let report = run(&sandbox, &echo, folder.path(), &line);
        assert_eq!(report.end, End::Answered, "{:?}", report.stderr);
        assert_eq!(text(&report), line);
    }
}

#[test]
fn an_answer_may_lack_its_newline() {
    let report = run_c(
        &sandbox(),
        r#"int main(void) { request(); answer("done"); }"#,
        Link::Static,
    );
    assert_eq!(
        (report.end.clone(), text(&report).as_str()),
        (End::Answered, "done")
    );
}

#[test]
fn python_runs_with_an_empty_environment_and_its_own_modules() {
    let source = "import os, sys, json, helper\nline = sys.stdin.readline()\nprint(json.dumps([len(os.environ), helper.VALUE, sys.argv, __name__, os.listdir('/package')[:0]]))\n";
    let folder = package(&[("main.py", source), ("helper.py", "VALUE = 'ü'\n")]);
    let report = run(
        &sandbox(),
        &script("python3", "main.py"),
        folder.path(),
        LINE,
    );
    assert_eq!(
        report.end,
        End::Answered,
        "{}",
        String::from_utf8_lossy(&report.stderr.bytes)
    );
    let answer = text(&report);
    assert!(
        answer.starts_with("[0, \"\\u00fc\", [\"/package/main.py\"], \"__main__\", []]"),
        "{answer}"
    );
}

#[test]
fn node_runs() {
    let source = "let text = '';\nprocess.stdin.on('data', (part) => { text += part; });\nprocess.stdin.on('end', () => { process.stdout.write(JSON.stringify([text.trim(), Object.keys(process.env).length]) + '\\n'); });\n";
    let folder = package(&[("main.js", source)]);
    let report = run(&sandbox(), &script("node", "main.js"), folder.path(), LINE);
    assert_eq!(
        report.end,
        End::Answered,
        "{}",
        String::from_utf8_lossy(&report.stderr.bytes)
    );
    assert_eq!(text(&report), "[\"{\\\"type\\\":\\\"invoke\\\"}\",0]\n");
}

#[test]
fn the_older_worker_form_runs_under_node() {
    let common = "exports.handleRequest = (request) => ({ request_id: request.request_id, status: 'ok' });\n";
    let module = "export async function handleRequest(request) { return { request_id: request.request_id, status: 'ok' }; }\n";
    let folder = package(&[("dist/worker.js", common), ("dist/worker.mjs", module)]);
    let sandbox = sandbox();
    for file in ["dist/worker.js", "dist/worker.mjs"] {
        let entry = Entry::Worker {
            file: file.into(),
            export: "handleRequest".to_owned(),
        };
        let input = "{\"type\":\"invoke\",\"request\":{\"request_id\":\"r1\"}}\n";
        let report = run(&sandbox, &entry, folder.path(), input);
        assert_eq!(
            report.end,
            End::Answered,
            "{}",
            String::from_utf8_lossy(&report.stderr.bytes)
        );
        assert_eq!(
            text(&report),
            "{\"type\":\"result\",\"response\":{\"request_id\":\"r1\",\"status\":\"ok\"}}\n"
        );
    }
}

#[test]
fn shell_and_perl_run() {
    let folder = package(&[
        ("main.sh", "read -r line\nprintf '%s\\n' \"$line\"\n"),
        (
            "main.pl",
            "use strict; use List::Util qw(sum); my $line = <STDIN>; print sum(1, 2), $line;\n",
        ),
    ]);
    let sandbox = sandbox();
    let shell = run(&sandbox, &script("sh", "main.sh"), folder.path(), LINE);
    assert_eq!(
        (shell.end.clone(), text(&shell).as_str()),
        (End::Answered, LINE),
        "{shell:?}"
    );
    let perl = run(&sandbox, &script("perl", "main.pl"), folder.path(), LINE);
    assert_eq!(
        (perl.end.clone(), text(&perl)),
        (End::Answered, format!("3{LINE}")),
        "{perl:?}"
    );
}

#[test]
fn threads_work_and_processes_are_not_needed_for_them() {
    let source = r#"
static void *work(void *at) { *(int *)at = 41; return 0; }
int main(void) {
    request();
    int value = 0;
    pthread_t thread;
    if (pthread_create(&thread, 0, work, &value)) return 1;
    pthread_join(thread, 0);
    printf("%d\n", value + 1);
    return 0;
}
"#;
    for link in [Link::Static, Link::Dynamic] {
        let report = run_c(&sandbox(), source, link);
        assert_eq!(text(&report), "42\n", "{report:?}");
    }
}

#[test]
fn reports_name_the_layers_that_held() {
    let report = run_c(
        &sandbox(),
        r#"int main(void) { answer("x\n"); }"#,
        Link::Static,
    );
    for layer in [
        Layer::Seccomp,
        Layer::Landlock,
        Layer::NoNewPrivs,
        Layer::Uid,
        Layer::SealedImage,
        Layer::MountNs,
        Layer::PidNs,
    ] {
        assert!(
            report.layers.contains(&layer),
            "{layer} is not in {:?}",
            report.layers
        );
    }
}

#[test]
fn nothing_is_left_after_many_runs() {
    alone("echo::nothing_is_left_after_many_runs", many_runs);
}

fn many_runs() {
    let before = descriptors();
    let sandbox = sandbox();
    let folder = package(&[]);
    let echo = program("int main(void) { request(); answer(line); }", Link::Static);
    let once = || assert_eq!(run(&sandbox, &echo, folder.path(), LINE).end, End::Answered);
    let burst = || {
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(once);
            }
        });
    };
    burst();
    let kept = descriptors();
    (0..200).for_each(|_| once());
    assert_eq!(descriptors(), kept);
    burst();
    assert!(children().is_empty(), "{:?}", children());
    let processors = std::thread::available_parallelism().unwrap().get();
    assert!((1..=processors).contains(&launchers_of(std::process::id()).len()));
    drop((sandbox, echo));
    assert_eq!(descriptors(), before);
    assert!(launchers_of(std::process::id()).is_empty());
}
