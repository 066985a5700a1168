//! T8: in doubt the answer is no: tampered packages, lost trust, a broken or unwritable ledger, two gateways on one state.

#[path = "t8_fail_closed/packages.rs"]
mod packages;
#[path = "t8_fail_closed/states.rs"]
mod states;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use campaigns::command::{binary, finish};
use campaigns::library::{call, open};
use campaigns::program::{Link, c};
use campaigns::request::{data, request, text, with};
use campaigns::{Host, Package, Said, parrot};
use plugin_gateway::{Gateway, Kind, Registration};
use serde_json::{Value, json};

/// A package with a program, a schema and a file in a folder.
fn package(id: &str) -> Package {
    Package::script(id, "sh", "exit 1\n")
        .with(|manifest| {
            manifest["schemas"] = json!({ "any/1": "schemas/any.json" });
        })
        .file("schemas/any.json", b"{\"type\":\"object\"}", 0o644)
        .file("data/words.txt", b"some words", 0o644)
}

const FILES: [&str; 4] = [
    "plugin.json",
    "script",
    "schemas/any.json",
    "data/words.txt",
];

/// Flips one bit of the byte at `at`.
fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    let mode = fs::metadata(file).unwrap().permissions();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(file, bytes).unwrap();
    fs::set_permissions(file, mode).unwrap();
}

