//! T5: a plugin has the capabilities that it declared and that the contract knows, and the forbidden ones are impossible as well as refused.

use std::process::Command;

use campaigns::command::finish;
use campaigns::package::manifest;
use campaigns::program::{Link, c};
use campaigns::request::{data, request, text, with};
use campaigns::{Host, Package};
use plugin_gateway::Gateway;
use serde_json::{Value, json};

const FORBIDDEN: [&str; 4] = [
    "filesystem_access",
    "network_access",
    "process_spawn",
    "env_access",
];
const READS: [&str; 4] = ["text", "json", "binary_ref", "dataset_slice"];
const WRITES: [&str; 2] = ["write_suggestion", "write_report"];

fn validate(manifest: &Value) -> Value {
    serde_json::to_value(Gateway::validate_manifest(manifest.to_string().as_bytes())).unwrap()
}

/// The usual manifest with these capabilities, inputs of these kinds and that many outputs.
fn declaring(capabilities: &[&str], inputs: &[&str], outputs: usize) -> Value {
    let port =
        |kind: &str| json!({ "kind": kind, "schema_ref": "x/1", "limits": { "max_bytes": 1024 } });
    let manifest = with(
        manifest("p.test.capable", &["./program"]),
        "/capabilities",
        json!(capabilities),
    );
    let inputs: Vec<Value> = inputs.iter().map(|kind| port(kind)).collect();
    let manifest = with(manifest, "/io/inputs", json!(inputs));
    with(manifest, "/io/outputs", json!(vec![port("json"); outputs]))
}

/// The messages of the errors, each with its field.
fn errors(report: &Value) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let issues = report["issues"].as_array().unwrap().iter();
    issues
        .filter(|issue| issue["severity"] == "error")
        .map(|issue| (word(&issue["field"]), word(&issue["message"])))
        .collect()
}

/// "Forbidden, rejected by name with their own message (`Forbidden capability declared: …`): `filesystem_access`,
/// `network_access`, `process_spawn`, `env_access`."
#[test]
fn inv_pnp_06_each_forbidden_capability_is_refused_by_name() {
    for name in FORBIDDEN {
        for (capabilities, index) in [
            (vec![name], 0),
            (vec![name, "read_text", "write_report"], 0),
            (vec!["read_text", "write_report", name], 2),
        ] {
            let report = validate(&declaring(&capabilities, &["text"], 1));
            assert_eq!(report["valid"], false);
            let expected = format!("Forbidden capability declared: {name}");
            assert!(
                errors(&report).iter().any(|(field, message)| {
                    *field == format!("/capabilities/{index}") && message.contains(&expected)
                }),
                "{report}"
            );
        }
    }
    let report = validate(&declaring(&FORBIDDEN, &[], 0));
    assert_eq!(
        errors(&report).len(),
        4,
        "each is named, not the first alone: {report}"
    );
}

/// The same for a package that a trusted key signed: "recorded with status `rejected`", "can never be enabled". Exit code 1: "invalid".
#[test]
fn inv_pnp_06_no_signature_makes_a_forbidden_capability_good() {
    let host = Host::new();
    for name in FORBIDDEN {
        let id = format!("p.test.{}", name.replace('_', "-"));
        let package = Package::script(&id, "sh", "exit 1\n").with(|manifest| {
            manifest["capabilities"] = json!(["read_text", "write_report", name]);
        });
        let info = host.register(&host.signed(&package)).expect(1).json();
        assert_eq!(info["status"], "rejected");
        host.say(["enable", &id]).expect(3);
        assert_eq!(host.ask(&id, "x")["status"], "rejected");
        let shown = host.say(["--json", "show", &id]).expect(0).json();
        let reason = shown["reason"].as_str().unwrap();
        assert!(
            reason.contains("Forbidden capability declared") && reason.contains(name),
            "{reason}"
        );
    }
    assert!(host.events().iter().all(|event| event["kind"] != "INVOKE"));
}

