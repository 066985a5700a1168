//! Finds the usual interpreters on this host and asks each, once and with a time limit, what it reads.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::runtimes::{MemoryRule, Runtime};

/// The names that are looked for.
pub(super) const NAMES: [&str; 5] = ["node", "perl", "python3", "ruby", "sh"];

/// How long an interpreter may take to say where it is: version managers start through slow shell scripts.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes; a list of library folders is far shorter.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Where interpreters are looked for after PATH, which a service manager may have left empty.
const USUAL_FOLDERS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

const MIB: u64 = 1 << 20;

/// How an interpreter is asked and started.
struct Kind {
    /// Arguments that make it print its real path and then, a line each, what it reads. Empty: it is a program that reads nothing else.
    question: &'static [&'static str],
    /// Arguments before the script.
    args: &'static [&'static str],
    memory: MemoryRule,
}

/// What python answers: itself, its standard library, and the libraries that are mapped right now.
const PYTHON_QUESTION: &str = r#"
import sys, os
base = getattr(sys, "_base_executable", None) or sys.executable
print(os.path.realpath(base))
print(os.path.dirname(os.path.realpath(os.__file__)))
for path in sys.path:
    if path.startswith(sys.base_prefix) and "site-packages" not in path and "dist-packages" not in path:
        print(path)
for line in open("/proc/self/maps"):
    if ".so" in line and "/" in line:
        print(line[line.index("/"):].strip())
"#;

/// Starts a script in an environment that is empty also after python has set its own locale variable, and with
/// the script's folder on the module path; `-S` leaves out site, which would read half the host.
const PYTHON_BOOT: &str = include_str!("python_boot.py");

fn kind(name: &str) -> Option<Kind> {
    let memory = |overhead_bytes| MemoryRule {
        overhead_bytes,
        heap_argument: None,
        makes_code: false,
    };
    let kind = match name {
        "python3" => Kind {
            question: &["-I", "-S", "-c", PYTHON_QUESTION],
            args: &["-B", "-S", "-X", "utf8", "-c", PYTHON_BOOT],
            memory: memory(32 * MIB),
        },
        "node" => Kind {
            question: &["-p", "process.execPath"],
            args: &[],
            memory: MemoryRule {
                // Eleven threads with stacks of 8 MiB, code, and V8's young generation.
                overhead_bytes: 512 * MIB,
                heap_argument: Some("--max-old-space-size={mib}".to_owned()),
                makes_code: true,
            },
        },
        "perl" => Kind {
            question: &["-e", r#"print map { "$_\n" } $^X, @INC"#],
            args: &[],
            memory: memory(16 * MIB),
        },
        "ruby" => Kind {
            question: &["--disable=gems", "-e", "puts RbConfig.ruby, $LOAD_PATH"],
            args: &["--disable=gems"],
            memory: memory(128 * MIB),
        },
        "sh" => Kind {
            question: &[],
            args: &[],
            memory: memory(4 * MIB),
        },
        _ => return None,
    };
    Some(kind)
}

/// Finds the first interpreter of this name that answers.
pub(super) fn find(name: &str) -> Option<Runtime> {
    let kind = kind(name)?;
    candidates(name)
        .into_iter()
        .find_map(|candidate| describe(&candidate, &kind))
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
    let (interpreter, trees) = if kind.question.is_empty() {
        (candidate.to_path_buf(), Vec::new())
    } else {
        let answer = ask(candidate, kind.question)?;
        let mut lines = answer.lines().map(PathBuf::from);
        (lines.next()?, lines.collect())
    };
    let interpreter = fs::canonicalize(interpreter).ok()?;
    // A script (a version manager's shim) cannot be the interpreter itself.
    is_elf(&interpreter).then(|| Runtime {
        interpreter,
        args: kind.args.iter().map(|&arg| arg.to_owned()).collect(),
        trees: outermost(trees),
        memory: kind.memory.clone(),
        extra_calls: Vec::new(),
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
        // Nobody listens any more when the time is over.
        sender.send(read.ok().map(|_| text)).ok()
    });
    let succeeded = wait(&mut child);
    let text = receiver.recv_timeout(ANSWER_TIME).ok().flatten();
    text.filter(|_| succeeded)
}

/// Waits for a trusted child, and ends it when its time is over.
fn wait(child: &mut Child) -> bool {
    /// Between two looks.
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
    // Killing fails only when it has ended meanwhile, and then waiting works all the more.
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
    fn a_shell_is_found_and_is_a_real_program() {
        let shell = find("sh").unwrap();
        assert!(is_elf(&shell.interpreter) && shell.interpreter.is_absolute());
        assert!(find("no-such-runtime").is_none());
    }
}
