//! From a stored package to something that can be started: manifest, schemas and entry, made once per package.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plugin_protocol::digest::{FileHash, PackageDigest};
use plugin_protocol::manifest::DeterminismMode;

use super::budget::TimeSetBy;
use super::files::InStore;
use super::judge::Allowed;
use super::looks::Looks;
use crate::error::Error;
use registry::{Glance, MANIFEST_FILE, Store, StoredPackage, TICK};
use sandbox::{Class, Entry, Image, Limits, Setup, WhenRefused};
use validator::{self, CheckedManifest, Schemas};

/// A plugin that can be started.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) manifest: CheckedManifest,
    pub(crate) digest: PackageDigest,
    pub(crate) schemas: Schemas,
    pub(crate) entry: Entry,
    pub(crate) root: PathBuf,
    /// Which of its calls have named what it reads in vain.
    pub(super) looks: Looks,
}

/// A plugin taken from the shelf, and what its files looked like then.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) prepared: Arc<Prepared>,
    glance: Glance,
}

/// The packages that were used last, ready to be started again.
///
/// Each holds a sealed copy of its program, a descriptor and memory, hence the bound.
#[derive(Debug)]
pub(super) struct Shelf {
    store: Arc<Store>,
    ready: Mutex<Recent<Prepared>>,
}

/// The most recently used items, by package; the least recently used one makes room for a new one.
#[derive(Debug)]
struct Recent<T> {
    /// The most recently used one stands last.
    items: VecDeque<(PackageDigest, Arc<T>)>,
    room: usize,
}

/// How many packages are kept ready.
const SHELF_PLACES: usize = 128;

impl Shelf {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            ready: Mutex::new(Recent::new(SHELF_PLACES)),
        }
    }

    /// The package of this digest, after checking that its files are still those that were signed.
    ///
    /// # Errors
    /// When a file was changed, or cannot be read.
    pub(super) fn take(&self, digest: &PackageDigest) -> Result<Taken, Error> {
        let stored = self.store.open_package(*digest)?;
        let found = self.lock().find(digest);
        let prepared = match found {
            Some(found) => found,
            None => {
                // Not under the lock: compiling schemas takes a while, and other packages need not wait for it.
                let prepared = Prepared::new(&stored)?;
                self.lock().keep(*digest, prepared)
            }
        };
        let glance = if prepared.reads_its_files() {
            self.settled(stored)?.glance()
        } else {
            stored.glance()
        };
        Ok(Taken { prepared, glance })
    }

    /// The package, opened again until its last change is old enough that another change would show in its time stamps. Only a call
    /// right after a package was stored waits here.
    fn settled(&self, mut stored: StoredPackage) -> Result<StoredPackage, Error> {
        /// Bounds the wait where somebody touches the package all the time.
        const LOOKS_MAX: usize = 4;
        for _ in 0..LOOKS_MAX {
            if stored.glance().is_settled() {
                return Ok(stored);
            }
            std::thread::sleep(TICK);
            stored = self.store.open_package(stored.digest())?;
        }
        let path = ".".to_owned();
        Err(registry::Error::Changed { path }.into())
    }

    /// Whether nothing in the package was touched since it was taken.
    pub(super) fn is_untouched(&self, taken: &Taken) -> bool {
        let prepared = &taken.prepared;
        if !prepared.reads_its_files() {
            return true;
        }
        let now = self.store.glance(prepared.digest);
        now.is_ok_and(|now| now == taken.glance)
    }

    /// Lets go of a package that no plugin is any more, and gives back what was kept ready of it. Calls in flight keep what they have.
    pub(super) fn forget(&self, digest: &PackageDigest) -> Option<Arc<Prepared>> {
        let mut ready = self.lock();
        let at = ready.items.iter().position(|(of, _)| of == digest)?;
        ready.items.remove(at).map(|(_, prepared)| prepared)
    }

    /// How many packages are ready.
    pub(super) fn len(&self) -> usize {
        self.lock().items.len()
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Prepared>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Recent<T> {
    fn new(room: usize) -> Self {
        let items = VecDeque::with_capacity(room);
        Self { items, room }
    }

    /// The item of this package, which becomes the most recently used one.
    fn find(&mut self, digest: &PackageDigest) -> Option<Arc<T>> {
        let at = self.items.iter().position(|(of, _)| of == digest)?;
        let found = self.items.remove(at)?;
        let item = Arc::clone(&found.1);
        self.items.push_back(found);
        Some(item)
    }

    /// Keeps a new item and returns it. Where another call was faster, that call's item is returned and this one is dropped.
    fn keep(&mut self, digest: PackageDigest, item: T) -> Arc<T> {
        if let Some(first) = self.find(&digest) {
            return first;
        }
        if self.items.len() >= self.room {
            self.items.pop_front();
        }
        let item = Arc::new(item);
        self.items.push_back((digest, Arc::clone(&item)));
        item
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
        let schemas = Schemas::compile(&manifest, &InStore(stored))
            .map_err(|issues| Error::InvalidPackage { issues })?;
        let entry = entry(manifest.entry(), stored)?;
        Ok(Self {
            digest: stored.digest(),
            root: stored.root().to_owned(),
            manifest,
            schemas,
            entry,
            looks: Looks::new(),
        })
    }

    /// Whether the plugin reads the package's files itself while it runs, after they were checked. Every plugin may, except a static
    /// program, which is run from a sealed copy and sees no file.
    fn reads_its_files(&self) -> bool {
        !matches!(&self.entry, Entry::Program { image, .. } if image.class() == Class::Static)
    }

    /// What is started, in any case: for a call, and before there is one.
    pub(super) fn setup(
        &self,
        time: Duration,
        when_refused: WhenRefused,
        names_reads: bool,
    ) -> Setup<'_> {
        let limits = &self.manifest.limits;
        Setup {
            entry: &self.entry,
            package: &self.root,
            time,
            limits: Limits {
                cpu: Duration::from_millis(limits.cpu_ms()),
                memory_bytes: limits.memory_bytes(),
                open_files: limits.open_files(),
                answer_bytes: usize::try_from(limits.max_bytes).unwrap_or(usize::MAX),
            },
            when_refused,
            deterministic: self.manifest.determinism.mode == DeterminismMode::Deterministic,
            names_reads,
        }
    }

    /// What one attempt may use in `time`.
    pub(super) fn allowed(&self, time: Duration, time_set_by: TimeSetBy) -> Allowed {
        let limits = &self.manifest.limits;
        Allowed {
            time,
            time_set_by,
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
            let image = image.lying_at(PathBuf::from(path));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(letter: char) -> PackageDigest {
        PackageDigest::parse(&letter.to_string().repeat(64)).unwrap()
    }

    #[test]
    fn a_hit_moves_up_and_the_longest_unused_makes_room() {
        let mut recent = Recent::new(2);
        recent.keep(digest('a'), 1);
        recent.keep(digest('b'), 2);
        assert_eq!(recent.find(&digest('a')).as_deref(), Some(&1));
        recent.keep(digest('c'), 3);
        assert_eq!(recent.find(&digest('b')), None, "it was used before a was");
        assert_eq!(recent.find(&digest('a')).as_deref(), Some(&1));
        assert_eq!(recent.find(&digest('c')).as_deref(), Some(&3));
        assert_eq!(recent.items.len(), 2);
    }

    #[test]
    fn two_first_calls_keep_one_item() {
        let mut recent = Recent::new(2);
        let first = recent.keep(digest('a'), 1);
        let second = recent.keep(digest('a'), 2);
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(recent.items.len(), 1);
    }
}
