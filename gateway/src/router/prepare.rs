//! From a stored package to something that can be started: manifest, schemas and entry, made once per package.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plugin_protocol::digest::{FileHash, PackageDigest};

use super::files::Kept;
use super::judge::Allowed;
use crate::error::Error;
use registry::{MANIFEST_FILE, Store, StoredPackage};
use sandbox::{Entry, Image};
use validator::{self, CheckedManifest, Schemas};

/// A plugin that can be started.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) manifest: CheckedManifest,
    pub(crate) digest: PackageDigest,
    pub(crate) schemas: Schemas,
    pub(crate) entry: Entry,
    pub(crate) root: PathBuf,
}

/// The packages that were used last, ready to be started again.
///
/// Each holds a sealed copy of its program, a descriptor and memory, hence the bound.
#[derive(Debug)]
pub(super) struct Shelf {
    store: Arc<Store>,
    ready: Mutex<VecDeque<Arc<Prepared>>>,
}

/// How many packages are kept ready.
const SHELF_PLACES: usize = 128;

impl Shelf {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            ready: Mutex::default(),
        }
    }

    /// The package of this digest, after a look whether its files are still those that were signed.
    ///
    /// # Errors
    /// When a file was changed, or cannot be read.
    pub(super) fn take(&self, digest: &PackageDigest) -> Result<Arc<Prepared>, Error> {
        let stored = self.store.open_package(*digest)?;
        if let Some(found) = self
            .lock()
            .iter()
            .find(|prepared| prepared.digest == *digest)
        {
            return Ok(Arc::clone(found));
        }
        let prepared = Arc::new(Prepared::new(&stored)?);
        let mut ready = self.lock();
        if ready.len() >= SHELF_PLACES {
            ready.pop_front();
        }
        ready.push_back(Arc::clone(&prepared));
        Ok(prepared)
    }

    /// How many packages are ready.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Prepared>>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prepared {
    /// Reads what a package needs to be started.
    ///
    /// # Errors
    /// When a file cannot be read or is not what was signed.
    pub(crate) fn new(stored: &StoredPackage) -> Result<Self, Error> {
        let bytes = stored.file(MANIFEST_FILE)?;
        let (report, manifest) = validator::check_manifest(&bytes);
        let manifest = manifest.ok_or(Error::InvalidManifest {
            report: Box::new(report),
        })?;
        let schemas = Schemas::compile(&manifest, &Kept(stored))
            .map_err(|issues| Error::InvalidPackage { issues })?;
        let entry = entry(manifest.entry(), stored)?;
        Ok(Self {
            digest: stored.digest(),
            root: stored.root().to_owned(),
            manifest,
            schemas,
            entry,
        })
    }

    /// What one attempt may use in `time`.
    pub(crate) fn allowed(&self, time: Duration) -> Allowed {
        let limits = &self.manifest.limits;
        Allowed {
            time,
            cpu: Duration::from_millis(limits.cpu_ms()),
            memory_bytes: limits.memory_bytes(),
            answer_bytes: limits.max_bytes,
        }
    }
}

fn entry(entry: &validator::Entry, stored: &StoredPackage) -> Result<Entry, Error> {
    Ok(match entry {
        validator::Entry::Program { path, args } => {
            let bytes = stored.file(path)?;
            let image = Image::seal(&bytes, FileHash::of(&bytes).as_bytes())?;
            Entry::Program {
                image: Arc::new(image),
                args: args.clone(),
            }
        }
        validator::Entry::Runtime { name, script, args } => Entry::Runtime {
            name: name.clone(),
            script: PathBuf::from(script),
            args: args.clone(),
        },
        validator::Entry::Worker { file, export } => Entry::Worker {
            file: PathBuf::from(file),
            export: export.clone(),
        },
    })
}
