//! The arguments: what may be said to the command. Nothing is done here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Many gateways on NATS
#[derive(Debug, Parser)]
#[command(name = "plugin-gateway-fleet", version, max_term_width = 100)]
pub(super) struct Command {
    /// The server, or several with commas between them
    #[arg(
        long,
        global = true,
        env = "NATS_URL",
        default_value = "nats://127.0.0.1:4222",
        value_name = "URL"
    )]
    pub(super) nats: String,
    /// A credentials file
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "nkey")]
    pub(super) creds: Option<PathBuf>,
    /// A file with an nkey's seed
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) nkey: Option<PathBuf>,
    /// A PEM file with the authorities that may vouch for the server
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// Where this user's receipts are kept, in place of the XDG state folder
    #[arg(
        long,
        global = true,
        env = "PLUGIN_GATEWAY_RECEIPTS",
        value_name = "DIR"
    )]
    pub(super) receipts: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Serve the plugins of one state to the fleet, until a signal
    Node {
        /// The state folder; its gateway is reached where one serves it, else started
        #[arg(long, env = "PLUGIN_GATEWAY_STATE", value_name = "DIR")]
        state: PathBuf,
        /// The public key whose decisions count
        #[arg(long, value_name = "PUB")]
        operator: PathBuf,
        /// The most calls at once
        #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
        calls: u16,
        /// How long a node that cannot ask for decisions goes on serving, in milliseconds
        #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=86_400_000))]
        cut_off_ms: u64,
        /// The command plugin-gateway, where it is not beside this one
        #[arg(long, value_name = "FILE")]
        gateway: Option<PathBuf>,
    },
    /// Ask a plugin once, on whichever node has it
    Invoke {
        /// The plugin's id
        id: String,
        #[command(flatten)]
        call: Call,
    },
    /// Ask several plugins, each on whichever node has it
    Pipeline {
        /// The plugins' ids, with commas between them
        #[arg(long, value_name = "A,B", value_delimiter = ',', required = true)]
        plugins: Vec<String>,
        /// One after the other, or all at once
        #[arg(long, value_enum)]
        strategy: Order,
        /// End with the first step that fails
        #[arg(long)]
        stop_on_failure: bool,
        /// What each step is given: the request's payload, or the result of the step before
        #[arg(long, value_enum, default_value_t = StepInput::Same)]
        step_input: StepInput,
        #[command(flatten)]
        call: Call,
    },
    /// List the fleet's plugins
    List,
    /// Show each node that can be reached: how far it is, and what it serves
    Nodes,
    /// Store a signed package and register it on every node
    Publish {
        /// The package folder
        package: PathBuf,
        #[command(flatten)]
        key: Key,
        /// Let a lower version give way
        #[arg(long)]
        replace: bool,
    },
    /// The keys whose packages every node takes
    #[command(subcommand)]
    Trust(Trust),
    /// Let a plugin be called, on every node
    Enable {
        /// The plugin's id
        id: String,
        #[command(flatten)]
        key: Key,
    },
    /// Switch a plugin off, on every node
    Disable {
        /// The plugin's id
        id: String,
        #[command(flatten)]
        key: Key,
    },
    /// Vouch for a node, whose name it printed at its start
    Vouch {
        /// The node's name
        node: String,
        #[command(flatten)]
        key: Key,
    },
    /// Gather each node's proof of a run into one file
    Proof {
        /// The run's id
        run: String,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Put requests into the work queue, and wait for their results
    Submit {
        /// A file with the params of one invoke a line, `-` for standard input
        file: PathBuf,
        /// How long to wait for results, in milliseconds
        #[arg(long, default_value_t = 60_000, value_name = "N")]
        wait_ms: u64,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Trust {
    /// Trust a public key
    Add {
        /// The public key
        file: PathBuf,
        /// A word that helps to recognise the key
        #[arg(long, default_value = "")]
        label: String,
        #[command(flatten)]
        key: Key,
    },
    /// Remove the trust in a key, and disable at once the plugins that it vouched for
    Remove {
        /// The key's id, 16 hexadecimal digits
        key_id: String,
        #[command(flatten)]
        key: Key,
    },
}

#[derive(Debug, Args)]
pub(super) struct Key {
    /// The operator's private key
    #[arg(long, value_name = "FILE")]
    pub(super) key: PathBuf,
}

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

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Order {
    Sequential,
    #[value(alias = "fan-out")]
    FanOut,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum StepInput {
    Same,
    Previous,
}
