//! Control groups that count and cap what a run uses: made once, lent to one run at a time, and removed at the end.
//! Nothing here kills: the kernel does, and the watcher asks afterwards.

mod group;
mod removal;
mod tree;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::group::Group;
use self::tree::Home;
use crate::error::{Error, While};
use crate::plan::limits::Caps;

/// How long a group rests before another plugin gets it. The kernel shares a group's weight out among the processors by what ran in it lately, and
/// is told that some of it is gone only when a processor balances its load, every 32 ms or so where it is busy. A plugin that comes after one with many
/// threads would meanwhile have next to no weight: calls took 25 ms longer beside a plugin that made and ended 64 threads again and again.
const REST: Duration = Duration::from_millis(250);

/// How many groups are kept for later runs. Each holds up to seven descriptors; more runs than this at once are rare, and then
/// a group is made and removed for each.
const IDLE_MAX: usize = 32;

/// This gateway's groups.
#[derive(Debug, Clone)]
pub(crate) struct Cgroups {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    /// One for each hierarchy. They are dropped last, when all groups in them are gone.
    homes: Vec<Home>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The one that was given back last stands last.
    idle: VecDeque<Idle>,
    made: u32,
}

/// A group that nobody uses.
#[derive(Debug)]
struct Idle {
    group: Group,
    /// The package of the plugin that had it last.
    last: PathBuf,
    since: Instant,
}

/// A group on loan to one run; it goes back when dropped.
#[derive(Debug)]
pub(crate) struct Loan {
    group: Option<Group>,
    package: PathBuf,
    pool: Arc<Pool>,
    /// Whether the highest use of memory is counted for this run alone.
    has_peak: bool,
    kills_before: u64,
    bytes_before: u64,
}

impl Cgroups {
    /// Finds a place where this process may make groups that cap memory and processes, and takes it.
    ///
    /// # Errors
    /// With words for an operator when there is no such place.
    pub(crate) fn open() -> Result<Self, String> {
        let homes = tree::open()?;
        Ok(Self {
            pool: Arc::new(Pool {
                homes,
                state: Mutex::default(),
            }),
        })
    }

    /// What there is to say about the place.
    pub(crate) fn describe(&self) -> String {
        let homes = self.pool.homes.iter().map(Home::describe);
        homes.collect::<Vec<_>>().join(" and ")
    }

    /// Takes the idle group that a plugin of this package had last, or one that has rested, or makes one, and gives it these caps.
    ///
    /// The number of groups is bounded by the number of runs at once, each of which holds one.
    ///
    /// # Errors
    /// When the kernel refuses: a run never goes on without its caps.
    pub(crate) fn borrow(&self, caps: Caps, package: &Path) -> Result<Loan, Error> {
        let idle = self.pool.lock().take(package, Instant::now());
        let mut group = match idle {
            Some(group) => group,
            None => self.pool.make().during("make a control group")?,
        };
        group
            .set(caps)
            .during("set the limits of a control group")?;
        let has_peak = group.start_peak();
        let kills_before = group.kills().during("read a control group")?;
        let bytes_before = group.bytes().during("read a control group")?;
        Ok(Loan {
            has_peak,
            group: Some(group),
            package: package.to_path_buf(),
            pool: Arc::clone(&self.pool),
            kills_before,
            bytes_before,
        })
    }
}

impl Pool {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self) -> std::io::Result<Group> {
        let number = {
            let mut state = self.lock();
            state.made += 1;
            state.made
        };
        Group::make(&self.homes, number)
    }
}

impl State {
    /// The group to lend, if there is one.
    fn take(&mut self, package: &Path, now: Instant) -> Option<Group> {
        let own = self.idle.iter().rposition(|idle| idle.last == package);
        let has_rested =
            |idle: &Idle| idle.is_rehearsals() || now.saturating_duration_since(idle.since) >= REST;
        let at = own.or_else(|| self.idle.front().is_some_and(has_rested).then_some(0))?;
        self.idle.remove(at).map(|idle| idle.group)
    }

    /// Keeps a group, and returns the one that has to make room for it.
    fn keep(&mut self, idle: Idle) -> Option<Idle> {
        self.idle.push_back(idle);
        (self.idle.len() > IDLE_MAX).then(|| self.idle.pop_front())?
    }
}

impl Idle {
    /// Whether no plugin has had it: a rehearsal has no package, and starts one process that does next to nothing.
    fn is_rehearsals(&self) -> bool {
        self.last.as_os_str().is_empty()
    }
}

