//! T2: the same input gives the same hashes, run after run, gateway after gateway, in any language; and a plugin is shown
//! the same world each time. Not claimed: the clock, random bytes and where memory lies, which differ in every process.

use std::collections::BTreeSet;
use std::process::Command;

use campaigns::canonical::hash;
use campaigns::command::{binary, finish};
use campaigns::program::{self, Link};
use campaigns::request::{request, text, with};
use campaigns::{Host, Package, library, skip};
use serde_json::{Value, json};

const WORDS: &str = "Grüße, 日本 — the same words each time";

/// How often one input is given.
const RUNS: usize = 100;

/// Computes a sum over the request's text, byte by byte.
const SUM_IN_C: &str = r#"
int main(void) {
    read_line();
    const char *text = string_token("content");
    unsigned long sum = 5381, length = 0;
    for (const char *at = text + 1; at[1]; at++, length++) sum = (sum * 33 + (unsigned char)*at) % 1000003;
    char data[128];
    snprintf(data, sizeof data, "{\"sum\": %lu , \"length\":%lu,\"a\\u0062c\":\"\\u00e9\"}", sum, length);
    answer(data);
    return 0;
}"#;

/// The same sum; its answer spells keys and letters in other ways and another order.
const SUM_IN_PYTHON: &str = r#"
import json, sys
request = json.loads(sys.stdin.readline())["request"]
total, content = 5381, request["payload"]["content"].encode()
for byte in content:
    total = (total * 33 + byte) % 1000003
data = {"length": len(content), "abc": "é", "sum": total}
result = {"data": data, "schema_ref": "any/1", "kind": "json"}
response = {"status": "ok", "result": result, "request_id": request["request_id"]}
print(json.dumps({"response": response, "type": "result"}, indent=None))
"#;

const SUM_IN_NODE: &str = r#"
const { request } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
const content = Buffer.from(request.payload.content);
let sum = 5381;
for (const byte of content) sum = (sum * 33 + byte) % 1000003;
const result = { kind: 'json', data: { abc: 'é', sum, length: content.length }, schema_ref: 'any/1' };
console.log(JSON.stringify({ type: 'result', response: { request_id: request.request_id, status: 'ok', result, notes: '' } }));
"#;

/// Says all that a program can find out about where it runs without opening anything.
const LOOK_AROUND: &str = r#"
#include <sys/prctl.h>
#include <sys/utsname.h>
extern char **environ;
int main(int argc, char **argv) {
    read_line();
    static char data[8192], folder[256];
    char *at = data;
    int variables = 0, open_ = 0;
    while (environ && environ[variables]) variables++;
    for (int fd = 0; fd < 1024; fd++) open_ += fcntl(fd, F_GETFD) >= 0;
    sigset_t blocked;
    sigprocmask(SIG_BLOCK, 0, &blocked);
    unsigned long ignored = 0, masked = 0;
    for (int number = 1; number < 32; number++) {
        struct sigaction action;
        if (!sigaction(number, 0, &action) && action.sa_handler == SIG_IGN) ignored |= 1UL << number;
        if (sigismember(&blocked, number) == 1) masked |= 1UL << number;
    }
    at += sprintf(at, "{\"variables\":%d,\"open\":%d,\"ignored\":%lu,\"blocked\":%lu,", variables, open_, ignored, masked);
    at += sprintf(at, "\"arguments\":%d,\"name\":\"%s\",\"folder\":\"%s\",", argc, argv[0], getcwd(folder, sizeof folder) ? folder : "none");
    at += sprintf(at, "\"user\":%d,\"group\":%d,\"groups\":%d,", getuid(), getgid(), getgroups(0, 0));
    at += sprintf(at, "\"process\":%d,\"parent\":%d,\"session\":%d,", getpid(), getppid(), getsid(0));
    at += sprintf(at, "\"mask\":%o,\"nice\":%d,\"dumpable\":%d,", umask(0), getpriority(PRIO_PROCESS, 0), prctl(PR_GET_DUMPABLE));
    for (int kind = 0; kind < 3; kind++) {
        struct stat found;
        fstat(kind, &found);
        at += sprintf(at, "\"stream%d\":\"%o\",", kind, found.st_mode & S_IFMT);
    }
    for (int limit = 0; limit < 16; limit++) {
        struct rlimit value;
        if (getrlimit(limit, &value)) continue;
        at += sprintf(at, "\"limit%d\":\"%lu %lu\",", limit, value.rlim_cur, value.rlim_max);
    }
    at[-1] = '}';
    answer(data);
    return 0;
}"#;

