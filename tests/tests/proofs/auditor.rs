//! What an auditor has: EVIDENCE.md, the verifier in Python, and other people's programs where they are installed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use campaigns::command::{Said, binary, finish};
use campaigns::skip;
use serde_json::Value;

/// A file of the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The examples of EVIDENCE.md: the code blocks that have a name, which stands behind the language.
#[derive(Debug)]
pub struct Page(BTreeMap<String, String>);

impl Page {
    /// Reads the page as it stands.
    pub fn read() -> Self {
        let text = fs::read_to_string(project("EVIDENCE.md")).unwrap();
        let mut blocks = BTreeMap::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(info) = line.strip_prefix("```") else {
                continue;
            };
            let block: Vec<&str> = lines
                .by_ref()
                .take_while(|line| !line.starts_with("```"))
                .collect();
            if let Some((_, name)) = info.split_once(' ') {
                let before = blocks.insert(name.to_owned(), block.join("\n"));
                assert_eq!(before, None, "two blocks are named {name}");
            }
        }
        Self(blocks)
    }

    /// One example, without its last newline.
    pub fn block(&self, name: &str) -> &str {
        self.0
            .get(name)
            .unwrap_or_else(|| panic!("EVIDENCE.md has no example '{name}'"))
    }

    /// The value behind `name` in a block of names and values.
    pub fn value(&self, block: &str, name: &str) -> &str {
        let line = self
            .block(block)
            .lines()
            .find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("'{block}' has no '{name}'"))
            .trim()
    }
}

/// Whether `program` can be started here; if not, the reason is printed.
pub fn runs(program: &str, argument: &str) -> bool {
    let found = Command::new(program)
        .arg(argument)
        .output()
        .is_ok_and(|out| out.status.success());
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

/// The gateway's verdict on a bundle.
pub fn gateway_verdict(bundle: &Path, key: &Path) -> Said {
    let mut command = Command::new(binary());
    command.args(["--json", "proof", "verify"]).arg(bundle);
    command.arg("--key").arg(key);
    finish(command, b"")
}

/// Runs the verifier in Python, which must be there.
pub fn python_verifier<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Said {
    let mut command = Command::new("python3");
    command.args(["-I", "-B"]);
    command
        .arg(project("scripts/verify_proof.py"))
        .args(arguments);
    finish(command, b"")
}

/// The Python verifier's verdict on a bundle.
pub fn python_verdict(bundle: &Path, key: &Path) -> Said {
    let words = [OsStr::new("bundle"), OsStr::new("--json")];
    let rest = [bundle.as_os_str(), OsStr::new("--key"), key.as_os_str()];
    python_verifier(words.into_iter().chain(rest))
}

/// The Python verifier's verdict on a ledger.
pub fn python_ledger_verdict(state: &Path, key: &Path) -> Said {
    let words = [OsStr::new("ledger"), OsStr::new("--json")];
    let rest = [state.as_os_str(), OsStr::new("--key"), key.as_os_str()];
    python_verifier(words.into_iter().chain(rest))
}

/// The names and outcomes of a report's checks.
pub fn outcomes(report: &Value) -> Vec<(String, String)> {
    let word = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap();
    checks
        .iter()
        .map(|check| (word(check, "name"), word(check, "outcome")))
        .collect()
}

/// Lets `proofs/mutations.py` change evidence under `python` and asserts that the verifier saw each of at least `least` changes.
pub fn mutate<S: AsRef<OsStr>>(
    python: &Path,
    least: u64,
    arguments: impl IntoIterator<Item = S>,
) -> u64 {
    let mut command = Command::new(python);
    command.args(["-I", "-B"]);
    command.arg(project("tests/tests/proofs/mutations.py"));
    command
        .arg(project("scripts/verify_proof.py"))
        .args(arguments);
    let found = finish(command, b"").expect(0).json();
    assert_eq!(found["unseen"], serde_json::json!([]), "{found}");
    let tried = found["tried"].as_u64().unwrap();
    assert!(tried >= least, "only {tried} were tried");
    tried
}
