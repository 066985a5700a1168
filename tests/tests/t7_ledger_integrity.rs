//! T7: the ledger says what happened, in order, in bytes that anyone can check again, and no byte of it changes unseen.

#[path = "t7_ledger_integrity/changes.rs"]
mod changes;

use std::fs;
use std::path::Path;
use std::process::Command;

use campaigns::canonical::{canonical, hash, sha256};
use campaigns::command::{binary, finish};
use campaigns::library::open;
use campaigns::program::{Link, c};
use campaigns::request::{request, text, with};
use campaigns::{Host, Package, parrot};
use serde_json::{Value, json};
use tempfile::TempDir;

const FIELDS: [&str; 11] = [
    "event_hash",
    "event_id",
    "input_hash",
    "kind",
    "meta",
    "output_hash",
    "plugin_id",
    "prev_hash",
    "request_id",
    "run_id",
    "ts",
];
const KINDS: [&str; 8] = [
    "REGISTER",
    "ENABLE",
    "DISABLE",
    "INVOKE",
    "RESULT",
    "REJECT",
    "ERROR",
    "PROOF_EXPORT",
];

/// A state in which everything happened once: trust, registrations good and bad, calls that end in each way, and trust taken away.
fn busy() -> (Host, String) {
    let host = Host::new();
    let id = host.install(&parrot::package("p.test.parrot"));
    let stranger = host.lay_out(&Package::script("p.test.stranger", "sh", "exit 1\n"));
    host.register(&stranger).expect(3);
    let say = |bytes: &str| host.invoke(&id, &request(parrot::saying(bytes)));
    say(&parrot::answer("request-1", "ok", &text("fine"), "")).expect(0);
    say("no answer\n").expect(1);
    say("").expect(1);
    host.ask("p.test.nobody", "x");
    host.say(["disable", &id]).expect(0);
    host.say(["enable", &id]).expect(0);
    let key = host.say(["--json", "trust", "list"]).expect(0).json()[0]["key_id"].clone();
    host.say(["trust", "remove", key.as_str().unwrap()])
        .expect(0);
    (host, id)
}

