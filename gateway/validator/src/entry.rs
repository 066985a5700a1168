//! What a manifest's entrypoint starts, told apart by its form alone; it never looks whether the files exist.

use plugin_protocol::manifest::Entrypoint;
use plugin_protocol::shown::is_plain;

/// The longest path inside a package, in bytes; the registry takes no longer ones in.
const MAX_PATH_BYTES: usize = 255;
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
pub(super) type EntryFault = (&'static str, String);

impl Entry {
    /// Reads an entrypoint: a first word with a `/`, or alone, is a path; any other is a runtime, and its script follows.
    pub(super) fn of(entrypoint: &Entrypoint) -> Result<Self, EntryFault> {
        match entrypoint {
            Entrypoint::Process { command } => Self::of_command(command),
            Entrypoint::Worker { file, export } => {
                if !is_export(export) {
                    let why = "must be the name of an exported function: letters, digits, '_' and '$', not starting with a digit, for instance \"handleRequest\"";
                    return Err(("/export", why.to_owned()));
                }
                Ok(Self::Worker {
                    file: inside(file).map_err(|why| ("/file", why))?,
                    export: export.clone(),
                })
            }
        }
    }

    fn of_command(command: &[String]) -> Result<Self, EntryFault> {
        match command {
            [] => Err((
                "/command",
                "must name a program: for instance [\"./hello\"]".to_owned(),
            )),
            [path] => Ok(Self::Program {
                path: inside(path).map_err(|why| ("/command/0", why))?,
                args: Vec::new(),
            }),
            [path, args @ ..] if path.contains('/') => Ok(Self::Program {
                path: inside(path).map_err(|why| ("/command/0", why))?,
                args: args.to_vec(),
            }),
            [name, script, args @ ..] => {
                if !is_runtime(name) {
                    let why = "must be a path inside the package with a '/', for instance \"./hello\", or a runtime's name of a-z, 0-9, '.', '_', '+' and '-', for instance \"python3\"";
                    return Err(("/command/0", why.to_owned()));
                }
                let script = inside(script).map_err(|why| {
                    (
                        "/command/1",
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
    let inner = |byte: u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(byte, b'.' | b'_' | b'+' | b'-')
    };
    (1..=MAX_RUNTIME_BYTES).contains(&name.len())
        && name.bytes().all(inner)
        && name.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
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

    #[test]
    fn runtimes_and_exports_are_plain_names() {
        for bad in ["Python3", "-c", "py thon", ""] {
            assert!(entry(&[bad, "main.py"]).is_err(), "{bad}");
        }
        assert!(worker("dist/worker.js", "handleRequest").is_ok());
        for bad in ["", "a-b", "1a", "a()"] {
            assert!(worker("dist/worker.js", bad).is_err(), "{bad}");
        }
    }
}
