//! The program beside `plugin-gateway` that opens connections: to witnesses, as a witness, and to time-stamping authorities. The command
//! becomes it for the verbs that need a network, and the gateway itself never opens one. It never writes to the ledger.

#![forbid(unsafe_code)]

mod disk;
mod error;
mod exchange;
mod http;
mod serve;
mod stamp;
mod state;
mod sync;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Speaks with witnesses of a plugin gateway's ledger, is one, and gets time stamps. `plugin-gateway witness` and `plugin-gateway proof stamp`
/// start it.
#[derive(Debug, Parser)]
#[command(name = "plugin-gateway-witness", version)]
struct Cli {
    /// Print one JSON document on stdout and nothing else there
    #[arg(long, global = true)]
    json: bool,
    /// Say only what went wrong
    #[arg(long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Hand new checkpoints to the witnesses of a state
    Sync(Sync),
    /// Be a witness
    Serve(Serve),
    /// Get a time stamp for a file
    Stamp(Stamp),
}

/// What `sync` is told.
#[derive(Debug, Args)]
struct Sync {
    /// The state folder
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Ask each witness once, and end
    #[arg(long)]
    once: bool,
    /// End when the input ends: its parent holds the other end
    #[arg(long)]
    until_eof: bool,
}

/// What `serve` is told.
#[derive(Debug, Args)]
struct Serve {
    /// Where the witness keeps its key and what it cosigned
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// The address to listen on
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The verifier key of a log, or the file that it is in
    #[arg(long, value_name = "VKEY", required = true)]
    log: Vec<String>,
    /// The witness's name, when its key is made
    #[arg(long)]
    name: Option<String>,
    /// Answer the files that are there, and end
    #[arg(long)]
    once: bool,
}

/// What `stamp` is told.
#[derive(Debug, Args)]
struct Stamp {
    /// The file
    file: PathBuf,
    /// The address of the authority
    #[arg(long, value_name = "URL")]
    tsa: String,
    /// Where to write the stamp
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The certificate that must have issued the authority's, or be it
    #[arg(long, value_name = "PEM")]
    ca: Option<PathBuf>,
}

/// How it speaks.
#[derive(Debug, Clone, Copy)]
struct Voice {
    json: bool,
    quiet: bool,
}

impl Voice {
    /// The answer: a document for programs, or words for people.
    #[expect(
        clippy::print_stdout,
        reason = "this is the program's one place that prints answers"
    )]
    fn answer(self, document: &serde_json::Value, words: &str) {
        if self.json {
            println!("{document}");
        } else if !self.quiet {
            println!("{words}");
        }
    }

    /// A remark on stderr.
    fn warn(self, words: &str) {
        eprintln!("{words}");
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let voice = Voice {
        json: cli.json,
        quiet: cli.quiet,
    };
    let done = match &cli.verb {
        Verb::Sync(asked) => sync::sync(asked, voice),
        Verb::Serve(asked) => serve::serve(asked, voice),
        Verb::Stamp(asked) => stamp::stamp(asked, voice),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let words = error.words();
            let document = serde_json::json!({
                "error": { "kind": error.kind(), "message": words, "hint": "" }
            });
            if cli.json {
                voice.answer(&document, "");
            } else {
                voice.warn(&format!("error: {words}"));
            }
            ExitCode::from(error.exit_code())
        }
    }
}
