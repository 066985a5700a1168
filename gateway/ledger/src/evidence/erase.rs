//! Erasing what is kept of a run: recorded first, then removed. An erasure that is cut off is completed later.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use plugin_protocol::canonical;
use plugin_protocol::event::{Event, EventKind, meta};
use plugin_protocol::ids::{EventId, RunId};
use serde::{Deserialize, Serialize};

use super::salt::Salt;
use super::store::{SALT_FILE, Store, entries, read_salt, run_folder, run_name, sync};
use crate::disk::{is_full, read_small, write_whole};
use crate::error::Error;
use crate::line::Draft;
use crate::read::{Filter, query};
use crate::write::WriterHandle;

/// What an erasure did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// The run.
    pub run_id: RunId,
    /// How many kept requests and results were removed.
    pub erased: u64,
    /// Whether the run's salt went with them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub salt: bool,
    /// The event that records it, `""` where nothing was kept.
    pub event_id: String,
}

/// An erasure in progress, as its note in `erasing` describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnderWay {
    erasure: EventId,
    run_id: RunId,
}

/// Records the erasure, then removes what is kept of the requests and results of `run`.
///
/// Meanwhile a call whose evidence is kept waits before it writes its file.
///
/// # Errors
/// When there is no such run, or the system refuses; an erasure that was begun is then completed at the next opening.
pub(crate) fn erase_evidence(
    store: &Store,
    writer: &WriterHandle,
    run: &RunId,
) -> Result<Erased, Error> {
    let _alone = store.alone();
    let note = store.layout.evidence_erasing().join(run_name(run));
    if note.exists() {
        complete(store, writer, &note)?;
    }
    if !run_folder(&store.layout, run).exists() {
        return nothing_kept(store.layout.state(), run);
    }
    let under_way = UnderWay {
        erasure: EventId::now(),
        run_id: run.clone(),
    };
    match write_whole(store.disk.as_ref(), &note, &canonical::bytes(&under_way)) {
        // The erasure itself frees the space that the note lacks; if a crash cuts it off, it is completed by asking again.
        Err(error) if is_full(&error) => {}
        written => written.map_err(Error::io("write", &note))?,
    }
    carry_out(store, writer, &note, &under_way, None)
}

/// Completes every erasure that was cut off.
pub(crate) fn complete_erasures(store: &Store, writer: &WriterHandle) -> Result<(), Error> {
    let _alone = store.alone();
    if !store.layout.evidence_erasing().is_dir() {
        return Ok(());
    }
    for note in entries(&store.layout.evidence_erasing())? {
        if note.extension().is_some() {
            // The note was still being written, so nothing was erased yet.
            remove(store, &note)?;
        } else {
            complete(store, writer, &note)?;
        }
    }
    Ok(())
}

fn nothing_kept(state: &Path, run: &RunId) -> Result<Erased, Error> {
    let filter = Filter {
        run: Some(run.clone()),
        ..Filter::default()
    };
    let Some(found) = query(state, &filter)?.next() else {
        return Err(Error::NoSuchRun {
            run: run.to_string(),
        });
    };
    found?;
    Ok(Erased {
        run_id: run.clone(),
        erased: 0,
        salt: false,
        event_id: String::new(),
    })
}

fn complete(store: &Store, writer: &WriterHandle, note: &Path) -> Result<Erased, Error> {
    let under_way = read_note(note)?;
    let recorded = recorded(store.layout.state(), &under_way)?;
    carry_out(store, writer, note, &under_way, recorded)
}

/// Records the erasure unless it is recorded already, then removes the files, then the note.
fn carry_out(
    store: &Store,
    writer: &WriterHandle,
    note: &Path,
    under_way: &UnderWay,
    recorded: Option<EventId>,
) -> Result<Erased, Error> {
    let folder = run_folder(&store.layout, &under_way.run_id);
    let files = entries(&folder)?;
    let is_salt = |path: &Path| path.file_name().is_some_and(|name| name == SALT_FILE);
    let salted = files.iter().any(|path| is_salt(path));
    let documents = files.iter().filter(|path| !is_salt(path)).count();
    let event_id = match recorded {
        Some(event_id) => event_id,
        None => {
            let salt = read_salt(&store.layout, &under_way.run_id)?;
            writer
                .append(erasure(under_way, documents, salt.as_ref()))?
                .event
                .event_id
        }
    };
    // The checkpoint makes the event durable before any file goes, even in a ledger whose durability is relaxed.
    writer.checkpoint()?;
    store.forget_salt(&under_way.run_id);
    for file in &files {
        store.disk.remove(file).map_err(Error::io("remove", file))?;
    }
    if folder.exists() {
        sync(store.disk.as_ref(), &folder)?;
    }
    match fs::remove_dir(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &folder)(error));
        }
        Ok(()) | Err(_) => {}
    }
    sync(store.disk.as_ref(), &store.layout.evidence_kept())?;
    remove(store, note)?;
    Ok(Erased {
        run_id: under_way.run_id.clone(),
        erased: documents as u64,
        salt: salted,
        event_id: event_id.to_string(),
    })
}

/// Whether what was kept of `run` was ever erased.
///
/// # Errors
/// When the ledger below `state` cannot be read.
pub fn was_erased(state: &Path, run: &RunId) -> Result<bool, Error> {
    Ok(find_erasure(state, meta::RUN, run.as_str())?.is_some())
}

/// The event of an erasure, where it is recorded already.
fn recorded(state: &Path, under_way: &UnderWay) -> Result<Option<EventId>, Error> {
    let found = find_erasure(state, meta::ERASURE, &under_way.erasure.to_string())?;
    Ok(found.map(|event| event.event_id))
}

/// The first erasure whose `meta` says `value` under `name`.
fn find_erasure(state: &Path, name: &str, value: &str) -> Result<Option<Event>, Error> {
    let filter = Filter {
        run: Some(RunId::system()),
        kind: Some(EventKind::Disable),
        ..Filter::default()
    };
    for stored in query(state, &filter)? {
        let event = stored?.event;
        if is_erasure(&event) && event.meta.get(name).is_some_and(|found| found == value) {
            return Ok(Some(event));
        }
    }
    Ok(None)
}

fn is_erasure(event: &Event) -> bool {
    event.kind == EventKind::Disable
        && event.plugin_id.is_none()
        && event
            .meta
            .get(meta::SUBJECT)
            .is_some_and(|what| what == meta::SUBJECT_EVIDENCE)
}

fn erasure(under_way: &UnderWay, files: usize, salt: Option<&Salt>) -> Draft {
    let meta = [
        (meta::SUBJECT, meta::SUBJECT_EVIDENCE.to_owned()),
        (meta::RUN, under_way.run_id.to_string()),
        (meta::FILES, files.to_string()),
        (meta::ERASURE, under_way.erasure.to_string()),
    ];
    let meta = meta.map(|(name, value)| (name.to_owned(), value));
    let mut meta = BTreeMap::from(meta);
    meta.extend(salt.map(|salt| (meta::ERASED_SALT.to_owned(), salt.id())));
    Draft::of_system(EventKind::Disable, None, meta)
}

fn read_note(note: &Path) -> Result<UnderWay, Error> {
    let text = read_small(note)?;
    serde_json::from_str(&text).map_err(|_| Error::EvidenceChanged {
        path: note.to_owned(),
    })
}

fn remove(store: &Store, note: &Path) -> Result<(), Error> {
    match store.disk.remove(note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed.map_err(Error::io("remove", note))?,
    }
    sync(store.disk.as_ref(), &store.layout.evidence_erasing())
}
