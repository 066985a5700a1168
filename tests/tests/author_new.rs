//! `new`: what it writes is what an author would keep, and works and complies as it is, in every language.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use campaigns::command::{Said, binary, finish};
use campaigns::{Host, skip, skip_for_registry};
use serde_json::{Value, json};
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// PATH with the gateway's command first, and behind it the TypeScript compiler of the client where npm has installed it.
fn path() -> String {
    let command = binary();
    let compiler = root().join("gateway/client/typescript/node_modules/.bin");
    let path = std::env::var("PATH").unwrap();
    format!(
        "{}:{}:{path}",
        command.parent().unwrap().display(),
        compiler.display()
    )
}

fn in_folder(folder: &Path, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    // With the SDK's libraries as `scripts/packages` compiled them, so that a plugin in Rust takes no minute.
    command
        .env("CARGO_TARGET_DIR", root().join("target"))
        .env("PATH", path())
        .current_dir(folder);
    command
}

/// The command in `folder`, without any state.
fn say(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = in_folder(folder, binary());
    command.args(arguments);
    finish(command, b"")
}

/// Whether a program of that name is on the path.
fn has(program: &str) -> bool {
    std::env::split_paths(&path()).any(|folder| folder.join(program).is_file())
}

/// A new plugin in `language`, in a folder of its own; none where a program that it needs is missing.
fn begun(language: &str, needs: &[&str]) -> Option<TempDir> {
    if let Some(missing) = needs.iter().find(|program| !has(program)) {
        skip(&format!("{missing} is not installed"));
        return None;
    }
    let folder = TempDir::new().unwrap();
    say(folder.path(), &["new", "word-count", "--lang", language]).expect(0);
    Some(folder)
}

/// "`new NAME --lang LANG` | a plugin that passes `certify` untouched": with its author's own tests, without a finding, and with an
/// answer for `run`.
#[track_caller]
fn begins_and_complies(language: &str, needs: &[&str]) {
    let Some(folder) = begun(language, needs) else {
        return;
    };
    let folder = folder.path();
    let report = say(folder, &["--json", "validate", "word-count"]).expect(0);
    assert_eq!(report.json()["issues"], json!([]), "{report:?}");
    let report = say(folder, &["--json", "certify", "word-count"]).expect(0);
    let report = report.json();
    assert_eq!(report["passed"], true, "{report:#}");
    assert_eq!(report["plugin_id"], "p.example.word-count");
    let own = report["checks"][1]["detail"].as_str().unwrap();
    assert!(
        own.contains("tests/words.json: ok") && own.contains("tests/empty.json: rejected"),
        "{own}"
    );
    let said = say(
        folder,
        &["--json", "run", "word-count", "--text", " two\twords\n"],
    );
    let answer = said.expect(0).json();
    assert_eq!(
        answer["result"]["data"],
        json!({ "greeting": "Hello!", "word_count": 2 }),
        "{answer}"
    );
}

#[test]
fn inv_pnp_01_a_plugin_in_c_is_begun_and_complies() {
    begins_and_complies("c", &["cc"]);
}

#[test]
fn inv_pnp_01_a_plugin_in_go_is_begun_and_complies() {
    begins_and_complies("go", &["go"]);
}

#[test]
fn inv_pnp_01_a_plugin_in_java_is_begun_and_complies() {
    begins_and_complies("java", &["java", "javac", "jar"]);
}

#[test]
fn inv_pnp_01_a_plugin_for_node_is_begun_and_complies() {
    begins_and_complies("node", &["node"]);
}

#[test]
fn inv_pnp_01_a_plugin_in_python_is_begun_and_complies() {
    begins_and_complies("python", &["python3"]);
}

#[test]
fn inv_pnp_01_a_plugin_in_the_shell_is_begun_and_complies() {
    begins_and_complies("sh", &["sh"]);
}

#[test]
fn inv_pnp_01_a_worker_is_begun_and_complies() {
    begins_and_complies("worker", &["node"]);
}

