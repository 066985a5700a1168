//! Bare calls that change what the calling process is and may do, for use between clone and exec.

use std::ffi::{CStr, CString};
use std::os::fd::RawFd;

use super::bare::{Cookies, Errno, Result, call, descriptor, register, upper};

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER` of seccomp(2).
const NEW_LISTENER: usize = 8;

/// `LINUX_CAPABILITY_VERSION_3` of capset(2): 64 capability bits.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// `SECBIT_NOROOT`, `SECBIT_NO_CAP_AMBIENT_RAISE` and all four lock bits (capabilities(7)): being
/// uid 0 gives nothing, nothing can be made ambient, a uid change drops capabilities, and none of that can be undone.
const SECUREBITS: usize = (1 << 0) | (1 << 1) | (1 << 3) | (1 << 5) | (1 << 6) | (1 << 7);

fn prctl(option: i32, argument: usize) -> Result<()> {
    // SAFETY: callers in this file pass options whose arguments are numbers.
    unsafe { call(libc::SYS_prctl, [register(option), argument, 0, 0, 0, 0]) }.map(drop)
}

/// Asks the kernel for `SIGKILL` when the thread that cloned this process ends.
pub(crate) fn die_with_parent() -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as usize)
}

/// Forbids every later exec to raise privileges. It cannot be undone.
pub(crate) fn no_new_privileges() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// Takes every capability out of the bounding set. Needs `CAP_SETPCAP`.
pub(crate) fn drop_bounding_set() -> Result<()> {
    for capability in 0..64_usize {
        match prctl(libc::PR_CAPBSET_DROP, capability) {
            Ok(()) => {}
            // The first number that the kernel does not know ends the list.
            Err(Errno(libc::EINVAL)) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Locks the rules by which uid 0 would hold or regain capabilities. Needs `CAP_SETPCAP`.
pub(crate) fn lock_securebits() -> Result<()> {
    prctl(libc::PR_SET_SECUREBITS, SECUREBITS)
}

/// Empties the supplementary groups, of this thread alone.
pub(crate) fn clear_groups() -> Result<()> {
    // SAFETY: a count of zero means that the list is not read.
    unsafe { call(libc::SYS_setgroups, [0; 6]) }.map(drop)
}

/// Sets real, effective and saved group id, of this thread alone.
pub(crate) fn set_group(id: u32) -> Result<()> {
    let id = id as usize;
    // SAFETY: setresgid takes numbers only.
    unsafe { call(libc::SYS_setresgid, [id, id, id, 0, 0, 0]) }.map(drop)
}

/// Sets real, effective and saved user id, of this thread alone.
pub(crate) fn set_user(id: u32) -> Result<()> {
    let id = id as usize;
    // SAFETY: setresuid takes numbers only.
    unsafe { call(libc::SYS_setresuid, [id, id, id, 0, 0, 0]) }.map(drop)
}

/// Empties the effective, permitted and inheritable capability sets.
pub(crate) fn drop_capabilities() -> Result<()> {
    let header: [u32; 2] = [CAPABILITY_VERSION, 0];
    let sets = [0_u32; 6];
    let args = [header.as_ptr() as usize, sets.as_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: version 3 reads a header of two words and two sets of three words, both on this stack.
    unsafe { call(libc::SYS_capset, args) }.map(drop)
}

/// Gives the UTS namespace of the caller names that say nothing about the host.
pub(crate) fn hide_host_name() -> Result<()> {
    const NAME: &[u8] = b"plugin";
    let args = [NAME.as_ptr() as usize, NAME.len(), 0, 0, 0, 0];
    // SAFETY: the kernel reads exactly `NAME.len()` bytes from a constant.
    unsafe { call(libc::SYS_sethostname, args) }?;
    // SAFETY: as above.
    unsafe { call(libc::SYS_setdomainname, args) }.map(drop)
}

/// Starts a session, which leaves the terminal and the process group behind.
pub(crate) fn new_session() -> Result<()> {
    // SAFETY: setsid takes no argument.
    unsafe { call(libc::SYS_setsid, [0; 6]) }.map(drop)
}

/// Sets a resource limit, soft and hard alike. The cookies travel in the upper halves of pid and resource.
pub(crate) fn limit(resource: u32, value: u64, cookies: Cookies) -> Result<()> {
    let [first, second] = cookies.map(upper);
    let limit = [value; 2];
    let args = [
        first,
        resource as usize | second,
        limit.as_ptr() as usize,
        0,
        0,
        0,
    ];
    // SAFETY: prlimit64 reads two 64-bit words from this stack; the old limit is not asked for.
    unsafe { call(libc::SYS_prlimit64, args) }.map(drop)
}

/// Moves the calling thread, which must be its process's only one, into the control group behind its open `tasks` file.
pub(crate) fn enter_group(tasks: RawFd) -> Result<()> {
    super::bare::write(tasks, b"0").map(drop)
}

/// Joins the namespace behind a descriptor, which must be of the given kind.
pub(crate) fn join_namespace(namespace: RawFd, kind: i32) -> Result<()> {
    // SAFETY: setns takes numbers only.
    unsafe {
        call(
            libc::SYS_setns,
            [register(namespace), register(kind), 0, 0, 0, 0],
        )
    }
    .map(drop)
}

/// Puts the calling thread under a Landlock ruleset for good.
pub(crate) fn restrict(ruleset: RawFd) -> Result<()> {
    // SAFETY: landlock_restrict_self takes numbers only.
    unsafe {
        call(
            libc::SYS_landlock_restrict_self,
            [register(ruleset), 0, 0, 0, 0, 0],
        )
    }
    .map(drop)
}

/// Puts the calling thread under a filter. With `listen`, returns the descriptor on which calls are reported.
pub(crate) fn install_filter(program: &[libc::sock_filter], listen: bool) -> Result<Option<RawFd>> {
    let length = u16::try_from(program.len()).map_err(|_| Errno(libc::E2BIG))?;
    let filter = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut(),
    };
    let flags = if listen { NEW_LISTENER } else { 0 };
    let args = [
        libc::SECCOMP_SET_MODE_FILTER as usize,
        flags,
        &raw const filter as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel copies the program, whose length is the slice's own.
    let result = unsafe { call(libc::SYS_seccomp, args) }?;
    if listen {
        descriptor(result).map(Some)
    } else {
        Ok(None)
    }
}

/// Lets every signal through again.
pub(crate) fn unblock_signals() -> Result<()> {
    let none = 0_u64;
    let args = [
        libc::SIG_SETMASK as usize,
        &raw const none as usize,
        0,
        size_of::<u64>(),
        0,
        0,
    ];
    // SAFETY: the kernel reads one 64-bit signal set from this stack; the old one is not asked for.
    unsafe { call(libc::SYS_rt_sigprocmask, args) }.map(drop)
}

/// Gives every signal its default action. Handlers are gone since the clone, but a signal that was
/// ignored would stay so, through exec and for good.
pub(crate) fn default_signals() -> Result<()> {
    /// The kernel's `sigaction`: handler, flags, restorer and mask; all zero is the default action.
    const DEFAULT: [u64; 4] = [0; 4];
    const LAST: i32 = 64;
    for signal in (1..=LAST).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        let number = usize::try_from(signal).unwrap_or_default();
        let args = [number, DEFAULT.as_ptr() as usize, 0, size_of::<u64>(), 0, 0];
        // SAFETY: the kernel reads one `sigaction` from a constant; the actions are this process's own,
        // since it was cloned without CLONE_SIGHAND.
        unsafe { call(libc::SYS_rt_sigaction, args) }?;
    }
    Ok(())
}

/// Sets the mask for new files to one that does not depend on who started the gateway.
pub(crate) fn fix_file_mask() -> Result<()> {
    const MASK: usize = 0o022;
    // SAFETY: umask takes a number and always succeeds; the mask is this process's own, since it was
    // cloned without CLONE_FS.
    unsafe { call(libc::SYS_umask, [MASK, 0, 0, 0, 0, 0]) }.map(drop)
}

/// Arguments for exec: the strings and the null-terminated list of pointers to them.
#[derive(Debug)]
pub(crate) struct Arguments {
    pointers: Vec<*const libc::c_char>,
    #[expect(dead_code, reason = "it owns what the pointers point to")]
    strings: Vec<CString>,
}

// SAFETY: the pointers go into heap buffers that the value owns and never changes, so that any thread may read them.
unsafe impl Send for Arguments {}
// SAFETY: as above; there is no interior mutability.
unsafe impl Sync for Arguments {}

impl Arguments {
    /// Takes the strings over.
    pub(crate) fn new(strings: Vec<CString>) -> Self {
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self { pointers, strings }
    }
}

/// Replaces the process by the program behind a descriptor, with an empty environment. Returns only on failure.
/// The cookies travel in the upper halves of the descriptor and of the flags.
pub(crate) fn execute(program: RawFd, arguments: &Arguments, cookies: Cookies) -> Errno {
    let [first, second] = cookies.map(upper);
    let path: &CStr = c"";
    let environment: [*const libc::c_char; 1] = [std::ptr::null()];
    let args = [
        register(program) | first,
        path.as_ptr() as usize,
        arguments.pointers.as_ptr() as usize,
        environment.as_ptr() as usize,
        libc::AT_EMPTY_PATH as usize | second,
        0,
    ];
    // SAFETY: both lists end in a null pointer and live through the call, as do the strings that they point to.
    match unsafe { call(libc::SYS_execveat, args) } {
        Ok(_) => Errno(libc::EIO),
        Err(errno) => errno,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn securebits_are_the_kernels() {
        let expected = libc::SECBIT_NOROOT
            | libc::SECBIT_NOROOT_LOCKED
            | libc::SECBIT_NO_SETUID_FIXUP_LOCKED
            | libc::SECBIT_KEEP_CAPS_LOCKED
            | libc::SECBIT_NO_CAP_AMBIENT_RAISE
            | libc::SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
        assert_eq!(SECUREBITS, usize::try_from(expected).unwrap());
    }
}
