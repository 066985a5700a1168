//! Mistakes with the order of verbs, and with what a verb is given.

use std::fs;
use std::process::Command;

use campaigns::answers::prompt;
use campaigns::command::{binary, finish};
use campaigns::{Host, Said};
use serde_json::json;
use tempfile::TempDir;

use super::Row;

#[test]
fn inv_pnp_10_verbs_in_the_wrong_order_are_told_with_the_next_command() {
    super::told(rows());
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = order();
    rows.extend(requests());
    rows
}

/// Signs and registers a package of this id.
fn registered(host: &Host, id: &str) {
    let folder = host.signed(&prompt(id));
    host.say(["register", folder.to_str().unwrap()]).expect(0);
}

/// Asks a plugin of this id.
fn ask(host: &Host, id: &str) -> Said {
    host.say(["invoke", id, "--text", "x"])
}

/// Registers version 1.0.0 and enables it, then offers this version with `--replace`.
fn replaced(host: &Host, id: &str, version: &'static str) -> Said {
    host.install(&prompt(id));
    let next = prompt(id).with(|manifest| manifest["version"] = json!(version));
    let folder = host.signed(&next);
    host.say(["register", "--replace", folder.to_str().unwrap()])
}

/// Registers a package that nobody signed, which is recorded as rejected.
fn rejected(host: &Host, id: &str) {
    let folder = host.lay_out(&prompt(id));
    host.say(["register", folder.to_str().unwrap()]).expect(3);
}

fn order() -> Vec<Row> {
    vec![
        Row::verbs(
            "invoke before register",
            1,
            |host| ask(host, "p.verb.nobody"),
            "'p.verb.nobody' not found",
            "`plugin-gateway register PACKAGE`",
        ),
        Row::verbs(
            "invoke before enable",
            1,
            |host| {
                registered(host, "p.verb.off");
                ask(host, "p.verb.off")
            },
            "is not enabled (registered)",
            "`plugin-gateway enable p.verb.off`",
        ),
        Row::verbs(
            "invoke after disable",
            1,
            |host| {
                host.install(&prompt("p.verb.disabled"));
                host.say(["disable", "p.verb.disabled"]).expect(0);
                ask(host, "p.verb.disabled")
            },
            "is not enabled (disabled)",
            "`plugin-gateway enable p.verb.disabled`",
        ),
        Row::verbs(
            "invoke of what was rejected",
            1,
            |host| {
                rejected(host, "p.verb.rejected");
                ask(host, "p.verb.rejected")
            },
            "is not enabled (rejected)",
            "`plugin-gateway show p.verb.rejected`",
        ),
        Row::verbs(
            "enable of what was rejected",
            3,
            |host| {
                rejected(host, "p.verb.refused");
                host.say(["enable", "p.verb.refused"])
            },
            "Cannot enable rejected plugin",
            "`plugin-gateway show p.verb.refused`",
        ),
        Row::verbs(
            "disable of what was rejected",
            3,
            |host| {
                rejected(host, "p.verb.never");
                host.say(["disable", "p.verb.never"])
            },
            "Cannot disable rejected plugin",
            "`plugin-gateway show p.verb.never`",
        ),
        Row::verbs(
            "enable of an unknown id",
            1,
            |host| host.say(["enable", "p.verb.unknown"]),
            "Plugin not found: 'p.verb.unknown'",
            "`plugin-gateway register PACKAGE`",
        ),
        Row::verbs(
            "disable of an unknown id",
            1,
            |host| host.say(["disable", "p.verb.unknown"]),
            "Plugin not found: 'p.verb.unknown'",
            "`plugin-gateway list`",
        ),
        Row::verbs(
            "show of an unknown id",
            1,
            |host| host.say(["show", "p.verb.unknown"]),
            "Plugin not found: 'p.verb.unknown'",
            "`plugin-gateway list`",
        ),
        Row::verbs(
            "enable of a folder",
            2,
            |host| host.say(["enable", "./hello"]),
            "plugin_id './hello' is not valid",
            "`plugin-gateway list` shows the ids",
        ),
        Row::verbs(
            "register twice",
            3,
            |host| {
                registered(host, "p.verb.twice");
                let folder = host.signed(&prompt("p.verb.twice"));
                host.say(["register", folder.to_str().unwrap()])
            },
            "Plugin already registered: 'p.verb.twice' holds version 1.0.0",
            "`plugin-gateway register --replace PACKAGE`",
        ),
        Row::verbs(
            "a replacement of the same version",
            3,
            |host| replaced(host, "p.verb.same", "1.0.0"),
            "1.0.0 is not higher",
            "raise `version` in plugin.json",
        ),
        Row::verbs(
            "a replacement that leaves the plugin off",
            0,
            |host| replaced(host, "p.verb.next", "1.1.0"),
            "p.verb.next 1.1.0 registered",
            "`plugin-gateway enable p.verb.next`",
        ),
        Row::verbs(
            "enable after the key lost its trust",
            3,
            |_| {
                // A state of its own: the others need the key.
                let host = Host::new();
                host.install(&prompt("p.verb.orphan"));
                let keys = host.say(["--json", "trust", "list"]).expect(0).json();
                let id = keys[0]["key_id"].as_str().unwrap();
                host.say(["trust", "remove", id]).expect(0);
                host.say(["enable", "p.verb.orphan"])
            },
            "is no longer trusted",
            "`plugin-gateway trust add FILE.pub`",
        ),
        Row::verbs(
            "a state that was never made",
            2,
            |host| {
                let state = host.folder().join("nowhere");
                let mut command = Command::new(binary());
                command.arg("--state").arg(state).arg("list");
                finish(command, b"")
            },
            "there is no state in",
            "nowhere init`",
        ),
        Row::verbs(
            "an unknown plugin in a pipeline",
            1,
            |host| {
                host.say([
                    "pipeline",
                    "--plugins",
                    "p.verb.lost",
                    "--strategy",
                    "sequential",
                    "--text",
                    "x",
                ])
            },
            "'p.verb.lost' not found",
            "`plugin-gateway register PACKAGE`",
        ),
        Row::verbs(
            "a proof of a run that never was",
            1,
            |host| {
                let out = host.folder().join("proof.json");
                host.say([
                    "proof",
                    "export",
                    "no-such-run",
                    "--out",
                    out.to_str().unwrap(),
                ])
            },
            "run 'no-such-run' has no events",
            "`plugin-gateway ledger tail`",
        ),
        Row::verbs(
            "a replay of a run that never was",
            1,
            |host| host.say(["replay", "no-such-run"]),
            "run 'no-such-run' has no events",
            "`plugin-gateway ledger tail`",
        ),
        Row::verbs(
            "a verb with a slip of the pen",
            2,
            |host| host.say(["regsiter", "x"]),
            "unrecognized subcommand 'regsiter'",
            "'register'",
        ),
        Row::verbs(
            "an option with a slip of the pen",
            2,
            |host| host.say(["invoke", "p.verb.x", "--txt", "x"]),
            "unexpected argument '--txt'",
            "'--text'",
        ),
    ]
}

