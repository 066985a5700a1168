//! The files: put in whole and durable, read back with their hash checked.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use plugin_protocol::digest::FileHash;
use plugin_protocol::ids::RunId;

use super::document::{Document, file_name};
use super::salt::Salt;
use crate::disk::{Disk, Layout, read_small, write_all_at};
use crate::error::Error;

/// The largest request or result that is kept, in bytes: far above what any line may hold, but bounded for reading back.
const MAX_DOCUMENT_BYTES: u64 = 1024 * 1024 * 1024;

/// The file of a run's salt, beside what is kept of the run.
pub(super) const SALT_FILE: &str = "salt";

/// How many salts are known without looking at their files.
const KNOWN_SALTS: usize = 1_024;

/// The kept files of one state, for its one writer.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) layout: Layout,
    pub(crate) disk: Arc<dyn Disk>,
    /// A call holds this shared from keeping its file until its event is recorded. An erasure holds it alone, so it never runs between the two.
    turns: RwLock<()>,
    /// Whether the folders are there. It is held while a folder is made, so that another thread never finds a folder that is not durable.
    ready: Mutex<bool>,
    drawn: AtomicU64,
    /// Salts that were used lately. It is held while one is made, so that a run has one.
    salts: Mutex<BTreeMap<RunId, Salt>>,
}

/// Holds erasures off until the event of what was kept is recorded.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    _turn: RwLockReadGuard<'a, ()>,
}

impl Store {
    /// Clears away what a crash left half written.
    pub(crate) fn open(layout: &Layout, disk: Arc<dyn Disk>) -> Result<Self, Error> {
        let ready = layout.evidence_erasing().is_dir();
        if ready {
            for path in entries(&layout.evidence_new())? {
                disk.remove(&path).map_err(Error::io("remove", &path))?;
            }
            // A run's folder that a killed process made may not be durable yet.
            sync(disk.as_ref(), &layout.evidence_kept())?;
        }
        Ok(Self {
            layout: layout.clone(),
            disk,
            turns: RwLock::new(()),
            ready: Mutex::new(ready),
            drawn: AtomicU64::new(0),
            salts: Mutex::default(),
        })
    }

    /// Holds erasures off. The caller drops it when the event is recorded that what it keeps belongs to.
    pub(crate) fn hold(&self) -> Held<'_> {
        let turn = self.turns.read().unwrap_or_else(PoisonError::into_inner);
        Held { _turn: turn }
    }

    /// The salt of `run`, which is made, durable, if there is none.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn salt(&self, _: &Held<'_>, run: &RunId) -> Result<Salt, Error> {
        let mut salts = self.salts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(salt) = salts.get(run) {
            return Ok(salt.clone());
        }
        let folder = self.folder(run)?;
        let salt = match read_salt(&self.layout, run)? {
            Some(salt) => salt,
            None => {
                let salt = Salt::draw().map_err(Error::io("draw a salt for", &folder))?;
                self.place(&folder.join(SALT_FILE), salt.text().as_bytes())?;
                salt
            }
        };
        // A killed process may have placed it and not yet synced the folder.
        sync(self.disk.as_ref(), &folder)?;
        if salts.len() >= KNOWN_SALTS {
            salts.clear();
        }
        salts.insert(run.clone(), salt.clone());
        Ok(salt)
    }

    /// Forgets the salt of a run; the caller is alone.
    pub(crate) fn forget_salt(&self, run: &RunId) {
        let mut salts = self.salts.lock().unwrap_or_else(PoisonError::into_inner);
        salts.remove(run);
    }

    /// Keeps `document` for `run`; it is durable when this returns.
    ///
    /// # Errors
    /// When the system refuses, for instance for want of space, or the document is too large to be read back.
    pub(crate) fn keep(
        &self,
        _: &Held<'_>,
        run: &RunId,
        document: &Document,
        salt: Option<&Salt>,
    ) -> Result<(), Error> {
        let bytes = document.bytes().len() as u64;
        if bytes > MAX_DOCUMENT_BYTES {
            return Err(Error::EvidenceTooLarge { bytes });
        }
        let folder = self.folder(run)?;
        let place = folder.join(document.name(salt));
        if !place.exists() {
            self.place(&place, document.bytes())?;
        }
        // Another call may have placed the file and not yet synced the folder, so it is synced here in any case.
        sync(self.disk.as_ref(), &folder)
    }

    /// Puts a file at `place`, whole or not at all.
    fn place(&self, place: &Path, bytes: &[u8]) -> Result<(), Error> {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        let beside = self.layout.evidence_new().join(number.to_string());
        let written = self.write(&beside, bytes).and_then(|()| {
            self.disk
                .rename(&beside, place)
                .map_err(Error::io("place evidence at", place))
        });
        if written.is_err() {
            // What cannot be removed now is removed at the next opening.
            self.disk.remove(&beside).unwrap_or_default();
        }
        written
    }

    /// Waits until no call is between its file and its event, and holds them off.
    pub(crate) fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.turns.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let written = self.disk.create(path).and_then(|mut file| {
            write_all_at(file.as_mut(), bytes, 0)?;
            file.sync()
        });
        written.map_err(Error::io("write evidence to", path))
    }

    /// The run's folder, which is made if it is missing.
    fn folder(&self, run: &RunId) -> Result<PathBuf, Error> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if !*ready {
            let layout = &self.layout;
            // Where the last one is there, so are the others.
            for folder in [
                layout.evidence(),
                layout.evidence_kept(),
                layout.evidence_new(),
                layout.evidence_erasing(),
            ] {
                self.make(&folder)?;
            }
            *ready = true;
        }
        let folder = run_folder(&self.layout, run);
        if !folder.exists() {
            self.make(&folder)?;
        }
        Ok(folder)
    }

    fn make(&self, folder: &Path) -> Result<(), Error> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io("create", folder)(error));
            }
            Ok(()) | Err(_) => {}
        }
        sync(
            self.disk.as_ref(),
            folder.parent().unwrap_or(Path::new(".")),
        )
    }
}

