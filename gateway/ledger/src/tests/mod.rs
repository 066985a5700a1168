//! Tests of the ledger, and what they share.

mod basics;
mod crash;
mod damage;
mod desk;
mod disk;
mod evidence;
mod kill;
mod lines;
mod merkle;
mod notes;
mod opening;
mod peers;
mod proofs;
mod prune;
mod prune_crash;
mod quorum;
mod reading;
mod rooms;
mod space;
mod witnesses;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use plugin_protocol::digest::PayloadHash;
use plugin_protocol::event::{Event, EventKind, meta};
use plugin_protocol::ids::{PluginId, RequestId, RunId};

use super::{Error, Ledger, Opening, Options};
use crate::Verification;
use crate::{Draft, Record};

/// A draft is itself something to record.
impl Record for Draft {
    fn draft(&self) -> Draft {
        self.clone()
    }
}

/// A state folder with an empty ledger, removed at the end; in memory where the system has such a place, to spare the disk.
fn fresh() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    crate::init(folder.path()).unwrap();
    folder
}

fn draft(kind: EventKind, run: &str, request: &str) -> Draft {
    Draft {
        run_id: RunId::parse(run).unwrap(),
        kind,
        plugin_id: Some(PluginId::parse("p.text.hello").unwrap()),
        request_id: Some(RequestId::parse(request).unwrap()),
        input_hash: Some(PayloadHash::of(request.as_bytes())),
        output_hash: None,
        meta: BTreeMap::from([("layers".to_owned(), "seccomp landlock".to_owned())]),
    }
}

/// The draft, as what closes the call of this `INVOKE`.
fn closing(invoke: &Event, mut draft: Draft) -> Draft {
    draft
        .meta
        .insert(meta::INVOKE.to_owned(), invoke.event_id.to_string());
    draft
}

fn open(state: &Path) -> (Ledger, Opening) {
    open_with(state, Options::default()).unwrap()
}

fn open_with(state: &Path, options: Options) -> Result<(Ledger, Opening), Error> {
    Ledger::open(state, options, &mut |_| {})
}

/// A ledger with `calls` invocations, two events each, closed in good order.
fn filled(calls: usize) -> tempfile::TempDir {
    filled_with(calls, Options::default())
}

fn filled_with(calls: usize, options: Options) -> tempfile::TempDir {
    let folder = fresh();
    let (ledger, _) = open_with(folder.path(), options).unwrap();
    for call in 0..calls {
        let (run, request) = (format!("run-{}", call % 3), format!("req-{call}"));
        let invoke = ledger
            .record(draft(EventKind::Invoke, &run, &request))
            .unwrap();
        ledger
            .record(closing(
                invoke.event(),
                draft(EventKind::Result, &run, &request),
            ))
            .unwrap();
    }
    folder
}

fn segments(state: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(state.join("ledger/seg"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

/// A copy of a state folder.
fn copied(state: &Path) -> tempfile::TempDir {
    let copy = fresh();
    for (path, bytes) in disk::files(state) {
        let path = copy.path().join(path.strip_prefix(state).unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    copy
}

/// Takes all checkpoints away, as if a crash had come before the first.
fn without_checkpoints(state: &Path) {
    for (path, _) in disk::files(state) {
        if path.starts_with(state.join("ledger/checkpoints"))
            || path.starts_with(state.join("anchor"))
        {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// All bytes of all segments.
fn bytes(state: &Path) -> Vec<u8> {
    segments(state)
        .iter()
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect()
}

fn all(state: &Path) -> Vec<Event> {
    crate::events(state)
        .unwrap()
        .map(|stored| stored.unwrap().event)
        .collect()
}

fn verify(state: &Path) -> Verification {
    crate::verify(state, None, &|_, _| {}).unwrap()
}
