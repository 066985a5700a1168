//! The ordered steps from clone to exec. They run in the child, in the gateway's memory, and so make only bare system
//! calls on what was prepared before; nothing here decides anything.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

use libc::sock_filter;

use super::error::{Error, While};
use super::layout::{Layout, Operation};
use crate::sys::bare::{self, Cookies, Errno};
use crate::sys::spawn::{Child, spawn};
use crate::sys::stack::Stack;
use crate::sys::{mount, process};

/// Exit code of a child that failed before exec. The plugin never runs then, so it cannot be mistaken for the plugin's.
const FAILED: u8 = 127;

/// The descriptor number of the child's own line in /proc, next to the plugin's three.
const STATUS: RawFd = 3;

/// The lowest number for descriptors that a recipe names.
pub(super) const FIRST_SOURCE: RawFd = 4;

/// Size of a private root's own memory: it holds names of folders and links only.
const ROOT_SIZE: &std::ffi::CStr = c"256k";

/// Inodes of a private root: a layout has some twenty operations; more than 1,024 would be a mistake.
const ROOT_INODES: &std::ffi::CStr = c"1024";

/// Everything that the steps need, prepared by the parent. Descriptors stay the parent's,
/// and none is below [`FIRST_SOURCE`].
#[derive(Debug)]
pub(super) struct Recipe {
    /// The gateway's process id as /proc shows it; 0 where /proc shows another namespace's.
    pub(super) parent: i32,
    /// In a new user namespace: what to write to its `uid_map` and `gid_map`.
    pub(super) id_maps: Option<[CString; 2]>,
    /// Doors of the control groups to enter.
    pub(super) groups: Vec<RawFd>,
    /// Prepared namespaces to join, each with its kind.
    pub(super) joins: Vec<(RawFd, i32)>,
    /// Whether the host's name is the run's own to change, so that the real one goes out of sight.
    pub(super) own_name: bool,
    /// The private root to build, where there is a mount namespace.
    pub(super) root: Option<Layout>,
    /// The empty working directory for when there is no private root.
    pub(super) folder: RawFd,
    /// What becomes descriptors 0, 1 and 2.
    pub(super) stdio: [RawFd; 3],
    /// As root: the user and group id to become.
    pub(super) identity: Option<u32>,
    /// Resource limits, soft and hard alike, but for descriptors.
    pub(super) limits: Vec<(u32, u64)>,
    /// The limit on descriptors.
    pub(super) descriptors: u64,
    /// The Landlock ruleset, where the kernel has it.
    pub(super) ruleset: Option<RawFd>,
    /// The system-call filter, cookies filled in.
    pub(super) filter: Vec<sock_filter>,
    /// Where to send the filter's listener; none when forbidden calls kill.
    pub(super) report: Option<RawFd>,
    /// What the filter knows the last two calls by.
    pub(super) cookies: Cookies,
    /// The program to run; none for a rehearsal, which stops short of exec.
    pub(super) program: Option<RawFd>,
    /// Its arguments.
    pub(super) arguments: process::Arguments,
    /// Where a failure is noted for the parent, who shares this memory.
    pub(super) failure: Failure,
}

impl Recipe {
    /// Makes the child, which takes the steps up to exec before this returns.
    ///
    /// # Errors
    /// When no child could be made. A failed step is noted in `failure` instead, and the child is there to be reaped.
    pub(super) fn start(
        &self,
        namespaces: i32,
        birthplace: Option<BorrowedFd<'_>>,
    ) -> Result<Child, Error> {
        let named = self
            .stdio
            .into_iter()
            .chain([self.folder])
            .chain(self.ruleset)
            .chain(self.report)
            .chain(self.program)
            .chain(self.groups.iter().copied());
        if named
            .into_iter()
            .chain(self.joins.iter().map(|(fd, _)| *fd))
            .any(|fd| fd < FIRST_SOURCE)
        {
            return Err(rustix::io::Errno::BADF).during("start a plugin from low descriptors");
        }
        let mut stack = Stack::new().during("map a stack")?;
        spawn(namespaces, birthplace, &mut stack, live, self).during("clone a process")
    }

