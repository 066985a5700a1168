//! `scripts/seal` with `--quick`: what a seal says, and that a stranger sees every change of it. The whole seal is for a release.

use std::fs;
use std::path::Path;
use std::process::Command;

use campaigns::Host;
use campaigns::command::{Said, binary, finish};
use campaigns::skip_for_registry;
use serde_json::{Value, json};

use crate::auditor::{project, runs};

fn seal(words: &[&str]) -> Said {
    let mut command = Command::new("python3");
    command.arg("-B").arg(project("scripts/seal")).args(words);
    let built = binary();
    command.env("CARGO_TARGET_DIR", built.ancestors().nth(2).unwrap());
    finish(command, b"")
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// "One `SEAL.json` signed with the operator's key and recorded in a ledger of its own whose proof lies beside it; `scripts/seal verify FOLDER` for a
/// stranger", and what was not run is said.
#[test]
fn a_seal_holds_until_anything_of_it_is_changed() {
    if !runs("python3", "--version") || !runs("openssl", "version") || !runs("git", "--version") {
        return;
    }
    let mut packages = Command::new("cargo");
    packages.args(["metadata", "--locked", "--offline", "--format-version", "1"]);
    packages.current_dir(project(""));
    if !packages.output().is_ok_and(|said| said.status.success()) {
        return skip_for_registry(
            "this user has not the registry's packages, which the list of them reads",
        );
    }
    let host = Host::new();
    let (key, public) = (host.key(), host.public_key());
    let folder = |name: &str| host.folder().join(name);
    let (one, ledger) = (folder("one"), folder("seals"));
    let made = seal(&[
        "1.2.3",
        "--quick",
        "--key",
        path(&key),
        "--out",
        path(&one),
        "--ledger",
        path(&ledger),
    ])
    .expect(0);
    assert!(made.stdout.contains("git tag -s v1.2.3 "), "{made:?}");
    let check = |key: &Path| seal(&["verify", path(&one), "--key", path(key)]);
    let said = check(&public).expect(0);
    for line in [
        "nothing was built twice",
        "no test was run",
        "no invariant was counted",
    ] {
        assert!(
            said.stdout.contains(&format!("not run: {line}")),
            "{said:?}"
        );
    }
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(one.join(name)).unwrap()).unwrap()
    };
    let document = read("SEAL.json");
    assert_eq!(
        (&document["tests"], &document["build"]),
        (&Value::Null, &Value::Null)
    );
    assert!(document["sources"]["scripts/seal"].is_string());
    let artefacts: Vec<_> = document["artefacts"].as_object().unwrap().keys().collect();
    assert_eq!(
        artefacts,
        ["SBOM.json", "SEAL.pub", "log.pub", "plugin-gateway"]
    );
    // The dependencies, as CycloneDX names them: each with where it comes from, and whether it is in what is handed out.
    let sbom = read("SBOM.json");
    assert_eq!(
        (&sbom["bomFormat"], &sbom["specVersion"]),
        (&json!("CycloneDX"), &json!("1.5"))
    );
    let components = sbom["components"].as_array().unwrap();
    let scope = |name: &str| {
        let found = components
            .iter()
            .find(|component| component["name"] == name);
        let found = found.unwrap_or_else(|| panic!("{name} is not listed"));
        assert!(
            found["purl"]
                .as_str()
                .unwrap()
                .starts_with(&format!("pkg:cargo/{name}@"))
        );
        found["scope"].clone()
    };
    assert_eq!(
        (scope("jiff"), scope("proptest")),
        (json!("required"), json!("excluded"))
    );
    // Whoever holds another key sees that it is not the signer's.
    check(&ledger.join("log.pub")).expect(1);
    // A byte of anything is changed, a file is gone, and one is there that nobody sealed.
    for name in artefacts.iter().map(|name| name.as_str()).chain([
        "SEAL.json",
        "SEAL.sig",
        "SEAL.proof.json",
    ]) {
        let path = one.join(name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(&path, bad).unwrap();
        let said = check(&public).expect(1);
        assert!(
            said.stderr.starts_with("scripts/seal: "),
            "{name}: {said:?}"
        );
        fs::remove_file(&path).unwrap();
        check(&public).expect(1);
        fs::write(&path, good).unwrap();
    }
    fs::write(one.join("more"), "").unwrap();
    check(&public).expect(1);
    fs::remove_file(one.join("more")).unwrap();
    check(&public).expect(0);
    // The next release goes into the same ledger; its proof does not fit this one.
    let two = folder("two");
    seal(&[
        "1.2.4",
        "--quick",
        "--key",
        path(&key),
        "--out",
        path(&two),
        "--ledger",
        path(&ledger),
    ])
    .expect(0);
    fs::copy(two.join("SEAL.proof.json"), one.join("SEAL.proof.json")).unwrap();
    let said = check(&public).expect(1);
    assert!(said.stderr.contains("no event carries it"), "{said:?}");
}
