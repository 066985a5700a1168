//! What an operator may get wrong, at each door: the message names what, why, and what to do, and nothing is lost by it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use campaigns::Host;
use campaigns::answers::{prompt, slow};
use campaigns::channel::{Channel, invoke};
use campaigns::command::{binary, finish};
use nix::sys::stat::Mode;
use serde_json::json;

/// What a settings file may hold, and what is said of it beside the file's name and the way on.
const SETTINGS: [(&[u8], &[&str]); 13] = [
    (
        b"calls_at_onc = 3\n",
        &["unknown field `calls_at_onc`", "`calls_at_once`"],
    ),
    (
        b"[channel]\nmax_line = 3\n",
        &["unknown field `max_line`", "line 2"],
    ),
    (
        b"calls_at_once = \"many\"\n",
        &["line 1", "\"many\"", "whole number"],
    ),
    (b"calls_at_once = -1\n", &["`-1`", "whole number"]),
    (
        b"calls_at_once = 0\n",
        &["calls_at_once must be at least 1"],
    ),
    (
        b"calls_at_once = 99999999999999999999\n",
        &["99999999999999999999"],
    ),
    (
        b"calls_at_once = 1\ncalls_at_once = 2\n",
        &["line 2", "duplicate key"],
    ),
    (
        b"denials = \"never\"\n",
        &["unknown variant `never`", "`refuse` or `end`"],
    ),
    (
        b"[ledger]\nanchor = \"here\"\n",
        &["ledger.anchor must be an absolute path"],
    ),
    (b"calls_at_once\n", &["line 1", "expected `=`"]),
    (b"\xff\xfe\x00\x00", &["not text in UTF-8"]),
    (b"a\x00b = 1\n", &["line 1"]),
    (&[b'#'; 300_000], &["larger than 262144 bytes"]),
];

