//! States and ledgers that cannot be used.

use super::*;

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
            let at_once = ["--json", "--wait-ms", "200"];
            let said = host.say(at_once.iter().chain(verb)).expect(4);
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
        let at_once = ["--json", "--wait-ms", "200"];
        let said = host.say(at_once.iter().chain(verb)).expect(4);
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
