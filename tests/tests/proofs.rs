//! The evidence as an auditor meets it: bundles and ledgers of the real gateway, judged by two verifiers that share no code and by
//! other people's programs, and EVIDENCE.md held against all of them.
//!
//! What the gateway's own verifier says to every single changed byte is tried where it is written, in `ledger/tests/proofs.rs`.

#[path = "proofs/auditor.rs"]
mod auditor;
#[path = "proofs/keeping.rs"]
mod keeping;
#[path = "proofs/odd.rs"]
mod odd;
#[path = "proofs/others.rs"]
mod others;
#[path = "proofs/page.rs"]
mod page;
#[path = "proofs/seal.rs"]
mod seal;
#[path = "proofs/three.rs"]
mod three;
#[path = "proofs/witnesses.rs"]
mod witnesses;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use auditor::{
    gateway_verdict, mutate, outcomes, python_ledger_verdict, python_verdict, python_verifier, runs,
};
use campaigns::canonical::{canonical, hash, sha256};
use campaigns::library::{call, open};
use campaigns::request::{request, text, with};
use campaigns::{Host, Said, parrot};
use plugin_gateway::Gateway;
use plugin_protocol::ids::RunId;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Runs that go on at once.
const RUNS: usize = 10;
/// What each run asks: calls that a plugin answers, each followed by one that is refused.
const ROUNDS: usize = 3;

/// The checks of a bundle, by the names of EVIDENCE.md, section 9.
const BUNDLE_CHECKS: [&str; 9] = [
    "schema",
    "event_hashes",
    "run_order",
    "checkpoint_signature",
    "inclusion",
    "run_completeness",
    "attachments",
    "chain_links",
    "beyond_the_bundle",
];

fn run_name(number: usize) -> String {
    format!("run-{number} \u{1f600}")
}

/// Asks in run `number`, and exports it.
fn live(gateway: &Gateway, plugin: &str, number: usize) -> Value {
    let run = run_name(number);
    for round in 0..ROUNDS {
        let id = format!("{number}.{round}");
        let asked = |payload: Value| {
            let asked = with(request(payload), "/run_id", json!(run));
            with(asked, "/request_id", json!(id))
        };
        let answer = parrot::answer(&id, "ok", &text("said"), "");
        let answered = call(gateway, plugin, &asked(parrot::saying(answer)));
        assert_eq!(answered.status(), "ok", "{answered:?}");
        let refused = call(gateway, "p.test.nobody", &asked(text("x")));
        assert_eq!(refused.status(), "rejected", "{refused:?}");
    }
    let bundle = gateway.export_proof(&RunId::parse(&run).unwrap()).unwrap();
    serde_json::to_value(bundle).unwrap()
}

/// A state in which runs went on at once, and the bundle of each, made while the others still went on.
fn exported() -> (Host, Vec<PathBuf>) {
    let host = Host::new();
    let plugin = host.install(&parrot::package("p.test.parrot"));
    let gateway = open(&host);
    let bundles: Vec<Value> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..RUNS)
            .map(|number| {
                scope.spawn({
                    let (gateway, plugin) = (&gateway, &plugin);
                    move || live(gateway, plugin, number)
                })
            })
            .collect();
        running.into_iter().map(|run| run.join().unwrap()).collect()
    });
    drop(gateway);
    let write = |(number, bundle): (usize, &Value)| {
        let file = host.folder().join(format!("{number}.proof.json"));
        fs::write(&file, canonical(bundle)).unwrap();
        file
    };
    let files = bundles.iter().enumerate().map(write).collect();
    (host, files)
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn keys(host: &Host) -> [PathBuf; 2] {
    ["log.pub", "log.vkey"].map(|name| host.state().join(name))
}

