//! The interpreters that plugins may name: where they are, what they read and what they need.
//!
//! The usual ones are described by data files beside this one. An interpreter is looked for at the first use of its name, so that a
//! gateway that runs no script starts none.

mod discover;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

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
    /// Arguments before the script; `{mib}` stands for the plugin's memory limit.
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
    /// Arguments before the script; `{mib}` stands for the plugin's memory limit.
    pub(crate) args: Vec<String>,
    /// Folders and files that it may read; those that do not exist are left out.
    pub(crate) trees: Vec<PathBuf>,
    /// Folders of shared libraries that it would look for beside itself.
    pub(crate) libraries: Vec<PathBuf>,
    /// System calls beyond the runtime class's list, by name.
    pub(crate) extra_calls: Vec<String>,
    /// Whether its C library asks its name service who the user is; that is then no violation.
    pub(crate) asks_name_service: bool,
    /// Whether it opens its terminal at start, which is then a probe.
    pub(crate) asks_for_terminal: bool,
    /// Memory in bytes that the interpreter takes for itself, beside the plugin's own.
    pub(crate) overhead_bytes: u64,
    /// Whether the interpreter makes code at run time and so needs executable memory.
    pub(crate) makes_code: bool,
}

/// The table of runtimes, by name. Copies share what was found.
#[derive(Debug, Clone, Default)]
pub struct Runtimes {
    chosen: BTreeMap<String, RuntimeChoice>,
    found: Arc<Mutex<BTreeMap<String, Option<Arc<Runtime>>>>>,
}

impl Runtimes {
    /// The runtime of this name. The first question about a name may run the interpreter once, to ask what it reads.
    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Runtime>> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = found.get(name) {
            return known.clone();
        }
        let runtime = self.find(name).map(Arc::new);
        found.insert(name.to_owned(), runtime.clone());
        runtime
    }

    /// Takes over an operator's choice for a runtime. It does not reach copies that were made before.
    pub fn choose(&mut self, name: &str, choice: RuntimeChoice) {
        self.chosen.insert(name.to_owned(), choice);
        self.found = Arc::default();
    }

    /// The names that [`Self::get`] may know, sorted. A usual name is among them even where its interpreter is not installed.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn names(&self) -> Vec<&str> {
        let usual = discover::USUAL.into_iter().map(|(name, _)| name);
        let mut names: Vec<&str> = self
            .chosen
            .keys()
            .map(String::as_str)
            .chain(usual)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn find(&self, name: &str) -> Option<Runtime> {
        let default = RuntimeChoice::default();
        let choice = self.chosen.get(name).unwrap_or(&default);
        let mut runtime = match &choice.interpreter {
            Some(interpreter) => discover::at(name, interpreter)?,
            None => discover::find(name)?,
        };
        runtime.adopt(choice);
        Some(runtime)
    }
}

impl Runtime {
    /// Takes over what an operator says.
    fn adopt(&mut self, choice: &RuntimeChoice) {
        if let Some(args) = &choice.args {
            self.args.clone_from(args);
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
        assert!(runtimes.get("lua").is_none());
        let choice = RuntimeChoice {
            interpreter: Some("/bin/sh".into()),
            ..RuntimeChoice::default()
        };
        runtimes.choose("lua", choice);
        assert!(runtimes.get("lua").unwrap().interpreter.is_absolute());
        assert!(runtimes.names().contains(&"lua") && runtimes.names().contains(&"node"));
    }
}
