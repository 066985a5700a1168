//! `certify`: the ten compliance checks, each with a plugin that breaks what it checks.

use std::fs;
use std::path::Path;
use std::process::Command;

use campaigns::answers::{babbling, hostile, looking, prompt, trying};
use campaigns::command::{Said, binary, finish};
use campaigns::program::{Link, c};
use campaigns::{Host, Package, skip};
use serde_json::{Value, json};
use tempfile::TempDir;

/// "CG-01 manifest, CG-02 I/O schemas, CG-03 capabilities, CG-04 determinism, CG-05 stateless, CG-06 fail-closed …, CG-07 timeout, CG-08
/// non-actuation, CG-09 evidence hashes, CG-10 version, laws L7 L7 L4 L6 L3 L5 L5 L1 L9 L8 (the table for people names the invariant beside
/// each)"
const CHECKS: [(&str, &str, &str, &str); 10] = [
    ("CG-01", "manifest", "L7", "INV-PNP-01"),
    ("CG-02", "I/O schemas", "L7", "INV-PNP-04"),
    ("CG-03", "capabilities", "L4", "INV-PNP-06"),
    ("CG-04", "determinism", "L6", "INV-PNP-03"),
    ("CG-05", "stateless", "L3", "INV-PNP-05"),
    ("CG-06", "fail-closed", "L5", "INV-PNP-10"),
    ("CG-07", "timeout", "L5", "INV-PNP-08"),
    ("CG-08", "non-actuation", "L1", "INV-PNP-02"),
    ("CG-09", "evidence hashes", "L9", "INV-PNP-07"),
    ("CG-10", "version", "L8", "INV-PNP-09"),
];

/// The command in `folder`, without any state.
fn say(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(binary());
    command.current_dir(folder).args(arguments);
    finish(command, b"")
}

/// Whether a program of that name is on the path and works.
fn has(program: &str) -> bool {
    let said = Command::new(program).arg("--version").output();
    said.is_ok_and(|said| said.status.success())
}

/// The checks that failed for a reason of their own, and not only because the plugin could not be asked.
fn failed(report: &Value) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap();
    let failed = checks.iter().filter(|check| check["passed"] == false);
    let own = failed.filter(|check| {
        let detail = check["detail"].as_str().unwrap();
        !detail.starts_with("not checked")
    });
    own.map(|check| check["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The detail of one check.
fn detail<'a>(report: &'a Value, id: &str) -> &'a str {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["id"] == id).unwrap();
    check["detail"].as_str().unwrap()
}

