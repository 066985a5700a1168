//! The crate's rooms by height: a room uses only rooms below it, and a file no file that uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// From the bottom up. Rooms of one height do not know each other. `lib` stands above all and is not listed.
const HEIGHTS: [&[&str]; 11] = [
    &["error"],
    &["line"],
    &["disk"],
    &["options", "tree"],
    &["read"],
    &["witness"],
    &["proof", "site"],
    &["write"],
    &["open", "evidence"],
    &["recorded"],
    &["ledger"],
];

fn height(room: &str) -> Option<usize> {
    HEIGHTS.iter().position(|rooms| rooms.contains(&room))
}

/// The sources by name, `room/file` or `file`, without their comments and unit tests.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().with_extension("");
            let name = name.to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.extend((name != "tests").then_some(path));
            } else if name != "lib" {
                found.insert(name, code(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The first name of every path that begins with `root::`, such as `crate::` or `super::`.
fn named<'a>(code: &'a str, root: &'a str) -> impl Iterator<Item = &'a str> {
    code.split(root).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
    })
}

fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap_or_default()
}

/// Each use of a room that is not below.
fn violations(file: &str, code: &str) -> Vec<String> {
    let own = height(room_of(file));
    let used = named(code, "crate::").filter(|used| height(used) >= own);
    used.map(|used| format!("{file} uses {used}")).collect()
}

#[test]
fn imports_between_rooms_only_go_down() {
    let sources = sources();
    assert!(sources.len() > 40, "the sources were found");
    let unknown: Vec<_> = sources
        .keys()
        .filter(|file| height(room_of(file)).is_none())
        .collect();
    assert!(unknown.is_empty(), "rooms without a height: {unknown:?}");
    let found: Vec<_> = sources
        .iter()
        .flat_map(|(file, code)| violations(file, code))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    // A grouped import would hide what it names from the check above.
    let grouped = sources.values().filter(|code| code.contains("crate::{"));
    assert_eq!(grouped.count(), 0, "write one `use` for each room");
}

#[test]
fn the_files_of_a_room_form_no_circle() {
    let sources = sources();
    let mut waiting: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (file, code) in &sources {
        let Some((room, name)) = file.split_once('/') else {
            continue;
        };
        if name == "mod" {
            continue;
        }
        let siblings = named(code, "super::").map(|used| format!("{room}/{used}"));
        waiting.insert(
            file,
            siblings.filter(|used| sources.contains_key(used)).collect(),
        );
    }
    assert!(
        waiting.values().any(|used| !used.is_empty()),
        "the check sees imports"
    );
    // Takes away whatever uses nothing that is still there; what is left is a circle, or stands above one.
    while let Some(free) = waiting
        .iter()
        .find(|(_, used)| used.is_empty())
        .map(|(file, _)| *file)
    {
        waiting.remove(free);
        for used in waiting.values_mut() {
            used.remove(free);
        }
    }
    assert!(waiting.is_empty(), "{waiting:#?}");
}

#[test]
fn the_check_sees_what_it_should() {
    assert_eq!(
        violations("disk/io", "use crate::read::walk;"),
        ["disk/io uses read"]
    );
    assert_eq!(
        violations("open/init", "let x = crate::evidence::y();"),
        ["open/init uses evidence"]
    );
    assert!(
        violations(
            "read/walk",
            "use crate::disk::Layout;\nuse crate::line::Head;"
        )
        .is_empty()
    );
    assert_eq!(code("// crate::ledger\nx"), "x");
}
