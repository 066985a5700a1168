//! An operator beside a gateway that is at work: the same verbs, by way of the control socket (contract, section 12).

#[path = "live_operator/doors.rs"]
mod doors;
#[path = "live_operator/old_copy.rs"]
mod old_copy;
#[path = "live_operator/pool.rs"]
mod pool;
#[path = "live_operator/turns.rs"]
mod turns;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use campaigns::answers::{looking, prompt, slow};
use campaigns::channel::{Channel, invoke, request};
use campaigns::command::Host;
use campaigns::{Package, Said, skip};
use serde_json::{Value, json};

fn key_id(host: &Host) -> String {
    let keys = host.say(["--json", "trust", "list"]).expect(0).json();
    keys[0]["key_id"].as_str().unwrap().to_owned()
}

/// What a verb says, with what differs from run to run taken out.
fn plain(said: &Said) -> (i32, String, String) {
    let text = said
        .stdout
        .split_whitespace()
        .filter(|word| !word.starts_with("20") && word.parse::<u64>().is_err())
        // A run that was not named gets an id of its own.
        .filter(|word| !word.starts_with("run-"));
    (
        said.code,
        text.collect::<Vec<_>>().join(" "),
        said.stderr.clone(),
    )
}

/// "the command's verbs on that state go through it by themselves": with the same words and exit codes.
#[test]
fn inv_pnp_01_verbs_say_the_same_with_and_without_a_gateway_at_work() {
    let said = [false, true].map(|live| {
        let host = Host::new();
        let channel = live.then(|| Channel::open(&host));
        if let Some(mut channel) = channel {
            channel.call("ping", json!({}));
            let said = all_verbs(&host);
            channel.close();
            assert_eq!(channel.ended().code, Some(0));
            said
        } else {
            all_verbs(&host)
        }
    });
    for (without, with) in said[0].iter().zip(&said[1]) {
        assert_eq!(without, with);
    }
}

fn all_verbs(host: &Host) -> Vec<(i32, String, String)> {
    let (signed, unsigned) = (host.folder().join("signed"), host.folder().join("unsigned"));
    for (folder, id) in [(&signed, "p.test.signed"), (&unsigned, "p.test.unsigned")] {
        fs::create_dir(folder).unwrap();
        prompt(id).write(folder);
    }
    host.sign(&signed);
    let (signed, unsigned) = (signed.to_str().unwrap(), unsigned.to_str().unwrap());
    let public = host.public_key();
    let key = key_id(host);
    let verbs: Vec<Vec<&str>> = vec![
        vec!["register", signed],
        vec!["register", signed],
        vec!["register", unsigned],
        vec!["register", "/no/such/folder"],
        vec!["enable", "p.test.signed"],
        vec!["enable", "p.test.unsigned"],
        vec!["enable", "p.test.unknown"],
        vec!["invoke", "p.test.signed", "--text", "x", "--run", "r"],
        vec!["invoke", "p.test.unknown", "--text", "x"],
        vec![
            "pipeline",
            "--plugins",
            "p.test.signed,p.test.signed",
            "--strategy",
            "fan_out",
            "--text",
            "x",
        ],
        vec!["list"],
        vec!["disable", "p.test.signed"],
        vec!["disable", "p.test.unknown"],
        vec!["trust", "add", public.to_str().unwrap()],
        vec!["trust", "remove", &key],
        vec!["trust", "remove", "0123456789abcdef"],
        vec!["enable", "p.test.signed"],
        vec!["ledger", "verify"],
    ];
    verbs
        .iter()
        .map(|verb| {
            let (code, mut stdout, stderr) = plain(&host.say(verb));
            if verb[0] == "ledger" {
                stdout = stdout.split(" head").next().unwrap().to_owned();
            }
            let own = |text: String| {
                text.replace(host.folder().to_str().unwrap(), "")
                    .replace(&key, "KEY")
            };
            (code, own(stdout), own(stderr))
        })
        .collect()
}

/// What the host of the gateway cannot run is a warning through it, too: in the report, to the operator, and in the log.
#[test]
fn inv_pnp_01_a_missing_runtime_is_a_warning_through_a_gateway_at_work() {
    let host = Host::new();
    host.alone();
    let folder = host.signed(&Package::script(
        "p.test.elsewhere",
        "rubby",
        "read -r line",
    ));
    let manifest: Value =
        serde_json::from_slice(&fs::read(folder.join("plugin.json")).unwrap()).unwrap();
    let mut channel = Channel::open(&host);
    let report = channel.call("validateManifest", json!({ "manifest": manifest }));
    let issues = report["issues"].as_array().unwrap();
    let warning = issues
        .iter()
        .find(|issue| issue["field"] == "/entrypoint/command/0")
        .unwrap_or_else(|| panic!("{report}"));
    assert_eq!(warning["severity"], "warning", "{warning}");
    assert_eq!(report["valid"], true, "{report}");
    let said = host.say(["register", folder.to_str().unwrap()]).expect(0);
    assert!(
        said.stderr.contains("warning: /entrypoint/command/0") && said.stderr.contains("'rubby'"),
        "{said:?}"
    );
    channel.close();
    let ended = channel.ended();
    assert!(ended.log.contains("cannot run here"), "{ended:?}");
}

