//! What happens to the command on a bad day of its host: a signal, a `kill -9`, a clock of 1969, a limit on the size of files; and the longest
//! manifest that is legal.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use campaigns::command::{binary, finish, spawn};
use campaigns::program::{Link, c};
use campaigns::{Host, Package, Said, skip};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;

/// A temporary folder of a test's own, in which it sees what is left.
fn temporary() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn command(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .env("TMPDIR", temporary)
        .env_remove("PLUGIN_GATEWAY_STATE")
        .args(arguments);
    command
}

/// A package whose plugin never answers.
fn endless(host: &Host) -> String {
    // Longer than the test waits for anything, so that it never ends by itself.
    let package = Package::script("test.endless", "sh", "read line; while :; do :; done\n")
        .with(|manifest| manifest["limits"]["max_ms"] = json!(60_000));
    host.lay_out(&package).display().to_string()
}

/// Starts a one-shot and waits until its throw-away state has the log's key and its plugin runs.
fn one_shot(temporary: &Path, verb: &str, package: &str) -> Child {
    let mut command = Command::new("env");
    command
        // Whoever runs the tests may ignore these, as a shell does for what it starts in the background.
        .arg("--default-signal=INT,TERM,HUP")
        .arg(binary())
        .args([verb, package, "--text", "x"])
        .env("TMPDIR", temporary)
        .env_remove("PLUGIN_GATEWAY_STATE")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = spawn(&mut command);
    let deadline = Instant::now() + Duration::from_secs(20);
    let has_ledger = |folder: &PathBuf| in_folder(folder).len() > 2;
    while !in_folder(temporary).iter().any(has_ledger) {
        assert!(Instant::now() < deadline, "no throw-away state came to be");
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    child
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

/// The throw-away state holds the log's private key.
#[test]
fn a_one_shot_that_a_signal_ends_leaves_nothing() {
    let host = Host::new();
    let package = endless(&host);
    for verb in ["run", "certify"] {
        for ending in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let temporary = temporary();
            let mut child = one_shot(temporary.path(), verb, &package);
            signal(&child, ending);
            let status = child.wait().unwrap();
            assert_eq!(status.signal(), Some(ending as i32), "{verb}: {status}");
            let left = in_folder(temporary.path());
            assert!(left.is_empty(), "{verb} ended by {ending} left {left:?}");
        }
    }
}

#[test]
fn a_signal_that_the_host_ignores_ends_nothing() {
    let host = Host::new();
    let package = Package::script(
        "test.slow",
        "sh",
        "read line; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exit 3\n",
    );
    let package = host.lay_out(&package).display().to_string();
    let temporary = temporary();
    let mut held = Command::new("sh");
    held.env("TMPDIR", temporary.path())
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(binary())
        .args(["run", &package, "--text", "x"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = spawn(&mut held);
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, Signal::SIGHUP);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(in_folder(temporary.path()).is_empty());
}

#[test]
fn what_a_kill_leaves_is_gone_after_the_next_start_and_what_is_in_use_is_not() {
    let host = Host::new();
    let package = endless(&host);
    let temporary = temporary();
    let mut killed = one_shot(temporary.path(), "run", &package);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = in_folder(temporary.path());
    // Its state and, where loaders have one, their list of libraries.
    assert!((1..=2).contains(&left.len()), "{left:?}");
    let mut other = one_shot(temporary.path(), "run", &package);
    let in_use = in_folder(temporary.path());
    assert_eq!(in_use.len(), left.len(), "{in_use:?}");
    assert!(left.iter().all(|folder| !folder.exists()), "{left:?}");
    let short = ["run", &package, "--text", "x", "--timeout-ms", "500"];
    let said = finish(command(temporary.path(), &short), b"");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        in_use.iter().all(|folder| folder.exists()),
        "it was swept while it was in use"
    );
    signal(&other, Signal::SIGTERM);
    other.wait().unwrap();
    assert!(in_folder(temporary.path()).is_empty());
}

/// Gives the time that a variable says.
const CLOCK: &str = r#"#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *time) {
    long result = syscall(SYS_clock_gettime, id, time);
    if (id == CLOCK_REALTIME) time->tv_sec = atoll(getenv("CLOCK_SECONDS"));
    return result;
}"#;

