//! The interpreters that plugins may name: where they are, what they read and what they need.
//!
//! The usual ones are described by data files beside this one. An interpreter is looked for at the first use of its name, so that a
//! gateway that runs no script starts none.

mod ask;
mod discover;
pub(crate) mod environment;
pub(crate) mod libraries;
pub(crate) mod search;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use self::environment::Environment;
use self::libraries::Libraries;
use self::search::Search;
use crate::error::Error;

/// What runs the older form of entry: it reads the request, calls the exported function with it and wraps what that returns.
pub(crate) const WORKER_SHIM: &str = include_str!("worker_shim.js");

/// The runtime that runs the older form of entry.
pub(crate) const WORKER_RUNTIME: &str = "node";

/// What an operator says of a runtime. What is left out is as for the usual runtime of that name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimeChoice {
    /// The interpreter's path; without it the usual places are searched.
    pub interpreter: Option<PathBuf>,
    /// Arguments before the script; `{mib}` stands for the plugin's memory limit. They replace the usual ones, and those that fix hash seeds.
    pub args: Option<Vec<String>>,
    /// Folders and files that the interpreter reads.
    pub trees: Option<Vec<PathBuf>>,
    /// Folders of shared libraries that the interpreter would look for beside itself; a jail without /proc cannot tell it
    /// where that is.
    pub libraries: Option<Vec<PathBuf>>,
    /// System calls beyond the runtime class's list, by name.
    pub extra_calls: Option<Vec<String>>,
    /// Whether its C library asks its name service who the user is; that is then a probe.
    pub asks_name_service: Option<bool>,
    /// Memory in MiB that the interpreter takes for itself.
    pub overhead_mib: Option<u32>,
    /// Whether the interpreter makes code at run time.
    pub makes_code: Option<bool>,
}

/// One interpreter, found and ready to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Runtime {
    /// The interpreter's real path.
    pub(crate) interpreter: PathBuf,
    /// The path that it is started under. This is the path where it was found, because a program that is many programs (BusyBox) acts as
    /// the one whose name it is called by; or its real path, where it was asked for that or the name is the same.
    pub(crate) name: PathBuf,
    /// Where it was found: at itself, or at what starts it.
    pub(crate) found_at: PathBuf,
    /// As it says itself; empty where it says none.
    pub(crate) version: String,
    /// What bears its name as well, came first and could not be used, with the reason.
    pub(crate) passed_over: Vec<String>,
    /// Arguments before the script; `{mib}` stands for the plugin's memory limit.
    pub(crate) args: Vec<String>,
    /// Words after the script and before the plugin's own arguments, where there are any.
    pub(crate) before_arguments: Vec<String>,
    /// The variables without which it does not start.
    pub(crate) environment: Environment,
    /// What a deterministic plugin is started with besides; none where nothing is to be said.
    pub(crate) seeds: Option<Seeds>,
    /// Folders and files that it may read; those that do not exist are left out.
    pub(crate) trees: Vec<PathBuf>,
    /// Folders of shared libraries that it would look for beside itself.
    pub(crate) libraries: Vec<PathBuf>,
    /// The libraries that it is started with.
    pub(crate) started_with: Libraries,
    /// Where it searches by itself.
    pub(crate) search: Search,
    /// How many files of the package it opens before anything of the package can run.
    pub(crate) reads_before_start: u32,
    /// Set once its loader was asked inside, and named the same libraries.
    pub(crate) compared: OnceLock<()>,
    /// System calls beyond the runtime class's list, by name.
    pub(crate) extra_calls: Vec<String>,
    /// Whether its C library asks its name service who the user is; that is then no violation.
    pub(crate) asks_name_service: bool,
    /// Whether it opens its terminal at start, which is then a probe.
    pub(crate) asks_for_terminal: bool,
    /// How the folder's path begins that it makes at its start, and is told to have made.
    pub(crate) pretended_folder: Option<&'static str>,
    /// How the folder's path begins that it tries to make at its start, and does without.
    pub(crate) tried_folder: Option<&'static str>,
    /// Whether it cannot start without the map of its own memory.
    pub(crate) reads_own_map: bool,
    /// Memory in bytes that the interpreter takes for itself, beside the plugin's own.
    pub(crate) overhead_bytes: u64,
    /// Whether the interpreter makes code at run time and so needs executable memory.
    pub(crate) makes_code: bool,
}

