//! Keeping and forgetting: lines that are dropped, and hashes that nobody can guess from, as an operator and an auditor meet them.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use campaigns::answers::prompt;
use campaigns::canonical::{hash, sha256};
use campaigns::channel::Channel;
use campaigns::request::{request, text, with};
use campaigns::{Host, Package};
use serde_json::{Value, json};

use crate::auditor::{
    gateway_verdict, outcomes, python_ledger_verdict, python_verdict, python_verifier, runs,
};

fn ask(host: &Host, plugin: &str, run: &str, content: &str) -> Value {
    let request = with(request(text(content)), "/run_id", json!(run));
    let response = host.invoke(plugin, &request).expect(0).json();
    assert_eq!(response["status"], "ok");
    response
}

fn export(host: &Host, run: &str) -> std::path::PathBuf {
    let file = host.folder().join(format!("{run}.proof.json"));
    host.say([
        OsStr::new("proof"),
        OsStr::new("export"),
        OsStr::new(run),
        OsStr::new("--out"),
        file.as_os_str(),
    ])
    .expect(0);
    file
}

fn size(host: &Host) -> u64 {
    let found = host.say(["--json", "ledger", "verify"]).expect(0).json();
    found["events"].as_u64().unwrap()
}

fn both_accept(bundle: &Path, host: &Host) {
    let key = host.state().join("log.pub");
    gateway_verdict(bundle, &key).expect(0);
    if runs("python3", "--version") {
        python_verdict(bundle, &key).expect(0);
    }
}

/// "Drops old segments' lines after a checkpoint that covers them, but keeps tiles and checkpoints, so that old bundles, consistency and the head
/// still verify, and says in an event what it dropped": at rest and beside a gateway at work, which goes on.
#[test]
fn inv_pnp_10_pruned_lines_are_gone_and_everything_that_is_left_still_verifies() {
    const SECRET: &str = "req-that-is-to-be-forgotten";
    let host = Host::new();
    let plugin = host.install(&prompt("p.test.prompt"));
    let forgotten = with(request(text("x")), "/run_id", json!("old"));
    let forgotten = with(forgotten, "/request_id", json!(SECRET));
    host.invoke(&plugin, &forgotten).expect(0);
    let old = export(&host, "old");
    let before = size(&host);
    let dropped = {
        let mut channel = Channel::open(&host);
        let said = ["--json", "ledger", "prune", "--before", &before.to_string()];
        let done = host.say(said).expect(0).json();
        assert_eq!(done["before"], json!(before));
        let call = json!({ "plugin_id": plugin, "request": with(request(text("y")), "/run_id", json!("new")) });
        assert_eq!(channel.call("invoke", call)["status"], "ok");
        let found = channel.call("verifyLedger", json!({}));
        assert_eq!(found["valid"], json!(true), "{found}");
        assert_eq!(found["pruned"]["before"], json!(before));
        // A host decides nothing about the ledger.
        assert_eq!(
            channel.code("operator.prune", json!({ "before": 1 })),
            -32_601
        );
        done["dropped"].as_u64().unwrap()
    };
    assert!(dropped >= 3, "the call and its export");
    let lines = fs::read_dir(host.state().join("ledger/seg")).unwrap();
    let lines: String = lines
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert!(!lines.contains(SECRET));
    let event = host
        .events()
        .into_iter()
        .find(|event| event["meta"]["subject"] == "ledger");
    assert_eq!(
        event.unwrap()["meta"]["dropped"],
        json!(dropped.to_string())
    );
    // Registry, new proofs and old ones.
    assert_eq!(host.row(&plugin)["status"], "enabled");
    both_accept(&old, &host);
    both_accept(&export(&host, "new"), &host);
    for refused in [
        host.say(["proof", "export", "old", "--out", "/dev/null"]),
        host.say(["replay", "old"]),
    ] {
        let refused = refused.expect(1);
        assert!(
            refused.stderr.contains("whose lines were pruned"),
            "{refused:?}"
        );
    }
    for reading in [
        host.say(["ledger", "query", "--run", "old"]),
        host.say(["ledger", "tail"]),
    ] {
        let said = reading.expect(0);
        assert!(said.stderr.contains("this ledger was pruned"), "{said:?}");
    }
    let again = host.say(["ledger", "prune", "--before", "2"]).expect(2);
    assert!(again.stderr.contains("are pruned already"), "{again:?}");
    if !runs("python3", "--version") {
        return;
    }
    let key = host.state().join("log.pub");
    let report = python_ledger_verdict(&host.state(), &key).expect(0).json();
    assert!(outcomes(&report).contains(&("pruned".to_owned(), "pass".to_owned())));
    // Both see what is changed of what is left.
    for name in ["seg/pruned.json", "seg/pruned.ndjson", "tiles/tile/0/000"] {
        let path = host.state().join("ledger").join(name);
        let Ok(good) = fs::read(&path) else {
            // So few events fill no tile: their hashes are in `pruned.json`.
            continue;
        };
        for at in [1, good.len() / 2, good.len() - 2] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            let what = format!("{name} at {at}");
            assert_ne!(host.say(["ledger", "verify"]).code, 0, "{what}");
            assert_ne!(python_ledger_verdict(&host.state(), &key).code, 0, "{what}");
        }
        fs::write(&path, good).unwrap();
    }
    host.verified();
}

