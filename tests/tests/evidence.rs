//! What is kept of requests and results, as the manifest's `evidence` says: nothing more, nothing redacted, and not for ever.

use std::fs;
use std::path::{Path, PathBuf};

use campaigns::answers::prompt;
use campaigns::channel::Channel;
use campaigns::program::{Link, c};
use campaigns::request::{request, text, with};
use campaigns::{Host, Package};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A word that no file of a state holds unless a request or a result is kept.
const SECRET: &str = "the-secret-of-the-request";

/// What the echo answers beside the text that it was given.
const ANSWER: &str = "the-word-of-the-answer";

/// Answers with a word of its own and with the text of the request.
fn echo(id: &str, log_level: &str, redactions: &[&str]) -> Package {
    let body = r#"
int main(void) {
    read_line();
    char *at = strstr(line, "\"content\":\"") + 11;
    static char data[1 << 16];
    snprintf(data, sizeof data, "{\"said\":\"%.*s\",\"word\":\"the-word-of-the-answer\"}", (int)strcspn(at, "\""), at);
    answer(data);
}"#;
    Package::native(id, &c(body, Link::Static)).with(|manifest| {
        manifest["evidence"] = json!({ "log_level": log_level, "redactions": redactions });
    })
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => files(&entry.path(), found),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

/// The files of the state that hold this word, but for the packages, whose programs hold words of their own.
fn holding(host: &Host, word: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&host.state(), &mut found);
    assert!(!found.is_empty());
    found.retain(|path| {
        let bytes = fs::read(path).unwrap();
        !path.starts_with(host.state().join("store"))
            && bytes
                .windows(word.len())
                .any(|part| part == word.as_bytes())
    });
    found
}

fn kept(host: &Host) -> usize {
    let folder = host.state().join("evidence/kept");
    let mut found = Vec::new();
    if folder.exists() {
        files(&folder, &mut found);
    }
    found.len()
}

/// Asks in this run, and gives the INVOKE and the closing event.
fn ask(host: &Host, plugin: &str, run: &str, content: &str) -> [Value; 2] {
    let request = with(request(text(content)), "/run_id", json!(run));
    let response = host.invoke(plugin, &request).expect(0).json();
    assert_eq!(response["status"], "ok");
    let mut events = host.events();
    let closing = events.pop().unwrap();
    [events.pop().unwrap(), closing]
}

fn evidence_file(host: &Host, event: &Value, hash: &str) -> PathBuf {
    let run = hex(event["run_id"].as_str().unwrap().as_bytes());
    host.state().join(format!("evidence/kept/{run}/{hash}"))
}

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// "`log_level` = `full`": the whole request and the result, tied to the events by hash.
#[test]
fn inv_pnp_07_full_keeps_request_and_result_and_the_events_lead_to_them() {
    let host = Host::new();
    let plugin = host.install(&echo("p.test.full", "full", &[]));
    let [invoke, result] = ask(&host, &plugin, "run-a", SECRET);
    let link = invoke["meta"]["request_evidence"].as_str().unwrap();
    let bytes = fs::read(evidence_file(&host, &invoke, &format!("{link}.json"))).unwrap();
    assert_eq!(hex(&bytes), link);
    let request: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(request["run_id"], "run-a");
    let payload = plugin_protocol::canonical::bytes(&request["payload"]);
    assert_eq!(hex(&payload), invoke["input_hash"]);
    let link = result["meta"]["result_evidence"].as_str().unwrap();
    let bytes = fs::read(evidence_file(&host, &result, &format!("{link}.json"))).unwrap();
    assert_eq!(hex(&bytes), result["output_hash"]);
    assert_eq!(result["meta"]["output_kind"], "json");
    for event in host.events() {
        let line = event.to_string();
        assert!(
            !line.contains(SECRET) && !line.contains(ANSWER),
            "meta: {line}"
        );
    }
}