    /// The failed step as an error.
    pub(super) fn outcome(&self) -> Result<(), Error> {
        match self.failure.take() {
            None => Ok(()),
            Some((step, errno)) => Err(Error::Step {
                step: step.as_str(),
                source: std::io::Error::from_raw_os_error(errno),
            }),
        }
    }
}

/// A failed step and the kernel's error number, zero while there is none.
#[derive(Debug, Default)]
pub(super) struct Failure {
    step: AtomicU8,
    errno: AtomicI32,
}

/// The steps by name, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    DeathSignal,
    FileMask,
    ControlGroups,
    UserNamespace,
    JoinNamespaces,
    HostName,
    PrivateRoot,
    WorkingDirectory,
    Descriptors,
    Session,
    Rlimits,
    Identity,
    ParentCheck,
    NoNewPrivs,
    Landlock,
    Signals,
    Seccomp,
    Listener,
    Exec,
}

impl Step {
    const ALL: [Self; 19] = [
        Self::DeathSignal,
        Self::FileMask,
        Self::ControlGroups,
        Self::UserNamespace,
        Self::JoinNamespaces,
        Self::HostName,
        Self::PrivateRoot,
        Self::WorkingDirectory,
        Self::Descriptors,
        Self::Session,
        Self::Rlimits,
        Self::Identity,
        Self::ParentCheck,
        Self::NoNewPrivs,
        Self::Landlock,
        Self::Signals,
        Self::Seccomp,
        Self::Listener,
        Self::Exec,
    ];

    /// The step's name in errors.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::DeathSignal => "death signal",
            Self::FileMask => "file mask",
            Self::ControlGroups => "control groups",
            Self::UserNamespace => "user namespace",
            Self::JoinNamespaces => "join namespaces",
            Self::HostName => "host name",
            Self::PrivateRoot => "private root",
            Self::WorkingDirectory => "working directory",
            Self::Descriptors => "descriptors",
            Self::Session => "session",
            Self::Rlimits => "resource limits",
            Self::Identity => "user id",
            Self::ParentCheck => "parent check",
            Self::NoNewPrivs => "no new privileges",
            Self::Landlock => "landlock",
            Self::Signals => "signals",
            Self::Seccomp => "seccomp",
            Self::Listener => "listener",
            Self::Exec => "exec",
        }
    }
}

impl Failure {
    fn note(&self, step: Step, errno: Errno) {
        self.step.store(step as u8, Ordering::Relaxed);
        self.errno.store(errno.0, Ordering::Release);
    }

    /// The failed step and its error number, once the child is out of this memory.
    pub(super) fn take(&self) -> Option<(Step, i32)> {
        match self.errno.load(Ordering::Acquire) {
            0 => None,
            errno => {
                let step = self.step.load(Ordering::Relaxed);
                Step::ALL.get(usize::from(step)).map(|step| (*step, errno))
            }
        }
    }
}

/// The child's whole life before exec. Returns its exit code when a step failed, or when this was a rehearsal.
fn live(recipe: &Recipe) -> u8 {
    match run(recipe) {
        Ok(()) => 0,
        Err((step, errno)) => {
            recipe.failure.note(step, errno);
            FAILED
        }
    }
}

type Outcome = Result<(), (Step, Errno)>;

/// Names the step that an error belongs to.
trait At<T> {
    fn at(self, step: Step) -> Result<T, (Step, Errno)>;
}

impl<T> At<T> for bare::Result<T> {
    fn at(self, step: Step) -> Result<T, (Step, Errno)> {
        self.map_err(|errno| (step, errno))
    }
}