/// The bytes of an unredacted document of `run` in the state folder; none where it is not there any more. `salt` is that of the event which
/// names it, where its hashes are salted.
///
/// # Errors
/// When it is not what was kept, or the system refuses.
pub fn kept_evidence(
    state: &Path,
    run: &RunId,
    hash: &FileHash,
    salt: Option<&Salt>,
) -> Result<Option<Vec<u8>>, Error> {
    let folder = run_folder(&Layout::existing(state)?, run);
    let path = folder.join(file_name(hash, false));
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(Error::io("read evidence", &path))?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io("read evidence", &path))?;
    let found = FileHash::of(&bytes);
    if salt.map_or(found, |salt| salt.file(&found)) == *hash {
        Ok(Some(bytes))
    } else {
        Err(Error::EvidenceChanged { path })
    }
}

/// The salt of `run` in the state folder; none where it was erased, or never was.
///
/// # Errors
/// When it is not a salt, or the system refuses.
pub fn salt_of(state: &Path, run: &RunId) -> Result<Option<Salt>, Error> {
    read_salt(&Layout::existing(state)?, run)
}

pub(super) fn read_salt(layout: &Layout, run: &RunId) -> Result<Option<Salt>, Error> {
    let path = run_folder(layout, run).join(SALT_FILE);
    let text = match read_small(&path) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        text => text?,
    };
    match Salt::parse(&text) {
        Some(salt) => Ok(Some(salt)),
        None => Err(Error::EvidenceChanged { path }),
    }
}

/// Whether anything is kept of the requests and results of any run.
#[must_use]
pub fn keeps_evidence(state: &Path) -> bool {
    let kept = Layout::new(state).evidence_kept();
    std::fs::read_dir(kept).is_ok_and(|mut runs| runs.next().is_some())
}

pub(crate) fn run_folder(layout: &Layout, run: &RunId) -> PathBuf {
    layout.evidence_kept().join(run_name(run))
}

/// A run's name as a file: SHA-256 of its id.
pub(crate) fn run_name(run: &RunId) -> String {
    FileHash::of(run.as_str().as_bytes()).to_string()
}

/// The paths in `folder`, none where there is no such folder.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<Vec<_>>>()
        }),
    };
    listed.map_err(Error::io("list", folder))
}

pub(crate) fn sync(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    disk.sync_dir(folder).map_err(Error::io("sync", folder))
}