/// "`summary`": kinds and sizes, and "`minimal`": hashes alone. No file is made for either.
#[test]
fn inv_pnp_07_summary_and_minimal_keep_no_payload() {
    for (level, facts) in [("summary", true), ("minimal", false)] {
        let host = Host::new();
        let plugin = host.install(&echo("p.test.less", level, &[]));
        let [invoke, result] = ask(&host, &plugin, "run-a", SECRET);
        let size = plugin_protocol::canonical::bytes(&text(SECRET))
            .len()
            .to_string();
        assert_eq!(invoke["meta"]["input_kind"] == "text", facts);
        assert_eq!(invoke["meta"]["input_bytes"] == json!(size), facts);
        assert_eq!(result["meta"]["output_kind"] == "json", facts);
        for event in [&invoke, &result] {
            let names = event["meta"].as_object().unwrap().keys();
            let about: Vec<_> = names
                .filter(|name| {
                    ["input_", "output_", "request_", "result_"]
                        .iter()
                        .any(|part| name.starts_with(part))
                })
                .collect();
            assert_eq!(about.len(), if facts { 2 } else { 0 }, "{level}: {about:?}");
        }
        assert_ne!(invoke["input_hash"], "");
        assert_ne!(result["output_hash"], "");
        assert!(!host.state().join("evidence").exists(), "{level}");
        assert_eq!(holding(&host, SECRET), Vec::<PathBuf>::new(), "{level}");
        assert_eq!(holding(&host, ANSWER), Vec::<PathBuf>::new(), "{level}");
    }
}

/// "`redactions` array of JSON pointers into request and result": what they name is in no file, and the rest says that it is missing.
#[test]
fn inv_pnp_07_what_is_redacted_never_reaches_the_disk() {
    let host = Host::new();
    let open = host.install(&echo("p.test.open", "full", &[]));
    ask(&host, &open, "run-open", SECRET);
    assert_eq!(
        holding(&host, SECRET).len(),
        2,
        "without redactions it is kept"
    );
    let host = Host::new();
    let plugin = host.install(&echo(
        "p.test.shy",
        "full",
        &["/payload/content", "/data/said"],
    ));
    let [invoke, result] = ask(&host, &plugin, "run-a", SECRET);
    assert_eq!(holding(&host, SECRET), Vec::<PathBuf>::new());
    assert_eq!(
        holding(&host, ANSWER).len(),
        1,
        "the rest of the result is kept"
    );
    for (event, part) in [(&invoke, "request"), (&result, "result")] {
        assert_eq!(event["meta"][format!("{part}_redacted")], "1");
        let link = event["meta"][format!("{part}_evidence")].as_str().unwrap();
        let bytes = fs::read(evidence_file(
            &host,
            event,
            &format!("{link}.redacted.json"),
        ))
        .unwrap();
        assert_eq!(hex(&bytes), link);
        assert!(String::from_utf8(bytes).unwrap().contains("[redacted]"));
    }
}

/// Erasing removes what is kept of a run and says so in the ledger; the run's proof stays what it was.
#[test]
fn inv_pnp_07_an_erasure_is_recorded_and_touches_no_other_run() {
    let host = Host::new();
    let plugin = host.install(&echo("p.test.full", "full", &[]));
    ask(&host, &plugin, "run-a", SECRET);
    ask(&host, &plugin, "run-b", SECRET);
    assert_eq!(kept(&host), 4);
    let before = host.events().len();
    let erased = host
        .say(["--json", "ledger", "erase", "run-a"])
        .expect(0)
        .json();
    assert_eq!(
        (&erased["run_id"], &erased["erased"]),
        (&json!("run-a"), &json!(2))
    );
    assert_eq!(kept(&host), 2, "the same bytes of the other run stay");
    let events = host.events();
    assert_eq!(events.len(), before + 1);
    let event = &events[before];
    assert_eq!(event["event_id"], erased["event_id"]);
    assert_eq!(
        (&event["kind"], &event["run_id"], &event["plugin_id"]),
        (&json!("DISABLE"), &json!("system"), &json!(""))
    );
    assert_eq!(
        (&event["meta"]["subject"], &event["meta"]["run"]),
        (&json!("evidence"), &json!("run-a"))
    );
    let again = host
        .say(["--json", "ledger", "erase", "run-a"])
        .expect(0)
        .json();
    assert_eq!(
        (&again["erased"], &again["event_id"]),
        (&json!(0), &json!(""))
    );
    host.say(["ledger", "erase", "run-unknown"]).expect(1);
    host.say(["ledger", "erase", ""]).expect(2);
    let bundle = host.folder().join("bundle");
    let bundle = bundle.to_str().unwrap();
    host.say(["proof", "export", "run-a", "--out", bundle])
        .expect(0);
    let key = host.state().join("log.pub");
    let verified = host.say([
        "--json",
        "proof",
        "verify",
        bundle,
        "--key",
        key.to_str().unwrap(),
    ]);
    assert_eq!(verified.expect(0).json()["valid"], true);
    assert_eq!(
        host.row(&plugin)["status"],
        "enabled",
        "the registry is what it was"
    );
    ask(&host, &plugin, "run-a", "later");
    host.verified();
}