fn sum_package(link: Link) -> Package {
    Package::native("p.sum.native", &program::c(SUM_IN_C, link))
}

/// "same input, same hash": `input_hash` and `output_hash` "= SHA-256 of the canonical payload … result", computed here again.
#[test]
fn inv_pnp_03_a_hundred_runs_give_one_hash() {
    let host = Host::new();
    let id = host.install(&sum_package(Link::Static));
    let gateway = library::open(&host);
    let mut seen = BTreeSet::new();
    for run in 0..RUNS {
        let call = with(
            request(text(WORDS)),
            "/request_id",
            json!(format!("request-{run}")),
        );
        let answered = library::call(&gateway, &id, &call);
        assert_eq!(answered.status(), "ok", "{answered:?}");
        let hashes = &answered.response["evidence_hashes"];
        assert_eq!(hashes["input_hash"], hash(&text(WORDS)));
        assert_eq!(hashes["output_hash"], hash(&answered.response["result"]));
        assert_eq!(answered.event["input_hash"], hashes["input_hash"]);
        assert_eq!(answered.event["output_hash"], hashes["output_hash"]);
        seen.insert(hashes.to_string());
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
    let other = library::call(&gateway, &id, &request(text("other words")));
    assert!(!seen.contains(&other.response["evidence_hashes"].to_string()));
}

/// The same, with a gateway started anew for each call, and with two states that know nothing of each other.
#[test]
fn inv_pnp_03_restarted_and_separate_gateways_give_one_hash() {
    const RESTARTS: usize = 5;
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        let host = Host::new();
        let id = host.install(&sum_package(Link::Static));
        for _ in 0..RESTARTS {
            let response = host.ask(&id, WORDS);
            assert_eq!(response["status"], "ok", "{response}");
            seen.insert(response["evidence_hashes"].to_string());
        }
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

/// "Canonical JSON is RFC 8785 (JCS) everywhere": languages that spell the same result differently give one hash.
#[test]
fn inv_pnp_03_languages_that_compute_the_same_give_one_hash() {
    let host = Host::new();
    let mut packages = vec![
        ("C, static", sum_package(Link::Static)),
        (
            "C, dynamic",
            Package::native("p.sum.dynamic", &program::c(SUM_IN_C, Link::Dynamic)),
        ),
    ];
    for (runtime, id, script) in [
        ("python3", "p.sum.python", SUM_IN_PYTHON),
        ("node", "p.sum.node", SUM_IN_NODE),
    ] {
        if Command::new(runtime)
            .arg("--version")
            .output()
            .is_ok_and(|said| said.status.success())
        {
            packages.push((runtime, Package::script(id, runtime, script)));
        } else {
            skip(&format!("{runtime} does not run for this user"));
        }
    }
    let mut seen = BTreeSet::new();
    for (language, package) in packages {
        let id = host.install(&package);
        let response = host.ask(&id, WORDS);
        assert_eq!(response["status"], "ok", "{language}: {response}");
        seen.insert(response["evidence_hashes"].to_string());
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

/// `input_hash` is of the canonical payload: order of keys and spelling of letters in the request do not count.
#[test]
fn inv_pnp_03_spelling_of_the_request_does_not_count() {
    let host = Host::new();
    let id = host.install(&sum_package(Link::Static));
    let file = host.folder().join("payload.json");
    let mut seen = BTreeSet::new();
    for spelling in [
        r#"{"kind":"text","content":"é/\n","encoding":"utf-8","metadata":{"a":"1","b":"2"}}"#,
        r#" { "metadata" : { "b":"2", "a":"1" }, "encoding":"utf-8", "content":"\u00e9\/\u000a", "\u006bind":"text" } "#,
    ] {
        std::fs::write(&file, spelling).unwrap();
        let response = host
            .say(["--json", "invoke", &id, "--input", file.to_str().unwrap()])
            .json();
        assert_eq!(response["status"], "ok", "{response}");
        seen.insert(response["evidence_hashes"].to_string());
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

/// Surroundings that a gateway may be started in, as a shell makes them.
const SURROUNDINGS: [&str; 5] = [
    "",
    "export SECRET=1 LD_PRELOAD_OF_MINE=x; cd /",
    "cd /tmp; trap '' PIPE INT HUP USR1 CHLD",
    "ulimit -S -n 128; ulimit -S -c 0; exec 7</dev/null 8>/dev/null",
    "ulimit -S -s 1024; ulimit -S -t 600; exec 9<&0; cd ..",
];

/// What a plugin sees when the gateway is started in each of the surroundings.
fn worlds(host: &Host, link: Link, surroundings: &[&str]) -> Vec<Value> {
    let package = Package::native("p.look.around", &program::c(LOOK_AROUND, link));
    let id = host.install(&package);
    let look = |around: &&str| {
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(format!("{around}\nexec \"$@\""))
            .arg("sh")
            .arg(binary());
        shell
            .arg("--state")
            .arg(host.state())
            .args(["--json", "invoke", &id, "--text", WORDS]);
        let response = finish(shell, b"").json();
        assert_eq!(response["status"], "ok", "{around}: {response}");
        response["result"]["data"].clone()
    };
    surroundings.iter().map(look).collect()
}

/// "The gateway starts the plugin with an **empty environment**, an empty working directory, stdin, stdout, stderr, and
/// nothing else": whatever the gateway's own environment, folder, limits and descriptors are.
#[test]
fn inv_pnp_03_a_plugin_is_shown_the_same_world_each_time() {
    for link in [Link::Static, Link::Dynamic] {
        let host = Host::new();
        let mut worlds = worlds(&host, link, &SURROUNDINGS);
        for world in &mut worlds {
            let members = world.as_object_mut().unwrap();
            // These have a test of their own.
            members.remove("mask");
            members.remove("ignored");
            // As root, one of the pool's: which one depends on what else runs.
            members.remove("user");
            members.remove("group");
        }
        let first = &worlds[0];
        assert!(worlds.iter().all(|world| world == first), "{worlds:#?}");
        for (what, value) in [
            ("variables", json!(0)),
            ("open", json!(3)),
            ("blocked", json!(0)),
            ("arguments", json!(1)),
            ("groups", json!(0)),
        ] {
            // An ordinary user cannot give up groups in a user namespace: there they are nobody's.
            if what != "groups" || rustix::process::geteuid().is_root() {
                assert_eq!(first[what], value, "{what} of {first}");
            }
        }
        assert_ne!(first["user"], 0, "{first}");
        let own_folder = host.folder().display().to_string();
        assert!(!first.to_string().contains(&own_folder), "{first}");
    }
}

/// "and nothing else": the mask for new files and the signals that are ignored come from whoever started the gateway
/// unless they are set. A strict mask must not keep plugins from starting either.
#[test]
fn inv_pnp_03_the_file_mask_and_ignored_signals_are_not_inherited() {
    const AROUND: [&str; 4] = ["", "umask 0", "umask 077", "trap '' INT HUP USR1"];
    for link in [Link::Static, Link::Dynamic] {
        let host = Host::new();
        let worlds = worlds(&host, link, &AROUND);
        let masks: Vec<&Value> = worlds.iter().map(|world| &world["mask"]).collect();
        assert!(masks.iter().all(|mask| *mask == masks[0]), "{masks:?}");
        let ignored: Vec<&Value> = worlds.iter().map(|world| &world["ignored"]).collect();
        assert!(ignored.iter().all(|set| **set == 0), "{ignored:?}");
    }
}