fn requests() -> Vec<Row> {
    vec![
        Row::verbs(
            "a call without a payload",
            2,
            |host| host.say(["invoke", "p.verb.x"]),
            "payload",
            "--text",
        ),
        Row::verbs(
            "another kind of payload than the plugin takes",
            1,
            |host| {
                host.install(&prompt("p.verb.kind"));
                let payload = json!({ "kind": "json", "schema_ref": "a/1", "data": {} });
                let input = payload.to_string();
                host.say_with(["invoke", "p.verb.kind", "--input", "-"], input.as_bytes())
            },
            "'json'",
            "io.inputs",
        ),
        Row::verbs(
            "a payload that is no JSON",
            1,
            |host| host.say_with(["invoke", "p.verb.x", "--input", "-"], b"hello"),
            "not valid JSON",
            "--text",
        ),
        Row::verbs(
            "a payload that is a bare object",
            1,
            |host| {
                host.install(&prompt("p.verb.bare"));
                host.say_with(["invoke", "p.verb.bare", "--input", "-"], b"{\"a\":1}")
            },
            "Invalid request",
            "kind",
        ),
        Row::verbs(
            "a payload's file that is not there",
            2,
            |host| host.say(["invoke", "p.verb.x", "--input", "/nowhere.json"]),
            "/nowhere.json",
            "`-`",
        ),
        Row::verbs(
            "a text that is too large",
            1,
            |host| {
                host.install(&prompt("p.verb.large"));
                let file = TempDir::new_in(host.folder())
                    .unwrap()
                    .keep()
                    .join("large.txt");
                fs::write(&file, "x".repeat(70_000)).unwrap();
                host.say([
                    "invoke",
                    "p.verb.large",
                    "--text-file",
                    file.to_str().unwrap(),
                ])
            },
            "65536",
            "max_bytes",
        ),
        Row::verbs(
            "too many retries",
            1,
            |host| {
                host.install(&prompt("p.verb.retries"));
                host.say(["invoke", "p.verb.retries", "--text", "x", "--retries", "9"])
            },
            "it is 9",
            "0 to 5",
        ),
        Row::verbs(
            "a plugin that promises nothing",
            1,
            |host| {
                let package = prompt("p.verb.dice");
                host.install(&package.with(|manifest| {
                    manifest["determinism"]["mode"] = json!("probabilistic");
                }));
                host.say([
                    "invoke",
                    "p.verb.dice",
                    "--text",
                    "x",
                    "--deterministic-only",
                ])
            },
            "is probabilistic",
            "drop deterministic_only",
        ),
    ]
}