fn set_salted(host: &Host) {
    let path = host.state().join("config.toml");
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(path, format!("{before}\n[ledger]\nhashes = \"salted\"\n")).unwrap();
}

/// What the hash of `content` as a text payload is, as the host is told it.
fn plain_hash(content: &str) -> String {
    hash(&json!({ "kind": "text", "content": content, "encoding": "utf-8", "metadata": {} }))
}

/// "So that a four-digit secret cannot be found by trying": with plain hashes it is found in the bundle that an auditor has; with salted ones it
/// is not, until somebody is given the salt. The host is given the plain ones, and `replay` still compares.
#[test]
fn inv_pnp_10_a_four_digit_secret_is_not_found_behind_salted_hashes() {
    const SECRET: &str = "7391";
    let host = Host::new();
    host.alone();
    let full = |package: Package| {
        package.with(|manifest| manifest["evidence"]["log_level"] = json!("full"))
    };
    let plugin = host.install(&full(prompt("p.test.prompt")));
    let found_by_trying = |bundle: &Path| {
        let text = fs::read_to_string(bundle).unwrap();
        let guesses = (0..10_000).map(|guess| format!("{guess:04}"));
        guesses
            .filter(|guess| text.contains(&plain_hash(guess)))
            .collect::<Vec<_>>()
    };
    let plain = ask(&host, &plugin, "plain", SECRET);
    assert_eq!(
        found_by_trying(&export(&host, "plain")),
        [SECRET],
        "plain is found"
    );
    set_salted(&host);
    let salted = ask(&host, &plugin, "salted", SECRET);
    assert_eq!(
        salted["evidence_hashes"], plain["evidence_hashes"],
        "the host is given the plain hashes"
    );
    let bundle = export(&host, "salted");
    assert_eq!(found_by_trying(&bundle), Vec::<String>::new());
    both_accept(&bundle, &host);
    let events = host.events();
    let of_run = events
        .iter()
        .filter(|event| event["run_id"] == "salted" && event["input_hash"] != "");
    assert!(
        of_run.clone().count() == 2
            && of_run
                .clone()
                .all(|event| event["meta"]["hashes"] == "salted")
    );
    assert!(
        events
            .iter()
            .all(|event| event["run_id"] == "salted" || event["meta"].get("hashes").is_none())
    );
    // No file's name tells the hash either.
    let run = host.state().join("evidence/kept").join(sha256("salted"));
    for entry in fs::read_dir(&run).unwrap() {
        let entry = entry.unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        assert!(!entry.file_name().to_string_lossy().contains(&sha256(bytes)));
    }
    // Who is given the salt can check, by either program.
    let salt = fs::read_to_string(run.join("salt")).unwrap();
    let payload = host.folder().join("payload.json");
    fs::write(
        &payload,
        json!({ "kind": "text", "content": SECRET, "encoding": "utf-8", "metadata": {} })
            .to_string(),
    )
    .unwrap();
    let show = |more: &[&str]| {
        let mut words = vec!["--json", "proof", "show"];
        words.extend([
            bundle.to_str().unwrap(),
            "--payload",
            payload.to_str().unwrap(),
        ]);
        words.extend(more);
        host.say(words)
    };
    assert_eq!(show(&[]).expect(1).json()["unsalted"], json!(2));
    let found = show(&["--salt", run.join("salt").to_str().unwrap()])
        .expect(0)
        .json();
    assert_eq!(found["events"].as_array().unwrap().len(), 2, "{found}");
    if runs("python3", "--version") {
        let key = host.state().join("log.pub");
        let words = |more: &[&str]| {
            let mut words = vec![
                "bundle",
                bundle.to_str().unwrap(),
                "--key",
                key.to_str().unwrap(),
            ];
            words.extend(["--payload-hash"]);
            words.extend(more);
            python_verifier(words)
        };
        words(&[&plain_hash(SECRET), "--salt", salt.trim()]).expect(0);
        words(&[&plain_hash("7392"), "--salt", salt.trim()]).expect(1);
        words(&[&plain_hash(SECRET)]).expect(1);
    }
    let replayed = host.say(["--json", "replay", "salted"]).expect(0).json();
    assert_eq!(
        (&replayed["same"], &replayed["different"]),
        (&json!(1), &json!(0)),
        "{replayed}"
    );
    // The salt goes with what is kept, and then nobody can check or guess.
    let erased = host
        .say(["--json", "ledger", "erase", "salted"])
        .expect(0)
        .json();
    assert_eq!(
        (&erased["erased"], &erased["salt"]),
        (&json!(2), &json!(true))
    );
    assert!(!run.exists());
    let replayed = host.say(["--json", "replay", "salted"]).json();
    assert!(
        replayed["calls"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("the salt was erased"),
        "{replayed}"
    );
    both_accept(&bundle, &host);
    host.verified();
}
