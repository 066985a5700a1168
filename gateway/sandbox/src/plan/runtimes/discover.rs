//! Finds the usual interpreters on this host and asks each, once and with a time limit, what it reads.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

use serde::Deserialize;

use super::ask;
use super::environment::Environment;
use super::libraries::Libraries;
use super::search::Search;
use super::{Runtime, Seeds};

/// The usual runtimes and what is known of each.
const USUAL: [(&str, &str); 14] = [
    ("R", include_str!("R.toml")),
    ("awk", include_str!("awk.toml")),
    ("bash", include_str!("bash.toml")),
    ("bun", include_str!("bun.toml")),
    ("deno", include_str!("deno.toml")),
    ("java", include_str!("java.toml")),
    ("jq", include_str!("jq.toml")),
    ("lua", include_str!("lua.toml")),
    ("node", include_str!("node.toml")),
    ("perl", include_str!("perl.toml")),
    ("php", include_str!("php.toml")),
    ("python3", include_str!("python3.toml")),
    ("ruby", include_str!("ruby.toml")),
    ("sh", include_str!("sh.toml")),
];

/// How much of a wrong answer is shown, in characters.
const ANSWER_SHOWN_CHARS: usize = 80;

/// Where interpreters are looked for after PATH, which a service manager may have left empty.
const USUAL_FOLDERS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// A data file: how an interpreter is asked, started and bounded.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Kind {
    /// Other names that it goes by, each a runtime of its own. At the end of a name `*` stands for a number. Without one the name says less
    /// than the usual name, which will do where nothing bears it.
    also: Vec<String>,
    /// Arguments that make it say what it is. What was found may be a version manager's launcher, a script or a program, that starts the
    /// interpreter; whatever it does, the answer is the interpreter's. Empty for a kind of which nothing is known: it is what was found.
    question: Vec<String>,
    /// What the answer is like; without it a line for its real path, one for its version, and then one for each thing that it reads.
    settings: Option<Settings>,
    /// Whether it cannot tell its path: it names a link to it in place of that, and waits until the link has been read.
    waits: bool,
    /// Whether it is many programs, and the one whose name it is called by.
    keeps_name: bool,
    /// What it reads, as paths from its real folder.
    beside: Vec<PathBuf>,
    /// Folders of shared libraries that it would look for beside itself, as paths from its real folder.
    libraries: Vec<PathBuf>,
    /// Names of files that it looks for in each folder above a script.
    looks_for: Vec<String>,
    /// Whether it opens the script for itself before it opens it to run it.
    opens_twice: bool,
    /// Arguments before the script.
    args: Vec<String>,
    /// Words after the script and before the plugin's own arguments, where there are any.
    before_arguments: Vec<String>,
    /// Variables without which it does not start, as `NAME=VALUE`; `{folder}` stands for its real folder. Nothing else goes here: a plugin's
    /// environment is empty but for these.
    environment: Vec<String>,
    /// What a plugin is started with besides whose manifest says that it is deterministic.
    deterministic: Option<Deterministic>,
    /// Further calls, each with its reason.
    extra_calls: Vec<ExtraCall>,
    /// Whether its C library asks its name service who the user is.
    asks_name_service: bool,
    /// Whether it opens its terminal at start.
    asks_for_terminal: bool,
    /// How the path begins of the folder for temporary files that it makes at its start, and without which it ends. It is told that it has made
    /// one, and there is none: whatever it puts there fails.
    pretended_folder: Option<String>,
    /// The same of a folder without which it goes on: its attempt is refused, and is no act of the plugin's.
    tried_folder: Option<String>,
    /// Whether it ends at its start unless it can read the map of its own memory (`/proc/self/maps`).
    reads_own_map: bool,
    memory: Memory,
}

/// An answer of settings, each on a line as `NAME = VALUE`: which of them say where the interpreter is, and what.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The setting that names its home.
    home: String,
    /// The interpreter, as a path from its home.
    program: PathBuf,
    /// The setting that is its version.
    version: String,
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

