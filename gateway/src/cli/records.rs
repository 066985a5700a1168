//! The verbs about the ledger. Those that only read need no lock.

use std::path::Path;

use plugin_protocol::event::{Event, EventKind, meta};
use plugin_protocol::ids::{PluginId, RequestId, RunId};
use plugin_protocol::time::Timestamp;
use serde_json::json;

use super::args::{Kind, Query};
use super::output::Output;
use super::progress::Progress;
use super::words::{printable, row, width};
use super::{Answer, StateFolder, existing, open, readable};
use crate::error::Error;
use crate::operator;
use ledger::{self, Filter, Pruned, Stored};

pub(super) fn verify(state: &StateFolder, out: Output) -> Result<Answer, Error> {
    let settings = operator::settings(existing(state)?)?.anchored(state.anchor.as_deref());
    let progress = Progress::start(out);
    let anchor = settings.ledger.anchor_folder();
    let found = ledger::verify(state, anchor, &|done, total| progress.tell(done, total))?;
    let speed = progress.end(found.events, found.bytes);
    out.answer(&found, || {
        if found.valid {
            format!(
                "valid: {} events, {} bytes, head {} ({speed}){}",
                found.events,
                found.bytes,
                found.head,
                found.pruned.as_ref().map(gone).unwrap_or_default()
            )
        } else {
            let at = found
                .broken_at
                .map(|index| format!(" at event {index}"))
                .unwrap_or_default();
            format!("BROKEN{at}: {}", printable(&found.reason))
        }
    })?;
    Ok(found.valid.into())
}

pub(super) fn checkpoint(state: &StateFolder, out: Output) -> Result<Answer, Error> {
    let signed = open(state, out)?.checkpoint(state)?;
    let document = signed
        .as_ref()
        .map(|(checkpoint, note)| json!({ "size": checkpoint.size, "note": note }));
    out.answer(&document, || match &signed {
        Some((_, note)) => note.trim_end().to_owned(),
        None => "the ledger has no event yet: there is nothing to sign".to_owned(),
    })?;
    Ok(Answer::Yes)
}

/// A ledger at rest is opened first, so that its newest checkpoint is over all of its events.
pub(super) fn backup(state: &StateFolder, to: &Path, out: Output) -> Result<Answer, Error> {
    drop(open(state, out)?.checkpoint(state)?);
    let progress = Progress::start(out);
    let made = operator::backup(state, to, &|done, total| progress.tell(done, total))?;
    progress.end(made.events, 0);
    out.done(&made, || {
        format!(
            "{} events and {} packages were copied to '{}' and verified; head {}{}",
            made.events,
            made.packages,
            made.path.display(),
            made.head,
            made.pruned.as_ref().map(gone).unwrap_or_default()
        )
    })?;
    Ok(Answer::Yes)
}

pub(super) fn erase(state: &StateFolder, run: &str, out: Output) -> Result<Answer, Error> {
    let run = RunId::parse(run).map_err(wrong)?;
    let erased = open(state, out)?.erase(&run)?;
    out.done(&erased, || {
        let run = printable(erased.run_id.as_str());
        let salt = if erased.salt { " and its salt" } else { "" };
        match erased.erased {
            0 if erased.salt => format!("the salt of run '{run}' was erased"),
            0 => format!("nothing is kept of run '{run}'"),
            count => {
                format!("{count} kept requests and results of run '{run}'{salt} were erased")
            }
        }
    })?;
    Ok(Answer::Yes)
}

pub(super) fn prune(state: &StateFolder, before: u64, out: Output) -> Result<Answer, Error> {
    let done = open(state, out)?.prune(before)?;
    out.done(&done, || {
        let Pruned {
            before,
            dropped,
            bytes,
            carried,
        } = done.pruned;
        format!(
            "of the events before {before}, {dropped} lines ({bytes} bytes) are gone and {carried} were carried over; old checkpoints and bundles verify as before"
        )
    })?;
    Ok(Answer::Yes)
}

/// What is not there of a pruned ledger, behind a sentence.
fn gone(pruned: &Pruned) -> String {
    format!(
        "; of the events before {} only {} lines are there, the other {} were pruned",
        pruned.before, pruned.carried, pruned.dropped
    )
}

/// Says on the way what a reader of a pruned ledger does not see.
fn say_pruned(state: &Path, out: Output) -> Result<(), Error> {
    if let Some(pruned) = ledger::pruned(state)? {
        out.note(&format!("note: this ledger was pruned{}", gone(&pruned)));
    }
    Ok(())
}

