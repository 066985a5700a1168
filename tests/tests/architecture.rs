//! The way imports go, read from the source: a room uses only rooms below it, and siblings never meet.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms by height. A room may use any lower room, never its own height or above.
const HEIGHTS: [(u8, &[&str]); 6] = [
    (6, &["cli", "serve"]),
    (5, &["operator"]),
    (4, &["api"]),
    (3, &["router"]),
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

fn violations_in(room: &str, text: &str) -> Vec<String> {
    let Some(own) = height(room) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for used in rooms_used(text).into_iter().filter(|used| used != room) {
        let Some(other) = height(&used) else { continue };
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
