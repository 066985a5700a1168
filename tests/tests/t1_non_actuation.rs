//! T1: a plugin changes nothing: no file, no process, no registry, no ledger, no other plugin. What it gives is data.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use campaigns::attacks::jail::{Jail, done};
use campaigns::attacks::scene::Scene;
use campaigns::attacks::{self, poison};
use campaigns::program::{self, Link};
use campaigns::request::{request, text, with};
use campaigns::{Host, Package, library, processes};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything here takes.
const STUCK: Duration = Duration::from_secs(60);

/// Attacks that change a named file, and need only its path.
const ON_A_FILE: [&str; 6] = [
    "write_victim",
    "append_victim",
    "map_victim",
    "truncate_victim",
    "change_mode",
    "remove_victim",
];

/// Everything below a folder: owner, mode and content of each file.
fn sight(folder: &Path) -> BTreeMap<PathBuf, (u32, u32, Vec<u8>)> {
    let mut seen = BTreeMap::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let found = match fs::symlink_metadata(&path) {
                // A gateway at work on the state writes files beside their place and renames them in.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                found => found.unwrap(),
            };
            let content = if found.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            if found.is_dir() {
                pending.push(path.clone());
            }
            seen.insert(path, (found.uid(), found.mode(), content));
        }
    }
    seen
}

/// What changed but for the ledger's own files, which must have grown and nothing else.
fn changes(before: &BTreeMap<PathBuf, (u32, u32, Vec<u8>)>, state: &Path) -> Vec<String> {
    let after = sight(state);
    let is_ledger = |path: &Path| {
        path.starts_with(state.join("ledger")) || path.starts_with(state.join("anchor"))
    };
    let mut changes = Vec::new();
    for (path, (owner, mode, content)) in before {
        match after.get(path) {
            Some((new_owner, new_mode, new_content)) => {
                let kept = if path.starts_with(state.join("ledger/seg")) {
                    new_content.starts_with(content)
                } else {
                    is_ledger(path) || new_content == content
                };
                if !kept || new_owner != owner || new_mode != mode {
                    changes.push(format!("{} changed", path.display()));
                }
            }
            None if is_ledger(path) => {}
            None => changes.push(format!("{} is gone", path.display())),
        }
    }
    let new = after
        .keys()
        .filter(|path| !before.contains_key(*path) && !is_ledger(path));
    changes.extend(new.map(|path| format!("{} is new", path.display())));
    changes
}

