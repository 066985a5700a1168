//! Finds the usual interpreters on this host and asks each, once and with a time limit, what it reads.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Runtime;

/// The usual runtimes and what is known of each.
pub(super) const USUAL: [(&str, &str); 7] = [
    ("deno", include_str!("deno.toml")),
    ("java", include_str!("java.toml")),
    ("node", include_str!("node.toml")),
    ("perl", include_str!("perl.toml")),
    ("python3", include_str!("python3.toml")),
    ("ruby", include_str!("ruby.toml")),
    ("sh", include_str!("sh.toml")),
];

/// How long an interpreter may take to say where it is: version managers start through slow shell scripts.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes; a list of library folders is far shorter.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Where interpreters are looked for after PATH, which a service manager may have left empty.
const USUAL_FOLDERS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// A data file: how an interpreter is asked, started and bounded.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Kind {
    /// Arguments that make it print its real path and then, one on each line, what it reads. Where this is empty, its path is the one where it was found.
    question: Vec<String>,
    /// What it reads, as paths from its real folder.
    beside: Vec<PathBuf>,
    /// Folders of shared libraries that it would look for beside itself, as paths from its real folder.
    libraries: Vec<PathBuf>,
    /// Arguments before the script.
    args: Vec<String>,
    /// Further calls, each with its reason.
    extra_calls: Vec<ExtraCall>,
    /// Whether its C library asks its name service who the user is.
    asks_name_service: bool,
    /// Whether it opens its terminal at start.
    asks_for_terminal: bool,
    memory: Memory,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtraCall {
    call: String,
    #[expect(
        dead_code,
        reason = "the reason is for the reader; reading the file asks that it is there"
    )]
    why: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Memory {
    overhead_mib: u32,
    makes_code: bool,
}

/// What is known of the runtime of this name; `None` for an unusual one.
fn kind(name: &str) -> Option<Kind> {
    let (_, text) = USUAL.into_iter().find(|(usual, _)| *usual == name)?;
    let kind = toml::from_str(text);
    debug_assert!(kind.is_ok(), "a test reads every data file");
    kind.ok()
}

/// Finds the first interpreter of this name that answers.
pub(super) fn find(name: &str) -> Option<Runtime> {
    let kind = kind(name)?;
    candidates(name)
        .into_iter()
        .find_map(|candidate| describe(&candidate, &kind))
}

/// The interpreter that an operator names; of an unusual name nothing more is known.
pub(super) fn at(name: &str, interpreter: &Path) -> Option<Runtime> {
    describe(interpreter, &kind(name).unwrap_or_default())
}

/// Every file of this name on PATH and in the usual folders.
fn candidates(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(USUAL_FOLDERS.map(PathBuf::from));
    let mut found: Vec<PathBuf> = Vec::new();
    for file in folders
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
    {
        if file.is_file() && !found.contains(&file) {
            found.push(file);
        }
    }
    found
}

fn describe(candidate: &Path, kind: &Kind) -> Option<Runtime> {
    let (interpreter, mut trees) = if kind.question.is_empty() {
        (candidate.to_path_buf(), Vec::new())
    } else {
        let answer = ask(candidate, &kind.question)?;
        let mut lines = answer.lines().map(PathBuf::from);
        (lines.next()?, lines.collect())
    };
    let interpreter = fs::canonicalize(interpreter).ok()?;
    let is_renamed = kind.question.is_empty() && candidate.file_name() != interpreter.file_name();
    let name = if is_renamed {
        candidate.to_path_buf()
    } else {
        interpreter.clone()
    };
    let folder = interpreter.parent()?;
    let beside = |paths: &[PathBuf]| -> Vec<PathBuf> {
        let there = paths.iter().map(|path| folder.join(path));
        there
            .filter_map(|path| fs::canonicalize(path).ok())
            .collect()
    };
    trees.extend(beside(&kind.beside));
    let libraries = beside(&kind.libraries);
    // A script (a version manager's shim) cannot be the interpreter itself.
    is_elf(&interpreter).then(|| Runtime {
        args: kind.args.clone(),
        trees: outermost(trees),
        libraries,
        extra_calls: kind
            .extra_calls
            .iter()
            .map(|extra| extra.call.clone())
            .collect(),
        asks_name_service: kind.asks_name_service,
        asks_for_terminal: kind.asks_for_terminal,
        overhead_bytes: u64::from(kind.memory.overhead_mib) << 20,
        makes_code: kind.memory.makes_code,
        name,
        interpreter,
    })
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0_u8; 4];
    fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut magic))
        .is_ok()
        && magic == *b"\x7fELF"
}

/// Absolute paths that exist, without those that lie in another of the list.
fn outermost(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.retain(|path| path.is_absolute() && path.exists());
    paths.sort();
    paths.dedup();
    let all = paths.clone();
    paths.retain(|path| {
        !all.iter()
            .any(|other| other != path && path.starts_with(other))
    });
    paths
}

/// Runs a question and returns what was printed; `None` when it fails or takes too long.
fn ask(program: &Path, question: &[impl AsRef<OsStr>]) -> Option<String> {
    let mut child = Command::new(program)
        .args(question)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let output = child.stdout.take()?;
    let (sender, receiver) = std::sync::mpsc::channel();
    // A thread of its own, because a grandchild may hold the output open for as long as it likes.
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = output.take(ANSWER_BYTES).read_to_string(&mut text);
        // When the time is over, nobody receives this any more.
        sender.send(read.ok().map(|_| text)).ok()
    });
    let succeeded = wait(&mut child);
    let text = receiver.recv_timeout(ANSWER_TIME).ok().flatten();
    text.filter(|_| succeeded)
}

/// Waits for a trusted child, and ends it when its time is over.
fn wait(child: &mut Child) -> bool {
    /// The pause between two checks.
    const LOOK: Duration = Duration::from_millis(2);
    let deadline = Instant::now() + ANSWER_TIME;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK),
            Ok(None) | Err(_) => return end(child),
        }
    }
}

/// Ends a child that took too long; its answer does not count.
fn end(child: &mut Child) -> bool {
    // Killing fails only when the child has ended meanwhile, and then waiting succeeds at once.
    let ended = child.kill().and(child.wait().map(drop));
    tracing::debug!(?ended, "an interpreter did not answer in time");
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_paths_are_left_out() {
        let paths = ["/usr/lib", "/usr", "/etc", "relative", "/does/not/exist"]
            .map(PathBuf::from)
            .to_vec();
        assert_eq!(outermost(paths), ["/etc", "/usr"].map(PathBuf::from));
    }

    #[test]
    fn every_data_file_reads() {
        for (name, text) in USUAL {
            let kind: Kind = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(kind.memory.overhead_mib > 0, "{name}");
        }
        assert!(USUAL.is_sorted());
    }

    #[test]
    fn a_shell_is_found_and_is_a_real_program() {
        let shell = find("sh").unwrap();
        assert!(is_elf(&shell.interpreter) && shell.interpreter.is_absolute());
        assert!(find("no-such-runtime").is_none());
    }
}
