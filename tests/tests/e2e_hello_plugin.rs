//! End to end: the sample plugins in every language, from their package to an answer and a ledger that holds.
//!
//! The packages come from `scripts/packages`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use campaigns::canonical::hash;
use campaigns::command::{binary, finish, sample};
use campaigns::program::{Link, c};
use campaigns::request::{data, request, text};
use campaigns::{Host, Package, skip};
use serde_json::json;
use tempfile::TempDir;

/// Whether a program of that name is on the path.
fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The built package `name`, or none where the language's program `needs` is not installed; the reason is then printed.
fn built(name: &str, needs: &str) -> Option<PathBuf> {
    let package = sample(name);
    if package.join("plugin.json").is_file() {
        return Some(package);
    }
    assert!(
        !installed(needs),
        "{} is missing though {needs} is installed: run scripts/packages",
        package.display()
    );
    skip(&format!("{name} is not built: {needs} is not installed"));
    None
}

/// A copy of the package that can be signed.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn kinds(host: &Host) -> Vec<String> {
    let events = host.events();
    let kinds = events.iter().map(|event| event["kind"].as_str().unwrap());
    kinds.map(str::to_owned).collect()
}

/// The whole way of one hello plugin.
fn hello(name: &str, needs: &str) {
    let Some(package) = built(name, needs) else {
        return;
    };
    let host = Host::new();
    let folder = host.folder().join(name);
    copy(&package, &folder);
    host.sign(&folder);
    let info = host.register(&folder).expect(0).json();
    let id = info["plugin_id"].as_str().unwrap();
    assert_eq!(
        (info["status"].as_str(), info["signature_valid"].as_bool()),
        (Some("registered"), Some(true))
    );

    assert_eq!(host.ask(id, "too early")["status"], "rejected");
    host.say(["enable", id]).expect(0);
    let words = "Grüße an 日本 и мир";
    let response = host.ask(id, words);
    assert_eq!(response["status"], "ok", "{response}");
    assert_eq!(response["plugin_id"], id);
    let result = &response["result"];
    assert_eq!(
        (&result["kind"], &result["schema_ref"]),
        (&json!("json"), &json!("hello/1"))
    );
    let counted = &result["data"];
    assert!(
        counted["greeting"].as_str().unwrap().starts_with("Hello"),
        "{counted}"
    );
    assert_eq!(counted["word_count"], 5, "{counted}");
    assert_eq!(counted["original_length"], 17, "{counted}");
    let hashes = &response["evidence_hashes"];
    assert_eq!(hashes["input_hash"], hash(&text(words)).as_str());
    assert_eq!(hashes["output_hash"], hash(result).as_str());

    // A plugin's own no, and a kind that it does not take.
    let empty = host.ask(id, "");
    assert_eq!(empty["status"], "rejected", "{empty}");
    let other = host.invoke(id, &data("any/1", json!({}))).expect(1).json();
    assert_eq!(other["status"], "rejected", "{other}");

    host.say(["disable", id]).expect(0);
    let late = host.ask(id, "too late");
    assert!(
        late["notes"].as_str().unwrap().contains("not enabled"),
        "{late}"
    );
    assert_eq!(
        kinds(&host),
        [
            "ENABLE", "REGISTER", "REJECT", "ENABLE", "INVOKE", "RESULT", "INVOKE", "REJECT",
            "REJECT", "DISABLE", "REJECT"
        ],
        "trusted, registered, asked too early, enabled, asked, refused by the plugin, refused by kind, disabled, asked too late"
    );
    assert_eq!(host.verified(), 11);
}

/// "The gateway starts the plugin with an **empty environment**, an empty working directory, stdin, stdout, stderr, and nothing else."
#[test]
fn inv_pnp_05_hello_from_rust_end_to_end() {
    hello("hello-rust", "cargo");
}

/// The same in C.
#[test]
fn inv_pnp_05_hello_from_c_end_to_end() {
    hello("hello-c", "cc");
}

