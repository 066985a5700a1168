//! C programs compiled on the spot, once for each text and way of linking.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

use tempfile::TempDir;

use crate::canonical;

/// Names the folder that keeps what is compiled, so that the same tests can be run where there is no compiler.
const COMPILED: &str = "CAMPAIGNS_COMPILED";

/// Else one beside what cargo builds, for each compiler its own.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    std::env::var_os(COMPILED).map_or_else(
        || {
            let compiler = Command::new("cc").arg("--version").output();
            let compiler = compiler.expect(NO_COMPILER).stdout;
            let name = format!("compiled-{}", canonical::sha256(compiler));
            std::env::current_exe().unwrap().with_file_name(name)
        },
        PathBuf::from,
    )
});

const NO_COMPILER: &str = "the campaigns need a C compiler: install gcc or clang as `cc`";

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

/// What another run compiled is taken; a run that may not write there keeps nothing.
fn kept_or_compiled(body: &str, link: Link) -> Vec<u8> {
    let name = canonical::sha256(format!("{link:?} {PRELUDE}{body}"));
    let kept = FOLDER.join(name);
    fs::read(&kept).unwrap_or_else(|_| {
        let program = compile(body, link);
        // Under its name stands only a whole program.
        let half = kept.with_extension(std::process::id().to_string());
        if fs::create_dir_all(&*FOLDER).is_ok() && fs::write(&half, &program).is_ok() {
            fs::rename(&half, &kept).unwrap();
        }
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
    let out = cc.output().expect(NO_COMPILER);
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    fs::read(program).unwrap()
}
