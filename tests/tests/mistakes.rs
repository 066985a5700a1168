//! What authors do wrong, seeded one mistake at a time: the real command says what the cause is and what mends it.
//!
//! Each row is a name, how the mistake is made, and words that the diagnosis must hold: some of the cause, some of the fix. To read the
//! messages as an author does: `cargo test -p campaigns --test mistakes -- --nocapture`.

#[path = "mistakes/acts.rs"]
mod acts;
#[path = "mistakes/imports.rs"]
mod imports;
#[path = "mistakes/keys.rs"]
mod keys;
#[path = "mistakes/limits.rs"]
mod limits;
#[path = "mistakes/manifests.rs"]
mod manifests;
#[path = "mistakes/packages.rs"]
mod packages;
#[path = "mistakes/stdout.rs"]
mod stdout;
#[path = "mistakes/verbs.rs"]
mod verbs;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use campaigns::answers::prompt;
use campaigns::command::{Said, binary, finish, without_state};
use campaigns::program::{Link, c};
use campaigns::{Host, Package, skip};
use serde_json::Value;
use tempfile::TempDir;

/// "seventy seeded author mistakes … give seventy diagnoses that name cause and fix"
const LEAST: usize = 70;

/// How many rows of one table are made at a time: most of what they do is wait.
const AT_A_TIME: usize = 3;

/// One mistake.
struct Row {
    name: &'static str,
    /// The program that it needs; empty where it needs none.
    needs: &'static str,
    made: Made,
    /// How the command ends.
    code: i32,
    /// Words of the diagnosis that name the cause.
    cause: &'static str,
    /// Words of the diagnosis that name the fix.
    fix: &'static str,
}

/// How a mistake is made.
enum Made {
    /// A script for a runtime, with the file's name, which `run` runs.
    Script(&'static str, &'static str, String),
    /// A program in C, which `run` runs.
    C(&'static str),
    /// A package, which `run` runs.
    Package(fn() -> Package),
    /// A good package's folder that is spoiled, which `validate` looks at.
    Folder(fn(&Path)),
    /// A good manifest that is spoiled, which `validate` looks at.
    Manifest(fn(&mut Value)),
    /// Verbs on a state of many.
    Verbs(fn(&Host) -> Said),
}

/// What every Python plugin of the tables begins with: the request, and a good answer that the mistake may spoil.
const PYTHON: &str = "import json, os, sys, time
request = json.loads(sys.stdin.readline())['request']
result = {'kind': 'json', 'schema_ref': 'any/1', 'data': {}}
answer = {'type': 'result', 'response': {'request_id': request['request_id'], 'status': 'ok', 'result': result, 'notes': ''}}
";

/// The same for Node.
const NODE: &str = "const request = JSON.parse(require('fs').readFileSync(0, 'utf8')).request;
const result = { kind: 'json', schema_ref: 'any/1', data: {} };
const answer = { type: 'result', response: { request_id: request.request_id, status: 'ok', result, notes: '' } };
";

impl Row {
    fn new(name: &'static str, made: Made, cause: &'static str, fix: &'static str) -> Self {
        Self {
            name,
            needs: "",
            made,
            code: 1,
            cause,
            fix,
        }
    }

    /// A whole script of this runtime.
    fn script(
        name: &'static str,
        (runtime, file): (&'static str, &'static str),
        text: &str,
        cause: &'static str,
        fix: &'static str,
    ) -> Self {
        Self {
            needs: runtime,
            ..Self::new(
                name,
                Made::Script(runtime, file, text.to_owned()),
                cause,
                fix,
            )
        }
    }

    /// Python behind what reads the request.
    fn python(name: &'static str, body: &str, cause: &'static str, fix: &'static str) -> Self {
        let text = format!("{PYTHON}{body}\n");
        Self::script(name, ("python3", "main.py"), &text, cause, fix)
    }

    /// JavaScript behind what reads the request.
    fn node(name: &'static str, body: &str, cause: &'static str, fix: &'static str) -> Self {
        let text = format!("{NODE}{body}\n");
        Self::script(name, ("node", "main.js"), &text, cause, fix)
    }

    fn c(name: &'static str, body: &'static str, cause: &'static str, fix: &'static str) -> Self {
        Self::new(name, Made::C(body), cause, fix)
    }

    fn package(
        name: &'static str,
        made: fn() -> Package,
        cause: &'static str,
        fix: &'static str,
    ) -> Self {
        Self::new(name, Made::Package(made), cause, fix)
    }

    fn folder(
        name: &'static str,
        spoil: fn(&Path),
        cause: &'static str,
        fix: &'static str,
    ) -> Self {
        Self::new(name, Made::Folder(spoil), cause, fix)
    }

    fn manifest(
        name: &'static str,
        spoil: fn(&mut Value),
        cause: &'static str,
        fix: &'static str,
    ) -> Self {
        Self::new(name, Made::Manifest(spoil), cause, fix)
    }

