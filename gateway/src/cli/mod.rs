//! The command: reads its arguments, calls one verb, and says what came of it. The only room that prints.

mod args;
mod author;
mod calls;
mod file;
mod health;
mod import;
mod keys;
mod manual;
mod next;
mod output;
mod plugins;
mod progress;
mod proofs;
mod records;
mod request;
mod service;
mod signals;
mod witness;
mod words;

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{CommandFactory as _, Parser as _};
use plugin_protocol::time::milliseconds;

use self::args::{Cli, Global, Ledger, Mcp, Proof, STATE_VARIABLE, Trust, Verb};
use self::output::Output;
use self::words::printable;
use crate::access::Exposure;
use crate::config;
use crate::error::{Error, Kind, chain};
use crate::operator::{self, Door, Serve};

/// How a verb that worked ends: the answer is yes, or the answer is no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Refused,
}

impl Answer {
    fn exit_code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => Kind::Invalid.exit_code(),
            Self::Refused => Kind::Refused.exit_code(),
        }
    }
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// What serves a host, or a client of the Model Context Protocol. They are handed in, since the rooms of the command and those that serve do
/// not know each other.
pub(crate) type ServeFn = fn(&Path, &Serve) -> Result<(), Error>;

/// The whole program.
pub(crate) fn main(serve: ServeFn, mcp: ServeFn) -> ExitCode {
    let cli = match Cli::try_parse().and_then(in_utf8) {
        Ok(cli) => cli,
        Err(wrong) => return usage(&wrong),
    };
    let in_environment = std::env::var_os(STATE_VARIABLE);
    let state = next::state_option(cli.global.state.as_deref(), in_environment.as_deref());
    let out = Output {
        json: cli.global.json,
        quiet: cli.global.quiet,
        verbose: cli.global.verbose,
        // It is needed as long as the command runs.
        state: state.map(|state| &*state.leak()),
    };
    let code = match signals::outlive_large_files()
        .map_err(Error::Output)
        .and_then(|()| run(cli, out, serve, mcp))
    {
        Ok(answer) => answer.exit_code(),
        // The reader closed the pipe; that is its choice, not a failure.
        Err(Error::Output(source)) if source.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            out.failure(error.kind().as_str(), &chain(&error), &error.hint());
            error.kind().exit_code()
        }
    };
    ExitCode::from(code)
}

fn run(cli: Cli, out: Output, serve: ServeFn, mcp: ServeFn) -> Result<Answer, Error> {
    let opens = opens(&cli.verb);
    let state = || StateFolder::looked_at(&cli.global, opens, out);
    // Everything that is written down has a time. An unusable clock is reported once here, and not once for each file.
    milliseconds(SystemTime::now())?;
    if makes_throw_away_folders(&cli.verb) {
        signals::clean_up().map_err(|source| Error::File {
            action: "watch for signals beside",
            path: std::env::temp_dir(),
            source,
        })?;
    }
    match cli.verb {
        Verb::Init { origin } => keys::init(&state()?, origin.as_deref(), out),
        Verb::Doctor => health::doctor(&state()?, out),
        Verb::Keygen { out: file } => keys::keygen(&file, out),
        Verb::Sign { package, key } => keys::sign(&package, &key, out),
        Verb::Trust(Trust::Add { file, label }) => {
            keys::trust_add(&state()?, &file, label.as_deref(), out)
        }
        Verb::Trust(Trust::List) => keys::trust_list(&state()?, out),
        Verb::Trust(Trust::Remove { key_id }) => keys::trust_remove(&state()?, &key_id, out),
        Verb::Validate { path } => plugins::validate(&path, state().ok().as_deref(), out),
        Verb::Register { package, replace } => plugins::register(&state()?, &package, replace, out),
        Verb::Enable { id } => plugins::enable(&state()?, &id, out),
        Verb::Disable { id } => plugins::disable(&state()?, &id, out),
        Verb::Remove { id } => plugins::remove(&state()?, &id, out),
        Verb::List => plugins::list(&state()?, out),
        Verb::Show { id } => plugins::show(&state()?, &id, out),
        Verb::Invoke { id, call } => calls::invoke(&state()?, &id, &call, out),
        Verb::Pipeline(asked) => calls::pipeline(&state()?, &asked, out),
        Verb::Run {
            package,
            call,
            watch,
        } => author::run(&package, &call, watch, out),
        Verb::Replay { run } => calls::replay(&state()?, &run, out),
        Verb::Certify {
            package,
            text,
            input,
            tolerate_denied,
            sarif,
        } => {
            let asked = author::Asked {
                text: text.as_deref(),
                input: input.as_deref(),
                tolerate_denied,
            };
            author::certify(&package, &asked, sarif.as_deref(), out)
        }
        Verb::New(begin) => author::new(&begin, out),
        Verb::Serve {
            log_format,
            socket_only,
        } => service::serve(&state()?, log_format, socket_only, out, serve),
        Verb::Mcp(asked) => of_mcp(&asked, state, out, mcp),
        Verb::Metrics => service::metrics(&state()?, out),
        Verb::Config { explain } => service::config(&state()?, explain, out),
        Verb::Completions { shell } => manual::completions(shell, out),
        Verb::Man {
            folder,
            out: instead,
        } => manual::man(folder.or(instead).as_deref(), out),
        Verb::Proof(verb) => of_proof(verb, state, out),
        Verb::Witness(verb) => witness::witness(verb, &state, out),
        Verb::Backup { dir } => records::backup(&state()?, &dir, out),
        Verb::Ledger(verb) => of_ledger(verb, &state()?, out),
    }
}

