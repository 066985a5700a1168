//! The state folder and what an operator can set in its `config.toml`; every setting has a default.

mod table;
mod witness;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox::RuntimeChoice;
use serde::{Deserialize, Serialize};

pub(crate) use self::table::{Setting, table};
pub(crate) use self::witness::Witness;

/// The settings file inside the state folder.
pub(crate) const FILE: &str = "config.toml";

/// The largest settings file that is read, in bytes: far above any honest one.
const MAX_BYTES: u64 = 256 * 1024;

/// What an operator can set. [`table::SETTINGS`] says what each is for.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// How many calls run at once, over all plugins.
    pub calls_at_once: usize,
    /// How many calls may wait for a place, over all plugins.
    pub calls_waiting: usize,
    /// Layers of the sandbox that may be missing on this host, by name.
    pub allow_missing_layers: Vec<String>,
    /// What happens to a plugin that makes a refused call; the call itself never has an effect.
    pub denials: Denials,
    /// How the ledger is kept.
    pub ledger: Ledger,
    /// What is asked of the ledger's witnesses.
    pub witness: Witness,
    /// When a failing plugin is refused for a while.
    pub circuit: Circuit,
    /// What is started before it is called.
    pub pool: Pool,
    /// The bounds of the supervisor channel.
    pub channel: Channel,
    /// Runtimes in addition to the usual ones, or in place of them.
    pub runtimes: BTreeMap<String, RuntimeChoice>,
    /// What differs for single plugins, by their ids.
    pub plugins: BTreeMap<String, PluginChoice>,
}

/// What happens to a plugin that makes a refused call: one that ordinary libraries try, and go on without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Denials {
    /// The call fails, is named, and the plugin goes on.
    #[default]
    Refuse,
    /// The plugin is ended.
    End,
}

/// What differs for one plugin; a setting that is left out is the one for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PluginChoice {
    /// As the setting of this name for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denials: Option<Denials>,
}

/// How the ledger is kept.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ledger {
    /// When an event counts as recorded.
    pub durability: Durability,
    /// The folder of the anchor; empty for the one inside the state folder.
    pub anchor: PathBuf,
    /// The log's name; empty for the one that it has, or that is made from its key.
    pub origin: String,
    /// What events carry of payloads.
    pub hashes: Hashes,
}

/// What events carry of payloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hashes {
    /// Their SHA-256.
    #[default]
    Plain,
    /// HMAC-SHA256 with a salt of the run.
    Salted,
}

/// When an event counts as recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Durability {
    /// When it is on the disk.
    #[default]
    Full,
    /// When it is written; a power cut may lose the last 10 ms.
    Relaxed,
}

/// When a failing plugin is refused for a while, and for how long.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Circuit {
    /// How many calls must fail in a row.
    pub failures: u32,
    /// How long it is refused then, in milliseconds; each failed trial call doubles it.
    pub first_wait_ms: u64,
    /// The longest that it is refused, in milliseconds.
    pub longest_wait_ms: u64,
}

/// What is started before it is called.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pool {
    /// How many processes wait for each enabled plugin.
    pub size: PoolSize,
    /// The most memory that all of them may hold, in MiB.
    pub memory_mib: u64,
}

/// How many processes wait for each enabled plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "toml::Value", into = "toml::Value")]
pub(crate) enum PoolSize {
    /// None.
    #[default]
    Off,
    /// As many as it was called at once lately, and none where it was not.
    Auto,
    /// So many.
    Fixed(usize),
}

