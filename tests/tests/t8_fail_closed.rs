//! T8: in doubt the answer is no: tampered packages, lost trust, a broken or unwritable ledger, two gateways on one state.

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

/// What is done to a folder.
type Change = fn(&Path);

/// Flips one bit of the byte at `at`.
fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    let mode = fs::metadata(file).unwrap().permissions();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(file, bytes).unwrap();
    fs::set_permissions(file, mode).unwrap();
}

/// The folder is refused for lack of trust, recorded as such, and stays unusable.
#[track_caller]
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

/// "The signature covers the package digest, so neither manifest nor code can change under it." First, middle and last byte of every file.
#[test]
fn inv_pnp_10_one_changed_byte_after_signing_is_refused() {
    let host = Host::new();
    let good = host.signed(&package("p.test.signed"));
    host.register(&good).expect(0);
    for (number, file) in FILES.into_iter().enumerate() {
        let length = package_bytes(&host, file);
        for (turn, at) in [0, length / 2, length - 1].into_iter().enumerate() {
            let id = format!("p.test.flip-{number}-{turn}");
            let folder = host.signed(&package(&id));
            flip(&folder.join(file), at);
            let said = host.register(&folder);
            let document = said.json();
            if let Some(error) = document.get("error") {
                // Without a manifest that can be read there is no id to record it under: exit code 1, "invalid".
                assert_eq!(
                    (said.code, &error["kind"]),
                    (1, &json!("invalid")),
                    "{said:?}"
                );
                assert_eq!(
                    (file, host.row(&id)),
                    ("plugin.json", Value::Null),
                    "{said:?}"
                );
                continue;
            }
            // A manifest or schema that is none any more is not valid, whoever signed it; the rest is a matter of trust.
            let code = if file.ends_with(".json") {
                [1, 3]
            } else {
                [3, 3]
            };
            assert!(code.contains(&said.code), "{file} byte {at}: {said:?}");
            assert_eq!(
                (&document["status"], &document["signature_valid"]),
                (&json!("rejected"), &json!(false)),
                "{said:?}"
            );
        }
    }
    assert!(host.events().iter().all(|event| event["kind"] != "INVOKE"));
    host.verified();
}

fn package_bytes(host: &Host, file: &str) -> usize {
    let folder = host.lay_out(&package("p.test.length"));
    fs::metadata(folder.join(file)).unwrap().len() as usize
}

/// The same for a manifest that stays a good one: another word in its description, a higher limit. Exit code 3: "refused by policy or trust".
#[test]
fn inv_pnp_10_a_manifest_that_changes_under_its_signature_is_refused() {
    let host = Host::new();
    for (place, value) in [
        ("/description", json!("Made on the spot by someone else.")),
        ("/limits/max_ms", json!(60_000)),
        ("/determinism/mode", json!("probabilistic")),
        (
            "/capabilities",
            json!(["read_text", "write_report", "write_suggestion"]),
        ),
        ("/version", json!("9.9.9")),
    ] {
        let id = format!("p.test.changed{}", place.replace(['/', '_'], "-"));
        let package = package(&id);
        let folder = host.signed(&package);
        let changed = with(package.manifest.clone(), place, value);
        fs::write(folder.join("plugin.json"), changed.to_string()).unwrap();
        refused(&host, &folder, "changed since it was signed");
    }
    // The same manifest in other bytes is another file: the digest is over files.
    let package = package("p.test.spaced");
    let folder = host.signed(&package);
    fs::write(folder.join("plugin.json"), package.manifest.to_string()).unwrap();
    refused(&host, &folder, "changed since it was signed");
}