/// "`certify` a ComplianceReport `{plugin_id, timestamp, passed, checks[10]{id, name, law, passed, detail, duration_ms},
/// summary{total, passed_count, failed_count}}` with no other member"
#[track_caller]
fn is_whole(report: &Value) {
    let members = |value: &Value| -> Vec<String> {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(
        members(report),
        ["checks", "passed", "plugin_id", "summary", "timestamp"]
    );
    let checks = report["checks"].as_array().unwrap();
    assert_eq!(checks.len(), CHECKS.len());
    for (check, (id, name, law, _)) in checks.iter().zip(CHECKS) {
        assert_eq!(
            members(check),
            ["detail", "duration_ms", "id", "law", "name", "passed"]
        );
        let said = [&check["id"], &check["name"], &check["law"]];
        assert_eq!(said.map(|word| word.as_str().unwrap()), [id, name, law]);
        assert!(check["passed"].is_boolean() && check["duration_ms"].is_u64());
        assert!(!check["detail"].as_str().unwrap().is_empty(), "{check}");
    }
    let passed = checks.iter().filter(|check| check["passed"] == true);
    let passed = passed.count();
    let summary = json!({ "total": 10, "passed_count": passed, "failed_count": 10 - passed });
    assert_eq!(report["summary"], summary);
    assert_eq!(report["passed"], passed == 10);
    let at = report["timestamp"].as_str().unwrap();
    assert!(at.ends_with('Z') && at.contains('T'), "{at}");
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
    assert_eq!(said.code, i32::from(report["passed"] != true), "{said:?}");
    is_whole(&report);
    report
}

fn native(id: &str, body: &str) -> Package {
    Package::native(id, &c(body, Link::Static))
}

#[track_caller]
fn fails(package: &Package, expected: &[&str]) -> Value {
    let report = certify(package, &[]);
    assert_eq!(failed(&report), expected, "{report:#}");
    report
}

/// "`certify PACKAGE` | the ten compliance checks CG-01 … CG-10": each is failed by a plugin that breaks what it checks, and by it alone or
/// with those that follow from it. Exit code 1: "the answer is no".
#[test]
fn inv_pnp_10_each_check_finds_what_breaks_it() {
    fails(&prompt("p.test.fine"), &[]);
    let dishonest = "int main(void) { read_line(); char out[4096]; int length = snprintf(out, sizeof out, \
        \"{\\\"type\\\":\\\"result\\\",\\\"response\\\":{\\\"request_id\\\":%s,\\\"status\\\":\\\"ok\\\",\\\"result\\\":\" \
        \"{\\\"kind\\\":\\\"json\\\",\\\"schema_ref\\\":\\\"any/1\\\",\\\"data\\\":{}},\\\"notes\\\":\\\"\\\",\" \
        \"\\\"evidence_hashes\\\":{\\\"input_hash\\\":\\\"\\\",\\\"output_hash\\\":\\\"%064d\\\"}}}\\n\", string_token(\"request_id\"), 7); \
        write(1, out, length); }";
    let report = fails(&native("p.test.dishonest", dishonest), &["CG-09"]);
    assert!(
        detail(&report, "CG-09").contains("output_hash"),
        "{report:#}"
    );
    let clock = "int main(void) { read_line(); struct timespec now; clock_gettime(CLOCK_MONOTONIC, &now); \
        char data[64]; snprintf(data, sizeof data, \"{\\\"now\\\":\\\"%ld.%ld\\\"}\", now.tv_sec, now.tv_nsec); answer(data); }";
    fails(&native("p.test.clock", clock), &["CG-04"]);
    let writes = "int main(void) { read_line(); open(\"/tmp/count\", O_WRONLY | O_CREAT, 0600); answer(\"{}\"); }";
    let report = fails(&native("p.test.writes", writes), &["CG-05", "CG-08"]);
    assert!(
        detail(&report, "CG-05").contains("/tmp/count"),
        "{report:#}"
    );
    let untyped = prompt("p.test.untyped")
        .with(|manifest| manifest["io"]["outputs"][0]["kind"] = json!("text"));
    fails(&untyped, &["CG-02", "CG-04", "CG-06"]);
    fails(&babbling("p.test.babbles"), &["CG-02", "CG-04", "CG-06"]);
    fails(
        &hostile("p.test.hostile"),
        &["CG-02", "CG-03", "CG-04", "CG-06", "CG-08"],
    );
    let slow = native("p.test.slow", "int main(void) { read_line(); pause(); }")
        .with(|manifest| manifest["limits"]["max_ms"] = json!(100));
    let report = fails(&slow, &["CG-02", "CG-04", "CG-06", "CG-07"]);
    assert!(
        detail(&report, "CG-07").contains("limits.max_ms"),
        "{report:#}"
    );
}

/// What cannot be asked has passed no check that asks, and says where the reason is.
#[test]
fn inv_pnp_10_what_could_not_be_asked_did_not_pass() {
    let missing = prompt("p.test.missing")
        .with(|manifest| manifest["entrypoint"]["command"] = json!(["./none"]));
    let report = fails(&missing, &["CG-01"]);
    let passed = report["checks"].as_array().unwrap().iter();
    let passed: Vec<&Value> = passed.filter(|check| check["passed"] == true).collect();
    let passed: Vec<&str> = passed
        .iter()
        .map(|check| check["id"].as_str().unwrap())
        .collect();
    assert_eq!(passed, ["CG-03", "CG-10"], "{report:#}");
    let old = prompt("p.test.old").with(|manifest| manifest["api_version"] = json!("2.0.0"));
    fails(&old, &["CG-01", "CG-10"]);
    let greedy = prompt("p.test.greedy").with(|manifest| {
        manifest["capabilities"] = json!(["read_text", "write_report", "network_access"]);
    });
    fails(&greedy, &["CG-01", "CG-03"]);
}

/// "CG-06: an empty or odd payload is answered `rejected` or, where it is valid, `ok`; never `error`, never an end without an answer"
#[test]
fn inv_pnp_10_an_empty_payload_is_no_reason_to_fail() {
    let on_empty = |then: &str| {
        format!(
            "int main(void) {{ read_line(); if (strstr(line, \"\\\"content\\\":\\\"\\\"\")) {{ {then} }} answer(\"{{}}\"); }}"
        )
    };
    let says = |status: &str| {
        on_empty(&format!(
            "printf(\"{{\\\"type\\\":\\\"result\\\",\\\"response\\\":{{\\\"request_id\\\":%s,\\\"status\\\":\\\"{status}\\\",\\\"result\\\":null,\
             \\\"notes\\\":\\\"empty\\\"}}}}\\n\", string_token(\"request_id\")); return 0;"
        ))
    };
    for (id, body, expected) in [
        ("p.test.aborts", on_empty("abort();"), &["CG-06"][..]),
        ("p.test.leaves", on_empty("return 0;"), &["CG-06"]),
        ("p.test.errs", says("error"), &["CG-06"]),
        ("p.test.refuses", says("rejected"), &[]),
    ] {
        let report = fails(&native(id, &body), expected);
        let words = detail(&report, "CG-06");
        assert_eq!(
            words.contains("an empty text"),
            !expected.is_empty(),
            "{words}"
        );
    }
}

/// "CG-08 fails when a plugin asked for something refused, naming it; `--tolerate-denied` passes it and names it all the same."
#[test]
fn inv_pnp_02_what_was_refused_is_named_and_may_be_tolerated() {
    let tries = trying("p.test.tries");
    let refused = "socket(AF_INET, SOCK_STREAM)";
    let report = fails(&tries, &["CG-08"]);
    assert!(detail(&report, "CG-08").contains(refused), "{report:#}");
    let report = certify(&tries, &["--tolerate-denied"]);
    assert!(failed(&report).is_empty(), "{report:#}");
    assert!(detail(&report, "CG-08").contains(refused), "{report:#}");
    let report = certify(&hostile("p.test.hostile"), &["--tolerate-denied"]);
    assert!(failed(&report).contains(&"CG-08".to_owned()), "{report:#}");
}

/// "`probabilistic`": a plugin that promises nothing is not held to it.
#[test]
fn inv_pnp_03_a_promise_that_was_not_made_is_not_checked() {
    let package = prompt("p.test.dice")
        .with(|manifest| manifest["determinism"]["mode"] = json!("probabilistic"));
    let report = certify(&package, &[]);
    assert_eq!(report["passed"], true, "{report:#}");
    assert!(detail(&report, "CG-04").contains("nothing is promised"));
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
        failed(&without).contains(&"CG-02".to_owned()),
        "{without:#}"
    );
    assert!(detail(&without, "CG-02").contains("--text"), "{without:#}");
    let with = certify(&package, &["--text", "open sesame"]);
    assert!(!failed(&with).contains(&"CG-02".to_owned()), "{with:#}");
}

