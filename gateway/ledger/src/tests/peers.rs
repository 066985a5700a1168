//! Witnesses of others' making: they cosign what is made here, and take what is cosigned here.

use std::process::Command;

use serde_json::{Value, json};

use super::*;
use crate::tree::is_consistent;
use crate::witness::{Answer, Submission, attend, new_cosigner};
use crate::{LogKey, Policy};

/// As many as the issue asks for.
const CHECKPOINTS: u64 = 1_000;

/// A folder with PyPI's `aics-witness`, or none where the registry does not give it.
fn aics(folder: &Path) -> bool {
    let mut pip = Command::new("timeout");
    pip.args(["60", "python3", "-m", "pip", "install", "--quiet"]);
    pip.args(["--ignore-requires-python", "--disable-pip-version-check"]);
    pip.args([
        "--root-user-action=ignore",
        "aics-witness==0.1.0",
        "aics-tlog==0.2.1",
    ]);
    let installed = pip.arg("--target").arg(folder).output();
    match installed {
        Ok(out) if out.status.success() => true,
        Ok(out) => {
            let why = String::from_utf8_lossy(&out.stderr).trim().to_owned();
            skip::skip_for_registry(&format!("pip gets no aics-witness: {why}"));
            false
        }
        Err(error) => {
            skip::skip(&format!("pip cannot be started: {error}"));
            false
        }
    }
}

/// "PyPI `aics-witness` and `aics-tlog` cosign and verify 1,000 successive checkpoints unchanged", over HTTP.
#[test]
fn another_witness_cosigns_a_thousand_checkpoints_and_takes_as_many_of_ours() {
    let made = tempfile::tempdir().unwrap();
    if !aics(made.path()) {
        return;
    }
    let state = fresh();
    let text = std::fs::read_to_string(state.path().join("log.vkey")).unwrap();
    let log = LogKey::parse(&text).unwrap();
    let (cosigner, _) = new_cosigner("witness.example/ours").unwrap();
    let (ledger, _) = open(state.path());
    let mut latest: Option<String> = None;
    let mut rows = Vec::new();
    for size in 0..CHECKPOINTS {
        ledger
            .record(draft(EventKind::Reject, "run", &size.to_string()))
            .unwrap();
        ledger.checkpoint().unwrap();
        let mut submission = Submission::newest(state.path()).unwrap().unwrap();
        let request = submission.request(size).unwrap().unwrap();
        let found = |_: &str| latest.clone();
        let logs = std::slice::from_ref(&log);
        let answer = attend(&cosigner, logs, &found, &request, 1_769_817_600 + size);
        let Answer::Cosigned { note, .. } = answer else {
            panic!("{answer:?}: {request}");
        };
        latest = Some(note.clone());
        rows.push(json!({ "request": request, "note": note }));
    }
    let asked = json!({ "log": text.trim(), "ours": cosigner.public().vkey(), "rows": rows });
    let file = made.path().join("asked.json");
    std::fs::write(&file, asked.to_string()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/peers.py");
    let mut python = Command::new("timeout");
    python.args(["120", "python3", "-B", script]).arg(&file);
    let out = python.env("PYTHONPATH", made.path()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    let answered: Value = serde_json::from_slice(&out.stdout).unwrap();
    let theirs = answered["vkey"].as_str().unwrap();
    let ours = cosigner.public().vkey();
    let policy = format!("witness a {theirs}\nwitness b {ours}\ngroup g all a b\nquorum g\n");
    let policy = Policy::parse(&policy).unwrap();
    let lines = answered["lines"].as_array().unwrap();
    assert_eq!(lines.len() as u64, CHECKPOINTS);
    for (row, line) in rows.iter().zip(lines) {
        let both = format!(
            "{}{}",
            row["note"].as_str().unwrap(),
            line.as_str().unwrap()
        );
        assert!(policy.judge(&both).unwrap().reached, "{both}");
        assert!(log.open_cosigned(&both).is_ok(), "{both}");
    }
    assert!(
        !is_consistent((1, &[0; 32]), (2, &[0; 32]), &[]),
        "the check can say no"
    );
}