impl Loan {
    /// The group to be born in, where the kernel can do that.
    pub(crate) fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.group.as_ref()?.birthplace()
    }

    /// The files into which a child writes `0` to enter the group.
    pub(crate) fn doors(&self) -> Vec<BorrowedFd<'_>> {
        let doors = self.group.iter().flat_map(Group::doors);
        doors.map(AsFd::as_fd).collect()
    }

    /// Gives the group other caps.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn set(&mut self, caps: Caps) -> Result<(), Error> {
        let set = self.group.as_mut().map_or(Ok(()), |group| group.set(caps));
        set.during("set the limits of a control group")
    }

    /// Whether the kernel killed something in the group for lack of memory.
    pub(crate) fn out_of_memory(&self) -> bool {
        let kills = self.group.as_ref().and_then(|group| group.kills().ok());
        kills.is_some_and(|kills| kills > self.kills_before)
    }

    /// The most memory in bytes that the run held at once, the kernel's own on its behalf included.
    /// What an earlier run left in the page cache is taken off.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let group = self.group.as_ref().filter(|_| self.has_peak)?;
        let peak = group.peak()?;
        Some(peak.saturating_sub(self.bytes_before))
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // The run is reaped, and it could make no process that outlives it; so the group is empty.
        let Some(group) = self.group.take() else {
            return;
        };
        let surplus = self.pool.lock().keep(Idle {
            group,
            last: std::mem::take(&mut self.package),
            since: Instant::now(),
        });
        // Not under the lock, because this removes folders.
        drop(surplus);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.lock().idle.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn open() -> Option<Cgroups> {
        let opened = Cgroups::open();
        if let Err(reason) = &opened {
            skip::skip(reason);
        }
        opened.ok()
    }

    const CAPS: Caps = Caps {
        memory_bytes: 64 << 20,
        tasks: 10,
        processors: 1,
        waits: false,
    };

    #[test]
    fn groups_are_reused_and_nothing_is_left() {
        let Some(groups) = open() else { return };
        let folders: Vec<PathBuf> = groups.pool.homes.iter().map(Home::folder).collect();
        let doors =
            |loan: &Loan| -> Vec<_> { loan.doors().iter().map(AsRawFd::as_raw_fd).collect() };
        let [one, other] = ["one", "other"].map(Path::new);
        let borrow = |package| groups.borrow(CAPS, package).unwrap();
        let first = doors(&borrow(one));
        assert_eq!(doors(&borrow(one)), first);
        let both = (borrow(one), borrow(one));
        assert_eq!(groups.pool.lock().made, 2);
        drop(both);
        // Nobody gets what another plugin has just left, but what has rested.
        let both = (borrow(other), borrow(one));
        assert_eq!(groups.pool.lock().made, 3);
        for idle in &mut groups.pool.lock().idle {
            idle.since = Instant::now().checked_sub(REST).unwrap();
        }
        let third = borrow(other);
        assert_eq!(groups.pool.lock().made, 3);
        let both = (both, third);
        assert!(folders.iter().all(|folder| folder.is_dir()));
        drop(groups);
        // The last to go takes the folders with it.
        drop(both);
        assert!(!folders.iter().any(|folder| folder.exists()));
    }

    #[test]
    fn other_caps_replace_those_before() {
        let Some(groups) = open() else { return };
        for memory_bytes in [64 << 20, 8 << 20, 128 << 20] {
            let caps = Caps {
                memory_bytes,
                ..CAPS
            };
            let loan = groups.borrow(caps, Path::new("one")).unwrap();
            assert_eq!(
                loan.group.as_ref().unwrap().limit().unwrap(),
                memory_bytes.to_string()
            );
        }
    }

    /// Whoever has no request yet goes last, and nobody who gets the group afterwards does.
    #[test]
    fn a_group_that_waits_goes_last_until_it_is_told_otherwise() {
        let Some(groups) = open() else { return };
        let waits = Caps {
            waits: true,
            ..CAPS
        };
        let borrow = |caps| groups.borrow(caps, Path::new("one")).unwrap();
        let of = |loan: &Loan| loan.group.as_ref().unwrap().waits();
        let usual = of(&borrow(CAPS));
        let Some(usual) = usual else {
            return skip::skip("no control group shares out the processors here");
        };
        let mut loan = borrow(waits);
        assert_ne!(of(&loan).as_ref(), Some(&usual));
        loan.set(CAPS).unwrap();
        assert_eq!(of(&loan).as_ref(), Some(&usual));
        loan.set(waits).unwrap();
        drop(loan);
        assert_eq!(of(&borrow(CAPS)).as_ref(), Some(&usual));
        assert_eq!(groups.pool.lock().made, 1);
    }
}
