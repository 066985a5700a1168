//! Numbers of the kernel's interface on x86-64 that the launcher uses: it is built without any library.
//! A test holds each against libc.

#![cfg_attr(
    not(any(test, freestanding)),
    expect(dead_code, reason = "the gateway itself makes few of these calls")
)]

macro_rules! numbers {
    ($($name:ident = $value:expr;)*) => {
        $(pub(crate) const $name: usize = $value;)*
        #[cfg(test)]
        pub(crate) const CALLS: &[(&str, usize)] = &[$((stringify!($name), $name)),*];
    };
}

// System calls (`syscall_64.tbl`), by libc's names in capitals.
numbers! {
    SYS_READ = 0;
    SYS_WRITE = 1;
    SYS_CLOSE = 3;
    SYS_POLL = 7;
    SYS_MPROTECT = 10;
    SYS_RT_SIGACTION = 13;
    SYS_RT_SIGPROCMASK = 14;
    SYS_DUP2 = 33;
    SYS_SENDMSG = 46;
    SYS_RECVMSG = 47;
    SYS_CLONE = 56;
    SYS_CHDIR = 80;
    SYS_FCHDIR = 81;
    SYS_UMASK = 95;
    SYS_GETPPID = 110;
    SYS_SETSID = 112;
    SYS_SETGROUPS = 116;
    SYS_SETRESUID = 117;
    SYS_SETRESGID = 119;
    SYS_CAPSET = 126;
    SYS_PERSONALITY = 135;
    SYS_GETPRIORITY = 140;
    SYS_SETPRIORITY = 141;
    SYS_SCHED_SETSCHEDULER = 144;
    SYS_SCHED_GETSCHEDULER = 145;
    SYS_PIVOT_ROOT = 155;
    SYS_PRCTL = 157;
    SYS_UMOUNT2 = 166;
    SYS_SETHOSTNAME = 170;
    SYS_SETDOMAINNAME = 171;
    SYS_EXIT_GROUP = 231;
    SYS_IOPRIO_SET = 251;
    SYS_OPENAT = 257;
    SYS_MKDIRAT = 258;
    SYS_SYMLINKAT = 266;
    SYS_UNSHARE = 272;
    SYS_PRLIMIT64 = 302;
    SYS_SECCOMP = 317;
    SYS_EXECVEAT = 322;
    SYS_OPEN_TREE = 428;
    SYS_MOVE_MOUNT = 429;
    SYS_FSOPEN = 430;
    SYS_FSCONFIG = 431;
    SYS_FSMOUNT = 432;
    SYS_CLONE3 = 435;
    SYS_CLOSE_RANGE = 436;
    SYS_MOUNT_SETATTR = 442;
    SYS_LANDLOCK_ADD_RULE = 445;
    SYS_LANDLOCK_RESTRICT_SELF = 446;
}

pub(crate) const EPERM: i32 = 1;
pub(crate) const ENOENT: i32 = 2;
pub(crate) const ESRCH: i32 = 3;
pub(crate) const EINTR: i32 = 4;
pub(crate) const EIO: i32 = 5;
pub(crate) const E2BIG: i32 = 7;
pub(crate) const EBADF: i32 = 9;
pub(crate) const EINVAL: i32 = 22;
pub(crate) const EMFILE: i32 = 24;
pub(crate) const ENOSYS: i32 = 38;
pub(crate) const EBADMSG: i32 = 74;

pub(crate) const O_RDONLY: i32 = 0;
pub(crate) const O_WRONLY: i32 = 1;
pub(crate) const O_CREAT: i32 = 0o100;
pub(crate) const O_EXCL: i32 = 0o200;
pub(crate) const O_DIRECTORY: i32 = 0o200_000;
pub(crate) const O_CLOEXEC: i32 = 0o2_000_000;
pub(crate) const AT_FDCWD: i32 = -100;
pub(crate) const AT_EMPTY_PATH: i32 = 0x1000;

pub(crate) const CLONE_VM: i32 = 0x100;
pub(crate) const CLONE_PIDFD: i32 = 0x1000;
pub(crate) const CLONE_VFORK: i32 = 0x4000;
pub(crate) const CLONE_PARENT: i32 = 0x8000;
pub(crate) const CLONE_NEWUTS: i32 = 0x400_0000;
pub(crate) const CLONE_NEWUSER: i32 = 0x1000_0000;
pub(crate) const SIGCHLD: i32 = 17;
pub(crate) const SIGKILL: usize = 9;
pub(crate) const SIG_SETMASK: usize = 2;

