//! What is read from the source: the way imports go (a room uses only rooms below it, and siblings never meet), and which tests hold what.

#[path = "architecture/promises.rs"]
mod promises;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms by height. A room may use any lower room, never its own height or above. `lib` and `main` only name rooms.
const HEIGHTS: [(u8, &[&str]); 7] = [
    (7, &["mcp"]),
    (6, &["cli", "serve", "testing"]),
    (5, &["operator"]),
    (4, &["api"]),
    (3, &["access", "router"]),
    (2, &["error"]),
    (1, &["config"]),
];

fn height(room: &str) -> Option<u8> {
    HEIGHTS
        .iter()
        .find(|(_, rooms)| rooms.contains(&room))
        .map(|(height, _)| *height)
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/src")
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The room that a file belongs to: its first folder, or its own name at the top.
fn room_of(file: &Path) -> String {
    let relative = file.strip_prefix(source()).unwrap();
    let first = relative
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Every room that the text names as `crate::room`, one at a time or in a group.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    for (at, _) in code.match_indices("crate::") {
        if at > 0
            && (code.as_bytes()[at - 1].is_ascii_alphanumeric() || code.as_bytes()[at - 1] == b'_')
        {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let group = rest.strip_prefix('{').map_or(rest, |group| {
            &group[..group.find("};").unwrap_or(group.len())]
        });
        let many = rest.starts_with('{');
        let names = group.split(',').take(if many { usize::MAX } else { 1 });
        rooms.extend(names.map(|name| {
            name.trim()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect()
        }));
    }
    rooms
}

/// The files that are no room: the library's face and the command's three lines.
const FACES: [&str; 2] = ["lib", "main"];

fn violations_in(room: &str, text: &str) -> Vec<String> {
    if FACES.contains(&room) {
        return Vec::new();
    }
    let Some(own) = height(room) else {
        return vec![format!("{room} is not in the table of rooms")];
    };
    let mut found = Vec::new();
    for used in rooms_used(text).into_iter().filter(|used| used != room) {
        let Some(other) = height(&used) else {
            found.push(format!(
                "{room} uses {used}, which is not in the table of rooms"
            ));
            continue;
        };
        if other >= own {
            found.push(format!("{room} uses {used}"));
        }
    }
    found
}

#[test]
fn imports_go_one_way() {
    let mut files = Vec::new();
    rust_files(&source(), &mut files);
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| {
            violations_in(&room_of(file), &fs::read_to_string(file).unwrap())
                .into_iter()
                .map(|what| format!("{}: {what}", file.display()))
        })
        .collect();
    assert!(files.len() > 20, "the source was found");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_check_sees_what_it_should() {
    assert_eq!(
        violations_in("error", "use crate::router::Router;"),
        ["error uses router"]
    );
    assert_eq!(
        violations_in("router", "use crate::{api::Gateway, config::Config};"),
        ["router uses api"]
    );
    assert_eq!(
        violations_in("config", "let x = crate::error::chain();"),
        ["config uses error"]
    );
    assert_eq!(
        violations_in("fleet", ""),
        ["fleet is not in the table of rooms"]
    );
    assert_eq!(
        violations_in("cli", "use crate::fleet::serve;"),
        ["cli uses fleet, which is not in the table of rooms"]
    );
    assert_eq!(
        violations_in("serve", "use crate::mcp::speak;"),
        ["serve uses mcp"]
    );
    assert!(
        violations_in(
            "router",
            "use crate::config::Config;\nuse crate::error::Error;"
        )
        .is_empty()
    );
}

/// Every Rust source of the workspace; what cargo builds is not ours.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for entry in fs::read_dir(&root).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() && name != "target" && !name.starts_with('.') {
            rust_files(&entry.path(), &mut found);
        }
    }
    found
}

/// Whether the code holds an unsafe block, function or impl; comments and the lint's name do not count.
fn is_unsafe(text: &str) -> bool {
    let word = ["un", "safe"].concat();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .any(|line| {
            [" {", " fn", " impl", " extern"]
                .iter()
                .any(|rest| line.contains(&format!("{word}{rest}")))
        })
}

