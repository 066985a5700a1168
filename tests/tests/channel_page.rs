//! CHANNEL.md's examples, which are one conversation, held with a real gateway; and openrpc.json held against both.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use campaigns::answers::slow;
use campaigns::channel::Channel;
use campaigns::command::{Host, binary, finish, sample};
use campaigns::skip;
use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use serde_json::{Value, json};

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap()
}

/// The examples: each block's door, and its lines.
fn blocks(page: &str) -> Vec<(&str, Vec<&str>)> {
    let starts = page.split("\n```jsonrpc ").skip(1);
    starts
        .map(|rest| {
            let mut lines = rest.lines();
            let door = lines.next().unwrap();
            (door, lines.take_while(|line| *line != "```").collect())
        })
        .collect()
}

/// Whether `found` is what the page shows: `"…"` is any value, and `…` inside a text any text.
fn fits(shown: &Value, found: &Value) -> bool {
    match (shown, found) {
        (Value::String(shown), _) if shown == "…" => true,
        (Value::String(shown), Value::String(found)) => text_fits(shown, found),
        (Value::Array(shown), Value::Array(found)) => {
            shown.len() == found.len() && shown.iter().zip(found).all(|(a, b)| fits(a, b))
        }
        (Value::Object(shown), Value::Object(found)) => {
            shown.len() == found.len()
                && shown
                    .iter()
                    .all(|(name, a)| found.get(name).is_some_and(|b| fits(a, b)))
        }
        _ => shown == found,
    }
}

fn text_fits(shown: &str, found: &str) -> bool {
    match shown.split_once('…') {
        None => shown == found,
        Some((before, after)) => found.strip_prefix(before).is_some_and(|rest| {
            let mut ends = (0..=rest.len()).filter(|at| rest.is_char_boundary(*at));
            ends.any(|at| text_fits(after, &rest[at..]))
        }),
    }
}

/// One connection of the conversation.
struct Line {
    to: Box<dyn Write>,
    from: Box<dyn BufRead>,
    /// What came and is not on the page yet: answers to different calls may come in any order.
    early: Vec<Value>,
}

impl Line {
    fn socket(host: &Host) -> Self {
        let stream = UnixStream::connect(host.state().join("control.sock")).unwrap();
        Self {
            to: Box::new(stream.try_clone().unwrap()),
            from: Box::new(BufReader::new(stream)),
            early: Vec::new(),
        }
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("no answer ({error}): {line:?}"))
    }

    /// Waits for the line with the id, or the notification, that the page shows next.
    fn find(&mut self, shown: &Value) -> Value {
        let same = |found: &Value| {
            found.get("id") == shown.get("id") && found.get("method") == shown.get("method")
        };
        loop {
            if let Some(at) = self.early.iter().position(same) {
                return self.early.remove(at);
            }
            let next = self.next();
            self.early.push(next);
        }
    }
}

/// openrpc.json, with the schemas that it names beside it put in.
fn openrpc() -> Value {
    let mut document: Value = serde_json::from_str(&read("plugin-protocol/openrpc.json")).unwrap();
    let schemas = document["components"]["schemas"].as_object_mut().unwrap();
    for schema in schemas.values_mut() {
        let file = schema["$ref"].as_str().map(str::to_owned);
        if let Some(file) = file.filter(|file| file.starts_with("schemas/")) {
            *schema = serde_json::from_str(&read(&format!("plugin-protocol/{file}"))).unwrap();
        }
    }
    document
}

/// Asserts that `value` is, or is not, what `schema` of the document says.
#[track_caller]
fn check(document: &Value, schema: &Value, value: &Value, holds: bool) {
    // Where a schema is looked for inside a schema: one with a name of its own is found only there.
    let whole = json!({ "$defs": document["components"]["schemas"], "allOf": [schema] });
    let whole = whole
        .to_string()
        .replace("#/components/schemas/", "#/$defs/");
    let whole = serde_json::from_str(&whole).unwrap();
    let validator = jsonschema::validator_for(&whole).unwrap();
    let said = validator.validate(value).map_err(|error| error.to_string());
    assert_eq!(said.is_ok(), holds, "{value}: {said:?}");
}

fn method<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    let mut methods = document["methods"].as_array().unwrap().iter();
    methods.find(|method| method["name"] == name)
}