/// The bounds of the supervisor channel.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Channel {
    /// The longest message, in bytes.
    pub max_line_bytes: usize,
    /// The most bytes of requests and unread answers that are held for one host.
    pub max_held_bytes: usize,
    /// How long calls in flight may go on after SIGTERM, in milliseconds.
    pub drain_ms: u64,
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
    /// The file cannot be written.
    #[error("cannot write settings '{}'", path.display())]
    Write {
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

impl Ledger {
    /// The folder of the anchor; none for the one inside the state folder.
    #[must_use]
    pub(crate) fn anchor_folder(&self) -> Option<&Path> {
        (!self.anchor.as_os_str().is_empty()).then_some(&*self.anchor)
    }
}

impl Ledger {
    /// The log's name where the operator chose one.
    #[must_use]
    pub(crate) fn chosen_origin(&self) -> Option<&str> {
        Some(self.origin.as_str()).filter(|origin| !origin.is_empty())
    }
}

impl Default for Config {
    fn default() -> Self {
        /// Enough to keep every core of a large host busy, few enough that default memory limits sum to 8 GiB.
        const CALLS_AT_ONCE: usize = 64;
        /// A waiting call holds its request and a thread's few pages: 1,024 of them are some 30 MiB and their requests.
        const CALLS_WAITING: usize = 1_024;
        Self {
            calls_at_once: CALLS_AT_ONCE,
            calls_waiting: CALLS_WAITING,
            allow_missing_layers: Vec::new(),
            denials: Denials::default(),
            ledger: Ledger::default(),
            witness: Witness::default(),
            circuit: Circuit::default(),
            pool: Pool::default(),
            channel: Channel::default(),
            runtimes: BTreeMap::new(),
            plugins: BTreeMap::new(),
        }
    }
}

impl Default for Pool {
    fn default() -> Self {
        /// A quarter of what calls may hold by default: some fourteen programs, eleven Pythons or three Nodes, each counted with all that it may
        /// ever hold.
        const MEMORY_MIB: u64 = 2_048;
        Self {
            size: PoolSize::default(),
            memory_mib: MEMORY_MIB,
        }
    }
}

impl Pool {
    /// The most memory that all of them may hold, in bytes.
    #[must_use]
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_mib.saturating_mul(1 << 20)
    }
}

impl TryFrom<toml::Value> for PoolSize {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        /// More than these wait nowhere.
        const MOST: usize = 32;
        let count = value
            .as_integer()
            .and_then(|count| usize::try_from(count).ok());
        match (value.as_str(), count) {
            (Some("off"), _) => Ok(Self::Off),
            (Some("auto"), _) => Ok(Self::Auto),
            (None, Some(count @ 1..=MOST)) => Ok(Self::Fixed(count)),
            (_, _) => Err(format!(
                "pool.size must be \"auto\", \"off\", or a number from 1 to {MOST}"
            )),
        }
    }
}

impl From<PoolSize> for toml::Value {
    fn from(size: PoolSize) -> Self {
        match size {
            PoolSize::Off => "off".into(),
            PoolSize::Auto => "auto".into(),
            PoolSize::Fixed(count) => Self::Integer(i64::try_from(count).unwrap_or(i64::MAX)),
        }
    }
}

impl Default for Circuit {
    fn default() -> Self {
        /// More than a request's first attempt and its five retries, so that one failing request does not open the circuit.
        const FAILURES: u32 = 10;
        /// Long enough to spare the host a busy loop, short enough that a person hardly sees it.
        const FIRST_WAIT_MS: u64 = 1_000;
        /// A repaired plugin is called again within a minute, without an operator.
        const LONGEST_WAIT_MS: u64 = 60_000;
        Self {
            failures: FAILURES,
            first_wait_ms: FIRST_WAIT_MS,
            longest_wait_ms: LONGEST_WAIT_MS,
        }
    }
}

impl Circuit {
    /// How long a plugin is refused at first.
    #[must_use]
    pub(crate) fn first_wait(&self) -> Duration {
        Duration::from_millis(self.first_wait_ms)
    }

    /// The longest that a plugin is refused.
    #[must_use]
    pub(crate) fn longest_wait(&self) -> Duration {
        Duration::from_millis(self.longest_wait_ms)
    }
}

