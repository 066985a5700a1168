//! C programs compiled on the spot, once for each text and way of linking.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

/// How a program is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Link {
    /// Everything in one file.
    Static,
    /// With the host's loader and libraries.
    Dynamic,
    /// A library for another program to load.
    Shared,
}

/// Programs by their source.
type Built = HashMap<(String, Link), Vec<u8>>;

static BUILT: Mutex<Option<Built>> = Mutex::new(None);

/// What every C program of the campaigns begins with: reads the request line into `line`, and can answer.
pub const PRELUDE: &str = include_str!("prelude.h");

/// Compiles `body` behind the prelude, and gives the program's bytes.
pub fn c(body: &str, link: Link) -> Vec<u8> {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_with(HashMap::new);
    built
        .entry((body.to_owned(), link))
        .or_insert_with(|| compile(body, link))
        .clone()
}

fn compile(body: &str, link: Link) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let (source, program) = (
        folder.path().join("program.c"),
        folder.path().join("program"),
    );
    fs::write(&source, format!("{PRELUDE}\n#line 1 \"body\"\n{body}")).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-w", "-pthread", "-o"])
        .arg(&program)
        .arg(&source);
    match link {
        Link::Static => drop(cc.arg("-static")),
        Link::Dynamic => {}
        Link::Shared => drop(cc.args(["-shared", "-fPIC"])),
    }
    let out = cc
        .output()
        .expect("the campaigns need a C compiler: install gcc or clang as `cc`");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    fs::read(program).unwrap()
}
