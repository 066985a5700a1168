//! Packages whose bytes or signatures are not what they were.

use super::*;

/// The folder is refused for lack of trust, recorded as such, and stays unusable.
#[track_caller]
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

/// "Missing, malformed, wrong or untrusted-key signatures": every byte of `plugin.sig`, three changes each, the case of its letters among them. But for the
/// list of files, which "decides nothing".
#[test]
fn inv_pnp_10_no_byte_of_the_signature_can_change() {
    let host = Host::new();
    let folder = host.signed(&package("p.test.signature"));
    let signed = fs::read(folder.join("plugin.sig")).unwrap();
    let mut members: Value = serde_json::from_slice(&signed).unwrap();
    assert!(members.as_object_mut().unwrap().remove("files").is_some());
    let good = format!("{members}\n").into_bytes();
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
