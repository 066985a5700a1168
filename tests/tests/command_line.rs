//! The command as people and scripts meet it: exit codes, JSON shapes, messages, help, and input of every bad kind.

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

/// "`init` | makes the state folder …; again: says so, changes nothing"
#[test]
fn inv_pnp_01_init_makes_a_state_once() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("a/b/state");
    let say = |arguments: &[&str]| {
        bare(
            [OsStr::new("--state"), state.as_os_str()]
                .into_iter()
                .chain(arguments.iter().map(OsStr::new)),
        )
    };

    let message = error_of(&say(&["--json", "list"]), 2, "usage");
    assert!(message.contains(state.to_str().unwrap()), "{message}");
    assert!(
        say(&["--json", "list"]).stdout.contains("init"),
        "the hint says what to do"
    );
    let made = say(&["--json", "init"]).expect(0).json();
    assert_eq!(made["created"], true);
    let again = say(&["--json", "init"]).expect(0).json();
    assert_eq!(again["created"], false);
    assert!(say(&["init"]).expect(0).stdout.contains("already"));
    assert_eq!(say(&["--json", "list"]).expect(0).json(), json!([]));
    assert_eq!(
        say(&["--json", "trust", "list"]).expect(0).json(),
        json!([])
    );
    let verified = say(&["--json", "ledger", "verify"]).expect(0).json();
    assert_eq!(
        verified,
        json!({ "valid": true, "events": 0, "bytes": 0, "head": "", "broken_at": null, "reason": "" })
    );
    let mode = fs::metadata(&state).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "the state is its owner's alone");
}