#[test]
fn a_clock_that_cannot_be_written_down_is_said() {
    let folder = temporary();
    let (source, shim) = (
        folder.path().join("clock.c"),
        folder.path().join("clock.so"),
    );
    fs::write(&source, CLOCK).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(&source);
    if !cc.status().is_ok_and(|status| status.success()) {
        return skip("there is no C compiler");
    }
    let host = Host::new();
    let id = host.install(&Package::script("test.any", "sh", "exit 1\n"));
    let package = endless(&host);
    let at = |seconds: &str, arguments: &[&str]| -> Said {
        let mut command = host.command();
        command
            .env("LD_PRELOAD", &shim)
            .env("CLOCK_SECONDS", seconds)
            .args(arguments);
        finish(command, b"")
    };
    let state = host.verified();
    for seconds in [
        "-100",
        "253402300799",
        "253402300800",
        "4611686018427387904",
    ] {
        for arguments in [
            &["--json", "list"][..],
            &["--json", "invoke", &id, "--text", "x"],
            &["--json", "run", &package, "--text", "x"],
            &["--json", "validate", &package],
        ] {
            let said = at(seconds, arguments);
            assert_eq!(said.code, 4, "{seconds} {arguments:?}: {said:?}");
            let message = said.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(
                message.contains("clock") && message.contains("set the clock"),
                "{message}"
            );
        }
    }
    assert_eq!(host.verified(), state, "nothing was written");
    let said = at("253402207200", &["--json", "list"]);
    assert_eq!(said.code, 0, "the last second of all: {said:?}");
}

/// "At most 256 arguments of 4,096 bytes each, checked here and not later"
#[test]
fn the_longest_legal_command_is_run_and_a_longer_one_is_refused_by_validate() {
    let host = Host::new();
    let script = r#"read -r line; id=${line#*\"request_id\":\"}; id=${id%%\"*}
printf '{"type":"result","response":{"request_id":"%s","status":"ok","result":{"kind":"json","schema_ref":"any/1","data":{"count":%d,"bytes":%d}}}}\n' "$id" "$#" "${#255}"
"#;
    let package = |count: usize, bytes: usize| {
        let mut package = Package::script("test.words", "sh", script);
        let words = vec!["x".repeat(bytes); count];
        let mut command = vec!["sh".to_owned(), "script".to_owned()];
        command.extend(words);
        package.manifest["entrypoint"]["command"] = json!(command);
        host.lay_out(&package).display().to_string()
    };
    // The script is one of them.
    let longest = package(255, 4096);
    let said = host.say(["--json", "run", &longest, "--text", "x"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        said.json()["result"]["data"],
        json!({ "count": 255, "bytes": 4096 })
    );
    for (count, bytes, field, bound) in [
        (256, 1, "/entrypoint/command", "at most 256"),
        (600, 1, "/entrypoint/command", "at most 256"),
        (9, 4097, "/entrypoint/command/2", "at most 4096"),
    ] {
        let said = host.say(["--json", "validate", &package(count, bytes)]);
        assert_eq!(said.code, 1, "{said:?}");
        let issue = said.json()["issues"][0].clone();
        assert_eq!(issue["field"], field, "{issue}");
        assert!(
            issue["message"].as_str().unwrap().contains(bound),
            "{issue}"
        );
    }
}

/// Runs the command where no file may grow beyond so many blocks (`ulimit -f`, of 512 or 1,024 bytes). It is read through pipes, which
/// have no such limit.
fn with_file_blocks(blocks: u64, command: &Command) -> Said {
    let mut limited = Command::new("sh");
    limited
        .args([
            "-c",
            "ulimit -f \"$1\" || exit 99; shift; exec \"$@\"",
            "sh",
        ])
        .arg(blocks.to_string())
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    let out = limited.output().unwrap();
    Said {
        // 128 and the signal, as shells say it.
        code: out
            .status
            .code()
            .unwrap_or_else(|| 128 + out.status.signal().unwrap()),
        stdout: String::from_utf8(out.stdout).unwrap(),
        stderr: String::from_utf8(out.stderr).unwrap(),
    }
}

/// What this host's `sh` counts by.
fn file_block_bytes() -> u64 {
    let mut limits = Command::new("cat");
    limits.arg("/proc/self/limits");
    let said = with_file_blocks(1000, &limits);
    let line = said
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("Max file size"));
    let soft: u64 = line
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    soft / 1000
}

/// Says what, why and what to do.
#[track_caller]
fn names_the_file_limit(what: &str, said: &Said) {
    assert_eq!(said.code, 4, "{what}: {said:?}");
    let message = said.json()["error"]["message"].as_str().unwrap().to_owned();
    for words in ["cannot ", "File too large", "ulimit -f"] {
        assert!(message.contains(words), "{what}: {message}");
    }
}

