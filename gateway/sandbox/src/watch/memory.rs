//! Looks at a running plugin's memory where no control group counts it. It only reads the kernel's figures; the watcher ends a plugin that
//! uses too much.
//!
//! The limit on data alone is not enough. The kernel does not count a stack's mapping as data, wherever mremap(2) moves it, and mprotect(2)
//! checks the limit on data only where the address space has room for as much again (`mprotect_fixup` of mm/mprotect.c).

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

/// Time between two looks. A look takes some 15 µs; a plugin touches new memory at some 2.5 GiB a second on each processor, and so
/// gets some 13 MiB further between two.
const INTERVAL: Duration = Duration::from_millis(5);

/// More than the kernel writes about a process (proc_pid_status(5)), in bytes.
const STATUS_BYTES: usize = 4096;

/// The memory that a plugin takes from the host and that nobody else can have meanwhile. Pages of files are not counted: the kernel can take
/// them back.
const COUNTED: [&str; 4] = ["RssAnon:", "RssShmem:", "VmPTE:", "VmSwap:"];

/// The watch over one plugin's memory.
#[derive(Debug)]
pub(crate) struct Look {
    pid: i32,
    limit_bytes: u64,
    next: Instant,
    status: Option<File>,
}

impl Look {
    /// A watch over a child that is not reaped while this is used. The first look comes after an interval: most calls are over by then.
    pub(crate) fn new(pid: i32, limit_bytes: u64) -> Self {
        Self {
            pid,
            limit_bytes,
            next: Instant::now() + INTERVAL,
            status: None,
        }
    }

    /// Time until the next look.
    pub(crate) fn time_left(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// Whether the plugin uses more than its limit. It looks only if it is time to.
    pub(crate) fn finds_too_much(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + INTERVAL;
        self.used_bytes()
            .is_some_and(|used| used > self.limit_bytes)
    }

    /// How much the plugin uses; `None` where there is no /proc.
    fn used_bytes(&mut self) -> Option<u64> {
        if self.status.is_none() {
            self.status = File::open(format!("/proc/{}/status", self.pid)).ok();
        }
        let mut text = [0; STATUS_BYTES];
        let length = self.status.as_ref()?.read_at(&mut text, 0).ok()?;
        counted_bytes(std::str::from_utf8(text.get(..length)?).ok()?)
    }
}

/// The sum of what counts, from the text of /proc/PID/status; `None` when it says nothing of memory.
fn counted_bytes(status: &str) -> Option<u64> {
    let counted = status.lines().filter_map(|line| {
        let (name, figure) = line.split_once(char::is_whitespace)?;
        let kib = figure.trim().strip_suffix(" kB")?.parse::<u64>().ok()?;
        COUNTED.contains(&name).then_some(kib << 10)
    });
    counted.reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_added_up() {
        let status = "Name:\tx\nVmPeak:\t 9000 kB\nRssAnon:\t     132 kB\nRssFile:\t  3000 kB\nRssShmem:\t 1 kB\nVmPTE:\t 4 kB\nVmSwap:\t 0 kB\n";
        assert_eq!(counted_bytes(status), Some(137 << 10));
        assert_eq!(counted_bytes("Name:\tx\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn a_process_that_grows_is_found_out() {
        let own = i32::try_from(std::process::id()).unwrap();
        let before = Look::new(own, 0).used_bytes().unwrap();
        let held = std::hint::black_box(vec![1_u8; 32 << 20]);
        let mut look = Look::new(own, before + (16 << 20));
        assert!(!look.finds_too_much(Instant::now()), "it is not time yet");
        assert!(look.finds_too_much(Instant::now() + INTERVAL));
        drop(held);
    }
}