/// The same in Python: "`command[0]` is … one of the operator's runtimes (`python3`, `node`, …) followed by a path inside the package".
#[test]
fn inv_pnp_05_hello_from_python_end_to_end() {
    hello("hello-python", "python3");
}

/// The same under Node.
#[test]
fn inv_pnp_05_hello_from_node_end_to_end() {
    hello("hello-node", "node");
}

/// The same in the shell.
#[test]
fn inv_pnp_05_hello_from_the_shell_end_to_end() {
    hello("hello-sh", "sh");
}

/// "or the older form `{"type":"worker",…}`, which runs the exported JavaScript function under Node in the same sandbox"
#[test]
fn inv_pnp_05_hello_from_a_worker_end_to_end() {
    hello("hello-worker", "node");
}

/// Programs that answer with how many environment variables they have, each with the variables that it is given outside.
fn counting() -> Vec<(&'static str, Package, [&'static str; 2])> {
    const ANY: [&str; 2] = ["SECRET_A", "SECRET_B"];
    let c_code = "extern char **environ;\nint main(void) { read_line(); int count = 0; while (environ && environ[count]) count++; \
        char data[32]; snprintf(data, sizeof data, \"{\\\"count\\\":%d}\", count); answer(data); }";
    // Python itself sets LC_CTYPE when it starts without a locale (PEP 538): nobody gave it that one.
    let python = "import json, os, sys\nrequest = json.loads(sys.stdin.readline())['request']\n\
        data = {'count': len([name for name in os.environ if name != 'LC_CTYPE'])}\n\
        result = {'kind': 'json', 'schema_ref': 'any/1', 'data': data}\n\
        print(json.dumps({'type': 'result', 'response': {'request_id': request['request_id'], 'status': 'ok', 'result': result}}))\n";
    let node = "const { request } = JSON.parse(require('fs').readFileSync(0));\n\
        const result = { kind: 'json', schema_ref: 'any/1', data: { count: Object.keys(process.env).length } };\n\
        console.log(JSON.stringify({ type: 'result', response: { request_id: request.request_id, status: 'ok', result } }));\n";
    // A shell cannot count its environment without a second process, so this counts names that nearly every environment has.
    let shell = ". \"${0%/*}/omega-plugin.sh\"\nomega_read || exit 1\ncount=0\n\
        for set in \"${HOME+x}\" \"${USER+x}\" \"${LOGNAME+x}\" \"${LANG+x}\" \"${TZ+x}\"; do [ -z \"$set\" ] || count=$((count + 1)); done\n\
        omega_ok any/1 \"{\\\"count\\\":$count}\"\n";
    let sdk = include_bytes!("../../plugin-protocol/sdk/sh/omega-plugin.sh");
    let script = |id, runtime, text| Package::script(id, runtime, text);
    vec![
        (
            "cc",
            Package::native("p.counts.native", &c(c_code, Link::Static)),
            ANY,
        ),
        (
            "cc",
            Package::native("p.counts.dynamic", &c(c_code, Link::Dynamic)),
            ANY,
        ),
        ("python3", script("p.counts.python", "python3", python), ANY),
        ("node", script("p.counts.node", "node", node), ANY),
        (
            "sh",
            script("p.counts.sh", "sh", shell).file("omega-plugin.sh", sdk, 0o644),
            ["HOME", "LANG"],
        ),
    ]
}

/// "The gateway starts the plugin with an **empty environment**": by programs that would see one if there were one.
#[test]
fn inv_pnp_05_a_plugin_has_no_environment() {
    let host = Host::new();
    for (needs, package, variables) in counting() {
        if !installed(needs) {
            skip(&format!("{needs} is not installed"));
            continue;
        }
        let folder = TempDir::new().unwrap();
        package.write(folder.path());
        let command = &package.manifest["entrypoint"]["command"];
        let words: Vec<&str> = command
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        let mut outside = match words.as_slice() {
            [program] => Command::new(folder.path().join(program)),
            [runtime, script] => {
                let mut outside = Command::new(interpreter(runtime));
                outside.arg(folder.path().join(script));
                outside
            }
            other => panic!("{other:?}"),
        };
        outside.env_clear().envs(variables.map(|name| (name, "x")));
        let line =
            json!({ "type": "invoke", "request": request(text("hello")) }).to_string() + "\n";
        let said = finish(outside, line.as_bytes()).expect(0);
        let seen = said.json()["response"]["result"]["data"]["count"].clone();
        assert_eq!(seen, 2, "{words:?}: {said:?}");

        let id = host.install(&package);
        let answer = host.ask(&id, "hello");
        assert_eq!(answer["result"]["data"]["count"], 0, "{words:?}: {answer}");
    }
}

