//! A page as its blocks of code, and what a command says held against what the page says. It runs nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// What stands for words that vary.
const VARIES: char = '…';

/// The languages of blocks that are files.
const LANGUAGES: [&str; 7] = ["c", "go", "js", "json", "python", "r", "ts"];

/// A part of a page that begins in an empty folder.
#[derive(Debug, Default)]
pub struct Part {
    pub title: String,
    pub needs: Vec<String>,
    pub blocks: Vec<Block>,
}

/// A block of code, with the number of its first line.
#[derive(Debug)]
pub struct Block {
    pub line: usize,
    pub text: String,
    pub kind: Kind,
}

/// What a block is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    File(String),
    Commands(End),
    Output,
}

/// How a block's commands end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Code(i32),
    FromRegistry,
    Interrupted,
}

/// A file of the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The text of a page.
pub fn text_of(name: &str) -> String {
    let path = project("docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The kind of a block by what stands behind its fence; `before` is the last line of prose.
fn kind(info: &str, before: &str) -> Result<Kind, String> {
    let words: Vec<&str> = info.split(' ').collect();
    match words[..] {
        ["sh"] => Ok(Kind::Commands(End::Code(0))),
        ["sh", "exits", code] => match code.parse() {
            Ok(code) => Ok(Kind::Commands(End::Code(code))),
            Err(_) => Err(format!("'{code}' is no exit code")),
        },
        ["sh", "from-registry"] => Ok(Kind::Commands(End::FromRegistry)),
        ["sh", "until-interrupted"] => Ok(Kind::Commands(End::Interrupted)),
        ["text", "output"] => Ok(Kind::Output),
        [language, path] if LANGUAGES.contains(&language) => {
            if before.contains(&format!("`{path}`")) {
                Ok(Kind::File(path.to_owned()))
            } else {
                Err(format!("the line before names no `{path}`"))
            }
        }
        _ => Err(format!("a block of a kind that is not run: '{info}'")),
    }
}

/// The page's parts: the whole of it, or each of its sections where `by_section`. What is wrong with a page is an error, so that no
/// block is passed over.
pub fn parts(text: &str, by_section: bool) -> Result<Vec<Part>, String> {
    let mut parts = vec![Part::default()];
    let mut before = "";
    let mut lines = text.lines().zip(1..);
    while let Some((text, line)) = lines.next() {
        let part = parts.last_mut().unwrap();
        if let Some(info) = text.strip_prefix("```") {
            let kind = kind(info, before).map_err(|why| format!("line {line}: {why}"))?;
            let text = body(&mut lines).map_err(|why| format!("line {line}: {why}"))?;
            let last = part.blocks.last().map(|block| &block.kind);
            if kind == Kind::Output && !matches!(last, Some(Kind::Commands(_))) {
                return Err(format!("line {line}: the output of no commands"));
            }
            let line = line + 1;
            part.blocks.push(Block { line, text, kind });
        } else if let Some(title) = text.strip_prefix("## ").filter(|_| by_section) {
            let title = title.to_owned();
            parts.push(Part {
                title,
                ..Part::default()
            });
        } else if let Some(needs) = text.strip_prefix("Needs ") {
            let named = needs.split('`').skip(1).step_by(2);
            part.needs = named.map(ToOwned::to_owned).collect();
        } else if text.contains("```") || text.contains("~~~") {
            return Err(format!(
                "line {line}: a block begins with three backticks at the line's start"
            ));
        }
        if !text.trim().is_empty() {
            before = text;
        }
    }
    // What stands before the first section is an introduction.
    parts.retain(|part| !(by_section && part.title.is_empty() && part.blocks.is_empty()));
    match parts.iter().find(|part| part.blocks.is_empty()) {
        Some(part) => Err(format!("there is no block in '{}'", part.title)),
        None if parts.is_empty() => Err("there is no section".to_owned()),
        None => Ok(parts),
    }
}

/// The text of a block, up to its closing fence.
fn body<'a>(lines: &mut impl Iterator<Item = (&'a str, usize)>) -> Result<String, String> {
    let mut text = String::new();
    for (line, _) in lines {
        match line.strip_prefix("```") {
            Some("") => return Ok(text),
            Some(_) => return Err("a fence with words behind it ends no block".to_owned()),
            None => text.extend([line, "\n"]),
        }
    }
    Err("the block has no end".to_owned())
}

/// Whether a line is as the page says.
fn line_fits(expected: &str, said: &str) -> bool {
    let (expected, said) = (expected.trim_end(), said.trim_end());
    let Some((first, rest)) = expected.split_once(VARIES) else {
        return expected == said;
    };
    let Some(mut left) = said.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = rest.rsplit_once(VARIES).unwrap_or(("", rest));
    for piece in middle.split(VARIES) {
        let Some(at) = left.find(piece) else {
            return false;
        };
        left = &left[at + piece.len()..];
    }
    left.ends_with(last)
}