#[test]
fn unsafe_lives_in_sys_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sys = root.join("gateway/sandbox/src/sys");
    let files = sources();
    let (inside, outside): (Vec<_>, Vec<_>) = files
        .iter()
        .filter(|file| is_unsafe(&fs::read_to_string(file).unwrap()))
        .partition(|file| file.starts_with(&sys));
    assert!(outside.is_empty(), "{outside:#?}");
    assert!(!inside.is_empty(), "the check finds what is there");
    for folder in ["gateway", "plugin-protocol", "sample-plugins", "tests"] {
        let folder = root.join(folder);
        assert!(
            files.iter().any(|file| file.starts_with(&folder)),
            "{} was read",
            folder.display()
        );
    }
}

/// "`validateManifest`, `registerPlugin`, `enablePlugin`, `disablePlugin`, `listPlugins`, `invoke`, `invokePipeline`, `exportProof`.
/// This is the whole public API of the library (INV-PNP-01)": beside the way to open a state.
#[test]
fn inv_pnp_01_the_library_has_the_eight_operations_and_no_more() {
    let api = fs::read_to_string(source().join("api.rs")).unwrap();
    let public: Vec<&str> = api
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("pub fn "))
        .map(|rest| rest.split('(').next().unwrap())
        .collect();
    assert_eq!(
        public,
        [
            "open",
            "validate_manifest",
            "register_plugin",
            "enable_plugin",
            "disable_plugin",
            "list_plugins",
            "invoke",
            "invoke_pipeline",
            "export_proof"
        ]
    );
}

/// The tool for tests is no way round them: it makes its own state, and gives the operations on that.
#[test]
fn inv_pnp_01_the_gateway_for_tests_only_wraps_the_operations() {
    let testing = fs::read_to_string(source().join("testing.rs")).unwrap();
    let expected = [
        "const RUN",
        "struct Gateway",
        "fn new",
        "fn install",
        "fn invoke",
        "fn state",
    ];
    assert_eq!(face_of(&testing), expected);
}

/// The names that the library gives: the operations with the types that they take or give, the tests' harness, the command.
const FACE: [&str; 29] = [
    "mod testing",
    "api::Gateway",
    "api::Registration",
    "error::Error",
    "error::Kind",
    "ledger::ProofBundle",
    "ledger::Recorded",
    "plugin_protocol::ids::PluginId",
    "plugin_protocol::ids::RunId",
    "plugin_protocol::message::Response",
    "plugin_protocol::message::Status",
    "plugin_protocol::payload::Payload",
    "plugin_protocol::report::PipelineInput",
    "plugin_protocol::report::PipelinePolicy",
    "plugin_protocol::report::PipelineResponse",
    "plugin_protocol::report::PluginInfo",
    "plugin_protocol::report::Strategy",
    "plugin_protocol::report::ValidationReport",
    "router::Cause",
    "router::Invoke",
    "router::Outcome",
    "sandbox::Cancel",
    "sandbox::Denial",
    "sandbox::End",
    "sandbox::Layer",
    "sandbox::Report",
    "sandbox::Tail",
    "sandbox::Usage",
    "fn main",
];

/// What a file gives to the outside: each `pub use` name with its path, each `pub mod` and each other public item by its word.
fn face_of(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
        .collect::<Vec<_>>()
        .join(" ");
    let mut names = Vec::new();
    for (at, _) in code.match_indices("pub ") {
        let rest = &code[at + "pub ".len()..];
        let Some(used) = rest.strip_prefix("use ") else {
            let end = rest
                .find(['(', '{', ';', '<', ':', '='])
                .unwrap_or(rest.len());
            names.push(rest[..end].trim().to_owned());
            continue;
        };
        let used = used.split(';').next().unwrap();
        match used.split_once("::{") {
            None => names.push(used.to_owned()),
            Some((path, group)) => names.extend(
                group
                    .trim_end_matches('}')
                    .split(',')
                    .map(str::trim)
                    .filter(|name| !name.is_empty())
                    .map(|name| format!("{path}::{name}")),
            ),
        }
    }
    names
}

/// The same sentence, at the face of the crate: no door beside the operations is public.
#[test]
fn inv_pnp_01_the_library_gives_only_the_names_in_the_table() {
    assert_eq!(
        face_of(&fs::read_to_string(source().join("lib.rs")).unwrap()),
        FACE
    );
    let more = "pub use a::{B, C};\n// pub use x::Y;\npub mod d;\npub(crate) fn e() {}\npub fn f(x: u8) {}";
    assert_eq!(face_of(more), ["a::B", "a::C", "mod d", "fn f"]);
}