#[test]
fn inv_pnp_01_a_plugin_in_rust_is_begun_and_complies() {
    if TempDir::new_in(root().join("target")).is_err() {
        return skip("this user may not build here");
    }
    begins_and_complies("rust", &["cargo"]);
}

/// Whether this Node strips types by itself.
fn node_strips_types() -> bool {
    let mut node = Command::new("node");
    node.args([
        "-e",
        "process.exit(require('node:module').stripTypeScriptTypes ? 0 : 1)",
    ]);
    node.status().is_ok_and(|status| status.success())
}

#[test]
fn inv_pnp_01_a_plugin_in_typescript_is_begun_and_complies() {
    if has("node") && !has("tsc") && !node_strips_types() {
        return skip_for_registry("npm did not install the client's TypeScript compiler");
    }
    begins_and_complies("ts", &["node"]);
    // The types are a help only where a wrong one is found.
    if !has("tsc") {
        return;
    }
    let folder = begun("typescript", &["node"]).unwrap();
    let program = folder.path().join("word-count-src/src/main.mts");
    let text = fs::read_to_string(&program).unwrap();
    fs::write(
        &program,
        text.replace("payload.content", "payload.contents"),
    )
    .unwrap();
    let said = finish(
        in_folder(folder.path(), folder.path().join("word-count-src/build")),
        b"",
    );
    assert!(
        said.code != 0 && said.stderr.contains("'contents' does not exist"),
        "{said:?}"
    );
}

/// What is changed and built again is what then runs.
#[test]
fn inv_pnp_01_a_changed_program_is_built_into_the_package() {
    for (language, needs, program, was, becomes) in [
        ("c", &["cc"][..], "main.c", "%ld", "1%ld"),
        ("go", &["go"], "main.go", "len(words)", "len(words) + 10"),
        (
            "java",
            &["java", "javac", "jar"],
            "Main.java",
            "\"word_count\", count",
            "\"word_count\", count + 10",
        ),
    ] {
        let Some(folder) = begun(language, needs) else {
            continue;
        };
        let sources = folder.path().join("word-count-src");
        let program = sources.join(program);
        let text = fs::read_to_string(&program).unwrap();
        assert!(text.contains(was), "{text}");
        fs::write(&program, text.replace(was, becomes)).unwrap();
        finish(in_folder(folder.path(), sources.join("build")), b"").expect(0);
        let said = say(
            folder.path(),
            &["--json", "run", "word-count", "--text", "two words"],
        );
        assert_eq!(
            said.expect(0).json()["result"]["data"]["word_count"],
            12,
            "{language}"
        );
    }
}

/// The README's commands work as they stand, word by word.
#[test]
fn inv_pnp_01_the_readme_of_a_new_plugin_is_true() {
    for (language, needs, place) in [
        ("sh", &["sh"][..], "word-count"),
        ("c", &["cc"], "word-count-src"),
    ] {
        let Some(folder) = begun(language, needs) else {
            continue;
        };
        let readme = fs::read_to_string(folder.path().join(place).join("README.md")).unwrap();
        let (_, rest) = readme.split_once("```sh\n").unwrap();
        let (script, _) = rest.split_once("```").unwrap();
        assert_eq!(script.matches("plugin-gateway ").count(), 4, "{script}");
        let mut sh = in_folder(folder.path(), "sh");
        sh.args(["-euc", script]);
        let said = finish(sh, b"").expect(0);
        assert!(said.stdout.contains("10 of 10"), "{said:?}");
        assert!(folder.path().join("word-count/plugin.sig").is_file());
        assert!(readme.lines().count() <= 12, "{readme}");
    }
}

