//! The verbs about witnesses and the published log. Those that need a network are handed to the program beside this one, as git does.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{ArgGroup, Args, Subcommand};
use plugin_protocol::ids::EventId;
use serde_json::json;

use super::file::write_out;
use super::output::Output;
use super::words::{printable, table};
use super::{Answer, StateFolder, existing, open, readable};
use crate::error::Error;
use crate::operator;
use ledger::Place;

#[derive(Debug, Subcommand)]
pub(super) enum Witness {
    /// Name a witness, who is then asked to cosign each checkpoint
    Add(Add),
    /// List the witnesses
    List {
        /// Print the C2SP policy for auditors instead: this log, its witnesses, and `witness.quorum`
        #[arg(long)]
        policy: bool,
    },
    /// Remove a witness
    Remove {
        /// Its name
        name: String,
    },
    /// Hand new checkpoints to the witnesses and keep their cosignatures, until interrupted; beside a gateway or without one
    Sync {
        /// Ask each witness once
        #[arg(long)]
        once: bool,
    },
    /// Be a witness of other gateways' logs
    Serve(Serve),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("place").required(true)))]
pub(super) struct Add {
    /// What to call it
    name: String,
    /// Its verifier key, `name+hash+base64`
    #[arg(long)]
    vkey: String,
    /// Its address, the submission prefix of C2SP tlog-witness
    #[arg(long, group = "place")]
    url: Option<String>,
    /// The folder by which it is reached, where there is no network between: its `witness serve --folder`
    #[arg(long, value_name = "DIR", group = "place")]
    folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where it keeps its key and what it cosigned; made where it is missing. Requests by files come here too
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// The address to listen on, HOST:PORT; without, only files are answered
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The verifier key of a log that it is a witness of (its log.vkey, or what is in it); can be given several times
    #[arg(long, value_name = "VKEY", required = true)]
    log: Vec<String>,
    /// The witness's name, when its key is made [default: made from the key]
    #[arg(long)]
    name: Option<String>,
    /// Answer the files that are there, and end
    #[arg(long, conflicts_with = "listen")]
    once: bool,
}

pub(super) fn witness(
    verb: Witness,
    state: &dyn Fn() -> Result<StateFolder, Error>,
    out: Output,
) -> Result<Answer, Error> {
    match verb {
        Witness::Add(add) => self::add(&state()?, add, out),
        Witness::List { policy } => list(&state()?, policy, out),
        Witness::Remove { name } => remove(&state()?, &name, out),
        Witness::Sync { once } => {
            let state = state()?;
            let mut program = edge("sync", out)?;
            program.arg("--state").arg(existing(&state)?);
            program.args(once.then_some("--once"));
            Err(become_it(program))
        }
        Witness::Serve(serve) => {
            let mut program = edge("serve", out)?;
            program.arg("--folder").arg(&serve.folder);
            for (option, value) in [("--listen", &serve.listen), ("--name", &serve.name)] {
                program.args(value.iter().flat_map(|value| [option, value.as_str()]));
            }
            program.args(serve.log.iter().flat_map(|log| ["--log", log.as_str()]));
            program.args(serve.once.then_some("--once"));
            Err(become_it(program))
        }
    }
}

fn add(state: &StateFolder, add: Add, out: Output) -> Result<Answer, Error> {
    let place = match (add.url, add.folder) {
        (Some(url), _) => Place::Url(url.trim_end_matches('/').to_owned()),
        (None, folder) => {
            let folder = folder.unwrap_or_default();
            let absolute = std::path::absolute(&folder);
            Place::Folder(absolute.map_err(Error::file("find", &folder))?)
        }
    };
    let added = operator::add_witness(existing(state)?, &add.name, &add.vkey, place)?;
    let name = printable(&add.name);
    out.done(&json!({ "name": add.name, "changed": added }), || {
        let already = if added { "" } else { " already" };
        format!("'{name}' is a witness{already}: `plugin-gateway witness sync` asks it, and witness.quorum in config.toml says how many are enough")
    })?;
    Ok(Answer::Yes)
}

