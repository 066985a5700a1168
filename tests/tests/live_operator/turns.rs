//! Commands that come at once: those that open the state wait for each other in turn, those that only read for nobody.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use campaigns::answers::slow;
use campaigns::{Host, Said};

fn start(mut command: Command, words: &[&str]) -> Child {
    command.args(words).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn said(child: Child) -> Said {
    let out = child.wait_with_output().unwrap();
    Said {
        code: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8(out.stdout).unwrap(),
        stderr: String::from_utf8(out.stderr).unwrap(),
    }
}

fn count(host: &Host, kind: &str) -> usize {
    let events = host.events();
    events.iter().filter(|event| event["kind"] == kind).count()
}

/// Six calls and the operator's own verbs, none of which is turned away, though all of them together take longer than any lock was ever
/// waited for.
#[test]
fn inv_pnp_10_commands_that_come_at_once_wait_for_each_other() {
    let host = Host::new();
    host.alone();
    let plugin = host.install(&slow("p.test.slow", 400));
    let copy = host.folder().join("copy").display().to_string();
    let mut verbs = vec![vec!["invoke", &plugin, "--text", "x"]; 6];
    verbs.push(vec!["ledger", "checkpoint"]);
    verbs.push(vec!["enable", &plugin]);
    verbs.push(vec!["backup", &copy]);
    let children: Vec<_> = verbs
        .iter()
        .map(|verb| start(host.command(), verb))
        .collect();
    for (verb, child) in verbs.iter().zip(children) {
        let said = said(child);
        assert_eq!(said.code, 0, "{verb:?}: {said:?}");
    }
    assert_eq!(count(&host, "RESULT"), 6);
    host.verified();
}

/// Who is waited for is said, and how long is the caller's to say; who only reads is answered meanwhile.
#[test]
fn inv_pnp_10_a_command_says_whom_it_waits_for_and_no_longer_than_it_may() {
    let host = Host::new();
    host.alone();
    let plugin = host.install(&slow("p.test.slow", 4_000));
    let first = start(host.command(), &["invoke", &plugin, "--text", "x"]);
    let holder = format!("process {} (plugin-gateway)", first.id());
    while count(&host, "INVOKE") == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let turned_away = host.say(["--wait-ms", "0", "disable", &plugin]).expect(4);
    let words = format!("is held by {holder}");
    assert!(turned_away.stderr.contains(&words), "{turned_away:?}");
    host.say(["list"]).expect(0);
    assert_eq!(count(&host, "RESULT"), 0, "the reader waited for nobody");
    let waited = host.say(["disable", &plugin]).expect(0);
    let words = format!("note: waiting for {holder}, which holds this state");
    assert_eq!(waited.stderr.trim(), words);
    said(first).expect(0);
    assert_eq!(host.row(&plugin)["status"], "disabled");
}

/// Reads what a gateway logs until it says this.
fn until(log: &mut impl BufRead, words: &str) {
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        let read = log.read_line(&mut line).unwrap();
        assert!(read > 0, "it ended and did not say: {words}");
    }
}

/// A gateway that is started while a command is at work, as by a unit that starts again: it waits like any other command, ends at a signal
/// meanwhile, and does not wait for another gateway, which would never let go.
#[test]
fn inv_pnp_10_serve_waits_for_a_command_that_holds_its_state() {
    const WAITS: &str = "waits for another command that holds this state";
    let host = Host::new();
    host.alone();
    // What a command holds, whoever it is.
    let lock = std::fs::File::open(host.state().join("ledger/LOCK")).unwrap();
    lock.lock().unwrap();
    let turned_away = host.say(["--wait-ms", "0", "serve"]).expect(4);
    assert!(turned_away.stderr.contains("is held by"), "{turned_away:?}");
    let end = |serve: &Child| {
        let process = nix::unistd::Pid::from_raw(serve.id().try_into().unwrap());
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM).unwrap();
    };
    let gateway = || {
        let mut serve = start(host.command(), &["serve", "--socket-only"]);
        let log = BufReader::new(serve.stderr.take().unwrap());
        (serve, log)
    };
    let (mut stopped, mut log) = gateway();
    until(&mut log, WAITS);
    end(&stopped);
    assert!(stopped.wait().unwrap().success());
    let (mut serve, mut log) = gateway();
    until(&mut log, WAITS);
    lock.unlock().unwrap();
    until(&mut log, "plugin-gateway serves");
    let second = host.say(["serve", "--socket-only"]).expect(4);
    assert!(second.stderr.contains("is held by"), "{second:?}");
    end(&serve);
    assert!(serve.wait().unwrap().success());
    host.verified();
}
