//! What each setting is for: the one table that `config`, its help and README are made from. It reads no file.

use serde::Serialize;

use super::Config;

/// One setting, for people.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Setting {
    /// Its name, with its table before a dot.
    pub name: &'static str,
    /// What it is for.
    pub explanation: &'static str,
    /// What holds now.
    pub value: toml::Value,
    /// What holds where nothing is set.
    pub default: toml::Value,
}

/// Every setting and what it is for, its first sentence by itself what a table has room for; tables after plain values as TOML wants it.
pub(super) const SETTINGS: [(&str, &str); 22] = [
    (
        "calls_at_once",
        "How many calls run at once, over all plugins. One plugin's own bound is its manifest's max_concurrency, and three times what is left free.",
    ),
    (
        "calls_waiting",
        "How many calls may wait for a place, over all plugins, and one plugin's three times what is left free; one more is answered `overloaded`.",
    ),
    (
        "allow_missing_layers",
        "Required layers of the sandbox that may be missing on this host, by the names that `doctor` shows. Plugins then run with less protection.",
    ),
    (
        "denials",
        "What a plugin's call comes to that ordinary libraries try and go on without (a socket, a file to write, a process): `refuse`, it fails and is named in the event, or `end`, it also ends the plugin. What no honest plugin does always ends it. For one plugin: [plugins.\"p.x.y\"] denials = \"end\".",
    ),
    (
        "ledger.durability",
        "When an event counts as recorded: `full`, when it is on the disk, or `relaxed`, when it is written and synced within 10 ms. Events recorded relaxed say so.",
    ),
    (
        "ledger.anchor",
        "A folder, best on another volume, where the last checkpoint is kept beside the state, so that an old copy of the state put back is noticed and refused. Empty: inside the state folder, which does not notice that. `--anchor DIR` names another for one command, and `init --anchor DIR` sets it.",
    ),
    (
        "ledger.origin",
        "The log's name in checkpoints, such as `example.com/log`. It holds from the log's first event: `init --origin NAME` sets it, and a log keeps its name. Empty: one that is made from its key.",
    ),
    (
        "witness.quorum",
        "How many of the witnesses that `witness add` names have to cosign a checkpoint. An export waits for them, and says so when it leaves without.",
    ),
    (
        "witness.required",
        "Whether new calls are refused while too few witnesses have cosigned for longer than `witness.wait_ms`. Otherwise `serve` only says so.",
    ),
    (
        "witness.wait_ms",
        "How long witnesses may take, in milliseconds.",
    ),
    (
        "witness.sync",
        "Whether `serve` starts `witness sync` beside it, which hands new checkpoints to the witnesses. The gateway itself opens no network.",
    ),
    (
        "ledger.hashes",
        "What events carry of requests and results: `plain`, their SHA-256, which finds a payload that is easily guessed by trying, or `salted`, HMAC-SHA256 with a salt of the run that lies beside the ledger and goes with `ledger erase`. The host is given the plain hashes all the same; events that are salted say so.",
    ),
    (
        "circuit.failures",
        "How many calls of a plugin must end as `error` or `timeout` in a row before it is refused for a while.",
    ),
    (
        "circuit.first_wait_ms",
        "How long it is refused then, in milliseconds. After that one call is let through; if it fails the time doubles.",
    ),
    (
        "circuit.longest_wait_ms",
        "The longest that it is refused, in milliseconds.",
    ),
    (
        "pool.size",
        "How many processes of each enabled plugin `serve` and `mcp` keep started, each for one call that has not come yet: `off`, `auto`, or a number from 1 to 32. `auto` is one more than were called at once lately, at most two a processor, and none of a plugin that was not called for a minute. One-shot commands start none, and nothing is started ahead where no control group bounds its memory.",
    ),
    (
        "pool.memory_mib",
        "The most memory in MiB that the processes of all plugins that wait may hold together. Each is counted with the most that it may ever hold, its interpreter's part included.",
    ),
    (
        "channel.max_line_bytes",
        "The longest message on the supervisor channel, in bytes; a longer one is refused unread.",
    ),
    (
        "channel.max_held_bytes",
        "The most bytes of requests and unread answers held for one host; calls beyond it are answered `overloaded`.",
    ),
    (
        "channel.drain_ms",
        "How long calls in flight may go on after SIGTERM, in milliseconds; then they are cancelled.",
    ),
    (
        "runtimes",
        "Interpreters that plugins may name, beside those that are found by themselves. runtimes.NAME = { interpreter = PATH, args = [], trees = [], libraries = [], extra_calls = [], asks_name_service = false, overhead_mib = 0, makes_code = false }; what is left out is as for the usual runtime of that name.",
    ),
    (
        "plugins",
        "What differs for single plugins, by id, in a table of its own. A line [plugins.\"p.x.y\"] and below it denials = \"end\" (or \"refuse\").",
    ),
];

impl Config {
    /// Every setting with what holds and what would hold by default.
    #[must_use]
    pub(crate) fn explained(&self) -> Vec<Setting> {
        let table =
            |config: &Self| toml::Value::try_from(config).unwrap_or(toml::Value::Boolean(false));
        let (own, default) = (table(self), table(&Self::default()));
        SETTINGS
            .into_iter()
            .map(|(name, explanation)| Setting {
                name,
                explanation,
                value: member(&own, name),
                default: member(&default, name),
            })
            .collect()
    }
}

/// Each setting's name, default and first sentence, for the pages that are read without a state.
pub(crate) fn table() -> Vec<[String; 3]> {
    let settings = Config::default().explained();
    let row = |setting: Setting| {
        let sentence = first_sentence(setting.explanation).to_owned();
        [
            setting.name.to_owned(),
            setting.default.to_string(),
            sentence,
        ]
    };
    settings.into_iter().map(row).collect()
}

/// Up to the first point or semicolon, without it.
fn first_sentence(text: &str) -> &str {
    let ends = [". ", "; "].map(|end| text.find(end));
    let end = ends.into_iter().flatten().min().unwrap_or(text.len());
    text.get(..end).unwrap_or(text).trim_end_matches('.')
}

/// The value at a dotted name; an empty table where nothing is set.
fn member(table: &toml::Value, name: &str) -> toml::Value {
    let found = name
        .split('.')
        .try_fold(table, |table, part| table.get(part));
    found
        .cloned()
        .unwrap_or_else(|| toml::Value::Table(toml::Table::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_explained_and_only_those() {
        let table = toml::Table::try_from(Config::default()).unwrap();
        let mut names = Vec::new();
        for (name, value) in &table {
            match value.as_table() {
                Some(inner) if name != "runtimes" && name != "plugins" => {
                    names.extend(inner.keys().map(|key| format!("{name}.{key}")));
                }
                Some(_) | None => names.push(name.clone()),
            }
        }
        let mut explained: Vec<String> = SETTINGS.map(|(name, _)| name.to_owned()).into();
        names.sort();
        explained.sort();
        assert_eq!(names, explained);
        for setting in Config::default().explained() {
            assert_eq!(setting.value, setting.default, "{}", setting.name);
        }
    }

    /// README has the table that `config --help` has.
    #[test]
    fn the_front_page_names_each_setting_with_its_default() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
        let page = std::fs::read_to_string(page).unwrap();
        let row = |[name, default, sentence]: [String; 3]| {
            format!("| `{name}` | `{default}` | {sentence} |")
        };
        let rows: Vec<String> = table().into_iter().map(row).collect();
        let rows = rows.join("\n");
        assert!(page.contains(&rows), "README.md lacks the table\n{rows}");
    }
}