/// "Two verifiers that share no code" and "`proof verify --key` takes either" form of the key: both accept every bundle of runs that went on at once.
#[test]
fn contract_10_both_verifiers_accept_the_bundles_of_interleaved_runs() {
    let (host, bundles) = exported();
    let mut interleaved = 0;
    for (number, file) in bundles.iter().enumerate() {
        let bundle = read(file);
        let events = bundle["events"].as_array().unwrap();
        assert_eq!(bundle["run_id"], json!(run_name(number)));
        assert_eq!(events.len(), 3 * ROUNDS, "{bundle:#}");
        assert_eq!(
            bundle["plugin_manifest_digests"].as_array().unwrap().len(),
            1
        );
        assert_eq!(bundle["validation_reports"].as_array().unwrap().len(), 1);
        let place = |at: &str| {
            bundle["export"]["event"]["meta"][at]
                .as_str()
                .unwrap()
                .parse::<usize>()
                .unwrap()
        };
        interleaved += usize::from(place("last_index") - place("first_index") >= events.len());
        for key in keys(&host) {
            let report = gateway_verdict(file, &key).expect(0).json();
            let found = outcomes(&report);
            assert_eq!(
                found.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
                BUNDLE_CHECKS
            );
            for (name, outcome) in &found[..7] {
                assert_eq!(outcome, "pass", "{name}: {report}");
            }
        }
    }
    assert!(interleaved > 0, "no two runs went on at once");
    host.verified();
    if !runs("python3", "--version") {
        return;
    }
    for file in &bundles {
        for key in keys(&host) {
            let ours = gateway_verdict(file, &key).json();
            let theirs = python_verdict(file, &key).expect(0).json();
            assert_eq!(
                outcomes(&theirs),
                outcomes(&ours),
                "the two say the same of each check"
            );
        }
    }
    for key in keys(&host) {
        let report = python_ledger_verdict(&host.state(), &key).expect(0).json();
        let ours = host.say(["--json", "ledger", "verify"]).expect(0).json();
        for fact in ["valid", "events", "bytes", "head", "broken_at"] {
            assert_eq!(report[fact], ours[fact], "{fact}: {report}");
        }
        assert!(
            outcomes(&report)[..6]
                .iter()
                .all(|(_, outcome)| outcome == "pass"),
            "{report}"
        );
    }
}

/// What a forger can make of a bundle without the log's key: event `at` is gone, and all that the bundle says of itself fits again.
fn without_event(bundle: &Value, at: usize, mended: bool) -> Value {
    let mut bundle = bundle.clone();
    for part in ["events", "inclusion"] {
        bundle[part].as_array_mut().unwrap().remove(at);
    }
    let events = bundle["events"].as_array().unwrap().clone();
    bundle["head_event_hash"] = events.last().unwrap()["event_hash"].clone();
    if mended {
        let leaves: Vec<[u8; 32]> = events.iter().map(|event| leaf(&canonical(event))).collect();
        let places = bundle["inclusion"].as_array().unwrap().clone();
        let index = |place: Option<&Value>| json!(place.unwrap()["index"].to_string());
        let meta = &mut bundle["export"]["event"]["meta"];
        meta["run_count"] = json!(events.len().to_string());
        meta["run_root"] = json!(hex(&root(&leaves)));
        meta["first_index"] = index(places.first());
        meta["last_index"] = index(places.last());
        let mut export = bundle["export"]["event"].clone();
        export.as_object_mut().unwrap().remove("event_hash");
        bundle["export"]["event"]["event_hash"] = json!(hash(&export));
    }
    bundle
}

/// "One changed byte, one missing, added or reordered event of the run fails.": each event left out, by the check that is there for it.
#[test]
fn contract_10_both_verifiers_miss_an_event_that_was_left_out() {
    let (host, bundles) = exported();
    let bundle = read(&bundles[3]);
    let [key, _] = keys(&host);
    let file = host.folder().join("forged.json");
    let python = runs("python3", "--version");
    for at in 0..bundle["events"].as_array().unwrap().len() {
        for (mended, check) in [(false, "run_completeness"), (true, "inclusion")] {
            fs::write(&file, canonical(&without_event(&bundle, at, mended))).unwrap();
            let failed = [(check.to_owned(), "fail".to_owned())];
            let fails = |report: Value| -> Vec<(String, String)> {
                outcomes(&report)
                    .into_iter()
                    .filter(|(_, outcome)| outcome == "fail")
                    .collect()
            };
            assert_eq!(
                fails(gateway_verdict(&file, &key).expect(1).json()),
                failed,
                "event {at}"
            );
            if python {
                assert_eq!(
                    fails(python_verdict(&file, &key).expect(1).json()),
                    failed,
                    "event {at}"
                );
            }
        }
    }
}

/// The same for the Python verifier: every byte of a bundle, every event, and fields that the format does not know.
#[test]
fn contract_10_the_python_verifier_sees_every_changed_byte() {
    if !runs("python3", "--version") {
        return;
    }
    let (host, bundles) = exported();
    let [key, _] = keys(&host);
    let least = fs::read(&bundles[0]).unwrap().len() as u64;
    let words = [
        OsStr::new("bundle"),
        bundles[0].as_os_str(),
        key.as_os_str(),
    ];
    mutate(Path::new("python3"), least, words);
}