/// "Allowed: `read_text`, `read_json`, `read_binary_ref`, `read_dataset_slice`, `write_suggestion`, `write_report`."
#[test]
fn inv_pnp_06_what_is_not_on_the_list_is_refused() {
    let all = [
        "read_text",
        "read_json",
        "read_binary_ref",
        "read_dataset_slice",
        "write_suggestion",
        "write_report",
    ];
    let report = validate(&declaring(&all, &READS, 1));
    assert_eq!(report["valid"], true, "{report}");
    for name in all {
        let report = validate(&declaring(&[name], &[], 0));
        assert_eq!(
            report["valid"], true,
            "{name} alone, without ports: {report}"
        );
    }
    for unknown in [
        "",
        "*",
        "all",
        "read",
        "read_",
        "read_file",
        "write_text",
        "Read_Text",
        "READ_TEXT",
        "read-text",
        " read_text",
        "read_text ",
        "read_text\n",
        "read_text\u{0}",
        "reаd_text",
        "write_*",
        "root",
        "exec",
    ] {
        let report = validate(&declaring(
            &["read_text", "write_report", unknown],
            &["text"],
            1,
        ));
        assert!(
            errors(&report)
                .iter()
                .any(|(field, _)| field == "/capabilities/2"),
            "{unknown:?}: {report}"
        );
    }
}

/// "`capabilities` | at least one, unique, from section 2"
#[test]
fn inv_pnp_06_capabilities_are_at_least_one_and_unique() {
    let report = validate(&declaring(&[], &[], 0));
    assert!(
        errors(&report)
            .iter()
            .any(|(field, _)| field == "/capabilities"),
        "{report}"
    );
    let report = validate(&declaring(
        &["read_text", "write_report", "read_text"],
        &["text"],
        1,
    ));
    assert!(
        errors(&report)
            .iter()
            .any(|(field, _)| field.starts_with("/capabilities")),
        "{report}"
    );
}

/// "each input kind needs `read_<kind>`"
#[test]
fn inv_pnp_06_each_input_kind_needs_its_own_capability() {
    for kind in READS {
        let own = format!("read_{kind}");
        let report = validate(&declaring(&[&own, "write_report"], &[kind], 1));
        assert_eq!(report["valid"], true, "{kind}: {report}");
        let others: Vec<String> = READS
            .iter()
            .map(|kind| format!("read_{kind}"))
            .filter(|name| *name != own)
            .collect();
        let mut others: Vec<&str> = others.iter().map(String::as_str).collect();
        others.extend(WRITES);
        let report = validate(&declaring(&others, &[kind], 1));
        assert!(
            errors(&report).iter().any(|(field, message)| {
                field == "/io/inputs/0/kind"
                    && message.contains("requires capability")
                    && message.contains(&own)
            }),
            "{kind}: {report}"
        );
    }
}

/// "an output needs `write_suggestion` or `write_report` when any output is declared"
#[test]
fn inv_pnp_06_an_output_needs_one_of_the_two_that_write() {
    for write in WRITES {
        let report = validate(&declaring(&["read_text", write], &["text"], 1));
        assert_eq!(report["valid"], true, "{write}: {report}");
    }
    let report = validate(&declaring(&["read_text"], &["text"], 1));
    assert!(
        errors(&report).iter().any(|(field, message)| {
            field.starts_with("/io/outputs") && message.contains("requires capability")
        }),
        "{report}"
    );
    let report = validate(&declaring(&["read_text"], &["text"], 0));
    assert_eq!(report["valid"], true, "no output, nothing needed: {report}");
}

/// "kind not declared in `io.outputs`": "`rejected`". A capability alone opens nothing: what counts at a call is what `io` declares.
#[test]
fn inv_pnp_06_a_capability_without_its_port_lets_nothing_through() {
    let host = Host::new();
    let package = campaigns::parrot::package("p.test.narrow").with(|manifest| {
        manifest["capabilities"] =
            json!(["read_text", "read_json", "write_report", "write_suggestion"]);
        manifest["io"]["outputs"] = json!([]);
    });
    let id = host.install(&package);
    let said = host.invoke(&id, &data("any/1", json!({}))).expect(1).json();
    assert_eq!(said["status"], "rejected", "{said}");
    assert!(said["notes"].as_str().unwrap().contains("Invalid request"));
    assert!(host.events().iter().all(|event| event["kind"] != "INVOKE"));

    let answer = campaigns::parrot::answer("request-1", "ok", &text("x"), "");
    let said = host
        .invoke(&id, &request(campaigns::parrot::saying(answer)))
        .expect(1)
        .json();
    assert_eq!(
        (&said["status"], &said["result"]),
        (&json!("rejected"), &Value::Null),
        "{said}"
    );
    let answer = campaigns::parrot::answer("request-1", "error", &Value::Null, "nothing to write");
    let said = host
        .invoke(&id, &request(campaigns::parrot::saying(answer)))
        .expect(1)
        .json();
    assert_eq!(said["status"], "error", "it ran, and may say no: {said}");
}