/// "The call is named: … in the closing event's `meta.denied`, in `invoke -v`": of a program with libraries, a read is where somebody looks, with
/// and without a gateway at work; and the event of that very call has it. Each event says whether reads are among what it names.
#[test]
fn inv_pnp_06_a_read_outside_is_named_by_a_verbose_invoke() {
    for live in [false, true] {
        let host = Host::new();
        let plugin = host.install(&looking("p.test.looks"));
        let mut channel = live.then(|| Channel::open(&host));
        if let Some(channel) = &mut channel {
            channel.call("ping", json!({}));
        }
        let named = "openat(\"/etc/shadow\", O_RDONLY)";
        let told = |arguments: &[&str]| {
            let said = host.say(arguments).expect(0);
            let meta = host.events().pop().unwrap()["meta"].clone();
            (said.stderr.contains(named), meta)
        };
        let verbose = ["-v", "invoke", &plugin, "--text", "x"];
        let plain = &verbose[1..];
        // The first call of a package in a gateway's life is looked at unasked; without one at work, every call is a first.
        for (arguments, asked, looked_at) in [
            (plain, false, true),
            (plain, false, !live),
            (&verbose[..], true, true),
        ] {
            let (said, meta) = told(arguments);
            assert_eq!(said, asked, "{meta}");
            let (reads, denied) = if looked_at {
                ("yes", json!(named))
            } else {
                ("no", Value::Null)
            };
            assert_eq!(
                (&meta["reads_named"], &meta["denied"]),
                (&json!(reads), &denied)
            );
        }
        if let Some(mut channel) = channel {
            channel.close();
        }
    }
}

/// "an operator lists, disables, revokes and tails a live system".
#[test]
fn inv_pnp_10_an_operator_takes_a_plugin_away_from_a_live_host() {
    let host = Host::new();
    let plugin = host.install(&prompt("p.test.fast"));
    let mut channel = Channel::open(&host);
    let mut ask =
        |text: &str| channel.call("invoke", invoke(&plugin, text, 5_000))["status"].clone();
    assert_eq!(ask("one"), "ok");
    host.say(["disable", &plugin]).expect(0);
    assert_eq!(ask("two"), "rejected");
    host.say(["enable", &plugin]).expect(0);
    assert_eq!(ask("three"), "ok");
    host.say(["trust", "remove", &key_id(&host)]).expect(0);
    assert_eq!(ask("four"), "rejected");
    let listed = host.say(["--json", "list"]).expect(0).json();
    assert_eq!(listed[0]["status"], "disabled");
    host.say(["enable", &plugin]).expect(3);
}

/// "verbs that only read need no lock": `ledger tail -f` shows what a live gateway does.
#[test]
fn inv_pnp_07_the_ledger_is_followed_beside_a_live_gateway() {
    let host = Host::new();
    let plugin = host.install(&prompt("p.test.fast"));
    let mut channel = Channel::open(&host);
    let mut command = host.command();
    let mut tail = command
        .args(["--json", "ledger", "tail", "-n", "1", "-f"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    // The follower may start late: it is asked until it has seen something.
    let mut asked = 0;
    let first = std::thread::spawn(move || {
        loop {
            let line = lines.next().unwrap().unwrap();
            if line.contains("run-of-the-test") {
                return line;
            }
        }
    });
    while !first.is_finished() {
        asked += 1;
        channel.call("invoke", invoke(&plugin, &format!("{asked}"), 5_000));
    }
    let event: Value = serde_json::from_str(&first.join().unwrap()).unwrap();
    assert_eq!(event["plugin_id"], plugin);
    tail.kill().unwrap();
    tail.wait().unwrap();
}

/// "`<state>/control.sock` (mode 0600, peer checked)".
#[test]
fn inv_pnp_10_the_control_socket_is_for_the_gateways_user_alone() {
    let host = Host::new();
    let mut channel = Channel::open(&host);
    channel.call("ping", json!({}));
    let socket = host.state().join("control.sock");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&socket), 0o600);
    if !rustix::process::geteuid().is_root() {
        return skip("only root can become another user");
    }
    // Even with every door on the way open, another user gets no answer.
    for path in [host.folder(), &host.state(), &socket] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let script = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\ns.sendall(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\\n')\nprint(len(s.recv(1000)))";
    let speak = |user: &str| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", user, "--clear-groups", "python3", "-c", script])
            .arg(&socket);
        command
            .output()
            .ok()
            .filter(|said| said.status.success())
            .map(|said| String::from_utf8(said.stdout).unwrap())
    };
    let Some(own) = speak("0") else {
        return skip("setpriv and python3 are needed to speak as another user");
    };
    assert_ne!(own.trim(), "0", "the gateway's user is answered");
    assert!(
        speak("65534").is_none_or(|said| said.trim() == "0"),
        "another user is not"
    );
    channel.call("ping", json!({}));
}