/// What makes an interpreter's order of sets and maps the same at each start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seeds {
    /// Arguments before all others.
    pub(crate) args: Vec<String>,
    /// What stands in the environment then: what the interpreter always has there, and what it takes in no other way. The arguments remove
    /// the latter again before the plugin's first line.
    pub(crate) environment: Environment,
}

/// The table of runtimes, by name. Copies share what was found.
#[derive(Debug, Clone, Default)]
pub struct Runtimes {
    chosen: BTreeMap<String, RuntimeChoice>,
    found: Arc<Mutex<BTreeMap<String, Found>>>,
}

/// A runtime that was looked for, or why there is none, in words.
type Found = Result<Arc<Runtime>, String>;

impl Runtimes {
    /// The runtime of this name. The first question about a name may run the interpreter once, to ask what it reads.
    ///
    /// # Errors
    /// When no runtime has this name; with the reason, where its interpreter was looked for in vain.
    pub(crate) fn look_up(&self, name: &str) -> Result<Arc<Runtime>, Error> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match found.get(name) {
            Some(known) => known.clone(),
            None => {
                let runtime = self.find(name)?.map(Arc::new);
                found.insert(name.to_owned(), runtime.clone());
                runtime
            }
        };
        found.map_err(|reason| Error::NoInterpreter {
            name: name.to_owned(),
            reason,
        })
    }

    /// Why this host has no interpreter for the runtime of this name; none where it has one.
    #[must_use]
    pub fn obstacle(&self, name: &str) -> Option<Error> {
        self.look_up(name).err()
    }

    /// The same, where the reason is of no interest.
    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Runtime>> {
        self.look_up(name).ok()
    }

    /// Takes over an operator's choice for a runtime. It does not reach copies that were made before.
    pub fn choose(&mut self, name: &str, choice: RuntimeChoice) {
        self.chosen.insert(name.to_owned(), choice);
        self.found = Arc::default();
    }

    /// The names that are known, sorted; a usual name whose interpreter is not installed is among them.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let chosen = self.chosen.keys().cloned();
        let mut names: Vec<String> = chosen.chain(discover::names()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The first that can be used of what the operator names, or of what bears its name.
    fn find(&self, name: &str) -> Result<Result<Runtime, String>, Error> {
        let default = RuntimeChoice::default();
        let choice = self.chosen.get(name).unwrap_or(&default);
        let named = choice.interpreter.as_ref().map(|named| vec![named.clone()]);
        let Some(candidates) = named.or_else(|| discover::candidates(name)) else {
            let name = name.to_owned();
            return Err(Error::UnknownRuntime { name });
        };
        let mut passed_over = Vec::new();
        for candidate in candidates {
            let runtime = discover::describe(name, &candidate);
            match runtime.and_then(|runtime| runtime.completed(choice)) {
                Ok(runtime) => {
                    return Ok(Ok(Runtime {
                        passed_over,
                        ..runtime
                    }));
                }
                Err(why) => passed_over.push(format!("'{}': {why}", candidate.display())),
            }
        }
        Ok(Err(if passed_over.is_empty() {
            NOT_INSTALLED.to_owned()
        } else {
            passed_over.join("; ")
        }))
    }
}

/// Why there is no interpreter, where nothing bears its name.
const NOT_INSTALLED: &str = "it is not installed";

/// Whether a loader is that of the C library musl.
pub(crate) fn is_musl(loader: &Path) -> bool {
    let name = loader.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b"ld-musl-")
}

impl Runtime {
    /// With what an operator says, and with its libraries.
    fn completed(mut self, choice: &RuntimeChoice) -> Result<Self, String> {
        self.adopt(choice);
        // After the operator's words, which may say where they are.
        self.started_with = Libraries::find(&self.interpreter, &self.libraries)?;
        let libraries = self.started_with.paths().iter().chain([&self.interpreter]);
        let folders = libraries.filter_map(|path| path.parent());
        self.search.libraries = folders.map(search::plain).collect();
        Ok(self)
    }

    /// In words: what it is, and what was passed over for it.
    pub(crate) fn told(&self) -> String {
        let mut words = format!("'{}'", self.interpreter.display());
        if !self.version.is_empty() {
            words.push_str(&format!(", version {}", self.version));
        }
        if self.found_at != self.interpreter {
            words.push_str(&format!(", found by '{}'", self.found_at.display()));
        }
        if !self.passed_over.is_empty() {
            words.push_str(&format!("; passed over: {}", self.passed_over.join("; ")));
        }
        words
    }

