//! The pages for plugin authors: every block of code on them is used as it stands, in its order, in a fresh folder, with the built command.
//! No block is passed over: one of an unknown kind fails, and so does a page without any.
//!
//! The word behind a block's opening fence says what it is:
//!
//! | fence | use |
//! |---|---|
//! | `json hello/plugin.json` | it is written to the file of that name; the line before it names the file, since readers see no fence |
//! | `sh` | the commands run in one shell, and each succeeds |
//! | `sh exits 1` | the same, and the last command ends with that code |
//! | `sh from-registry` | the same, from a package registry: where it gives nothing, the rest is skipped |
//! | `sh until-interrupted` | the same, interrupted once it has said what the page says |
//! | `text output` | what the commands before it say, word by word; `…` stands for what varies in a line, alone for lines |
//!
//! A line `Needs …` names the programs, in backticks, without which the rest is skipped.

#[path = "author_pages/messages.rs"]
mod messages;
#[path = "author_pages/page.rs"]
mod page;
#[path = "author_pages/reader.rs"]
mod reader;

use std::fs;

use page::{Part, parts, project, quoted, rows, text_of};
use reader::follow;
use serde_json::{Value, json};

/// The most lines of the page for those who know what they want.
const SHORT: usize = 200;

/// The recipes, by their headings.
fn recipes() -> Vec<Part> {
    parts(&text_of("recipes.md"), true).unwrap()
}

#[track_caller]
fn recipe(title: &str) {
    let recipes = recipes();
    let part = recipes.iter().find(|part| part.title == title);
    follow(part.unwrap_or_else(|| panic!("there is no recipe '{title}'")));
}

#[test]
fn inv_pnp_01_the_page_for_those_who_know_is_run() {
    let text = text_of("authors.md");
    assert!(text.lines().count() <= SHORT, "it is to be short");
    for part in parts(&text, false).unwrap() {
        follow(&part);
    }
}

#[test]
fn inv_pnp_01_the_page_for_clients_of_mcp_is_run() {
    for part in parts(&text_of("mcp.md"), false).unwrap() {
        follow(&part);
    }
}

#[test]
fn inv_pnp_01_a_python_plugin_with_dependencies() {
    recipe("Python with dependencies");
}

#[test]
fn inv_pnp_01_a_node_plugin_with_dependencies() {
    recipe("Node with dependencies");
}

#[test]
fn inv_pnp_01_a_go_plugin() {
    recipe("Go");
}

#[test]
fn inv_pnp_01_a_c_plugin() {
    recipe("C");
}

#[test]
fn inv_pnp_01_a_bun_plugin() {
    recipe("bun");
}

#[test]
fn inv_pnp_01_an_r_plugin() {
    recipe("R");
}

#[test]
fn inv_pnp_01_a_tool_as_mcp_has_them() {
    recipe("An MCP-style tool");
}

#[test]
fn inv_pnp_01_an_old_worker() {
    recipe("An old OMEGA worker");
}

/// Each recipe has a test above, ends with a call of an enabled plugin, and was certified before.
#[test]
fn inv_pnp_10_every_recipe_is_run_and_whole() {
    let tests = include_str!("author_pages.rs");
    for part in recipes() {
        let call = format!("recipe(\"{}\")", part.title);
        assert!(tests.contains(&call), "no test runs '{}'", part.title);
        let said: String = part
            .blocks
            .iter()
            .map(|block| block.text.as_str())
            .collect();
        let verbs = [
            "certify",
            "keygen",
            "sign",
            "trust add",
            "register",
            "enable",
            "invoke",
        ];
        let mut rest = said.as_str();
        for verb in verbs {
            let at = rest.find(&format!(" {verb} "));
            rest = &rest[at.unwrap_or_else(|| panic!("'{}' has no {verb}", part.title))..];
        }
    }
}

/// The links of both pages, and the README's to them, lead somewhere.
#[test]
fn inv_pnp_10_links_lead_somewhere() {
    let mut seen = 0;
    for name in ["authors.md", "recipes.md", "mcp.md"] {
        let text = text_of(name);
        // Every other piece between fences is prose.
        let prose: String = text.split("```").step_by(2).collect();
        for link in prose.split("](").skip(1) {
            let (target, _) = link.split_once(')').unwrap();
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let path = project("docs").join(if file.is_empty() { name } else { file });
            assert!(path.exists(), "{name} links to '{target}'");
            let headings = || fs::read_to_string(&path).unwrap_or_default();
            assert!(
                place.is_empty() || anchors(&headings()).any(|anchor| anchor == place),
                "{name} links to '{target}'"
            );
            seen += 1;
        }
        let readme = fs::read_to_string(project("README.md")).unwrap();
        assert!(
            readme.contains(&format!("](docs/{name})")),
            "the README does not name {name}"
        );
    }
    assert!(seen > 5);
}

/// A page's headings as code hosts make links of them.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let titles = text.lines().filter(|line| line.starts_with('#'));
    titles.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

/// What the page says of a manifest that leaves something out is what is filled in, or else the protocol's own default.
#[test]
fn inv_pnp_01_what_is_left_out_is_as_the_page_says() {
    let mut manifest = campaigns::package::manifest("p.test.small", &["./program"]);
    for name in [
        "description",
        "supported_omega_api_versions",
        "limits",
        "determinism",
        "evidence",
    ] {
        manifest.as_object_mut().unwrap().remove(name);
    }
    plugin_protocol::manifest::fill(&mut manifest);
    let typed: plugin_protocol::manifest::Manifest =
        serde_json::from_value(manifest.clone()).unwrap();
    let text = text_of("authors.md");
    let rows = rows(&text, "What a manifest may leave out");
    for row in &rows {
        let (field, said) = (quoted(row[0]), quoted(row[1]));
        let said: Value = serde_json::from_str(said).unwrap();
        let filled = match field {
            "limits.max_memory_bytes" => json!(typed.limits.memory_bytes()),
            "limits.max_cpu_ms" => json!(typed.limits.cpu_ms()),
            "limits.max_open_files" => json!(typed.limits.open_files()),
            _ => manifest
                .pointer(&format!("/{}", field.replace('.', "/")))
                .cloned()
                .unwrap_or_default(),
        };
        assert_eq!(filled, said, "{field}");
    }
    assert_eq!(rows.len(), 9);
}