/// "the command's verbs on that state go through it by themselves": erasing beside a gateway at work, which goes on.
#[test]
fn inv_pnp_10_an_operator_erases_beside_a_live_gateway() {
    let host = Host::new();
    let plugin = host.install(&echo("p.test.full", "full", &[]));
    let mut channel = Channel::open(&host);
    let call = json!({ "plugin_id": plugin, "request": request(text(SECRET)) });
    assert_eq!(channel.call("invoke", call.clone())["status"], "ok");
    assert_eq!(holding(&host, SECRET).len(), 2);
    host.say(["ledger", "erase", "run-1"]).expect(0);
    assert_eq!(holding(&host, SECRET), Vec::<PathBuf>::new());
    assert_eq!(channel.call("invoke", call)["status"], "ok");
    assert_eq!(kept(&host), 2, "what came later is kept");
    host.say(["ledger", "erase", "run-unknown"]).expect(1);
    host.verified();
}

/// "never the result": a request that cannot be kept is not shown to the plugin, and a result that cannot be kept not to the host.
#[test]
fn inv_pnp_10_without_evidence_there_is_no_answer() {
    let host = Host::new();
    host.alone();
    let plugin = host.install(&echo("p.test.full", "full", &[]));
    let other = host.install(&prompt("p.test.minimal"));
    // A file where the store wants its folder.
    fs::write(host.state().join("evidence"), "").unwrap();
    let said = host.invoke(&plugin, &request(text("x"))).expect(4);
    assert_eq!(said.json()["error"]["kind"], "ledger", "{said:?}");
    assert!(!said.stdout.contains(ANSWER));
    let kinds: Vec<Value> = host
        .events()
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert!(!kinds.contains(&json!("INVOKE")), "the plugin was not run");
    assert_eq!(
        host.ask(&other, "x")["status"],
        "ok",
        "who keeps nothing needs no store"
    );
    fs::remove_file(host.state().join("evidence")).unwrap();

    // The plugin runs long enough for the store to be taken away between its request and its result.
    let slow = campaigns::answers::slow("p.test.slow", 1_500)
        .with(|manifest| manifest["evidence"]["log_level"] = json!("full"));
    let slow = host.install(&slow);
    let taking = {
        let state = host.state();
        std::thread::spawn(move || {
            let new = state.join("evidence/new");
            let run = state.join(format!("evidence/kept/{}", hex(b"run-1")));
            while !run.is_dir() || fs::read_dir(&run).unwrap().count() == 0 {
                std::thread::yield_now();
            }
            fs::remove_dir(&new).unwrap();
        })
    };
    let said = host.invoke(&slow, &request(text("x"))).expect(4);
    taking.join().unwrap();
    assert_eq!(said.json()["error"]["kind"], "ledger", "{said:?}");
    let closing = host.events().pop().unwrap();
    assert_eq!(
        (&closing["kind"], &closing["output_hash"]),
        (&json!("ERROR"), &json!(""))
    );
    assert_eq!(closing["meta"]["cause"], "evidence");
    fs::create_dir(host.state().join("evidence/new")).unwrap();
    ask(&host, &plugin, "run-a", "again");
    let open = host
        .events()
        .iter()
        .filter(|event| event["meta"]["outcome"] == "unknown")
        .count();
    assert_eq!(open, 0, "no call was left open");
}

fn replay(host: &Host, run: &str, code: i32) -> Value {
    host.say(["--json", "replay", run]).expect(code).json()
}

