//! C programs compiled on the spot, once for each text and way of linking.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use crate::canonical;

/// Names a folder that keeps what is compiled, so that the same tests can be run where there is no compiler.
const COMPILED: &str = "CAMPAIGNS_COMPILED";

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
        .or_insert_with(|| kept_or_compiled(body, link))
        .clone()
}

fn kept_or_compiled(body: &str, link: Link) -> Vec<u8> {
    let Some(folder) = std::env::var_os(COMPILED) else {
        return compile(body, link);
    };
    let name = canonical::sha256(format!("{link:?} {PRELUDE}{body}"));
    let file = PathBuf::from(folder).join(name);
    fs::read(&file).unwrap_or_else(|_| {
        let program = compile(body, link);
        fs::write(&file, &program).unwrap();
        program
    })
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
