//! An author's loop: `run` shows the answer first and then what helps to mend the plugin; its words name the mistake and the way out.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use campaigns::answers::{hostile, prompt, slow, trying};
use campaigns::command::{Said, binary, finish, spawn};
use campaigns::program::{Link, c};
use campaigns::{Host, Package, skip};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;

/// Longer than any run here takes.
const STUCK: Duration = Duration::from_secs(60);

fn lay_out(package: &Package) -> TempDir {
    let folder = TempDir::new().unwrap();
    package.write(folder.path());
    folder
}

/// `run PACKAGE` with these arguments before and behind.
fn run(package: &Package, before: &[&str], behind: &[&str]) -> Said {
    let folder = lay_out(package);
    let mut command = Command::new(binary());
    command.args(before).arg("run").arg(folder.path());
    command.args(behind);
    finish(command, b"")
}

/// "6,000 lines of stderr before the answer": the answer stands alone on stdout and first on the terminal, the last words follow, and `-v`
/// shows all. Both streams go to one file here, so that their order shows.
#[test]
fn inv_pnp_01_the_answer_is_never_buried() {
    let body = "int main(void) { read_line(); for (int i = 0; i < 6000; i++) fprintf(stderr, \"word %d\\n\", i); answer(\"{}\"); }";
    let folder = lay_out(&Package::native("p.test.loud", &c(body, Link::Static)));
    let both = |before: &[&str]| {
        let out = folder.path().with_extension("said");
        let file = fs::File::create(&out).unwrap();
        let mut command = Command::new(binary());
        command.args(before).arg("run").arg(folder.path());
        command.args(["--text", "x"]).stdin(Stdio::null());
        command.stdout(file.try_clone().unwrap()).stderr(file);
        assert!(spawn(&mut command).wait().unwrap().success());
        let said = fs::read_to_string(&out).unwrap();
        fs::remove_file(&out).unwrap();
        said
    };
    let said = both(&[]);
    assert!(said.starts_with("ok in "), "{said}");
    assert!(
        said.contains("(5980 earlier lines: -v shows them)"),
        "{said}"
    );
    assert!(
        said.contains("word 5980\n") && !said.contains("word 5979\n"),
        "{said}"
    );
    assert!(said.lines().count() < 40, "{said}");
    let answer = said.find("\"schema_ref\"").unwrap();
    assert!(answer < said.find("word 5980").unwrap(), "{said}");
    assert!(
        said.find("word 5999").unwrap() < said.find("of memory at most").unwrap(),
        "{said}"
    );
    let all = both(&["-v"]);
    assert!(
        all.contains("word 0\n") && all.starts_with("ok in "),
        "{all}"
    );
    let quiet = both(&["-q"]);
    assert!(
        !quiet.contains("word") && !quiet.contains("memory"),
        "{quiet}"
    );
}

/// A limit is named by the manifest's field that sets it, or by whose number it was.
#[test]
fn inv_pnp_08_a_limit_is_named_by_the_field_that_sets_it() {
    let looping = |limits: &[(&str, u64)]| {
        let body = "int main(void) { read_line(); for (volatile long i = 0;; i++) {} }";
        let package = Package::native("p.test.loops", &c(body, Link::Static));
        limits.iter().fold(package, |package, (name, value)| {
            package.with(|manifest| manifest["limits"][*name] = json!(value))
        })
    };
    let notes = |package: &Package, behind: &[&str]| {
        let said = run(package, &["--json"], &[&["--text", "x"], behind].concat()).expect(1);
        said.json()["notes"].as_str().unwrap().to_owned()
    };
    let waits = slow("p.test.slow", 30_000);
    let short = waits
        .clone()
        .with(|manifest| manifest["limits"]["max_ms"] = json!(400));
    assert!(notes(&short, &[]).contains("limits.max_ms"));
    assert!(notes(&waits, &["--timeout-ms", "400"]).contains("policy.timeout_ms"));
    let cpu = looping(&[("max_ms", 20_000), ("max_cpu_ms", 100)]);
    assert!(notes(&cpu, &[]).contains("limits.max_cpu_ms"));
    let body = "int main(void) { read_line(); for (;;) { char *p = malloc(1 << 20); if (!p) abort(); memset(p, 1, 1 << 20); } }";
    let eats = Package::native("p.test.eats", &c(body, Link::Static));
    let eaten = notes(&eats, &[]);
    assert!(
        eaten.contains("limits.max_memory_bytes") || eaten.contains("aborted"),
        "{eaten}"
    );
    // What hardly computed did wait, and its author is told so.
    let said = run(&short, &[], &["--text", "x"]).expect(1);
    assert!(
        said.stderr.contains("likely: it hardly computed"),
        "{said:?}"
    );
    let said = run(
        &looping(&[("max_ms", 400), ("max_cpu_ms", 20_000)]),
        &[],
        &["--text", "x"],
    )
    .expect(1);
    assert!(!said.stderr.contains("hardly computed"), "{said:?}");
}

fn has(program: &str) -> bool {
    let said = Command::new(program).arg("--version").output();
    said.is_ok_and(|said| said.status.success())
}

