//! The command's arguments: verbs, options and their help.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use super::witness::{Stamp, Witness};
use crate::config;

/// Runs untrusted native plugins in a sandbox, checks what goes in and out, and keeps a hash-chained ledger of it.
#[derive(Debug, Parser)]
#[command(name = "plugin-gateway", version, propagate_version = true, after_help = AFTER_HELP)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

const AFTER_HELP: &str = "Settings: config.toml in the state folder, which need not be there; `plugin-gateway config --help` lists \
them with their defaults.

Exit codes: 0 done; 1 the answer is no (rejected, error, timeout, invalid, verification failed); \
2 wrong usage; 3 refused by policy or trust; 4 the gateway itself failed (I/O, ledger).";

/// The environment's variable for the state folder.
pub(super) const STATE_VARIABLE: &str = "PLUGIN_GATEWAY_STATE";

/// Every setting, for those who look for one. Also on the manual page.
fn settings_help() -> String {
    let rows = config::table().into_iter();
    let rows = rows.map(|[name, default, sentence]| format!("{name} = {default}\n    {sentence}."));
    let head = "The settings, in config.toml in the state folder, with their defaults:";
    std::iter::once(head.to_owned())
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

/// As long as one call may take at most: a command's turn comes while others call their plugins.
const WAIT_MS: u64 = plugin_protocol::manifest::MAX_CALL_MS;

/// Options of every verb.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// The state folder: ledger, store and keys [default: the XDG state folder]
    #[arg(long, global = true, env = STATE_VARIABLE, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
    /// The folder, best on another volume, where the ledger's last checkpoint is kept too: an old copy of the whole state is
    /// then refused. `init` writes it into the settings [default: what the settings say, else inside the state folder]
    #[arg(long, global = true, env = "PLUGIN_GATEWAY_ANCHOR", value_name = "DIR")]
    pub(super) anchor: Option<PathBuf>,
    /// How long to wait for another command that holds the state, in milliseconds. A gateway that serves it is asked instead
    #[arg(long, global = true, default_value_t = WAIT_MS, value_name = "N")]
    pub(super) wait_ms: u64,
    /// Print one JSON document on stdout and nothing else there
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Say only what was asked for: no remarks, and nothing about what went well
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Print more details
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make the state folder and the log's key pair; change nothing where they exist
    Init {
        /// The log's name in checkpoints, such as example.com/log; `init` writes it into the settings [default: one made from its key]
        #[arg(long, value_name = "NAME")]
        origin: Option<String>,
    },
    /// Show each protection: whether it is in force on this host, and what to do where it is not
    Doctor,
    /// Make an Ed25519 key pair: FILE (private, mode 0600) and FILE.pub
    Keygen {
        /// Where to write the private key
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a package folder: writes PACKAGE/plugin.sig
    Sign {
        /// The package folder
        package: PathBuf,
        /// The private key (PKCS#8 PEM)
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// The keys that may vouch for plugins
    #[command(subcommand)]
    Trust(Trust),
    /// Check a manifest file or a package folder and print the report
    Validate {
        /// A manifest file or a package folder
        path: PathBuf,
    },
    /// Register a signed package
    Register {
        /// The package folder
        package: PathBuf,
        /// Replace a registered plugin of the same id by this higher version
        #[arg(long)]
        replace: bool,
    },
    /// Let a registered plugin be called
    Enable {
        /// The plugin's id
        id: String,
    },
    /// Switch a plugin off
    Disable {
        /// The plugin's id
        id: String,
    },
    /// Take a plugin out of the registry: its id is free again, its events stay
    Remove {
        /// The plugin's id
        id: String,
    },
    /// List the registered plugins
    List,
    /// Show one plugin with its manifest, digests and isolation
    Show {
        /// The plugin's id
        id: String,
    },
    /// Call an enabled plugin once
    Invoke {
        /// The plugin's id
        id: String,
        #[command(flatten)]
        call: Call,
    },
    /// Call several plugins, one after the other or all at once
    Pipeline(Pipeline),
    /// Try a package once: validate, run in the sandbox, show answer, stderr, resources and the likely mistake
    Run {
        /// The package folder
        package: PathBuf,
        /// Run again whenever a file of the package changes, until interrupted
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        call: Call,
    },
    /// Make a run's deterministic calls again, in a throw-away state, and compare the output hashes
    Replay {
        /// The run's id
        run: String,
    },
    /// Make the ten compliance checks of a package, in a throw-away state, with the payloads in its tests/*.json where there are any
    Certify {
        /// The package folder
        package: PathBuf,
        /// A text payload for its calls, in place of samples made from its manifest
        #[arg(long, value_name = "STR", conflicts_with = "input")]
        text: Option<String>,
        /// A JSON file with the payload for its calls, `-` for standard input
        #[arg(long, value_name = "FILE")]
        input: Option<PathBuf>,
        /// Let a plugin pass although the sandbox refused it something; what it asked for is still named
        #[arg(long)]
        tolerate_denied: bool,
        /// Write the report as SARIF 2.1.0 too, for code hosts and editors
        #[arg(long, value_name = "FILE")]
        sarif: Option<PathBuf>,
    },
    /// Make a new plugin that works as it is, for you to change; or make a package of a plugin from OMEGA's own gateway
    New(Begin),
    /// Serve a host: JSON-RPC on stdin and stdout until the input ends; operators' verbs go through it meanwhile
    Serve {
        /// The form of the log on stderr
        #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
        log_format: LogFormat,
        /// Have no host: read nothing from stdin, and serve the control socket until a signal. For a service manager, which is told
        /// when the gateway is ready (sd_notify(3))
        #[arg(long)]
        socket_only: bool,
    },
    /// Serve a client of the Model Context Protocol on stdin and stdout: its tools are the enabled plugins. Put this into the client's
    /// settings, with --state
    Mcp(Mcp),
    /// Copy the state to a new folder, up to the ledger's newest checkpoint, and verify the copy; a gateway may work on it meanwhile
    Backup {
        /// The folder to make
        dir: PathBuf,
    },
    /// Print what the running gateway counted, or else what the ledger holds, as OpenMetrics text
    Metrics,
    /// Print the settings in force, and name the file that they are in
    #[command(after_help = settings_help())]
    Config {
        /// Say what each setting is for and what its default is; the text is a valid config.toml
        #[arg(long)]
        explain: bool,
    },
    /// Print what a shell reads to complete the command's words
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the command's manual page, or write it and one for each verb into a folder
    Man {
        /// The folder, which is made where it is missing
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
        /// The same, as other verbs take it
        #[arg(long, value_name = "DIR", conflicts_with = "folder")]
        out: Option<PathBuf>,
    },
    /// The record of everything that ran
    #[command(subcommand)]
    Ledger(Ledger),
    /// Proofs of what a run did, which an auditor checks offline
    #[command(subcommand)]
    Proof(Proof),
    /// Those outside of this machine who remember how long the ledger was (C2SP tlog-witness)
    #[command(subcommand)]
    Witness(Witness),
}

/// The two ways to the Model Context Protocol.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Mcp {
    /// The form of the log on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(super) log_format: LogFormat,
    #[command(subcommand)]
    pub(super) act: Option<McpAct>,
}

#[derive(Debug, Subcommand)]
pub(super) enum McpAct {
    /// Make a package of a server that speaks the protocol on stdin and stdout: ask it, in the sandbox, for its tools, and write
    /// FOLDER/plugin.json and FOLDER/mcp-tools.json
    Import {
        /// The folder with the server and everything that it needs
        folder: PathBuf,
        /// The plugin's id [default: p.mcp. and the server's own name]
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// How the server is started: a path inside the folder, or a runtime and a path inside the folder
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
}

/// How each shell takes them.
const COMPLETIONS: &str =
    "bash: source <(plugin-gateway completions bash), for instance in ~/.bashrc
zsh:  plugin-gateway completions zsh > DIR/_plugin-gateway, where DIR is in $fpath
fish: plugin-gateway completions fish > ~/.config/fish/completions/plugin-gateway.fish";

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Fish,
    Zsh,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Language {
    C,
    #[value(alias = "golang")]
    Go,
    Java,
    #[value(alias = "javascript")]
    Node,
    Python,
    Rust,
    #[value(alias = "shell")]
    Sh,
    /// Built to JavaScript by tsc, or by Node where it strips types; without either npm gets tsc at the first build
    #[value(alias = "typescript")]
    Ts,
    /// JavaScript in the older worker form
    Worker,
}

/// What a new plugin is called, and what it is made from.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("origin").required(true)))]
pub(super) struct Begin {
    /// The package's folder; its last part names the plugin
    pub(super) name: PathBuf,
    /// The language to write it in
    #[arg(long, value_enum, group = "origin")]
    pub(super) lang: Option<Language>,
    /// The folder of an old OMEGA plugin (its manifest, package.json, dist), which becomes a package and stays as it is. The plugin keeps
    /// its id, unless NAME is a whole one with dots
    #[arg(long, value_name = "FOLDER", group = "origin", conflicts_with = "sdk")]
    pub(super) from_omega: Option<PathBuf>,
    /// The folder of the Rust SDK, this project's `plugin-protocol` [default: the one in the checkout that this command was built in]
    #[arg(long, value_name = "DIR")]
    pub(super) sdk: Option<PathBuf>,
}

/// Which plugins are called and how.
#[derive(Debug, Args)]
pub(super) struct Pipeline {
    /// The plugins' ids, with commas between them
    #[arg(long, value_name = "A,B", value_delimiter = ',', required = true)]
    pub(super) plugins: Vec<String>,
    /// One after the other, or all at once
    #[arg(long, value_enum)]
    pub(super) strategy: Order,
    /// End with the first step that fails
    #[arg(long)]
    pub(super) stop_on_failure: bool,
    /// What each step is given: the request's payload, or the result of the step before
    #[arg(long, value_enum, default_value_t = Input::Same)]
    pub(super) step_input: Input,
    #[command(flatten)]
    pub(super) call: Call,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Order {
    Sequential,
    #[value(alias = "fan-out")]
    FanOut,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Input {
    Same,
    Previous,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

/// The request for a plugin, and the limits on its call.
#[derive(Debug, Args)]
pub(super) struct Call {
    /// A text payload
    #[arg(long, value_name = "STR", conflicts_with_all = ["input", "text_file"])]
    pub(super) text: Option<String>,
    /// A file whose whole text is the payload, `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    pub(super) text_file: Option<PathBuf>,
    /// A JSON file with a payload or a whole request, `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(super) input: Option<PathBuf>,
    /// The run that the call belongs to
    #[arg(long, value_name = "ID")]
    pub(super) run: Option<String>,
    /// The longest time for the whole call, retries included, in milliseconds
    #[arg(long, value_name = "N")]
    pub(super) timeout_ms: Option<u64>,
    /// Refuse a plugin that does not promise the same result for the same input
    #[arg(long)]
    pub(super) deterministic_only: bool,
    /// How often to try again after an error or a timeout, at most 5
    #[arg(long, value_name = "N")]
    pub(super) retries: Option<u8>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Trust {
    /// Trust a public key
    Add {
        /// The public key (SPKI PEM)
        file: PathBuf,
        /// A word that helps to recognise the key
        #[arg(long)]
        label: Option<String>,
    },
    /// List the keys, trusted and revoked
    List,
    /// Remove the trust in a key, and disable at once the plugins that it vouched for
    Remove {
        /// The key's id, 16 hexadecimal digits
        key_id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Proof {
    /// Record the export, sign a checkpoint over it, and write the run's bundle
    Export {
        /// The run's id
        run: String,
        /// Where to write the bundle
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write the proof of a single event (C2SP tlog-proof)
    Event {
        /// The event's id
        id: String,
        /// Where to write the proof
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check a bundle, or the proof of an event, against the log's public key; needs no state
    Verify {
        /// The bundle, or the proof of an event
        file: PathBuf,
        /// The witnesses that must have cosigned, a C2SP tlog-policy
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// The log's public key: its log.pub (PEM) or log.vkey
        #[arg(long, value_name = "PUB")]
        key: PathBuf,
    },
    /// Get a time stamp (RFC 3161) for a file, such as a bundle, and check it
    Stamp(Stamp),
    /// Show a bundle to a person, without checking it
    Show {
        /// The bundle
        file: PathBuf,
        /// The payload (as in a request, JSON) to look for: which events carry it
        #[arg(long, value_name = "FILE")]
        payload: Option<PathBuf>,
        /// The run's salt, where its hashes are salted: the file of it, or its 64 hex digits
        #[arg(long, value_name = "SALT", requires = "payload")]
        salt: Option<String>,
    },
    /// Make a web page of a bundle: one HTML file that checks the bundle inside it in the browser, offline; needs no state
    Page {
        /// The bundle
        file: PathBuf,
        /// Where to write the page
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The log's public key that the page is to trust: its log.pub (PEM) or log.vkey. Without it the reader gives one
        #[arg(long, value_name = "PUB")]
        key: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Ledger {
    /// Check every event: hash, link, form; names the first broken one and why
    Verify,
    /// Print the last events
    Tail {
        /// How many
        #[arg(short = 'n', long, default_value_t = 20)]
        lines: usize,
        /// Go on printing as events arrive
        #[arg(short, long)]
        follow: bool,
    },
    /// Print the events that match all that is given
    Query(Query),
    /// Sign a checkpoint over all events and print it (a C2SP signed note)
    Checkpoint,
    /// Write the log as a static site (C2SP tlog-tiles), which any web server can serve: its checkpoint and the tree's hashes
    Publish {
        /// The folder of the site
        dir: PathBuf,
        /// Publish the events themselves too
        #[arg(long)]
        lines: bool,
    },
    /// Export a run's proof as a web page that checks itself in the browser, offline, with this log's key
    Page {
        /// The run's id
        #[arg(long, value_name = "ID")]
        run: String,
        /// Where to write the page
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Drop the lines of old events, which a checkpoint covers; the tree's hashes, the checkpoints and the registry's events stay, and one
    /// more event records it. No proof of a run that has events among them can be exported any more
    Prune {
        /// The first event that stays; the lines of all before it go
        #[arg(long, value_name = "SIZE")]
        before: u64,
    },
    /// Remove what is kept of a run's requests and results; its events stay, and one more event records the erasure
    Erase {
        /// The run's id
        run: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Query {
    /// Events of this run
    #[arg(long, value_name = "ID")]
    pub(super) run: Option<String>,
    /// Events of this plugin
    #[arg(long, value_name = "ID")]
    pub(super) plugin: Option<String>,
    /// Events of this request
    #[arg(long, value_name = "ID")]
    pub(super) request: Option<String>,
    /// Events of this kind
    #[arg(long)]
    pub(super) kind: Option<Kind>,
    /// Events at or after this RFC 3339 time
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Events at or before this RFC 3339 time
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Kind {
    Register,
    Enable,
    Disable,
    Invoke,
    Result,
    Reject,
    Error,
    ProofExport,
}
