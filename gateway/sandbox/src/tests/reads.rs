//! Reads that fail are named where somebody looks at a plugin, for every class, with nothing of what an interpreter looks for by itself; and
//! where nobody looks they cost nothing.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::support::{
    Link, Permit, alone, compile, limits, package, program, sandbox, script, soon, text,
};
use crate::denial::reports::RECEIVED;
use crate::plan::runtimes::Runtimes;
use crate::{Denials, End, Entry, Job, Report, Sandbox, WhenRefused};

/// Runs a job with its reads named.
fn looked_at(entry: &Entry, package: &std::path::Path, when_refused: WhenRefused) -> Report {
    looked_at_by(&sandbox(), entry, package, when_refused)
}

fn looked_at_by(
    sandbox: &Sandbox<Permit>,
    entry: &Entry,
    package: &std::path::Path,
    when_refused: WhenRefused,
) -> Report {
    let job = Job {
        when_refused,
        names_reads: true,
        ..job(entry, package)
    };
    sandbox.run(&Permit, &job).unwrap()
}

fn job<'a>(entry: &'a Entry, package: &'a std::path::Path) -> Job<'a> {
    Job {
        entry,
        package,
        input: b"{}\n",
        deadline: soon(),
        limits: limits(),
        when_refused: WhenRefused::GoOn,
        deterministic: false,
        names_reads: false,
        cancel: None,
        listener: None,
    }
}

fn named(denials: &Denials) -> Vec<String> {
    denials.first.iter().map(ToString::to_string).collect()
}

const PASSWD: &str = "openat(\"/etc/passwd\", O_RDONLY)";

/// Scripts that load much of a standard library, and then read two files that are not there for them.
const SCRIPTS: [(&str, &str, &str); 5] = [
    (
        "python3",
        "main.py",
        "import json, hashlib, decimal, unicodedata, random, zlib, csv, threading, logging, other\nfor name in ['/etc/passwd', 'data.txt']:\n    try:\n        open(name)\n    except OSError:\n        pass\nprint(1)\n",
    ),
    (
        "node",
        "main.js",
        "require('node:crypto').randomBytes(2); require('node:zlib'); require('./other.js');\nfor (const name of ['/etc/passwd', 'data.txt']) { try { require('node:fs').readFileSync(name) } catch {} }\nconsole.log(1)\n",
    ),
    (
        "sh",
        "main.sh",
        "{ read -r line </etc/passwd; read -r line <data.txt; } 2>/dev/null\necho 1\n",
    ),
    (
        "perl",
        "main.pl",
        "use JSON::PP; use Digest::SHA; use List::Util; open(F, '<', '/etc/passwd'); open(F, '<', 'data.txt'); print \"1\\n\";\n",
    ),
    (
        "ruby",
        "main.rb",
        "require 'json'; require 'digest'; require 'set'\n['/etc/passwd', 'data.txt'].each { |name| begin; File.read(name); rescue SystemCallError; end }\nputs 1\n",
    ),
];

/// "Refused and named: … a path outside", in `run` and `certify`; what was loaded from the interpreter's own places is not among it.
#[test]
fn what_a_script_reads_in_vain_is_named_and_nothing_else() {
    for (runtime, name, source) in SCRIPTS {
        if Runtimes::default().get(runtime).is_none() {
            skip::skip(&format!("{runtime} is not installed"));
            continue;
        }
        let files = [(name, source), ("other.py", ""), ("other.js", "")];
        let folder = package(&files);
        let report = looked_at(&script(runtime, name), folder.path(), WhenRefused::GoOn);
        assert_eq!(text(&report), "1\n", "{report:?}");
        let seen = named(&report.denied);
        // Perl and the shell open by the older call on some hosts.
        let seen: Vec<String> = seen
            .iter()
            .map(|call| call.replace("open(", "openat("))
            .collect();
        // What the shell throws away by `2>/dev/null` is a device that is there.
        assert_eq!(
            seen,
            [PASSWD, "openat(\"data.txt\", O_RDONLY)"],
            "{runtime}: {report:?}"
        );
        assert_eq!(report.denied.total, 2);
    }
}

