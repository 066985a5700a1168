//! Other people's programs on evidence of the real gateway: OpenSSL, the crate signed_note, Go's sumdb packages, rfc8785 from PyPI.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use campaigns::command::{Said, binary, finish};
use campaigns::{Host, skip, skip_for_registry};
use serde_json::Value;
use signed_note::{Note, StandardVerifier, VerifierList};

use crate::auditor::{mutate, runs};
use crate::{exported, long_ledger, read};

/// The package that writes RFC 8785 in Python, and the version that is known to do it right.
const RFC_8785: &str = "rfc8785==0.1.4";

/// A checkpoint of a ledger with events.
fn checkpoint(host: &Host) -> String {
    fs::read_to_string(host.state().join("anchor/head")).unwrap()
}

/// "The checkpoint is a C2SP `tlog-checkpoint` signed note (Ed25519)", by an implementation of C2SP signed notes.
#[test]
fn contract_10_signed_note_opens_the_checkpoint() {
    let host = Host::new();
    let note = checkpoint(&host);
    let vkey = fs::read_to_string(host.state().join("log.vkey")).unwrap();
    let verifier =
        |vkey: &str| VerifierList::new(vec![Box::new(StandardVerifier::new(vkey.trim()).unwrap())]);
    let opened = Note::from_bytes(note.as_bytes()).unwrap();
    let (verified, unknown) = opened.verify(&verifier(&vkey)).unwrap();
    assert_eq!((verified.len(), unknown.len()), (1, 0));
    let (text, _) = note.split_once("\n\n").unwrap();
    assert_eq!(opened.text(), format!("{text}\n").as_bytes());
    let other = fs::read_to_string(Host::new().state().join("log.vkey")).unwrap();
    assert!(
        opened.verify(&verifier(&other)).is_err(),
        "another log's key"
    );
    let changed = note.replacen("\n1\n", "\n2\n", 1);
    assert_ne!(changed, note);
    let changed = Note::from_bytes(changed.as_bytes()).unwrap();
    assert!(changed.verify(&verifier(&vkey)).is_err(), "another size");
}

/// "OpenSSL reads both": it reads the log's public key, and verifies a checkpoint of the gateway with it.
#[test]
fn contract_10_openssl_verifies_the_checkpoint() {
    if !runs("openssl", "version") {
        return;
    }
    let host = Host::new();
    let note = checkpoint(&host);
    let (text, line) = note.split_once("\n\n").unwrap();
    let signature = BASE64.decode(line.trim_end().rsplit(' ').next().unwrap());
    let put = |name: &str, bytes: &[u8]| {
        let path = host.folder().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let signature = put("signature", &signature.unwrap()[4..]);
    let verify = |text: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"]);
        openssl.arg(host.state().join("log.pub"));
        openssl.arg("-sigfile").arg(&signature);
        openssl.arg("-in").arg(put("text", text.as_bytes()));
        finish(openssl, b"").code
    };
    assert_eq!(verify(&format!("{text}\n")), 0);
    assert_ne!(verify(text), 0, "without the last newline of the text");
    assert_ne!(verify(&format!("{text}\n\n")), 0);
}

/// The Python of a virtual environment with `rfc8785`, below the target folder; none where it cannot be made, with the reason printed.
fn python_with_rfc_8785() -> Option<PathBuf> {
    let folder = binary().parent().unwrap().with_file_name("proofs-venv");
    let python = folder.join("bin/python");
    let run = |program: &Path, words: &[&OsStr]| -> Option<Said> {
        let mut command = Command::new(program);
        command.args(words);
        program.exists().then(|| finish(command, b""))
    };
    let works = || {
        let said = run(
            &python,
            &["-I".as_ref(), "-c".as_ref(), "import rfc8785".as_ref()],
        );
        said.is_some_and(|said| said.code == 0)
    };
    if works() {
        return Some(python);
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&folder);
    let made = finish(venv, b"");
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--retries",
        "0",
        RFC_8785,
    ];
    let installed = run(&python, &pip.map(OsStr::new));
    if works() {
        return Some(python);
    }
    let said = installed.unwrap_or(made);
    let reason = format!("{}{}", said.stdout, said.stderr);
    let reason = reason.lines().rfind(|line| !line.is_empty());
    skip_for_registry(&format!(
        "{RFC_8785} cannot be installed: {}",
        reason.unwrap_or("no reason given")
    ));
    None
}

