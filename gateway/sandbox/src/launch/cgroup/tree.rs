//! Finds the place in the control-group tree where this gateway may make groups, and keeps it for itself.
//!
//! Version 2: below a group that was delegated to the gateway (systemd's `Delegate=yes`). Version 1: below the gateway's
//! own groups, which only root can do. Each gateway has a folder of its own there and holds a lock on it. The
//! kernel lets go of the lock however the gateway ends; so a folder without a lock is a dead gateway's, and the next
//! gateway removes it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FlockOperation, flock, getxattr};

use super::removal::{remove, try_remove};

/// What the names of gateways' folders begin with.
const PREFIX: &str = "plugin-gateway-";

/// Where a gateway puts itself in a delegated group of version 2, in which only leaves may hold processes.
const OWN_LEAF: &str = "plugin-gateway";

/// The two versions of control groups (cgroups(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// The controllers that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    Memory,
    Pids,
    Cpu,
}

impl Controller {
    const ALL: [Self; 3] = [Self::Memory, Self::Pids, Self::Cpu];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
        }
    }

    /// The processor is also watched by the supervisor's clock; so this cap may be missing.
    const fn is_needed(self) -> bool {
        match self {
            Self::Memory | Self::Pids => true,
            Self::Cpu => false,
        }
    }
}

/// This gateway's folder in one hierarchy. It is removed when dropped.
#[derive(Debug)]
pub(super) struct Home {
    version: Version,
    controllers: Vec<Controller>,
    folder: PathBuf,
    #[expect(
        dead_code,
        reason = "it holds the lock that says that this gateway lives"
    )]
    lock: File,
}

/// One mounted hierarchy and where in it this process is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    version: Version,
    controllers: Vec<Controller>,
    mount: PathBuf,
    /// The own group, in the file system.
    own: PathBuf,
}

/// Takes a home in each hierarchy that is needed.
///
/// # Errors
/// With words for an operator when memory and processes cannot both be capped.
pub(super) fn open() -> Result<Vec<Home>, String> {
    let own = read("/proc/self/cgroup")?;
    let mounts = read("/proc/self/mountinfo")?;
    let places = places(&own, &mounts);
    let delegated = places.iter().find(|place| place.version == Version::Two);
    let two = delegated.map_or_else(|| Err("no cgroup2 is mounted".to_owned()), open_two);
    two.map(|home| vec![home]).or_else(|why_not_two| {
        open_one(&places)
            .map_err(|why_not_one| format!("version 2: {why_not_two}; version 1: {why_not_one}"))
    })
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// The hierarchies of `/proc/self/cgroup` that are mounted according to `/proc/self/mountinfo` (proc(5)).
fn places(own: &str, mounts: &str) -> Vec<Place> {
    let mut found: Vec<Place> = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(names), Some(path)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let controllers: Vec<Controller> = Controller::ALL
            .into_iter()
            .filter(|controller| names.split(',').any(|name| name == controller.as_str()))
            .collect();
        let version = if names.is_empty() {
            Version::Two
        } else {
            Version::One
        };
        if version == Version::One && controllers.is_empty() {
            continue;
        }
        let Some((root, mount)) = mounts
            .lines()
            .find_map(|line| mounted(line, version, &controllers))
        else {
            continue;
        };
        // In a container the mount may begin further down than the paths that the kernel shows.
        if let Ok(below) = Path::new(path).strip_prefix(root) {
            let own = mount.join(below);
            found.push(Place {
                version,
                controllers,
                mount,
                own,
            });
        }
    }
    found
}

/// Root and mount point of a line of mountinfo, when it mounts this hierarchy.
fn mounted<'a>(
    line: &'a str,
    version: Version,
    controllers: &[Controller],
) -> Option<(&'a str, PathBuf)> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, mount) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let (kind, options) = (after.next()?, after.nth(1)?);
    let matches = match version {
        Version::Two => kind == "cgroup2",
        Version::One => {
            kind == "cgroup"
                && controllers.iter().all(|controller| {
                    options
                        .split(',')
                        .any(|option| option == controller.as_str())
                })
        }
    };
    matches.then(|| (root, PathBuf::from(mount)))
}

