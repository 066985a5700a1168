//! Bare calls that change what the calling process is and may do.

use super::bare::{Cookies, Errno, RawFd, Result, call, descriptor, register};
use super::kernel as k;
use super::{file, mount};

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER` of seccomp(2).
const NEW_LISTENER: usize = 8;

/// `LINUX_CAPABILITY_VERSION_3` of capset(2): 64 capability bits.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// `CAP_SETGID`, `CAP_SETUID` and `CAP_SYS_ADMIN` of capabilities(7): the capabilities for making children with a user id and
/// namespaces of their own.
pub(crate) const CAPABILITIES_TO_LAUNCH: u32 = CAPABILITIES_TO_CHANGE_USER | 1 << 21;

/// The first two of them, which are enough where there are no namespaces.
pub(crate) const CAPABILITIES_TO_CHANGE_USER: u32 = 1 << 6 | 1 << 7;

/// `SECBIT_NOROOT`, `SECBIT_NO_CAP_AMBIENT_RAISE` and all four lock bits (capabilities(7)): being
/// uid 0 gives nothing, nothing can be made ambient, a uid change drops capabilities, and none of that can be undone.
const SECUREBITS: usize = (1 << 0) | (1 << 1) | (1 << 3) | (1 << 5) | (1 << 6) | (1 << 7);

fn prctl(option: usize, argument: usize) -> Result<()> {
    // SAFETY: callers in this file pass options whose arguments are numbers, or a static string.
    unsafe { call(k::SYS_PRCTL, [option, argument, 0, 0, 0]) }.map(drop)
}

/// Asks the kernel for `SIGKILL` when the thread that is this process's parent ends.
pub(crate) fn die_with_parent() -> Result<()> {
    prctl(k::PR_SET_PDEATHSIG, k::SIGKILL)
}

/// Names the process for whoever looks at a list of processes.
pub(crate) fn set_name(name: &'static core::ffi::CStr) -> Result<()> {
    prctl(k::PR_SET_NAME, name.as_ptr() as usize)
}

/// Closes this process's memory and its files in /proc to every other process without privilege.
pub(crate) fn become_undumpable() -> Result<()> {
    prctl(k::PR_SET_DUMPABLE, 0)
}

/// Forbids every later exec to raise privileges. It cannot be undone.
pub(crate) fn no_new_privileges() -> Result<()> {
    prctl(k::PR_SET_NO_NEW_PRIVS, 1)
}

/// Takes every capability out of the bounding set. Needs `CAP_SETPCAP`.
pub(crate) fn drop_bounding_set() -> Result<()> {
    for capability in 0..64_usize {
        match prctl(k::PR_CAPBSET_DROP, capability) {
            Ok(()) => {}
            // The first number that the kernel does not know ends the list.
            Err(Errno(k::EINVAL)) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Locks the rules by which uid 0 would hold or regain capabilities. Needs `CAP_SETPCAP`.
pub(crate) fn lock_securebits() -> Result<()> {
    prctl(k::PR_SET_SECUREBITS, SECUREBITS)
}

/// Empties the supplementary groups, of this thread alone.
pub(crate) fn clear_groups() -> Result<()> {
    // SAFETY: a count of zero means that the list is not read.
    unsafe { call(k::SYS_SETGROUPS, [0; 5]) }.map(drop)
}

/// Sets real, effective and saved group id, of this thread alone.
pub(crate) fn set_group(id: u32) -> Result<()> {
    let id = id as usize;
    // SAFETY: setresgid takes numbers only.
    unsafe { call(k::SYS_SETRESGID, [id, id, id, 0, 0]) }.map(drop)
}

/// Sets real, effective and saved user id, of this thread alone.
pub(crate) fn set_user(id: u32) -> Result<()> {
    let id = id as usize;
    // SAFETY: setresuid takes numbers only.
    unsafe { call(k::SYS_SETRESUID, [id, id, id, 0, 0]) }.map(drop)
}

/// Keeps only these capabilities, all of which have low numbers, effective and permitted, and makes none inheritable.
pub(crate) fn keep_capabilities(kept: u32) -> Result<()> {
    let header: [u32; 2] = [CAPABILITY_VERSION, 0];
    let sets = [kept, kept, 0, 0, 0, 0];
    let args = [header.as_ptr() as usize, sets.as_ptr() as usize, 0, 0, 0];
    // SAFETY: version 3 reads a header of two words and two sets of three words, both on this stack.
    unsafe { call(k::SYS_CAPSET, args) }.map(drop)
}

/// Starts a session, which leaves the terminal and the process group behind.
pub(crate) fn new_session() -> Result<()> {
    // SAFETY: setsid takes no argument.
    unsafe { call(k::SYS_SETSID, [0; 5]) }.map(drop)
}

/// The parent's process id, 0 when it is in another pid namespace.
pub(crate) fn parent() -> Result<usize> {
    // SAFETY: getppid takes no argument.
    unsafe { call(k::SYS_GETPPID, [0; 5]) }
}

/// Sets the mask for new files to one that does not depend on who started the gateway.
pub(crate) fn fix_file_mask() -> Result<()> {
    const MASK: usize = 0o022;
    // SAFETY: umask takes a number only.
    unsafe { call(k::SYS_UMASK, [MASK, 0, 0, 0, 0]) }.map(drop)
}

/// Gives up any precedence for the processor: real-time policies and a raised priority. A lowered priority stays.
pub(crate) fn share_the_processor() -> Result<()> {
    /// The policies that share fairly (sched(7)): other, batch and idle. The kernel may add a flag in a high bit.
    const FAIR: [usize; 3] = [0, 3, 5];
    const OTHER: usize = 0;
    const FLAGS: usize = 0x4000_0000;
    /// What getpriority gives for the nice value 0: it counts down from 40 (getpriority(2)).
    const ORDINARY: usize = 20;
    // SAFETY: the call takes a number only; 0 is this thread.
    let policy = unsafe { call(k::SYS_SCHED_GETSCHEDULER, [0; 5]) }? & !FLAGS;
    if !FAIR.contains(&policy) {
        let priority = 0_i32;
        let args = [0, OTHER, &raw const priority as usize, 0, 0];
        // SAFETY: the kernel reads one word, which lives through the call.
        unsafe { call(k::SYS_SCHED_SETSCHEDULER, args) }?;
    }
    // SAFETY: the call takes numbers only; 0 and 0 are this thread.
    if unsafe { call(k::SYS_GETPRIORITY, [0; 5]) }? > ORDINARY {
        // SAFETY: as above; the third 0 is the nice value.
        unsafe { call(k::SYS_SETPRIORITY, [0; 5]) }?;
    }
    Ok(())
}

/// Lets everybody else's reads and writes go before, where the disk's scheduler looks at priorities (ioprio_set(2)).
pub(crate) fn share_the_disk() -> Result<()> {
    /// `IOPRIO_WHO_PROCESS`; 0 beside it is this thread.
    const THREAD: usize = 1;
    /// `IOPRIO_CLASS_BE` with its lowest level.
    const LAST_OF_THE_ORDINARY: usize = 2 << 13 | 7;
    // SAFETY: the call takes numbers only.
    match unsafe { call(k::SYS_IOPRIO_SET, [THREAD, 0, LAST_OF_THE_ORDINARY, 0, 0]) } {
        // A kernel without disks.
        Err(Errno(k::ENOSYS)) => Ok(()),
        set => set.map(drop),
    }
}

/// Gives up protection from the out-of-memory killer. With the strongest protection, a control group could not end a process
/// that has used up its memory.
pub(crate) fn share_the_memory() -> Result<()> {
    let path = c"/proc/self/oom_score_adj";
    let mut score = [0_u8; 8];
    let file = match mount::open_at(k::AT_FDCWD, path, k::O_RDONLY, 0) {
        // Without /proc nobody can have set it, and nobody can change it.
        Err(Errno(k::ENOENT)) => return Ok(()),
        opened => opened?,
    };
    let read = file::read(file, &mut score);
    file::close(file);
    read?;
    if score.first() != Some(&b'-') {
        return Ok(());
    }
    let file = mount::open_at(k::AT_FDCWD, path, k::O_WRONLY, 0)?;
    let written = file::write(file, b"0");
    file::close(file);
    written
}

/// Gives up any unusual memory layout, meant for debuggers and old programs, which exec would keep.
pub(crate) fn be_laid_out_as_usual() -> Result<()> {
    // SAFETY: personality takes a number only; 0 is that of Linux.
    unsafe { call(k::SYS_PERSONALITY, [0; 5]) }.map(drop)
}

/// Gives the UTS namespace of the caller names that say nothing about the host.
pub(crate) fn hide_host_name() -> Result<()> {
    const NAME: &[u8] = b"plugin";
    let args = [NAME.as_ptr() as usize, NAME.len(), 0, 0, 0];
    // SAFETY: the kernel reads exactly `NAME.len()` bytes from a constant.
    unsafe { call(k::SYS_SETHOSTNAME, args) }?;
    // SAFETY: as above.
    unsafe { call(k::SYS_SETDOMAINNAME, args) }.map(drop)
}

/// Moves the calling thread, which must be its process's only one, into the control group behind its open `tasks` file.
pub(crate) fn enter_group(tasks: RawFd) -> Result<()> {
    file::write(tasks, b"0")
}

/// Sets a resource limit, soft and hard alike. Where the gateway was started with a stricter limit that may not be raised, the
/// stricter limit is kept.
pub(crate) fn limit(resource: u32, value: u64) -> Result<()> {
    match set_limit(resource, value) {
        Err(Errno(k::EPERM)) => {
            let hard = hard_limit(resource)?;
            // The call did not raise the limit, so it failed for another reason.
            if hard >= value {
                return Err(Errno(k::EPERM));
            }
            set_limit(resource, hard)
        }
        other => other,
    }
}

fn set_limit(resource: u32, value: u64) -> Result<()> {
    let limit = [value; 2];
    let args = [0, resource as usize, limit.as_ptr() as usize, 0, 0];
    // SAFETY: prlimit64 reads two 64-bit words from this stack; the old limit is not asked for.
    unsafe { call(k::SYS_PRLIMIT64, args) }.map(drop)
}

fn hard_limit(resource: u32) -> Result<u64> {
    let mut limit = [0_u64; 2];
    let args = [0, resource as usize, 0, limit.as_mut_ptr() as usize, 0];
    // SAFETY: prlimit64 writes two 64-bit words to this stack; no new limit is given.
    unsafe { call(k::SYS_PRLIMIT64, args) }?;
    let [_, hard] = limit;
    Ok(hard)
}

/// Moves this process into new namespaces, where there are any: a container's filter refuses the call whatever it asks for.
pub(crate) fn enter_new_namespaces(flags: i32) -> Result<()> {
    if flags == 0 {
        return Ok(());
    }
    // SAFETY: unshare takes a number only.
    unsafe { call(k::SYS_UNSHARE, [register(flags), 0, 0, 0, 0]) }.map(drop)
}

/// Whether the process behind a pidfd has ended with all its threads.
pub(crate) fn has_ended(pidfd: RawFd) -> Result<bool> {
    /// `struct pollfd`.
    #[repr(C)]
    struct Polled {
        fd: RawFd,
        wanted: i16,
        seen: i16,
    }
    let mut polled = Polled {
        fd: pidfd,
        wanted: k::POLLIN,
        seen: 0,
    };
    // SAFETY: poll reads and writes the one structure, and a time of zero does not wait.
    unsafe { call(k::SYS_POLL, [&raw mut polled as usize, 1, 0, 0, 0]) }.map(|ready| ready > 0)
}

/// Adds the rule to a Landlock ruleset that the names in this folder may be listed, and nothing else of it.
pub(crate) fn let_list(ruleset: RawFd, folder: RawFd) -> Result<()> {
    /// `LANDLOCK_RULE_PATH_BENEATH`.
    const PATH_BENEATH: usize = 1;
    /// `LANDLOCK_ACCESS_FS_READ_DIR`.
    const READ_DIR: u64 = 1 << 3;
    /// `struct landlock_path_beneath_attr`.
    #[repr(C, packed)]
    struct Rule {
        allowed: u64,
        folder: RawFd,
    }
    let rule = Rule {
        allowed: READ_DIR,
        folder,
    };
    let args = [
        register(ruleset),
        PATH_BENEATH,
        &raw const rule as usize,
        0,
        0,
    ];
    // SAFETY: the kernel reads one structure of this kind, which lives through the call.
    unsafe { call(k::SYS_LANDLOCK_ADD_RULE, args) }.map(drop)
}

/// Puts the calling thread under a Landlock ruleset for good.
pub(crate) fn restrict(ruleset: RawFd) -> Result<()> {
    // SAFETY: landlock_restrict_self takes numbers only.
    unsafe {
        call(
            k::SYS_LANDLOCK_RESTRICT_SELF,
            [register(ruleset), 0, 0, 0, 0],
        )
    }
    .map(drop)
}

/// Puts the calling thread under a filter of `struct sock_filter`s. With `listen`, returns the descriptor on which calls are reported.
pub(crate) fn install_filter(program: &[[u8; 8]], listen: bool) -> Result<Option<RawFd>> {
    /// `struct sock_fprog`.
    #[repr(C)]
    struct Program {
        length: u16,
        filter: *const [u8; 8],
    }
    let length = u16::try_from(program.len()).map_err(|_| Errno(k::E2BIG))?;
    let filter = Program {
        length,
        filter: program.as_ptr(),
    };
    let flags = if listen { NEW_LISTENER } else { 0 };
    let args = [
        k::SECCOMP_SET_MODE_FILTER,
        flags,
        &raw const filter as usize,
        0,
        0,
    ];
    // SAFETY: the kernel copies the program, whose length is the slice's own.
    let result = unsafe { call(k::SYS_SECCOMP, args) }?;
    if listen {
        descriptor(result).map(Some)
    } else {
        Ok(None)
    }
}

/// Replaces the process; see [`super::bare::execute`].
pub(crate) fn execute(
    program: RawFd,
    arguments: &[*const u8],
    environment: &[*const u8],
    cookies: Cookies,
) -> Errno {
    let is_open = |list: &[*const u8]| list.last().is_none_or(|last| !last.is_null());
    if is_open(arguments) || is_open(environment) {
        return Errno(k::EINVAL);
    }
    // SAFETY: both lists end in a null pointer, as was just seen, and their strings are parts of the message
    // that the launcher keeps until the child has left its memory.
    unsafe { super::bare::execute(program, arguments.as_ptr(), environment.as_ptr(), cookies) }
}