/// A method's params as one schema of an object.
fn params_schema(method: &Value) -> Value {
    let params = method["params"].as_array().unwrap();
    let names = |required: bool| {
        params
            .iter()
            .filter(move |param| !required || param["required"] == true)
    };
    let properties: HashMap<_, _> = names(false)
        .map(|param| (param["name"].as_str().unwrap(), &param["schema"]))
        .collect();
    let required: Vec<_> = names(true).map(|param| &param["name"]).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// Holds one exchange of the page against openrpc.json: what was sent, and what came.
fn check_exchange(document: &Value, sent: Option<&Value>, came: &Value) {
    let Some(call) = sent else { return };
    let Some(method) = method(document, call["method"].as_str().unwrap()) else {
        panic!("openrpc.json has no method {}", call["method"]);
    };
    let params = call.get("params").cloned().unwrap_or_else(|| json!({}));
    let misread = came["error"]["message"]
        .as_str()
        .is_some_and(|words| words.starts_with("params"));
    check(document, &params_schema(method), &params, !misread);
    if let Some(result) = came.get("result") {
        check(document, &method["result"]["schema"], result, true);
    } else if came["error"]["code"] != -32_601 {
        let errors = method["errors"].as_array().unwrap().iter();
        let mut codes = errors.map(|error| {
            let pointer = error["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
            &document.pointer(pointer).unwrap()["code"]
        });
        assert!(
            codes.any(|code| *code == came["error"]["code"]),
            "{call}: {came}"
        );
    }
}

/// Lays out what the page says was there before.
fn lay_out(host: &Host) {
    host.install(&slow("p.example.slow", 50_000));
    let packages = host.folder().join("packages");
    fs::create_dir(&packages).unwrap();
    for name in ["hello", "unsigned"] {
        let mut copy = Command::new("cp");
        copy.arg("-r")
            .arg(sample("hello-sh"))
            .arg(packages.join(name));
        finish(copy, b"").expect(0);
    }
    host.sign(&packages.join("hello"));
    let manifest = packages.join("unsigned/plugin.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(manifest, text.replace("p.hello.sh", "p.hello.unsigned")).unwrap();
}

/// Plays one block, and gives the codes of the errors that came.
fn play(document: &Value, line: &mut Line, said: &[&str]) -> Vec<i64> {
    let (mut calls, mut codes) = (HashMap::new(), Vec::new());
    for shown in said {
        if let Some(message) = shown.strip_prefix("-->") {
            let message = message.strip_prefix(' ').unwrap_or(message);
            writeln!(line.to, "{message}").unwrap();
            line.to.flush().unwrap();
            if let Ok(call @ Value::Object(_)) = serde_json::from_str::<Value>(message) {
                calls.insert(call["id"].to_string(), call);
            }
            continue;
        }
        let shown: Value = serde_json::from_str(shown.strip_prefix("<-- ").unwrap()).unwrap();
        let came = line.find(&shown);
        assert!(
            fits(&shown, &came),
            "the page shows {shown}\nand there came {came}"
        );
        if let Some(name) = came.get("method") {
            let notes = document["x-notifications"].as_array().unwrap();
            let note = notes.iter().find(|note| note["name"] == *name).unwrap();
            check(document, &note["schema"], &came["params"], true);
        }
        check_exchange(document, calls.get(&came["id"].to_string()), &came);
        codes.extend(came["error"]["code"].as_i64());
    }
    codes
}

/// "Every method of the channel, its params, result and errors stand in one page that a host in any language can be written from."
#[test]
fn inv_pnp_01_the_page_is_one_conversation_with_a_real_gateway() {
    let (page, document, host) = (read("plugin-protocol/CHANNEL.md"), openrpc(), Host::new());
    lay_out(&host);
    host.alone();
    let mut command = host.command();
    command.arg("serve").current_dir(host.folder());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut gateway = command.stderr(Stdio::null()).spawn().unwrap();
    let mut owner = Line {
        to: Box::new(gateway.stdin.take().unwrap()),
        from: Box::new(BufReader::new(gateway.stdout.take().unwrap())),
        early: Vec::new(),
    };
    let mut codes = BTreeSet::new();
    for (door, said) in blocks(&page) {
        codes.extend(match door {
            "host" => play(&document, &mut owner, &said),
            "socket" => play(&document, &mut Line::socket(&host), &said),
            "crowded" => {
                let _others: Vec<_> = (0..64).map(|_| Line::socket(&host)).collect();
                play(&document, &mut Line::socket(&host), &said)
            }
            "full-disk" => {
                // A full disk, as a writer sees it: no file may grow beyond what it has.
                let pid = Pid::from_raw(gateway.id().try_into().unwrap());
                let pid = rustix::process::Pid::from_raw(pid.as_raw());
                let bytes = fs::metadata(host.segment()).unwrap().len();
                let before = getrlimit(Resource::Fsize);
                let full = Rlimit {
                    current: Some(bytes),
                    ..before
                };
                prlimit(pid, Resource::Fsize, full).unwrap();
                let codes = play(&document, &mut owner, &said);
                prlimit(pid, Resource::Fsize, before).unwrap();
                codes
            }
            other => panic!("there is no door '{other}'"),
        });
    }
    drop(owner.to);
    assert_eq!(owner.early, Vec::<Value>::new());
    assert!(gateway.wait().unwrap().success());
    let every = [
        -32_700, -32_603, -32_602, -32_601, -32_600, -32_003, -32_002, -32_001,
    ];
    assert_eq!(codes, every.into(), "each code has an example");
    host.verified();
}

/// The names that the gateway itself matches, read from its source.
fn known_to_the_gateway() -> BTreeSet<String> {
    let (task, live) = (
        read("gateway/src/serve/task.rs"),
        read("gateway/src/operator/live.rs"),
    );
    let (_, body) = task.split_once("Ok(match method {").unwrap();
    let (body, _) = body.split_once("_ => {").unwrap();
    let arms = body
        .lines()
        .filter_map(|line| Some(line.trim().split_once("=>")?.0));
    let named = arms.filter_map(|arm| {
        let name = arm.split(" if ").next().unwrap().trim();
        if let Some(constant) = name.strip_prefix("methods::") {
            let (_, rest) = live.split_once(&format!("const {constant}: &str = \""))?;
            return Some(rest.split('"').next().unwrap().to_owned());
        }
        Some(name.strip_prefix('"')?.strip_suffix('"')?.to_owned())
    });
    named.collect()
}

#[test]
fn inv_pnp_01_the_page_and_openrpc_have_the_gateways_methods_and_no_other() {
    let (page, document) = (read("plugin-protocol/CHANNEL.md"), openrpc());
    let on_page: BTreeSet<String> = page
        .lines()
        .filter_map(|line| Some(line.strip_prefix("### `")?.strip_suffix('`')?.to_owned()))
        .collect();
    let methods = document["methods"].as_array().unwrap().iter();
    let in_document: BTreeSet<String> = methods
        .map(|method| method["name"].as_str().unwrap().to_owned())
        .collect();
    let known = known_to_the_gateway();
    assert!(known.contains("ping") && known.contains("operator.erase"));
    assert_eq!(on_page, known);
    assert_eq!(in_document, known);
    for name in &known {
        let sent = page.contains(&format!("\"method\":\"{name}\""));
        assert!(sent, "{name} has no example");
    }
}

/// What openrpc.json requires is required by the gateway, and what it does not know neither does.
#[test]
fn inv_pnp_10_the_gateway_requires_what_openrpc_requires() {
    let (document, host) = (openrpc(), Host::new());
    let mut channel = Channel::open(&host);
    let methods = document["methods"].as_array().unwrap().iter();
    for method in methods.filter(|method| method.get("x-door").is_none()) {
        let name = method["name"].as_str().unwrap();
        assert_eq!(
            channel.code(name, json!({ "nonsense": 1 })),
            -32_602,
            "{name}"
        );
        let params = method["params"].as_array().unwrap().iter();
        if params.into_iter().any(|param| param["required"] == true) {
            assert_eq!(channel.code(name, json!({})), -32_602, "{name}");
        }
    }
}

/// The host in Python does what the page says, and its proof holds.
#[test]
fn inv_pnp_07_a_host_in_python_gets_a_proof_that_verifies() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("python3 is not installed");
    }
    let host = Host::new();
    lay_out(&host);
    host.alone();
    let proof = host.folder().join("run.proof.json");
    let mut python = Command::new("python3");
    python
        .args(["-I", "-B"])
        .arg(project("gateway/examples/host.py"));
    python
        .arg(host.state())
        .arg(host.folder().join("packages/hello"))
        .arg(&proof);
    python.env("PLUGIN_GATEWAY", binary());
    let said = finish(python, b"").expect(0);
    assert!(said.stdout.starts_with("ok "), "{said:?}");
    assert!(said.stdout.contains("\"word_count\": 3"), "{said:?}");
    let mut verify = Command::new(binary());
    verify.args(["--json", "proof", "verify"]).arg(&proof);
    verify.arg("--key").arg(host.state().join("log.pub"));
    assert_eq!(finish(verify, b"").expect(0).json()["valid"], true);
    host.verified();
}
