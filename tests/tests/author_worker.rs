//! Plugins in the older worker form: what they print is no answer, and what they throw is one.

use campaigns::command::{Said, binary, finish};
use campaigns::{Package, skip};
use serde_json::{Value, json};
use std::process::Command;
use tempfile::TempDir;

/// Whether there is a Node; where there is none, that is said.
fn has_node() -> bool {
    let said = Command::new("node").arg("--version").output();
    let there = said.is_ok_and(|said| said.status.success());
    if !there {
        skip("node is not installed");
    }
    there
}

/// A worker whose file is `text`.
fn worker(text: &str) -> Package {
    Package::script("p.test.worker", "node", "")
        .file("dist/worker.js", text.as_bytes(), 0o644)
        .with(|manifest| {
            manifest["entrypoint"] =
                json!({"type": "worker", "file": "dist/worker.js", "export": "handleRequest"});
        })
}

/// `VERB PACKAGE …`.
fn say(verb: &str, package: &Package, behind: &[&str]) -> Said {
    let folder = TempDir::new().unwrap();
    package.write(folder.path());
    let mut command = Command::new(binary());
    command.args(["--json", verb]).arg(folder.path());
    command.args(behind);
    finish(command, b"")
}

/// The response of a worker, and what it said on stderr.
fn run(text: &str) -> (Value, String) {
    let said = say("run", &worker(text), &["--text", "x"]);
    (said.json(), said.stderr)
}

/// The answer that the workers here give where nothing goes wrong.
const ANSWER: &str = "const fine = (request) => ({ request_id: request.request_id, status: 'ok', \
    result: { kind: 'json', schema_ref: 'any/1', data: {} }, notes: '' });\n";

/// "`console.log` goes to stderr", and so does everything else that Node prints.
#[test]
fn inv_pnp_04_what_a_worker_prints_is_no_answer() {
    if !has_node() {
        return;
    }
    for (print, words) in [
        ("console.log('a stray %s', 'word')", "a stray word"),
        ("console.info({ a: 1 })", "{ a: 1 }"),
        ("console.table([[7]])", "│ 7 "),
        ("process.stdout.write('half a line')", "half a line"),
        (
            "setTimeout(() => console.log('late'), 0); await new Promise((go) => setTimeout(go, 20))",
            "late",
        ),
    ] {
        // Once as the file is loaded and once as it is called.
        let top = if print.contains("await") { "" } else { print };
        let text = format!(
            "{ANSWER}{top};\nexports.handleRequest = async (request) => {{ {print}; return fine(request); }};\n"
        );
        let (response, stderr) = run(&text);
        assert_eq!(response["status"], "ok", "{response} {stderr}");
        let times = if top.is_empty() { 1 } else { 2 };
        assert_eq!(stderr.matches(words).count(), times, "{stderr}");
    }
}

/// "what it throws is the answer `error` with its message in `notes`": at once, later, and whatever it is that it throws.
#[test]
fn inv_pnp_10_what_a_worker_throws_is_the_answer_error() {
    if !has_node() {
        return;
    }
    let never = "return new Promise(() => { setTimeout(() => {}, 60000); });";
    for (body, notes) in [
        ("throw new Error('no such word');", "no such word"),
        ("throw new TypeError('a kind');", "TypeError: a kind"),
        ("return Promise.reject(new Error('rejected'));", "rejected"),
        ("throw 'a plain text';", "a plain text"),
        ("throw undefined;", "undefined"),
        ("throw Object.create(null);", "what has no words"),
        (
            "throw { toString() { throw 1; }, [Symbol.for('nodejs.util.inspect.custom')]() { throw 2; } };",
            "what has no words",
        ),
        (
            "throw new Error('half \\ud83d of it');",
            "half \\ud83d of it",
        ),
        ("throw new Error('x'.repeat(1e6));", "xxx"),
        ("null.x;", "Cannot read properties of null"),
        (
            "return;",
            "handleRequest must return a response, and returned undefined",
        ),
        ("return 'ok';", "must return a response"),
        (
            "return { request_id: request.request_id, status: 'ok', result: 1n };",
            "BigInt",
        ),
        (
            "require('no-such-thing');",
            "Cannot find module 'no-such-thing'",
        ),
        (
            &format!("setTimeout(() => {{ throw new Error('in a callback'); }}, 1); {never}"),
            "in a callback",
        ),
        (
            &format!("Promise.reject(new Error('abandoned')); {never}"),
            "abandoned",
        ),
    ] {
        let (response, stderr) = run(&format!(
            "exports.handleRequest = (request) => {{ {body} }};\n"
        ));
        assert_eq!(response["status"], "error", "{body}: {response} {stderr}");
        let said = response["notes"].as_str().unwrap();
        assert!(said.contains(notes), "{body}: {said}");
        assert!(!said.contains("gave no answer"), "{body}: {said}");
    }
    // The trace is for the author.
    let (_, stderr) = run("exports.handleRequest = () => { throw new Error('here'); };\n");
    assert!(stderr.contains("dist/worker.js:1"), "{stderr}");
}

/// A worker answers once, whatever happens afterwards.
#[test]
fn inv_pnp_10_a_worker_answers_once() {
    if !has_node() {
        return;
    }
    let (response, stderr) = run(&format!(
        "{ANSWER}exports.handleRequest = (request) => {{ process.nextTick(() => {{ throw new Error('first'); }}); return new Promise((go) => setTimeout(() => go(fine(request)), 20)); }};\n"
    ));
    assert_eq!(response["status"], "error", "{response} {stderr}");
    assert!(response["notes"].as_str().unwrap().contains("first"));
}

/// What cannot be loaded or exports nothing is named as for any script.
#[test]
fn inv_pnp_01_a_worker_that_cannot_be_loaded_says_why() {
    if !has_node() {
        return;
    }
    for (text, words) in [
        (
            "require('left-pad');\n",
            "npm install --prefix PACKAGE left-pad`",
        ),
        (
            "exports.other = 1;\n",
            "the file could not be loaded: Error: it exports no function named handleRequest",
        ),
        (
            "exports.handleRequest = (;\n",
            "the file could not be loaded: SyntaxError: Unexpected token",
        ),
    ] {
        let (response, stderr) = run(text);
        assert_eq!(response["status"], "error", "{response}");
        let said = response["notes"].as_str().unwrap();
        assert!(said.contains(words), "{text}: {said} {stderr}");
    }
}

/// "`src/index.ts` as file … a warning from `validate` with what to do"
#[test]
fn inv_pnp_01_typescript_as_a_worker_is_warned_of() {
    let package = worker("").file("src/index.ts", b"export {};\n", 0o644);
    let package = package.with(|manifest| manifest["entrypoint"]["file"] = json!("src/index.ts"));
    let report = say("validate", &package, &[]).expect(0).json();
    let issues = report["issues"].as_array().unwrap();
    let issue = issues
        .iter()
        .find(|issue| issue["field"] == "/entrypoint/file");
    let issue = issue.unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(issue["severity"], "warning");
    assert!(
        issue["message"]
            .as_str()
            .unwrap()
            .contains("build it to JavaScript"),
        "{issue}"
    );
    let built = say("validate", &worker(""), &[]).expect(0);
    assert!(!built.stdout.contains("/entrypoint"), "{built:?}");
}
