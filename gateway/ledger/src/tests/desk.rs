//! Who writes: a caller that is alone does it itself, and the thread does the rest. Nobody waits for ever, and nothing due is put off.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use plugin_protocol::event::EventKind;

use super::{all, draft, fresh, open_with, verify};
use crate::disk::{Disk, DiskFile, RealDisk};
use crate::{Error, Options};

/// The real disk, which takes down the thread of each sync of a segment, and can be told to panic in the next.
#[derive(Debug, Clone, Default)]
struct Watched {
    syncs: Arc<Mutex<Vec<String>>>,
    panics: Arc<AtomicBool>,
    /// Met once by the sync that is under way, where it is set: whoever comes meanwhile finds the pen away.
    meets: Arc<Mutex<Option<Arc<Barrier>>>>,
}

#[derive(Debug)]
struct WatchedFile {
    disk: Watched,
    file: Box<dyn DiskFile>,
}

impl Watched {
    fn options(&self) -> Options {
        Options {
            disk: Arc::new(self.clone()),
            // No checkpoint comes between.
            checkpoint_every: Duration::from_secs(600),
            ..Options::default()
        }
    }

    fn file(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        if path.extension().is_some_and(|end| end == "ndjson") {
            let disk = self.clone();
            Box::new(WatchedFile { disk, file })
        } else {
            file
        }
    }

    fn syncs(&self) -> Vec<String> {
        std::mem::take(&mut *self.syncs.lock().unwrap())
    }
}

impl Disk for Watched {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, RealDisk.open(path)?))
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, RealDisk.create(path)?))
    }
    fn replace(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.replace(path)
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
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }
}

impl DiskFile for WatchedFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }
    fn sync(&mut self) -> io::Result<()> {
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        self.disk.syncs.lock().unwrap().push(name);
        let meet = self.disk.meets.lock().unwrap().take();
        if let Some(meet) = meet {
            // Once when it has begun, and once when it may go on.
            meet.wait();
            meet.wait();
        }
        assert!(!self.disk.panics.load(Ordering::SeqCst), "the disk panics");
        self.file.sync()
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
    fn reserve(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.file.reserve(offset, len)
    }
}

/// Runs in a thread of this name.
fn named<T: Send + 'static>(
    name: &str,
    what: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(what)
        .unwrap()
}

#[test]
fn a_caller_that_is_alone_writes_itself_and_who_comes_meanwhile_leaves_it_to_the_thread() {
    let (folder, disk) = (fresh(), Watched::default());
    let (ledger, _) = open_with(folder.path(), disk.options()).unwrap();
    disk.syncs();
    let record = |request: &'static str| {
        let ledger = ledger.clone();
        move || {
            ledger
                .record(draft(EventKind::Reject, "r", request))
                .map(drop)
        }
    };
    named("caller", record("1")).join().unwrap().unwrap();
    named("caller", record("2")).join().unwrap().unwrap();
    assert_eq!(disk.syncs(), ["caller", "caller"]);

    let barrier = Arc::new(Barrier::new(2));
    *disk.meets.lock().unwrap() = Some(Arc::clone(&barrier));
    let first = named("first", record("3"));
    barrier.wait();
    // The first is in its sync now. Whether the others have come is not to be seen from here; the chain and the count are right anyway.
    let others: Vec<_> = (0..8).map(|_| named("other", record("4"))).collect();
    std::thread::sleep(Duration::from_millis(50));
    barrier.wait();
    first.join().unwrap().unwrap();
    others
        .into_iter()
        .for_each(|other| other.join().unwrap().unwrap());
    let syncs = disk.syncs();
    assert_eq!(syncs[0], "first");
    assert!(syncs.iter().any(|thread| thread == "ledger"), "{syncs:?}");
    assert!(syncs.len() < 9, "those who waited share a sync: {syncs:?}");
    drop(ledger);
    assert!(verify(folder.path()).valid);
    assert_eq!(all(folder.path()).len(), 11);
}

/// What is on the disk is not known then, so nothing more is written; and whoever waits is told.
#[test]
fn a_panic_while_a_caller_writes_is_the_end_for_all_and_leaves_nobody_waiting() {
    let (folder, disk) = (fresh(), Watched::default());
    let (ledger, _) = open_with(folder.path(), disk.options()).unwrap();
    ledger.record(draft(EventKind::Reject, "r", "1")).unwrap();
    let barrier = Arc::new(Barrier::new(2));
    *disk.meets.lock().unwrap() = Some(Arc::clone(&barrier));
    disk.panics.store(true, Ordering::SeqCst);
    let record = || {
        let ledger = ledger.clone();
        move || ledger.record(draft(EventKind::Reject, "r", "2")).map(drop)
    };
    let first = named("first", record());
    barrier.wait();
    let others: Vec<_> = (0..4).map(|_| named("other", record())).collect();
    std::thread::sleep(Duration::from_millis(50));
    barrier.wait();
    assert!(first.join().is_err(), "it panicked");
    for other in others {
        let told = other.join().unwrap();
        assert!(matches!(told, Err(Error::Unavailable { .. })), "{told:?}");
    }
    let told = ledger.record(draft(EventKind::Reject, "r", "3"));
    assert!(matches!(told, Err(Error::Unavailable { .. })), "{told:?}");
    // Closing waits for the thread, which has ended.
    drop(ledger);
    let (ledger, _) = open_with(folder.path(), Options::default()).unwrap();
    ledger.record(draft(EventKind::Reject, "r", "4")).unwrap();
}

/// A caller that is never without an event writes all of them itself, and the checkpoints come all the same.
#[test]
fn a_busy_caller_does_not_put_off_a_checkpoint() {
    const EVERY: u64 = 8;
    let folder = fresh();
    let options = Options {
        checkpoint_events: EVERY,
        checkpoint_every: Duration::from_secs(600),
        ..Options::default()
    };
    let (ledger, opening) = open_with(folder.path(), options).unwrap();
    let before = opening.events;
    for request in 0..100 {
        let recorded = ledger.record(draft(EventKind::Reject, "r", &request.to_string()));
        let receipt = ledger.renewed(recorded.unwrap().receipt());
        let newest = ledger.renewed(plugin_protocol::message::Receipt {
            index: 0,
            ..receipt
        });
        assert!(
            receipt.index < newest.checkpoint_size + EVERY + before,
            "{newest:?}"
        );
    }
}