fn list(state: &StateFolder, policy: bool, out: Output) -> Result<Answer, Error> {
    let state = readable(state, out)?;
    if policy {
        let policy = operator::policy(state)?;
        out.answer(&json!({ "policy": policy }), || {
            policy.trim_end().to_owned()
        })?;
        return Ok(Answer::Yes);
    }
    let witnesses = operator::witnesses(state)?;
    out.answer(&witnesses, || {
        let rows = witnesses.iter().map(|witness| {
            vec![
                witness.name.clone(),
                witness.place.clone(),
                witness.vkey.clone(),
            ]
        });
        if witnesses.is_empty() {
            "there is no witness: nothing outside of this machine remembers how long the ledger was"
                .to_owned()
        } else {
            table(&["WITNESS", "PLACE", "KEY"], rows)
        }
    })?;
    Ok(Answer::Yes)
}

fn remove(state: &StateFolder, name: &str, out: Output) -> Result<Answer, Error> {
    let removed = operator::remove_witness(existing(state)?, name)?;
    out.done(&json!({ "name": name, "changed": removed }), || {
        let name = printable(name);
        match removed {
            true => format!("'{name}' is no longer a witness"),
            false => format!("there is no witness '{name}'"),
        }
    })?;
    Ok(removed.into())
}

/// The proof of one event.
pub(super) fn event(
    state: &StateFolder,
    id: &str,
    file: &Path,
    out: Output,
) -> Result<Answer, Error> {
    let id = EventId::parse(id).map_err(|error| Error::Usage {
        message: error.to_string(),
        hint: "`plugin-gateway ledger tail --json` shows the events with their ids".to_owned(),
    })?;
    drop(open(state, out)?.checkpoint(state)?);
    let (proof, missing) = operator::prove_event(state, &id)?;
    write_out(file, proof.text.as_bytes()).map_err(Error::file("write the proof to", file))?;
    if let Some(missing) = &missing {
        out.note(&format!("note: {missing}"));
    }
    let document = json!({ "event_id": id, "index": proof.index, "file": file });
    out.done(&document, || {
        format!(
            "proof of event {id}, which is event {} of the log, in {}",
            proof.index,
            file.display()
        )
    })?;
    Ok(Answer::Yes)
}

/// The log as a static site.
pub(super) fn publish(
    state: &StateFolder,
    to: &Path,
    lines: bool,
    out: Output,
) -> Result<Answer, Error> {
    let published = operator::publish(readable(state, out)?, to, lines)?;
    let document = json!({ "events": published.events, "files": published.files, "folder": to });
    out.done(&document, || match published.events {
        0 => "the ledger has no checkpoint yet: there is nothing to publish".to_owned(),
        events => format!(
            "{events} events in {}: {} files are new",
            to.display(),
            published.files
        ),
    })?;
    Ok(Answer::Yes)
}

/// A time stamp for a file.
pub(super) fn stamp(stamp: &Stamp, out: Output) -> Result<Answer, Error> {
    let mut program = edge("stamp", out)?;
    program.arg(&stamp.file).args(["--tsa", &stamp.tsa]);
    for (option, value) in [("--out", &stamp.out), ("--ca", &stamp.ca)] {
        if let Some(value) = value {
            program.arg(option).arg(value);
        }
    }
    Err(become_it(program))
}

#[derive(Debug, Args)]
pub(super) struct Stamp {
    /// The file, such as a bundle
    file: PathBuf,
    /// The address of the time-stamping authority
    #[arg(long, value_name = "URL")]
    tsa: String,
    /// Where to write the stamp [default: FILE.tsr]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The certificate that must have issued the authority's, or be it (PEM); without, nobody's word is taken for whose stamp it is
    #[arg(long, value_name = "PEM")]
    ca: Option<PathBuf>,
}

fn edge(verb: &str, out: Output) -> Result<Command, Error> {
    let mut program = Command::new(operator::edge()?);
    program.arg(verb);
    program.args(out.json.then_some("--json"));
    program.args(out.quiet.then_some("--quiet"));
    Ok(program)
}

/// Goes on as the other program; it comes back only where that cannot be started.
fn become_it(mut program: Command) -> Error {
    let error = program.exec();
    let path = PathBuf::from(program.get_program());
    Error::file("start", &path)(error)
}