/// An auditor has no state.
fn of_proof(
    verb: Proof,
    state: impl FnOnce() -> Result<StateFolder, Error>,
    out: Output,
) -> Result<Answer, Error> {
    match verb {
        Proof::Export { run, out: file } => proofs::export(&state()?, &run, &file, out),
        Proof::Event { id, out: file } => witness::event(&state()?, &id, &file, out),
        Proof::Verify { file, key, policy } => proofs::verify(&file, &key, policy.as_deref(), out),
        Proof::Stamp(stamp) => witness::stamp(&stamp, out),
        Proof::Show {
            file,
            payload: Some(payload),
            salt,
        } => proofs::carriers(&file, &payload, salt.as_deref(), out),
        Proof::Show { file, .. } => proofs::show(&file, out),
        Proof::Page {
            file,
            out: page,
            key,
        } => proofs::page(&file, key.as_deref(), &page, out),
    }
}

fn of_mcp(
    asked: &Mcp,
    state: impl FnOnce() -> Result<StateFolder, Error>,
    out: Output,
    mcp: ServeFn,
) -> Result<Answer, Error> {
    match &asked.act {
        Some(act) => import::import(act, out),
        None => service::serve(&state()?, asked.log_format, false, out, mcp),
    }
}

fn of_ledger(verb: Ledger, state: &StateFolder, out: Output) -> Result<Answer, Error> {
    match verb {
        Ledger::Verify => records::verify(state, out),
        Ledger::Tail { lines, follow } => records::tail(state, lines, follow, out),
        Ledger::Checkpoint => records::checkpoint(state, out),
        Ledger::Publish { dir, lines } => witness::publish(state, &dir, lines, out),
        Ledger::Page { run, out: page } => proofs::page_of_run(state, &run, &page, out),
        Ledger::Prune { before } => records::prune(state, before, out),
        Ledger::Erase { run } => records::erase(state, &run, out),
        Ledger::Query(query) => records::query(state, &query, out),
    }
}

/// Whether a verb makes a throw-away state. A signal ends the other verbs as it ends any program; `serve` handles signals itself.
fn makes_throw_away_folders(verb: &Verb) -> bool {
    matches!(
        verb,
        Verb::Run { .. }
            | Verb::Certify { .. }
            | Verb::Replay { .. }
            | Verb::Doctor
            | Verb::Mcp(Mcp { act: Some(_), .. })
    )
}

/// Whether a verb opens the state, or asks the gateway that has it open; the others only read.
fn opens(verb: &Verb) -> bool {
    match verb {
        Verb::Trust(Trust::Add { .. } | Trust::Remove { .. })
        | Verb::Register { .. }
        | Verb::Enable { .. }
        | Verb::Disable { .. }
        | Verb::Remove { .. }
        | Verb::Invoke { .. }
        | Verb::Pipeline(_)
        | Verb::Serve { .. }
        | Verb::Mcp(Mcp { act: None, .. })
        | Verb::Backup { .. }
        | Verb::Proof(Proof::Export { .. } | Proof::Event { .. })
        | Verb::Ledger(
            Ledger::Checkpoint | Ledger::Page { .. } | Ledger::Erase { .. } | Ledger::Prune { .. },
        ) => true,
        Verb::Init { .. }
        | Verb::Doctor
        | Verb::Keygen { .. }
        | Verb::Sign { .. }
        | Verb::Trust(Trust::List)
        | Verb::Validate { .. }
        | Verb::List
        | Verb::Show { .. }
        | Verb::Run { .. }
        | Verb::Replay { .. }
        | Verb::Certify { .. }
        | Verb::New { .. }
        | Verb::Mcp(Mcp { act: Some(_), .. })
        | Verb::Metrics
        | Verb::Config { .. }
        | Verb::Completions { .. }
        | Verb::Man { .. }
        | Verb::Proof(
            Proof::Verify { .. } | Proof::Show { .. } | Proof::Stamp(_) | Proof::Page { .. },
        )
        | Verb::Witness(_)
        | Verb::Ledger(
            Ledger::Verify | Ledger::Tail { .. } | Ledger::Query(_) | Ledger::Publish { .. },
        ) => false,
    }
}

/// Names of files stand in answers and in the ledger, which are UTF-8; so one that is not is refused before anything is done.
fn in_utf8(cli: Cli) -> Result<Cli, clap::Error> {
    let folders = [cli.global.state.as_ref(), cli.global.anchor.as_ref()];
    let mut words = std::env::args_os().chain(
        folders
            .into_iter()
            .flatten()
            .map(|folder| folder.clone().into_os_string()),
    );
    let other = words.find(|word| word.to_str().is_none());
    drop(words);
    match other {
        None => Ok(cli),
        Some(word) => {
            let message = format!(
                "'{}' is not UTF-8: give the file or folder a name that is",
                word.display()
            );
            Err(Cli::command().error(clap::error::ErrorKind::InvalidUtf8, message))
        }
    }
}

