//! Witnesses as an operator and an auditor meet them: the verbs, over HTTP and by files, a gateway that waits for them, an old copy that they give
//! away, and both verifiers on what they cosigned. What one cosigns and refuses is tried where it is written, in the ledger's own tests.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use campaigns::Host;
use campaigns::channel::{Channel, invoke};
use campaigns::command::{Said, binary, finish};
use campaigns::processes::{children_of, exists};
use serde_json::{Value, json};

use crate::auditor::{outcomes, python_verifier, runs};

/// A witness at work. It ends with its test.
struct Witness {
    child: Child,
    vkey: String,
    url: String,
    folder: PathBuf,
}

impl Witness {
    fn of(host: &Host, name: &str) -> Self {
        let folder = host.folder().join(name);
        let mut command = Command::new(binary());
        command.args([
            "--json",
            "witness",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--folder",
        ]);
        command
            .arg(&folder)
            .arg("--log")
            .arg(host.state().join("log.vkey"));
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let word = |name: &str| said[name].as_str().unwrap().to_owned();
        let key = fs::read_to_string(folder.join("witness.vkey")).unwrap();
        assert_eq!(key.trim(), word("vkey"));
        Self {
            child,
            vkey: word("vkey"),
            url: format!("http://{}", word("listen")),
            folder,
        }
    }