/// "append-only, canonical JSON": every line, and the part of it that is hashed, as another implementation of RFC 8785 writes it.
#[test]
fn contract_09_rfc8785_writes_the_same_lines() {
    if !runs("python3", "--version") {
        return;
    }
    let Some(python) = python_with_rfc_8785() else {
        return;
    };
    let (host, _) = exported();
    let state = host.state();
    mutate(
        &python,
        2 * host.verified(),
        [OsStr::new("lines"), state.as_os_str()],
    );
}

/// Copies a package's files. Older ones name the standard `crypto/ed25519` by the place where it stood before.
fn copy_go(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        let text = text.replace("\"golang.org/x/crypto/ed25519\"", "\"crypto/ed25519\"");
        fs::write(to.join(entry.file_name()), text).unwrap();
    }
}

/// A module of the language that this Go has, `go1.26.8` say: its own packages are written in no older one.
fn module(version: &str) -> String {
    let mut numbers = version.trim().trim_start_matches("go").split('.');
    let [major, minor] = [(); 2].map(|()| numbers.next().unwrap());
    format!("module audit\n\ngo {major}.{minor}\n")
}

/// A Go program of `proofs/audit.go` and the packages that Go's own command has for its checksum database, ready for `go run`.
fn go_program(folder: &Path) -> Option<Command> {
    let go = |words: &[&str]| {
        let mut go = Command::new("go");
        // Everything that it needs is here, and what it makes goes away with the folder.
        go.env("GOPROXY", "off")
            .env("GOFLAGS", "-mod=mod")
            .env("GO111MODULE", "on");
        go.env("GOTOOLCHAIN", "local")
            .env("GOCACHE", folder.join("cache"))
            .env("GOPATH", folder.join("path"));
        go.current_dir(folder).args(words);
        go
    };
    let root = finish(go(&["env", "GOROOT"]), b"").expect(0).stdout;
    let packages = Path::new(root.trim()).join("src/cmd/vendor/golang.org/x/mod/sumdb");
    if !packages.is_dir() {
        skip(&format!("Go has no sources at {}", packages.display()));
        return None;
    }
    for package in ["note", "tlog"] {
        copy_go(&packages.join(package), &folder.join(package));
    }
    let version = finish(go(&["env", "GOVERSION"]), b"").expect(0).stdout;
    fs::write(folder.join("go.mod"), module(&version)).unwrap();
    fs::copy(
        crate::auditor::project("tests/tests/proofs/audit.go"),
        folder.join("audit.go"),
    )
    .unwrap();
    Some(go(&["run", "."]))
}

/// "Stock tools … must accept what is written": Go's `sumdb/note` and `sumdb/tlog` on key, checkpoint, tiles, lines and bundles.
#[test]
fn contract_10_go_accepts_checkpoints_tiles_and_bundles() {
    if !runs("go", "version") {
        return;
    }
    for (host, bundles) in [exported(), (long_ledger(), Vec::new())] {
        let folder = tempfile::TempDir::new().unwrap();
        let Some(mut program) = go_program(folder.path()) else {
            return;
        };
        program
            .arg(host.state().join("log.vkey"))
            .arg(host.state())
            .args(&bundles);
        let proofs = |file: &PathBuf| -> u64 {
            let bundle: Value = read(file);
            bundle["inclusion"].as_array().unwrap().len() as u64 + 1
        };
        let checked: u64 = finish(program, b"")
            .expect(0)
            .stdout
            .trim()
            .parse()
            .unwrap();
        assert_eq!(
            checked,
            host.verified() + bundles.iter().map(proofs).sum::<u64>()
        );
    }
}