/// Opens every folder on the way to `file`, and the file, to everyone, so that only the sandbox stands in the way.
fn open_to_everyone(file: &Path, down_from: &Path) {
    for path in file
        .ancestors()
        .take_while(|path| path.starts_with(down_from))
    {
        let mode = if path.is_dir() { 0o777 } else { 0o666 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// "Claim to defend: a plugin can read its request, compute, write one answer, and nothing else": whatever a call comes
/// to, the state is the same after it, but for the events that the gateway itself added to the ledger.
#[test]
fn inv_pnp_02_no_call_changes_anything_but_the_ledger() {
    let host = Host::new();
    let id = host.install(&Package::native(
        "p.poison.static",
        &poison::program(Link::Static),
    ));
    let before = sight(&host.state());
    for (attack, status) in [
        ("no_newline", "ok"),
        ("own_rejected", "rejected"),
        ("fork_bomb", "rejected"),
        ("own_error", "error"),
        ("segfault", "error"),
        ("sleep_long", "timeout"),
    ] {
        let words = format!(" attack={attack} name=still ");
        let response = host
            .say([
                "--json",
                "invoke",
                &id,
                "--text",
                &words,
                "--timeout-ms",
                "3000",
            ])
            .json();
        assert_eq!(response["status"], status, "{response}");
        assert_eq!(
            changes(&before, &host.state()),
            Vec::<String>::new(),
            "{attack}"
        );
    }
    host.verified();
}

/// The same claim against the gateway's own files: ledger, registry, keys, the stored code of the plugin itself and of
/// another one.
#[test]
fn inv_pnp_02_the_gateways_own_files_are_out_of_reach() {
    for link in [Link::Static, Link::Dynamic] {
        let jail = Jail::native(link);
        let host = jail.host();
        let other = host.install(&Package::native(
            "p.other.plugin",
            &poison::program(Link::Static),
        ));
        let state = host.state();
        let targets: Vec<PathBuf> = sight(&state)
            .into_keys()
            .filter(|path| path.is_file())
            .collect();
        for part in ["ledger/seg", "store/packages", "store/manifests"] {
            assert!(
                targets
                    .iter()
                    .any(|path| path.starts_with(state.join(part))),
                "no file below {part}"
            );
        }
        let keys = [host.key(), host.public_key()];
        for victim in targets.iter().chain(&keys) {
            check_file(&jail, victim, &state);
        }
        host.verified();
        let response = host.ask(&other, " attack=no_newline name=other ");
        assert_eq!(response["status"], "ok", "{response}");
    }
}

/// Tries every attack on a file: on a copy without the gateway, where it works, and on the file itself from inside.
fn check_file(jail: &Jail, victim: &Path, state: &Path) {
    for attack in ON_A_FILE {
        let copies = TempDir::new().unwrap();
        let copy = copies.path().join("copy");
        // A checkpoint gives way to a newer one while the attacks go on; the newer one's turn is in another round.
        match fs::copy(victim, &copy) {
            Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => return,
            copied => assert!(copied.is_ok(), "{copied:?}"),
        }
        // An empty file cannot be mapped, and cannot be made emptier.
        let empty = fs::metadata(&copy).unwrap().len() == 0;
        if empty && matches!(attack, "map_victim" | "truncate_victim") {
            continue;
        }
        open_to_everyone(&copy, copies.path());
        let words = |path: &Path| format!(" attack={attack} victim={} ", path.display());
        let outside = jail.plainly(copies.path(), &words(&copy));
        assert!(done(&outside), "{attack} does not work outside: {outside}");
        assert_ne!(
            fs::metadata(&copy)
                .ok()
                .map(|found| found.mode())
                .zip(fs::read(&copy).ok()),
            Some(fs::metadata(victim).unwrap().mode() & !0o777 | 0o666).zip(fs::read(victim).ok()),
            "{attack} left nothing to see"
        );
        let before = sight(state);
        let inside = jail.ask(&words(victim));
        assert!(
            !done(&inside),
            "GOT THROUGH to {}: {inside}",
            victim.display()
        );
        assert_eq!(
            changes(&before, state),
            Vec::<String>::new(),
            "{attack} on {}",
            victim.display()
        );
    }
}

/// "it cannot see, change, signal … anything around it": another plugin that runs at the same time, under the same
/// gateway, does not notice.
#[test]
fn inv_pnp_08_two_plugins_at_once_do_not_reach_each_other() {
    const REACHING: [&str; 14] = [
        "kill_sibling",
        "stop_sibling",
        "tgkill_sibling",
        "tkill_sibling",
        "queue_signal",
        "signal_by_descriptor",
        "take_descriptor",
        "trace_sibling",
        "read_memory",
        "write_memory",
        "limit_sibling",
        "slow_sibling",
        "own_signal_by_pipe",
        "locks_of_sibling",
    ];
    /// Works on until the test has tried everything, which it learns by the clock alone; then it answers.
    const WORKER: &str = "#include <sys/prctl.h>
        int main(void) { read_line(); prctl(PR_SET_NAME, \"co-worker\"); sleep(4); answer(\"{\\\"alive\\\":true}\"); return 0; }";
    let host = Host::new();
    let longer = |manifest: &mut Value| manifest["limits"]["max_ms"] = json!(60_000);
    let worker = host
        .install(&Package::native("p.co.worker", &program::c(WORKER, Link::Static)).with(longer));
    for link in [Link::Static, Link::Dynamic] {
        let id = if link == Link::Static {
            "p.attack.static"
        } else {
            "p.attack.dynamic"
        };
        host.install(&Package::native(id, &attacks::program(link)).with(longer));
        let gateway = library::open(&host);
        let ask = |id: &str, words: &str| {
            let call = with(request(text(words)), "/policy/timeout_ms", json!(60_000));
            library::call(&gateway, id, &call)
        };
        std::thread::scope(|scope| {
            let working = scope.spawn(|| ask(&worker, "work"));
            let pid = pid_of("co-worker");
            for attack in REACHING {
                let answered = ask(id, &format!(" attack={attack} sibling={pid} "));
                assert!(
                    !done(&answered.response),
                    "GOT THROUGH: {attack}: {answered:?}"
                );
            }
            let still = processes::running_as("co-worker").contains(&pid);
            assert!(
                still,
                "the worker ended before everything was tried: nothing is shown"
            );
            let answered = working.join().unwrap();
            assert_eq!(answered.status(), "ok", "{answered:?}");
            assert_eq!(answered.response["result"]["data"]["alive"], true);
        });
    }
    host.verified();
}

fn pid_of(name: &str) -> u32 {
    let since = Instant::now();
    loop {
        if let Some(&pid) = processes::running_as(name).first() {
            return pid;
        }
        assert!(since.elapsed() < STUCK, "no process is called {name}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// "results are data only": an answer that speaks of deeds is handed over as it is, and nobody does them.
#[test]
fn inv_pnp_02_an_answer_that_asks_for_deeds_is_only_data() {
    let mut scene = Scene::new();
    let victim = scene.folder().join("victim");
    let new = scene.folder().join("new");
    let deeds = json!({
        "actions": [{"type": "write_file", "path": victim, "content": "changed"}],
        "exec": ["/bin/sh", "-c", format!("touch {}", new.display())],
        "shell": format!("$(touch {0}) `touch {0}` ; touch {0}", new.display()),
        "include": "../../../../etc/passwd",
        "url": "http://127.0.0.1:1/",
        "__proto__": {"enabled": true},
        "template": "{{constructor}} ${7*7} %s %n",
        "plugin": {"enable": "p.other.plugin", "trust": "add"}
    });
    let answer = json!({"kind": "json", "schema_ref": "any/1", "data": deeds});
    let response = tell(
        &Host::new(),
        &json!({"status": "ok", "result": answer, "notes": "enable p.other.plugin"}),
    );
    assert_eq!(response["status"], "ok", "{response}");
    assert_eq!(response["result"]["data"], deeds);
    assert_eq!(scene.harm(), None);
}

/// "any `plugin_id`, `evidence_hashes`, `duration_ms` in it are ignored": a plugin cannot speak for the gateway.
#[test]
fn inv_pnp_02_a_plugin_cannot_speak_for_the_gateway() {
    let host = Host::new();
    let lie = "f".repeat(64);
    let result = json!({"kind": "json", "schema_ref": "any/1", "data": {}});
    let response = tell(
        &host,
        &json!({
            "status": "ok", "result": result, "notes": "", "plugin_id": "p.somebody.else", "duration_ms": 0,
            "evidence_hashes": {"input_hash": lie, "output_hash": lie}
        }),
    );
    assert_eq!(response["status"], "ok", "{response}");
    assert_eq!(response["plugin_id"], "p.tell.all");
    assert_eq!(
        response["evidence_hashes"]["output_hash"],
        campaigns::canonical::hash(&result)
    );
    let events = host.events();
    assert!(!json!(events).to_string().contains(&lie));
    assert!(
        events
            .iter()
            .all(|event| event["plugin_id"] != "p.somebody.else")
    );
}

/// A plugin's words are shown to people; they must not steer their terminals.
#[test]
fn inv_pnp_02_a_plugins_words_do_not_steer_a_terminal() {
    let host = Host::new();
    let escape = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\r";
    let result = json!({"kind": "json", "schema_ref": "any/1", "data": {"text": escape}});
    let id = install_teller(
        &host,
        &json!({"status": "ok", "result": result, "notes": escape}),
        escape,
    );
    for arguments in [
        &["invoke", &id, "--text", "x"][..],
        &["-v", "invoke", &id, "--text", "x"],
    ] {
        let said = host.say(arguments.iter().copied()).expect(0);
        for stream in [&said.stdout, &said.stderr] {
            let steering = stream
                .chars()
                .find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
            assert_eq!(steering, None, "{stream:?}");
        }
    }
}

/// What comes of a plugin that gives `answer`.
fn tell(host: &Host, answer: &Value) -> Value {
    let id = install_teller(host, answer, "");
    host.ask(&id, "speak")
}

fn install_teller(host: &Host, answer: &Value, on_stderr: &str) -> String {
    let literal = |text: &str| {
        text.bytes()
            .map(|byte| format!("\\x{byte:02x}\"\""))
            .collect::<String>()
    };
    let members = answer.to_string();
    let members = members.strip_prefix('{').unwrap();
    let body = format!(
        r#"int main(void) {{
            read_line();
            static char out[1 << 16];
            fputs("{}", stderr);
            strcpy(out, "{{\"type\":\"result\",\"response\":{{\"request_id\":");
            strcat(out, string_token("request_id"));
            strcat(out, ",");
            strcat(out, "{}");
            strcat(out, "}}\n");
            for (size_t done = 0, length = strlen(out); done < length;) done += write(1, out + done, length - done);
            return 0;
        }}"#,
        literal(on_stderr),
        literal(members)
    );
    host.install(&Package::native(
        "p.tell.all",
        &program::c(&body, Link::Static),
    ))
}