fn connect(host: &Host) -> UnixStream {
    UnixStream::connect(host.state().join("control.sock")).unwrap()
}

/// "the same methods are open on `<state>/control.sock`"; a call whose asker is gone is taken back.
#[test]
fn inv_pnp_01_the_socket_speaks_the_same_channel() {
    let host = Host::new();
    let late = host.install(&slow("p.test.late", 50_000));
    let mut channel = Channel::open(&host);
    channel.call("ping", json!({}));
    let mut operator = connect(&host);
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "listPlugins" });
    operator
        .write_all(format!("garbage\n{message}\n").as_bytes())
        .unwrap();
    let mut lines = BufReader::new(operator.try_clone().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["error"]["code"], -32_700);
    assert_eq!(next()["result"][0]["plugin_id"], late);
    let message = json!({ "jsonrpc": "2.0", "id": 2, "method": "invoke", "params": { "plugin_id": late, "request": request("gone", 60_000) } });
    operator
        .write_all(format!("{message}\n").as_bytes())
        .unwrap();
    let mine = |host: &Host| -> Vec<String> {
        let events = host
            .events()
            .into_iter()
            .filter(|event| event["request_id"] == "r-gone");
        events
            .map(|event| event["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    while mine(&host).is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    drop((operator, lines));
    while mine(&host).len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(mine(&host), ["INVOKE", "ERROR"]);
}

/// Connections are bounded, and one too many is told so.
#[test]
fn inv_pnp_08_connections_are_bounded() {
    let host = Host::new();
    let mut channel = Channel::open(&host);
    channel.call("ping", json!({}));
    let open: Vec<_> = (0..64).map(|_| connect(&host)).collect();
    let mut refused = String::new();
    connect(&host).read_to_string(&mut refused).unwrap();
    assert!(refused.contains("overloaded"), "{refused}");
    drop(open);
    channel.call("ping", json!({}));
}

/// An operator can end the gateway.
#[test]
fn inv_pnp_07_an_operator_can_ask_for_the_end() {
    let host = Host::new();
    let mut channel = Channel::open(&host);
    channel.call("ping", json!({}));
    let mut operator = connect(&host);
    operator
        .write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"shutdown\"}\n")
        .unwrap();
    let mut said = String::new();
    operator.read_to_string(&mut said).unwrap();
    assert!(said.contains("\"stopped\":true"), "{said}");
    assert_eq!(channel.ended().code, Some(0));
}

/// A state in a folder with a long path has a socket all the same (an address holds 107 bytes, unix(7)).
#[test]
fn inv_pnp_01_a_long_path_is_no_obstacle() {
    let host = Host::new();
    let long = host.folder().join("x".repeat(120));
    fs::rename(host.state(), &long).unwrap();
    std::os::unix::fs::symlink(&long, host.state()).unwrap();
    let mut channel = Channel::open(&host);
    channel.call("ping", json!({}));
    let mut command = Command::new(campaigns::command::binary());
    command
        .arg("--state")
        .arg(&long)
        .args(["disable", "p.test.unknown"]);
    let said = campaigns::command::finish(command, b"");
    assert!(said.stderr.contains("Plugin not found"), "{said:?}");
}

/// `--anchor` holds for a gateway at work as well: one that anchors its ledger elsewhere is not spoken to.
#[test]
fn inv_pnp_07_a_live_gateway_with_another_anchor_is_not_taken_for_the_wanted_one() {
    let host = Host::new();
    let plugin = host.install(&prompt("p.test.fast"));
    let mut channel = Channel::open(&host);
    channel.call("ping", json!({}));
    let elsewhere = host.folder().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let elsewhere = elsewhere.to_str().unwrap();
    let said = host
        .say(["disable", &plugin, "--anchor", elsewhere])
        .expect(2);
    assert!(said.stderr.contains("anchors its ledger"), "{said:?}");
    channel.close();
    channel.ended();
    host.say(["disable", &plugin, "--anchor", elsewhere])
        .expect(0);
}
