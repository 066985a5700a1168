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
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: the raw call, unlike libc's, takes the fifth argument; both structures are ours and large enough.
        let result = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                pidfd.as_raw_fd(),
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
    fn a_process_has_a_clock_until_it_is_gone() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(cpu_time(own).is_some());
        assert!(cpu_time(i32::MAX - 1).is_none());
    }
}
