//! What is kept of requests and results: durable before its event, read back whole, erased by run, through any crash and fault.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use plugin_protocol::digest::FileHash;
use plugin_protocol::payload::Payload;

use super::disk::{Call, Coins, Fault, Platter, Tape, files};
use super::*;
use crate::evidence::Document;
use crate::{kept_evidence, was_erased};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// A closing event with a result to keep.
struct Keeping {
    draft: Draft,
    document: Document,
}

impl Record for Keeping {
    fn draft(&self) -> Draft {
        self.draft.clone()
    }

    fn evidence(&self) -> Option<&Document> {
        Some(&self.document)
    }
}

fn keeping(run: &str, text: &str) -> Keeping {
    Keeping {
        draft: draft(EventKind::Result, run, text),
        document: Document::of_result(&Payload::text(text), &[]),
    }
}

fn run(name: &str) -> RunId {
    RunId::parse(name).unwrap()
}

fn hash_of(event: &Event) -> FileHash {
    FileHash::parse(&event.meta["result_evidence"]).unwrap()
}

fn kept(state: &Path) -> usize {
    let folder = state.join("evidence/kept");
    if folder.exists() {
        files(&folder).len()
    } else {
        0
    }
}

fn erasures(state: &Path) -> usize {
    let events = all(state);
    let about = |event: &&Event| {
        event
            .meta
            .get("subject")
            .is_some_and(|what| what == "evidence")
    };
    events.iter().filter(about).count()
}

#[test]
fn what_is_kept_is_read_back_and_named_by_its_event() {
    let state = fresh();
    let (ledger, _) = open(state.path());
    ledger.record(draft(EventKind::Result, "r", "q")).unwrap();
    assert!(
        !state.path().join("evidence").exists(),
        "no folder before there is something to keep"
    );
    let recorded = ledger.record(keeping("r", "hello")).unwrap();
    let hash = hash_of(recorded.event());
    let bytes = kept_evidence(state.path(), &run("r"), &hash, None)
        .unwrap()
        .unwrap();
    assert_eq!(bytes, Payload::text("hello").canonical());
    assert_eq!(hash.to_string(), Payload::text("hello").hash().to_string());
    assert_eq!(
        kept_evidence(state.path(), &run("other"), &hash, None).unwrap(),
        None
    );
    for (path, _) in files(&state.path().join("evidence")) {
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }
    ledger.record(keeping("r", "hello")).unwrap();
    assert_eq!(kept(state.path()), 1, "the same bytes are kept once");
    let (path, _) = files(&state.path().join("evidence/kept")).remove(0);
    std::fs::write(&path, "other").unwrap();
    assert!(matches!(
        kept_evidence(state.path(), &run("r"), &hash, None),
        Err(Error::EvidenceChanged { .. })
    ));
}

#[test]
fn an_erasure_is_recorded_and_touches_no_other_run() {
    let state = fresh();
    let (ledger, _) = open(state.path());
    let hash = hash_of(ledger.record(keeping("a", "shared")).unwrap().event());
    ledger.record(keeping("a", "own")).unwrap();
    ledger.record(keeping("b", "shared")).unwrap();
    ledger
        .record(draft(EventKind::Result, "plain", "q"))
        .unwrap();
    let erased = ledger.erase_evidence(&run("a")).unwrap();
    assert_eq!(erased.erased, 2);
    let events = all(state.path());
    let last = events.last().unwrap();
    assert_eq!(last.event_id.to_string(), erased.event_id);
    assert_eq!(
        (last.kind, last.run_id.is_system()),
        (EventKind::Disable, true)
    );
    assert_eq!(
        (last.meta["run"].as_str(), last.meta["files"].as_str()),
        ("a", "2")
    );
    assert_eq!(
        kept_evidence(state.path(), &run("a"), &hash, None).unwrap(),
        None
    );
    assert!(
        kept_evidence(state.path(), &run("b"), &hash, None)
            .unwrap()
            .is_some()
    );
    assert!(was_erased(state.path(), &run("a")).unwrap());
    assert!(!was_erased(state.path(), &run("b")).unwrap());
    assert_eq!(ledger.erase_evidence(&run("a")).unwrap().erased, 0);
    assert_eq!(ledger.erase_evidence(&run("plain")).unwrap().event_id, "");
    assert!(matches!(
        ledger.erase_evidence(&run("unknown")),
        Err(Error::NoSuchRun { .. })
    ));
    assert_eq!(erasures(state.path()), 1);
    ledger.record(keeping("a", "later")).unwrap();
    assert_eq!(kept(state.path()), 2, "a run may keep again");
    drop(ledger);
    open(state.path());
    assert_eq!(kept(state.path()), 2);
    assert!(verify(state.path()).valid);
}

