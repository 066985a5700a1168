//! EVIDENCE.md's examples, which are one whole ledger, held against the gateway, the verifier in Python, and OpenSSL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use campaigns::canonical::{canonical, hash, sha256};
use campaigns::command::{binary, finish};
use plugin_protocol::event::Event;
use plugin_protocol::json;
use serde_json::Value;
use tempfile::TempDir;

use crate::auditor::{
    Page, gateway_verdict, outcomes, python_ledger_verdict, python_verdict, runs,
};
use crate::{BUNDLE_CHECKS, hex, leaf, root};

/// The events of the example.
const EVENTS: usize = 3;

fn lines(page: &Page) -> Vec<&str> {
    (0..EVENTS)
        .map(|index| page.block(&format!("event-{index}")))
        .collect()
}

/// Writes examples into a folder as files of the same name, each with its last newline.
fn lay_out(page: &Page, folder: &Path, names: &[&str]) -> Vec<PathBuf> {
    let write = |name: &&str| {
        let path = folder.join(name);
        fs::write(&path, format!("{}\n", page.block(name))).unwrap();
        path
    };
    names.iter().map(write).collect()
}

/// Section 2: the lines are canonical, carry the hash of the bytes that the page shows, and follow each other.
#[test]
fn the_events_are_what_the_page_says() {
    let page = Page::read();
    let mut before = String::new();
    for line in lines(&page) {
        let event: Event = json::read_as(line.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(event.line()).unwrap(), line);
        assert_eq!(event.computed_hash(), event.event_hash);
        let prev_hash = event.prev_hash.map(|hash| hash.to_string());
        assert_eq!(prev_hash.unwrap_or_default(), before);
        before = event.event_hash.to_string();
    }
    let (line, hashed) = (page.block("event-1"), page.block("hashed-1"));
    assert_eq!(format!("{{{}", &line[81..]), hashed);
    assert_eq!(sha256(hashed), page.block("event-hash-1"));
    let event: Event = json::read_as(line.as_bytes()).unwrap();
    assert_eq!(event.event_hash.to_string(), page.block("event-hash-1"));
}

/// Section 4: the tree and its tile. That the gateway has the same root shows where it verifies the page's ledger.
#[test]
fn the_tree_is_what_the_page_says() {
    let page = Page::read();
    let leaves: Vec<[u8; 32]> = lines(&page).into_iter().map(leaf).collect();
    for (index, leaf) in leaves.iter().enumerate() {
        assert_eq!(page.value("tree", &format!("leaf {index}")), hex(leaf));
    }
    assert_eq!(page.value("tree", "node 0 1"), hex(&root(&leaves[..2])));
    assert_eq!(page.value("tree", "root"), hex(&root(&leaves)));
    let tile: Vec<&str> = page.block("tile").lines().collect();
    let hashes: Vec<String> = leaves.iter().map(|leaf| hex(leaf)).collect();
    assert_eq!(tile[0], format!("tile/0/000.p/{EVENTS}"));
    assert_eq!(tile[1..], hashes);
}

/// Section 5: both forms of the key, and the parts of the checkpoint.
#[test]
fn the_key_and_the_checkpoint_are_what_the_page_says() {
    let page = Page::read();
    let part = |name: &str| page.value("checkpoint-parts", name);
    let pem: String = page
        .block("log.pub")
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    assert_eq!(hex(&BASE64.decode(pem).unwrap()[12..]), part("key"));
    let mut vkey = page.block("log.vkey").splitn(3, '+');
    let (name, id, key) = (vkey.next(), vkey.next(), vkey.next());
    let (name, key) = (name.unwrap(), BASE64.decode(key.unwrap()).unwrap());
    assert_eq!((key[0], hex(&key[1..])), (1, part("key").to_owned()));
    assert_eq!(id.unwrap(), part("key id"));
    let named = [name.as_bytes(), b"\n", &key].concat();
    assert_eq!(&sha256(named)[..8], part("key id"));
    assert_eq!(name, format!("plugin-gateway/{}", &sha256(&key[1..])[..16]));

    let note: Vec<&str> = page.block("checkpoint").lines().collect();
    let &[origin, size, root, "", signature] = note.as_slice() else {
        panic!("not the lines of a checkpoint: {note:?}");
    };
    assert_eq!((origin, size), (name, "3"));
    assert_eq!(hex(&BASE64.decode(root).unwrap()), part("root"));
    assert_eq!(part("root"), page.value("tree", "root"));
    let (signer, signature) = signature.rsplit_once(' ').unwrap();
    assert_eq!(signer, format!("\u{2014} {name}"));
    let signature = hex(&BASE64.decode(signature).unwrap());
    assert_eq!(
        signature,
        format!("{}{}", part("key id"), part("signature"))
    );
}