/// The Java machine looks for much itself after it has opened the jar for the first time.
#[test]
fn what_the_java_machine_looks_for_is_not_named() {
    let java = "public class Main { public static void main(String[] a) throws Exception { java.util.UUID.randomUUID(); String.format(\"%x\", 1); try { java.nio.file.Files.readAllBytes(java.nio.file.Path.of(\"/etc/passwd\")); } catch (java.io.IOException e) {} System.out.println(1); } }";
    let folder = package(&[("Main.java", java), ("manifest", "Main-Class: Main\n")]);
    let built = |tool: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(tool);
        let status = command.args(arguments).current_dir(folder.path()).status();
        status.is_ok_and(|status| status.success())
    };
    let jar = ["cfm", "main.jar", "manifest", "Main.class"];
    if Runtimes::default().get("java").is_none() || !built("javac", &["Main.java"]) {
        skip::skip("java and javac are not installed");
        return;
    }
    assert!(built("jar", &jar));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(folder.path().join("main.jar"), mode).unwrap();
    let report = looked_at(
        &script("java", "main.jar"),
        folder.path(),
        WhenRefused::GoOn,
    );
    assert_eq!(text(&report), "1\n", "{report:?}");
    assert_eq!(named(&report.denied), [PASSWD]);
}

/// A program that opens, besides: its own package, a library, a device, a probe, and a link of the host's that leads out of what is shown.
const READER: &str = r#"
static void look(const char *path) { int file = open(path, O_RDONLY); if (file >= 0) close(file); }
int main(int count, char **words) {
    request();
    look("/package/data.txt"); look("/lib64/ld-linux-x86-64.so.2"); look("/dev/null"); look("/etc/localtime"); look("/");
    look("/etc/shadow"); look("/package/../etc/shadow"); look("/etc/shadow");
    int root = open("/", O_RDONLY | O_DIRECTORY);
    openat(root, "package/data.txt", O_RDONLY);
    open("/package/data.txt", O_RDWR);
    answer("fine\n");
}"#;

#[test]
fn what_a_program_reads_in_vain_is_named_with_each_different_target_once() {
    let folder = package(&[("data.txt", "x")]);
    let entry = program(READER, Link::Dynamic);
    let report = looked_at(&entry, folder.path(), WhenRefused::GoOn);
    assert_eq!(text(&report), "fine\n", "{report:?}");
    let expected = [
        "openat(\"/etc/shadow\", O_RDONLY)",
        "openat(\"/package/../etc/shadow\", O_RDONLY)",
        "openat(\"/package/data.txt\", O_RDWR)",
    ];
    let private_root = report.layers.contains(&crate::Layer::MountNs);
    if private_root {
        assert_eq!(named(&report.denied), expected, "{report:?}");
        assert_eq!(report.denied.calls.get("openat"), Some(&4));
    }
    // Where nobody looks, only the attempt to change something is reported.
    let report = super::support::run(&sandbox(), &entry, folder.path(), "{}\n");
    assert_eq!(
        named(&report.denied),
        ["openat(\"/package/data.txt\", O_RDWR)"]
    );
}

/// What a program is shown is worked out once for all calls that one launcher serves: a file that is there is then let through at sight, and one that is not
/// is named as before.
#[test]
fn what_is_named_is_the_same_in_each_call_and_the_report_says_whether_reads_were() {
    let folder = package(&[("data.txt", "x")]);
    let entry = program(READER, Link::Dynamic);
    let sandbox = sandbox();
    let reports =
        [(); 3].map(|()| looked_at_by(&sandbox, &entry, folder.path(), WhenRefused::GoOn));
    for report in &reports {
        assert_eq!(text(report), "fine\n", "{report:?}");
        assert_eq!(report.denied, reports[0].denied);
        assert!(report.reads_named);
    }
    let quiet = super::support::run(&sandbox, &entry, folder.path(), "{}\n");
    assert!(!quiet.reads_named && quiet.denied != reports[0].denied);
    let entry = program(
        "int main(void) { request(); answer(\"1\\n\"); }",
        Link::Static,
    );
    assert!(super::support::run(&sandbox, &entry, folder.path(), "{}\n").reads_named);
}