/// The author's own payloads, in the package or beside it: each is run, and compared with what is expected.
#[test]
fn inv_pnp_04_the_author_s_own_payloads_are_run_and_compared() {
    let test = |content: &str, expected: Value| {
        let payload =
            json!({ "kind": "text", "content": content, "encoding": "utf-8", "metadata": {} });
        let mut test = json!({ "payload": payload });
        if !expected.is_null() {
            test["expected"] = expected;
        }
        test.to_string()
    };
    let with = |name: &str, text: &str| {
        prompt("p.test.own").file(&format!("tests/{name}"), text.as_bytes(), 0o644)
    };
    let said = json!({ "said": 1 });
    let report = fails(&with("good.json", &test("x", said.clone())), &[]);
    assert_eq!(detail(&report, "CG-02"), "tests/good.json: ok");
    let report = fails(&with("free.json", &test("x", Value::Null)), &[]);
    assert_eq!(detail(&report, "CG-02"), "tests/free.json: ok");
    for (name, text, words) in [
        (
            "other.json",
            test("x", json!({ "said": 2 })),
            "expected data {\"said\":2}, got {\"said\":1}",
        ),
        (
            "no.json",
            test("x", json!("rejected")),
            "expected rejected, got ok",
        ),
        (
            "odd.json",
            "{\"payloads\":[]}".to_owned(),
            "it has no `payload`",
        ),
        ("torn.json", "{".to_owned(), "not valid JSON"),
    ] {
        let report = fails(&with(name, &text), &["CG-02"]);
        let told = detail(&report, "CG-02");
        assert!(
            told.contains(words) && told.contains(&format!("tests/{name}")),
            "{told}"
        );
    }
    let folder = TempDir::new().unwrap();
    let package = folder.path().join("package");
    fs::create_dir_all(folder.path().join("tests")).unwrap();
    fs::create_dir(&package).unwrap();
    prompt("p.test.beside").write(&package);
    fs::write(
        folder.path().join("tests/a.json"),
        test("x", json!({ "said": 3 })),
    )
    .unwrap();
    fs::write(folder.path().join("tests/fixture.json"), "[]").unwrap();
    let report = say(folder.path(), &["--json", "certify", "package"])
        .expect(1)
        .json();
    assert_eq!(failed(&report), ["CG-02"], "{report:#}");
    fs::write(folder.path().join("tests/a.json"), test("x", said)).unwrap();
    let report = say(&package, &["--json", "certify", "."]).expect(0).json();
    assert_eq!(
        detail(&report, "CG-02"),
        "tests/a.json: ok; no test of it: tests/fixture.json"
    );
}