/// A limit on the size of files is a full disk: what cannot be written is said with exit code 4, in words, and by no signal.
#[test]
fn a_limit_on_the_size_of_files_is_said_by_every_verb_that_writes() {
    let host = Host::new();
    host.alone();
    let id = host.install(&Package::script("test.any", "sh", "exit 1\n"));
    let other = Package::script("test.other", "sh", "exit 1\n");
    let signed = host.signed(&other).display().to_string();
    let unsigned = host.lay_out(&other).display().to_string();
    let events = host.verified();
    let files = ["new.key", "proof", "key"].map(|name| host.folder().join(name));
    let [new_key, proof, key] = files
        .each_ref()
        .map(|file| file.to_str().unwrap().to_owned());
    host.say(["keygen", "--out", &key]).expect(0);
    let public = format!("{key}.pub");
    let (state, private, anchor) = (host.state(), host.key(), host.folder().join("anchor"));
    let verbs: [&[&str]; 10] = [
        &["invoke", &id, "--text", "x"],
        &["register", &signed],
        &["disable", &id],
        &["trust", "add", &public],
        &["keygen", "--out", &new_key],
        &["sign", &unsigned, "--key", private.to_str().unwrap()],
        &["proof", "export", "system", "--out", &proof],
        &["run", &unsigned, "--text", "x"],
        &["init"],
        &["--anchor", anchor.to_str().unwrap(), "init"],
    ];
    let command = |verb: &[&str]| {
        let mut command = Command::new(binary());
        // Each that makes a state makes one of its own.
        let made = host.folder().join(format!("made{}", verb.len()));
        let makes = verb.ends_with(&["init"]);
        command
            .arg("--state")
            .arg(if makes { &made } else { &state });
        command.arg("--json").args(verb);
        command
    };
    for verb in verbs {
        let said = with_file_blocks(0, &command(verb));
        names_the_file_limit(&format!("{verb:?}"), &said);
    }
    for half in [&new_key, &proof] {
        assert!(!Path::new(half).exists(), "half of {half} is left");
    }
    assert_eq!(host.verified(), events, "nothing was recorded");
    // Nothing that was left is in the way.
    for verb in verbs {
        let code = i32::from(["invoke", "run"].contains(&verb[0]));
        finish(command(verb), b"").expect(code);
    }
}

/// The same where the limit is in the middle of an event: what was written of it is set aside by the next start, as on a full disk.
#[test]
fn an_event_that_a_file_limit_cuts_off_is_set_aside() {
    let host = Host::new();
    host.alone();
    let id = host.install(&Package::script("test.any", "sh", "exit 1\n"));
    let mut invoke = host.command();
    invoke.args(["--json", "invoke", &id, "--text", "x"]);
    let size = || fs::metadata(host.segment()).unwrap().len();
    // So that other files of the gateway's, such as its launcher's program in memory, are below any limit.
    while size() < 32 * 1024 {
        host.say(["invoke", "test.nobody", "--text", "x"]).expect(1);
    }
    let block = file_block_bytes();
    let quarantine = || in_folder(&host.state().join("quarantine")).len();
    let (mut cut_off, mut ended_by) = (0, Vec::new());
    // The next limits above the ledger's end: they cut off the INVOKE, then what closes it, until there is room for both.
    for blocks in 1.. {
        let limit = size() / block + blocks;
        let (events, before) = (host.verified(), quarantine());
        let said = with_file_blocks(limit, &invoke);
        assert!(size() <= limit * block, "{said:?}");
        if said.code != 4 {
            said.expect(1);
            break;
        }
        names_the_file_limit(&format!("{blocks} blocks"), &said);
        host.say(["invoke", &id, "--text", "x"]).expect(1);
        assert!(host.verified() > events, "it goes on");
        cut_off += quarantine() - before;
        ended_by.push(limit);
    }
    assert!(cut_off > 0, "no event was cut off by {ended_by:?}");
}

/// Says whether SIGXFSZ is held back or ignored in a plugin.
const HOW_XFSZ_STANDS: &str = r#"int main(void) {
    read_line();
    sigset_t held;
    struct sigaction action;
    sigprocmask(SIG_SETMASK, 0, &held);
    sigaction(SIGXFSZ, 0, &action);
    answer(sigismember(&held, SIGXFSZ) || action.sa_handler != SIG_DFL ? "{\"usual\":false}" : "{\"usual\":true}");
    return 0;
}"#;

/// A program is run from a copy in memory, which is a file as well. A plugin's own signals are the usual ones all the same.
#[test]
fn a_file_limit_below_a_programs_size_is_the_gateways_fault_and_said() {
    let host = Host::new();
    host.alone();
    let program = c(HOW_XFSZ_STANDS, Link::Static);
    let id = host.install(&Package::native("test.signals", &program));
    let mut invoke = host.command();
    invoke.args(["--json", "invoke", &id, "--text", "x"]);
    let enough = program.len() as u64 / file_block_bytes() + 1;
    let too_little = with_file_blocks(enough / 2, &invoke).expect(1).json();
    assert_eq!(too_little["status"], "error", "{too_little}");
    let notes = too_little["notes"].as_str().unwrap();
    for words in ["the gateway could not run the plugin", "ulimit -f"] {
        assert!(notes.contains(words), "{notes}");
    }
    let answered = with_file_blocks(enough, &invoke).expect(0).json();
    assert_eq!(answered["result"]["data"]["usual"], true, "{answered}");
    host.verified();
}