fn options(tape: &Tape) -> Options {
    Options {
        disk: Arc::new(tape.clone()),
        ..Options::default()
    }
}

/// The event that a caller was told of.
fn told_in(call: &Call) -> Option<&str> {
    if let Call::Told(id) = call {
        Some(id)
    } else {
        None
    }
}

/// Two runs keep evidence, and one of them is erased.
fn work(ledger: &Ledger, tape: &Tape) {
    for (name, text) in [("a", "one"), ("b", "one"), ("a", "two")] {
        if let Ok(recorded) = ledger.record(keeping(name, text)) {
            tape.told(&recorded.event().event_id.to_string());
        }
    }
    if let Ok(erased) = ledger.erase_evidence(&run("a")) {
        tape.told(&erased.event_id);
    }
    if let Ok(recorded) = ledger.record(keeping("b", "three")) {
        tape.told(&recorded.event().event_id.to_string());
    }
}

/// Opens what was left, and checks that no event names a missing file and that an erasure is complete or was never begun.
fn assert_in_order(state: &Path, told: &[&str], what: &str) {
    let opened = open_with(state, options(&Tape::default()));
    drop(opened.unwrap_or_else(|error| panic!("{what}: {error}")));
    let events = all(state);
    for id in told.iter().filter(|id| !id.is_empty()) {
        let found = events
            .iter()
            .any(|event| event.event_id.to_string() == **id);
        assert!(found, "{what}: event {id} is lost");
    }
    let erased = was_erased(state, &run("a")).unwrap();
    assert!(erasures(state) <= 1, "{what}: an erasure is recorded once");
    for event in events
        .iter()
        .filter(|event| event.kind == EventKind::Result)
    {
        let found = kept_evidence(state, &event.run_id, &hash_of(event), None).unwrap();
        let gone = erased && event.run_id == run("a");
        assert_eq!(found.is_some(), !gone, "{what}: {event:?}");
    }
    for folder in ["new", "erasing"] {
        let folder = state.join("evidence").join(folder);
        assert!(!folder.exists() || files(&folder).is_empty(), "{what}");
    }
    assert!(verify(state).valid, "{what}");
}

#[test]
fn a_crash_anywhere_leaves_no_event_without_its_evidence() {
    let state = fresh();
    let tape = Tape::default();
    let before = Platter::of(state.path());
    let (ledger, _) = open_with(state.path(), options(&tape)).unwrap();
    work(&ledger, &tape);
    drop(ledger);
    let calls = tape.calls();
    for cut in 0..=calls.len() {
        let mut platter = before.clone();
        let done = &calls[..cut];
        done.iter().for_each(|call| platter.apply(call));
        let told: Vec<&str> = done.iter().filter_map(told_in).collect();
        for luck in [0, 4, 8] {
            let after = fresh();
            let mut coins = Coins(0x9e37_79b9 + cut as u64);
            platter.crash(state.path(), after.path(), &mut || coins.flip(luck));
            // Folders are not made through [`Disk`]: a real crash leaves a folder, or nothing below it.
            for folder in ["kept", "new", "erasing"] {
                std::fs::create_dir_all(after.path().join("evidence").join(folder)).unwrap();
            }
            assert_in_order(after.path(), &told, &format!("cut {cut}, luck {luck}"));
        }
    }
}