fn lines(host: &Host) -> Vec<String> {
    let text = fs::read_to_string(host.segment()).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

fn is_hash(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// "NDJSON, one event a line, append-only, canonical JSON. Fields, all present"; "`event_hash` = SHA-256 of the canonical event without
/// `event_hash`; `prev_hash` = the previous event's `event_hash`, `""` for the first." — all of it computed again, without the gateway's code.
#[test]
fn inv_pnp_07_every_line_is_canonical_hashed_and_linked() {
    let (host, _) = busy();
    let mut previous = String::new();
    let mut seen = std::collections::BTreeSet::new();
    for line in lines(&host) {
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            canonical(&event),
            line,
            "the line is its own canonical form"
        );
        let names: Vec<&String> = event.as_object().unwrap().keys().collect();
        assert_eq!(names, FIELDS);
        assert!(line.len() < 65_535);
        let mut without = event.clone();
        let own = without
            .as_object_mut()
            .unwrap()
            .remove("event_hash")
            .unwrap();
        assert_eq!(own, hash(&without).as_str(), "{line}");
        assert_eq!(event["prev_hash"], previous.as_str(), "{line}");
        previous = own.as_str().unwrap().to_owned();
        for name in ["input_hash", "output_hash"] {
            let hash = event[name].as_str().unwrap();
            assert!(hash.is_empty() || is_hash(hash), "{line}");
        }
        let kind = event["kind"].as_str().unwrap();
        assert!(KINDS.contains(&kind), "{line}");
        seen.insert(kind.to_owned());
        assert!(
            event["meta"]
                .as_object()
                .unwrap()
                .values()
                .all(Value::is_string),
            "map string→string: {line}"
        );
    }
    assert_eq!(seen.len(), 7, "all kinds but the proof's: {seen:?}");
    let report = host.say(["--json", "ledger", "verify"]).expect(0).json();
    let bytes = fs::metadata(host.segment()).unwrap().len();
    assert_eq!(
        report,
        json!({ "valid": true, "events": lines(&host).len(), "bytes": bytes, "head": previous, "broken_at": null, "reason": "" })
    );
}

/// "`event_id` (UUIDv7), `run_id`, `ts` (RFC 3339 UTC, milliseconds)"
#[test]
fn inv_pnp_07_names_and_times_have_their_form_and_rise() {
    let (host, _) = busy();
    let mut last = String::new();
    for event in host.events() {
        let id = event["event_id"].as_str().unwrap();
        let shape: String = id
            .chars()
            .map(|c| if c == '-' { '-' } else { 'x' })
            .collect();
        assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
        assert!(id.chars().all(|c| matches!(c, '-' | '0'..='9' | 'a'..='f')));
        assert_eq!(id.as_bytes()[14], b'7', "the version (RFC 9562): {id}");
        assert!(
            matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'),
            "the variant: {id}"
        );
        assert!(id > last.as_str(), "{id} follows {last}");
        last = id.to_owned();
        let ts = event["ts"].as_str().unwrap();
        let shape: String = ts
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{ts}");
    }
}

/// "`input_hash` = SHA-256 of the canonical payload; `output_hash` = SHA-256 of the canonical result, `""` when null." The INVOKE event
/// names what ran: "`manifest_hash` is the SHA-256 … of the manifest's canonical JSON", "The **package digest** is the SHA-256 of the
/// canonical JSON of the sorted list of `{path, mode (executable or not), sha256}` of every file except `plugin.sig`."
#[test]
fn inv_pnp_07_hashes_are_those_that_anyone_computes_again() {
    let host = Host::new();
    let package = parrot::package("p.test.parrot").file("notes/ä.txt", b"a file beside it", 0o644);
    let folder = host.signed(&package);
    let id = host.install_folder(&folder);
    let result = json!({ "kind": "json", "schema_ref": "any/1", "data": { "b": [1, "\u{7f}\u{e9}\u{1f600}\n"], "\u{e9}": null, "A": {} } });
    let payload = parrot::saying(parrot::answer("request-1", "ok", &result, ""));
    let response = host.invoke(&id, &request(payload.clone())).expect(0).json();
    assert_eq!(
        response["evidence_hashes"],
        json!({ "input_hash": hash(&payload), "output_hash": hash(&result) })
    );

    let program = fs::read(folder.join("program")).unwrap();
    let manifest = fs::read(folder.join("plugin.json")).unwrap();
    let listed = |path: &str, mode: &str, bytes: &[u8]| json!({ "path": path, "mode": mode, "sha256": sha256(bytes) });
    // The contract fixes the three members and the order; the two words for the mode are the gateway's, and are read from its own list.
    let events = host.events();
    let invoke = events
        .iter()
        .find(|event| event["kind"] == "INVOKE")
        .unwrap();
    let digest = invoke["meta"]["package_digest"].as_str().unwrap();
    let stored: Value = serde_json::from_slice(
        &fs::read(host.state().join(format!("store/lists/{digest}.json"))).unwrap(),
    )
    .unwrap();
    let modes: Vec<&str> = stored
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["mode"].as_str().unwrap())
        .collect();
    let list = json!([
        listed("notes/ä.txt", modes[0], b"a file beside it"),
        listed("plugin.json", modes[1], &manifest),
        listed("program", modes[2], &program)
    ]);
    assert_eq!(modes[0], modes[1]);
    assert_ne!(
        modes[1], modes[2],
        "the program is executable, the rest is not"
    );
    assert_eq!(digest, hash(&list));
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(invoke["meta"]["manifest_hash"], hash(&manifest).as_str());
    assert_eq!(invoke["input_hash"], hash(&payload).as_str());
    assert_eq!(invoke["output_hash"], "", "nothing has come out yet");
    let closing = events.last().unwrap();
    assert_eq!(
        (
            &closing["kind"],
            &closing["input_hash"],
            &closing["output_hash"]
        ),
        (
            &json!("RESULT"),
            &json!(hash(&payload)),
            &json!(hash(&result))
        )
    );
    let signature: Value =
        serde_json::from_slice(&fs::read(folder.join("plugin.sig")).unwrap()).unwrap();
    let registered = events
        .iter()
        .find(|event| event["kind"] == "REGISTER")
        .unwrap();
    assert_eq!(registered["meta"]["package_digest"], digest);
    // A run's own events say who vouched for what ran.
    let signer = registered["meta"]["key_id"].as_str().unwrap();
    assert_eq!(invoke["meta"]["key_id"], signer);
    assert_eq!(registered["meta"]["key_id"], signature["key_id"]);
    let shown = host.say(["--json", "show", &id]).expect(0).json();
    assert_eq!(
        (
            &shown["package_digest"],
            &shown["manifest_hash"],
            &shown["manifest"]
        ),
        (&json!(digest), &json!(hash(&manifest)), &manifest)
    );
}