/// The list. Each comment says why the step stands where it does.
fn run(recipe: &Recipe) -> Outcome {
    // First, so that from here on the parent's death is ours.
    process::die_with_parent().at(Step::DeathSignal)?;
    // Before folders are made, which a strict mask would close to the plugin.
    process::fix_file_mask().at(Step::FileMask)?;
    // Before the first thing that the plugin could be charged for, and while these numbers are descriptors.
    for &group in &recipe.groups {
        process::enter_group(group).at(Step::ControlGroups)?;
    }
    // Before anything that needs a capability: an ordinary user has them only here.
    if let Some(maps) = &recipe.id_maps {
        map_ids(maps).at(Step::UserNamespace)?;
    }
    // /proc is about to go out of sight, and the parent is checked through it further down.
    let checkable = open_own_status(recipe.parent);
    // While capabilities are there.
    for &(namespace, kind) in &recipe.joins {
        process::join_namespace(namespace, kind).at(Step::JoinNamespaces)?;
    }
    // While capabilities are there.
    if recipe.own_name {
        process::hide_host_name().at(Step::HostName)?;
    }
    // While capabilities are there, and before Landlock, which forbids mounting.
    if let Some(root) = &recipe.root {
        build_root(root).at(Step::PrivateRoot)?;
    } else {
        bare::change_folder(recipe.folder).at(Step::WorkingDirectory)?;
    }
    place_descriptors(recipe.stdio).at(Step::Descriptors)?;
    process::new_session().at(Step::Session)?;
    // Before the user id changes, because the process limit is checked against the new user's processes from then on.
    for &(resource, value) in &recipe.limits {
        process::limit(resource, value, [0; 2]).at(Step::Rlimits)?;
    }
    // After everything that needs privilege.
    drop_identity(recipe.identity).at(Step::Identity)?;
    // The kernel forgets the death signal when the user id changes, hence again; and a parent that died before
    // this would never send it, hence the check.
    process::die_with_parent().at(Step::DeathSignal)?;
    if checkable {
        check_parent(recipe.parent).at(Step::ParentCheck)?;
    }
    // Landlock and seccomp are open to the unprivileged only after this.
    process::no_new_privileges().at(Step::NoNewPrivs)?;
    if let Some(ruleset) = recipe.ruleset {
        process::restrict(ruleset).at(Step::Landlock)?;
    }
    // The actions are the default ones, so that a pending signal now does its default and nothing of the parent's.
    process::default_signals().at(Step::Signals)?;
    process::unblock_signals().at(Step::Signals)?;
    // Last, because the filter forbids most of the calls above.
    let listener =
        process::install_filter(&recipe.filter, recipe.report.is_some()).at(Step::Seccomp)?;
    if let (Some(socket), Some(listener)) = (recipe.report, listener) {
        bare::send_descriptor(socket, listener, recipe.cookies).at(Step::Listener)?;
    }
    // After the listener was made and sent, because both need more descriptors than the plugin gets: the kernel holds
    // the number in flight of all processes of one user against this limit.
    process::limit(libc::RLIMIT_NOFILE, recipe.descriptors, recipe.cookies).at(Step::Rlimits)?;
    match recipe.program {
        Some(program) => Err((
            Step::Exec,
            process::execute(program, &recipe.arguments, recipe.cookies),
        )),
        None => Ok(()),
    }
}

/// Maps one id of the new user namespace to the gateway's own. Groups must be given up first (user_namespaces(7)).
fn map_ids(maps: &[CString; 2]) -> bare::Result<()> {
    let [users, groups] = maps;
    write_once(c"/proc/self/setgroups", b"deny")?;
    write_once(c"/proc/self/uid_map", users.as_bytes())?;
    write_once(c"/proc/self/gid_map", groups.as_bytes())
}

fn write_once(path: &std::ffi::CStr, text: &[u8]) -> bare::Result<()> {
    let file = bare::open_at(libc::AT_FDCWD, path, libc::O_WRONLY, 0)?;
    let written = bare::write(file, text);
    bare::close(file);
    written.map(drop)
}

/// The root of folders, links and read-only mounts, then nothing else in sight.
fn build_root(root: &Layout) -> bare::Result<()> {
    mount::make_everything_private()?;
    let attributes = mount::NO_SETUID | mount::NO_DEVICES | mount::NO_EXEC;
    let tree = mount::new_memory_tree(ROOT_SIZE, ROOT_INODES, attributes)?;
    // On top of the old root, which every path still starts from until the pivot.
    mount::attach(tree, libc::AT_FDCWD, c"/")?;
    for operation in root.operations() {
        build(tree, operation)?;
    }
    mount::restrict_mount(tree, mount::READ_ONLY, false)?;
    bare::change_folder(tree)?;
    mount::pivot_here()
}

