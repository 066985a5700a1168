//! Keeps one launcher for each kind of plugin that was lately run: a class, its filter, and what it may see.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::{Error, While};
use super::filter::Wanted;
use super::host::Host;
use super::job::Job;
use super::launcher::{Launcher, Outfit};
use super::layout::Layout;
use super::plan::{self, Plan};
use super::rules::Places;

/// The most launchers that are kept. One serves all static programs; each other package has its own, as it sees its own files. An
/// idle one takes some 100 KiB and starting one a few milliseconds.
const KEPT_MAX: usize = 16;

/// The launchers, most recently used last.
#[derive(Debug, Default)]
pub(super) struct Launchers {
    kept: Mutex<Vec<(Kind, Arc<Place>)>>,
}

/// The launcher of one kind, if there is one. Locked while one is started, so that those who need the same wait for it, and
/// nobody else does.
type Place = Mutex<Option<Arc<Launcher>>>;

/// What all plugins of one launcher have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kind {
    wanted: Wanted,
    places: Places,
    visible: Vec<PathBuf>,
    package: Option<PathBuf>,
    /// Device and number of each place: one that was replaced by another of the same name is not the same.
    identities: Vec<(u64, u64)>,
}

impl Launchers {
    /// The launcher for a planned job: one that is there, or a new one.
    ///
    /// # Errors
    /// When a new one cannot be started.
    pub(super) fn get(
        &self,
        host: &Host,
        plan: &Plan,
        job: &Job<'_>,
    ) -> Result<Arc<Launcher>, Error> {
        let kind = Kind::of(host, plan, job)?;
        let place = self.place(&kind);
        let mut there = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(launcher) = there.as_ref().filter(|launcher| !launcher.is_gone()) {
            return Ok(Arc::clone(launcher));
        }
        let launcher = Arc::new(Launcher::start(host, &kind.outfit(host)?)?);
        *there = Some(Arc::clone(&launcher));
        Ok(launcher)
    }

    /// The place of a kind, now the last. Another may have to go for it; its launcher ends when nobody uses it any more.
    fn place(&self, kind: &Kind) -> Arc<Place> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|(known, _)| known == kind) {
            let entry = kept.remove(at);
            let place = Arc::clone(&entry.1);
            kept.push(entry);
            return place;
        }
        let is_old = |(known, _): &mut (Kind, _)| kind.replaces(known);
        let mut gone: Vec<_> = kept.extract_if(.., is_old).collect();
        if kept.len() >= KEPT_MAX {
            gone.push(kept.remove(0));
        }
        let place = Arc::default();
        kept.push((kind.clone(), Arc::clone(&place)));
        drop(kept);
        // Not under the lock, as it waits for the launchers' ends.
        drop(gone);
        place
    }
}

impl Kind {
    fn of(host: &Host, plan: &Plan, job: &Job<'_>) -> Result<Self, Error> {
        let package = plan.sees_package.then(|| job.package.to_path_buf());
        let places = plan.places.read.iter().chain(&plan.places.execute);
        let identities = places
            .map(|path| identity(path))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            wanted: plan.wanted(host.private_root(), host.reported),
            places: plan.places.clone(),
            visible: plan.visible.clone(),
            package,
            identities,
        })
    }

    /// Whether the other was of places of the same names which have been replaced: nobody will ask for it again, and its
    /// launcher would keep them from being freed.
    fn replaces(&self, other: &Self) -> bool {
        let now = Self {
            identities: self.identities.clone(),
            ..other.clone()
        };
        now == *self
    }

    fn outfit(&self, host: &Host) -> Result<Outfit, Error> {
        let root = if host.private_root() {
            Some(Layout::plan(&self.visible, self.package.as_deref())?)
        } else {
            None
        };
        Ok(Outfit {
            namespaces: host.namespaces,
            root,
            wanted: self.wanted.clone(),
            ruleset: host.ruleset(&self.places)?,
            limits: plan::limits_of_all(),
        })
    }
}

fn identity(path: &Path) -> Result<(u64, u64), Error> {
    let meta = fs::metadata(path).during("look up a folder that plugins may read")?;
    Ok((meta.dev(), meta.ino()))
}
