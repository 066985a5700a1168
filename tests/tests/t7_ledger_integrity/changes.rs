//! A ledger that somebody changed.

use super::*;

/// A ledger of two events, small enough to try every byte of it.
fn small() -> Host {
    let host = Host::new();
    host.ask("p.test.nobody", "x");
    assert_eq!(host.verified(), 2);
    host
}

/// What `ledger verify` says of this content: its exit code and its report.
fn judge(host: &Host, content: &[u8]) -> (i32, Value) {
    fs::write(host.segment(), content).unwrap();
    let said = host.say(["--json", "ledger", "verify"]);
    (said.code, said.json())
}

/// "`verify` prints events, bytes, head; names the first broken event and why"; exit code 1: "verification failed". Every byte.
#[test]
fn inv_pnp_07_no_byte_of_the_ledger_changes_unseen() {
    let host = small();
    let good = fs::read(host.segment()).unwrap();
    let mut index = 0;
    for at in 0..good.len() {
        // One bit, the case of a letter, and a byte that is no ASCII take turns.
        let mask = [0x01, 0x20, 0x80][at % 3];
        let mut changed = good.clone();
        changed[at] ^= mask;
        let (code, report) = judge(&host, &changed);
        assert_eq!(
            (code, &report["valid"], &report["broken_at"]),
            (1, &json!(false), &json!(index)),
            "byte {at} ^ {mask:#x}: {report}"
        );
        assert!(!report["reason"].as_str().unwrap().is_empty());
        if good[at] == b'\n' {
            index += 1;
        }
    }
    assert_eq!(index, 2);
    assert_eq!(judge(&host, &good).0, 0, "and back it is good again");
}

/// The same for every end that a file can be cut to, and for lines dropped, doubled, swapped, added and put elsewhere.
#[test]
fn inv_pnp_07_no_line_is_dropped_doubled_swapped_or_added_unseen() {
    let (host, _) = busy();
    let good = lines(&host);
    let count = good.len();
    let joined = |lines: &[String]| -> Vec<u8> {
        lines
            .iter()
            .flat_map(|line| format!("{line}\n").into_bytes())
            .collect()
    };
    let broken = |lines: &[String], index: usize, what: &str| {
        let (code, report) = judge(&host, &joined(lines));
        assert_eq!(
            (code, &report["broken_at"]),
            (1, &json!(index)),
            "{what}: {report}"
        );
    };
    for at in 0..count {
        if at + 1 < count {
            let mut dropped = good.clone();
            dropped.remove(at);
            broken(&dropped, at, "dropped");
            let mut swapped = good.clone();
            swapped.swap(at, at + 1);
            broken(&swapped, at, "swapped");
        }
        let mut doubled = good.clone();
        doubled.insert(at, good[at].clone());
        broken(&doubled, at + 1, "doubled");
        let mut blank = good.clone();
        blank.insert(at, String::new());
        broken(&blank, at, "a blank line");
        let mut spaced = good.clone();
        spaced[at].push(' ');
        broken(&spaced, at, "a blank at the end of a line");
        // With a hash that fits its new content a line is good in itself, but the next one no longer follows it.
        let mut forged = good.clone();
        let mut event: Value = serde_json::from_str(&good[at]).unwrap();
        event["meta"]["forged"] = json!("yes");
        event.as_object_mut().unwrap().remove("event_hash");
        let honest = hash(&event);
        event["event_hash"] = json!(honest);
        forged[at] = canonical(&event);
        if at + 1 < count {
            broken(&forged, at + 1, "forged with a fitting hash");
        }
    }
    let foreign = lines(&small());
    let mut added = good.clone();
    added.push(foreign[1].clone());
    broken(&added, count, "a line of another ledger");
    let mut garbage = joined(&good);
    garbage.extend(b"garbage");
    let (code, report) = judge(&host, &garbage);
    assert_eq!((code, &report["broken_at"]), (1, &json!(count)), "{report}");
    assert_eq!(judge(&host, &joined(&good)).0, 0);
}

/// "On disk: `<state>/ledger/seg/<index of first event, 20 digits>.ndjson`": a segment that is gone, misnamed or foreign is noticed.
#[test]
fn inv_pnp_07_segments_are_what_their_names_say() {
    let host = small();
    let segment = host.segment();
    let folder = segment.parent().unwrap();
    let names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["00000000000000000000.ndjson"]);
    let verify = || {
        let said = host.say(["--json", "ledger", "verify"]);
        (said.code, said.stdout)
    };
    let other = folder.join("00000000000000000001.ndjson");
    fs::rename(&segment, &other).unwrap();
    assert_eq!(
        verify().0,
        1,
        "the first segment begins with event 0: {:?}",
        verify()
    );
    fs::rename(&other, &segment).unwrap();
    let text = fs::read_to_string(&segment).unwrap();
    let (first, second) = text.split_at(text.find('\n').unwrap() + 1);
    fs::write(&segment, first).unwrap();
    fs::write(&other, second).unwrap();
    assert_eq!(verify().0, 0, "two segments are one ledger: {:?}", verify());
    fs::rename(&other, folder.join("00000000000000000002.ndjson")).unwrap();
    assert_eq!(
        verify().0,
        1,
        "an event is missing between them: {:?}",
        verify()
    );
}