/// The table for people names the invariant beside each check and fits a narrow terminal; `--sarif` writes what code hosts read.
#[test]
fn inv_pnp_10_the_report_is_for_people_and_for_code_hosts_too() {
    let folder = TempDir::new().unwrap();
    let package = folder.path().join("my plugin");
    fs::create_dir(&package).unwrap();
    trying("p.test.tries").write(&package);
    let said = say(
        folder.path(),
        &["certify", "./my plugin", "--sarif", "out.sarif"],
    )
    .expect(1);
    for (id, name, law, invariant) in CHECKS {
        let line = said
            .stdout
            .lines()
            .find(|line| line.trim_start().starts_with(id))
            .unwrap();
        assert!(
            [name, law, invariant]
                .iter()
                .all(|word| line.contains(word)),
            "{line}"
        );
        assert_eq!(line.contains("FAIL"), id == "CG-08", "{line}");
    }
    assert!(said.stdout.contains("does NOT comply: 9 of 10"), "{said:?}");
    let sarif: Value =
        serde_json::from_slice(&fs::read(folder.path().join("out.sarif")).unwrap()).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), 10);
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 1, "{sarif:#}");
    assert_eq!(results[0]["ruleId"], "CG-08");
    assert_eq!(run["tool"]["driver"]["rules"][7]["id"], "CG-08");
    assert_eq!(results[0]["ruleIndex"], 7);
    let place = "/locations/0/physicalLocation/artifactLocation/uri";
    assert_eq!(
        results[0].pointer(place).unwrap(),
        "my%20plugin/plugin.json"
    );
    let mut narrow = Command::new(binary());
    narrow.env("COLUMNS", "60").args(["certify"]).arg(&package);
    let narrow = finish(narrow, b"").expect(1);
    assert!(
        narrow.stdout.lines().all(|line| line.chars().count() <= 60),
        "{}",
        narrow.stdout
    );
    let quiet = say(folder.path(), &["-q", "certify", "my plugin"]).expect(1);
    assert!(
        quiet.stdout.contains("CG-08") && !quiet.stdout.contains("CG-07"),
        "{quiet:?}"
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
        assert_eq!(failed(&report), ["CG-08"], "{report:#}");
        let report = certify(&package, &["--tolerate-denied"]);
        assert!(failed(&report).is_empty(), "{report:#}");
        let named = r#"it asked for what is refused: openat(\"/etc/shadow\", O_RDONLY)"#;
        assert!(report.to_string().contains(named), "{report:#}");
    }
}

/// W1: what no host can say for another is a warning, and the plugin is registered all the same.
#[test]
fn a_runtime_that_this_host_has_not_is_a_warning_before_the_first_call() {
    let host = Host::new();
    let [misspelt, sound] = ["rubby", "sh"].map(|runtime| {
        host.signed(&Package::script(
            "p.test.elsewhere",
            runtime,
            "read -r line",
        ))
    });
    let report = host
        .say(["--json", "validate", misspelt.to_str().unwrap()])
        .expect(0)
        .json();
    let warning = report["issues"]
        .as_array()
        .unwrap()
        .iter()
        .find(|issue| issue["field"] == "/entrypoint/command/0")
        .unwrap();
    assert_eq!(warning["severity"], "warning", "{warning}");
    let message = warning["message"].as_str().unwrap();
    for words in ["'rubby'", "if 'ruby' is meant", "python3", "runtimes.rubby"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    let said = host.say(["register", misspelt.to_str().unwrap()]).expect(0);
    assert!(
        said.stderr.contains("warning: /entrypoint/command/0"),
        "{}",
        said.stderr
    );
    let said = host.say(["validate", sound.to_str().unwrap()]).expect(0);
    assert!(!said.stdout.contains("/entrypoint"), "{}", said.stdout);
}
