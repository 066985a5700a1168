//! The command as people and scripts meet it: exit codes, JSON shapes, messages, help, and input of every bad kind.

#[path = "command_line/bad_input.rs"]
mod bad_input;
#[path = "command_line/states_and_keys.rs"]
mod states_and_keys;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use campaigns::canonical::{hash, sha256};
use campaigns::command::{binary, finish};
use campaigns::request::{data, request, text, with};
use campaigns::{Host, Package, Said, parrot, skip};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The command alone, without any state of a test.
fn bare<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Said {
    let mut command = Command::new(binary());
    command.env_remove("PLUGIN_GATEWAY_STATE").args(arguments);
    finish(command, b"")
}

fn quiet(id: &str) -> Package {
    Package::script(id, "sh", "exit 1\n")
}

/// The names of an object, sorted.
fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

#[track_caller]
fn error_of(said: &Said, code: i32, kind: &str) -> String {
    assert_eq!(said.code, code, "{said:?}");
    let document = said.json();
    assert_eq!(names(&document), ["error"], "{said:?}");
    assert_eq!(names(&document["error"]), ["hint", "kind", "message"]);
    assert_eq!(document["error"]["kind"], kind, "{said:?}");
    document["error"]["message"].as_str().unwrap().to_owned()
}

const PLUGIN_INFO: [&str; 7] = [
    "capabilities",
    "name",
    "plugin_id",
    "registered_at",
    "signature_valid",
    "status",
    "version",
];
const RESPONSE: [&str; 7] = [
    "duration_ms",
    "evidence_hashes",
    "notes",
    "plugin_id",
    "request_id",
    "result",
    "status",
];
const REPORT: [&str; 4] = ["checked_at", "issues", "manifest_hash", "valid"];

/// Every verb that is built, from the help's own list.
fn verbs() -> Vec<Vec<String>> {
    fn below(words: &[String], found: &mut Vec<Vec<String>>) {
        let said = bare(words.iter().map(String::as_str).chain(["--help"])).expect(0);
        assert!(
            said.stderr.is_empty() && said.stdout.contains("Usage:"),
            "{words:?}: {said:?}"
        );
        let listed = said
            .stdout
            .split_once("Commands:\n")
            .map(|(_, rest)| rest)
            .unwrap_or_default();
        for line in listed.lines().take_while(|line| !line.is_empty()) {
            let Some(name) = line
                .strip_prefix("  ")
                .filter(|line| !line.starts_with(' '))
            else {
                continue;
            };
            let name = name.split_whitespace().next().unwrap();
            let words: Vec<String> = words.iter().cloned().chain([name.to_owned()]).collect();
            if name != "help" {
                below(&words, found);
                found.push(words);
            }
        }
    }
    let mut found = Vec::new();
    below(&[], &mut found);
    found
}

/// Help is an answer: exit code 0, on stdout, for every verb; and it says what the exit codes mean.
#[test]
fn inv_pnp_01_every_verb_has_help() {
    let found = verbs();
    let joined: Vec<String> = found.iter().map(|words| words.join(" ")).collect();
    for verb in [
        "init",
        "doctor",
        "keygen",
        "sign",
        "trust add",
        "trust list",
        "trust remove",
        "validate",
        "register",
        "enable",
        "disable",
        "list",
        "show",
        "invoke",
        "run",
        "ledger verify",
        "ledger tail",
        "ledger query",
    ] {
        assert!(
            joined.iter().any(|found| found == verb),
            "{verb} is missing: {joined:?}"
        );
    }
    // Lines are broken where they fit the terminal.
    let help = bare(["--help"]).expect(0).stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in [
        "0 done",
        "1 the answer is no",
        "2 wrong usage",
        "3 refused by policy or trust",
        "4 the gateway itself failed",
        "--state",
        "--json",
        "--quiet",
        "--verbose",
    ] {
        assert!(help.contains(word), "{word} is missing: {help}");
    }
    assert_eq!(bare(["-h"]).expect(0).stderr, "");
    assert!(
        bare(["--version"])
            .expect(0)
            .stdout
            .starts_with("plugin-gateway ")
    );
}