/// Help and version are answers; anything else that clap refuses is wrong usage.
fn usage(wrong: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if wrong.use_stderr() && json {
        let words = wrong.render().to_string();
        let message = words
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        Output {
            json,
            quiet: false,
            verbose: false,
            state: None,
        }
        .failure(Kind::Usage.as_str(), message, "see plugin-gateway --help");
        return ExitCode::from(Kind::Usage.exit_code());
    }
    // If the terminal is closed, there is nowhere to print.
    wrong.print().unwrap_or_default();
    ExitCode::from(if wrong.use_stderr() {
        Kind::Usage.exit_code()
    } else {
        0
    })
}

/// The state folder, where its ledger is anchored if the command says so, and how long to wait for it.
#[derive(Debug)]
struct StateFolder {
    state: PathBuf,
    anchor: Option<PathBuf>,
    wait: Duration,
}

impl StateFolder {
    /// The state folder of a verb that opens it, or only reads; who else may read or write it is said.
    fn looked_at(global: &Global, opens: bool, out: Output) -> Result<Self, Error> {
        let state = Self::of(global)?;
        warn_of_others(&state, opens, out);
        Ok(state)
    }

    fn of(global: &Global) -> Result<Self, Error> {
        let state = global.state.clone();
        let anchor = global.anchor.as_ref().map(|folder| {
            // Another process, and the settings, must find it as well.
            std::path::absolute(folder).map_err(|source| Error::File {
                action: "find the anchor",
                path: folder.clone(),
                source,
            })
        });
        Ok(Self {
            state: state.map_or_else(config::default_state, Ok)?,
            anchor: anchor.transpose()?,
            wait: Duration::from_millis(global.wait_ms),
        })
    }
}

impl Deref for StateFolder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.state
    }
}

/// A state that must be there already.
fn existing(state: &Path) -> Result<&Path, Error> {
    if state.join("ledger").is_dir() {
        Ok(state)
    } else {
        Err(Error::NoState {
            path: state.to_owned(),
        })
    }
}

/// A state that is there and has the events that its anchor was signed for: what is read there is what is so. An anchor that cannot be
/// looked at, as its volume is not mounted, is said and hides nothing from somebody who has to find out what happened; `ledger verify` and
/// every verb that changes something refuse then.
fn readable(state: &StateFolder, out: Output) -> Result<&Path, Error> {
    match operator::check_anchor(existing(state)?, state.anchor.as_deref()) {
        Ok(()) => {}
        Err(Error::Ledger(gone @ ledger::Error::AnchorGone { .. })) => {
            out.warn(&printable(&format!("warning: {gone}")));
        }
        Err(error) => return Err(error),
    }
    Ok(state)
}

/// Says once who else may read or write the state, unless it is to be opened and opening it will refuse with the same words.
fn warn_of_others(state: &Path, opens: bool, out: Output) {
    let exposure = Exposure::of(state);
    let told_anyway = opens && exposure.is_open_to_change();
    if let Some(words) = exposure
        .words()
        .filter(|_| !told_anyway && existing(state).is_ok())
    {
        let words = format!("warning: {words}: {}", exposure.remedy());
        out.note(&printable(&words));
    }
}

/// Opens the state for changes, waits for another command that holds it, and reports what was repaired after a crash.
fn open(state: &StateFolder, out: Output) -> Result<Door, Error> {
    let waiting = |holder: &str| {
        let words = format!("note: waiting for {holder}, which holds this state");
        out.note(&printable(&words));
    };
    let anchor = state.anchor.as_deref();
    let door = Door::open(existing(state)?, anchor, state.wait, &waiting)?;
    let Door::Own(gateway) = &door else {
        out.detail("through the running gateway of this state");
        return Ok(door);
    };
    let opening = gateway.opening();
    for cut in &opening.cuts {
        out.note(&format!(
            "note: an unfinished write of {} bytes was moved to {}",
            cut.bytes,
            cut.file.display()
        ));
    }
    if !opening.closed.is_empty() {
        out.note(&format!(
            "note: {} calls that a crash left open were closed as outcome=unknown",
            opening.closed.len()
        ));
    }
    if opening.tiles_rebuilt {
        out.note("note: the tree's hashes on disk did not fit the events and were made again");
    }
    if let Some(pruned) = &opening.pruned {
        out.detail(&format!(
            "ledger: the lines of {} events before event {} were pruned",
            pruned.dropped, pruned.before
        ));
    }
    let signed = opening.checkpoint.map_or(0, |checkpoint| checkpoint.size);
    out.detail(&format!(
        "ledger: {} events, the newest checkpoint over {signed}, read and checked from event {}",
        opening.events, opening.checked_from
    ));
    Ok(door)
}
