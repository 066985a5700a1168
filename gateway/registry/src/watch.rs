//! Learns from the kernel (inotify(7)) what is changed in stored packages, so that a large one that nobody touched is not walked at each
//! call. It only ever saves work: where it cannot be sure, the package is walked.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_protocol::digest::PackageDigest;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

/// The most folders that are watched, of all packages together: a kernel with little memory gives a user 8,192 watches, and other
/// programs need some.
const MAX_FOLDERS: usize = 6_144;

/// Every change of a folder, and of the files in it.
const CHANGES: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW);

/// File systems whose every change is made through this kernel, by the magic numbers of statfs(2): ext, XFS, Btrfs, tmpfs, overlay, F2FS,
/// bcachefs. On others, of a network for one, somebody elsewhere may write.
const LOCAL: [u64; 7] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0x794c_7630,
    0xf2f5_2010,
    0xca45_1a4e,
];

/// Whether every change in a folder is made through this kernel.
pub(super) fn is_local(folder: &OwnedFd) -> bool {
    let of = rustix::fs::fstatfs(folder);
    // The type's width differs by architecture; the magic numbers have 32 bits.
    of.is_ok_and(|of| u64::try_from(of.f_type).is_ok_and(|magic| LOCAL.contains(&magic)))
}

/// The folders under watch.
#[derive(Debug)]
pub(super) struct Watch {
    /// None where the kernel gave none: then every package is walked.
    inotify: Option<OwnedFd>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The package of each watched folder, by the kernel's number for the watch.
    folders: HashMap<i32, PackageDigest>,
    /// How many changes of a package were heard of.
    changes: HashMap<PackageDigest, u64>,
    /// How often the kernel had more to say than it could keep: whatever was watched may have changed.
    lost: u64,
}

/// How much was heard of a package at one time. The same number later: nothing happened between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u64);

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok(),
            state: Mutex::default(),
        }
    }

    /// Begins to watch a package, whose folders are to be added before they are opened; none where changes could be missed.
    pub(super) fn begin(&self, digest: PackageDigest, folder: &OwnedFd) -> Option<Mark> {
        is_local(folder).then(|| self.mark(digest)).flatten()
    }

    /// Watches one folder; false where it cannot.
    pub(super) fn add(&self, digest: PackageDigest, folder: &Path) -> bool {
        let Some(inotify) = &self.inotify else {
            return false;
        };
        let mut state = self.state();
        if state.folders.len() >= MAX_FOLDERS {
            return false;
        }
        let watched = inotify::add_watch(inotify, folder, CHANGES);
        watched.is_ok_and(|watch| {
            state.folders.insert(watch, digest);
            true
        })
    }

    /// How much was heard of a package until now; none where nothing can be heard.
    pub(super) fn mark(&self, digest: PackageDigest) -> Option<Mark> {
        let mut state = self.state();
        state.hear(self.inotify.as_ref()?);
        let changes = state.changes.get(&digest).copied().unwrap_or_default();
        Some(Mark(changes + state.lost))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A change that was heard of is counted in one step, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes all that the kernel has to say.
    fn hear(&mut self, inotify: &OwnedFd) {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(inotify, &mut space);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => {
                    self.lost += 1;
                    return;
                }
            };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                self.lost += 1;
            } else if let Some(digest) = self.folders.get(&event.wd()) {
                *self.changes.entry(*digest).or_default() += 1;
            }
            if event.events().contains(ReadFlags::IGNORED) {
                self.folders.remove(&event.wd());
            }
        }
    }
}