impl Default for Channel {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        /// Far above any sensible request: what is larger is meant to go as a `binary_ref` or a `dataset_slice`.
        const MAX_LINE_BYTES: usize = 16 * MIB;
        /// Four of the longest messages; once parsed, they take a few times as much memory.
        const MAX_HELD_BYTES: usize = 4 * MAX_LINE_BYTES;
        /// Service managers commonly wait 30 to 90 seconds between SIGTERM and SIGKILL.
        const DRAIN_MS: u64 = 10_000;
        Self {
            max_line_bytes: MAX_LINE_BYTES,
            max_held_bytes: MAX_HELD_BYTES,
            drain_ms: DRAIN_MS,
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
        let text = match read(&path) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(Self::default()),
            Err(source) => return Err(Error::Read { path, source }),
        };
        let config: Self = toml::from_str(&text).map_err(|error| Error::Invalid {
            path: path.clone(),
            reason: in_plain_words(&error.to_string()),
        })?;
        match config.fault() {
            Some(reason) => Err(Error::Invalid { path, reason }),
            None => Ok(config),
        }
    }

    /// The same settings with the ledger anchored in `folder`, where one is named.
    #[must_use]
    pub(crate) fn anchored(mut self, folder: Option<&Path>) -> Self {
        if let Some(folder) = folder {
            self.ledger.anchor = folder.to_owned();
        }
        self
    }

    /// Writes the settings of a new state.
    ///
    /// # Errors
    /// When there are settings already, or the system refuses.
    pub(crate) fn save(&self, state: &Path) -> Result<(), Error> {
        let path = state.join(FILE);
        let text = toml::to_string(self).map_err(|error| Error::Invalid {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        Self::write(state, path, &text)
    }

    /// Writes settings for a new state that say only where its ledger is anchored and what it is called.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub(crate) fn save_ledger(
        state: &Path,
        anchor: Option<&Path>,
        origin: Option<&str>,
    ) -> Result<(), Error> {
        let path = state.join(FILE);
        let anchor = anchor.map(|anchor| anchor.to_str().ok_or(()));
        let Ok(anchor) = anchor.transpose() else {
            let reason = "the anchor's path is not UTF-8".to_owned();
            return Err(Error::Invalid { path, reason });
        };
        let line = |name: &str, value: Option<&str>| {
            value.map_or_else(String::new, |value| {
                format!("{name} = {}\n", toml::Value::from(value))
            })
        };
        let text = format!(
            "[ledger]\n{}{}",
            line("anchor", anchor),
            line("origin", origin)
        );
        Self::write(state, path, &text)
    }

    fn write(state: &Path, path: PathBuf, text: &str) -> Result<(), Error> {
        let written = fs::File::create_new(&path).and_then(|mut file| {
            let filled = file
                .write_all(text.as_bytes())
                .and_then(|()| file.sync_all());
            if filled.is_err() {
                // Half of a file would be read as other settings, or refuse the next attempt. If it stays, that attempt names it.
                fs::remove_file(&path).unwrap_or_default();
            }
            filled?;
            fs::File::open(state)?.sync_all()
        });
        written.map_err(|source| Error::Write { path, source })
    }

    fn fault(&self) -> Option<String> {
        /// Room for a request of some use with its frame around it.
        const LEAST_LINE_BYTES: usize = 4 * 1024;
        let Channel {
            max_line_bytes,
            max_held_bytes,
            drain_ms: _,
        } = self.channel;
        if self.calls_at_once == 0 {
            Some("calls_at_once must be at least 1".to_owned())
        } else if self.circuit.failures == 0 {
            Some("circuit.failures must be at least 1".to_owned())
        } else if self.circuit.longest_wait_ms < self.circuit.first_wait_ms {
            Some("circuit.longest_wait_ms must be at least circuit.first_wait_ms".to_owned())
        } else if self.ledger.anchor_folder().is_some_and(Path::is_relative) {
            // It would be another folder for whoever starts elsewhere, and each of them would look like a new anchor.
            Some("ledger.anchor must be an absolute path".to_owned())
        } else if max_line_bytes < LEAST_LINE_BYTES {
            Some(format!(
                "channel.max_line_bytes must be at least {LEAST_LINE_BYTES}"
            ))
        } else if max_held_bytes < max_line_bytes {
            Some("channel.max_held_bytes must be at least channel.max_line_bytes".to_owned())
        } else {
            None
        }
    }
}