#[test]
fn contract_11_settings_that_cannot_be_used_are_named_with_their_fault() {
    let host = Host::new();
    host.alone();
    let plugin = host.install(&prompt("p.test.fast"));
    let events = host.verified();
    let file = host.state().join("config.toml");
    let refused = |words: &[&str]| {
        for verb in [
            &["config"][..],
            &["list"],
            &["disable", &plugin],
            &["serve"],
        ] {
            let said = host.say(verb).expect(2);
            let name = file.display().to_string();
            for expected in words.iter().chain(&[name.as_str(), "config --help"]) {
                assert!(
                    said.stderr.contains(expected),
                    "{verb:?} {expected}: {said:?}"
                );
            }
            assert!(!said.stderr.contains("usize"), "{said:?}");
        }
    };
    for (content, words) in SETTINGS {
        fs::write(&file, content).unwrap();
        refused(words);
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    refused(&["not a regular file"]);
    fs::remove_dir(&file).unwrap();
    // Nobody writes into it: whoever waited for that would wait for ever.
    nix::unistd::mkfifo(&file, Mode::S_IRWXU).unwrap();
    refused(&["not a regular file"]);
    fs::remove_file(&file).unwrap();
    symlink("/nowhere/config.toml", &file).unwrap();
    refused(&["No such file"]);
    fs::remove_file(&file).unwrap();
    assert_eq!(host.verified(), events);
    host.say(["disable", &plugin]).expect(0);
}

#[test]
fn contract_11_what_an_operator_names_wrongly_is_said_with_the_way_on() {
    let host = Host::new();
    let plugin = host.install(&prompt("p.test.fast"));
    let at = |name: &str| host.folder().join(name).display().to_string();
    let [full, file, inside, beside] = ["full", "file", "state/copy", "full/../state/copy"].map(at);
    fs::create_dir(&full).unwrap();
    fs::write(&file, [0_u8, 159, 146, 150]).unwrap();
    let state = at("state");
    let events = host.verified();
    // The words, the exit code, what is said.
    let cases: [(&[&str], i32, &[&str]); 17] = [
        (&["backup", &full], 2, &["exists already", "does not exist"]),
        (&["backup", &file], 2, &["exists already", "does not exist"]),
        (
            &["backup", &state],
            2,
            &["exists already", "does not exist"],
        ),
        (
            &["backup", &inside],
            2,
            &["inside the state", "outside of it"],
        ),
        (
            &["backup", &beside],
            2,
            &["inside the state", "outside of it"],
        ),
        (&["backup", ""], 2, &["<DIR>"]),
        (&["remove", "p.no.body"], 1, &["'p.no.body'", "list"]),
        (
            &["remove", "No Body"],
            2,
            &["'No Body'", "for instance", "list"],
        ),
        (&["disable", "p.no.body"], 1, &["'p.no.body'", "list"]),
        (
            &["trust", "add", "/no/such.pub"],
            2,
            &["/no/such.pub", "keygen"],
        ),
        (&["trust", "add", &full], 2, &[&full, "keygen"]),
        (&["trust", "add", &file], 1, &[&file, "no text", "openssl"]),
        (
            &["trust", "remove", "12"],
            2,
            &["16 lower-case", "trust list"],
        ),
        (
            &["trust", "remove", "0123456789abcdef"],
            1,
            &["0123456789abcdef", "trust list"],
        ),
        (
            &["ledger", "erase", "nobody"],
            1,
            &["'nobody'", "ledger tail"],
        ),
        (
            &["proof", "export", "nobody", "--out", "x"],
            1,
            &["'nobody'", "ledger tail"],
        ),
        (&["--wait-ms", "soon", "list"], 2, &["'soon'", "--wait-ms"]),
    ];
    for (words, code, said) in cases {
        let answer = host.say(words).expect(code);
        for expected in said {
            assert!(
                answer.stderr.contains(expected),
                "{words:?} {expected}: {answer:?}"
            );
        }
    }
    assert_eq!(host.verified(), events, "nothing was recorded");
    assert_eq!(host.ask(&plugin, "hello")["status"], "ok");
}

/// A plugin that is called while it is removed answers that call; the next finds nobody.
#[test]
fn inv_pnp_10_a_running_plugin_that_is_removed_ends_its_call() {
    let host = Host::new();
    let plugin = host.install(&slow("p.test.slow", 1_500));
    let mut channel = Channel::open(&host);
    let call = channel.send("invoke", invoke(&plugin, "hello", 20_000));
    while !host.events().iter().any(|event| event["kind"] == "INVOKE") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let removed = host.say(["--json", "remove", &plugin]).expect(0).json();
    assert_eq!(removed["package_removed"], true);
    assert_eq!(channel.answer(&call)["result"]["status"], "ok");
    let next = channel.call("invoke", invoke(&plugin, "more", 20_000));
    assert_eq!(next["status"], "rejected");
    assert_eq!(channel.call("listPlugins", json!({})), json!([]));
    channel.close();
    assert_eq!(channel.ended().code, Some(0));
    host.verified();
}

/// Whoever can write to a state decides what runs there, so nobody opens it; whoever can read it is told of.
#[test]
fn inv_pnp_10_a_state_that_others_may_write_is_not_opened() {
    let host = Host::new();
    host.alone();
    let plugin = host.install(&prompt("p.test.fast"));
    let state = host.state();
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let chmod = format!("chmod go-rwx '{}'", state.display());
    assert_eq!(host.say(["list"]).expect(0).stderr, "");
    mode(&state, 0o755);
    for verb in [
        &["list"][..],
        &["ledger", "tail"],
        &["invoke", &plugin, "--text", "x"],
    ] {
        let said = host.say(verb).expect(0);
        assert_eq!(said.stderr.matches("warning:").count(), 1, "{said:?}");
        assert!(said.stderr.contains(&chmod), "{said:?}");
    }
    mode(&state, 0o777);
    let events = host.events().len();
    for verb in [
        &["invoke", &plugin, "--text", "x"][..],
        &["serve"],
        &["disable", &plugin],
    ] {
        let said = host.say(verb).expect(3);
        assert!(
            said.stderr.contains("others than its user can write"),
            "{said:?}"
        );
        assert_eq!(said.stderr.matches(&chmod).count(), 1, "{said:?}");
    }
    assert_eq!(host.events().len(), events);
    let health = host.say(["--json", "doctor"]).expect(1).json();
    let rows = health["checks"].as_array().unwrap();
    let row = rows.iter().find(|row| row["layer"] == "permissions");
    assert_eq!(row.unwrap()["remedy"], chmod);
    mode(&state, 0o700);
    // The log's key by itself.
    mode(&state.join("log.key"), 0o644);
    let said = host.say(["list"]).expect(0);
    assert!(said.stderr.contains("log.key"), "{said:?}");
    mode(&state.join("log.key"), 0o600);
    host.say(["disable", &plugin]).expect(0);
    // A folder that was there before becomes the user's alone.
    let made = host.folder().join("made");
    fs::create_dir(&made).unwrap();
    mode(&made, 0o775);
    let mut init = Command::new(binary());
    init.arg("--state").arg(&made).arg("init");
    let said = finish(init, b"").expect(0);
    assert_eq!(said.stderr, "");
    let now = fs::metadata(&made).unwrap().permissions().mode();
    assert_eq!(now & 0o777, 0o700);
}

/// `ledger tail` and `query` show what the operator did; the stored events keep the ledger's eight kinds.
#[test]
fn contract_11_operators_events_are_shown_as_what_they_are() {
    let host = Host::new();
    let keeping = prompt("p.test.fast");
    let keeping = keeping.with(|manifest| manifest["evidence"]["log_level"] = json!("full"));
    let plugin = host.install(&keeping);
    host.say(["invoke", &plugin, "--text", "x", "--run", "audit"])
        .expect(0);
    host.say(["ledger", "erase", "audit"]).expect(0);
    host.say(["remove", &plugin]).expect(0);
    let keys = host.say(["--json", "trust", "list"]).expect(0).json();
    let key = keys[0]["key_id"].as_str().unwrap();
    host.say(["trust", "remove", key]).expect(0);
    let (key, erased) = (format!("key {key}"), "2 kept requests and results");
    for verb in [&["tail"][..], &["query", "--run", "system"]] {
        let said = host.say([&["ledger"], verb].concat()).expect(0).stdout;
        for shown in [
            &["TRUST", &key][..],
            &["REVOKE", &key],
            &["ERASE", "run audit", erased],
            &["REMOVE", "p.test.fast"],
            &["ENABLE", "p.test.fast"],
        ] {
            let shows = |line: &&str| {
                line.split_whitespace().nth(2) == Some(shown[0])
                    && shown.iter().all(|word| line.contains(word))
            };
            assert_eq!(said.lines().filter(shows).count(), 1, "{shown:?}\n{said}");
        }
    }
    let kinds: Vec<_> = host
        .events()
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    let expected = [
        "ENABLE", "REGISTER", "ENABLE", "INVOKE", "RESULT", "DISABLE", "DISABLE", "DISABLE",
    ];
    assert_eq!(kinds, expected);
}