/// The verifiers share no code, so where one of them errs they differ: they say the same, check by check, of bundles that are odd in every way.
#[test]
fn contract_10_the_verifiers_say_the_same_of_odd_bundles() {
    if !runs("python3", "--version") {
        return;
    }
    let (host, bundles) = exported();
    let [key, _] = keys(&host);
    let bundle = read(&bundles[0]);
    let text = canonical(&bundle);
    let laid_out = serde_json::to_string_pretty(&bundle).unwrap();
    let members = odd::odd_members().into_iter().map(|(pointer, member)| {
        // Fractions and long integers are written as they are: the canonical writer here knows integers only.
        with(bundle.clone(), pointer, member).to_string()
    });
    let texts = odd::ODD_TEXTS.iter().map(|(from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    // The export's index, with an end that changes nothing and with others.
    let index = bundle["export"]["index"].as_u64().unwrap();
    let numbers = [".0", "e0", "0e-1", ".5", "e1", "e-400", "."].map(|end| {
        let (from, to) = (
            format!("\"index\":{index}}}"),
            format!("\"index\":{index}{end}}}"),
        );
        assert!(text.contains(&from), "{from}");
        text.replacen(&from, &to, 1)
    });
    let odd: Vec<String> = [laid_out]
        .into_iter()
        .chain(texts)
        .chain(numbers)
        .chain(members)
        .collect();
    let file = host.folder().join("odd.json");
    let mut accepted = 0;
    let node = runs("node", "--version");
    let by_page = node.then(|| three::asked_many(&odd, &key).1);
    for (at, text) in odd.iter().enumerate() {
        fs::write(&file, text).unwrap();
        let (ours, theirs) = (gateway_verdict(&file, &key), python_verdict(&file, &key));
        let (report, other) = (ours.json(), theirs.json());
        assert_eq!(
            outcomes(&other),
            outcomes(&report),
            "{text}\n{report:#}\n{other:#}"
        );
        assert_eq!(theirs.code, ours.code, "{text}");
        // The page is ahead of the command in reading format 2.
        let ahead = text.contains("plugin-gateway-proof/2");
        if let Some(by_page) = by_page.as_ref().filter(|_| !ahead) {
            let found = outcomes(&report).into_iter().map(|(_, outcome)| outcome);
            assert_eq!(by_page[at], json!(found.collect::<Vec<_>>()), "{text}");
        }
        accepted += usize::from(ours.code == 0);
    }
    assert_eq!(accepted, 8, "the form alone changes nothing");
}

/// A bundle under another key, whatever key it brings along, is refused by both; so is a file that is no key, with exit code 2.
#[test]
fn contract_10_only_the_key_that_was_given_counts() {
    let (host, bundles) = exported();
    let other = Host::new();
    let [_, vkey] = keys(&host);
    let mut forged = read(&bundles[0]);
    forged["key"] = json!(fs::read_to_string(vkey).unwrap());
    let file = host.folder().join("with-a-key.json");
    fs::write(&file, canonical(&forged)).unwrap();
    let python = runs("python3", "--version");
    for key in keys(&other) {
        let report = gateway_verdict(&bundles[0], &key).expect(1).json();
        assert!(
            outcomes(&report).contains(&("checkpoint_signature".to_owned(), "fail".to_owned()))
        );
        if python {
            let theirs = python_verdict(&bundles[0], &key).expect(1).json();
            assert_eq!(outcomes(&theirs), outcomes(&report));
            python_ledger_verdict(&host.state(), &key).expect(1);
        }
    }
    let [key, _] = keys(&host);
    gateway_verdict(&file, &key).expect(1);
    gateway_verdict(&bundles[0], &bundles[1]).expect(2);
    if python {
        python_verdict(&file, &key).expect(1);
        python_verdict(&bundles[0], &bundles[1]).expect(2);
        python_verdict(&host.folder().join("nothing"), &key).expect(2);
        python_ledger_verdict(host.folder(), &key).expect(2);
        python_verifier(["bundle"]).expect(2);
    }
}

/// A ledger of more events than one tile has, without a plugin.
fn long_ledger() -> Host {
    const EVENTS: usize = 260;
    let host = Host::new();
    let gateway = open(&host);
    for number in 0..EVENTS {
        let asked = with(
            request(text("x")),
            "/run_id",
            json!(format!("run-{}", number % 7)),
        );
        call(&gateway, "p.test.nobody", &asked);
    }
    drop(gateway);
    host
}

/// "No byte of the ledger changes unseen", by the verifier in Python: every line dropped, doubled, swapped, changed and forged.
#[test]
fn contract_09_the_python_verifier_sees_every_changed_line() {
    if !runs("python3", "--version") {
        return;
    }
    let host = long_ledger();
    let [_, key] = keys(&host);
    let state = host.state();
    let words = [OsStr::new("ledger"), state.as_os_str(), key.as_os_str()];
    mutate(Path::new("python3"), 6 * host.verified(), words);
}

/// "readers need none": a ledger is judged while its gateway writes, and is good every time.
#[test]
fn contract_09_the_python_verifier_judges_a_ledger_at_work() {
    const TIMES: usize = 5;
    if !runs("python3", "--version") {
        return;
    }
    let host = Host::new();
    let gateway = open(&host);
    let [key, _] = keys(&host);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut calls = 0;
            while !done.load(Ordering::Relaxed) {
                call(&gateway, "p.test.nobody", &request(text("x")));
                calls += 1;
            }
            calls
        });
        let verdicts: Vec<_> = (0..TIMES)
            .map(|_| python_ledger_verdict(&host.state(), &key))
            .collect();
        done.store(true, Ordering::Relaxed);
        assert!(writing.join().unwrap() > 0);
        let events = |said: &Said| said.json()["events"].as_u64().unwrap();
        for said in &verdicts {
            assert_eq!(said.code, 0, "{said:?}");
        }
        assert!(
            events(&verdicts[0]) < events(&verdicts[TIMES - 1]),
            "it did not grow"
        );
    });
}

