//! The words that hosts match on, each brought about for real. Section 6 of the contract fixes them; a host's code breaks when one changes.

use std::fs;

use campaigns::library::{call, open};
use campaigns::program::{Link, c};
use campaigns::request::{request, text, with};
use campaigns::{Host, Package};
use plugin_gateway::{Cancel, Gateway};
use serde_json::{Value, json};

fn quiet(id: &str) -> Package {
    Package::script(id, "sh", "exit 1\n")
}

/// Asks a plugin that refuses or fails, and gives its status and notes.
fn notes(host: &Host, id: &str, request: &Value) -> (String, String) {
    let response = host.invoke(id, request).expect(1).json();
    let word = |name: &str| response[name].as_str().unwrap().to_owned();
    assert_eq!(response["result"], Value::Null);
    (word("status"), word("notes"))
}

#[track_caller]
fn says(host: &Host, id: &str, request: &Value, status: &str, word: &str) {
    let (got, notes) = notes(host, id, request);
    assert!(got == status && notes.contains(word), "{got}: {notes}");
}

/// The message of a verb that is refused.
fn message(host: &Host, arguments: &[&str], code: i32) -> String {
    let said = host.say(["--json"].iter().chain(arguments)).expect(code);
    said.json()["error"]["message"].as_str().unwrap().to_owned()
}

/// "`notes` says why in words a person understands. Hosts match on these words, so they must appear: `not found`"
#[test]
fn inv_pnp_01_not_found() {
    let host = Host::new();
    for id in ["p.test.nobody", "no id at all!", "../../etc", "", "P.TEST"] {
        says(&host, id, &request(text("x")), "rejected", "not found");
    }
}

/// "they must appear: … `not enabled`": registered, disabled and rejected plugins alike.
#[test]
fn inv_pnp_10_not_enabled() {
    let host = Host::new();
    let registered = host.signed(&quiet("p.test.registered"));
    host.register(&registered).expect(0);
    says(
        &host,
        "p.test.registered",
        &request(text("x")),
        "rejected",
        "not enabled",
    );
    let id = host.install(&quiet("p.test.disabled"));
    host.say(["disable", &id]).expect(0);
    says(&host, &id, &request(text("x")), "rejected", "not enabled");
    host.register(&host.lay_out(&quiet("p.test.rejected")))
        .expect(3);
    says(
        &host,
        "p.test.rejected",
        &request(text("x")),
        "rejected",
        "not enabled",
    );
}

/// "`probabilistic` (deterministic_only asked of a probabilistic plugin)"
#[test]
fn inv_pnp_03_probabilistic() {
    let host = Host::new();
    let id = host.install(
        &quiet("p.test.dice")
            .with(|manifest| manifest["determinism"]["mode"] = json!("probabilistic")),
    );
    let asked = with(
        request(text("x")),
        "/policy/deterministic_only",
        json!(true),
    );
    says(&host, &id, &asked, "rejected", "probabilistic");
    let said = host
        .say([
            "--json",
            "invoke",
            &id,
            "--text",
            "x",
            "--deterministic-only",
        ])
        .expect(1)
        .json();
    assert!(
        said["notes"].as_str().unwrap().contains("probabilistic"),
        "{said}"
    );
}

/// "`timeout`: it was killed at its time." "The time allowed is the smallest of the request's `timeout_ms`, the manifest's `max_ms` and the gateway's own ceiling."
#[test]
fn inv_pnp_10_timeout() {
    let host = Host::new();
    let endless = c(
        "int main(void) { read_line(); for (;;) pause(); }",
        Link::Static,
    );
    let id = host.install(&Package::native("p.test.endless", &endless));
    let short = host.install(
        &Package::native("p.test.short", &endless)
            .with(|manifest| manifest["limits"]["max_ms"] = json!(150)),
    );
    says(
        &host,
        &id,
        &with(request(text("x")), "/policy/timeout_ms", json!(200)),
        "timeout",
        "timeout",
    );
    says(&host, &short, &request(text("x")), "timeout", "timeout");
    let events = host.events();
    let last = events.last().unwrap();
    assert_eq!(
        (&last["kind"], &last["meta"]["status"]),
        (&json!("ERROR"), &json!("timeout"))
    );
}