/// A loader that has a list of libraries opens that list and each library, and looks for nothing; the list tells nothing of the host but
/// what can be seen in the folders of libraries as well.
#[test]
fn a_loader_opens_what_it_needs_and_searches_for_nothing() {
    alone(
        "reads::a_loader_opens_what_it_needs_and_searches_for_nothing",
        opens_of_a_loader,
    );
}

fn opens_of_a_loader() {
    if !sandbox().has_loader_cache() {
        skip::skip("this host has no list of libraries in the form of glibc 2.32 or later");
        return;
    }
    let folder = package(&[("main.sh", "read -r line\necho 1\n")]);
    let lists = r#"int main(void) {
        request();
        static char list[1 << 20]; int file = open("/etc/ld.so.cache", O_RDONLY);
        ssize_t length = read(file, list, sizeof list);
        int write_to = open("/etc/ld.so.cache", O_RDWR);
        if (length < 48 || write_to >= 0) { answer("no\n"); return 1; }
        int count; memcpy(&count, list + 20, 4);
        for (ssize_t at = 48 + 24 * count; at < length; at++) if (list[at] == '/' && !list[at - 1]) {
            char *path = list + at, *name = strrchr(path, '/');
            *name = 0;
            if (strcmp(path, "/lib/x86_64-linux-gnu") && strcmp(path, "/usr/lib/x86_64-linux-gnu") && strcmp(path, "/lib64") && strcmp(path, "/usr/lib64")) { answer("more\n"); return 1; }
            *name = '/';
        }
        answer("1\n");
    }"#;
    let one = "int main(void) { request(); answer(\"1\\n\"); }";
    // The list and the C library; the same and the list twice more; the same and the script.
    let cases = [
        (program(one, Link::Dynamic), 2),
        (program(lists, Link::Dynamic), 4),
        (script("sh", "main.sh"), 3),
    ];
    for (entry, opens) in &cases {
        let sandbox = sandbox();
        // The first call also asks the loader which libraries it takes.
        looked_at_by(&sandbox, entry, folder.path(), WhenRefused::GoOn);
        let before = RECEIVED.load(Ordering::Relaxed);
        let report = looked_at_by(&sandbox, entry, folder.path(), WhenRefused::GoOn);
        assert_eq!(text(&report), "1\n", "{entry:?} {report:?}");
        let received = RECEIVED.load(Ordering::Relaxed) - before;
        assert_eq!(received, *opens, "{entry:?}");
    }
}

/// Nobody hears of reads in most calls, so that they end no plugin where somebody looks: neither by `denials = "end"` nor by their number.
#[test]
fn reads_that_are_named_end_no_plugin() {
    let source = "int main(void) { request(); for (int at = 0; at < 5000; at++) open(\"/etc/shadow\", O_RDONLY); answer(\"fine\\n\"); }";
    let folder = package(&[]);
    let entry = program(source, Link::Dynamic);
    let report = looked_at(&entry, folder.path(), WhenRefused::End);
    assert_eq!(
        (&report.end, text(&report).as_str(), report.denied.total),
        (&End::Answered, "fine\n", 5000),
        "{report:?}"
    );
}