    /// Takes over what an operator says.
    fn adopt(&mut self, choice: &RuntimeChoice) {
        if let Some(args) = &choice.args {
            self.args.clone_from(args);
            // Nothing would remove the variables again that the usual arguments remove.
            self.seeds = None;
        }
        if let Some(trees) = &choice.trees {
            self.trees.clone_from(trees);
        }
        if let Some(libraries) = &choice.libraries {
            self.libraries.clone_from(libraries);
        }
        if let Some(extra_calls) = &choice.extra_calls {
            self.extra_calls.clone_from(extra_calls);
        }
        if let Some(asks_name_service) = choice.asks_name_service {
            self.asks_name_service = asks_name_service;
        }
        if let Some(overhead_mib) = choice.overhead_mib {
            self.overhead_bytes = u64::from(overhead_mib) << 20;
        }
        if let Some(makes_code) = choice.makes_code {
            self.makes_code = makes_code;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operators_words_replace_the_usual_ones_and_no_others() {
        let usual = Runtimes::default();
        let before = usual.get("sh").unwrap();
        let mut runtimes = Runtimes::default();
        let choice = RuntimeChoice {
            args: Some(vec!["-e".to_owned()]),
            overhead_mib: Some(9),
            ..RuntimeChoice::default()
        };
        runtimes.choose("sh", choice);
        let after = runtimes.get("sh").unwrap();
        assert_eq!(
            (after.args.as_slice(), after.overhead_bytes),
            (&["-e".to_owned()][..], 9 << 20)
        );
        assert_eq!(
            (&after.interpreter, &after.trees),
            (&before.interpreter, &before.trees)
        );
    }

    #[test]
    fn a_runtime_of_another_name_needs_only_an_interpreter() {
        let mut runtimes = Runtimes::default();
        let choice = RuntimeChoice {
            interpreter: Some("/bin/sh".into()),
            ..RuntimeChoice::default()
        };
        assert!(runtimes.get("tcl").is_none());
        runtimes.choose("tcl", choice);
        assert!(runtimes.get("tcl").unwrap().interpreter.is_absolute());
        let names = runtimes.names();
        assert!(
            ["tcl", "node"]
                .iter()
                .all(|name| names.iter().any(|known| known == name))
        );
    }

    /// A process that is started ahead of its request has its module behind it when the request comes. Each kind of module says that it is
    /// loaded before anything was written to it, and then answers.
    #[test]
    fn a_worker_is_loaded_before_its_request_is_read_whatever_kind_of_module_it_is() {
        use std::io::{BufRead as _, BufReader, Read as _, Write as _};
        use std::process::{Command, Stdio};

        if Command::new("node").arg("--version").output().is_err() {
            return skip::skip("node is not installed");
        }
        let folder = tempfile::tempdir().unwrap();
        let handle = "(request) => ({ request_id: request.request_id, status: 'ok' })";
        let common = format!("console.log('loaded'); exports.handle = {handle};");
        let default = format!(
            "console.log('loaded'); module.exports = {{ default: {{ handle: {handle} }} }};"
        );
        let module = format!("console.log('loaded'); export const handle = {handle};");
        let waits = format!("await new Promise((go) => setTimeout(go, 1)); {module}");
        for (name, text) in [
            ("common.js", common.as_str()),
            ("common.cjs", &common),
            ("default.js", &default),
            ("module.mjs", &module),
            ("waits.mjs", &waits),
        ] {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            let mut command = Command::new("node");
            command.args(["-e", WORKER_SHIM]).arg(&file).arg("handle");
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
            let mut said = BufReader::new(child.stderr.take().unwrap());
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            let mut rest = String::new();
            let request = b"{\"request\":{\"request_id\":\"r\"}}\n";
            let asked = child.stdin.take().unwrap().write_all(request);
            said.read_to_string(&mut rest).unwrap();
            assert_eq!(line, "loaded\n", "{name}: {rest}");
            asked.unwrap();
            let mut answer = String::new();
            child
                .stdout
                .take()
                .unwrap()
                .read_to_string(&mut answer)
                .unwrap();
            assert!(
                answer.contains(r#""request_id":"r","status":"ok""#),
                "{name}: {answer} {rest}"
            );
            child.wait().unwrap();
        }
    }
}