    fn add(&self, host: &Host, name: &str, by_files: bool) {
        let folder = self.folder.to_str().unwrap();
        let place = match by_files {
            true => ["--folder", folder],
            false => ["--url", &self.url],
        };
        let words = ["witness", "add", name, "--vkey", &self.vkey];
        host.say(words.into_iter().chain(place)).expect(0);
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn set(host: &Host, lines: &str) {
    fs::write(
        host.state().join("config.toml"),
        format!("[witness]\n{lines}\n"),
    )
    .unwrap();
}

/// Waits until something holds.
fn until(what: &str, holds: &mut dyn FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "{what} did not come to be");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn both(proof: &Path, key: &Path, policy: &Path) -> [Said; 2] {
    let mut gateway = Command::new(binary());
    gateway.args(["--json", "proof", "verify"]).arg(proof);
    gateway.arg("--key").arg(key).arg("--policy").arg(policy);
    let words = ["bundle", "--json"].map(PathBuf::from);
    let rest = [
        proof,
        Path::new("--key"),
        key,
        Path::new("--policy"),
        policy,
    ];
    let rest = rest.map(Path::to_owned);
    [
        finish(gateway, b""),
        python_verifier(words.into_iter().chain(rest)),
    ]
}

/// Both verifiers say the same about each check; whether it is valid.
fn judged(proof: &Path, key: &Path, policy: &Path) -> bool {
    let [ours, theirs] = both(proof, key, policy).map(|said| (said.code, said.json()));
    assert_eq!(ours.0, theirs.0, "{ours:?} {theirs:?}");
    assert_eq!(
        outcomes(&ours.1),
        outcomes(&theirs.1),
        "{ours:?} {theirs:?}"
    );
    ours.0 == 0
}

/// "`witness add|list|remove|sync`", "`--folder` DIR for one that is reached by files", "`proof verify --policy FILE`", "both verifiers read 1 and 2".
#[test]
fn witnesses_are_asked_by_both_ways_and_both_verifiers_see_it() {
    let host = Host::new();
    host.alone();
    host.say(["invoke", "p.x.nobody", "--text", "x", "--run", "r"])
        .expect(1);
    let (first, second) = (Witness::of(&host, "w1"), Witness::of(&host, "w2"));
    first.add(&host, "one", false);
    second.add(&host, "two", true);
    set(&host, "quorum = 2\nwait_ms = 0");
    let file = |name: &str| host.folder().join(name);
    let say = |words: &[&str]| host.say(words);
    let alone = file("alone.json");
    let said = say(&["proof", "export", "r", "--out", alone.to_str().unwrap()]).expect(0);
    assert!(
        said.stderr.contains("leaves without the quorum of 2"),
        "{said:?}"
    );
    let mut last = Vec::new();
    until("the quorum", &mut || {
        let said = say(&["--json", "witness", "sync", "--once"]);
        last.push(said.code);
        said.code == 0
    });
    assert_eq!(
        last.first(),
        Some(&1),
        "a request by files is answered later"
    );
    set(&host, "quorum = 2\nwait_ms = 60000");
    let mut sync = Command::new(binary());
    sync.arg("--state")
        .arg(host.state())
        .args(["witness", "sync"]);
    let mut sync = sync.spawn().unwrap();
    let (bundle, event) = (file("b.json"), file("e.tlog-proof"));
    let said = say(&["proof", "export", "r", "--out", bundle.to_str().unwrap()]).expect(0);
    assert_eq!(said.stderr, "", "{said:?}");
    let id = host.events()[0]["event_id"].as_str().unwrap().to_owned();
    say(&["proof", "event", &id, "--out", event.to_str().unwrap()]).expect(0);
    sync.kill().unwrap();
    sync.wait().unwrap();
    let (policy, site) = (file("policy"), file("site"));
    let text = say(&["witness", "list", "--policy"]).expect(0).stdout;
    fs::write(&policy, &text).unwrap();
    say(&["ledger", "publish", site.to_str().unwrap()]).expect(0);
    let published = fs::read_to_string(site.join("checkpoint")).unwrap();
    assert_eq!(published.lines().count(), 7, "{published}");
    if !runs("python3", "--version") {
        return;
    }
    let key = host.state().join("log.pub");
    assert!(judged(&bundle, &key, &policy) && judged(&event, &key, &policy));
    assert!(!judged(&alone, &key, &policy), "nobody cosigned it");
    judged_by_other_policies(&host, &text, &bundle);
    // Both see the same in what was changed.
    for proof in [&bundle, &event] {
        let bytes = fs::read(proof).unwrap();
        let changed = file("changed");
        for at in (0..bytes.len()).rev().step_by(bytes.len() / 24) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            fs::write(&changed, bytes).unwrap();
            assert!(!judged(&changed, &key, &policy), "byte {at}");
        }
    }
}

fn judged_by_other_policies(host: &Host, text: &str, bundle: &Path) {
    let key = host.state().join("log.pub");
    let policy = host.folder().join("other");
    let witness = text
        .lines()
        .find(|line| line.starts_with("witness one"))
        .unwrap();
    let vkey = witness.split(' ').nth(2).unwrap();
    let good = [
        "quorum none\n".to_owned(),
        format!("# whoever\nwitness x {vkey}\nquorum x\n"),
    ];
    for text in good {
        fs::write(&policy, text).unwrap();
        assert!(judged(bundle, &key, &policy));
    }
    let wrong = [
        format!("witness x {vkey}\nwitness y {vkey}\ngroup g 2 x y\nquorum g\n"),
        "quorum nobody\n".to_owned(),
        String::new(),
    ];
    for text in wrong {
        fs::write(&policy, &text).unwrap();
        for said in both(bundle, &key, &policy) {
            assert_eq!(said.code, 2, "{said:?}: {text}");
        }
    }
}

/// "After a roll-back the witness answers 409 and the gateway refuses to go on", also one that is at work.
#[test]
fn an_old_copy_that_a_witness_knows_more_of_is_not_gone_on_with() {
    let host = Host::new();
    host.alone();
    host.say(["ledger", "checkpoint"]).expect(0);
    let witness = Witness::of(&host, "w");
    witness.add(&host, "w", false);
    let old = host.folder().join("old");
    host.say(["backup", old.to_str().unwrap()]).expect(0);
    host.say(["invoke", "p.x.nobody", "--text", "x"]).expect(1);
    host.say(["witness", "sync", "--once"]).expect(0);
    // The copy is put back. Nothing but the witness tells it from the true one.
    let state = host.state();
    fs::rename(&state, host.folder().join("true")).unwrap();
    fs::rename(&old, &state).unwrap();
    host.say(["ledger", "verify"]).expect(0);
    let mut channel = Channel::open(&host);
    let answer = channel.call("invoke", invoke("p.x.nobody", "x", 1_000));
    assert!(
        answer["notes"].as_str().unwrap().contains("not found"),
        "{answer}"
    );
    // Past the same size, the two differ.
    let said = host.say(["witness", "sync", "--once"]).expect(3);
    assert!(said.stderr.contains("does not go on from"), "{said:?}");
    until("a refusal", &mut || {
        let answer = channel.call("invoke", invoke("p.x.nobody", "x", 1_000));
        answer["notes"]
            .as_str()
            .unwrap()
            .starts_with("unwitnessed: ")
    });
    // It looks four times a second, and says it in its log then.
    std::thread::sleep(Duration::from_secs(2));
    channel.close();
    let ended = channel.ended();
    assert!(ended.log.contains("does not go on from"), "{ended:?}");
    let said = host.say(["invoke", "p.x.nobody", "--text", "x"]).expect(4);
    assert!(said.stderr.contains("ahead.note"), "{said:?}");
}

/// "`serve` can start it", "Where a quorum is required and not reached in its time, `serve` says so and … refuses new calls", "`ledger checkpoint`
/// lags under `serve`".
#[test]
fn a_gateway_that_serves_asks_its_witnesses_and_refuses_calls_without_them() {
    let host = Host::new();
    host.alone();
    let mut witness = Witness::of(&host, "w");
    witness.add(&host, "w", false);
    set(
        &host,
        "quorum = 1\nwait_ms = 6000\nrequired = true\nsync = true",
    );
    let mut channel = Channel::open(&host);
    for round in 1..4 {
        let answer = channel.call("invoke", invoke("p.x.nobody", "x", 1_000));
        assert!(
            answer["notes"].as_str().unwrap().contains("not found"),
            "{answer}"
        );
        let said = host
            .say(["--json", "ledger", "checkpoint"])
            .expect(0)
            .json();
        let events = host.events().len();
        assert_eq!(said["size"], json!(events), "round {round}");
    }
    let bundle = channel.call("exportProof", json!({ "run_id": "system" }));
    assert_eq!(bundle["format"], "plugin-gateway-proof/2", "{bundle}");
    let children = children_of(channel.pid());
    let sync: Vec<u32> = children
        .into_iter()
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("plugin-gateway-witness")
        })
        .collect();
    assert_eq!(sync.len(), 1);
    witness.child.kill().unwrap();
    until("a refusal", &mut || {
        let answer = channel.call("invoke", invoke("p.x.nobody", "x", 1_000));
        answer["notes"]
            .as_str()
            .unwrap()
            .starts_with("unwitnessed: 1 witnesses have to cosign")
    });
    // It looks four times a second, and says it in its log then.
    std::thread::sleep(Duration::from_secs(2));
    let kill = nix::sys::signal::Signal::SIGKILL;
    channel.signal(kill);
    until("the end of what it started", &mut || !exists(sync[0]));
    let ended = channel.ended();
    assert!(ended.log.contains("unwitnessed"), "{ended:?}");
}