/// "An invocation that reaches a plugin writes `INVOKE` **before** the plugin sees the request, and one of `RESULT`, `REJECT`, `ERROR`
/// before the host sees the answer."
#[test]
fn inv_pnp_07_each_call_is_an_invoke_and_one_closing_event_in_that_order() {
    let host = Host::new();
    let id = host.install(&parrot::package("p.test.parrot"));
    let cases = [
        (
            parrot::answer("request-1", "ok", &text("fine"), ""),
            "ok",
            "RESULT",
        ),
        (
            parrot::answer("request-1", "rejected", &Value::Null, "no"),
            "rejected",
            "REJECT",
        ),
        (
            parrot::answer("request-1", "error", &Value::Null, "no"),
            "error",
            "ERROR",
        ),
        ("no answer\n".to_owned(), "rejected", "REJECT"),
        (String::new(), "error", "ERROR"),
    ];
    for (index, (line, status, kind)) in cases.into_iter().enumerate() {
        let run = format!("run-{index}");
        let request = with(request(parrot::saying(line)), "/run_id", json!(run));
        let response = host.invoke(&id, &request).json();
        assert_eq!(response["status"], status, "{response}");
        let events: Vec<Value> = host
            .events()
            .into_iter()
            .filter(|event| event["run_id"] == run.as_str())
            .collect();
        let [invoke, closing] = events.as_slice() else {
            panic!("two events: {events:#?}");
        };
        assert_eq!(
            (&invoke["kind"], &closing["kind"]),
            (&json!("INVOKE"), &json!(kind))
        );
        assert_eq!(
            closing["meta"]["invoke"], invoke["event_id"],
            "it names what it closes"
        );
        assert_eq!(closing["meta"]["status"], status);
        for event in [invoke, closing] {
            assert_eq!(
                (&event["plugin_id"], &event["request_id"]),
                (&json!(id), &json!("request-1"))
            );
            assert_eq!(
                event["input_hash"],
                response["evidence_hashes"]["input_hash"]
            );
        }
        assert_eq!(
            closing["output_hash"],
            response["evidence_hashes"]["output_hash"]
        );
        assert_eq!(
            closing["meta"]["duration_ms"],
            response["duration_ms"].to_string()
        );
    }
}

/// "writes `INVOKE` **before** the plugin sees the request": a plugin that never answers leaves it on the disk for all to read while it runs.
#[test]
fn inv_pnp_07_the_invoke_is_on_disk_while_the_plugin_runs() {
    let host = Host::new();
    let slow = c(
        "int main(void) { read_line(); for (;;) pause(); }",
        Link::Static,
    );
    let id = host.install(&Package::native("p.test.slow", &slow));
    let gateway = open(&host);
    let cancel = plugin_gateway::Cancel::new().unwrap();
    let asked = with(request(text("x")), "/policy/timeout_ms", json!(60_000));
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            gateway
                .invoke(&id, &asked, Some(&cancel))
                .unwrap()
                .event()
                .kind
                .as_str()
                .to_owned()
        });
        while !fs::read_to_string(host.segment())
            .unwrap()
            .contains("\"kind\":\"INVOKE\"")
        {
            assert!(!running.is_finished(), "it ended without an INVOKE");
            std::thread::yield_now();
        }
        let last = lines(&host).pop().unwrap();
        assert!(
            last.contains("\"kind\":\"INVOKE\""),
            "nothing has closed it: {last}"
        );
        cancel.cancel();
        assert_eq!(running.join().unwrap(), "ERROR");
    });
}

