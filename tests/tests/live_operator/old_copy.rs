//! A state that was put back from an old copy, while its anchor lies elsewhere and knows better.

use std::fs;
use std::path::Path;
use std::process::Command;

use campaigns::Host;
use campaigns::answers::prompt;
use campaigns::command::{binary, finish};

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(done.unwrap().success());
}

/// "`list`, `tail`, `metrics` show it with exit 0": they say so, with the exit code of a broken ledger, and the true state is as it was.
#[test]
fn inv_pnp_07_an_old_copy_is_told_by_every_verb_that_reads() {
    let host = Host::new();
    host.alone();
    let anchor = host.folder().join("elsewhere");
    let settings = format!("[ledger]\nanchor = {:?}\n", anchor.display().to_string());
    fs::write(host.state().join("config.toml"), settings).unwrap();
    let plugin = host.install(&prompt("p.test.fast"));
    let old = host.folder().join("old");
    copy(&host.state(), &old);
    // What the old copy does not know: that the plugin was switched off.
    host.say(["disable", &plugin]).expect(0);
    let verbs: [&[&str]; 8] = [
        &["list"],
        &["show", &plugin],
        &["trust", "list"],
        &["metrics"],
        &["ledger", "tail"],
        &["ledger", "tail", "-f"],
        &["ledger", "query", "--run", "system"],
        &["enable", &plugin],
    ];
    for verb in verbs {
        for json in [false, true] {
            let mut command = Command::new(binary());
            command.arg("--state").arg(&old);
            command.args(json.then_some("--json")).args(verb);
            let said = finish(command, b"").expect(4);
            let words = if json {
                said.json()["error"].to_string()
            } else {
                said.stderr
            };
            for expected in ["was signed for", "old copy was put back", "ledger verify"] {
                assert!(words.contains(expected), "{verb:?}: {words}");
            }
            if json {
                assert!(words.contains("\"kind\":\"ledger\""), "{verb:?}: {words}");
            } else {
                assert_eq!(said.stdout, "", "{verb:?}");
            }
        }
    }
    for verb in verbs.iter().filter(|verb| !verb.contains(&"-f")) {
        host.say(*verb).expect(0);
    }
    host.verified();
}

/// "An anchor volume that is not mounted": whoever reads is told, and reads; whoever changes or verifies is refused, as nobody can tell then
/// whether the state is an old copy.
#[test]
fn inv_pnp_07_an_anchor_that_is_not_mounted_is_said_and_hides_nothing() {
    let host = Host::new();
    host.alone();
    let anchor = host.folder().join("volume/anchor");
    let settings = format!("[ledger]\nanchor = {:?}\n", anchor.display().to_string());
    fs::write(host.state().join("config.toml"), settings).unwrap();
    let plugin = host.install(&prompt("p.test.fast"));
    let away = host.folder().join("away");
    fs::rename(host.folder().join("volume"), &away).unwrap();
    let warning = "is not there, so an old copy of this ledger could not be told from the true one";
    let readers: [&[&str]; 6] = [
        &["list"],
        &["show", &plugin],
        &["trust", "list"],
        &["metrics"],
        &["ledger", "tail"],
        &["ledger", "query", "--run", "system"],
    ];
    for verb in readers {
        for said in [
            host.say(verb),
            host.say([&["--json"], verb].concat()),
            host.say([&["--quiet"], verb].concat()),
        ] {
            let said = said.expect(0);
            assert!(said.stderr.contains(warning), "{verb:?}: {said:?}");
            assert!(!said.stdout.is_empty(), "{verb:?}");
        }
    }
    let others: [&[&str]; 3] = [
        &["ledger", "verify"],
        &["disable", &plugin],
        &["invoke", &plugin, "--text", "x"],
    ];
    for verb in others {
        let said = host.say(verb).expect(4);
        assert!(said.stderr.contains(warning), "{verb:?}: {said:?}");
    }
    fs::rename(&away, host.folder().join("volume")).unwrap();
    assert_eq!(host.say(["list"]).expect(0).stderr, "");
    host.verified();
}
