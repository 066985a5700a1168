//! The state folder and what an operator can set in its `config.toml`; every setting has a default.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The settings file inside the state folder.
pub(crate) const FILE: &str = "config.toml";

/// The largest settings file that is read, in bytes: far above any honest one.
const MAX_BYTES: u64 = 256 * 1024;

/// What an operator can set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// How many calls run at once, over all plugins.
    pub calls_at_once: usize,
    /// Layers of the sandbox that may be missing on this host, by name.
    pub allow_missing_layers: Vec<String>,
    /// Runtimes beside those that are found by themselves, or in their place.
    pub runtimes: BTreeMap<String, Runtime>,
}

/// What an operator says of a runtime. What is left out is as for the usual runtime of that name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Runtime {
    /// The interpreter's path; without it the usual places are searched.
    pub(crate) interpreter: Option<PathBuf>,
    /// Arguments before the script; `{mib}` stands for the plugin's memory limit.
    pub(crate) args: Option<Vec<String>>,
    /// Folders and files that the interpreter reads.
    pub(crate) trees: Option<Vec<PathBuf>>,
    /// Folders of shared libraries that the interpreter would look for beside itself; a jail without /proc cannot tell it
    /// where that is.
    pub(crate) libraries: Option<Vec<PathBuf>>,
    /// System calls beyond the runtime class's list, by name.
    pub(crate) extra_calls: Option<Vec<String>>,
    /// Whether its C library asks its name service who the user is; that is then no violation.
    pub(crate) asks_name_service: Option<bool>,
    /// Memory in MiB that the interpreter takes for itself.
    pub(crate) overhead_mib: Option<u32>,
    /// Whether the interpreter makes code at run time.
    pub(crate) makes_code: Option<bool>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read settings '{}'", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("settings '{}' are not valid: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        reason: String,
    },
    /// No state folder is named and none can be derived.
    #[error("no state folder: pass --state DIR or set PLUGIN_GATEWAY_STATE or HOME")]
    NoState,
}

impl Default for Config {
    fn default() -> Self {
        /// Enough to keep every core of a large host busy, few enough that default memory limits sum to 8 GiB.
        const CALLS_AT_ONCE: usize = 64;
        Self {
            calls_at_once: CALLS_AT_ONCE,
            allow_missing_layers: Vec::new(),
            runtimes: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Reads the settings of `state`, or the defaults where there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, is too large, or names a setting that does not exist.
    pub(crate) fn load(state: &Path) -> Result<Self, Error> {
        let path = state.join(FILE);
        let text = match fs::metadata(&path).and_then(|found| {
            if found.len() > MAX_BYTES {
                Err(too_large())
            } else {
                fs::read_to_string(&path)
            }
        }) {
            Ok(text) => text,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(Error::Read { path, source }),
        };
        let config: Self = toml::from_str(&text).map_err(|error| Error::Invalid {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        if config.calls_at_once == 0 {
            return Err(Error::Invalid {
                path,
                reason: "calls_at_once must be at least 1".to_owned(),
            });
        }
        Ok(config)
    }
}

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("larger than {MAX_BYTES} bytes"),
    )
}

/// The state folder where none was named: `plugin-gateway` in the XDG state folder.
///
/// # Errors
/// When there is no home folder.
pub(crate) fn default_state() -> Result<PathBuf, Error> {
    use etcetera::BaseStrategy;
    let strategy = etcetera::choose_base_strategy().map_err(|_| Error::NoState)?;
    Ok(strategy
        .state_dir()
        .unwrap_or_else(|| strategy.data_dir())
        .join("plugin-gateway"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_described_as_far_as_it_differs() {
        let state = tempfile::tempdir().unwrap();
        let text = "[runtimes.lua]\ninterpreter = \"/usr/bin/lua\"\noverhead_mib = 8\n";
        fs::write(state.path().join(FILE), text).unwrap();
        let config = Config::load(state.path()).unwrap();
        let expected = Runtime {
            interpreter: Some("/usr/bin/lua".into()),
            overhead_mib: Some(8),
            ..Runtime::default()
        };
        assert_eq!(config.runtimes.get("lua"), Some(&expected));
    }

    #[test]
    fn defaults_stand_where_there_is_no_file_and_unknown_names_are_refused() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(Config::load(state.path()).unwrap().calls_at_once, 64);
        fs::write(state.path().join(FILE), "calls_at_once = 3\n").unwrap();
        assert_eq!(Config::load(state.path()).unwrap().calls_at_once, 3);
        fs::write(state.path().join(FILE), "call_at_once = 3\n").unwrap();
        assert!(
            Config::load(state.path())
                .unwrap_err()
                .to_string()
                .contains("call_at_once")
        );
        fs::write(state.path().join(FILE), "calls_at_once = 0\n").unwrap();
        assert!(Config::load(state.path()).is_err());
    }
}