/// EVIDENCE.md, section 10: a ledger whose checkpoints are gone, whose segment is misnamed, whose anchor is ahead.
#[test]
fn contract_09_the_python_verifier_sees_what_lies_around_the_lines() {
    if !runs("python3", "--version") {
        return;
    }
    let host = long_ledger();
    let [key, _] = keys(&host);
    let failing = || -> Vec<String> {
        let report = python_ledger_verdict(&host.state(), &key).json();
        let failed = outcomes(&report)
            .into_iter()
            .filter(|(_, outcome)| outcome == "fail");
        failed.map(|(name, _)| name).collect()
    };
    assert_eq!(failing(), Vec::<String>::new());
    let segment = host.segment();
    // Two segments are one ledger, and an empty one may be the last, but never the first of two.
    let whole = fs::read_to_string(&segment).unwrap();
    let (first, second) = whole.split_at(whole.match_indices('\n').nth(99).unwrap().0 + 1);
    let named = |index: u64| segment.with_file_name(format!("{index:020}.ndjson"));
    let put = |parts: &[(u64, &str)]| {
        fs::remove_dir_all(segment.parent().unwrap()).unwrap();
        fs::create_dir(segment.parent().unwrap()).unwrap();
        for (index, part) in parts {
            fs::write(named(*index), part).unwrap();
        }
    };
    let events = whole.lines().count() as u64;
    put(&[(0, first), (100, second), (events, "")]);
    assert_eq!(failing(), Vec::<String>::new());
    for parts in [
        [(0, first), (99, second)].as_slice(),
        &[(0, first), (101, second)],
        &[(100, second)],
        &[(0, first), (100, ""), (101, second)],
    ] {
        put(parts);
        assert_eq!(
            failing(),
            ["segments"],
            "{:?}",
            parts.iter().map(|part| part.0).collect::<Vec<_>>()
        );
    }
    put(&[(0, second), (100, first)]);
    assert_eq!(failing(), ["chain"]);
    put(&[(0, &first[..first.len() - 1]), (100, second)]);
    assert_eq!(
        failing(),
        ["lines"],
        "an unfinished line before the last segment"
    );
    put(&[(0, &whole)]);
    let misnamed = segment.with_file_name("00000000000000000001.ndjson");
    fs::rename(&segment, &misnamed).unwrap();
    assert_eq!(failing(), ["segments"]);
    fs::rename(&misnamed, &segment).unwrap();

    let head = host.state().join("anchor/head");
    let newest = fs::read(&head).unwrap();
    let foreign = fs::read(Host::new().state().join("anchor/head")).unwrap();
    fs::write(&head, foreign).unwrap();
    assert_eq!(failing(), ["anchor"]);
    fs::write(&head, newest).unwrap();

    let notes = host.state().join("ledger/checkpoints");
    let aside = host.folder().join("aside");
    fs::rename(&notes, &aside).unwrap();
    assert_eq!(
        failing(),
        ["checkpoints"],
        "nothing says that the key stands for it"
    );
    fs::create_dir(&notes).unwrap();
    let note = fs::read_dir(&aside)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let note = note
        .filter(|path| path.extension().is_some_and(|end| end == "note"))
        .max()
        .unwrap();
    fs::copy(&note, notes.join("9.note")).unwrap();
    assert_eq!(
        failing(),
        ["checkpoints"],
        "its size is not that of its name"
    );
    fs::remove_dir_all(&notes).unwrap();
    fs::rename(&aside, &notes).unwrap();
    assert_eq!(failing(), Vec::<String>::new());
}