/// "the sorted list of `{path, mode (executable or not), sha256}` of every file except `plugin.sig`": more files, fewer files, other names and modes.
#[test]
fn inv_pnp_10_files_added_removed_renamed_or_made_executable_are_refused() {
    let host = Host::new();
    let changes: [(&str, Change); 5] = [
        ("added", |folder| {
            fs::write(folder.join("extra"), "x").unwrap()
        }),
        ("added-empty", |folder| {
            fs::write(folder.join("data/.hidden"), "").unwrap()
        }),
        ("removed", |folder| {
            fs::remove_file(folder.join("data/words.txt")).unwrap()
        }),
        ("renamed", |folder| {
            fs::rename(folder.join("data/words.txt"), folder.join("data/word.txt")).unwrap()
        }),
        ("executable", |folder| {
            fs::set_permissions(
                folder.join("data/words.txt"),
                fs::Permissions::from_mode(0o755),
            )
            .unwrap()
        }),
    ];
    for (name, change) in changes {
        let folder = host.signed(&package(&format!("p.test.{name}")));
        change(&folder);
        refused(&host, &folder, "changed since it was signed");
    }
    // What is neither a file nor a folder is no part of any package: exit code 1, "invalid".
    let folder = host.signed(&package("p.test.link"));
    symlink("/etc/passwd", folder.join("link")).unwrap();
    let said = host.register(&folder).expect(1);
    assert!(said.stdout.contains("link"), "{said:?}");
    assert_eq!(host.row("p.test.link"), Value::Null);
}

/// "Missing, malformed, wrong or untrusted-key signatures": every byte of `plugin.sig`, three changes each, the case of its letters among them.
#[test]
fn inv_pnp_10_no_byte_of_the_signature_can_change() {
    let host = Host::new();
    let folder = host.signed(&package("p.test.signature"));
    let good = fs::read(folder.join("plugin.sig")).unwrap();
    let gateway = open(&host);
    let register = |signature: &[u8]| {
        let registration = Registration {
            package: &folder,
            signature: Some(signature),
            replace: false,
        };
        serde_json::to_value(gateway.register_plugin(registration).unwrap()).unwrap()
    };
    for at in 0..good.len() {
        for mask in [0x01, 0x20, 0x80] {
            let mut changed = good.clone();
            changed[at] ^= mask;
            let info = register(&changed);
            assert_eq!(
                (&info["status"], &info["signature_valid"]),
                (&json!("rejected"), &json!(false)),
                "byte {at} ^ {mask:#x}: {info}"
            );
        }
        let info = register(&good[..at]);
        // All but the newline at the end is the whole document.
        let whole = at + 1 == good.len() && good[at] == b'\n';
        assert!(
            whole || info["status"] == "rejected",
            "cut after {at}: {info}"
        );
        if whole {
            assert_eq!(
                info["status"], "registered",
                "and the good one is good: {info}"
            );
        }
    }
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

/// "4 the gateway itself failed (I/O, ledger)": on a broken ledger no verb that needs it does anything, and nothing is repaired by itself.
#[test]
fn inv_pnp_10_a_broken_ledger_is_never_opened() {
    let host = Host::new();
    host.alone();
    let id = host.install(&package("p.test.broken"));
    host.ask(&id, "x");
    let good = fs::read(host.segment()).unwrap();
    let folder = host.signed(&package("p.test.next"));
    let public = host.public_key();
    let verbs: [Vec<&str>; 9] = [
        vec!["enable", &id],
        vec!["disable", &id],
        vec!["register", folder.to_str().unwrap()],
        vec!["invoke", &id, "--text", "x"],
        vec!["trust", "add", public.to_str().unwrap()],
        vec!["trust", "remove", "0123456789abcdef"],
        vec!["trust", "list"],
        vec!["list"],
        vec!["show", &id],
    ];
    let starts: Vec<usize> = std::iter::once(0)
        .chain(
            good.iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'\n')
                .map(|(at, _)| at + 1),
        )
        .collect();
    for (index, start) in starts.iter().enumerate().take(starts.len() - 1) {
        let mut bad = good.clone();
        bad[start + 300] ^= 1;
        fs::write(host.segment(), &bad).unwrap();
        for verb in &verbs {
            let said = host.say(["--json"].iter().chain(verb)).expect(4);
            let error = &said.json()["error"];
            assert_eq!(error["kind"], "ledger", "{verb:?}: {said:?}");
            let message = error["message"].as_str().unwrap();
            assert!(
                message.contains(&format!("event {index}")),
                "{verb:?}: {message}"
            );
            assert!(
                error["hint"].as_str().unwrap().contains("ledger verify"),
                "{error}"
            );
        }
        assert_eq!(
            fs::read(host.segment()).unwrap(),
            bad,
            "nothing was written"
        );
        let library = Gateway::open(&host.state()).unwrap_err();
        assert_eq!(library.kind(), Kind::Ledger);
    }
    fs::write(host.segment(), &good).unwrap();
    host.verified();
    host.say(["disable", &id]).expect(0);
}