#[test]
fn a_fault_at_any_call_records_nothing_that_is_not_kept() {
    let state = fresh();
    let tape = Tape::default();
    let (ledger, _) = open_with(state.path(), options(&tape)).unwrap();
    work(&ledger, &tape);
    drop(ledger);
    let calls = tape.calls();
    let total = calls
        .iter()
        .filter(|call| !matches!(call, Call::Told(_)))
        .count();
    let mut evidence_failed = 0;
    for at in 0..total {
        for fault in [
            Fault::Errno(EIO),
            Fault::Errno(ENOSPC),
            Fault::Short,
            Fault::ShortThenErrno(ENOSPC),
        ] {
            let state = fresh();
            let tape = Tape::failing(at, fault);
            let Ok((ledger, _)) = open_with(state.path(), options(&tape)) else {
                continue;
            };
            work(&ledger, &tape);
            let goes_on = ledger
                .record(draft(EventKind::Reject, "c", "after"))
                .is_ok();
            drop(ledger);
            let told = tape.calls();
            let told: Vec<&str> = told.iter().filter_map(told_in).collect();
            if goes_on && told.len() < 5 {
                evidence_failed += 1;
            }
            assert_in_order(state.path(), &told, &format!("call {at}, {fault:?}"));
        }
    }
    assert!(
        evidence_failed > 10,
        "the store's own calls were failed: {evidence_failed}"
    );
}

#[test]
fn an_erasure_cut_off_on_either_side_of_its_event_is_completed_at_the_next_opening() {
    for recorded in [false, true] {
        let state = fresh();
        let (ledger, _) = open(state.path());
        ledger.record(keeping("a", "one")).unwrap();
        let folder = state.path().join("evidence/kept");
        let spare = copied(&folder);
        ledger.erase_evidence(&run("a")).unwrap();
        let event = all(state.path()).pop().unwrap();
        ledger.record(keeping("b", "one")).unwrap();
        drop(ledger);
        let erasure = if recorded {
            event.meta["erasure"].clone()
        } else {
            plugin_protocol::ids::EventId::now().to_string()
        };
        // As it was before the removal: the files, and the note.
        for (path, bytes) in files(spare.path()) {
            let Ok(rest) = path.strip_prefix(spare.path()) else {
                continue;
            };
            if rest.starts_with("ledger")
                || rest.starts_with("anchor")
                || rest.components().count() < 2
            {
                continue;
            }
            let place = folder.join(rest);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, bytes).unwrap();
        }
        assert_eq!(kept(state.path()), 2, "the scene is as a kill leaves it");
        let name = FileHash::of(b"a").to_string();
        let note = serde_json::json!({ "erasure": erasure, "run_id": "a" });
        std::fs::write(
            state.path().join("evidence/erasing").join(name),
            note.to_string(),
        )
        .unwrap();
        open(state.path());
        assert_eq!(kept(state.path()), 1);
        assert_eq!(erasures(state.path()), if recorded { 1 } else { 2 });
        assert!(files(&state.path().join("evidence/erasing")).is_empty());
        assert!(verify(state.path()).valid);
    }
}

fn salted(disk: &Tape) -> Options {
    Options {
        hashes: crate::Hashes::Salted,
        disk: Arc::new(disk.clone()),
        ..Options::default()
    }
}

/// Every four-digit secret whose hash `event` may carry as its input.
fn guesses(event: &Event, hash: impl Fn(&PayloadHash) -> PayloadHash) -> Vec<u32> {
    let secrets = 0..10_000_u32;
    let fits = |secret: &u32| {
        let plain = PayloadHash::of(format!("{secret:04}").as_bytes());
        event.input_hash == Some(hash(&plain))
    };
    secrets.filter(fits).collect()
}