/// "Missing, malformed, wrong or untrusted-key signatures, and revoked keys: the plugin is recorded with status `rejected`,
/// `signature_valid: false`, and can never be enabled". Exit code 3: "refused by policy or trust".
#[test]
fn inv_pnp_10_a_package_that_no_trusted_key_vouches_for_is_recorded_and_refused() {
    let host = Host::new();
    let signed = |id: &str| host.signed(&package(id));
    let signature = |folder: &Path| fs::read_to_string(folder.join("plugin.sig")).unwrap();
    let change = |id: &str, change: &dyn Fn(&mut Value)| {
        let folder = signed(id);
        let mut value: Value = serde_json::from_str(&signature(&folder)).unwrap();
        change(&mut value);
        fs::write(folder.join("plugin.sig"), value.to_string()).unwrap();
        folder
    };

    refused(
        &host,
        &host.lay_out(&package("p.test.unsigned")),
        "has no signature",
    );
    for (id, content) in [
        ("p.test.empty", ""),
        ("p.test.text", "trust me"),
        ("p.test.null", "null"),
        ("p.test.array", "[]"),
    ] {
        let folder = signed(id);
        fs::write(folder.join("plugin.sig"), content).unwrap();
        refused(&host, &folder, "malformed");
    }
    let folder = signed("p.test.huge");
    fs::write(folder.join("plugin.sig"), " ".repeat(100_000)).unwrap();
    refused(&host, &folder, "malformed");
    for (id, name, value) in [
        ("p.test.algorithm", "algorithm", json!("none")),
        ("p.test.algorithm-case", "algorithm", json!("Ed25519")),
        ("p.test.extra", "extra", json!(1)),
        ("p.test.short", "signature", json!("AAAA")),
        ("p.test.no-base64", "signature", json!("!".repeat(88))),
        ("p.test.no-text", "signature", json!(null)),
        ("p.test.key-id", "key_id", json!("xyz")),
    ] {
        refused(
            &host,
            &change(id, &|value_of| value_of[name] = value.clone()),
            "malformed",
        );
    }
    let zeros = format!("{}==", "A".repeat(86));
    refused(
        &host,
        &change("p.test.zeros", &|value| value["signature"] = json!(zeros)),
        "wrong",
    );

    let other = signed("p.test.other");
    let folder = signed("p.test.borrowed");
    fs::copy(other.join("plugin.sig"), folder.join("plugin.sig")).unwrap();
    refused(&host, &folder, "wrong");

    // A stranger's key, under its own name and under the trusted one's.
    let stranger = host.folder().join("stranger.key");
    host.say(["keygen", "--out", stranger.to_str().unwrap()])
        .expect(0);
    let folder = host.lay_out(&package("p.test.stranger"));
    host.say([
        "sign",
        folder.to_str().unwrap(),
        "--key",
        stranger.to_str().unwrap(),
    ])
    .expect(0);
    refused(&host, &folder, "untrusted key");
    let mut value: Value = serde_json::from_str(&signature(&folder)).unwrap();
    value["key_id"] = serde_json::from_str::<Value>(&signature(&other)).unwrap()["key_id"].clone();
    fs::write(folder.join("plugin.sig"), value.to_string()).unwrap();
    refused(&host, &folder, "wrong");

    let key = host.say(["--json", "trust", "list"]).expect(0).json()[0]["key_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let folder = signed("p.test.late");
    host.say(["trust", "remove", &key]).expect(0);
    refused(&host, &folder, "revoked");
    host.verified();
}

/// "a rejected entry does not hold its name: a later valid package may register it"
#[test]
fn inv_pnp_10_a_rejected_entry_does_not_hold_its_name() {
    let host = Host::new();
    let id = "p.test.name";
    let folder = host.lay_out(&package(id));
    refused(&host, &folder, "has no signature");
    refused(&host, &folder, "has no signature");
    host.say(["disable", id]).expect(3);
    host.sign(&folder);
    let info = host.register(&folder).expect(0).json();
    assert_eq!(
        (&info["status"], &info["signature_valid"]),
        (&json!("registered"), &json!(true))
    );
    host.say(["enable", id]).expect(0);

    // The other way round a bad package never takes a name from its holder, asked to replace it or not.
    let bad = host.lay_out(&package(id).with(|manifest| manifest["version"] = json!("2.0.0")));
    host.register(&bad).expect(3);
    let said = host
        .say(["--json", "register", bad.to_str().unwrap(), "--replace"])
        .expect(3);
    assert_eq!(said.json()["status"], "rejected");
    let row = host.row(id);
    assert_eq!(
        (&row["status"], &row["version"]),
        (&json!("enabled"), &json!("1.0.0")),
        "the holder keeps it"
    );
}

/// "Removing trust from a key disables, at once, the plugins it vouched for."
#[test]
fn inv_pnp_10_trust_that_is_removed_disables_at_once() {
    let host = Host::new();
    let ids: Vec<String> = ["p.test.one", "p.test.two"]
        .iter()
        .map(|id| host.install(&package(id)))
        .collect();
    // Another vendor's plugin is not touched.
    let other = host.folder().join("other.key");
    let path = |file: &Path| file.to_str().unwrap().to_owned();
    host.say(["keygen", "--out", &path(&other)]).expect(0);
    host.say(["trust", "add", &path(&host.folder().join("other.key.pub"))])
        .expect(0);
    let folder = host.lay_out(&package("p.test.third"));
    host.say(["sign", &path(&folder), "--key", &path(&other)])
        .expect(0);
    host.register(&folder).expect(0);
    host.say(["enable", "p.test.third"]).expect(0);

    let signature: Value = serde_json::from_slice(
        &fs::read(host.signed(&package("p.test.one")).join("plugin.sig")).unwrap(),
    )
    .unwrap();
    let key = signature["key_id"].as_str().unwrap();
    host.say(["trust", "remove", key]).expect(0);
    for id in &ids {
        let row = host.row(id);
        assert_eq!(
            (&row["status"], &row["signature_valid"]),
            (&json!("disabled"), &json!(false))
        );
        let response = host.ask(id, "x");
        assert!(
            response["notes"].as_str().unwrap().contains("not enabled"),
            "{response}"
        );
        let said = host.say(["--json", "enable", id]).expect(3);
        assert!(said.stdout.contains("no longer trusted"), "{said:?}");
    }
    assert_eq!(host.row("p.test.third")["status"], "enabled");
    let events = host.events().len();
    host.say(["trust", "remove", key]).expect(0);
    assert_eq!(host.events().len(), events, "again: nothing more");

    // Trust that comes back switches nothing on by itself.
    host.say(["trust", "add", &path(&host.public_key())])
        .expect(0);
    for id in &ids {
        assert_eq!(host.row(id)["status"], "disabled");
        assert_eq!(host.ask(id, "x")["status"], "rejected");
        host.say(["enable", id]).expect(0);
        assert_eq!(host.row(id)["status"], "enabled");
    }
    host.verified();
}

/// "Enable and disable are idempotent."
#[test]
fn inv_pnp_10_enable_and_disable_are_idempotent() {
    let host = Host::new();
    let folder = host.signed(&package("p.test.twice"));
    host.register(&folder).expect(0);
    for (verb, status) in [("enable", "enabled"), ("disable", "disabled")] {
        let first = host.say(["--json", verb, "p.test.twice"]).expect(0).json();
        let events = host.events().len();
        let again = host.say(["--json", verb, "p.test.twice"]).expect(0).json();
        assert_eq!(first, again);
        assert_eq!(first["status"], status);
        assert_eq!(
            host.events().len(),
            events,
            "nothing happened, nothing is recorded"
        );
    }
    // Only `registered` and `enabled` can be left, and a call needs `enabled`.
    assert_eq!(host.ask("p.test.twice", "x")["status"], "rejected");
}

/// The folder of the only package in the store.
fn stored(host: &Host) -> PathBuf {
    let mut folders = fs::read_dir(host.state().join("store/packages")).unwrap();
    let folder = folders.next().unwrap().unwrap().path();
    assert!(folders.next().is_none());
    folder
}

/// "The signature covers the package digest, so neither manifest nor code can change under it" — nor in the store, after registering.
#[test]
fn inv_pnp_10_a_file_that_changes_in_the_store_is_never_run() {
    let host = Host::new();
    let id = host.install(&package("p.test.stored"));
    let store = stored(&host);
    campaigns::command::unseal(&store);
    let runs = || {
        host.events()
            .iter()
            .filter(|event| event["kind"] == "INVOKE")
            .count()
    };
    host.ask(&id, "x");
    assert_eq!(runs(), 1, "as it was registered it runs");
    let changed = |what: &str| {
        let response = host.ask(&id, "x");
        assert_eq!(response["status"], "rejected", "{what}: {response}");
        let notes = response["notes"].as_str().unwrap();
        assert!(
            notes.contains("changed since it was signed"),
            "{what}: {notes}"
        );
        assert_eq!(runs(), 1, "{what}: it was not run");
        notes.to_owned()
    };
    for file in FILES {
        let path = store.join(file);
        let length = fs::metadata(&path).unwrap().len() as usize;
        for at in 0..length {
            // Every byte of the small files, some of the manifest.
            if length > 100 && at % 97 != 0 {
                continue;
            }
            flip(&path, at);
            let notes = changed(&format!("{file} byte {at}"));
            assert!(notes.contains(file), "it is named: {notes}");
            flip(&path, at);
        }
        let mode = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        changed(&format!("{file} executable"));
        fs::set_permissions(&path, mode).unwrap();
        let moved = host.folder().join("moved");
        fs::rename(&path, &moved).unwrap();
        changed(&format!("{file} gone"));
        symlink(&moved, &path).unwrap();
        changed(&format!("{file} a link"));
        fs::remove_file(&path).unwrap();
        fs::rename(&moved, &path).unwrap();
    }
    fs::write(store.join("extra"), "x").unwrap();
    changed("a file more");
    fs::remove_file(store.join("extra")).unwrap();
    host.ask(&id, "x");
    assert_eq!(runs(), 2, "put back as it was, it runs again");
    host.verified();
}

/// The same while a gateway lives that has run the package already.
#[test]
fn inv_pnp_10_a_change_in_the_store_is_seen_by_a_gateway_that_ran_it_before() {
    let host = Host::new();
    let id = host.install(&parrot::package("p.test.parrot"));
    let answer = parrot::answer("request-1", "ok", &data("any/1", json!({})), "");
    let asked = request(parrot::saying(answer));
    let gateway = open(&host);
    assert_eq!(call(&gateway, &id, &asked).status(), "ok");
    let store = stored(&host);
    campaigns::command::unseal(&store);
    for file in ["program", "plugin.json"] {
        flip(&store.join(file), 40);
        let answered = call(&gateway, &id, &asked);
        assert_eq!(answered.status(), "rejected", "{answered:?}");
        assert!(
            answered.notes().contains(file) && !answered.reached_the_plugin(),
            "{answered:?}"
        );
        flip(&store.join(file), 40);
    }
    assert_eq!(call(&gateway, &id, &asked).status(), "ok");
}

/// A script that reads a second file of its package after a while, and answers with what stands there.
const LATE_READER: &str = r#"
import json, pathlib, sys, time
request = json.loads(sys.stdin.readline())["request"]
time.sleep(1.5)
words = pathlib.Path(__file__).with_name("words.txt").read_text()
result = {"kind": "json", "schema_ref": "any/1", "data": {"words": words}}
response = {"request_id": request["request_id"], "status": "ok", "result": result, "notes": ""}
print(json.dumps({"type": "result", "response": response}))
"#;

/// "No unsigned byte ever answers `ok`": also when a file is exchanged between the check and the interpreter's reading, and put
/// back before the answer comes.
#[test]
fn inv_pnp_10_a_file_that_is_exchanged_while_a_script_runs_gives_no_result() {
    let host = Host::new();
    let package = Package::script("p.test.late", "python3", LATE_READER)
        .with(|manifest| manifest["limits"]["max_ms"] = json!(10_000))
        .file("words.txt", b"signed", 0o644);
    let id = host.install(&package);
    let asked = request(text("x"));
    let gateway = open(&host);
    let untouched = call(&gateway, &id, &asked);
    assert_eq!(untouched.status(), "ok", "{untouched:?}");
    let words = stored(&host).join("words.txt");
    campaigns::command::unseal(&stored(&host));
    // Plugins have a user id of their own, which must still reach the folder.
    fs::set_permissions(stored(&host), fs::Permissions::from_mode(0o755)).unwrap();
    let started = || {
        let ledger = fs::read_to_string(host.segment()).unwrap();
        ledger.matches("\"kind\":\"INVOKE\"").count()
    };
    let put = |text: &str| {
        fs::set_permissions(&words, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&words, text).unwrap();
    };
    for (back_before_the_end, sees) in [(false, "forged"), (true, "signed")] {
        let before = started();
        let answered = std::thread::scope(|threads| {
            let answered = threads.spawn(|| call(&gateway, &id, &asked));
            // Its files have been checked by then, and it sleeps before it reads.
            while started() == before {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            put("forged");
            if back_before_the_end {
                put("signed");
            }
            answered.join().unwrap()
        });
        assert!(answered.reached_the_plugin(), "{answered:?}");
        assert_eq!(
            answered.status(),
            "rejected",
            "it read '{sees}': {answered:?}"
        );
        assert!(answered.notes().contains("while it ran"), "{answered:?}");
        put("signed");
    }
    assert_eq!(
        call(&gateway, &id, &asked).status(),
        "ok",
        "the bytes are those that were signed"
    );
}

/// Maps a file, changes nothing in it, and once it is told to writes to it: no time of the file's changes then, as the page is changed already.
const MAPPED_WRITER: &str = r#"
import mmap, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
page = mmap.mmap(file, 0)
page[0:1] = page[0:1]
print("mapped", flush=True)
sys.stdin.readline()
page[0:6] = b"forged"
print("written", flush=True)
sys.stdin.readline()
"#;

/// "No unsigned byte ever answers `ok`": also where the file is written to through a mapping, which no stamp tells of.
#[test]
fn inv_pnp_10_a_file_that_is_mapped_for_writing_gives_no_result() {
    let host = Host::new();
    let quick = LATE_READER.replace("time.sleep(1.5)", "");
    let package =
        Package::script("p.test.mapped", "python3", &quick).file("words.txt", b"signed", 0o644);
    let id = host.install(&package);
    let asked = request(text("x"));
    campaigns::command::unseal(&stored(&host));
    fs::set_permissions(stored(&host), fs::Permissions::from_mode(0o755)).unwrap();
    let words = stored(&host).join("words.txt");
    fs::set_permissions(&words, fs::Permissions::from_mode(0o644)).unwrap();
    let mut writer = std::process::Command::new("python3")
        .args(["-c", MAPPED_WRITER])
        .arg(&words)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(writer.stdout.take().unwrap());
    let mut next = || std::io::BufRead::read_line(&mut said, &mut String::new()).unwrap();
    next();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let gateway = open(&host);
    let before = call(&gateway, &id, &asked);
    std::io::Write::write_all(writer.stdin.as_mut().unwrap(), b"\n").unwrap();
    next();
    let after = call(&gateway, &id, &asked);
    drop(writer.stdin.take());
    writer.wait().unwrap();
    assert_ne!(after.status(), "ok", "{after:?}");
    assert_eq!(before.status(), "rejected", "{before:?}");
    assert!(before.notes().contains("open for writing"), "{before:?}");
}

/// What is done to a folder.
type Change = fn(&Path);

fn refused(host: &Host, folder: &Path, word: &str) -> Said {
    let said = host.register(folder).expect(3);
    let info = said.json();
    assert_eq!(
        (&info["status"], &info["signature_valid"]),
        (&json!("rejected"), &json!(false)),
        "{info}"
    );
    assert!(said.stderr.contains(word), "'{word}' is said: {said:?}");
    let id = info["plugin_id"].as_str().unwrap();
    let row = host.row(id);
    assert_eq!(
        (&row["status"], &row["signature_valid"]),
        (&json!("rejected"), &json!(false))
    );
    let said_enable = host.say(["--json", "enable", id]).expect(3);
    assert!(
        said_enable.stdout.contains("Cannot enable rejected plugin"),
        "{said_enable:?}"
    );
    let answered = host.ask(id, "x");
    assert_eq!(answered["status"], "rejected");
    assert!(host.events().iter().all(|event| event["kind"] != "INVOKE"));
    said
}
