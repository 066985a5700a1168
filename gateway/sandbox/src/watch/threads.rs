//! Looks whether a plugin is still at work. It only reads what the kernel says of its threads.

use std::fs;
use std::sync::OnceLock;

/// The states of a thread that runs or waits for a processor, and of one that waits for a page or a disk (proc_pid_stat(5)).
const AT_WORK: [&str; 2] = ["R", "D"];

/// Whether some thread of the process would go on by itself. Where there is no /proc, none is seen to.
pub(crate) fn is_at_work(pid: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    threads.into_iter().flatten().flatten().any(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        state(&stat).is_some_and(|state| AT_WORK.contains(&state))
    })
}

/// How many processors a plugin can use up at once. Asking is slow (it reads control-group files), hence once.
pub(crate) fn processors() -> u32 {
    static COUNT: OnceLock<u32> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        u32::try_from(count).unwrap_or(1)
    })
}

/// The state of a thread. Its name stands before, in parentheses, and may itself hold any of these characters.
fn state(stat: &str) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_whatever_the_name() {
        assert_eq!(state("7 (a) R (b) S) D 1 7"), Some("D"));
        assert_eq!(state(""), None);
    }

    #[test]
    fn whoever_sleeps_is_not_at_work_and_whoever_reads_this_is() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let since = std::time::Instant::now();
        while is_at_work(pid) {
            assert!(since.elapsed().as_secs() < 20, "it never sleeps");
            std::thread::yield_now();
        }
        assert!(is_at_work(i32::try_from(std::process::id()).unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_at_work(pid));
    }
}