/// What fixes the order of sets and maps, which many interpreters otherwise choose anew at each start.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Deterministic {
    /// Arguments before all others.
    args: Vec<String>,
    /// Variables, where the interpreter takes it in no other way. These arguments or the usual ones must remove them again before the
    /// plugin's first line, because a plugin's environment is empty.
    environment: Vec<String>,
}

/// What an interpreter said of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    interpreter: PathBuf,
    version: String,
    trees: Vec<PathBuf>,
}

/// The data files, read at the first use.
static KINDS: LazyLock<Vec<(&str, Kind)>> = LazyLock::new(|| {
    let read = |(name, text)| {
        let kind = toml::from_str(text);
        debug_assert!(kind.is_ok(), "a test reads every data file");
        Some((name, kind.ok()?))
    };
    USUAL.into_iter().filter_map(read).collect()
});

/// What is known of any other: nothing.
static UNKNOWN: LazyLock<Kind> = LazyLock::new(Kind::default);

/// What is known of the runtime of this name, and its usual name; of others, nothing.
fn kind(name: &str) -> Option<(&'static str, &'static Kind)> {
    let is_meant = |(usual, kind): &&(&str, Kind)| {
        *usual == name || kind.also.iter().any(|also| fits(name, also))
    };
    let (usual, kind) = KINDS.iter().find(is_meant)?;
    Some((usual, kind))
}

