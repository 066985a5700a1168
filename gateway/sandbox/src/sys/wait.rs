//! Watching and ending a child by its descriptor, which never means another process.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
}

/// What is known of a process once it is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reaped {
    /// How it ended.
    pub(crate) end: Death,
    /// Processor time, user and system.
    pub(crate) cpu: Duration,
    /// Highest resident memory in bytes, of the process and of the memory it was cloned in.
    pub(crate) peak_memory_bytes: u64,
}

/// Sends `SIGKILL`. A process that is gone already is no error.
pub(crate) fn kill(pidfd: &OwnedFd) -> io::Result<()> {
    match rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits for the process to end and takes it off the kernel's table.
pub(crate) fn reap(pidfd: &OwnedFd) -> io::Result<Reaped> {
    wait_for(libc::P_PIDFD, pidfd.as_raw_fd().cast_unsigned())
}

/// Makes sure that children stay until they are reaped. A process that was started with SIGCHLD ignored would lose them at once.
pub(crate) fn keep_children() -> io::Result<()> {
    // SAFETY: all-zero is a valid value of this plain structure, and means the default action without flags.
    let (default, mut now): (libc::sigaction, libc::sigaction) = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one structure of ours.
    if unsafe { libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut now) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if now.sa_sigaction != libc::SIG_IGN && now.sa_flags & libc::SA_NOCLDWAIT == 0 {
        return Ok(());
    }
    // SAFETY: the kernel reads one structure of ours, which names no function.
    if unsafe { libc::sigaction(libc::SIGCHLD, &raw const default, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Kills and reaps a child of which there is no descriptor. Its process id stays its own until it is reaped, so nobody else may reap it.
pub(crate) fn end_child(pid: i32) -> io::Result<Reaped> {
    if !has_child(libc::P_PID, pid.cast_unsigned(), 0) {
        return Err(io::Error::from_raw_os_error(libc::ECHILD));
    }
    // SAFETY: kill takes numbers only.
    if unsafe { libc::kill(pid, libc::SIGKILL) } != 0 {
        return Err(io::Error::last_os_error());
    }
    wait_for(libc::P_PID, pid.cast_unsigned())
}

/// The children of the calling thread that have not been reaped. Where there is no /proc, none are found.
pub(crate) fn children_of_thread() -> Vec<i32> {
    if !has_child(libc::P_ALL, 0, libc::__WNOTHREAD) {
        return Vec::new();
    }
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| has_child(libc::P_PID, pid.cast_unsigned(), libc::__WNOTHREAD))
        .collect()
}

/// Whether this process has such a child; with `__WNOTHREAD`, whether the calling thread has.
fn has_child(kind: libc::idtype_t, id: libc::id_t, whose: i32) -> bool {
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL | whose;
    // SAFETY: the structure is ours, and nothing is taken off the table.
    unsafe { libc::waitid(kind, id, &raw mut info, options) == 0 }
}

/// Whether a thread belongs to a process.
pub(crate) fn has_thread(process: i32, thread: i32) -> bool {
    // SAFETY: the call takes numbers only, and signal 0 is none.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, 0) == 0 }
}

fn wait_for(kind: libc::idtype_t, id: libc::id_t) -> io::Result<Reaped> {
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: the raw call, unlike libc's, takes the fifth argument; both structures are ours and large enough.
        let result = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                kind,
                id,
                &raw mut info,
                libc::WEXITED | libc::__WALL,
                &raw mut usage,
            )
        };
        if result == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: a successful waitid fills in the child's part of the structure.
    let status = unsafe { info.si_status() };
    let end = if info.si_code == libc::CLD_EXITED {
        Death::Exited(status)
    } else {
        Death::Signalled(status)
    };
    let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
    // The kernel counts ru_maxrss in KiB (getrusage(2)).
    let peak_memory_bytes = u64::try_from(usage.ru_maxrss)
        .unwrap_or(0)
        .saturating_mul(1024);
    Ok(Reaped {
        end,
        cpu,
        peak_memory_bytes,
    })
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}

/// Processor time of a process that has not been reaped, from its own clock (clock_getcpuclockid(3)).
pub(crate) fn cpu_time(pid: i32) -> Option<Duration> {
    /// `CPUCLOCK_SCHED` of the kernel's posix-timers: user and system time, to the nanosecond.
    const SCHED: i32 = 2;
    let clock = (!pid << 3) | SCHED;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec of ours; an unknown clock is an error and not undefined.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return None;
    }
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).ok()?);
    Some(seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_children_are_its_own() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(children_of_thread().contains(&pid));
        let elsewhere = std::thread::spawn(children_of_thread).join().unwrap();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
        assert_eq!(end_child(pid).unwrap().end, Death::Signalled(libc::SIGKILL));
        assert!(child.wait().is_err() && !children_of_thread().contains(&pid));
    }

    #[test]
    fn a_thread_belongs_to_one_process() {
        let own = i32::try_from(std::process::id()).unwrap();
        let thread = std::thread::spawn(rustix::thread::gettid).join().unwrap();
        // Joining sees the end of its stack, which comes just before that of its number.
        let gone = || !has_thread(own, thread.as_raw_nonzero().get());
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !gone() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(gone(), "it is gone");
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(has_thread(own, thread) && !has_thread(1, thread));
    }

    #[test]
    fn a_process_has_a_clock_until_it_is_gone() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(cpu_time(own).is_some());
        assert!(cpu_time(i32::MAX - 1).is_none());
    }
}
