//! Stock clients, from their registries (`scripts/real-packages` gets them): each lists the tools and calls them with the right values.

use std::process::Command;

use campaigns::answers::slow;
use campaigns::command::{binary, finish, real, sample};
use campaigns::{Host, skip, skip_for_registry};
use serde_json::{Value, json};

use super::client::kinds;

/// Lets the client of this name talk, and gives what it was told and the state that it talked to.
fn talk(name: &str, runtime: &str, script: &str) -> Option<(Value, Host)> {
    let folder = real(name);
    if !folder.is_dir() {
        skip_for_registry(&format!("scripts/real-packages did not make '{name}'"));
        return None;
    }
    let package = sample("hello-rust");
    if !package.is_dir() {
        skip("scripts/packages did not make 'hello-rust'");
        return None;
    }
    let host = Host::new();
    let copied = host.folder().join("hello");
    let copying = Command::new("cp")
        .arg("-a")
        .args([&package, &copied])
        .status();
    assert!(copying.unwrap().success());
    host.install_folder(&copied);
    host.install(&slow("p.test.slow", 50_000));
    let mut client = Command::new(runtime);
    client
        .arg(folder.join(script))
        .args(["p_hello_rust", "p_test_slow"]);
    client
        .arg(binary())
        .arg("--state")
        .arg(host.state())
        .arg("mcp");
    let said = finish(client, b"").expect(0).json();
    Some((said, host))
}

/// What every client is told; and two events a call, the one that was taken back among them.
fn is_right(said: &Value, host: &Host) {
    assert_eq!(said["tools"], json!(["p_hello_rust", "p_test_slow"]));
    assert_eq!(said["lengths"], json!([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
    assert_eq!(
        (&said["wrong_arguments"], &said["unknown_tool"]),
        (&json!(true), &json!(-32_602))
    );
    assert_eq!(said["after_cancel"], 2);
    let run = said["receipt"]["run_id"].as_str().unwrap();
    let kinds = kinds(host, run, None);
    let count = |kind: &str| kinds.iter().filter(|found| *found == kind).count();
    assert_eq!(
        (count("INVOKE"), count("RESULT"), count("ERROR")),
        (12, 11, 1),
        "{kinds:?}"
    );
    assert_eq!(kinds.len(), 24);
    assert!(!is_at_work(host), "no process is left when the client goes");
}

/// Whether a process names this state in its arguments; the gateway at work on it is the campaign's own.
pub fn is_at_work(host: &Host) -> bool {
    let state = host.state();
    let state = state.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().map_while(Result::ok);
    let mut arguments =
        processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    arguments.any(|line| {
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(state) && line.contains("\0mcp\0")
    })
}

#[test]
fn inv_pnp_01_the_first_python_sdk_is_served() {
    if let Some((said, host)) = talk("mcp1", "python3", "main.py") {
        assert_eq!(said["revision"], "2025-11-25");
        is_right(&said, &host);
    }
}

#[test]
fn inv_pnp_01_the_second_python_sdk_is_served_with_and_without_a_session() {
    if let Some((said, host)) = talk("mcp2", "python3", "main.py") {
        let revisions = [&said[0]["revision"], &said[1]["revision"]];
        assert_eq!(revisions, [&json!("2026-07-28"), &json!("2025-11-25")]);
        for said in said.as_array().unwrap() {
            is_right(said, &host);
        }
    }
}

#[test]
fn inv_pnp_01_the_second_typescript_sdk_is_served_with_and_without_a_session() {
    if let Some((said, host)) = talk("mcpnode2", "node", "main.mjs") {
        let revisions = [&said[0]["revision"], &said[1]["revision"]];
        assert_eq!(revisions, [&json!("2026-07-28"), &json!("2025-11-25")]);
        for said in said.as_array().unwrap() {
            is_right(said, &host);
        }
    }
}

#[test]
fn inv_pnp_01_the_typescript_sdk_is_served() {
    if let Some((said, host)) = talk("mcpnode", "node", "main.mjs") {
        is_right(&said, &host);
    }
}
