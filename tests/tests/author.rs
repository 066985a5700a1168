//! What a plugin's author has: `new` makes a plugin that works, `certify` says whether one keeps the ten invariants.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use campaigns::answers::{babbling, hostile, looking, prompt, trying};
use campaigns::command::{Said, binary, finish};
use campaigns::program::{Link, c};
use campaigns::{Host, Package, skip};
use serde_json::{Value, json};
use tempfile::TempDir;

const IDS: [&str; 10] = [
    "INV-PNP-01",
    "INV-PNP-02",
    "INV-PNP-03",
    "INV-PNP-04",
    "INV-PNP-05",
    "INV-PNP-06",
    "INV-PNP-07",
    "INV-PNP-08",
    "INV-PNP-09",
    "INV-PNP-10",
];

/// Where cargo builds this project.
fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}

/// The command in `folder`, without any state.
fn say(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(binary());
    // With the SDK's libraries as `scripts/packages` compiled them, so that a plugin in Rust takes no minute.
    command
        .env("CARGO_TARGET_DIR", target())
        .current_dir(folder)
        .args(arguments);
    finish(command, b"")
}

/// Whether a program of that name is on the path and works.
fn has(program: &str) -> bool {
    let said = Command::new(program).arg("--version").output();
    said.is_ok_and(|said| said.status.success())
}

