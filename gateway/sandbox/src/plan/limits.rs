//! What one run may use, as resource limits and as caps of a control group.

use std::time::Duration;

use crate::job::{Limits, Setup};

/// Threads: Node starts eleven, Go about one a processor; 64 end a thread bomb early.
pub(crate) const THREADS_MAX: usize = 64;
/// Memory in bytes that the kernel uses on a plugin's behalf: page tables, stacks of 64 threads, full pipes, and pages of libraries and
/// interpreters that the plugin was the first to read. The kernel takes those pages back before it kills.
const KERNEL_BYTES: u64 = 16 << 20;
/// More processors than any plugin has use for; it keeps the kernel's arithmetic on quotas far from overflow.
const PROCESSORS_MAX: u32 = 64;
/// How much processor time a plugin may use before it has a request. The slowest interpreters take a second or two until they wait for it, and
/// what goes on beyond this is no start.
pub(crate) const BEFORE_CPU: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });
/// Queued signals and timers.
const SIGNALS: u64 = 64;
/// Main stack in bytes, and so libc's default for threads: the usual 8 MiB.
const STACK_BYTES: u64 = 8 << 20;

/// The limits that a control group sets on one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caps {
    /// Memory of every kind in bytes, the kernel's own on the run's behalf included.
    pub(crate) memory_bytes: u64,
    /// Processes and threads.
    pub(crate) tasks: u64,
    /// Processors busy at once, on average over a tenth of a second.
    pub(crate) processors: u32,
    /// Whether everybody else's work goes before: the run has no request yet.
    pub(crate) waits: bool,
}

/// The limits that a control group sets on the job.
pub(crate) fn caps_of_run(setup: &Setup<'_>, overhead: u64) -> Caps {
    let memory = setup.limits.memory_bytes.saturating_add(overhead);
    Caps {
        memory_bytes: memory.saturating_add(KERNEL_BYTES),
        tasks: THREADS_MAX as u64,
        processors: processors(setup.limits.cpu, setup.time),
        waits: false,
    }
}

/// How many processors a job keeps busy that spreads its processor time over its whole time, rounded up.
pub(crate) fn processors(cpu: Duration, time: Duration) -> u32 {
    let count = cpu.as_millis().div_ceil(time.as_millis().max(1));
    u32::try_from(count)
        .unwrap_or(u32::MAX)
        .clamp(1, PROCESSORS_MAX)
}

/// The resource limits that are the same for every plugin, soft and hard alike (setrlimit(2)). The launcher bears them too.
pub(crate) fn limits_of_all() -> Vec<(u32, u64)> {
    vec![
        // No core file, because the kernel writes none of less than a page. And no pipe to the host's core handler: the kernel starts that
        // handler as root under any limit except 1 (`coredump_pipe` in its coredump.c).
        (libc::RLIMIT_CORE, 1),
        // No file grows.
        (libc::RLIMIT_FSIZE, 0),
        // No memory that cannot be taken back.
        (libc::RLIMIT_MEMLOCK, 0),
        // No message queues.
        (libc::RLIMIT_MSGQUEUE, 0),
        // No better share of the processor than was given.
        (libc::RLIMIT_NICE, 0),
        (libc::RLIMIT_RTPRIO, 0),
        (libc::RLIMIT_STACK, STACK_BYTES),
    ]
}

/// Address space in bytes beyond the memory limit. It bounds page tables and, without a control group, all memory that the limit on data does not
/// count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reserve {
    /// Where a control group counts memory.
    counted: u64,
    /// Where none does.
    uncounted: u64,
}

impl Reserve {
    /// For programs, and for interpreters that make no code. Go reserves about 0.8 GiB without using it (measured with Go 1.26).
    pub(crate) const PROGRAM: Self = Self {
        counted: 8 << 30,
        uncounted: 1280 << 20,
    };
    /// For interpreters that make code: V8 reserves tens of GiB for its cages.
    pub(crate) const CODE_MAKER: Self = Self {
        counted: 128 << 30,
        uncounted: 128 << 30,
    };
}

/// The resource limits of one run, in a control group or in none. A control group counts the memory that is used, of every kind. The limit on
/// private memory counts what is asked for; beside a group it would only take effect first and hide the cause, so it is set only where there is
/// no group.
pub(crate) fn limits_of_run(
    limits: &Limits,
    overhead: u64,
    reserve: Reserve,
    grouped: bool,
) -> Vec<(u32, u64)> {
    let memory = limits.memory_bytes.saturating_add(overhead);
    let reserve = if grouped {
        reserve.counted
    } else {
        reserve.uncounted
    };
    let data = (!grouped).then_some((libc::RLIMIT_DATA, memory));
    let of_each = [
        (libc::RLIMIT_SIGPENDING, SIGNALS),
        (libc::RLIMIT_NPROC, THREADS_MAX as u64),
        // The supervisor checks the processor time more finely; this limit holds even if the supervisor is stopped. It is the same for who is
        // started before there is a request and for who is not, as each may look at it.
        (
            libc::RLIMIT_CPU,
            whole_seconds(limits.cpu).saturating_add(BEFORE_CPU.as_secs()),
        ),
        (libc::RLIMIT_AS, memory.saturating_add(reserve)),
    ];
    of_each.into_iter().chain(data).collect()
}

/// Rounded up, and at least one, because the kernel treats a limit of zero as one.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0 || time.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_seconds_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
        assert_eq!(whole_seconds(Duration::from_millis(2001)), 3);
    }

    #[test]
    fn processors_are_those_that_use_up_the_time_allowed() {
        let second = Duration::from_secs(1);
        assert_eq!(processors(second, second), 1);
        assert_eq!(processors(second / 10, second), 1);
        assert_eq!(processors(second * 3 / 2, second), 2);
        assert_eq!(processors(second, Duration::ZERO), PROCESSORS_MAX);
    }
}
