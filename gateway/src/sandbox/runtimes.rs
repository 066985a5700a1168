//! The interpreters that plugins may name: where they are, what they read and what they need.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// One interpreter as an operator describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// The interpreter's real path.
    pub interpreter: PathBuf,
    /// Arguments before the script.
    pub args: Vec<String>,
    /// Folders and files that it may read.
    pub trees: Vec<PathBuf>,
    /// What it uses of memory beyond the plugin's own.
    pub memory: MemoryRule,
    /// System calls beyond the runtime class's list, by name.
    pub extra_calls: Vec<String>,
}

/// How a plugin's memory limit is put on an interpreter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryRule {
    /// Private writable memory in bytes that the interpreter takes for itself.
    pub overhead_bytes: u64,
    /// An argument that tells the interpreter its heap limit, with `{mib}` where the number goes.
    pub heap_argument: Option<String>,
    /// Whether the interpreter makes code at run time and so needs executable memory.
    pub makes_code: bool,
}

/// The table of runtimes, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runtimes {
    table: BTreeMap<String, Runtime>,
}

impl Runtimes {
    /// An empty table.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The usual runtimes that this host has.
    #[must_use]
    pub fn discover() -> Self {
        Self::default()
    }

    /// The runtime of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Runtime> {
        self.table.get(name)
    }

    /// Adds a runtime, or replaces the one of the same name.
    pub fn insert(&mut self, name: &str, runtime: Runtime) {
        self.table.insert(name.to_owned(), runtime);
    }

    /// The names in the table, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.table.keys().map(String::as_str)
    }
}