    fn verbs(
        name: &'static str,
        code: i32,
        made: fn(&Host) -> Said,
        cause: &'static str,
        fix: &'static str,
    ) -> Self {
        Self {
            code,
            ..Self::new(name, Made::Verbs(made), cause, fix)
        }
    }

    /// The same where the command is content.
    fn code(self, code: i32) -> Self {
        Self { code, ..self }
    }

    fn needs(self, needs: &'static str) -> Self {
        Self { needs, ..self }
    }

    /// Makes the mistake, and gives what the command said.
    fn said(&self, host: &Host) -> Said {
        match &self.made {
            Made::Script(runtime, file, text) => run(&script(runtime, file, text)),
            Made::C(body) => run(&Package::native("p.test.mistake", &c(body, Link::Static))),
            Made::Package(made) => run(&made()),
            Made::Folder(spoil) => {
                let folder = TempDir::new().unwrap();
                prompt("p.test.mistake").write(folder.path());
                spoil(folder.path());
                command(&["validate"], folder.path(), &[])
            }
            Made::Manifest(spoil) => {
                let folder = TempDir::new().unwrap();
                prompt("p.test.mistake").with(spoil).write(folder.path());
                command(&["validate"], folder.path(), &[])
            }
            Made::Verbs(made) => {
                let said = made(host);
                Said {
                    stdout: without_state(&said.stdout),
                    stderr: without_state(&said.stderr),
                    ..said
                }
            }
        }
    }

    /// What is wrong with what the command said; nothing where it is right.
    fn fault(&self, said: &Said) -> Option<String> {
        let all = format!("{}{}", said.stdout, said.stderr);
        let missing = [("cause", self.cause), ("fix", self.fix)];
        let mut wrong: Vec<String> = missing
            .iter()
            .filter(|(_, words)| words.is_empty() || !all.contains(words))
            .map(|(what, words)| format!("the {what} is not told: {words:?}"))
            .collect();
        if said.code != self.code {
            wrong.push(format!("it ended with {}, not {}", said.code, self.code));
        }
        // Words for nobody: an empty name, a panic of the gateway's.
        for odd in [": :", "(whole)", "panicked at src"] {
            if all.contains(odd) {
                wrong.push(format!("it says {odd:?}"));
            }
        }
        (!wrong.is_empty()).then(|| format!("{}: {}\n{all}", self.name, wrong.join("; ")))
    }
}

/// A package of one script, run by its runtime.
fn script(runtime: &str, file: &str, text: &str) -> Package {
    Package::script("p.test.mistake", runtime, text)
        .file(file, text.as_bytes(), 0o644)
        .with(|manifest| {
            manifest["entrypoint"]["command"] = serde_json::json!([runtime, file]);
            manifest["limits"]["max_ms"] = serde_json::json!(10_000);
        })
}

/// `run PACKAGE --text x`
fn run(package: &Package) -> Said {
    let folder = TempDir::new().unwrap();
    package.write(folder.path());
    command(&["run"], folder.path(), &["--text", "x"])
}

/// The command on a folder, without any state.
fn command(before: &[&str], folder: &Path, behind: &[&str]) -> Said {
    let mut command = Command::new(binary());
    command.args(before).arg(folder).args(behind);
    finish(command, b"")
}

/// Whether a program of that name is on the path and works.
fn has(program: &str) -> bool {
    let said = Command::new(program).arg("--version").output();
    // These have no such option, and say so.
    let is_odd = ["openssl", "sh", "ssh-keygen"].contains(&program);
    said.is_ok_and(|said| is_odd || said.status.success())
}

/// Makes every mistake of a table, and fails with all that were told badly.
#[track_caller]
fn told(rows: Vec<Row>) {
    let host = Host::new();
    // Which programs are there, is asked once.
    let needed: BTreeSet<&str> = rows.iter().map(|row| row.needs).collect();
    let lacking: BTreeSet<&str> = needed
        .into_iter()
        .filter(|needs| !needs.is_empty() && !has(needs))
        .collect();
    for needs in &lacking {
        skip(&format!("{needs} is not installed"));
    }
    let rows: Vec<&Row> = rows
        .iter()
        .filter(|row| !lacking.contains(row.needs))
        .collect();
    let next = AtomicUsize::new(0);
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let said = row.said(&host);
                    println!(
                        "== {} ({})\n{}{}",
                        row.name, said.code, said.stdout, said.stderr
                    );
                    let fault = row.fault(&said);
                    faults.lock().unwrap().extend(fault);
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(
        faults.is_empty(),
        "{} told badly:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn inv_pnp_10_there_are_seventy_mistakes_and_each_has_its_own_name() {
    let rows = [
        stdout::rows(),
        imports::rows(),
        limits::rows(),
        acts::rows(),
        packages::rows(),
        manifests::rows(),
        keys::rows(),
        verbs::rows(),
    ];
    let names: Vec<&str> = rows.iter().flatten().map(|row| row.name).collect();
    let different: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(different.len(), names.len(), "{names:?}");
    assert!(names.len() >= LEAST, "{}", names.len());
}