/// "2 wrong usage": with words on stderr and nothing on stdout, or with one JSON document.
#[test]
fn inv_pnp_01_wrong_usage_is_told_apart() {
    let wrong: [&[&str]; 18] = [
        &[],
        &["fly"],
        &["--fly"],
        &["list", "--fly"],
        &["list", "more"],
        &["enable"],
        &["enable", "a", "b"],
        &["keygen"],
        &["sign", "package"],
        &["trust"],
        &["trust", "add"],
        &["ledger"],
        &["ledger", "tail", "-n", "many"],
        &["ledger", "query", "--kind", "LUNCH"],
        &["invoke", "p.test.x", "--text", "x", "--input", "y"],
        &["invoke", "p.test.x", "--text", "x", "--timeout-ms", "soon"],
        &["invoke", "p.test.x", "--text", "x", "--retries", "999"],
        &["-q", "-v", "list"],
    ];
    for arguments in wrong {
        let said = bare(arguments).expect(2);
        assert!(
            said.stdout.is_empty() && !said.stderr.is_empty(),
            "{arguments:?}: {said:?}"
        );
        let said = bare(["--json"].iter().chain(arguments));
        error_of(&said, 2, "usage");
        assert!(said.stderr.is_empty(), "{arguments:?}: {said:?}");
    }
    // What only the verb itself can judge.
    let host = Host::new();
    let wrong: [&[&str]; 8] = [
        &["enable", "NO ID"],
        &["disable", "../x"],
        &["show", ""],
        &["trust", "remove", "xyz"],
        &["trust", "add", "/does/not/exist"],
        &["register", "/does/not/exist"],
        &["invoke", "p.test.x"],
        &["ledger", "query", "--since", "yesterday"],
    ];
    for arguments in wrong {
        let said = host.say(["--json"].iter().chain(arguments));
        assert!(!error_of(&said, 2, "usage").is_empty(), "{arguments:?}");
        let said = host.say(arguments).expect(2);
        assert!(
            said.stdout.is_empty() && said.stderr.starts_with("error: "),
            "{said:?}"
        );
    }
}

/// "`validate` prints a ValidationReport": "`ValidationReport {valid, issues[{field, message, severity: error|warning|info}], manifest_hash, checked_at}`"
#[test]
fn inv_pnp_04_validate_prints_a_report() {
    let host = Host::new();
    let folder = host.lay_out(
        &quiet("p.test.fine").with(|manifest| manifest["limits"]["max_ms"] = json!(90_000)),
    );
    let file = folder.join("plugin.json");
    for path in [&folder, &file] {
        let report = host
            .say(["--json", "validate", path.to_str().unwrap()])
            .expect(0)
            .json();
        assert_eq!(names(&report), REPORT);
        assert_eq!(report["valid"], true, "{report}");
        let manifest: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(report["manifest_hash"], hash(&manifest).as_str());
        let issues = report["issues"].as_array().unwrap();
        assert!(
            issues
                .iter()
                .all(|issue| names(issue) == ["field", "message", "severity"])
        );
        assert!(
            issues
                .iter()
                .any(|issue| issue["severity"] == "warning" && issue["field"] == "/limits/max_ms"),
            "{report}"
        );
    }
    let words = host
        .say(["validate", file.to_str().unwrap()])
        .expect(0)
        .stdout;
    assert!(
        words.contains("warning: /limits/max_ms: ") && words.contains("valid, manifest "),
        "{words}"
    );

    let bad = host.lay_out(&quiet("P.BAD").with(|manifest| {
        manifest["capabilities"][0] = json!("network_access");
        manifest["limits"]["max_concurrency"] = json!(0);
        manifest["colour"] = json!("red");
    }));
    let report = host
        .say(["--json", "validate", bad.to_str().unwrap()])
        .expect(1)
        .json();
    for field in [
        "/plugin_id",
        "/capabilities/0",
        "/limits/max_concurrency",
        "/colour",
    ] {
        assert!(
            report["issues"]
                .as_array()
                .unwrap()
                .iter()
                .any(|issue| issue["field"] == field),
            "all at once, {field} too: {report}"
        );
    }
    let words = host
        .say(["validate", bad.to_str().unwrap()])
        .expect(1)
        .stdout;
    assert!(words.ends_with("not valid\n"), "{words}");
    error_of(
        &host.say(["--json", "validate", "/does/not/exist"]),
        2,
        "usage",
    );
    let empty = TempDir::new().unwrap();
    assert!(
        error_of(
            &host.say(["--json", "validate", empty.path().to_str().unwrap()]),
            1,
            "invalid"
        )
        .contains("plugin.json")
    );
}