pub(super) fn tail(
    state: &StateFolder,
    lines: usize,
    follow: bool,
    out: Output,
) -> Result<Answer, Error> {
    let state = readable(state, out)?;
    say_pruned(state, out)?;
    if follow {
        // It goes on until the reader leaves or a signal ends it.
        for stored in ledger::follow(state, lines, &|| false)? {
            show(&stored?, out)?;
        }
    } else {
        for stored in ledger::tail(state, lines)? {
            show(&stored, out)?;
        }
    }
    Ok(Answer::Yes)
}

pub(super) fn query(state: &StateFolder, query: &Query, out: Output) -> Result<Answer, Error> {
    let filter = filter(query)?;
    let state = readable(state, out)?;
    say_pruned(state, out)?;
    for stored in ledger::query(state, &filter)? {
        show(&stored?, out)?;
    }
    Ok(Answer::Yes)
}

fn filter(query: &Query) -> Result<Filter, Error> {
    Ok(Filter {
        run: parsed(query.run.as_deref(), RunId::parse)?,
        plugin: parsed(query.plugin.as_deref(), PluginId::parse)?,
        request: parsed(query.request.as_deref(), RequestId::parse)?,
        kind: query.kind.map(kind),
        since: parsed(query.since.as_deref(), Timestamp::parse)?,
        until: parsed(query.until.as_deref(), Timestamp::parse)?,
    })
}

fn parsed<T, E: std::fmt::Display>(
    text: Option<&str>,
    parse: fn(&str) -> Result<T, E>,
) -> Result<Option<T>, Error> {
    text.map(parse).transpose().map_err(wrong)
}

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::Usage {
        message: error.to_string(),
        hint: "see plugin-gateway ledger --help".to_owned(),
    }
}

fn kind(kind: Kind) -> EventKind {
    match kind {
        Kind::Register => EventKind::Register,
        Kind::Enable => EventKind::Enable,
        Kind::Disable => EventKind::Disable,
        Kind::Invoke => EventKind::Invoke,
        Kind::Result => EventKind::Result,
        Kind::Reject => EventKind::Reject,
        Kind::Error => EventKind::Error,
        Kind::ProofExport => EventKind::ProofExport,
    }
}

/// The event as it is stored, or a line for people.
fn show(stored: &Stored, out: Output) -> Result<(), Error> {
    if out.json {
        return Ok(out.stored(&stored.line)?);
    }
    let event = &stored.event;
    let id = |id: Option<String>| id.unwrap_or_else(|| "-".to_owned());
    let (word, about) = happened(event);
    let parts = [
        format!("{:>6}  {}", stored.index, event.ts),
        format!("{word:<12}"),
        format!("{about:<24}"),
        format!(
            "{:<24}",
            id(event.request_id.as_ref().map(ToString::to_string))
        ),
        format!("run {}", event.run_id),
        facts(event),
    ];
    let parts = parts.map(|part| printable(&part));
    Ok(out.raw(&row(&parts, width()))?)
}

/// What happened in a word, and to whom. The ledger has eight kinds of events, and some of them are about something else than a plugin:
/// a key, or what was kept of a run. They are shown as what the operator did.
fn happened(event: &Event) -> (&'static str, String) {
    let meta = |name: &str| event.meta.get(name).map(String::as_str).unwrap_or_default();
    let plugin = || {
        let id = event.plugin_id.as_ref();
        id.map_or_else(|| "-".to_owned(), ToString::to_string)
    };
    let key = || format!("key {}", meta(meta::KEY_ID));
    match (event.kind, meta(meta::SUBJECT), meta(meta::REMOVED)) {
        (EventKind::Enable, meta::SUBJECT_KEY, _) => ("TRUST", key()),
        (EventKind::Disable, meta::SUBJECT_KEY, _) => ("REVOKE", key()),
        (EventKind::Disable, meta::SUBJECT_EVIDENCE, _) => {
            ("ERASE", format!("run {}", meta(meta::RUN)))
        }
        (EventKind::Disable, meta::SUBJECT_LEDGER, _) => {
            ("PRUNE", format!("before {}", meta(meta::BEFORE)))
        }
        (EventKind::Disable, _, "true") => ("REMOVE", plugin()),
        (kind, _, _) => (kind.as_str(), plugin()),
    }
}

/// What a person wants to know of an event beside that.
fn facts(event: &Event) -> String {
    const FACTS: [&str; 4] = [meta::STATUS, meta::CAUSE, meta::REASON, meta::LABEL];
    let facts = FACTS.iter().filter_map(|name| event.meta.get(*name));
    let mut facts: Vec<_> = facts.filter(|fact| !fact.is_empty()).cloned().collect();
    facts.extend(
        event
            .meta
            .get(meta::FILES)
            .map(|files| format!("{files} kept requests and results")),
    );
    facts.extend(
        event
            .meta
            .get(meta::DROPPED)
            .map(|lines| format!("{lines} lines dropped")),
    );
    facts.join(", ")
}