/// The program itself: what bears its name may be a version manager's launcher, which needs an environment.
fn interpreter(name: &str) -> PathBuf {
    let question = match name {
        "python3" => ["-c", "import sys; print(sys.executable)"],
        "node" => ["-p", "process.execPath"],
        _ => ["-c", "command -v sh"],
    };
    let said = Command::new(name).args(question).output().unwrap();
    PathBuf::from(String::from_utf8(said.stdout).unwrap().trim())
}

/// "`schemas` …; when present, payloads of that `schema_ref` are validated against it both ways" — the analyser has one for its input too.
#[test]
fn inv_pnp_04_the_neutral_analyser_end_to_end() {
    let Some(package) = built("neutral", "cargo") else {
        return;
    };
    let host = Host::new();
    let folder = host.folder().join("neutral");
    copy(&package, &folder);
    let id = host.install_folder(&folder);
    let sentence = "The quick brown fox jumps over the lazy dog. The dog sleeps.";
    let first = host.ask(&id, sentence);
    assert_eq!(first["status"], "ok", "{first}");
    let analysis = &first["result"]["data"];
    assert_eq!(analysis["word_count"], 12, "{analysis}");
    assert_eq!(analysis["sentence_count"], 2, "{analysis}");
    assert_eq!(analysis["character_count"], 60, "{analysis}");
    assert_eq!(analysis["language"], "en", "{analysis}");
    let complexity = analysis["complexity"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&complexity), "{analysis}");

    // Deterministic: the same text, the same bytes.
    let again = host.ask(&id, sentence);
    assert_eq!(again["result"], first["result"]);
    assert_eq!(again["evidence_hashes"], first["evidence_hashes"]);

    for empty in [text(""), text(" \n\t")] {
        let said = host.invoke(&id, &empty).expect(1).json();
        assert_eq!(said["status"], "rejected", "{said}");
    }
    let said = host
        .invoke(&id, &data("neutral-input/1", json!({ "wrong": true })))
        .expect(1)
        .json();
    assert_eq!(said["status"], "rejected");
    assert!(
        said["notes"].as_str().unwrap().contains("Invalid request"),
        "{said}"
    );
    host.verified();
}

/// "`run PACKAGE` | a plugin author's one-shot: validate, run in the sandbox once, show answer, stderr, resources; the very same path
/// as `invoke`, in a throw-away state"
#[test]
fn inv_pnp_01_an_author_runs_a_package_without_any_state() {
    let Some(package) = built("hello-rust", "cargo") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let copied = folder.path().join("hello");
    copy(&package, &copied);
    let nowhere = folder.path().join("state");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command
            .arg("--state")
            .arg(&nowhere)
            .env("TMPDIR", folder.path());
        command.args(arguments).arg(&copied);
        finish(command, b"")
    };
    let said = run(&["--json", "run", "--text", "two words"]).expect(0);
    let response = said.json();
    assert_eq!(response["status"], "ok", "{response}");
    assert_eq!(response["result"]["data"]["word_count"], 2);
    assert!(
        said.stderr.contains("ms of processor"),
        "resources are shown: {said:?}"
    );
    let left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(
        left,
        [OsStr::new("hello")],
        "the throw-away state is gone, and no other was made"
    );
    assert!(
        !copied.join("plugin.sig").exists(),
        "the package is as it was"
    );
}