/// "and "it is not in the package: put it there (`pip install --target …`)"": with the real interpreters' own words.
#[test]
fn inv_pnp_02_what_is_not_in_the_package_is_named_with_the_way_to_put_it_there() {
    for (runtime, script, cause, fix) in [
        (
            "python3",
            "import no_such_thing.deep\n",
            "the Python module 'no_such_thing' is not in the package",
            "pip install --target PACKAGE no_such_thing`",
        ),
        (
            "node",
            "require('no-such-thing/deep')\n",
            "the Node module 'no-such-thing' is not in the package",
            "npm install --prefix PACKAGE no-such-thing`",
        ),
        (
            "perl",
            "use No::Such;\n",
            "the Perl module 'No::Such' is not in the package",
            "cpanm -L PACKAGE/local No::Such`",
        ),
        (
            "ruby",
            "require 'no_such_thing'\n",
            "the Ruby file or gem 'no_such_thing' is not in the package",
            "gem unpack no_such_thing",
        ),
    ] {
        if !has(runtime) {
            skip(&format!("{runtime} is not installed"));
            continue;
        }
        let said = run(
            &Package::script("p.test.lacks", runtime, script),
            &[],
            &["--text", "x"],
        )
        .expect(1);
        assert!(
            said.stdout.contains(cause) && said.stdout.contains(fix),
            "{said:?}"
        );
        assert_eq!(
            said.stdout.matches(fix).count() + said.stderr.matches(fix).count(),
            1,
            "said once: {said:?}"
        );
    }
}

/// A trace names the author's lines and not the gateway's.
#[test]
fn inv_pnp_01_a_trace_begins_with_the_script() {
    if !has("python3") {
        return skip("python3 is not installed");
    }
    for script in ["def f():\n    raise ValueError('x')\nf()\n", "x = (\n"] {
        let said = run(
            &Package::script("p.test.trace", "python3", script),
            &[],
            &["--text", "x"],
        )
        .expect(1);
        assert!(
            said.stderr.contains("Error") && said.stderr.contains("script\""),
            "{said:?}"
        );
        assert!(
            !said.stderr.contains("<string>") && !said.stderr.contains("excepthook"),
            "{said:?}"
        );
    }
}

/// "`--text-file FILE|-`": the whole text, as it is; what is no text is refused.
#[test]
fn inv_pnp_04_a_text_may_come_from_a_file() {
    let folder = lay_out(&prompt("p.test.texts"));
    let file = folder.path().with_extension("txt");
    let ask = |text_file: &str, input: &[u8], more: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["--json", "run"]).arg(folder.path());
        command.args(["--text-file", text_file]).args(more);
        finish(command, input)
    };
    let hash = |said: Said| said.expect(0).json()["evidence_hashes"]["input_hash"].clone();
    let path = file.to_str().unwrap();
    fs::write(&file, "two\nlines \"quoted\"\n").unwrap();
    let from_file = hash(ask(path, b"", &[]));
    assert_eq!(hash(ask("-", b"two\nlines \"quoted\"\n", &[])), from_file);
    assert_ne!(hash(ask("-", b"two\nlines \"quoted\"", &[])), from_file);
    fs::write(&file, b"ab\xff").unwrap();
    let said = ask(path, b"", &[]).expect(1);
    assert!(
        said.stdout.contains("no text in UTF-8 from byte 2"),
        "{said:?}"
    );
    ask(path, b"", &["--text", "x"]).expect(2);
    fs::remove_file(&file).unwrap();
    ask(path, b"", &[]).expect(2);
}

/// "`--watch` runs again when a file of the package changes", after an error too, and an interrupt ends it.
#[test]
fn inv_pnp_01_watching_runs_again_and_ends_by_an_interrupt() {
    let folder = lay_out(&prompt("p.test.watched"));
    let mut command = Command::new(binary());
    command.arg("run").arg(folder.path());
    command.args(["--text", "x", "--watch"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = spawn(&mut command);
    let (sender, lines) = mpsc::channel();
    let streams: [Box<dyn std::io::Read + Send>; 2] = [
        Box::new(child.stdout.take().unwrap()),
        Box::new(child.stderr.take().unwrap()),
    ];
    for stream in streams {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
    }
    // The two streams come in any order.
    let await_all = |words: &[&str]| {
        let mut missing = words.to_vec();
        while !missing.is_empty() {
            let line = lines
                .recv_timeout(STUCK)
                .unwrap_or_else(|_| panic!("no line with {missing:?}"));
            missing.retain(|word| !line.contains(word));
        }
    };
    await_all(&["ok in ", "waiting for a change"]);
    let manifest = folder.path().join("plugin.json");
    let good = fs::read(&manifest).unwrap();
    fs::write(&manifest, "{").unwrap();
    await_all(&["plugin.json changed", "error: ", "waiting for a change"]);
    fs::write(&manifest, good).unwrap();
    await_all(&["ok in ", "waiting for a change"]);
    let cpu = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split(' ')
            .filter_map(|field| field.parse().ok())
            .collect();
        // utime and stime, fields 14 and 15 of proc_pid_stat(5); the state is no number and the first two stand before.
        fields[10] + fields[11]
    };
    let before = cpu();
    std::thread::sleep(Duration::from_secs(2));
    assert!(cpu() - before < 40, "it rests while nothing changes");
    kill(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGINT as i32));
    let said = run(
        &prompt("p.test.once"),
        &["--json"],
        &["--text", "x", "--watch"],
    )
    .expect(2);
    assert!(said.stdout.contains("--watch"), "{said:?}");
}