/// A second gateway on the same state: "4 the gateway itself failed (I/O, ledger)", with words that say what to do; "verbs that only read need no lock".
#[test]
fn inv_pnp_10_one_state_has_one_writer_and_any_readers() {
    let host = Host::new();
    let id = host.install(&package("p.test.locked"));
    let folder = host.signed(&package("p.test.next"));
    let package_path = folder.to_str().unwrap().to_owned();
    let gateway = open(&host);
    let events = fs::read(host.segment()).unwrap();

    let second = Gateway::open(&host.state()).unwrap_err();
    assert_eq!(second.kind(), Kind::Ledger);
    let public = host.public_key();
    let writing: [&[&str]; 6] = [
        &["enable", &id],
        &["disable", &id],
        &["register", &package_path],
        &["invoke", &id, "--text", "x"],
        &["trust", "add", public.to_str().unwrap()],
        &["trust", "remove", "0123456789abcdef"],
    ];
    for verb in writing {
        let said = host.say(["--json"].iter().chain(verb)).expect(4);
        let error = &said.json()["error"];
        assert_eq!(error["kind"], "ledger", "{verb:?}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("process {}", std::process::id()))
                && message.contains("stop it"),
            "who holds it and what to do: {message}"
        );
    }
    assert_eq!(fs::read(host.segment()).unwrap(), events, "nobody wrote");
    let reading: [&[&str]; 10] = [
        &["list"],
        &["show", &id],
        &["trust", "list"],
        &["ledger", "verify"],
        &["ledger", "tail"],
        &["ledger", "query", "--plugin", &id],
        &["validate", &package_path],
        &["doctor"],
        &["init"],
        &["run", &package_path, "--text", "x"],
    ];
    for verb in reading {
        let said = host.say(["--json"].iter().chain(verb));
        let expected = if verb[0] == "run" { 1 } else { 0 };
        assert_eq!(said.code, expected, "{verb:?}: {said:?}");
    }
    // The holder itself is not disturbed, and its lock ends with it.
    assert!(call(&gateway, &id, &request(text("x"))).reached_the_plugin());
    drop(gateway);
    host.say(["disable", &id]).expect(0);
    host.verified();
}

/// Runs the command where no file may grow beyond `bytes`, which is what a full disk looks like to a writer.
fn with_file_limit(host: &Host, bytes: u64, arguments: &[&str]) -> Said {
    let mut command = Command::new("sh");
    // Without the signal the write itself fails, with EFBIG (setrlimit(2)).
    command.args(["-c", "trap '' XFSZ; exec prlimit --fsize=\"$1\" \"$2\" --state \"$3\" --json invoke \"$4\" --input -", "sh"]);
    command
        .arg(format!("{bytes}:{bytes}"))
        .arg(binary())
        .arg(host.state())
        .arg(arguments[0]);
    finish(command, arguments[1].as_bytes())
}

fn has_prlimit() -> bool {
    Command::new("prlimit")
        .arg("--version")
        .output()
        .is_ok_and(|out| out.status.success())
}

/// More bytes than any file but the ledger takes that a gateway writes for a call.
const FILES_OF_THE_GATEWAY: u64 = 24 * 1024;