/// "`proof stamp FILE --tsa URL`, tested against `openssl ts`": an authority that OpenSSL is, and its own check.
#[test]
fn openssl_takes_the_stamps_and_a_stamp_for_something_else_is_refused() {
    if !runs("openssl", "version") {
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let make = crate::auditor::project("tests/tests/proofs/tsa.sh");
    let mut shell = Command::new("sh");
    finish(
        {
            shell.arg(make).arg(folder.path());
            shell
        },
        b"",
    )
    .expect(0);
    let (listener, stops) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        std::sync::Arc::new(()),
    );
    let address = format!("http://{}/tsa", listener.local_addr().unwrap());
    let place = folder.path().to_owned();
    let alive = std::sync::Arc::downgrade(&stops);
    std::thread::spawn(move || {
        for to in listener.incoming().flatten() {
            if alive.upgrade().is_none() {
                return;
            }
            answer_stamp(to, &place);
        }
    });
    let file = folder.path().join("file");
    fs::write(&file, "what was there").unwrap();
    let stamp = |ca: &str| {
        let mut command = Command::new(binary());
        command
            .args(["proof", "stamp"])
            .arg(&file)
            .args(["--tsa", &address]);
        command.arg("--ca").arg(folder.path().join(ca));
        finish(command, b"")
    };
    for ca in ["ca.pem", "tsa.pem"] {
        stamp(ca).expect(0);
        let mut openssl = Command::new("openssl");
        openssl
            .args(["ts", "-verify", "-in"])
            .arg(folder.path().join("file.tsr"));
        openssl
            .arg("-data")
            .arg(&file)
            .arg("-CAfile")
            .arg(folder.path().join("ca.pem"));
        let said = finish(openssl, b"").expect(0);
        assert!(
            said.stdout.contains("OK") || said.stderr.contains("OK"),
            "{said:?}"
        );
    }
    fs::remove_file(folder.path().join("file.tsr")).unwrap();
    let said = stamp("other.pem").expect(3);
    assert!(
        said.stderr.contains("not signed by the one that was named"),
        "{said:?}"
    );
    // The answer to an earlier request, for the same file.
    fs::write(folder.path().join("again"), "").unwrap();
    let said = stamp("ca.pem").expect(3);
    assert!(said.stderr.contains("another request"), "{said:?}");
    fs::write(&file, "something else").unwrap();
    let said = stamp("ca.pem").expect(3);
    assert!(said.stderr.contains("another file"), "{said:?}");
    assert!(!folder.path().join("file.tsr").exists());
    drop(stops);
}

/// Answers one request as a time-stamping authority; with a file `again` there, by the answer before.
fn answer_stamp(mut to: std::net::TcpStream, folder: &Path) {
    let mut reader = BufReader::new(to.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    if !folder.join("again").exists() {
        fs::write(folder.join("query.tsq"), body).unwrap();
        let mut openssl = Command::new("openssl");
        openssl
            .current_dir(folder)
            .args(["ts", "-reply", "-config", "tsa.cnf"]);
        openssl.args(["-queryfile", "query.tsq", "-out", "reply.tsr"]);
        finish(openssl, b"").expect(0);
    }
    let reply = fs::read(folder.join("reply.tsr")).unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        reply.len()
    );
    to.write_all(&[head.as_bytes(), &reply].concat()).unwrap();
}
