//! Keeps launchers for each kind of plugin that was run lately: a package, a class, its filter, and what it may see. A kind has one launcher, and
//! gets another whenever all of its launchers are busy, up to the number of processors.
//!
//! No two packages share one, not even static programs, which would see the same: a launcher waits until the plugin that it starts has begun, with
//! the processor time that this plugin is given, and whoever asks without end does so at the launcher's listener.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use crate::error::{Error, While};
use crate::filter::Wanted;
use crate::job::Setup;
use crate::launch::launcher::{Launcher, Turn};
use crate::launch::means::Means;
use crate::launch::order::Outfit;
use crate::plan::Plan;
use crate::plan::layout::Layout;
use crate::plan::limits::limits_of_all;
use crate::plan::places::Places;

/// The most kinds whose launchers are kept: every package is a kind of its own, and another where its reads are named, so that there is room for
/// sixteen. An idle launcher takes some 100 KiB, and starting one a few milliseconds.
const KEPT_MAX: usize = 32;

/// The most launchers of one kind, however many processors there are.
const PER_KIND_MAX: usize = 8;

/// The launchers by kind, most recently used last.
#[derive(Debug, Default)]
pub(crate) struct Launchers {
    kept: Mutex<Vec<(Kind, Arc<Shelf>)>>,
}

/// The launchers of one kind. One is started at a time; those who need the same kind wait for it, and nobody else does.
#[derive(Debug, Default)]
struct Shelf {
    stock: Mutex<Stock>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Stock {
    launchers: Vec<Arc<Launcher>>,
    /// Somebody starts another.
    starting: bool,
}

/// The right to start another launcher, held until that is done.
#[derive(Debug)]
struct Place<'a> {
    shelf: &'a Shelf,
}

impl Shelf {
    /// A turn at the least busy launcher, or the right to start another.
    ///
    /// # Errors
    /// When the time was over before there was either.
    fn turn(&self, deadline: Instant) -> Result<Result<Turn, Place<'_>>, Error> {
        let mut stock = self.lock();
        loop {
            stock.launchers.retain(|launcher| !launcher.is_gone());
            if let Some(launcher) = stock.choice() {
                return Ok(Ok(Turn::at(launcher)));
            }
            if !stock.starting {
                stock.starting = true;
                return Ok(Err(Place { shelf: self }));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::TooLate);
            }
            let waited = self.changed.wait_timeout(stock, left);
            stock = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stock {
    /// The launcher to ask; none when all are busy and another may be started. A launcher for which somebody gave up waiting is not
    /// asked until it has answered.
    fn choice(&self) -> Option<&Arc<Launcher>> {
        let in_time = || self.launchers.iter().filter(|launcher| !launcher.is_late());
        let least = in_time().min_by_key(|launcher| launcher.turns())?;
        (least.turns() == 0 || in_time().count() >= per_kind()).then_some(least)
    }
}

impl Place<'_> {
    /// Adds the new launcher to the stock, and takes the first turn at it.
    fn fill(self, launcher: Launcher) -> Turn {
        let launcher = Arc::new(launcher);
        let turn = Turn::at(&launcher);
        self.shelf.lock().launchers.push(launcher);
        turn
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shelf.lock().starting = false;
        self.shelf.changed.notify_all();
    }
}

/// What all plugins of one launcher have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kind {
    wanted: Wanted,
    places: Places,
    visible: Vec<PathBuf>,
    loader_cache: Option<PathBuf>,
    package: PathBuf,
    sees_package: bool,
    /// Device and inode number of each place, so that a folder that was replaced by another of the same name is told apart.
    identities: Vec<(u64, u64)>,
}

impl Launchers {
    /// A turn at a launcher for a planned job: the least busy one, or a new one when all are busy and there may be more.
    ///
    /// # Errors
    /// When a new one cannot be started, or not before the deadline.
    pub(crate) fn get(
        &self,
        means: &Means,
        plan: &Plan,
        setup: &Setup<'_>,
        deadline: Instant,
    ) -> Result<Turn, Error> {
        let kind = Kind::of(means, plan, setup)?;
        let shelf = self.shelf(&kind);
        let place = match shelf.turn(deadline)? {
            Ok(turn) => return Ok(turn),
            Err(place) => place,
        };
        let launcher = Launcher::start(means, &kind.outfit(means)?, deadline)?;
        Ok(place.fill(launcher))
    }

    /// Ends the launchers of a package, each as soon as nobody uses it.
    pub(crate) fn let_go(&self, package: &Path) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let of_package = |(kind, _): &mut (Kind, _)| kind.package == package;
        let gone: Vec<_> = kept.extract_if(.., of_package).collect();
        drop(kept);
        // Not under the lock, because this waits until the launchers have ended.
        drop(gone);
    }

    /// The shelf of a kind, which becomes the most recently used. Another shelf may have to make room; its launchers end when nobody uses them any more.
    fn shelf(&self, kind: &Kind) -> Arc<Shelf> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|(known, _)| known == kind) {
            let entry = kept.remove(at);
            let shelf = Arc::clone(&entry.1);
            kept.push(entry);
            return shelf;
        }
        let is_old = |(known, _): &mut (Kind, _)| kind.replaces(known);
        let mut gone: Vec<_> = kept.extract_if(.., is_old).collect();
        if kept.len() >= KEPT_MAX {
            gone.push(kept.remove(0));
        }
        let shelf = Arc::default();
        kept.push((kind.clone(), Arc::clone(&shelf)));
        drop(kept);
        // Not under the lock, because this waits until the launchers have ended.
        drop(gone);
        shelf
    }
}

impl Kind {
    fn of(means: &Means, plan: &Plan, setup: &Setup<'_>) -> Result<Self, Error> {
        let places = plan.places.read.iter().chain(&plan.places.execute);
        let identities = places
            .map(|path| identity(path))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            wanted: plan.wanted(means.private_root(), means.reported, setup.when_refused),
            places: plan.places.clone(),
            visible: plan.visible.clone(),
            loader_cache: plan.loader_cache.clone(),
            package: setup.package.to_path_buf(),
            sees_package: plan.sees_package,
            identities,
        })
    }

    /// Whether the other kind has places of the same names that have been replaced since. Nobody will ask for that kind again, and its
    /// launcher would keep the old files from being freed.
    fn replaces(&self, other: &Self) -> bool {
        let now = Self {
            identities: self.identities.clone(),
            ..other.clone()
        };
        now == *self
    }

    fn outfit(&self, means: &Means) -> Result<Outfit, Error> {
        let root = if means.private_root() {
            let package = self.sees_package.then_some(self.package.as_path());
            Some(Layout::plan(
                &self.visible,
                package,
                self.loader_cache.as_deref(),
            )?)
        } else {
            None
        };
        Ok(Outfit {
            namespaces: means.namespaces,
            root,
            wanted: self.wanted.clone(),
            ruleset: means.ruleset(&self.places)?,
            limits: limits_of_all(),
        })
    }
}

/// A launcher starts one plugin at a time, on one processor. Asking for their number is slow, hence once.
fn per_kind() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        thread::available_parallelism()
            .map_or(1, usize::from)
            .min(PER_KIND_MAX)
    })
}

fn identity(path: &Path) -> Result<(u64, u64), Error> {
    let meta = fs::metadata(path).during("look up a folder that plugins may read")?;
    Ok((meta.dev(), meta.ino()))
}