/// Whether a name is this one, or its beginning with a number.
fn fits(name: &str, also: &str) -> bool {
    let Some(beginning) = also.strip_suffix('*') else {
        return name == also;
    };
    let number = name.strip_prefix(beginning).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The version that a name asks for: `3.11` of `python3.11`, nothing of `node`.
fn version_asked_for(name: &str) -> &str {
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    name.strip_prefix(letters).unwrap_or_default()
}

/// Whether a version is the one that is asked for, or one of its kind.
fn is_version(version: &str, asked_for: &str) -> bool {
    let rest = version.strip_prefix(asked_for);
    asked_for.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The folders in which interpreters are looked for.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(USUAL_FOLDERS.map(PathBuf::from));
    folders.filter(|folder| folder.is_absolute()).collect()
}

/// Every file of a usual runtime's name on PATH and in the usual folders; none for other names.
pub(super) fn candidates(name: &str) -> Option<Vec<PathBuf>> {
    let (usual, _) = kind(name)?;
    let mut names = vec![name];
    if version_asked_for(name).is_empty() && usual != name {
        names.push(usual);
    }
    let mut found: Vec<PathBuf> = Vec::new();
    let folders = folders();
    let files = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    for file in files {
        if file.is_file() && !found.contains(&file) {
            found.push(file);
        }
    }
    Some(found)
}

/// The usual names, and those others that something on this host bears.
pub(super) fn names() -> Vec<String> {
    let usual = KINDS.iter().map(|(name, _)| (*name).to_owned());
    let entries = folders()
        .into_iter()
        .filter_map(|folder| fs::read_dir(folder).ok());
    let files = entries.flatten().flatten();
    let borne = files.filter_map(|file| file.file_name().into_string().ok());
    let others = borne.filter(|name| kind(name).is_some_and(|(usual, _)| usual != name));
    usual.chain(others).collect()
}

/// The interpreter that is at `candidate`, or that this starts. Of an unusual name nothing more is known.
///
/// # Errors
/// With the reason, in words, when there is none.
pub(super) fn describe(name: &str, candidate: &Path) -> Result<Runtime, String> {
    let (usual, kind) = kind(name).unwrap_or(("", &UNKNOWN));
    let mut answer = kind.ask(candidate)?;
    for asked_for in [usual, name].map(version_asked_for) {
        if !usual.is_empty() && !is_version(&answer.version, asked_for) {
            return Err(format!("it is version {}", answer.version.escape_debug()));
        }
    }
    let real = |path: &Path| {
        let real = fs::canonicalize(path);
        real.map_err(|error| format!("'{}' cannot be found: {error}", path.display()))
    };
    let interpreter = real(&answer.interpreter)?;
    // A script (a version manager's shim) cannot be the interpreter itself.
    if !is_elf(&interpreter) {
        return Err(format!("'{}' is no program", interpreter.display()));
    }
    let is_link =
        interpreter == real(candidate)? && candidate.file_name() != interpreter.file_name();
    let name = if is_link && (kind.keeps_name || kind.question.is_empty()) {
        candidate.to_path_buf()
    } else {
        interpreter.clone()
    };
    let folder = interpreter.parent().unwrap_or(&interpreter);
    let beside = |paths: &[PathBuf]| -> Vec<PathBuf> {
        let there = paths.iter().map(|path| folder.join(path));
        there
            .filter_map(|path| fs::canonicalize(path).ok())
            .collect()
    };
    answer.trees.extend(beside(&kind.beside));
    let extra_calls = kind.extra_calls.iter();
    let environment = kind.environment(folder)?;
    let seeds = kind.deterministic.as_ref();
    Ok(Runtime {
        found_at: candidate.to_path_buf(),
        version: answer.version,
        passed_over: Vec::new(),
        args: kind.args.clone(),
        before_arguments: kind.before_arguments.clone(),
        seeds: seeds.and_then(|seeds| seeds.seeds(&environment)),
        environment,
        search: Search {
            modules: missing(&answer.trees),
            above: kind.looks_for.clone(),
            ..Search::default()
        },
        reads_before_start: if kind.opens_twice { 2 } else { 1 },
        trees: outermost(answer.trees),
        libraries: beside(&kind.libraries),
        started_with: Libraries::default(),
        compared: OnceLock::new(),
        extra_calls: extra_calls.map(|extra| extra.call.clone()).collect(),
        asks_name_service: kind.asks_name_service,
        asks_for_terminal: kind.asks_for_terminal,
        pretended_folder: kind.pretended_folder.as_deref(),
        tried_folder: kind.tried_folder.as_deref(),
        reads_own_map: kind.reads_own_map,
        overhead_bytes: u64::from(kind.memory.overhead_mib) << 20,
        makes_code: kind.memory.makes_code,
        name,
        interpreter,
    })
}

impl Kind {
    /// What an interpreter that lies in this folder has in its environment.
    fn environment(&self, folder: &Path) -> Result<Environment, String> {
        let folder = folder.to_str().ok_or("its folder's name is no text")?;
        let lines: Vec<String> = self
            .environment
            .iter()
            .map(|line| line.replace("{folder}", folder))
            .collect();
        Environment::of_data_file(&lines)
            .ok_or_else(|| "its data file names variables that cannot be set".to_owned())
    }

    fn ask(&self, candidate: &Path) -> Result<Answer, String> {
        if self.question.is_empty() {
            return Ok(Answer {
                interpreter: candidate.to_path_buf(),
                ..Answer::default()
            });
        }
        let mut command = Command::new(candidate);
        command.args(&self.question);
        let said = if self.waits {
            ask::ask_for_link(&mut command)
        } else {
            ask::ask(&mut command)
        }?;
        let answer = match &self.settings {
            Some(settings) => settings.read(&(said.output.clone() + &said.errors)),
            None => lines(&said.output),
        };
        answer.ok_or_else(|| {
            let line = said.output.lines().next().unwrap_or_default();
            let shown: String = line.chars().take(ANSWER_SHOWN_CHARS).collect();
            format!(
                "it does not say where it is, but '{}'",
                shown.escape_debug()
            )
        })
    }
}

impl Deterministic {
    /// With what the interpreter has in its environment in any case.
    fn seeds(&self, always: &Environment) -> Option<Seeds> {
        let own = Environment::of_data_file(&self.environment);
        let environment = own.and_then(|own| always.and(&own));
        debug_assert!(environment.is_some(), "a test reads every data file");
        Some(Seeds {
            args: self.args.clone(),
            environment: environment?,
        })
    }
}

impl Settings {
    fn read(&self, text: &str) -> Option<Answer> {
        let value = |name: &str| {
            let mut settings = text.lines().filter_map(|line| line.split_once(" = "));
            settings.find_map(|(key, value)| (key.trim() == name).then(|| value.trim()))
        };
        Some(Answer {
            interpreter: Path::new(value(&self.home)?).join(&self.program),
            version: value(&self.version).unwrap_or_default().to_owned(),
            trees: Vec::new(),
        })
    }
}

fn lines(text: &str) -> Option<Answer> {
    let mut lines = text.lines();
    let interpreter = PathBuf::from(lines.next()?);
    interpreter.is_absolute().then(|| Answer {
        interpreter,
        version: lines.next().unwrap_or_default().to_owned(),
        trees: lines.map(PathBuf::from).collect(),
    })
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0_u8; 4];
    fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut magic))
        .is_ok()
        && magic == *b"\x7fELF"
}