/// How many times what is left free a plugin may hold, of places to run, to wait and to be in flight: one that is alone gets three
/// quarters, two that want all there is get three sevenths each, and so on, with a rest for whoever comes next.
const TIMES_WHAT_IS_FREE: usize = 3;

/// Whether a plugin that holds so many places may take one more of those that are free. One that holds none may take the last.
#[must_use]
pub(crate) fn leaves_some(held: usize, free: usize) -> bool {
    free > 0 && held < free.saturating_mul(TIMES_WHAT_IS_FREE)
}

/// The file's text; none where there is no file. A link that leads nowhere is no such case: what it led to said something.
fn read(path: &Path) -> io::Result<Option<String>> {
    let wrong = |kind, why: &str| Err(io::Error::new(kind, why));
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            return Ok(None);
        }
        found => found?,
    };
    // A pipe would be waited for, and a device be read without end.
    if !found.is_file() {
        return wrong(io::ErrorKind::InvalidInput, "it is not a regular file");
    }
    if found.len() > MAX_BYTES {
        let why = format!("it is larger than {MAX_BYTES} bytes");
        return wrong(io::ErrorKind::FileTooLarge, &why);
    }
    let bytes = fs::read(path)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => wrong(io::ErrorKind::InvalidData, "it is not text in UTF-8"),
    }
}

/// The reader's words without the names of Rust's types.
fn in_plain_words(reason: &str) -> String {
    const NUMBERS: [&str; 3] = ["expected usize", "expected u64", "expected u32"];
    NUMBERS
        .iter()
        .fold(reason.trim_end().to_owned(), |reason, number| {
            reason.replace(number, "expected a whole number that is not negative")
        })
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
        let expected = RuntimeChoice {
            interpreter: Some("/usr/bin/lua".into()),
            overhead_mib: Some(8),
            ..RuntimeChoice::default()
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

    #[test]
    fn a_pool_has_a_size_by_word_or_by_number() {
        let state = tempfile::tempdir().unwrap();
        for (text, size) in [
            ("", PoolSize::Off),
            ("[pool]\nsize = \"auto\"\n", PoolSize::Auto),
            ("[pool]\nsize = \"off\"\n", PoolSize::Off),
            ("[pool]\nsize = 3\n", PoolSize::Fixed(3)),
        ] {
            fs::write(state.path().join(FILE), text).unwrap();
            assert_eq!(Config::load(state.path()).unwrap().pool.size, size);
        }
    }

    #[test]
    fn denials_are_chosen_for_all_and_for_one() {
        let state = tempfile::tempdir().unwrap();
        let text = "denials = \"end\"\n[plugins.\"p.a.b\"]\ndenials = \"refuse\"\n";
        fs::write(state.path().join(FILE), text).unwrap();
        let config = Config::load(state.path()).unwrap();
        assert_eq!(config.denials, Denials::End);
        assert_eq!(config.plugins["p.a.b"].denials, Some(Denials::Refuse));
        fs::write(
            state.path().join(FILE),
            "[plugins.\"p.a.b\"]\ndenial = \"end\"\n",
        )
        .unwrap();
        assert!(Config::load(state.path()).is_err());
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let state = tempfile::tempdir().unwrap();
        for (text, name) in [
            ("[circuit]\nfailures = 0\n", "circuit.failures"),
            ("[channel]\nmax_line_bytes = 1\n", "channel.max_line_bytes"),
            (
                "[channel]\nmax_held_bytes = 5000\n",
                "channel.max_held_bytes",
            ),
            (
                "[circuit]\nfirst_wait_ms = 9\nlongest_wait_ms = 8\n",
                "circuit.longest_wait_ms",
            ),
            ("[ledger]\nanchor = \"here\"\n", "ledger.anchor"),
            ("[pool]\nsize = 0\n", "pool.size"),
            ("[pool]\nsize = \"on\"\n", "pool.size"),
        ] {
            fs::write(state.path().join(FILE), text).unwrap();
            let error = Config::load(state.path()).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