/// "An OMEGA package … becomes ours in one step": what was made is signed, enabled and called under the id that its host knows.
#[test]
fn inv_pnp_01_an_old_worker_is_a_package_in_one_step() {
    if !has("node") {
        return skip("node is not installed");
    }
    let host = Host::new();
    let folder = host.folder();
    let old = folder.join("old");
    let sample = root().join("sample-plugins/hello-worker");
    fs::create_dir_all(old.join("schemas")).unwrap();
    fs::create_dir_all(old.join("dist")).unwrap();
    for (from, to) in [
        ("plugin.json", "omega-plugin.json"),
        ("schemas/hello.json", "schemas/hello.json"),
    ] {
        fs::copy(sample.join(from), old.join(to)).unwrap();
    }
    // Built as modules of the newer form, which only package.json says.
    fs::write(old.join("package.json"), r#"{"type": "module"}"#).unwrap();
    let worker = fs::read_to_string(sample.join("dist/worker.js")).unwrap();
    assert!(worker.contains("module.exports = {"), "{worker}");
    let worker = worker.replace("module.exports = {", "export {");
    fs::write(old.join("dist/worker.js"), worker).unwrap();
    let made = say(folder, &["--json", "new", "greeter", "--from-omega", "old"]).expect(0);
    let made = made.json();
    assert_eq!(made["plugin_id"], "p.hello.worker");
    assert_eq!(made["program"], "greeter/dist/worker.js");
    assert_eq!(made["to_do"], json!([]));
    assert_eq!(
        host.install_folder(&folder.join("greeter")),
        "p.hello.worker"
    );
    let answer = host.ask("p.hello.worker", "three short words");
    assert_eq!(answer["status"], "ok", "{answer}");
    for (arguments, words) in [
        (
            &["new", "greeter", "--from-omega", "old"][..],
            "exists already",
        ),
        (&["new", "x", "--from-omega", "nowhere"], "nowhere"),
        (
            &["new", "x", "--from-omega", "greeter/dist"],
            "there is no manifest",
        ),
        (
            &["new", "x", "--from-omega", "old", "--lang", "sh"],
            "--lang",
        ),
        (&["new", "x"], "--from-omega"),
        (
            &["new", "a b", "--from-omega", "old"],
            "cannot name a plugin",
        ),
    ] {
        let said = say(folder, arguments).expect(2);
        assert!(said.stderr.contains(words), "{said:?}");
    }
    assert!(!folder.join("x").exists());
}

/// What a plugin's lines of code are, without what is for people.
fn code_lines(text: &str) -> usize {
    let code = |line: &&str| {
        let line = line.trim();
        !line.is_empty()
            && !["//", "#", "\"\"\"", "'use strict'"]
                .iter()
                .any(|word| line.starts_with(word))
    };
    text.lines().filter(code).count()
}

/// "a hello of three lines without SDK and of six with it"
#[test]
fn inv_pnp_01_a_hello_takes_three_lines_without_sdk_and_six_with_it() {
    const PYTHON: &str = r#"import json, sys
request = json.loads(sys.stdin.readline())["request"]
print(json.dumps({"type": "result", "response": {"request_id": request["request_id"], "status": "ok", "result": {"kind": "json", "schema_ref": "hello/1", "data": {"greeting": "Hello!", "word_count": len(request["payload"]["content"].split())}}}}))
"#;
    const NODE: &str = r#"const { request } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const data = { greeting: 'Hello!', word_count: request.payload.content.split(/\s+/).filter(Boolean).length };
console.log(JSON.stringify({ type: 'result', response: { request_id: request.request_id, status: 'ok', result: { kind: 'json', schema_ref: 'hello/1', data } } }));
"#;
    for (language, needs, program, sdk, without) in [
        ("python", "python3", "main.py", "omega_plugin.py", PYTHON),
        ("node", "node", "main.js", "omega-plugin.js", NODE),
    ] {
        let Some(folder) = begun(language, &[needs]) else {
            continue;
        };
        let program = folder.path().join("word-count").join(program);
        let with = fs::read_to_string(&program).unwrap();
        assert!(code_lines(&with) <= 6, "{with}");
        assert_eq!(code_lines(without), 3, "{without}");
        fs::remove_file(program.with_file_name(sdk)).unwrap();
        fs::write(&program, without).unwrap();
        // With the same schemas and the same tests.
        let report = say(folder.path(), &["--json", "certify", "word-count"]);
        assert_eq!(report.expect(0).json()["passed"], true, "{language}");
    }
}

/// The manifest says what has no default, and nothing else.
#[test]
fn inv_pnp_01_the_manifest_of_a_new_plugin_is_small() {
    let folder = begun("sh", &[]).unwrap();
    let text = fs::read_to_string(folder.path().join("word-count/plugin.json")).unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    for defaulted in [
        "description",
        "supported_omega_api_versions",
        "limits",
        "determinism",
        "evidence",
    ] {
        assert!(manifest.get(defaulted).is_none(), "{text}");
    }
    assert!(text.lines().count() <= 16, "{text}");
}

/// A missing compiler is named before anything is written.
#[test]
fn inv_pnp_10_a_missing_compiler_is_named_and_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    for (language, program) in [
        ("c", "cc"),
        ("go", "go"),
        ("java", "javac"),
        ("rust", "cargo"),
        ("ts", "node"),
    ] {
        let mut command = Command::new(binary());
        command.args(["new", "fine", "--lang", language]);
        command.env("PATH", "/nowhere").current_dir(folder.path());
        let said = finish(command, b"").expect(2);
        assert!(
            said.stderr
                .contains(&format!("'{program}' is not installed")),
            "{said:?}"
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A build that fails says why, and loses nothing.
#[test]
fn inv_pnp_10_a_failed_build_says_why_and_is_made_again() {
    if !has("cc") {
        return skip("cc is not installed");
    }
    let folder = TempDir::new().unwrap();
    let broken = folder.path().join("bin/cc");
    fs::create_dir(folder.path().join("bin")).unwrap();
    fs::write(
        &broken,
        "#!/bin/sh\necho 'main.c: no such luck' >&2\nexit 1\n",
    )
    .unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = in_folder(folder.path(), binary());
    let broken_first = format!("{}:{}", broken.parent().unwrap().display(), path());
    command
        .args(["new", "word-count", "--lang", "c"])
        .env("PATH", broken_first);
    let said = finish(command, b"").expect(1);
    assert!(
        said.stderr.contains("word-count-src/build' failed")
            && said.stderr.contains("no such luck"),
        "{said:?}"
    );
    let build = folder.path().join("word-count-src/build");
    finish(in_folder(folder.path(), build), b"").expect(0);
    say(folder.path(), &["run", "word-count", "--text", "x"]).expect(0);
}

/// What `new` made is the author's own from the first line: it can be signed and used, and nothing is ever written over.
#[test]
fn inv_pnp_10_what_new_made_is_registered_and_never_written_over() {
    let host = Host::new();
    let folder = host.folder();
    say(folder, &["new", "p.text.greeter", "--lang", "sh"]).expect(0);
    let package = folder.join("p.text.greeter");
    assert_eq!(host.install_folder(&package), "p.text.greeter");
    assert_eq!(
        host.ask("p.text.greeter", "three short words")["result"]["data"]["word_count"],
        3
    );
    let mode = |name: &str| {
        fs::metadata(package.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("plugin.json"), mode("main.sh")), (0o644, 0o644));
    let again = say(folder, &["new", "p.text.greeter", "--lang", "python"]).expect(2);
    assert!(again.stderr.contains("exists already"), "{again:?}");
    assert!(!package.join("main.py").exists());
    for name in ["Upper", "a b", "..", "x/.."] {
        let said = say(folder, &["new", name, "--lang", "sh"]).expect(2);
        assert!(said.stderr.contains("cannot name a plugin"), "{said:?}");
    }
    say(folder, &["new", "fine", "--lang", "cobol"]).expect(2);
    let said = say(
        folder,
        &["new", "fine", "--lang", "rust", "--sdk", "nowhere"],
    )
    .expect(2);
    assert!(
        said.stderr.contains("--sdk") && !folder.join("fine").exists(),
        "{said:?}"
    );
}
