//! A disk that runs full: calls that began are closed, no new one begins, and the ledger goes on when there is space again.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::disk::{Disk, DiskFile, RealDisk};

/// A disk with this many bytes left. Writing what was reserved in a file takes no more of them.
#[derive(Debug, Clone)]
struct SmallDisk {
    left: Arc<AtomicU64>,
    reserved: Arc<Mutex<std::collections::HashMap<PathBuf, u64>>>,
}

impl SmallDisk {
    fn new(left: u64) -> Self {
        Self {
            left: Arc::new(AtomicU64::new(left)),
            reserved: Arc::default(),
        }
    }

    /// Takes what `path` needs to reach `end`, beyond what it has.
    fn take(&self, path: &Path, end: u64) -> io::Result<()> {
        let mut reserved = self.reserved.lock().unwrap();
        let has = reserved
            .entry(path.to_owned())
            .or_insert_with(|| std::fs::metadata(path).map_or(0, |file| file.len()));
        let more = end.saturating_sub(*has);
        let left = self.left.load(Ordering::Relaxed);
        if more > left {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left.store(left - more, Ordering::Relaxed);
        *has = (*has).max(end);
        Ok(())
    }
}

impl Disk for SmallDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SmallFile(
            self.clone(),
            path.to_owned(),
            RealDisk.open(path)?,
        )))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SmallFile(
            self.clone(),
            path.to_owned(),
            RealDisk.create(path)?,
        )))
    }

    fn replace(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.reserved.lock().unwrap().remove(path);
        Ok(Box::new(SmallFile(
            self.clone(),
            path.to_owned(),
            RealDisk.replace(path)?,
        )))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.link(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        RealDisk.exchange(one, other)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct SmallFile(SmallDisk, PathBuf, Box<dyn DiskFile>);

impl DiskFile for SmallFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.take(&self.1, offset + bytes.len() as u64)?;
        self.2.write_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.2.truncate(len)
    }

    fn reserve(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.0.take(&self.1, offset + len)
    }
}

fn long(kind: EventKind, request: &str) -> Draft {
    let mut draft = draft(kind, "r", request);
    draft.meta.insert("note".to_owned(), "x".repeat(60_000));
    draft
}

#[test]
fn on_a_full_disk_what_has_begun_is_closed_and_nothing_new_begins() {
    let state = fresh();
    let disk = SmallDisk::new(40 << 20);
    let options = Options {
        disk: Arc::new(disk.clone()),
        segment_bytes: 1 << 20,
        checkpoint_events: 16,
        ..Options::default()
    };
    let (ledger, _) = open_with(state.path(), options.clone()).unwrap();
    let mut begun = Vec::new();
    let refused = loop {
        let request = format!("{}", begun.len());
        match ledger.record(long(EventKind::Invoke, &request)) {
            Ok(invoke) => begun.push(invoke.event().clone()),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused}");
    assert!(begun.len() > 50, "{}", begun.len());
    // Refusals may still be recorded while there is room, but never from the space of calls that must be closed.
    while ledger.record(long(EventKind::Reject, "other")).is_ok() {}
    // Nor from that of an operator's way back.
    let mut revoked = 0;
    while ledger
        .record(draft(EventKind::Disable, "system", "other"))
        .is_ok()
    {
        revoked += 1;
    }
    assert!(revoked > 200, "{revoked}");
    assert!(matches!(
        ledger.record(long(EventKind::Register, "other")),
        Err(Error::NoSpace { .. })
    ));
    let close = |invoke: &Event| {
        let request = invoke.request_id.as_ref().unwrap();
        ledger
            .record(closing(invoke, long(EventKind::Result, request.as_str())))
            .unwrap_or_else(|error| panic!("{request}: {error}"))
    };
    for invoke in &begun {
        close(invoke);
    }
    assert!(matches!(
        ledger.record(long(EventKind::Invoke, "more")),
        Err(Error::NoSpace { .. })
    ));
    // Someone frees space: no restart is needed.
    disk.left.fetch_add(40 << 20, Ordering::Relaxed);
    let more = ledger.record(long(EventKind::Invoke, "more")).unwrap();
    close(more.event());
    drop(ledger);
    let (_, opening) = open_with(state.path(), options).unwrap();
    assert_eq!(opening.closed, []);
    let found = verify(state.path());
    assert!(found.valid, "{}", found.reason);
    assert!(
        opening
            .checkpoint
            .is_some_and(|checkpoint| checkpoint.size == found.events)
    );
}

#[test]
fn on_a_disk_that_ran_full_while_the_ledger_was_closed_there_is_room_to_revoke() {
    let state = fresh();
    let disk = SmallDisk::new(40 << 20);
    let options = Options {
        disk: Arc::new(disk.clone()),
        ..Options::default()
    };
    let (ledger, _) = open_with(state.path(), options.clone()).unwrap();
    ledger.record(draft(EventKind::Enable, "r", "q")).unwrap();
    drop(ledger);
    disk.left.store(0, Ordering::Relaxed);
    let mut revoked = 0;
    // One opening each, as verbs do it, and none of them takes the space of those that follow.
    for _ in 0..20 {
        let (ledger, _) = open_with(state.path(), options.clone()).unwrap();
        for refused in [
            EventKind::Invoke,
            EventKind::Enable,
            EventKind::Register,
            EventKind::Reject,
        ] {
            let refused = ledger.record(draft(refused, "r", "q"));
            assert!(matches!(refused, Err(Error::NoSpace { .. })), "{refused:?}");
        }
        ledger.record(draft(EventKind::Disable, "r", "q")).unwrap();
        revoked += 1;
    }
    let found = verify(state.path());
    assert!(found.valid, "{}", found.reason);
    assert_eq!(found.events, revoked + 1);
    disk.left.store(40 << 20, Ordering::Relaxed);
    let (ledger, _) = open_with(state.path(), options).unwrap();
    ledger.record(draft(EventKind::Enable, "r", "q")).unwrap();
}

#[test]
fn the_reserve_is_given_back_at_the_end_but_for_the_way_back() {
    use std::os::unix::fs::MetadataExt as _;
    let state = fresh();
    let (ledger, _) = open(state.path());
    ledger.record(draft(EventKind::Result, "r", "q")).unwrap();
    let path = segments(state.path()).remove(0);
    let blocks = |path: &Path| std::fs::metadata(path).unwrap().blocks() * 512;
    assert!(
        blocks(&path) > 4 << 20,
        "space is reserved while it is open"
    );
    assert!(
        std::fs::metadata(&path).unwrap().len() < 1_000,
        "and does not show in the length"
    );
    drop(ledger);
    let retreat = crate::disk::RETREAT_BYTES;
    assert!((retreat..retreat + 16_384).contains(&blocks(&path)));
}