/// Section 5: "OpenSSL can check one", with the commands of the page.
#[test]
fn openssl_checks_the_checkpoint_as_the_page_says() {
    if !runs("openssl", "version") {
        return;
    }
    let (page, folder) = (Page::read(), TempDir::new().unwrap());
    lay_out(&page, folder.path(), &["log.pub", "checkpoint"]);
    let check = || {
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", page.block("checkpoint-openssl")]);
        shell.current_dir(folder.path());
        finish(shell, b"").code
    };
    assert_eq!(check(), 0);
    let changed = page.block("checkpoint").replacen("\n3\n", "\n4\n", 1);
    fs::write(folder.path().join("checkpoint"), changed + "\n").unwrap();
    assert_ne!(check(), 0, "and nothing else");
}

/// Section 8 and 9: the bundle is made of the other examples, and both verifiers accept it as it stands on the page.
#[test]
fn the_bundle_is_what_the_page_says() {
    let (page, folder) = (Page::read(), TempDir::new().unwrap());
    let bundle: Value = serde_json::from_str(page.block("bundle")).unwrap();
    assert_eq!(canonical(&bundle["events"][0]), page.block("event-1"));
    assert_eq!(canonical(&bundle["export"]["event"]), page.block("event-2"));
    let note = format!("{}\n", page.block("checkpoint"));
    assert_eq!(bundle["checkpoint"], note);
    let meta = &bundle["export"]["event"]["meta"];
    assert_eq!(meta["run_root"], page.value("tree", "leaf 1"));
    let attachments: Value = serde_json::from_str(page.block("attachments")).unwrap();
    assert_eq!(canonical(&attachments), page.block("attachments"));
    assert_eq!(meta["attachments_hash"], hash(&attachments));

    let files = lay_out(&page, folder.path(), &["bundle", "log.pub", "log.vkey"]);
    let python = runs("python3", "--version");
    for key in &files[1..] {
        let report = gateway_verdict(&files[0], key).expect(0).json();
        let names: Vec<String> = outcomes(&report)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, BUNDLE_CHECKS);
        if python {
            let theirs = python_verdict(&files[0], key).expect(0).json();
            assert_eq!(outcomes(&theirs), outcomes(&report));
        }
    }
}

/// Sections 3, 6 and 10: the examples laid out as the page says are a ledger that both verifiers accept, and no other is.
#[test]
fn the_ledger_is_what_the_page_says() {
    let (page, state) = (Page::read(), TempDir::new().unwrap());
    let put = |path: &str, text: String| {
        let path = state.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let ledger: String = lines(&page)
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    let note = format!("{}\n", page.block("checkpoint"));
    put("ledger/checkpoints/3.note", note.clone());
    put("anchor/head", note);
    put("log.vkey", format!("{}\n", page.block("log.vkey")));
    let python = runs("python3", "--version");
    let judge = |ledger: &str, code: i32| {
        put("ledger/seg/00000000000000000000.ndjson", ledger.to_owned());
        let mut command = Command::new(binary());
        command.arg("--state").arg(state.path());
        command.args(["--json", "ledger", "verify"]);
        let report = finish(command, b"").expect(code).json();
        if python {
            let key = state.path().join("log.vkey");
            python_ledger_verdict(state.path(), &key).expect(code);
        }
        report
    };
    let report = judge(&ledger, 0);
    assert_eq!(report["events"], EVENTS);
    let last: Value = serde_json::from_str(page.block("event-2")).unwrap();
    assert_eq!(report["head"], last["event_hash"]);
    // The last event written otherwise, with a hash that fits: the chain holds, and only the root tells.
    let mut forged = last.clone();
    forged["meta"]["run_count"] = Value::from("2");
    forged.as_object_mut().unwrap().remove("event_hash");
    forged["event_hash"] = Value::from(hash(&forged));
    judge(
        &ledger.replace(page.block("event-2"), &canonical(&forged)),
        1,
    );
    judge(&ledger.replace("not_found", "not_fount"), 1);
}

/// "These names": the checks that the page lists are those that the verifiers make.
#[test]
fn the_checks_are_those_of_the_page() {
    let text = fs::read_to_string(crate::auditor::project("EVIDENCE.md")).unwrap();
    let section = |title: &str| -> Vec<String> {
        let (_, rest) = text.split_once(title).unwrap();
        let rows = rest
            .lines()
            .skip(1)
            .take_while(|line| !line.starts_with("## "));
        rows.filter_map(|row| Some(row.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
            .collect()
    };
    assert_eq!(section("## 9. "), BUNDLE_CHECKS);
    let ledger = [
        "segments",
        "lines",
        "event_hashes",
        "chain",
        "checkpoints",
        "anchor",
        "beyond_the_ledger",
    ];
    assert_eq!(section("## 10. "), ledger);
}