/// "No line of code can show a plugin a request without a durable `INVOKE`": only the invocation, and the pool that starts processes for
/// it, name the sandbox's type outside the sandbox, and there its permit is a recorded `INVOKE`; only the invocation opens one. Inside, only the probe does, whose permit nobody else can name.
#[test]
fn inv_pnp_07_only_the_invocation_and_the_probe_name_the_sandbox() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let room = root.join("gateway/sandbox");
    let invocation = root.join("gateway/src/router/invocation.rs");
    let pool = root.join("gateway/src/router/pool.rs");
    let probe = room.join("src/probe/mod.rs");
    let mut gateway = Vec::new();
    rust_files(&root.join("gateway"), &mut gateway);
    let uses = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        text.lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("//"))
            .flat_map(|line| {
                line.match_indices("Sandbox<")
                    .map(move |(at, _)| &line[at..])
            })
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for file in &gateway {
        let found = uses(file);
        if file.starts_with(&room) {
            // The type's own definition, and tests and benches, which run programs of their own.
            let others = ["src/tests", "benches"].map(|folder| room.join(folder));
            let own = *file == room.join("src/sandbox.rs")
                || others.iter().any(|folder| file.starts_with(folder));
            assert!(
                found.is_empty() || own || *file == probe,
                "{}: {found:?}",
                file.display()
            );
        } else {
            let named = *file == invocation || *file == pool;
            assert_eq!(!found.is_empty(), named, "{}", file.display());
            let permit = "Sandbox<Recorded<Invoke>>";
            assert!(
                found.iter().all(|text| text.starts_with(permit)),
                "{found:?}"
            );
        }
        // It can also be named without its parameter, where that is left to be told by what is around.
        let opens = fs::read_to_string(file).unwrap().contains("Sandbox::open");
        assert!(
            !opens || *file == invocation || file.starts_with(&room),
            "{} opens a sandbox",
            file.display()
        );
    }
    let probe = fs::read_to_string(&probe).unwrap();
    assert!(
        probe.contains("\nstruct Trial;"),
        "the probe's permit is private"
    );
    assert!(probe.contains("Sandbox<Trial>"), "the check sees the probe");
}

/// The names of a crate's dependencies, those of its tests and its build script among them.
fn dependencies(manifest: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            inside = table.trim_end_matches(']').ends_with("dependencies");
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            names.insert(line.split(['.', '=', ' ']).next().unwrap().to_owned());
        }
    }
    names
}

/// Siblings never meet, and what each is for says which libraries it has no business with.
#[test]
fn the_crates_below_the_gateway_keep_apart() {
    let gateway = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway");
    let siblings = ["ledger", "registry", "validator", "sandbox"];
    for name in siblings {
        let found = dependencies(&gateway.join(name).join("Cargo.toml"));
        assert!(found.contains("thiserror"), "{name}'s manifest was read");
        let strangers: &[&str] = match name {
            "ledger" => &["jsonschema", "nix", "landlock", "clap"],
            "sandbox" => &["jsonschema", "ed25519-dalek", "clap", "plugin-protocol"],
            _ => &["nix", "landlock", "clap"],
        };
        for other in siblings.iter().chain(strangers).chain(&["plugin-gateway"]) {
            assert!(!found.contains(*other), "{name} depends on {other}");
            let package = format!("gateway-{other}");
            assert!(!found.contains(&package), "{name} depends on {package}");
        }
    }
    let manifest = gateway.join("../plugin-protocol/Cargo.toml");
    let protocol = dependencies(&manifest);
    // The SDK moves a descriptor; with this feature alone rustix can do nothing else of note.
    let text = fs::read_to_string(manifest).unwrap();
    let stdio =
        r#"rustix = { version = "1", default-features = false, features = ["std", "stdio"] }"#;
    assert_eq!(text.matches("rustix").count(), 1, "{text}");
    assert!(text.lines().any(|line| line == stdio), "{text}");
    for impure in siblings.into_iter().chain(["nix", "libc", "tempfile"]) {
        assert!(
            !protocol.contains(impure),
            "plugin-protocol depends on {impure}"
        );
    }
}