/// "If the first cannot be made durable the plugin is not run; if the second cannot, the host gets an error and never the result."
#[test]
fn inv_pnp_10_what_cannot_be_recorded_is_not_run_and_not_answered() {
    if !has_prlimit() {
        campaigns::skip("prlimit (util-linux) is not installed");
        return;
    }
    let host = Host::new();
    host.alone();
    let id = host.install(&package("p.test.full").with(|manifest| {
        manifest["entrypoint"]["command"] = json!(["sh", "script"]);
    }));
    let answering = "read -r line\nprintf '%s\\n' '{\"type\":\"result\",\"response\":{\"request_id\":\"request-1\",\"status\":\"ok\",\"result\":{\"kind\":\"json\",\"schema_ref\":\"any/1\",\"data\":{\"sum\":5}}}}'\n";
    let answering = host.install(&Package::script("p.test.answers", "sh", answering));
    let asked = request(text("x")).to_string();
    let fine = host
        .invoke(&answering, &request(text("x")))
        .expect(0)
        .json();
    assert_eq!(fine["result"]["data"]["sum"], 5, "with room it answers");

    let size = || fs::metadata(host.segment()).unwrap().len();
    let lines = || host.events().len();
    // The limit is on every file, so that the ledger must be larger than what else the gateway writes: the
    // launcher's program, in memory.
    while size() < FILES_OF_THE_GATEWAY {
        host.invoke("p.test.nobody", &request(text("x"))).expect(1);
    }
    // No room at all: the INVOKE cannot be written.
    let (bytes, before) = (size(), lines());
    let said = with_file_limit(&host, bytes, &[&answering, &asked]).expect(4);
    assert_eq!(said.json()["error"]["kind"], "ledger", "{said:?}");
    assert_eq!((size(), lines()), (bytes, before), "nothing was recorded");

    // Room for the INVOKE and not for what closes it: the plugin ran, and its answer is withheld.
    let events = host.events();
    let invoke = events
        .iter()
        .find(|event| event["kind"] == "INVOKE" && event["plugin_id"] == answering.as_str())
        .unwrap();
    let room = bytes + invoke.to_string().len() as u64 + 1;
    let said = with_file_limit(&host, room, &[&answering, &asked]).expect(4);
    assert_eq!(said.json()["error"]["kind"], "ledger", "{said:?}");
    assert!(
        !said.stdout.contains("sum") && !said.stderr.contains("sum"),
        "no result: {said:?}"
    );
    let last = fs::read_to_string(host.segment())
        .unwrap()
        .lines()
        .last()
        .unwrap()
        .to_owned();
    assert!(
        last.contains("\"kind\":\"INVOKE\""),
        "the call had begun: {last}"
    );

    // The next opening closes it as unknown; it is never run again by itself.
    host.say(["disable", &id]).expect(0);
    let events = host.events();
    let closed = events
        .iter()
        .find(|event| event["meta"]["outcome"] == "unknown")
        .unwrap();
    let invokes = events
        .iter()
        .filter(|event| event["kind"] == "INVOKE")
        .count();
    assert_eq!((&closed["kind"], invokes), (&json!("ERROR"), 2), "{closed}");
    host.verified();
}

/// "Where this page is silent, … fail closed": a state whose parts cannot be used is refused, whatever is wrong with them.
#[test]
fn inv_pnp_10_a_state_that_cannot_be_used_is_refused() {
    let broken: [(&str, i32, Change); 5] = [
        ("the lock is a folder", 4, |state| {
            fs::remove_file(state.join("ledger/LOCK")).unwrap();
            fs::create_dir(state.join("ledger/LOCK")).unwrap();
        }),
        ("the segment is a folder", 4, |state| {
            let segment = state.join("ledger/seg/00000000000000000000.ndjson");
            fs::remove_file(&segment).unwrap();
            fs::create_dir(&segment).unwrap();
        }),
        ("the segments are gone", 2, |state| {
            fs::remove_dir_all(state.join("ledger")).unwrap()
        }),
        ("the settings are no settings", 2, |state| {
            fs::write(state.join("config.toml"), "calls_at_once = many").unwrap()
        }),
        ("a layer that does not exist may be missing", 2, |state| {
            fs::write(
                state.join("config.toml"),
                "allow_missing_layers = [\"everything\"]",
            )
            .unwrap();
        }),
    ];
    for (what, code, damage) in broken {
        let host = Host::new();
        host.alone();
        let id = host.install(&package("p.test.state"));
        damage(&host.state());
        for verb in [vec!["invoke", &id, "--text", "x"], vec!["disable", &id]] {
            let said = host.say(["--json"].iter().chain(&verb));
            assert_eq!(said.code, code, "{what}: {said:?}");
            assert!(
                !said.json()["error"]["message"].as_str().unwrap().is_empty(),
                "{what}"
            );
            assert!(!said.stderr.contains("panicked"), "{what}: {said:?}");
        }
    }
}