/// "`--state DIR` (default `$PLUGIN_GATEWAY_STATE`, else the XDG state folder)"
#[test]
fn inv_pnp_01_the_state_is_found_where_it_is_said_to_be() {
    let folder = TempDir::new().unwrap();
    let init = |change: &dyn Fn(&mut Command)| {
        let mut command = Command::new(binary());
        command
            .args(["--json", "init"])
            .env_clear()
            .env("HOME", folder.path().join("home"));
        change(&mut command);
        finish(command, b"").expect(0).json()["state"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(init(&|_| {}), path("home/.local/state/plugin-gateway"));
    let xdg = |command: &mut Command| {
        command.env("XDG_STATE_HOME", path("xdg"));
    };
    assert_eq!(init(&xdg), path("xdg/plugin-gateway"));
    let named = |command: &mut Command| {
        xdg(command);
        command.env("PLUGIN_GATEWAY_STATE", path("named"));
    };
    assert_eq!(init(&named), path("named"));
    let given = |command: &mut Command| {
        named(command);
        command.args(["--state", &path("given")]);
    };
    assert_eq!(init(&given), path("given"));
}

/// "Private keys are PKCS#8 PEM files (mode 0600), public keys SPKI PEM (`FILE.pub` beside `FILE`); OpenSSL reads both. A key's id is
/// the first 16 hex digits of SHA-256 of its 32 raw bytes. `plugin.sig` is `{"algorithm":"ed25519","key_id":…,"signature":base64}` over
/// the bytes `plugin-gateway/package/1\n<package digest>\n`."
#[test]
fn inv_pnp_10_keys_and_signatures_are_those_that_openssl_knows() {
    let host = Host::new();
    let key = host.key();
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(
        fs::read_to_string(&key)
            .unwrap()
            .starts_with("-----BEGIN PRIVATE KEY-----\n")
    );
    assert!(
        fs::read_to_string(host.public_key())
            .unwrap()
            .starts_with("-----BEGIN PUBLIC KEY-----\n")
    );
    let folder = host.lay_out(&quiet("p.test.signed"));
    let signed = host
        .say([
            "--json",
            "sign",
            folder.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
        ])
        .expect(0)
        .json();
    let signature: Value =
        serde_json::from_slice(&fs::read(folder.join("plugin.sig")).unwrap()).unwrap();
    assert_eq!(names(&signature), ["algorithm", "key_id", "signature"]);
    assert_eq!(
        (&signature["algorithm"], &signature["key_id"]),
        (&json!("ed25519"), &signed["key_id"])
    );
    let listed = |path: &str, bytes: &[u8], mode: &str| json!({ "path": path, "mode": mode, "sha256": sha256(bytes) });
    let bytes_of = |name: &str| fs::read(folder.join(name)).unwrap();
    let mode = "regular";
    let list = json!([
        listed("plugin.json", &bytes_of("plugin.json"), mode),
        listed("script", &bytes_of("script"), mode)
    ]);
    let digest = signed["package_digest"].as_str().unwrap();
    assert_eq!(digest, hash(&list), "{list}");

    // A second key never lands on the first.
    let said = host.say(["--json", "keygen", "--out", key.to_str().unwrap()]);
    assert!(error_of(&said, 2, "usage").contains("never overwritten"));

    if !Command::new("openssl")
        .arg("version")
        .output()
        .is_ok_and(|out| out.status.success())
    {
        skip("openssl is not installed");
        return;
    }
    let openssl = |arguments: &[&str], files: &[&Path], input: &[u8]| {
        let mut command = Command::new("openssl");
        command.args(arguments).args(files);
        finish(command, input)
    };
    let text = openssl(&["pkey", "-noout", "-text", "-in"], &[&key], b"")
        .expect(0)
        .stdout;
    assert!(text.contains("ED25519"), "{text}");
    let raw_of = |mark: &str| -> Vec<u8> {
        let (_, rest) = text.split_once(mark).unwrap();
        let hex: String = rest
            .lines()
            .skip(1)
            .take_while(|line| line.starts_with(' '))
            .flat_map(|line| line.chars())
            .filter(char::is_ascii_hexdigit)
            .collect();
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    };
    let raw = raw_of("pub:");
    assert_eq!(raw.len(), 32);
    assert_eq!(signature["key_id"], sha256(&raw)[..16]);

    let message = host.folder().join("message");
    fs::write(&message, format!("plugin-gateway/package/1\n{digest}\n")).unwrap();
    let raw_signature = host.folder().join("signature");
    let decoded = openssl(
        &["base64", "-d", "-A", "-out"],
        &[&raw_signature],
        signature["signature"].as_str().unwrap().as_bytes(),
    );
    decoded.expect(0);
    let verify = |message: &Path| {
        let mut command = Command::new("openssl");
        command
            .args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"])
            .arg(host.public_key());
        command
            .arg("-in")
            .arg(message)
            .arg("-sigfile")
            .arg(&raw_signature);
        finish(command, b"").code
    };
    assert_eq!(verify(&message), 0, "OpenSSL verifies it");
    fs::write(&message, format!("plugin-gateway/package/1\n{digest}")).unwrap();
    assert_ne!(verify(&message), 0, "and nothing else");

    // The other way round: a key that OpenSSL made signs here.
    let made = host.folder().join("made.key");
    openssl(&["genpkey", "-algorithm", "ed25519", "-out"], &[&made], b"").expect(0);
    let public = host.folder().join("made.pub");
    let mut command = Command::new("openssl");
    command
        .args(["pkey", "-pubout", "-in"])
        .arg(&made)
        .arg("-out")
        .arg(&public);
    finish(command, b"").expect(0);
    host.say(["trust", "add", public.to_str().unwrap()])
        .expect(0);
    host.say([
        "sign",
        folder.to_str().unwrap(),
        "--key",
        made.to_str().unwrap(),
    ])
    .expect(0);
    host.register(&folder).expect(0);
}

/// "Ed25519": other keys, and files that are no keys, are refused with words. Exit code 1: "invalid".
#[test]
fn inv_pnp_10_what_is_no_key_is_refused() {
    let host = Host::new();
    let folder = host.lay_out(&quiet("p.test.keys"));
    let file = host.folder().join("bad.key");
    let private = fs::read_to_string(host.key()).unwrap();
    let public = fs::read_to_string(host.public_key()).unwrap();
    let cut = |text: &str| text.replacen('M', "", 1);
    let bad = [
        String::new(),
        "hello".to_owned(),
        "\0".repeat(1000),
        cut(&private),
        cut(&public),
        "A".repeat(1 << 20),
    ];
    for content in &bad {
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let said = host.say(["--json", "trust", "add", file.to_str().unwrap()]);
        error_of(&said, 1, "invalid");
        let said = host.say([
            "--json",
            "sign",
            folder.to_str().unwrap(),
            "--key",
            file.to_str().unwrap(),
        ]);
        error_of(&said, 1, "invalid");
    }
    // The halves are not mistaken for one another, and a private key is never taken in.
    error_of(
        &host.say(["--json", "trust", "add", host.key().to_str().unwrap()]),
        1,
        "invalid",
    );
    error_of(
        &host.say([
            "--json",
            "sign",
            folder.to_str().unwrap(),
            "--key",
            host.public_key().to_str().unwrap(),
        ]),
        1,
        "invalid",
    );
    assert!(!folder.join("plugin.sig").exists());
    assert_eq!(
        host.events().len(),
        1,
        "only the first key was ever trusted"
    );
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

/// Whatever comes in as a request: exit code 1 with a message, or 2 for a file that is not there; never a panic, never a hang.
#[test]
fn inv_pnp_10_input_of_every_bad_kind_gives_a_message() {
    let host = Host::new();
    let id = host.install(&quiet("p.test.input"));
    let huge_text = request(text(&"x".repeat(2_000_000)))
        .to_string()
        .into_bytes();
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("text", b"hello".to_vec()),
        ("half", b"{\"kind\":\"text\",".to_vec()),
        ("binary", (0..=255).cycle().take(100_000).collect()),
        ("zeros", vec![0; 100_000]),
        (
            "an endless string",
            [b"\"".to_vec(), vec![b'x'; 3_000_000]].concat(),
        ),
        ("deep", vec![b'['; 3_000_000]),
        ("a huge text", huge_text),
        ("beyond all bounds", vec![b' '; 64 * 1024 * 1024 + 1]),
        ("a number", b"7".to_vec()),
        ("null", b"null".to_vec()),
        ("an array", b"[{}]".to_vec()),
        ("an empty object", b"{}".to_vec()),
        ("a payload of no kind", b"{\"kind\":\"\"}".to_vec()),
        (
            "a manifest",
            campaigns::package::manifest("p.test.x", &["./x"])
                .to_string()
                .into_bytes(),
        ),
    ];
    for (name, bytes) in &bad {
        let said = host
            .say_with(["--json", "invoke", &id, "--input", "-"], bytes)
            .expect(1);
        let document = said.json();
        let message = document
            .pointer("/error/message")
            .or(document.get("notes"))
            .and_then(Value::as_str)
            .unwrap();
        assert!(message.contains("Invalid request"), "{name}: {message}");
        assert!(
            message.len() < 2000,
            "{name}: a message is for people: {}",
            message.len()
        );
        assert!(said.stderr.is_empty(), "{name}: {}", said.stderr);
        let said = host
            .say_with(["invoke", &id, "--input", "-"], bytes)
            .expect(1);
        assert!(!said.stderr.contains("panicked"), "{name}: {said:?}");
    }
    assert!(host.events().iter().all(|event| event["kind"] != "INVOKE"));
    let missing = host.say(["--json", "invoke", &id, "--input", "/does/not/exist"]);
    assert!(error_of(&missing, 2, "usage").contains("/does/not/exist"));
    let folder = host.say(["--json", "invoke", &id, "--input", "/"]);
    assert_ne!(folder.code, 0);
    assert!(
        folder.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("'/'"),
        "{folder:?}"
    );
    host.verified();
}

/// Paths and words that are no UTF-8, or empty, are refused like any other.
#[test]
fn inv_pnp_10_arguments_of_every_bad_kind_give_a_message() {
    let host = Host::new();
    let odd = OsString::from_vec(vec![b'/', 0xff, 0xfe]);
    for verb in ["validate", "register", "run", "show", "enable"] {
        let said = host.say([OsStr::new("--json"), OsStr::new(verb), &odd]);
        assert!((1..=2).contains(&said.code), "{verb}: {said:?}");
        assert!(
            said.stdout.contains("error") && !said.stderr.contains("panicked"),
            "{verb}: {said:?}"
        );
    }
    let long = "a".repeat(100_000);
    for arguments in [
        ["enable", &long],
        ["validate", &long],
        ["register", ""],
        ["show", ""],
        ["validate", ""],
    ] {
        let said = host.say(["--json"].iter().chain(&arguments));
        assert!(
            said.code != 0 && !said.stderr.contains("panicked"),
            "{said:?}"
        );
        let document = said.json();
        assert!(
            !document["error"]["message"].as_str().unwrap().is_empty(),
            "{said:?}"
        );
    }
}

/// Names that strangers chose never move a terminal's cursor.
#[test]
fn inv_pnp_08_foreign_text_does_not_steer_the_terminal() {
    let host = Host::new();
    let id = host.install(
        &quiet("p.test.loud").with(|manifest| manifest["name"] = json!("\u{1b}[2Jgone\r\u{7}")),
    );
    let crash = "echo '\u{1b}]0;title\u{7}' >&2\nexit 3\n";
    let noisy = host.install(&Package::script("p.test.noisy", "sh", crash));
    let request_id = with(request(text("x")), "/request_id", json!("\u{1b}[31m"));
    let file = host.folder().join("request.json");
    fs::write(&file, request_id.to_string()).unwrap();
    let said = [
        host.say(["list"]),
        host.say(["show", &id]),
        host.say(["invoke", &noisy, "--input", file.to_str().unwrap()]),
        host.say(["invoke", "\u{1b}[31m", "--text", "x"]),
        host.say(["ledger", "tail"]),
        host.say(["-v", "invoke", &noisy, "--text", "x"]),
    ];
    let shows_stderr = said.iter().any(|said| said.stderr.contains("title"));
    assert!(
        shows_stderr,
        "\"stderr …: its tail shown by the CLI\": {said:#?}"
    );
    for said in said {
        let all = said.stdout + &said.stderr;
        assert!(
            all.chars()
                .all(|c| c == '\n' || c == '\t' || !c.is_control()),
            "{all:?}"
        );
    }
}

/// "People's words go to stderr or, without `--json`, to stdout"; "`-q`, `-v`".
#[test]
fn inv_pnp_01_words_for_people_and_for_programs_are_kept_apart() {
    let host = Host::new();
    let id = host.install(&Package::script(
        "p.test.talks",
        "sh",
        "echo 'a word on the side' >&2\nexit 3\n",
    ));
    let json = host.say(["--json", "invoke", &id, "--text", "x"]).expect(1);
    json.json();
    assert!(json.stderr.contains("a word on the side"), "{json:?}");
    let plain = host.say(["invoke", &id, "--text", "x"]).expect(1);
    assert!(
        plain.stdout.starts_with("error in ") && plain.stderr.contains("a word on the side"),
        "{plain:?}"
    );
    let quiet = host.say(["-q", "invoke", &id, "--text", "x"]).expect(1);
    assert!(
        quiet.stdout.starts_with("error in ") && quiet.stderr.is_empty(),
        "{quiet:?}"
    );
    let verbose = host.say(["-v", "invoke", &id, "--text", "x"]).expect(1);
    assert!(verbose.stderr.contains("layers: "), "{verbose:?}");
    assert!(
        host.say(["list"]).expect(0).stdout.contains("PLUGIN"),
        "a table with a head"
    );
}

/// A reader that leaves is no failure: "0 done", and nothing is said.
#[test]
fn inv_pnp_10_a_closed_pipe_is_no_failure() {
    let host = Host::new();
    for id in 0..20 {
        host.ask(&format!("p.test.nobody-{id}"), "x");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = host
        .command()
        .args(["--json", "ledger", "tail", "-n", "1000"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut words).unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), words.as_str()),
        (Some(0), "")
    );
}

/// "`trust add|list|remove`": idempotent, and a key that was never trusted cannot be removed: exit code 1, "the answer is no".
#[test]
fn inv_pnp_10_trust_verbs_say_what_changed() {
    let host = Host::new();
    let public = host.public_key();
    let again = host
        .say(["--json", "trust", "add", public.to_str().unwrap()])
        .expect(0)
        .json();
    assert_eq!(
        (&again["trusted"], &again["changed"]),
        (&json!(true), &json!(false))
    );
    let key = again["key_id"].as_str().unwrap().to_owned();
    let removed = host
        .say(["--json", "trust", "remove", &key])
        .expect(0)
        .json();
    assert_eq!(
        (&removed["trusted"], &removed["changed"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        host.say(["--json", "trust", "remove", &key])
            .expect(0)
            .json()["changed"],
        false
    );
    assert_eq!(
        host.say(["--json", "trust", "list"]).expect(0).json()[0]["trusted"],
        false
    );
    error_of(
        &host.say(["--json", "trust", "remove", "0000000000000000"]),
        1,
        "not_found",
    );
    host.verified();
}

/// `run` judges like `register` and `invoke`: a package that is not valid is refused with every finding. Exit code 1.
#[test]
fn inv_pnp_01_run_refuses_what_could_not_be_registered() {
    let host = Host::new();
    let bad = host.lay_out(
        &quiet("p.test.bad").with(|manifest| manifest["capabilities"] = json!(["env_access"])),
    );
    let said = host.say(["--json", "run", bad.to_str().unwrap(), "--text", "x"]);
    assert!(error_of(&said, 1, "invalid").contains("Forbidden capability declared: env_access"));
    let fine = host.lay_out(&quiet("p.test.fine"));
    let said = host.say(["--json", "run", fine.to_str().unwrap(), "--input", "-"]);
    assert!(said.stdout.contains("Invalid request"), "{said:?}");
    let said = host.say_with(
        ["--json", "run", fine.to_str().unwrap(), "--input", "-"],
        data("any/1", json!({})).to_string().as_bytes(),
    );
    assert_eq!(
        (said.code, &said.json()["status"]),
        (1, &json!("rejected")),
        "{said:?}"
    );
}