fn open_one(places: &[Place]) -> Result<Vec<Home>, String> {
    let mut homes = Vec::new();
    for controller in Controller::ALL {
        let holds = |place: &&Place| {
            place.version == Version::One && place.controllers.contains(&controller)
        };
        let home = match places.iter().find(holds) {
            None => Err(format!(
                "no hierarchy with the {} controller is mounted",
                controller.as_str()
            )),
            // Controllers that are mounted together share one home.
            Some(place)
                if homes
                    .iter()
                    .any(|home: &Home| home.folder.starts_with(&place.own)) =>
            {
                continue;
            }
            Some(place) => Home::take(Version::One, place.controllers.clone(), &place.own),
        };
        match home {
            Ok(home) => homes.push(home),
            Err(reason) if controller.is_needed() => return Err(reason),
            Err(reason) => tracing::debug!(reason, "runs are not capped by this controller"),
        }
    }
    Ok(homes)
}

fn open_two(place: &Place) -> Result<Home, String> {
    let base = delegated(place)?;
    let there = fs::read_to_string(base.join("cgroup.controllers"))
        .map_err(|error| words(&base, &error))?;
    let controllers: Vec<Controller> = Controller::ALL
        .into_iter()
        .filter(|controller| {
            there
                .split_whitespace()
                .any(|name| name == controller.as_str())
        })
        .collect();
    if let Some(missing) = Controller::ALL
        .into_iter()
        .find(|controller| controller.is_needed() && !controllers.contains(controller))
    {
        return Err(format!(
            "the {} controller is not there in {}",
            missing.as_str(),
            base.display()
        ));
    }
    if base == place.own {
        step_aside(&base)?;
    }
    let names: Vec<String> = controllers
        .iter()
        .map(|controller| format!("+{}", controller.as_str()))
        .collect();
    enable(&base, &names)?;
    let home = Home::take(Version::Two, controllers, &base)?;
    enable(&home.folder, &names)?;
    Ok(home)
}

/// The delegated group that this process is in, or that its own is a leaf of.
fn delegated(place: &Place) -> Result<PathBuf, String> {
    let above = place
        .own
        .parent()
        .filter(|above| above.starts_with(&place.mount));
    [Some(place.own.as_path()), above]
        .into_iter()
        .flatten()
        .find(|folder| is_delegated(folder))
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("{} is not delegated to this gateway", place.own.display()))
}

/// The mark that systemd puts on a group that it will leave alone (its `CGROUP_DELEGATION` document).
fn is_delegated(folder: &Path) -> bool {
    let mut value = [0_u8; 8];
    ["user.delegate", "trusted.delegate"]
        .into_iter()
        .any(|name| {
            getxattr(folder, name, &mut value).is_ok_and(|length| value.get(..length) == Some(b"1"))
        })
}

/// Moves this process into a leaf, because a group of version 2 with processes in it cannot share out its controllers.
fn step_aside(base: &Path) -> Result<(), String> {
    let leaf = base.join(OWN_LEAF);
    let inhabitants =
        fs::read_to_string(base.join("cgroup.procs")).map_err(|error| words(base, &error))?;
    let own = std::process::id().to_string();
    if inhabitants.lines().any(|pid| pid != own) {
        return Err(format!("{} has other processes in it", base.display()));
    }
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(words(&leaf, &error));
        }
        Ok(()) | Err(_) => {}
    }
    fs::write(leaf.join("cgroup.procs"), own).map_err(|error| words(&leaf, &error))
}

fn enable(folder: &Path, names: &[String]) -> Result<(), String> {
    let file = folder.join("cgroup.subtree_control");
    fs::write(&file, names.join(" ")).map_err(|error| words(&file, &error))
}