#[test]
fn a_four_digit_secret_is_found_by_trying_with_plain_hashes_and_not_with_salted_ones() {
    let call = |options: Options| {
        let state = fresh();
        let (ledger, _) = open_with(state.path(), options).unwrap();
        let mut events = Vec::new();
        for name in ["r", "r", "other"] {
            let mut secret = draft(EventKind::Reject, name, "q");
            secret.input_hash = Some(PayloadHash::of(b"7391"));
            events.push(ledger.record(secret).unwrap().event().clone());
        }
        (state, events)
    };
    let (plain_state, plain) = call(Options::default());
    assert_eq!(guesses(&plain[0], |hash| *hash), [7391], "plain is found");
    assert!(!plain[0].meta.contains_key(meta::HASHES));
    assert_eq!(crate::salt_of(plain_state.path(), &run("r")).unwrap(), None);

    let (state, events) = call(salted(&Tape::default()));
    assert!(
        guesses(&events[0], |hash| *hash).is_empty(),
        "salted is not"
    );
    assert!(crate::is_salted(&events[0]) && events[0].meta[meta::HASHES] == "salted");
    // One run has one salt, so equal payloads can be told to be equal; another run has another.
    assert_eq!(events[0].input_hash, events[1].input_hash);
    assert_ne!(events[0].input_hash, events[2].input_hash);
    // With the salt it is checked as before, and only by its own run's.
    let salt = crate::salt_of(state.path(), &run("r")).unwrap().unwrap();
    assert!(salt.is_of(&events[0]) && !salt.is_of(&events[2]));
    assert_eq!(guesses(&events[0], |hash| salt.payload(hash)), [7391]);
    assert!(guesses(&events[2], |hash| salt.payload(hash)).is_empty());
    // The salt is nowhere in what an auditor is given.
    let text = String::from_utf8(bytes(state.path())).unwrap();
    let file = std::fs::read_to_string(salt_file(state.path(), "r")).unwrap();
    assert_eq!(crate::Salt::parse(&file), Some(salt.clone()));
    assert!(!text.contains(file.trim()));
    // Its erasure takes it, and says which one; the run's next event has a new one.
    let (ledger, _) = open_with(state.path(), salted(&Tape::default())).unwrap();
    let erased = ledger.erase_evidence(&run("r")).unwrap();
    assert!(erased.salt && erased.erased == 0);
    assert_eq!(crate::salt_of(state.path(), &run("r")).unwrap(), None);
    let event = all(state.path()).pop().unwrap();
    assert_eq!(event.meta[meta::ERASED_SALT], salt.id());
    let mut again = draft(EventKind::Reject, "r", "q");
    again.input_hash = Some(PayloadHash::of(b"7391"));
    let again = ledger.record(again).unwrap().event().clone();
    assert_ne!(again.input_hash, events[0].input_hash);
    assert!(!salt.is_of(&again));
    drop(ledger);
    assert!(verify(state.path()).valid);
}

fn salt_file(state: &Path, name: &str) -> PathBuf {
    let folder = plugin_protocol::digest::FileHash::of(name.as_bytes()).to_string();
    state.join("evidence/kept").join(folder).join("salt")
}

#[test]
fn what_is_kept_is_found_by_salted_names_and_a_crash_leaves_no_event_without_its_salt() {
    let state = fresh();
    let before = Platter::of(state.path());
    let tape = Tape::default();
    let (ledger, _) = open_with(state.path(), salted(&tape)).unwrap();
    let kept = ledger.record(keeping("r", "7391")).unwrap();
    let link = kept.event().meta[meta::RESULT_EVIDENCE].clone();
    tape.told(&kept.event().event_id.to_string());
    drop(ledger);
    let plain = kept.evidence().unwrap().name(None);
    assert!(!plain.contains(&link), "no plain hash leads to it");
    let salt = crate::salt_of(state.path(), &run("r")).unwrap().unwrap();
    let hash = FileHash::parse(&link).unwrap();
    let found = kept_evidence(state.path(), &run("r"), &hash, Some(&salt)).unwrap();
    assert_eq!(found.unwrap(), kept.evidence().unwrap().bytes());
    let wrong = crate::Salt::parse(&"00".repeat(32)).unwrap();
    assert!(kept_evidence(state.path(), &run("r"), &hash, Some(&wrong)).is_err());
    let calls = tape.calls();
    for end in 0..=calls.len() {
        let mut platter = before.clone();
        calls[..end].iter().for_each(|call| platter.apply(call));
        for of_8 in [0, 4, 8] {
            let copy = fresh();
            let mut coins = Coins(0x9e37_79b9 ^ ((end as u64 + 1) << 20));
            platter.crash(state.path(), copy.path(), &mut || coins.flip(of_8));
            drop(open_with(copy.path(), salted(&Tape::default())).unwrap());
            for event in all(copy.path())
                .iter()
                .filter(|event| crate::is_salted(event))
            {
                let salt = crate::salt_of(copy.path(), &event.run_id).unwrap();
                assert!(salt.is_some_and(|salt| salt.is_of(event)), "after {end}");
            }
        }
    }
}