/// `ledger query`: "`ledger tail|query` NDJSON events as stored".
#[test]
fn inv_pnp_07_tail_and_query_give_the_stored_lines() {
    let (host, id) = busy();
    let stored = lines(&host);
    let ask = |arguments: &[&str]| -> Vec<String> {
        let said = host
            .say(["--json", "ledger"].iter().chain(arguments))
            .expect(0);
        said.stdout.lines().map(str::to_owned).collect()
    };
    assert_eq!(ask(&["tail", "-n", "1000"]), stored);
    assert_eq!(ask(&["tail", "-n", "3"]), stored[stored.len() - 3..]);
    assert_eq!(ask(&["query"]), stored);
    let having = |part: &str| -> Vec<String> {
        stored
            .iter()
            .filter(|line| line.contains(part))
            .cloned()
            .collect()
    };
    assert_eq!(
        ask(&["query", "--kind", "INVOKE"]),
        having("\"kind\":\"INVOKE\"")
    );
    assert_eq!(
        ask(&["query", "--run", "run-1"]),
        having("\"run_id\":\"run-1\"")
    );
    assert_eq!(
        ask(&["query", "--plugin", &id]),
        having(&format!("\"plugin_id\":\"{id}\""))
    );
    assert_eq!(
        ask(&["query", "--request", "request-1", "--kind", "RESULT"]).len(),
        1
    );
    assert_eq!(
        ask(&["query", "--run", "nothing-of-the-kind"]),
        Vec::<String>::new()
    );
    assert_eq!(
        ask(&["query", "--since", "2200-01-01T00:00:00Z"]),
        Vec::<String>::new()
    );
    assert_eq!(ask(&["query", "--until", "2200-01-01T00:00:00Z"]), stored);
}

fn copy_of(folder: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_of(&entry.path(), &place);
        } else if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

/// "an old copy of the whole state put back (with an anchor elsewhere: refused)", named on the command line or by `init`.
#[test]
fn inv_pnp_07_an_old_copy_of_the_whole_state_is_refused_where_the_anchor_is_elsewhere() {
    for by_init in [false, true] {
        let host = Host::new();
        host.alone();
        let folder = TempDir::new().unwrap();
        let (state, anchor) = (
            folder.path().join("state"),
            folder.path().join("volume/anchor"),
        );
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        let say = |with_anchor: bool, verb: &[&str]| {
            let mut command = Command::new(binary());
            command.arg("--state").arg(&state);
            if with_anchor {
                command.arg("--anchor").arg(&anchor);
            }
            command.args(["--json"]).args(verb);
            finish(command, b"")
        };
        let key = host.public_key();
        let trust = ["trust", "add", key.to_str().unwrap()];
        let flag = !by_init;
        say(by_init, &["init"]).expect(0);
        say(flag, &trust).expect(0);
        copy_of(&state, &old);
        say(flag, &["ledger", "checkpoint"]).expect(0);
        let key_id = say(flag, &["trust", "list"]).expect(0).json()[0]["key_id"].clone();
        say(flag, &["trust", "remove", key_id.as_str().unwrap()]).expect(0);
        say(flag, &["ledger", "verify"]).expect(0);
        assert!(anchor.join("head").is_file());

        // The key is trusted again in the old copy: whoever puts it back undoes a revocation.
        fs::rename(&state, &new).unwrap();
        copy_of(&old, &state);
        let said = say(flag, &["ledger", "verify"]).expect(1);
        assert_eq!(said.json()["valid"], false);
        let said = say(flag, &trust).expect(4);
        assert_eq!(said.json()["error"]["kind"], "ledger", "{said:?}");
        if !by_init {
            // Without the anchor nobody can tell: that is what it is for.
            say(false, &["ledger", "verify"]).expect(0);
        }
        fs::remove_dir_all(&state).unwrap();
        fs::rename(&new, &state).unwrap();
        say(flag, &trust).expect(0);
        let settings = fs::read_to_string(state.join("config.toml")).unwrap_or_default();
        assert_eq!(settings.contains("volume/anchor"), by_init);
        let again = say(true, &["init"]).expect(0);
        assert_eq!(again.json()["created"], false);
    }
}