/// Absolute paths that do not exist.
fn missing(paths: &[PathBuf]) -> Vec<PathBuf> {
    let missing = |path: &&PathBuf| path.is_absolute() && !path.exists();
    paths.iter().filter(missing).cloned().collect()
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
    fn every_data_file_reads_and_asks() {
        for (name, text) in USUAL {
            let kind: Kind = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(kind.memory.overhead_mib > 0, "{name}");
            assert!(!kind.question.is_empty(), "{name}");
            let always = kind.environment(Path::new("/x")).unwrap();
            if let Some(deterministic) = kind.deterministic {
                let seeds = deterministic.seeds(&always).unwrap();
                assert!(!seeds.args.is_empty() || seeds.environment != always);
            }
        }
        assert!(USUAL.is_sorted());
    }

    #[test]
    fn a_name_with_a_number_is_a_version() {
        let usual = |name: &str| kind(name).map(|(usual, _)| usual);
        for name in ["python", "python3", "python3.9", "python3.14"] {
            assert_eq!(usual(name), Some("python3"), "{name}");
        }
        for name in [
            "python2",
            "python3.",
            "python3.1t",
            "python3.9.1",
            "pythonw",
        ] {
            assert_eq!(usual(name), None, "{name}");
        }
        assert_eq!(version_asked_for("python3.11"), "3.11");
        assert_eq!(version_asked_for("node"), "");
        assert!(
            is_version("3.11.2", "3.11") && is_version("3.11.2", "") && is_version("5.4", "5.4")
        );
        assert!(
            !is_version("3.1.2", "3.11") && !is_version("3.11.2", "3.1") && !is_version("", "3")
        );
    }

    #[test]
    fn an_interpreter_of_another_version_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let Some(python) = candidates("python3").and_then(|found| found.into_iter().next()) else {
            return skip::skip("python3 is not installed");
        };
        let other = folder.path().join("python3.99");
        let shim = format!("#!/bin/sh\nexec '{}' \"$@\"\n", python.display());
        fs::write(&other, shim).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&other, mode).unwrap();
        let refused = describe("python3.99", &other).unwrap_err();
        assert!(refused.contains("it is version 3."), "{refused}");
        assert!(describe("python", &other).is_ok());
    }

    #[test]
    fn a_shell_is_found_and_is_a_real_program() {
        let shell = describe("sh", &candidates("sh").unwrap()[0]).unwrap();
        assert!(is_elf(&shell.interpreter) && shell.interpreter.is_absolute());
        assert_eq!(candidates("no-such-runtime"), None);
    }

    #[test]
    fn answers_are_read() {
        let java = Settings {
            home: "java.home".to_owned(),
            program: "bin/java".into(),
            version: "java.version".to_owned(),
        };
        let text = "Property settings:\n    java.home = /usr/lib/j m\n    java.version = 17.0\n    java.version.date = 2021\n";
        let answer = java.read(text).unwrap();
        assert_eq!(answer.interpreter, Path::new("/usr/lib/j m/bin/java"));
        assert_eq!(answer.version, "17.0");
        assert_eq!(java.read("java version"), None);
        let answer = lines("/usr/bin/x\n1.2\n/usr/lib/x\n").unwrap();
        assert_eq!(answer.trees, ["/usr/lib/x"].map(PathBuf::from));
        assert_eq!(lines("usage: x [-h]\n"), None);
        assert_eq!(lines(""), None);
    }
}