/// "they must appear: … `Invalid request`"
#[test]
fn inv_pnp_04_invalid_request() {
    let host = Host::new();
    let id = host.install(&quiet("p.test.strict"));
    says(
        &host,
        &id,
        &with(request(text("x")), "/run_id", json!("system")),
        "rejected",
        "Invalid request",
    );
    says(
        &host,
        &id,
        &with(request(text("x")), "/extra", json!(1)),
        "rejected",
        "Invalid request",
    );
    let said = host
        .say_with(["--json", "invoke", &id, "--input", "-"], b"{\"a\":")
        .expect(1);
    assert!(said.stdout.contains("Invalid request"), "{said:?}");
}

/// "they must appear: … `violation`"; "`rejected`: … a sandbox violation"
#[test]
fn inv_pnp_02_violation() {
    let host = Host::new();
    let caller = c(
        "int main(void) { read_line(); syscall(SYS_ptrace, 0, 0, 0, 0); answer(\"{}\"); return 0; }",
        Link::Static,
    );
    let id = host.install(&Package::native("p.test.caller", &caller));
    says(&host, &id, &request(text("x")), "rejected", "violation");
    let events = host.events();
    let last = events.last().unwrap();
    assert_eq!(
        (
            &last["kind"],
            &last["meta"]["cause"],
            &last["meta"]["denied_call"]
        ),
        (&json!("REJECT"), &json!("violation"), &json!("ptrace"))
    );
}

/// "`overloaded` (the waiting line is full, or its turn did not come in time)"
#[test]
fn inv_pnp_10_overloaded() {
    let host = Host::new();
    let endless = c(
        "int main(void) { read_line(); for (;;) pause(); }",
        Link::Static,
    );
    let package = Package::native("p.test.endless", &endless).with(|manifest| {
        manifest["limits"]["max_concurrency"] = json!(1);
        manifest["limits"]["max_ms"] = json!(60_000);
    });
    let id = host.install(&package);
    let gateway = open(&host);
    let cancel = Cancel::new().unwrap();
    let first = with(request(text("x")), "/policy/timeout_ms", json!(60_000));
    let second = with(request(text("x")), "/policy/timeout_ms", json!(100));
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            gateway
                .invoke(&id, &first, Some(&cancel))
                .map(|outcome| outcome.cause.as_str())
        });
        while !fs::read_to_string(host.segment())
            .unwrap()
            .contains("\"kind\":\"INVOKE\"")
        {
            assert!(!running.is_finished(), "the first one holds the only place");
            std::thread::yield_now();
        }
        let answered = call(&gateway, &id, &second);
        assert_eq!(answered.status(), "rejected", "{answered:?}");
        assert!(
            answered.notes().contains("overloaded") && !answered.reached_the_plugin(),
            "{answered:?}"
        );
        cancel.cancel();
        assert_eq!(running.join().unwrap().unwrap(), "cancelled");
    });
    assert_eq!(
        call(&gateway, &id, &second).status(),
        "timeout",
        "the place is free again"
    );
}

/// "they must appear: … `circuit open`"; it refuses calls and switches nothing off, and it holds one plugin only.
#[test]
fn inv_pnp_10_circuit_open() {
    let host = Host::new();
    let settings = "[circuit]\nfailures = 2\nfirst_wait_ms = 600000\nlongest_wait_ms = 600000\n";
    fs::write(host.state().join("config.toml"), settings).unwrap();
    let crashing = host.install(&quiet("p.test.crashing"));
    let other = host.install(&quiet("p.test.other"));
    let gateway = open(&host);
    let ask = |id: &str| call(&gateway, id, &request(text("x")));
    for _ in 0..2 {
        assert_eq!(ask(&crashing).status(), "error");
    }
    let answered = ask(&crashing);
    assert_eq!(answered.status(), "rejected", "{answered:?}");
    assert!(answered.notes().contains("circuit open"), "{answered:?}");
    assert!(!answered.reached_the_plugin(), "{answered:?}");
    assert_eq!(
        ask(&other).status(),
        "error",
        "another plugin is not held up"
    );
    assert_eq!(host.row(&crashing)["status"], "enabled");
}