/// "`probabilistic` (deterministic_only asked of a probabilistic plugin)": "`rejected`: refused before running".
#[test]
fn inv_pnp_10_a_promise_that_is_not_given_is_not_assumed() {
    let host = Host::new();
    let id = host.install(
        &package("p.test.dice")
            .with(|manifest| manifest["determinism"]["mode"] = json!("probabilistic")),
    );
    let gateway = open(&host);
    let asked = with(
        request(text("x")),
        "/policy/deterministic_only",
        json!(true),
    );
    let answered = call(&gateway, &id, &asked);
    assert_eq!(answered.status(), "rejected");
    assert!(
        answered.notes().contains("probabilistic") && !answered.reached_the_plugin(),
        "{answered:?}"
    );
    assert!(call(&gateway, &id, &request(text("x"))).reached_the_plugin());
}

/// "`error`: the plugin crashed, exited without an answer": and nothing that it wrote before is passed on.
#[test]
fn inv_pnp_10_a_crash_gives_no_result() {
    let host = Host::new();
    let ends = [
        ("p.test.exit", "return 7;", "error"),
        ("p.test.abort", "abort();", "error"),
        ("p.test.segv", "*(volatile int *)0 = 1;", "error"),
        (
            "p.test.half",
            "write(1, \"{\\\"type\\\":\\\"result\\\",\", 17); return 0;",
            "rejected",
        ),
        ("p.test.closed", "close(1); return 0;", "error"),
    ];
    for (id, end, status) in ends {
        let program = c(
            &format!("int main(void) {{ read_line(); {end} }}"),
            Link::Static,
        );
        host.install(&Package::native(id, &program));
        let response = host.ask(id, "x");
        assert_eq!(
            (&response["status"], &response["result"]),
            (&json!(status), &Value::Null),
            "{id}: {response}"
        );
        assert_eq!(response["evidence_hashes"]["output_hash"], "");
        assert!(!response["notes"].as_str().unwrap().is_empty(), "{id}");
    }
    host.verified();
}

/// A package whose program is not there, not executable, or not a program is refused at the door: exit code 1, "invalid".
#[test]
fn inv_pnp_10_what_could_never_run_is_not_registered() {
    let host = Host::new();
    let elf = c("int main(void) { return 0; }", Link::Static);
    let native = |id: &str, bytes: &[u8], mode: u32| {
        Package::native(id, b"")
            .with(|manifest| manifest["entrypoint"]["command"] = json!(["./main"]))
            .file("main", bytes, mode)
    };
    let mut foreign = elf.clone();
    foreign[18] = 40;
    let cases = [
        (
            "p.test.gone",
            Package::script("p.test.gone", "sh", "")
                .with(|manifest| manifest["entrypoint"]["command"] = json!(["./none"])),
            "not in the package",
        ),
        (
            "p.test.no-script",
            Package::script("p.test.no-script", "sh", "")
                .with(|manifest| manifest["entrypoint"]["command"] = json!(["sh", "none.sh"])),
            "not in the package",
        ),
        ("p.test.mode", native("p.test.mode", &elf, 0o644), "chmod"),
        (
            "p.test.shebang",
            native("p.test.shebang", b"#!/bin/sh\nexit 0\n", 0o755),
            "runtime",
        ),
        (
            "p.test.textual",
            native("p.test.textual", b"hello", 0o755),
            "ELF",
        ),
        (
            "p.test.foreign",
            native("p.test.foreign", &foreign, 0o755),
            "processor",
        ),
    ];
    for (id, package, word) in cases {
        let said = host.register(&host.signed(&package)).expect(1);
        let info = said.json();
        assert_eq!(
            (&info["plugin_id"], &info["status"]),
            (&json!(id), &json!("rejected"))
        );
        assert!(said.stderr.contains(word), "{id}: {said:?}");
    }
}