/// A plugin that opens files without end is answered at a pace: it would have the gateway work for it as much as it likes.
#[test]
fn reads_that_are_named_are_answered_at_a_pace() {
    let source = "int main(void) { request(); for (int i = 0; i < 40000; i++) close(open(\"/package/x\", O_RDONLY)); puts(\"through\"); return 0; }";
    let folder = package(&[("x", "x")]);
    let entry = program(source, Link::Dynamic);
    let ends_as = |names_reads: bool| {
        let job = Job {
            names_reads,
            deadline: Instant::now() + Duration::from_secs(2),
            ..job(&entry, folder.path())
        };
        sandbox().run(&Permit, &job).unwrap()
    };
    assert_eq!(text(&ends_as(false)), "through\n");
    assert_eq!(ends_as(true).end, End::TimedOut);
}

/// The listener lets a read go on, whose path another thread may exchange meanwhile: it leads to nothing that is not there for the program.
#[test]
fn a_path_exchanged_during_a_named_read_leads_to_no_file_of_the_hosts() {
    let source = r#"
static char path[32] = "/package/fine";
static volatile int stop;
static void *exchange(void *at) { while (!stop) { strcpy(path, "/etc/shadow/"); path[11] = 0; strcpy(path, "/package/fine"); } return 0; }
int main(void) {
    request();
    pthread_t thread; pthread_create(&thread, 0, exchange, 0);
    char read_in[64] = {0}; int strange = 0, fine = 0;
    for (int at = 0; at < 3000; at++) {
        int file = open(path, O_RDONLY);
        if (file < 0) continue;
        ssize_t got = read(file, read_in, 63);
        if (got == 4 && !memcmp(read_in, "fine", 4)) fine++; else strange++;
        close(file);
    }
    stop = 1; pthread_join(thread, 0);
    answer(strange || !fine ? "strange\n" : "fine\n");
}"#;
    let folder = package(&[("fine", "fine")]);
    let report = looked_at(
        &program(source, Link::Dynamic),
        folder.path(),
        WhenRefused::GoOn,
    );
    assert_eq!(text(&report), "fine\n", "{report:?}");
}

/// Measures what it costs to be looked at, and judges nothing: run it with `--ignored --nocapture`.
#[test]
#[ignore = "measures, and judges nothing"]
fn cost_of_named_reads() {
    let folder = package(&[
        ("main.py", "import json\nprint(1)\n"),
        ("main.sh", "echo 1\n"),
    ]);
    let native = super::support::seal(&compile(
        folder.path(),
        "int main(void) { request(); answer(\"1\\n\"); }",
        Link::Dynamic,
    ));
    let sandbox = sandbox();
    let cases = [
        ("python3", script("python3", "main.py")),
        ("sh", script("sh", "main.sh")),
        ("dynamic program", native),
    ];
    for (name, entry) in &cases {
        let once = |names_reads: bool| {
            let job = Job {
                names_reads,
                ..job(entry, folder.path())
            };
            let (since, before) = (Instant::now(), own_cpu());
            let report = sandbox.run(&Permit, &job).unwrap();
            let wall = since.elapsed();
            (wall, report.usage.cpu + own_cpu().saturating_sub(before))
        };
        let mut times: [Vec<Duration>; 4] = Default::default();
        for round in 0..ROUNDS {
            // Alternately first, so that neither has the warmer caches.
            for named in [round % 2 == 0, round % 2 == 1] {
                let (wall, cpu) = once(named);
                times[usize::from(named)].push(wall);
                times[2 + usize::from(named)].push(cpu);
            }
        }
        let [wall, wall_named, cpu, cpu_named] = times.map(|mut times| {
            times.sort();
            (times[ROUNDS / 10], times[ROUNDS / 2])
        });
        let before = RECEIVED.load(Ordering::Relaxed);
        once(true);
        let opens = RECEIVED.load(Ordering::Relaxed) - before;
        eprintln!(
            "{name}: {opens} questions; tenth and median: {wall:?} quiet, {wall_named:?} named; processor {cpu:?} quiet, {cpu_named:?} named"
        );
    }
}

/// How often each way is measured.
const ROUNDS: usize = 301;

/// Processor time of this process.
fn own_cpu() -> Duration {
    let own = std::process::id().try_into().unwrap();
    crate::sys::wait::cpu_time(own).unwrap()
}
