//! What happens to the command on a bad day of its host: a signal, a `kill -9`, a clock of 1969; and the longest manifest that is legal.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use campaigns::command::{binary, finish, spawn};
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
    assert_eq!(left.len(), 1, "{left:?}");
    let mut other = one_shot(temporary.path(), "run", &package);
    let in_use = in_folder(temporary.path());
    assert_eq!(in_use.len(), 1, "{in_use:?}");
    assert!(!left[0].exists());
    let short = ["run", &package, "--text", "x", "--timeout-ms", "500"];
    let said = finish(command(temporary.path(), &short), b"");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(in_use[0].exists(), "it was swept while it was in use");
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
