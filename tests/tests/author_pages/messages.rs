//! The messages that the page for authors lists: each is provoked, in the page's order, and says what the page says it does.

use std::fs;
use std::process::Command;

use campaigns::answers::{crashing, prompt};
use campaigns::channel::invoke;
use campaigns::command::{Said, binary, finish};
use campaigns::{Channel, Host, Package, skip};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::page::{quoted, rows, text_of};
use crate::reader::has;

/// How a message is provoked.
#[derive(Clone, Copy)]
enum Mistake {
    /// A plugin in Python, in whose answer `DATA` stands.
    Script(&'static str),
    /// The same with limits of its own.
    Limited(&'static str, &'static str),
    /// The same with a schema for its answer.
    Typed(&'static str, &'static str),
    /// What an operator does with a plugin.
    Verbs(fn(&Host) -> Said),
}

use Mistake::{Limited, Script, Typed, Verbs};

/// The page's messages with a mistake that leads to each.
const MISTAKES: [(&str, Mistake); 15] = [
    (
        "wrote more than one line on stdout",
        Script("print('loading')\nanswer({})"),
    ),
    (
        "exited with code 0 and gave no answer",
        Script("sys.exit()"),
    ),
    ("is not in the package", Script("import no_such_module")),
    (
        "raise limits.max_memory_bytes",
        Limited("bytearray(1 << 30)", r#"{"max_memory_bytes": 67108864}"#),
    ),
    (
        "used up its processor time",
        Limited(
            "while True: pass",
            r#"{"max_cpu_ms": 100, "max_ms": 60000}"#,
        ),
    ),
    (
        "the plugin was killed after",
        Limited("import time\ntime.sleep(60)", r#"{"max_ms": 3000}"#),
    ),
    (
        "is not in the plugin's io.outputs",
        Script("answer({}, 'other/1')"),
    ),
    (
        "does not follow its schema",
        Typed("answer({})", r#"{"type": "object", "required": ["words"]}"#),
    ),
    ("beyond ±(2^53−1)", Script("answer({'id': 2 ** 60})")),
    (
        "violation",
        Script("import ctypes\nctypes.CDLL(None).ptrace(0, 0, 0, 0)\nanswer({})"),
    ),
    (
        "has no signature",
        Verbs(|host| register(host, &host.lay_out(&prompt("p.test.bare")))),
    ),
    ("signed by the untrusted key", Verbs(untrusted)),
    ("its files changed since it was signed", Verbs(changed)),
    ("Plugin already registered", Verbs(twice)),
    ("circuit open", Verbs(failing)),
];

/// What the scripts begin with.
const BEGIN: &str = r#"import json, sys
request = json.loads(sys.stdin.readline())["request"]
def answer(data, schema_ref="any/1"):
    result = {"kind": "json", "schema_ref": schema_ref, "data": data}
    print(json.dumps({"type": "result", "response": {"request_id": request["request_id"], "status": "ok", "result": result}}))
"#;

fn script(body: &str) -> Package {
    Package::script("p.test.mistake", "python3", &format!("{BEGIN}{body}\n"))
}

fn run(package: &Package) -> Said {
    let folder = TempDir::new().unwrap();
    package.write(folder.path());
    let mut command = Command::new(binary());
    command.arg("run").arg(folder.path()).args(["--text", "x"]);
    finish(command, b"")
}

fn register(host: &Host, folder: &std::path::Path) -> Said {
    host.say(["register", folder.to_str().unwrap()])
}

fn untrusted(host: &Host) -> Said {
    let vendor = Host::new();
    register(host, &vendor.signed(&prompt("p.test.foreign")))
}

fn changed(host: &Host) -> Said {
    let folder = host.signed(&prompt("p.test.changed"));
    fs::write(folder.join("more.txt"), "more").unwrap();
    register(host, &folder)
}

fn twice(host: &Host) -> Said {
    let folder = host.signed(&prompt("p.test.twice"));
    register(host, &folder).expect(0);
    register(host, &folder)
}

/// Only a gateway that serves remembers how often a plugin failed.
fn failing(host: &Host) -> Said {
    let id = host.install(&crashing("p.test.failing"));
    let mut channel = Channel::open(host);
    let mut ask = || channel.call("invoke", invoke(&id, "x", 20_000))["notes"].to_string();
    // The default of `circuit.failures`, and the call that is refused.
    let last = (0..=10).map(|_| ask()).last();
    channel.close();
    channel.ended();
    Said {
        code: 1,
        stdout: last.unwrap(),
        stderr: String::new(),
    }
}

fn provoke(mistake: Mistake, host: &Host) -> Said {
    let limits = |limits: &str| serde_json::from_str::<Value>(limits).unwrap();
    match mistake {
        Script(body) => run(&script(body)),
        Limited(body, own) => run(&script(body).with(|manifest| manifest["limits"] = limits(own))),
        Typed(body, schema) => {
            let package = script(body).file("any.json", schema.as_bytes(), 0o644);
            run(&package.with(|manifest| manifest["schemas"] = json!({ "any/1": "any.json" })))
        }
        Verbs(verbs) => verbs(host),
    }
}

#[test]
fn inv_pnp_10_each_message_of_the_page_is_said() {
    let text = text_of("authors.md");
    let rows = rows(&text, "What it says, and what to do");
    let listed: Vec<&str> = rows.iter().map(|row| quoted(row[0])).collect();
    assert_eq!(listed, MISTAKES.map(|(message, _)| message));
    if !has("python3") {
        return skip("python3 is not installed");
    }
    let host = Host::new();
    for (message, mistake) in MISTAKES {
        let said = provoke(mistake, &host);
        let words = format!("{}{}", said.stdout, said.stderr);
        assert!(
            said.code != 0 && words.contains(message),
            "{message}: {said:?}"
        );
    }
}
