//! Packages as people have them, from their registries (`scripts/real-packages` gets them): each is signed as it is, and works.

use std::path::PathBuf;

use campaigns::package::manifest;
use campaigns::{Host, command};
use serde_json::{Value, json};

/// A package that `scripts/real-packages` made; where it could not, it has said why.
fn real(name: &str) -> Option<PathBuf> {
    let folder = command::real(name);
    if folder.is_dir() {
        return Some(folder);
    }
    skip::skip_for_registry(&format!("scripts/real-packages did not make '{name}'"));
    None
}

/// Installs a copy of the package, asks it, and gives the data of its answer and what it was refused.
fn ask(name: &str, command: &[&str], limits: &Value, text: &str) -> Option<(Value, Value)> {
    let host = Host::new();
    let folder = host.folder().join("package");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([&real(name)?, &folder])
        .status();
    assert!(copied.unwrap().success());
    let mut manifest = manifest(&format!("p.real.{name}"), command);
    manifest["capabilities"] = json!(["read_text", "write_report"]);
    manifest["io"] = json!({
        "inputs": [{"kind": "text", "schema_ref": "names/1"}],
        "outputs": [{"kind": "json", "schema_ref": "tried/1"}],
    });
    manifest["limits"] = limits.clone();
    std::fs::write(folder.join("plugin.json"), manifest.to_string()).unwrap();
    let id = host.install_folder(&folder);
    let said = host.say(["--json", "invoke", &id, "--text", text]);
    let answer = said.expect(0).json();
    let events = host.events();
    let denied = &events.last().unwrap()["meta"]["denied"];
    Some((answer["result"]["data"].clone(), denied.clone()))
}

/// Everything that was tried worked.
fn all_worked(data: &Value) {
    let failed: Vec<_> = data
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, result)| result.get("error").is_some())
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn python_packages_as_pip_unpacks_them_work() {
    let names =
        "numpy pandas scipy sklearn joblib tqdm requests pydantic cryptography PIL jinja2 markdown";
    let limits = json!({"max_ms": 60_000, "max_memory_bytes": 2_u64 << 30});
    let Some((data, denied)) = ask("python", &["python3", "main.py"], &limits, names) else {
        return;
    };
    all_worked(&data);
    assert_eq!(data["numpy"], 1.0);
    assert_eq!((&data["pandas"], &data["sklearn"]), (&json!(10), &json!(6)));
    assert_eq!(
        (&data["tqdm"], &data["joblib"]),
        (&json!(6), &json!([1, 2]))
    );
    assert_eq!(
        (&data["PIL"], &data["cryptography"]),
        (&json!([255, 0, 0]), &json!(64))
    );
    // What it asked for in vain is named, and the answer stands.
    assert!(
        denied.as_str().unwrap().contains("socket(AF_INET6"),
        "{denied}"
    );
}

#[test]
fn node_modules_as_npm_makes_them_work() {
    let limits = json!({"max_ms": 60_000, "max_open_files": 4096, "max_memory_bytes": 256 << 20});
    let names = "lodash-es date-fns zod ajv acorn";
    let Some((data, _)) = ask("node", &["node", "main.mjs"], &limits, names) else {
        return;
    };
    all_worked(&data);
    let expected = json!({"lodash-es": 2, "date-fns": "1970-01-02", "zod": 1, "ajv": true, "acorn": "Program"});
    assert_eq!(data, expected);
}

#[test]
fn a_go_program_works() {
    if let Some((data, denied)) = ask("go", &["./program"], &json!({"max_ms": 20_000}), "") {
        assert_eq!(data, json!({"sum": 2016, "random": 32, "zone": "UTC"}));
        assert_eq!(denied, Value::Null);
    }
}

#[test]
fn a_program_on_the_whole_of_tokio_works() {
    if let Some((data, denied)) = ask("tokio", &["./program"], &json!({"max_ms": 20_000}), "") {
        assert_eq!(data, json!({"sum": 2016, "blocking": 7}));
        assert_eq!(denied, Value::Null);
    }
}