/// "Retries (`max_retries`) apply to `error` and `timeout` only, never to `rejected`, inside the request's one total time; every
/// attempt is recorded."
#[test]
fn inv_pnp_07_every_attempt_is_recorded() {
    let host = Host::new();
    let crash = c("int main(void) { read_line(); return 3; }", Link::Static);
    let crashing = host.install(&Package::native("p.test.crash", &crash));
    let parrot = host.install(&parrot::package("p.test.parrot"));
    let with_retries = |payload: Value, run: &str| {
        with(
            with(request(payload), "/run_id", json!(run)),
            "/policy/max_retries",
            json!(3),
        )
    };
    host.invoke(&crashing, &with_retries(text("x"), "crashes"))
        .expect(1);
    host.invoke(
        &parrot,
        &with_retries(parrot::saying("nonsense\n"), "nonsense"),
    )
    .expect(1);
    host.invoke(
        &parrot,
        &with_retries(
            parrot::saying(parrot::answer("request-1", "ok", &text("y"), "")),
            "fine",
        ),
    )
    .expect(0);

    let of_run = |run: &str| -> Vec<Value> {
        host.events()
            .into_iter()
            .filter(|event| event["run_id"] == run)
            .collect()
    };
    let attempts = of_run("crashes");
    assert_eq!(
        attempts.len(),
        8,
        "one and three more, each with its end: {attempts:#?}"
    );
    for (index, pair) in attempts.chunks(2).enumerate() {
        let number = (index + 1).to_string();
        assert_eq!(
            (&pair[0]["kind"], &pair[1]["kind"]),
            (&json!("INVOKE"), &json!("ERROR"))
        );
        assert_eq!(
            (&pair[0]["meta"]["attempt"], &pair[1]["meta"]["attempt"]),
            (&json!(number), &json!(number))
        );
        assert_eq!(pair[1]["meta"]["invoke"], pair[0]["event_id"]);
    }
    let kinds = |run: &str| -> Vec<Value> {
        of_run(run)
            .iter()
            .map(|event| event["kind"].clone())
            .collect()
    };
    assert_eq!(
        kinds("nonsense"),
        ["INVOKE", "REJECT"],
        "rejected is never tried again"
    );
    assert_eq!(kinds("fine"), ["INVOKE", "RESULT"]);
}

/// A refused call leaves its trace too: "`rejected`: refused before running", one `REJECT` in its run and no `INVOKE`.
#[test]
fn inv_pnp_07_a_refused_call_is_recorded_in_its_run() {
    let host = Host::new();
    let id = host.install(&Package::script("p.test.off", "sh", "exit 1\n"));
    host.say(["disable", &id]).expect(0);
    let on = host.install(&Package::script("p.test.on", "sh", "exit 1\n"));
    let asked = request(text("x"));
    for (plugin, request) in [
        ("p.test.nobody", &asked),
        (&*id, &asked),
        (&*on, &with(asked.clone(), "/extra", json!(1))),
    ] {
        let before = host.events().len();
        let response = host.invoke(plugin, request).expect(1).json();
        let events = host.events();
        assert_eq!(events.len(), before + 1, "{response}");
        let event = events.last().unwrap();
        assert_eq!(
            (&event["kind"], &event["run_id"], &event["request_id"]),
            (&json!("REJECT"), &json!("run-1"), &json!("request-1"))
        );
        assert_eq!(event["plugin_id"], plugin);
        assert_eq!(event["input_hash"], hash(&text("x")).as_str());
        assert_eq!(
            (&event["output_hash"], event["meta"].get("invoke")),
            (&json!(""), None)
        );
    }
}