/// Whether all lines are as the page says.
fn fits(expected: &[&str], said: &[&str]) -> bool {
    match expected.split_first() {
        None => said.is_empty(),
        Some((first, rest)) if first.chars().eq([VARIES]) => {
            (0..=said.len()).any(|passed| fits(rest, &said[passed..]))
        }
        Some((first, rest)) => said
            .split_first()
            .is_some_and(|(line, more)| line_fits(first, line) && fits(rest, more)),
    }
}

/// Whether it was said as the page says. An output that may be anything is none.
pub fn is_said(expected: &str, said: &str) -> bool {
    let (expected, said): (Vec<&str>, Vec<&str>) =
        (expected.lines().collect(), said.lines().collect());
    expected
        .iter()
        .any(|line| line.chars().any(char::is_alphanumeric))
        && fits(&expected, &said)
}

/// The rows of the table below the heading that begins so, without its head.
pub fn rows<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, rest) = text.split_once(&format!("\n## {heading}")).unwrap();
    let table = rest.lines().skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2);
    let cells = |row: &'a str| row.trim_matches('|').split(" | ").map(str::trim).collect();
    rows.map(cells).collect()
}

/// The text between the first pair of backticks.
pub fn quoted(cell: &str) -> &str {
    let quoted = cell.split('`').nth(1);
    quoted.unwrap_or_else(|| panic!("no backticks in '{cell}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(fence: &str, body: &str) -> String {
        format!("`a.json`:\n\n```{fence}\n{body}```\n")
    }

    #[test]
    fn a_block_is_a_file_commands_or_their_output() {
        let text = "Needs `a` and `b`.\n".to_owned()
            + &page("json a.json", "{}\n")
            + &page("sh exits 3", "x\n")
            + &page("text output", "y\n");
        let [part] = parts(&text, false).unwrap().try_into().unwrap();
        assert_eq!(part.needs, ["a", "b"]);
        let kinds: Vec<Kind> = part.blocks.iter().map(|block| block.kind.clone()).collect();
        let file = Kind::File("a.json".to_owned());
        assert_eq!(kinds, [file, Kind::Commands(End::Code(3)), Kind::Output]);
        let first = &part.blocks[0];
        assert_eq!((first.line, first.text.as_str()), (5, "{}\n"));
        let text = format!("# T\n## A\n{0}## B\n{0}", page("sh", "x\n"));
        let titles: Vec<String> = parts(&text, true)
            .unwrap()
            .into_iter()
            .map(|part| part.title)
            .collect();
        assert_eq!(titles, ["A", "B"]);
    }

    #[test]
    fn what_is_not_known_is_not_passed_over() {
        for (text, why) in [
            (page("", "x\n"), "a kind that is not run: ''"),
            (page("console", "x\n"), "a kind that is not run: 'console'"),
            (page("sh exit 1", "x\n"), "a kind that is not run"),
            (page("sh exits no", "x\n"), "no exit code"),
            (page("json", "{}\n"), "a kind that is not run"),
            (page("toml a.json", "x\n"), "a kind that is not run"),
            (page("json b.json", "{}\n"), "names no `b.json`"),
            (page("text output", "x\n"), "the output of no commands"),
            (page("sh", "```sh\n"), "ends no block"),
            ("```sh\nx\n".to_owned(), "no end"),
            ("  ```sh\n  x\n  ```\n".to_owned(), "at the line's start"),
            ("~~~sh\nx\n~~~\n".to_owned(), "at the line's start"),
            ("# Title\n".to_owned(), "no block"),
            (String::new(), "no block"),
        ] {
            let said = parts(&text, false).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
        let empty = format!("## A\n{}## B\nwords\n", page("sh", "x\n"));
        assert_eq!(parts(&empty, true).unwrap_err(), "there is no block in 'B'");
        assert_eq!(parts("# Title\n", true).unwrap_err(), "there is no section");
    }

    #[test]
    fn an_output_is_compared_word_by_word() {
        for (expected, said, same) in [
            ("a\nb\n", "a\nb\n", true),
            ("a\nb\n", "a\n", false),
            ("a\n", "a\nb\n", false),
            ("a\n", " a\n", false),
            ("a … c\n", "a b c\n", true),
            ("a … c\n", "a b c d\n", false),
            ("a … c … e\n", "a b c d e\n", true),
            ("a … c … e\n", "a e c\n", false),
            ("…\na\n", "x\ny\na\n", true),
            ("…\na\n", "a\n", true),
            ("…\na\n", "a\nx\n", false),
            ("a\n…\nb\n", "a\nx\nc\n", false),
            ("…\n", "x\n", false),
        ] {
            assert_eq!(is_said(expected, said), same, "{expected}{said}");
        }
    }
}