/// EVIDENCE.md, section 5: "Ed25519 is checked strictly", and section 1: "Reading is strict."
#[test]
fn the_python_verifier_is_strict() {
    if runs("python3", "--version") {
        mutate(Path::new("python3"), 600, ["vectors"]);
        mutate(Path::new("python3"), 30, ["reader"]);
    }
}

/// EVIDENCE.md, section 6: an old copy of the whole state is good in itself, and the anchor on another volume shows that it is old.
#[test]
fn contract_09_an_anchor_kept_elsewhere_shows_an_old_copy() {
    let host = Host::new();
    host.alone();
    let anchor = host.folder().join("another-volume");
    fs::write(
        host.state().join("config.toml"),
        format!("[ledger]\nanchor = {anchor:?}\n"),
    )
    .unwrap();
    host.ask("p.test.nobody", "x");
    let ledger = host.state().join("ledger");
    let (old, newer) = (host.folder().join("old"), host.folder().join("newer"));
    let copied = Command::new("cp").arg("-a").args([&ledger, &old]).status();
    assert!(copied.unwrap().success());
    host.ask("p.test.nobody", "y");
    let python = runs("python3", "--version");
    let [key, _] = keys(&host);
    let judge = |code: i32| {
        let said = host.say(["--json", "ledger", "verify"]).expect(code);
        if python {
            let state = host.state();
            let words = ["ledger".as_ref(), state.as_os_str(), "--key".as_ref()];
            let rest = [key.as_os_str(), "--anchor".as_ref(), anchor.as_os_str()];
            python_verifier(words.into_iter().chain(rest)).expect(code);
        }
        said.json()
    };
    assert_eq!(judge(0)["events"], 3);
    fs::rename(&ledger, &newer).unwrap();
    fs::rename(&old, &ledger).unwrap();
    let report = judge(1);
    assert_eq!(report["broken_at"], 2, "{report}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The leaf of a line, by EVIDENCE.md, section 4.
fn leaf(line: &str) -> [u8; 32] {
    Sha256::digest([b"\0", line.as_bytes()].concat()).into()
}

/// The root of leaves, by EVIDENCE.md, section 4, word for word.
fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Sha256::digest([b"\x01".as_slice(), &root(left), &root(right)].concat()).into()
        }
    }
}

/// "The tree is RFC 6962's with SHA-256": the tiles on disk are laid out as EVIDENCE.md, section 4, says.
#[test]
fn contract_10_the_tiles_hold_the_tree() {
    let host = long_ledger();
    let lines = fs::read_to_string(host.segment()).unwrap();
    let leaves: Vec<[u8; 32]> = lines.lines().map(leaf).collect();
    let tile = |name: &str| fs::read(host.state().join("ledger/tiles/tile").join(name)).unwrap();
    let (full, rest) = leaves.split_at(256);
    assert_eq!(tile("0/000"), full.as_flattened());
    assert_eq!(
        tile(&format!("0/001.p/{}", rest.len())),
        rest.as_flattened()
    );
    assert_eq!(tile("1/000.p/1"), root(full));
    let head = fs::read_to_string(host.state().join("anchor/head")).unwrap();
    assert_eq!(head.lines().nth(1).unwrap(), leaves.len().to_string());
}

/// EVIDENCE.md, section 7: a torn end goes to quarantine under its name, and an event records it.
#[test]
fn contract_09_a_torn_end_is_in_quarantine_as_the_page_says() {
    let host = Host::new();
    host.alone();
    let good = fs::read(host.segment()).unwrap();
    let torn = br#"{"event_hash":"torn"#;
    fs::write(host.segment(), [good.as_slice(), torn].concat()).unwrap();
    drop(open(&host));
    let name = format!("{:020}-{}-{}.cut", 0, good.len(), &sha256(torn)[..16]);
    assert_eq!(
        fs::read(host.state().join("quarantine").join(&name)).unwrap(),
        torn
    );
    let events = host.events();
    let event = events.last().unwrap();
    assert_eq!(
        (&event["kind"], &event["run_id"]),
        (&json!("ERROR"), &json!("system"))
    );
    let meta = &event["meta"];
    assert_eq!(meta["quarantine"], name);
    assert_eq!(
        (&meta["bytes"], &meta["sha256"]),
        (&json!(torn.len().to_string()), &json!(sha256(torn)))
    );
    assert!(!meta["reason"].as_str().unwrap().is_empty());
}