/// "Registry errors contain: `Plugin already registered`" — exit code 3: "refused by policy".
#[test]
fn inv_pnp_01_plugin_already_registered() {
    let host = Host::new();
    let folder = host.signed(&quiet("p.test.taken"));
    let folder = folder.to_str().unwrap();
    host.say(["register", folder]).expect(0);
    assert!(message(&host, &["register", folder], 3).contains("Plugin already registered"));
    assert!(
        message(&host, &["register", folder, "--replace"], 3).contains("Plugin already registered")
    );
}

/// "Registry errors contain: … `Plugin not found`" — exit code 1: "the answer is no".
#[test]
fn inv_pnp_01_plugin_not_found() {
    let host = Host::new();
    for verb in ["enable", "disable", "show"] {
        assert!(
            message(&host, &[verb, "p.test.nobody"], 1).contains("Plugin not found"),
            "{verb}"
        );
    }
}

/// "Registry errors contain: … `Cannot enable rejected plugin`, `Cannot disable rejected plugin`" — exit code 3: "refused by policy or trust".
#[test]
fn inv_pnp_10_cannot_enable_or_disable_rejected_plugin() {
    let host = Host::new();
    host.register(&host.lay_out(&quiet("p.test.rejected")))
        .expect(3);
    assert!(
        message(&host, &["enable", "p.test.rejected"], 3).contains("Cannot enable rejected plugin")
    );
    assert!(
        message(&host, &["disable", "p.test.rejected"], 3)
            .contains("Cannot disable rejected plugin")
    );
}

fn findings(change: impl FnOnce(&mut Value)) -> Value {
    let package = quiet("p.test.manifest").with(change);
    serde_json::to_value(Gateway::validate_manifest(
        package.manifest.to_string().as_bytes(),
    ))
    .unwrap()
}

#[track_caller]
fn finds(report: &Value, severity: &str, word: &str) {
    let issues = report["issues"].as_array().unwrap();
    assert!(
        issues.iter().any(|issue| issue["severity"] == severity
            && issue["message"].as_str().unwrap().contains(word)),
        "{report}"
    );
}

/// "Validation messages contain `Forbidden capability`, `requires capability`."
#[test]
fn inv_pnp_06_forbidden_capability_and_requires_capability() {
    finds(
        &findings(|manifest| manifest["capabilities"][0] = json!("network_access")),
        "error",
        "Forbidden capability",
    );
    finds(
        &findings(|manifest| manifest["capabilities"] = json!(["write_report"])),
        "error",
        "requires capability",
    );
    finds(
        &findings(|manifest| manifest["capabilities"] = json!(["read_text"])),
        "error",
        "requires capability",
    );
}

/// "`max_ms ≥ 100` (above 60000: a *warning* that contains `exceeds`, and the gateway clamps to 60000)"
#[test]
fn inv_pnp_04_exceeds_is_a_warning() {
    let report = findings(|manifest| manifest["limits"]["max_ms"] = json!(60_001));
    assert_eq!(report["valid"], true, "{report}");
    finds(&report, "warning", "exceeds");
    let report = findings(|manifest| manifest["limits"]["max_ms"] = json!(60_000));
    assert!(!report.to_string().contains("exceeds"), "{report}");
}

/// "status: registered|enabled|disabled|rejected" and "`status` = `ok` | `rejected` | `error` | `timeout`": the words themselves.
#[test]
fn inv_pnp_01_status_words() {
    let host = Host::new();
    let folder = host.signed(&quiet("p.test.words"));
    let status = || host.row("p.test.words")["status"].clone();
    host.register(&folder).expect(0);
    assert_eq!(status(), "registered");
    host.say(["enable", "p.test.words"]).expect(0);
    assert_eq!(status(), "enabled");
    host.say(["disable", "p.test.words"]).expect(0);
    assert_eq!(status(), "disabled");
    host.register(&host.lay_out(&quiet("p.test.unsigned")))
        .expect(3);
    assert_eq!(host.row("p.test.unsigned")["status"], "rejected");
    let answer = "read -r line\nprintf '%s\\n' '{\"type\":\"result\",\"response\":{\"request_id\":\"request-1\",\"status\":\"ok\",\"result\":{\"kind\":\"json\",\"schema_ref\":\"any/1\",\"data\":{}}}}'\n";
    let id = host.install(&Package::script("p.test.fine", "sh", answer));
    let response = host.invoke(&id, &request(text("x"))).expect(0).json();
    assert_eq!(response["status"], "ok", "{response}");
}