/// "No network": what speaks HTTP is a dependency of the edge alone, which knows the ledger and no other crate of
/// ours, and which none of them knows.
#[test]
fn only_the_edge_depends_on_a_network() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let edge = dependencies(&root.join("gateway/witness/Cargo.toml"));
    let speaking = ["ureq", "tiny_http"];
    assert!(speaking.iter().all(|name| edge.contains(*name)), "{edge:?}");
    for other in [
        "plugin-gateway",
        "plugin-protocol",
        "registry",
        "sandbox",
        "validator",
    ] {
        assert!(!edge.contains(other), "the edge depends on {other}");
    }
    for folder in [
        "plugin-protocol",
        "gateway",
        "gateway/ledger",
        "gateway/registry",
        "gateway/sandbox",
        "gateway/validator",
    ] {
        let found = dependencies(&root.join(folder).join("Cargo.toml"));
        for name in speaking.into_iter().chain(["witness", "gateway-witness"]) {
            assert!(!found.contains(name), "{folder} depends on {name}");
        }
    }
    let main = fs::read_to_string(root.join("gateway/witness/src/main.rs")).unwrap();
    assert!(main.contains(&["#![forbid(un", "safe_code)]"].concat()));
}

/// "No async runtime. No network": the fleet's crate alone has them, and nothing depends on it.
#[test]
fn the_network_has_a_crate_of_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let of = |folder: &str| dependencies(&root.join(folder).join("Cargo.toml"));
    let fleet = of("gateway/fleet");
    assert!(
        fleet.contains("tokio") && fleet.contains("async-nats"),
        "{fleet:?}"
    );
    assert!(
        !fleet.contains("plugin-gateway"),
        "it speaks to the command"
    );
    for folder in [
        "plugin-protocol",
        "gateway",
        "gateway/ledger",
        "gateway/registry",
        "gateway/validator",
        "gateway/sandbox",
    ] {
        let found = of(folder);
        for stranger in ["tokio", "async-nats", "futures-util", "gateway-fleet"] {
            assert!(!found.contains(stranger), "{folder} depends on {stranger}");
        }
    }
}

/// The compiler itself holds the line, in every crate but the sandbox's.
#[test]
fn unsafe_code_is_forbidden_in_every_crate_but_the_sandbox() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let forbids = |folder: &str| {
        let lib = root.join(folder).join("src/lib.rs");
        let text = fs::read_to_string(lib).unwrap();
        text.lines()
            .any(|line| line == ["#![forbid(un", "safe_code)]"].concat())
    };
    for folder in [
        "plugin-protocol",
        "gateway",
        "gateway/fleet",
        "gateway/ledger",
        "gateway/registry",
        "gateway/validator",
    ] {
        assert!(forbids(folder), "{folder}");
    }
    assert!(!forbids("gateway/sandbox"));
    let own = fs::read_to_string(root.join("tests/Cargo.toml")).unwrap();
    assert!(own.contains(&["un", "safe_code = \"forbid\""].concat()));
}

/// The sandbox's rooms, from the bottom up. Rooms of one height do not know each other. The tests stand above all.
const SANDBOX: [&[&str]; 12] = [
    &["sys", "layer", "threat", "cancel", "throw_away"],
    &["error", "report"],
    &["descriptor"],
    &["image"],
    &["job", "filter"],
    &["plan"],
    &["settings", "denial"],
    &["launch"],
    &["host", "watch"],
    &["started"],
    &["sandbox", "ladder"],
    &["probe"],
];

#[test]
fn inside_the_sandbox_imports_go_one_way_too() {
    let height = |room: &str| SANDBOX.iter().position(|rooms| rooms.contains(&room));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/sandbox/src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut found = Vec::new();
    for file in &files {
        let relative = file.strip_prefix(&source).unwrap().with_extension("");
        let room = relative.iter().next().unwrap().to_str().unwrap();
        if ["lib", "tests"].contains(&room) {
            continue;
        }
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let used = rooms_used(code)
            .into_iter()
            // Constants of the crate's root are no room.
            .filter(|used| used != room && used.starts_with(|c: char| c.is_ascii_lowercase()))
            .filter(|used| height(used).is_none() || height(used) >= height(room));
        found.extend(used.map(|used| format!("{}: uses {used}", relative.display())));
        if height(room).is_none() {
            found.push(format!("{room} is not in the table of rooms"));
        }
    }
    assert!(files.len() > 40, "the source was found");
    assert!(found.is_empty(), "{found:#?}");
}
