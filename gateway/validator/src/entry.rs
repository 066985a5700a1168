//! What a manifest's entrypoint starts, told apart by its form alone; it never looks whether the files exist.

use std::borrow::Cow;

use plugin_protocol::manifest::Entrypoint;
use plugin_protocol::shown::is_plain;

/// The longest path inside a package, in bytes; the registry refuses a longer one.
const MAX_PATH_BYTES: usize = 255;
/// The most arguments after the program (contract, section 4). The sandbox has room for no more, but would refuse them only when a plugin is started.
const MAX_ARGUMENTS: usize = 256;
/// The longest argument, in bytes (contract, section 4).
const MAX_ARGUMENT_BYTES: usize = 4096;
/// The longest name of a runtime, in bytes.
const MAX_RUNTIME_BYTES: usize = 32;

/// What is started for a call. Paths are inside the package, without a leading `./`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A program of the package.
    Program {
        /// Its path.
        path: String,
        /// Its arguments.
        args: Vec<String>,
    },
    /// A script of the package behind one of the operator's runtimes.
    Runtime {
        /// The runtime's name.
        name: String,
        /// The script's path.
        script: String,
        /// What follows the script.
        args: Vec<String>,
    },
    /// A JavaScript module of the package, run under Node.
    Worker {
        /// The module's path.
        file: String,
        /// The exported function.
        export: String,
    },
}