/// The checks by their outcome.
fn with_outcome(report: &Value, outcome: &str) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap();
    let ids: Vec<&str> = checks
        .iter()
        .map(|check| check["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, IDS);
    let found = checks.iter().filter(|check| check["outcome"] == outcome);
    found
        .map(|check| check["id"].as_str().unwrap().to_owned())
        .collect()
}

/// "`new NAME --lang LANG` | a plugin that passes `certify` untouched"
#[track_caller]
fn begins_and_complies(language: &str, needs: &str) {
    if !has(needs) {
        return skip(&format!("{needs} is not installed"));
    }
    let folder = TempDir::new().unwrap();
    let made = say(
        folder.path(),
        &["--json", "new", "word-count", "--lang", language],
    )
    .expect(0)
    .json();
    assert_eq!(made["plugin_id"], "p.example.word-count");
    assert!(
        folder
            .path()
            .join(made["program"].as_str().unwrap())
            .is_file(),
        "{made}"
    );
    let report = say(folder.path(), &["--json", "certify", "word-count"])
        .expect(0)
        .json();
    assert_eq!(report["compliant"], true, "{report:#}");
    assert_eq!(with_outcome(&report, "pass"), IDS, "{report:#}");
    assert_eq!(report["plugin_id"], "p.example.word-count");
}

#[test]
fn inv_pnp_01_a_plugin_in_c_is_begun_and_complies() {
    begins_and_complies("c", "cc");
}

#[test]
fn inv_pnp_01_a_plugin_for_node_is_begun_and_complies() {
    begins_and_complies("node", "node");
}

#[test]
fn inv_pnp_01_a_plugin_in_python_is_begun_and_complies() {
    begins_and_complies("python", "python3");
}

#[test]
fn inv_pnp_01_a_plugin_in_the_shell_is_begun_and_complies() {
    begins_and_complies("sh", "true");
}

#[test]
fn inv_pnp_01_a_worker_is_begun_and_complies() {
    begins_and_complies("worker", "node");
}

#[test]
fn inv_pnp_01_a_plugin_in_rust_is_begun_and_complies() {
    if TempDir::new_in(target()).is_err() {
        return skip("this user may not build here");
    }
    begins_and_complies("rust", "cargo");
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
    assert_eq!((mode("plugin.json"), mode("hello.sh")), (0o644, 0o644));
    let again = say(folder, &["new", "p.text.greeter", "--lang", "python"]).expect(2);
    assert!(again.stderr.contains("exists already"), "{again:?}");
    assert!(!package.join("hello.py").exists());
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

/// Certifies a package, and gives its report with the exit code that must go with it.
fn certify(package: &Package, arguments: &[&str]) -> Value {
    let folder = TempDir::new().unwrap();
    package.write(folder.path());
    let path = folder.path().to_str().unwrap();
    let said = say(
        folder.path(),
        &[&["--json", "certify", path], arguments].concat(),
    );
    let report = said.json();
    assert_eq!(
        said.code,
        i32::from(report["compliant"] != true),
        "{said:?}"
    );
    report
}

fn native(id: &str, body: &str) -> Package {
    Package::native(id, &c(body, Link::Static))
}

/// "`certify PACKAGE` | the ten compliance checks": each is failed by a plugin that breaks its invariant, and by it alone or with
/// those that follow from it. Exit code 1: "the answer is no".
#[test]
fn inv_pnp_10_each_broken_invariant_is_found() {
    let fails = |package: &Package, expected: &[&str]| {
        let report = certify(package, &[]);
        assert_eq!(with_outcome(&report, "fail"), expected, "{report:#}");
    };
    fails(&prompt("p.test.fine"), &[]);
    // Nothing could be asked of it, and nothing is claimed of it.
    let missing = prompt("p.test.missing")
        .with(|manifest| manifest["entrypoint"]["command"] = json!(["./none"]));
    fails(&missing, &["INV-PNP-01"]);
    let report = certify(&missing, &[]);
    assert_eq!(with_outcome(&report, "pass"), ["INV-PNP-09"], "{report:#}");
    fails(
        &babbling("p.test.babbles"),
        &["INV-PNP-02", "INV-PNP-03", "INV-PNP-04", "INV-PNP-10"],
    );
    let clock = "int main(void) { read_line(); struct timespec now; clock_gettime(CLOCK_MONOTONIC, &now); \
        char data[64]; snprintf(data, sizeof data, \"{\\\"now\\\":\\\"%ld.%ld\\\"}\", now.tv_sec, now.tv_nsec); answer(data); }";
    fails(&native("p.test.clock", clock), &["INV-PNP-03"]);
    let untyped = prompt("p.test.untyped")
        .with(|manifest| manifest["io"]["outputs"][0]["kind"] = json!("text"));
    fails(&untyped, &["INV-PNP-03", "INV-PNP-04", "INV-PNP-10"]);
    fails(
        &hostile("p.test.hostile"),
        &["INV-PNP-03", "INV-PNP-04", "INV-PNP-06", "INV-PNP-10"],
    );
    // "CG-08 fails when a plugin asked for something refused, naming it; `--tolerate-denied` passes it and names it all the same."
    let tries = trying("p.test.tries");
    fails(&tries, &["INV-PNP-06"]);
    let report = certify(&tries, &["--tolerate-denied"]);
    assert!(with_outcome(&report, "fail").is_empty(), "{report:#}");
    assert!(
        report.to_string().contains("socket(AF_INET, SOCK_STREAM)"),
        "{report:#}"
    );
    let slow = native("p.test.slow", "int main(void) { read_line(); pause(); }")
        .with(|manifest| manifest["limits"]["max_ms"] = json!(100));
    fails(
        &slow,
        &["INV-PNP-03", "INV-PNP-04", "INV-PNP-08", "INV-PNP-10"],
    );
    let old = prompt("p.test.old").with(|manifest| manifest["api_version"] = json!("2.0.0"));
    fails(&old, &["INV-PNP-01", "INV-PNP-09"]);
    let fragile = "int main(void) { read_line(); if (strstr(line, \"\\\"content\\\":\\\"\\\"\")) abort(); answer(\"{}\"); }";
    fails(&native("p.test.fragile", fragile), &["INV-PNP-10"]);
}

/// "`probabilistic`": a plugin that promises nothing is not held to it.
#[test]
fn inv_pnp_03_a_promise_that_was_not_made_is_not_checked() {
    let package = prompt("p.test.dice")
        .with(|manifest| manifest["determinism"]["mode"] = json!("probabilistic"));
    let report = certify(&package, &[]);
    assert_eq!(report["compliant"], true, "{report:#}");
    assert_eq!(with_outcome(&report, "not_checked"), ["INV-PNP-03"]);
}

/// A plugin that wants more than a sample can know is asked what its author says.
#[test]
fn inv_pnp_04_the_author_may_say_what_to_ask() {
    let picky =
        "int main(void) { read_line(); if (!strstr(line, \"sesame\")) return 3; answer(\"{}\"); }";
    let package = native("p.test.picky", picky).with(|manifest| {
        manifest["io"]["inputs"][0]["schema_ref"] = json!("word/1");
    });
    let without = certify(&package, &[]);
    assert!(
        with_outcome(&without, "fail").contains(&"INV-PNP-04".to_owned()),
        "{without:#}"
    );
    let detail = without["checks"][3]["detail"].as_str().unwrap();
    assert!(detail.contains("--text"), "{detail}");
    let with = certify(&package, &["--text", "open sesame"]);
    assert!(
        !with_outcome(&with, "fail").contains(&"INV-PNP-04".to_owned()),
        "{with:#}"
    );
}

/// The package stays as it was, signed or not, and no state is touched.
#[test]
fn inv_pnp_02_certify_changes_nothing() {
    let host = Host::new();
    let package = host.signed(&prompt("p.test.kept"));
    let before = host.events().len();
    let listed = |folder: &Path| -> Vec<_> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let names = listed(&package);
    host.say(["certify", package.to_str().unwrap()]).expect(0);
    assert_eq!((listed(&package), host.events().len()), (names, before));
}

/// A program with a library in its package (`lib/libdep.so`, and `$ORIGIN/lib` in the program) "works", and is no sealed copy by name.
#[test]
fn inv_pnp_05_a_program_has_the_library_of_its_package() {
    let folder = TempDir::new().unwrap();
    let body = "const char *dep(void);\nint main(void) { read_line(); answer(dep()); return 0; }";
    let source = format!("{}\n{body}", campaigns::program::PRELUDE);
    fs::write(folder.path().join("program.c"), source).unwrap();
    let library = "const char *dep(void) { return \"{\\\"from\\\":\\\"lib\\\"}\"; }";
    fs::write(folder.path().join("dep.c"), library).unwrap();
    fs::create_dir(folder.path().join("lib")).unwrap();
    let cc = |arguments: &[&str]| {
        let mut cc = Command::new("cc");
        let status = cc.args(arguments).current_dir(folder.path()).status();
        assert!(status.unwrap().success());
    };
    cc(&["-shared", "-fPIC", "-o", "lib/libdep.so", "dep.c"]);
    let place = "-Wl,-rpath,$ORIGIN/lib";
    cc(&["-w", "-o", "program", "program.c", "-Llib", "-ldep", place]);
    let program = fs::read(folder.path().join("program")).unwrap();
    let library = fs::read(folder.path().join("lib/libdep.so")).unwrap();
    let package =
        Package::native("p.with.library", &program).file("lib/libdep.so", &library, 0o644);
    let folder = TempDir::new().unwrap();
    package.write(folder.path());
    let path = folder.path().to_str().unwrap();
    let said = say(folder.path(), &["--json", "-v", "run", path, "--text", "x"]).expect(0);
    assert_eq!(said.json()["result"]["data"], json!({ "from": "lib" }));
    assert!(
        said.stderr.contains("layers: ") && !said.stderr.contains("sealed-image"),
        "{}",
        said.stderr
    );
}

/// "*Refused*: everything that ordinary libraries try (… a path outside) … the call is named … in `invoke -v`, `run` and `certify`": also a read of
/// a program with libraries, and of a script.
#[test]
fn inv_pnp_06_a_read_outside_is_named_to_the_author() {
    let script = "import json, sys\nrequest = json.loads(sys.stdin.readline())[\"request\"]\ntry:\n    open(\"/etc/shadow\")\nexcept OSError:\n    pass\nresult = {\"kind\": \"json\", \"schema_ref\": \"any/1\", \"data\": {}}\nprint(json.dumps({\"type\": \"result\", \"response\": {\"request_id\": request[\"request_id\"], \"status\": \"ok\", \"result\": result, \"notes\": \"\"}}))\n";
    let mut packages = vec![looking("p.test.looks")];
    if has("python3") {
        packages.push(Package::script("p.test.script", "python3", script));
    } else {
        skip("python3 is not installed");
    }
    for package in packages {
        let folder = TempDir::new().unwrap();
        package.write(folder.path());
        let path = folder.path().to_str().unwrap();
        let said = say(folder.path(), &["run", path, "--text", "x"]).expect(0);
        let named = "refused, and without effect: openat(\"/etc/shadow\", O_RDONLY)\n";
        assert!(said.stderr.contains(named), "{said:?}");
        let report = certify(&package, &[]);
        assert_eq!(with_outcome(&report, "fail"), ["INV-PNP-06"], "{report:#}");
        let report = certify(&package, &["--tolerate-denied"]);
        assert!(with_outcome(&report, "fail").is_empty(), "{report:#}");
        let named = r#"it asked for what is refused: openat(\"/etc/shadow\", O_RDONLY)"#;
        assert!(report.to_string().contains(named), "{report:#}");
    }
}