/// "Registry events carry `run_id` = `system`. Trust is recorded too: `ENABLE` and `DISABLE` with an empty `plugin_id` and `meta`
/// `{subject: "key", key_id, …}`, so that registry and allow-list are both a fold over the ledger."
#[test]
fn inv_pnp_07_registry_and_trust_are_a_fold_over_the_ledger() {
    let (host, _) = busy();
    let events = host.events();
    for event in &events {
        let registry = matches!(
            event["kind"].as_str().unwrap(),
            "REGISTER" | "ENABLE" | "DISABLE"
        );
        assert_eq!(event["run_id"] == "system", registry, "{event}");
    }
    let keys: Vec<&Value> = events
        .iter()
        .filter(|event| event["meta"]["subject"] == "key")
        .collect();
    assert_eq!(keys.len(), 2, "trusted, and no more");
    for (event, kind) in keys.iter().zip(["ENABLE", "DISABLE"]) {
        assert_eq!(
            (&event["kind"], &event["plugin_id"]),
            (&json!(kind), &json!(""))
        );
        assert_eq!(event["meta"]["key_id"].as_str().unwrap().len(), 16);
    }
    // The ledger alone, put into another state, tells the same.
    let other = TempDir::new().unwrap();
    let state = other.path().join("state");
    let ask = |state: &Path, arguments: &[&str]| {
        let mut command = std::process::Command::new(binary());
        command
            .arg("--state")
            .arg(state)
            .arg("--json")
            .args(arguments);
        finish(command, b"").expect(0).json()
    };
    ask(&state, &["init"]);
    fs::copy(
        host.segment(),
        state.join("ledger/seg/00000000000000000000.ndjson"),
    )
    .unwrap();
    for arguments in [["list"].as_slice(), &["trust", "list"]] {
        let told = ask(&state, arguments);
        assert_eq!(told, ask(&host.state(), arguments));
        assert!(!told.as_array().unwrap().is_empty());
    }
}

/// "`meta` (map string→string, never a secret, never a payload)": what goes in and out never shows in any file of the state but the program's.
#[test]
fn inv_pnp_07_no_payload_reaches_the_disk() {
    let host = Host::new();
    let id = host.install(&parrot::package("p.test.parrot"));
    let secret = "e5c0ffee";
    let asked = |payload: Value| {
        with(
            request(payload),
            "/context/key",
            json!(format!("context-{secret}")),
        )
    };
    let answers = [
        parrot::answer(
            "request-1",
            "ok",
            &text(&format!("result-{secret}")),
            &format!("notes-{secret}"),
        ),
        parrot::answer(
            "request-1",
            "error",
            &Value::Null,
            &format!("notes-{secret}"),
        ),
        parrot::answer(&format!("other-{secret}"), "ok", &text("x"), ""),
        format!("garbage-{secret}\n"),
        format!("{{\"type\":\"{secret}\"}}"),
    ];
    for answer in answers {
        let said = host.invoke(&id, &asked(parrot::saying(answer)));
        assert!(said.code <= 1, "{said:?}");
    }
    let payload = text(secret);
    host.invoke("p.test.nobody", &asked(payload.clone()));
    host.invoke(
        &id,
        &with(asked(payload.clone()), "/payload/extra", json!(secret)),
    );
    host.invoke(&id, &with(asked(payload), "/payload/kind", json!(secret)));
    let stored = fs::read_to_string(host.segment()).unwrap();
    assert!(stored.lines().count() > 12);
    assert!(!stored.contains(secret), "{stored}");
    let private = fs::read_to_string(host.key()).unwrap();
    let body: String = private
        .lines()
        .filter(|line| !line.starts_with("--"))
        .collect();
    assert!(!stored.contains(&body));
}

/// "each line one event and a newline, at most 65,535 bytes": however long the names and messages of a request are.
#[test]
fn inv_pnp_07_the_longest_names_still_fit_a_line() {
    let host = Host::new();
    let id = host.install(&Package::script("p.test.names", "sh", "exit 1\n"));
    let longest = "\u{1}".repeat(256);
    let asked = with(
        with(request(text("x")), "/run_id", json!(longest)),
        "/request_id",
        json!(longest),
    );
    host.invoke(&id, &asked).expect(1);
    host.invoke(&"a".repeat(5000), &asked).expect(1);
    for line in lines(&host) {
        assert!(line.len() < 65_535);
    }
    host.verified();
}