fn build(tree: RawFd, operation: &Operation) -> bare::Result<()> {
    match operation {
        Operation::Folder(path) => bare::make_folder_at(tree, path, 0o755),
        Operation::Link { path, target } => bare::link_at(target, tree, path),
        Operation::File(path) => {
            let file = bare::open_at(
                tree,
                path,
                libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL,
                0o444,
            )?;
            bare::close(file);
            Ok(())
        }
        Operation::Bind { source, path } => {
            let copy = mount::copy_tree(source)?;
            mount::restrict_mount(
                copy,
                mount::READ_ONLY | mount::NO_SETUID | mount::NO_DEVICES,
                true,
            )?;
            mount::attach(copy, tree, path)?;
            bare::close(copy);
            Ok(())
        }
    }
}

/// Exactly three descriptors survive exec. Sources are [`FIRST_SOURCE`] or higher, so that no copy overwrites a later
/// source.
fn place_descriptors(stdio: [RawFd; 3]) -> bare::Result<()> {
    let [stdin, stdout, stderr] = stdio;
    bare::duplicate_onto(stdin, 0)?;
    bare::duplicate_onto(stdout, 1)?;
    bare::duplicate_onto(stderr, 2)?;
    bare::close_on_exec_from(3)
}

/// Gives up every privilege. As root the bounding set and securebits come first, because they need a capability that
/// the change of user takes away; groups come before the user for the same reason.
///
/// The change of user also makes the memory undumpable, which is still the gateway's: so a root gateway writes no core
/// file and cannot be traced by others from its first run on. That is welcome, as nobody may look into a child that
/// has the plugin's user id and the gateway's memory.
fn drop_identity(identity: Option<u32>) -> bare::Result<()> {
    if let Some(id) = identity {
        process::drop_bounding_set()?;
        process::lock_securebits()?;
        process::clear_groups()?;
        process::set_group(id)?;
        process::set_user(id)?;
    }
    process::drop_capabilities()
}

/// Opens this process's line in /proc as [`STATUS`]; says whether it is there to be compared with.
fn open_own_status(parent: i32) -> bool {
    if parent == 0 {
        return false;
    }
    let opened = bare::open_at(libc::AT_FDCWD, c"/proc/self/stat", libc::O_RDONLY, 0);
    opened
        .and_then(|file| bare::duplicate_onto(file, STATUS))
        .is_ok()
}

/// Whether the parent is still the parent. In a pid namespace of its own a child sees 0 as its parent in any case, so
/// that /proc, which counts in the gateway's namespace, is asked.
fn check_parent(parent: i32) -> bare::Result<()> {
    let mut buffer = [0_u8; 128];
    let line = bare::read_start(STATUS, &mut buffer)?;
    if parent_in(line) == Some(parent) {
        Ok(())
    } else {
        Err(Errno(libc::ESRCH))
    }
}

/// The fourth field of a line of `/proc/<pid>/stat`: `pid (name) state ppid …` (proc(5)). The name may hold anything.
fn parent_in(line: &[u8]) -> Option<i32> {
    let end_of_name = line.iter().rposition(|&byte| byte == b')')?;
    let digits = line.get(end_of_name..)?.get(4..)?;
    let mut parent: i32 = 0;
    for byte in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        parent = parent
            .checked_mul(10)?
            .checked_add(i32::from(byte - b'0'))?;
    }
    Some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_in(b"12 (sh) S 77 12 12 0"), Some(77));
        assert_eq!(parent_in(b"12 (a) b) R 5) S 4242 12 12 0"), Some(4242));
        assert_eq!(parent_in(b"12 (sh"), None);
        assert_eq!(parent_in(b""), None);
        assert_eq!(parent_in(b"1 (x) S 99999999999 "), None);
    }

    #[test]
    fn every_step_is_found_again_by_its_number() {
        for (index, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(step as u8), index);
            let failure = Failure::default();
            failure.note(step, Errno(5));
            assert_eq!(failure.take(), Some((step, 5)));
        }
        assert_eq!(Failure::default().take(), None);
    }
}