pub(crate) const CLOSE_RANGE_CLOEXEC: usize = 4;
pub(crate) const MS_PRIVATE: u64 = 1 << 18;
pub(crate) const MNT_DETACH: usize = 2;

pub(crate) const PR_SET_PDEATHSIG: usize = 1;
pub(crate) const PR_SET_DUMPABLE: usize = 4;
pub(crate) const PR_SET_NAME: usize = 15;
pub(crate) const PR_CAPBSET_DROP: usize = 24;
pub(crate) const PR_SET_SECUREBITS: usize = 28;
pub(crate) const PR_SET_NO_NEW_PRIVS: usize = 38;

pub(crate) const SECCOMP_SET_MODE_FILTER: usize = 1;
pub(crate) const RLIMIT_NOFILE: u32 = 7;

pub(crate) const SOL_SOCKET: i32 = 1;
pub(crate) const SCM_RIGHTS: i32 = 1;
pub(crate) const MSG_CTRUNC: i32 = 8;
pub(crate) const MSG_TRUNC: i32 = 0x20;
pub(crate) const MSG_NOSIGNAL: usize = 0x4000;
pub(crate) const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
pub(crate) const POLLIN: i16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_libcs() {
        let errors = [
            (EPERM, libc::EPERM),
            (ENOENT, libc::ENOENT),
            (ESRCH, libc::ESRCH),
            (EINTR, libc::EINTR),
            (EIO, libc::EIO),
            (E2BIG, libc::E2BIG),
            (EBADF, libc::EBADF),
            (EINVAL, libc::EINVAL),
            (EMFILE, libc::EMFILE),
            (MSG_CTRUNC, libc::MSG_CTRUNC),
            (MSG_TRUNC, libc::MSG_TRUNC),
            (ENOSYS, libc::ENOSYS),
            (EBADMSG, libc::EBADMSG),
        ];
        let opens = [
            (O_RDONLY, libc::O_RDONLY),
            (O_WRONLY, libc::O_WRONLY),
            (O_CREAT, libc::O_CREAT),
            (O_EXCL, libc::O_EXCL),
            (O_DIRECTORY, libc::O_DIRECTORY),
            (O_CLOEXEC, libc::O_CLOEXEC),
            (AT_FDCWD, libc::AT_FDCWD),
            (AT_EMPTY_PATH, libc::AT_EMPTY_PATH),
        ];
        let clones = [
            (CLONE_VM, libc::CLONE_VM),
            (CLONE_PIDFD, libc::CLONE_PIDFD),
            (CLONE_VFORK, libc::CLONE_VFORK),
            (CLONE_PARENT, libc::CLONE_PARENT),
            (CLONE_NEWUTS, libc::CLONE_NEWUTS),
            (CLONE_NEWUSER, libc::CLONE_NEWUSER),
            (SIGCHLD, libc::SIGCHLD),
        ];
        let options = [
            (PR_SET_PDEATHSIG, libc::PR_SET_PDEATHSIG),
            (PR_SET_DUMPABLE, libc::PR_SET_DUMPABLE),
            (PR_SET_NAME, libc::PR_SET_NAME),
            (PR_CAPBSET_DROP, libc::PR_CAPBSET_DROP),
            (PR_SET_SECUREBITS, libc::PR_SET_SECUREBITS),
            (PR_SET_NO_NEW_PRIVS, libc::PR_SET_NO_NEW_PRIVS),
        ];
        for (ours, theirs) in errors.into_iter().chain(opens).chain(clones) {
            assert_eq!(ours, theirs);
        }
        assert_eq!(CLOSE_RANGE_CLOEXEC, libc::CLOSE_RANGE_CLOEXEC as usize);
        assert_eq!(
            (MS_PRIVATE, RLIMIT_NOFILE),
            (libc::MS_PRIVATE, libc::RLIMIT_NOFILE)
        );
        assert_eq!(
            (SOL_SOCKET, SCM_RIGHTS, POLLIN),
            (libc::SOL_SOCKET, libc::SCM_RIGHTS, libc::POLLIN)
        );
        let sockets = [
            (MSG_NOSIGNAL, libc::MSG_NOSIGNAL),
            (MSG_CMSG_CLOEXEC, libc::MSG_CMSG_CLOEXEC),
            (MNT_DETACH, libc::MNT_DETACH),
            (SIGKILL, libc::SIGKILL),
            (SIG_SETMASK, libc::SIG_SETMASK),
        ];
        for (ours, theirs) in options.into_iter().chain(sockets) {
            assert_eq!(ours, usize::try_from(theirs).unwrap());
        }
        assert_eq!(
            SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_SET_MODE_FILTER as usize
        );
    }
}