/// The words with which the run's only call is not replayed.
fn reason(host: &Host, run: &str) -> String {
    let found = replay(host, run, 1);
    assert_eq!(found["not_replayed"], 1, "{found}");
    assert_eq!(found["calls"][0]["outcome"], "not_replayed");
    found["calls"][0]["reason"].as_str().unwrap().to_owned()
}

/// "`replay RUN` runs the run's deterministic requests again and compares output hashes", and writes nothing into the state.
#[test]
fn inv_pnp_03_a_run_is_replayed_from_what_was_kept() {
    let host = Host::new();
    let steady = host.install(&echo("p.test.steady", "full", &[]));
    let fickle = "int main(void) { read_line(); struct timespec now; clock_gettime(CLOCK_REALTIME, &now);
        char data[64]; snprintf(data, sizeof data, \"{\\\"at\\\":%ld}\", now.tv_nsec); answer(data); }";
    let fickle = Package::native("p.test.fickle", &c(fickle, Link::Static))
        .with(|manifest| manifest["evidence"]["log_level"] = json!("full"));
    let fickle = host.install(&fickle);
    ask(&host, &steady, "run-a", "one");
    let [_, result] = ask(&host, &steady, "run-a", "two");
    ask(&host, &fickle, "run-b", "one");
    let before = host.events().len();
    let found = replay(&host, "run-a", 0);
    assert_eq!(
        (&found["same"], &found["different"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(found["calls"][1]["recorded"], result["output_hash"]);
    assert_eq!(found["calls"][1]["replayed"], result["output_hash"]);
    let found = replay(&host, "run-b", 1);
    assert_eq!(found["different"], 1, "{found}");
    assert_eq!(host.events().len(), before, "the state is only read");
    host.say(["replay", "run-unknown"]).expect(1);
}

/// What cannot be replayed is named with its reason.
#[test]
fn inv_pnp_03_what_cannot_be_replayed_says_why() {
    let host = Host::new();
    let install = |package: Package| host.install(&package);
    let minimal = install(echo("p.test.minimal", "minimal", &[]));
    let shy = install(echo("p.test.shy", "full", &["/payload/content"]));
    let chance = install(echo("p.test.chance", "full", &[]).with(|manifest| {
        manifest["determinism"]["mode"] = json!("probabilistic");
    }));
    let full = install(echo("p.test.full", "full", &[]));
    for (plugin, run) in [
        (&minimal, "minimal"),
        (&shy, "shy"),
        (&chance, "chance"),
        (&full, "full"),
        (&full, "changed"),
        (&full, "kept"),
    ] {
        ask(&host, plugin, run, "text");
    }
    assert!(reason(&host, "minimal").contains("not kept"));
    assert!(reason(&host, "shy").contains("redactions"));
    assert!(reason(&host, "chance").contains("not deterministic"));
    host.say(["ledger", "erase", "full"]).expect(0);
    assert!(reason(&host, "full").contains("erased"));
    let folder = host
        .state()
        .join(format!("evidence/kept/{}", hex(b"changed")));
    for entry in fs::read_dir(folder).unwrap() {
        fs::write(entry.unwrap().path(), "{}").unwrap();
    }
    assert!(reason(&host, "changed").contains("not what was kept"));
    let crashing = install(campaigns::answers::crashing("p.test.crash"));
    let request = with(request(text("x")), "/run_id", json!("crash"));
    host.invoke(&crashing, &request).expect(1);
    assert!(reason(&host, "crash").contains("without a result"));
    host.invoke(
        "p.test.unknown",
        &with(request, "/run_id", json!("refused")),
    )
    .expect(1);
    assert!(reason(&host, "refused").contains("before a plugin saw it"));
    replay(&host, "kept", 0);
    host.say(["disable", &full]).expect(0);
    assert!(reason(&host, "kept").contains("not enabled"));
    let newer =
        echo("p.test.full", "full", &[]).with(|manifest| manifest["version"] = json!("1.1.0"));
    let folder = host.signed(&newer);
    host.say(["register", folder.to_str().unwrap(), "--replace"])
        .expect(0);
    assert!(reason(&host, "kept").contains("another package"));
}