fn words(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

impl Home {
    /// Makes and locks a folder below `base`, and removes those of dead gateways there.
    fn take(version: Version, controllers: Vec<Controller>, base: &Path) -> Result<Self, String> {
        sweep(base);
        let (folder, lock) = make_locked(base).map_err(|error| words(base, &error))?;
        Ok(Self {
            version,
            controllers,
            folder,
            lock,
        })
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    pub(super) fn controllers(&self) -> &[Controller] {
        &self.controllers
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    pub(super) fn describe(&self) -> String {
        let names: Vec<&str> = self
            .controllers
            .iter()
            .map(|controller| controller.as_str())
            .collect();
        let version = match self.version {
            Version::One => "1",
            Version::Two => "2",
        };
        format!("{} (version {version})", names.join(", "))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Makes a folder that no other gateway has and locks it.
fn make_locked(base: &Path) -> io::Result<(PathBuf, File)> {
    /// A sweeping gateway can take the folder away before it is locked, but hardly twice in a row.
    const TRIES: u32 = 16;
    static COUNT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..TRIES {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = base.join(format!(
            "{PREFIX}{}-{}-{number}",
            std::process::id(),
            start_time()
        ));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        }
        let Ok(lock) = File::open(&folder) else {
            continue;
        };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&lock, &folder) {
            return Ok((folder, lock));
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Whether the open folder is still the one of this name.
fn is_at(open: &File, folder: &Path) -> bool {
    let (Ok(open), Ok(named)) = (open.metadata(), fs::metadata(folder)) else {
        return false;
    };
    open.ino() == named.ino()
}

/// When this process was started, in clock ticks since the machine was (proc(5)): with the process id it names one
/// process for as long as the machine runs.
fn start_time() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    after_name
        .split_whitespace()
        .nth(19)
        .and_then(|field| field.parse().ok())
        .unwrap_or(0)
}

/// Removes the folders of gateways that are gone.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let folder = entry.path();
        let Ok(open) = File::open(&folder) else {
            continue;
        };
        if flock(&open, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        for group in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if group.file_type().is_ok_and(|kind| kind.is_dir()) {
                sweep_one(&group.path());
            }
        }
        sweep_one(&folder);
    }
}

/// Plugins that were killed with their gateway may still be on their way out; then the next gateway removes it.
fn sweep_one(folder: &Path) {
    if !try_remove(folder) {
        tracing::debug!(folder = %folder.display(), "a dead gateway's control group is still in use");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /outer /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn hierarchies_are_found_where_they_are_mounted() {
        let own = "9:name=systemd:/\n8:pids:/x\n4:memory:/outer/inner\n1:cpu,cpuacct:/\n0::/a/b\n";
        let found = places(own, MOUNTS);
        let shown: Vec<(Version, String)> = found
            .iter()
            .map(|place| (place.version, place.own.display().to_string()))
            .collect();
        let expected = [
            (Version::One, "/sys/fs/cgroup/memory/inner"),
            (Version::One, "/sys/fs/cgroup/cpu,cpuacct/"),
            (Version::Two, "/sys/fs/cgroup/unified/a/b"),
        ];
        assert_eq!(
            shown,
            expected.map(|(version, path)| (version, path.to_owned()))
        );
    }

    #[test]
    fn a_dead_gateways_folder_is_swept_and_a_living_ones_is_not() {
        let base = tempfile::tempdir().unwrap();
        let (living, _lock) = make_locked(base.path()).unwrap();
        let (dead, lock) = make_locked(base.path()).unwrap();
        fs::create_dir(dead.join("1")).unwrap();
        fs::create_dir(base.path().join("other")).unwrap();
        drop(lock);
        sweep(base.path());
        assert!(living.is_dir() && !dead.exists() && base.path().join("other").is_dir());
    }
}
