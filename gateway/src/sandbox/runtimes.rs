//! The interpreters that plugins may name: where they are, what they read and what they need.
//!
//! Defaults are found at the first use of a name, so that a gateway that runs no script asks no interpreter anything.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::discover;

/// One interpreter as an operator describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Runtime {
    /// The interpreter's real path.
    pub interpreter: PathBuf,
    /// Arguments before the script.
    pub args: Vec<String>,
    /// Folders and files that it may read; those that do not exist are left out.
    pub trees: Vec<PathBuf>,
    /// What it uses of memory beyond the plugin's own.
    pub memory: MemoryRule,
    /// System calls beyond the runtime class's list, by name.
    pub extra_calls: Vec<String>,
}

/// How a plugin's memory limit is put on an interpreter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MemoryRule {
    /// Private writable memory in bytes that the interpreter takes for itself.
    pub overhead_bytes: u64,
    /// An argument that tells the interpreter its heap limit, with `{mib}` where the number goes.
    pub heap_argument: Option<String>,
    /// Whether the interpreter makes code at run time and so needs executable memory.
    pub makes_code: bool,
}

/// The table of runtimes, by name. Copies share what was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runtimes {
    given: BTreeMap<String, Arc<Runtime>>,
    discovers: bool,
    found: Arc<Mutex<BTreeMap<String, Option<Arc<Runtime>>>>>,
}

impl Runtimes {
    /// A table that also finds the usual runtimes where this host has them.
    #[must_use]
    pub(crate) fn discover() -> Self {
        Self {
            discovers: true,
            ..Self::default()
        }
    }

    /// The runtime of this name. The first question about a usual name may run the interpreter once, to ask where it is.
    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Runtime>> {
        if let Some(runtime) = self.given.get(name) {
            return Some(Arc::clone(runtime));
        }
        if !self.discovers || !discover::NAMES.contains(&name) {
            return None;
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found
            .entry(name.to_owned())
            .or_insert_with(|| discover::find(name).map(Arc::new))
            .clone()
    }

    /// Adds a runtime, or replaces the one of the same name.
    pub(crate) fn insert(&mut self, name: &str, runtime: Runtime) {
        self.given.insert(name.to_owned(), Arc::new(runtime));
    }
}