/// What is wrong with an entrypoint, and where below `/entrypoint`.
pub(super) type EntryFault = (Cow<'static, str>, String);

impl Entry {
    /// Reads an entrypoint. A first word that holds a `/` or stands alone is a path; any other is a runtime's name, and its script follows.
    pub(super) fn of(entrypoint: &Entrypoint) -> Result<Self, EntryFault> {
        match entrypoint {
            // How a server is spoken to differs, not how it is started.
            Entrypoint::Process { command } | Entrypoint::Mcp { command } => {
                Self::of_command(command)
            }
            Entrypoint::Worker { file, export } => {
                if export.len() > MAX_PATH_BYTES {
                    let bytes = export.len();
                    let why = format!(
                        "is a name of {bytes} bytes, where at most {MAX_PATH_BYTES} are allowed: export the function under a shorter one"
                    );
                    return Err((Cow::Borrowed("/export"), why));
                }
                if !is_export(export) {
                    let why = "must be the name of an exported function: letters, digits, '_' and '$', not starting with a digit, for instance \"handleRequest\"";
                    return Err((Cow::Borrowed("/export"), why.to_owned()));
                }
                Ok(Self::Worker {
                    file: inside(file).map_err(|why| (Cow::Borrowed("/file"), why))?,
                    export: export.clone(),
                })
            }
        }
    }

    fn of_command(command: &[String]) -> Result<Self, EntryFault> {
        bounded(command)?;
        let first = |why| (Cow::Borrowed("/command/0"), why);
        match command {
            [] => Err((
                Cow::Borrowed("/command"),
                "must name a program: for instance [\"./hello\"]".to_owned(),
            )),
            [path] => Ok(Self::Program {
                path: inside(path).map_err(first)?,
                args: Vec::new(),
            }),
            [path, args @ ..] if path.contains('/') => Ok(Self::Program {
                path: inside(path).map_err(first)?,
                args: args.to_vec(),
            }),
            [name, script, args @ ..] => {
                if !is_runtime(name) {
                    let why = "must be a path inside the package with a '/', for instance \"./hello\", or a runtime's name of letters, 0-9, '.', '_', '+' and '-', for instance \"python3\"";
                    return Err(first(why.to_owned()));
                }
                let script = inside(script).map_err(|why| {
                    (
                        Cow::Borrowed("/command/1"),
                        format!("after the runtime '{name}' comes its script: {why}"),
                    )
                })?;
                Ok(Self::Runtime {
                    name: name.clone(),
                    script,
                    args: args.to_vec(),
                })
            }
        }
    }
}

/// Checks that the kernel and the sandbox can start a program with these words: their number, their lengths, and no zero byte.
fn bounded(command: &[String]) -> Result<(), EntryFault> {
    let count = command.len().saturating_sub(1);
    if count > MAX_ARGUMENTS {
        let why = format!(
            "gives the program {count} arguments, where at most {MAX_ARGUMENTS} are allowed: put the rest into a file of the package"
        );
        return Err((Cow::Borrowed("/command"), why));
    }
    for (at, word) in command.iter().enumerate() {
        let why = if word.len() > MAX_ARGUMENT_BYTES {
            format!(
                "is an argument of {} bytes, where at most {MAX_ARGUMENT_BYTES} are allowed: put it into a file of the package",
                word.len()
            )
        } else if word.contains('\0') {
            "holds a zero byte, at which every program would see the argument end: leave it out"
                .to_owned()
        } else {
            continue;
        };
        return Err((Cow::Owned(format!("/command/{at}")), why));
    }
    Ok(())
}

/// The path without a leading `./`, or why it is not a path inside a package.
pub(super) fn inside(path: &str) -> Result<String, String> {
    let rest = path.strip_prefix("./").unwrap_or(path);
    let why = if path.starts_with('/') {
        "it is absolute"
    } else if rest.split('/').any(|part| part == "..") {
        "it holds '..'"
    } else if rest.split('/').any(|part| matches!(part, "" | ".")) {
        "it holds an empty part or '.'"
    } else if !path.chars().all(is_plain) {
        "it holds a control or invisible character"
    } else if rest.len() > MAX_PATH_BYTES {
        "it is longer than 255 bytes"
    } else if rest == "plugin.sig" {
        "the signature is not part of what it signs"
    } else {
        return Ok(rest.to_owned());
    };
    let shown = super::words::quoted(path);
    Err(format!(
        "{shown} is not a path inside the package ({why}): write it relative to plugin.json, for instance \"./hello\""
    ))
}

fn is_runtime(name: &str) -> bool {
    let inner =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-');
    (1..=MAX_RUNTIME_BYTES).contains(&name.len())
        && name.bytes().all(inner)
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
}

fn is_export(name: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    name.len() <= MAX_PATH_BYTES
        && name.chars().all(inner)
        && name.chars().next().is_some_and(|first| !first.is_numeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(command: &[&str]) -> Result<Entry, EntryFault> {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Entry::of(&Entrypoint::Process { command })
    }

    fn worker(file: &str, export: &str) -> Result<Entry, EntryFault> {
        Entry::of(&Entrypoint::Worker {
            file: file.to_owned(),
            export: export.to_owned(),
        })
    }

    /// "`command[0]` is a path inside the package, or one of the operator's runtimes … followed by a path inside the package"
    #[test]
    fn commands_are_told_apart_by_their_first_word() {
        let program = |path: &str, args: &[&str]| Entry::Program {
            path: path.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        };
        assert_eq!(entry(&["./hello"]), Ok(program("hello", &[])));
        assert_eq!(
            entry(&["bin/hello", "-v"]),
            Ok(program("bin/hello", &["-v"]))
        );
        assert_eq!(entry(&["hello"]), Ok(program("hello", &[])));
        let python = Entry::Runtime {
            name: "python3".to_owned(),
            script: "main.py".to_owned(),
            args: vec!["x".to_owned()],
        };
        assert_eq!(entry(&["python3", "./main.py", "x"]), Ok(python));
    }

    #[test]
    fn paths_that_leave_the_package_are_refused() {
        for bad in [
            "/bin/sh",
            "../hello",
            "a/../../b",
            "./",
            "a//b",
            "a/./b",
            "./plugin.sig",
            "a\n/b",
            "",
        ] {
            assert!(entry(&[bad]).is_err(), "{bad}");
            assert!(entry(&["python3", bad]).is_err(), "{bad}");
            assert!(worker(bad, "run").is_err(), "{bad}");
        }
        assert!(entry(&[&"a".repeat(256)]).is_err());
        assert!(entry(&[]).is_err());
    }

    /// "At most 256 arguments of 4,096 bytes each, checked here and not later"
    #[test]
    fn arguments_are_few_and_short() {
        let long = "x".repeat(MAX_ARGUMENT_BYTES);
        let with = |first: &[&'static str], count: usize, word: &str| {
            let words = first.iter().map(|word| (*word).to_owned());
            let rest = std::iter::repeat_n(word.to_owned(), count + 1 - first.len());
            let command = words.chain(rest).collect();
            Entry::of(&Entrypoint::Process { command })
        };
        for first in [&["./hello"][..], &["python3", "main.py"]] {
            assert!(with(first, 256, &long).is_ok());
            let (place, why) = with(first, 257, "a").unwrap_err();
            assert_eq!(place, "/command");
            assert!(why.contains("257") && why.contains("at most 256"), "{why}");
            let (place, why) = with(first, 3, &format!("{long}y")).unwrap_err();
            assert_eq!(place, format!("/command/{}", first.len()));
            assert!(
                why.contains("4097") && why.contains("at most 4096"),
                "{why}"
            );
            let (place, why) = with(first, 3, "a\0b").unwrap_err();
            assert_eq!(place, format!("/command/{}", first.len()));
            assert!(why.contains("zero byte"), "{why}");
        }
        // Letters of two bytes: bytes are counted.
        assert!(entry(&["./hello", &"é".repeat(2049)]).is_err());
        let (place, why) = worker("dist/worker.js", &"a".repeat(5000)).unwrap_err();
        assert_eq!(place, "/export");
        assert!(why.contains("5000") && why.contains("at most 255"), "{why}");
        assert_eq!(worker(&"a".repeat(5000), "run").unwrap_err().0, "/file");
    }

    #[test]
    fn runtimes_and_exports_are_plain_names() {
        for bad in ["3python", "-c", "py thon", ""] {
            assert!(entry(&[bad, "main.py"]).is_err(), "{bad}");
        }
        for good in ["python3.11", "R"] {
            assert!(entry(&[good, "main"]).is_ok(), "{good}");
        }
        assert!(worker("dist/worker.js", "handleRequest").is_ok());
        for bad in ["", "a-b", "1a", "a()"] {
            assert!(worker("dist/worker.js", bad).is_err(), "{bad}");
        }
    }
}