/// A program that tries one forbidden act and says whether it came to it.
fn tries(act: &str) -> Vec<u8> {
    let body = format!(
        "extern char **environ;\nint main(void) {{\n    read_line();\n    int did = 0;\n    {act}\n    answer(did ? \"{{\\\"did\\\":true}}\" : \"{{\\\"did\\\":false}}\");\n    return 0;\n}}\n"
    );
    c(&body, Link::Static)
}

/// Runs the program as anybody would, with a folder and an environment, and says whether it came to its act.
fn outside(host: &Host, program: &[u8]) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = host.folder().join("outside");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("program");
    std::fs::write(&file, program).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(file);
    command.current_dir(&folder).env_clear().env("SECRET", "x");
    let line = json!({ "type": "invoke", "request": request(text("x")) }).to_string() + "\n";
    let said = finish(command, line.as_bytes()).expect(0);
    said.json()["response"]["result"]["data"]["did"]
        .as_bool()
        .unwrap()
}

/// The act works outside, and inside it either is refused as a violation or simply comes to nothing.
fn impossible(name: &str, act: &str) {
    let program = tries(act);
    let host = Host::new();
    assert!(outside(&host, &program), "{name}: {act} works outside");
    let id = host.install(&Package::native("p.test.tries", &program));
    let response = host.ask(&id, "x");
    match response["status"].as_str().unwrap() {
        "ok" => assert_eq!(response["result"]["data"]["did"], false, "{name}: {act}"),
        "rejected" => {
            let notes = response["notes"].as_str().unwrap();
            assert!(notes.contains("violation"), "{name}: {act}: {notes}");
            let events = host.events();
            let last = events.last().unwrap();
            assert_eq!(
                (&last["kind"], &last["meta"]["cause"]),
                (&json!("REJECT"), &json!("violation"))
            );
        }
        other => panic!("{name}: {act}: {other}: {response}"),
    }
    host.verified();
}

/// "They are not only words: the sandbox makes each impossible." — `filesystem_access`
#[test]
fn inv_pnp_06_the_file_system_is_out_of_reach() {
    for act in [
        "did = open(\"/etc/passwd\", O_RDONLY) >= 0;",
        "did = open(\"..\", O_RDONLY | O_DIRECTORY) >= 0;",
        "did = open(\"made\", O_CREAT | O_WRONLY, 0600) >= 0;",
        "struct stat found; did = stat(\"/etc\", &found) == 0;",
        "did = mkdir(\"folder\", 0700) == 0;",
        "did = symlink(\"/etc\", \"link\") == 0;",
        "char where[4096]; did = readlink(\"/proc/self/exe\", where, sizeof where) > 0;",
    ] {
        impossible("filesystem_access", act);
    }
}

/// The same for `network_access`.
#[test]
fn inv_pnp_06_the_network_is_out_of_reach() {
    for act in [
        "did = socket(AF_INET, SOCK_STREAM, 0) >= 0;",
        "did = socket(AF_INET6, SOCK_DGRAM, 0) >= 0;",
        "did = socket(AF_UNIX, SOCK_STREAM, 0) >= 0;",
        "int pair[2]; did = socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0;",
        "did = socket(AF_NETLINK, SOCK_RAW, 0) >= 0;",
    ] {
        impossible("network_access", act);
    }
}

/// The same for `process_spawn`.
#[test]
fn inv_pnp_06_no_other_process_is_started() {
    for act in [
        "pid_t child = fork(); if (child == 0) _exit(0); did = child > 0;",
        "pid_t child = vfork(); if (child == 0) _exit(0); did = child > 0;",
        "pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); if (child == 0) _exit(0); did = child > 0;",
    ] {
        impossible("process_spawn", act);
    }
}

/// The same for `env_access`.
#[test]
fn inv_pnp_06_there_is_no_environment() {
    impossible("env_access", "did = environ && environ[0];");
    impossible("env_access", "did = getenv(\"SECRET\") != NULL;");
}
