//! Erasing what is kept of a run: recorded first, then removed, and completed after whatever cuts it off.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use plugin_protocol::canonical;
use plugin_protocol::event::{Event, EventKind};
use plugin_protocol::ids::{EventId, RunId};
use serde::{Deserialize, Serialize};

use super::store::{Store, entries, run_folder, run_name, sync};
use crate::disk::io::write_whole;
use crate::disk::reserve::is_full;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::line::event::Draft;
use crate::open::init::read_small;
use crate::read::query::{Filter, query};

/// The `meta` member that says what a `DISABLE` without a plugin is about, and what it says here.
const SUBJECT: (&str, &str) = ("subject", "evidence");

/// The `meta` member that names the run.
const RUN: &str = "run";

/// The `meta` member that names the erasure, so that one that was cut off is recorded once.
const ERASURE: &str = "erasure";

/// What came of an erasure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// The run.
    pub run_id: RunId,
    /// How many requests and results were kept and are no more.
    pub erased: u64,
    /// The event that says so, `""` where nothing was kept.
    pub event_id: String,
}

/// An erasure that is under way, as its note in `erasing` says it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnderWay {
    erasure: EventId,
    run_id: RunId,
}

impl Ledger {
    /// Removes what is kept of the requests and results of `run`, after an event that says so.
    ///
    /// Calls of plugins that keep their evidence wait meanwhile, from their file to their event.
    ///
    /// # Errors
    /// When there is nothing of such a run, or the system refuses; what was begun is then completed at the next opening.
    pub fn erase_evidence(&self, run: &RunId) -> Result<Erased, Error> {
        let store = self.evidence();
        let _alone = store.alone();
        let note = store.layout.evidence_erasing().join(run_name(run));
        if note.exists() {
            self.complete(store, &note)?;
        }
        if !run_folder(&store.layout, run).exists() {
            return self.nothing_kept(run);
        }
        let under_way = UnderWay {
            erasure: EventId::now(),
            run_id: run.clone(),
        };
        match write_whole(store.disk.as_ref(), &note, &canonical::bytes(&under_way)) {
            // On a full disk the erasure is what frees space: cut off then, it is completed by asking again.
            Err(error) if is_full(&error) => {}
            written => written.map_err(Error::io("write", &note))?,
        }
        self.carry_out(store, &note, &under_way, None)
    }

    /// Completes every erasure that was cut off.
    pub(crate) fn complete_erasures(&self) -> Result<(), Error> {
        let store = self.evidence();
        let _alone = store.alone();
        if !store.layout.evidence_erasing().is_dir() {
            return Ok(());
        }
        for note in entries(&store.layout.evidence_erasing())? {
            if note.extension().is_some() {
                // It was being written: nothing was begun.
                remove(store, &note)?;
            } else {
                self.complete(store, &note)?;
            }
        }
        Ok(())
    }

    fn nothing_kept(&self, run: &RunId) -> Result<Erased, Error> {
        let filter = Filter {
            run: Some(run.clone()),
            ..Filter::default()
        };
        let Some(found) = query(self.evidence().layout.state(), &filter)?.next() else {
            return Err(Error::NoSuchRun {
                run: run.to_string(),
            });
        };
        found?;
        Ok(Erased {
            run_id: run.clone(),
            erased: 0,
            event_id: String::new(),
        })
    }

    fn complete(&self, store: &Store, note: &Path) -> Result<Erased, Error> {
        let under_way = read_note(note)?;
        let recorded = recorded(store.layout.state(), &under_way)?;
        self.carry_out(store, note, &under_way, recorded)
    }

    /// Records the erasure unless that is done, then removes the files, then the note.
    fn carry_out(
        &self,
        store: &Store,
        note: &Path,
        under_way: &UnderWay,
        recorded: Option<EventId>,
    ) -> Result<Erased, Error> {
        let folder = run_folder(&store.layout, &under_way.run_id);
        let files = entries(&folder)?;
        let event_id = match recorded {
            Some(event_id) => event_id,
            None => self.append(erasure(under_way, files.len()))?.event_id,
        };
        // Durable before anything goes, also where events are told of before they are.
        self.checkpoint()?;
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
            erased: files.len() as u64,
            event_id: event_id.to_string(),
        })
    }
}

/// Whether what was kept of `run` was erased at some time.
///
/// # Errors
/// When the ledger below `state` cannot be read.
pub fn was_erased(state: &Path, run: &RunId) -> Result<bool, Error> {
    Ok(find_erasure(state, RUN, run.as_str())?.is_some())
}

/// The event of an erasure, where it is recorded already.
fn recorded(state: &Path, under_way: &UnderWay) -> Result<Option<EventId>, Error> {
    let found = find_erasure(state, ERASURE, &under_way.erasure.to_string())?;
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
            .get(SUBJECT.0)
            .is_some_and(|what| what == SUBJECT.1)
}

fn erasure(under_way: &UnderWay, files: usize) -> Draft {
    let meta = [
        SUBJECT,
        (RUN, under_way.run_id.as_str()),
        ("files", &files.to_string()),
        (ERASURE, &under_way.erasure.to_string()),
    ];
    Draft {
        run_id: RunId::system(),
        kind: EventKind::Disable,
        plugin_id: None,
        request_id: None,
        input_hash: None,
        output_hash: None,
        meta: BTreeMap::from(meta.map(|(name, value)| (name.to_owned(), value.to_owned()))),
    }
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