/// "`register`, `show` a PluginInfo (`show` with manifest, digests, isolation); `list` an array of PluginInfo; `invoke`, `run` a PluginResponse;
/// `ledger verify` `{valid, events, bytes, head, broken_at, reason}`; `doctor` `{ok, checks[{name, layer, required, enforced, detail, remedy}]}`"
#[test]
fn inv_pnp_01_json_answers_have_the_contracts_shapes() {
    let host = Host::new();
    let folder = host.signed(&parrot::package("p.test.parrot"));
    let said = host.register(&folder).expect(0);
    assert_eq!(names(&said.json()), PLUGIN_INFO);
    assert_eq!(said.stdout.lines().count(), 1, "one document");
    for verb in ["enable", "disable", "enable"] {
        assert_eq!(
            names(&host.say(["--json", verb, "p.test.parrot"]).expect(0).json()),
            PLUGIN_INFO
        );
    }
    let list = host.say(["--json", "list"]).expect(0).json();
    assert_eq!(
        list.as_array()
            .unwrap()
            .iter()
            .map(names)
            .collect::<Vec<_>>(),
        [PLUGIN_INFO]
    );
    let shown = host
        .say(["--json", "show", "p.test.parrot"])
        .expect(0)
        .json();
    for name in
        PLUGIN_INFO
            .iter()
            .chain(&["manifest", "manifest_hash", "package_digest", "isolation"])
    {
        assert!(shown.get(*name).is_some(), "{name}: {shown}");
    }
    assert!(!shown["isolation"].as_array().unwrap().is_empty());

    let answer = parrot::answer("request-1", "ok", &text("fine"), "");
    let asked = request(parrot::saying(answer));
    let said = host.invoke("p.test.parrot", &asked).expect(0);
    let response = said.json();
    assert_eq!(names(&response), RESPONSE);
    assert_eq!(
        names(&response["evidence_hashes"]),
        ["input_hash", "output_hash"]
    );
    assert_eq!(
        (&response["request_id"], &response["plugin_id"]),
        (&json!("request-1"), &json!("p.test.parrot"))
    );
    assert_eq!(said.stderr, "");
    let input = host.folder().join("request.json");
    fs::write(&input, asked.to_string()).unwrap();
    let run = host
        .say([
            "--json",
            "run",
            folder.to_str().unwrap(),
            "--input",
            input.to_str().unwrap(),
        ])
        .expect(0);
    assert_eq!(names(&run.json()), RESPONSE);
    assert_eq!(run.json()["result"], response["result"]);

    let doctor = host.say(["--json", "doctor"]);
    let health = doctor.json();
    assert_eq!(names(&health), ["checks", "ok"]);
    assert_eq!(doctor.code, i32::from(health["ok"] != true));
    for check in health["checks"].as_array().unwrap() {
        assert_eq!(
            names(check),
            ["detail", "enforced", "layer", "name", "remedy", "required"]
        );
    }
    assert!(health["checks"].as_array().unwrap().len() > 5, "{health}");
    let mut checks = health["checks"].as_array().unwrap().iter();
    let shell = checks.find(|check| check["name"] == "interpreter for sh");
    assert_eq!(shell.unwrap()["enforced"], true, "{health}");
    let verified = host.say(["--json", "ledger", "verify"]).expect(0).json();
    assert_eq!(
        names(&verified),
        ["broken_at", "bytes", "events", "head", "reason", "valid"]
    );
    let key = host.say(["--json", "trust", "list"]).expect(0).json();
    assert_eq!(key[0]["trusted"], true);
}

/// "0 done · 1 the answer is no (`rejected`, `error`, `timeout`, …)"
#[test]
fn inv_pnp_01_exit_codes_follow_the_status() {
    let host = Host::new();
    let id = host.install(&parrot::package("p.test.parrot"));
    for (line, code, status) in [
        (parrot::answer("request-1", "ok", &text("x"), ""), 0, "ok"),
        (
            parrot::answer("request-1", "rejected", &Value::Null, "no"),
            1,
            "rejected",
        ),
        (
            parrot::answer("request-1", "error", &Value::Null, "no"),
            1,
            "error",
        ),
    ] {
        let said = host
            .invoke(&id, &request(parrot::saying(line)))
            .expect(code);
        assert_eq!(said.json()["status"], status);
    }
}

/// "`invoke ID` | `--text STR`, `--input FILE|-` (a payload, or a whole request), `--run ID`, `--timeout-ms N`, `--deterministic-only`, `--retries N`"
#[test]
fn inv_pnp_01_invoke_takes_a_text_a_payload_or_a_request() {
    let host = Host::new();
    let id = host.install(&quiet("p.test.options"));
    let input_hash = |said: &Said| said.json()["evidence_hashes"]["input_hash"].clone();
    let payload = text("häl\"lo\n");
    let by_text = host
        .say(["--json", "invoke", &id, "--text", "häl\"lo\n"])
        .expect(1);
    assert_eq!(input_hash(&by_text), hash(&payload).as_str());
    let by_payload = host.invoke(&id, &payload).expect(1);
    assert_eq!(input_hash(&by_payload), hash(&payload).as_str());
    let file = host.folder().join("request.json");
    fs::write(&file, request(payload.clone()).to_string()).unwrap();
    let by_request = host
        .say([
            "--json",
            "invoke",
            &id,
            "--input",
            file.to_str().unwrap(),
            "--run",
            "another",
            "--retries",
            "2",
            "--timeout-ms",
            "9000",
        ])
        .expect(1);
    assert_eq!(input_hash(&by_request), hash(&payload).as_str());
    assert_eq!(by_request.json()["request_id"], "request-1");
    let events = host.events();
    let another = events.iter().filter(|event| event["run_id"] == "another");
    assert_eq!(
        another.filter(|event| event["kind"] == "INVOKE").count(),
        3,
        "the run and the retries of the command line"
    );
    // Each call without names of its own gets new ones.
    let again = host
        .say(["--json", "invoke", &id, "--text", "x"])
        .expect(1)
        .json();
    assert_ne!(again["request_id"], by_text.json()["request_id"]);
    // The policy's bounds hold for options too.
    for options in [
        ["--retries", "6"],
        ["--timeout-ms", "99"],
        ["--run", "system"],
        ["--run", ""],
    ] {
        let said = host
            .say(
                ["--json", "invoke", &id, "--text", "x"]
                    .iter()
                    .chain(&options),
            )
            .expect(1);
        assert!(
            said.json()["notes"]
                .as_str()
                .unwrap()
                .contains("Invalid request"),
            "{options:?}: {said:?}"
        );
    }
}