/// "The text output of `invoke`, `pipeline` and `ledger tail` shows the run's id (what `proof export` and `replay` ask for)."
#[test]
fn inv_pnp_07_the_run_s_id_is_shown_where_it_is_needed() {
    let host = Host::new();
    let id = host.install(&prompt("p.test.named"));
    let said = host.say(["invoke", &id, "--text", "x"]).expect(0);
    let run = said
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("run "))
        .unwrap()
        .to_owned();
    let proof = host.folder().join("proof.json");
    host.say(["proof", "export", &run, "--out", proof.to_str().unwrap()])
        .expect(0);
    for verb in [&["ledger", "tail"][..], &["ledger", "query", "--run", &run]] {
        let said = host.say(verb).expect(0);
        assert!(said.stdout.contains(&run), "{said:?}");
    }
    let said = host
        .say([
            "pipeline",
            "--plugins",
            &id,
            "--strategy",
            "sequential",
            "--text",
            "x",
            "--run",
            "my-run",
        ])
        .expect(0);
    assert!(said.stdout.ends_with("run my-run\n"), "{said:?}");
    let quiet = host
        .say(["-q", "invoke", &id, "--text", "x", "--run", "my-run"])
        .expect(0);
    assert!(!quiet.stdout.contains("my-run"), "{quiet:?}");
}

/// "a terminal of 60 columns; `-q`; `NO_COLOR`": tables fit or wrap, what went well is not said, and nothing is coloured.
#[test]
fn inv_pnp_01_words_fit_a_narrow_terminal_and_quiet_is_quiet() {
    let host = Host::new();
    let id = host.install(&prompt(
        "p.test.with-a-name-that-is-rather-long-for-a-plugin",
    ));
    host.say(["invoke", &id, "--text", "x", "--run", &"r".repeat(100)])
        .expect(0);
    host.install(&trying("p.test.other"));
    for verb in [
        &["list"][..],
        &["trust", "list"],
        &["ledger", "tail"],
        &["doctor"],
    ] {
        let mut command = host.command();
        command.args(verb).env("COLUMNS", "60").env("NO_COLOR", "1");
        let said = finish(command, b"");
        assert!(
            !said.stdout.is_empty() && !said.stdout.contains('\u{1b}'),
            "{said:?}"
        );
        let widest = said.stdout.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(60), "{verb:?} {widest:?}\n{}", said.stdout);
    }
    let wide = host.say(["ledger", "tail", "-n", "1"]).expect(0);
    assert_eq!(
        wide.stdout.lines().count(),
        1,
        "one line an event where nobody looks: {wide:?}"
    );
    for verb in [&["disable", &id][..], &["enable", &id], &["init"]] {
        let said = host.say([&["-q"], verb].concat()).expect(0);
        assert_eq!(
            (said.stdout.as_str(), said.stderr.as_str()),
            ("", ""),
            "{verb:?}"
        );
    }
    let said = host.say(["-q", "enable", "p.test.nobody"]).expect(1);
    assert!(said.stderr.contains("Plugin not found"), "{said:?}");
}

/// "CG-08 … naming it", and `run` too: what was refused stands beside the answer.
#[test]
fn inv_pnp_02_run_names_what_was_refused() {
    let said = run(&trying("p.test.tries"), &[], &["--text", "x"]).expect(0);
    assert!(
        said.stderr
            .contains("refused, and without effect: socket(AF_INET"),
        "{said:?}"
    );
    let body = "int main(void) { read_line(); if (socket(AF_INET, SOCK_STREAM, 0) < 0) return 4; answer(\"{}\"); }";
    let needs = Package::native("p.test.needs", &c(body, Link::Static));
    let said = run(&needs, &[], &["--text", "x"]).expect(1);
    assert!(
        said.stderr
            .contains("which no plugin has: it was refused socket(AF_INET"),
        "{said:?}"
    );
    let said = run(&hostile("p.test.hostile"), &[], &["--text", "x"]).expect(1);
    assert!(said.stdout.contains("violation: ptrace"), "{said:?}");
}

/// "the thing that failed, named once": no empty name, no prefix twice.
#[test]
fn inv_pnp_10_what_failed_is_named_once() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("plugin.json"), "{").unwrap();
    for verb in [&["validate"][..], &["run", "--text", "x"], &["certify"]] {
        let mut command = Command::new(binary());
        command.args(verb).arg(folder.path());
        let said = finish(command, b"").expect(1);
        let all = said.stdout.clone() + &said.stderr;
        assert!(!all.contains(": :") && !all.contains("(whole)"), "{all}");
        let twice = all.matches("not valid JSON").count();
        assert!(twice <= 1, "{all}");
    }
}
