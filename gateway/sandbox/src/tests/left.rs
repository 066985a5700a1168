//! What is left of the channels that the filter cannot close, as figures for SECURITY.md's "not claimed". It measures, and judges nothing.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::support::{Link, compile, limits, package, program, run, run_within, sandbox, text};
use crate::Limits;

/// The kernel wakes who waits where a thread said that its number should be cleared: no call, and so nothing for a filter.
const ENDING_THREADS: &str = r#"
static void *at;
static void *end(void *ignored) { syscall(SYS_set_tid_address, at); syscall(SYS_exit, 0); return 0; }
int main(void) { request(); at = (void *)getauxval(AT_BASE); if (!at) at = (void *)((long)main & ~4095L);
  struct timespec begin, now; clock_gettime(CLOCK_MONOTONIC, &begin); long count = 0, failed = 0; static char stack[256 * 16384] __attribute__((aligned(4096)));
  do { int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    long pid = clone((int (*)(void *))end, stack + (count % 256 + 1) * 16384 - 64, flags, 0); if (pid > 0) count++; else usleep(100);
    clock_gettime(CLOCK_MONOTONIC, &now); } while (now.tv_sec - begin.tv_sec < 2);
  printf("%ld\n", count / 2); fflush(stdout); return 0; }"#;

/// Counts how often it is woken at the loader's first word within two seconds.
const COUNTS: &str = r#"
#include <linux/futex.h>
int main(void) { int *at = (int *)getauxval(AT_BASE); long count = 0; struct timespec begin, now; clock_gettime(CLOCK_MONOTONIC, &begin);
  do { struct timespec t = {0, 100000000}; if (syscall(SYS_futex, at, FUTEX_WAIT, *at, &t, 0, 0) == 0) count++;
    clock_gettime(CLOCK_MONOTONIC, &now); } while (now.tv_sec - begin.tv_sec < 3);
  printf("%ld\n", count); return 0; }"#;

#[test]
#[ignore = "measures, and judges nothing"]
fn wakes_by_the_ends_of_threads() {
    let build = tempfile::tempdir().unwrap();
    let waiter = compile(build.path(), COUNTS, Link::Dynamic);
    let counted = Command::new(waiter)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let folder = package(&[]);
    let report = run(
        &sandbox(),
        &program(ENDING_THREADS, Link::Dynamic),
        folder.path(),
        "{}\n",
    );
    let woken = counted.wait_with_output().unwrap();
    println!(
        "threads ended a second: {}; woken outside in all: {} {:?}",
        text(&report).trim(),
        String::from_utf8_lossy(&woken.stdout).trim(),
        (&report.end, report.usage),
    );
}

/// Reads a file of its package over and over, which has no room in its memory.
const READS: &str = r#"
int main(int count, char **words) { request(); char *buffer = malloc(1 << 20); long bytes = 0; struct timespec begin, now; clock_gettime(CLOCK_MONOTONIC, &begin);
  int file = open("/package/data", O_RDONLY);
  do { long got = read(file, buffer, 1 << 20); if (got <= 0) lseek(file, 0, SEEK_SET); else bytes += got;
    clock_gettime(CLOCK_MONOTONIC, &now); } while (now.tv_sec - begin.tv_sec < 4);
  printf("%ld MiB/s\n", (bytes >> 20) / 4); fflush(stdout); return 0; }"#;

#[test]
#[ignore = "measures, and judges nothing"]
fn time_of_the_disk() {
    let folder = package(&[]);
    fs::write(folder.path().join("data"), vec![1_u8; 240 << 20]).unwrap();
    fs::File::open(folder.path().join("data"))
        .unwrap()
        .sync_all()
        .unwrap();
    let evict = || {
        let file = fs::File::open(folder.path().join("data")).unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    };
    evict();
    let sandbox = sandbox();
    let quick = program(
        "int main(void) { request(); answer(\"fine\\n\"); return 0; }",
        Link::Static,
    );
    let reads = program(READS, Link::Dynamic);
    let empty = package(&[]);
    let median = || {
        let mut times: Vec<Duration> = (0..200)
            .map(|_| {
                let begin = Instant::now();
                run(&sandbox, &quick, empty.path(), "{}\n");
                begin.elapsed()
            })
            .collect();
        times.sort();
        (times[100], times[198])
    };
    median();
    let alone = median();
    let small = Limits {
        memory_bytes: 16 << 20,
        ..limits()
    };
    let from_disk = || {
        let text = fs::read_to_string("/proc/vmstat").unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("pgpgin "))
            .unwrap();
        line.parse::<u64>().unwrap() >> 10
    };
    let before = from_disk();
    let (beside, report) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            run_within(
                &sandbox,
                &reads,
                folder.path(),
                "{}\n",
                Duration::from_secs(20),
                small,
            )
        });
        std::thread::sleep(Duration::from_millis(500));
        (median(), reader.join().unwrap())
    });
    println!("{} MiB from the disk", from_disk() - before);
    println!(
        "a neighbour's call, median and 99th: alone {alone:?}, beside a reader {beside:?}, which read {} {:?}",
        text(&report).trim(),
        report.end
    );
}

/// Makes as many mappings, descriptors and timers as it can.
const OBJECTS: &str = r#"
int main(void) { request(); long size = 70000L * 8192; char *at = mmap(0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  long maps = 0; for (long i = 0; i < 70000; i++) if (mprotect(at + i * 8192, 4096, PROT_READ) == 0) maps++; else break;
  int pipes = 0, ends[2]; static char full[65536]; while (pipe2(ends, O_NONBLOCK) == 0) { write(ends[1], full, sizeof full); pipes++; }
  timer_t timer; int timers = 0; while (timer_create(CLOCK_MONOTONIC, 0, &timer) == 0 && timers < 100000) timers++;
  fprintf(stderr, "%ld mappings, %d pipes, %d timers\n", maps, pipes, timers); sleep(1); answer("done\n"); return 0; }"#;

#[test]
#[ignore = "measures, and judges nothing"]
fn objects_of_the_kernel() {
    let slab = || {
        let text = fs::read_to_string("/proc/meminfo").unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Slab:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<i64>().unwrap()
    };
    let sandbox = sandbox();
    let folder = package(&[]);
    let entry = program(OBJECTS, Link::Static);
    let before = slab();
    let (during, report) = std::thread::scope(|scope| {
        let run = scope.spawn(|| run(&sandbox, &entry, folder.path(), "{}\n"));
        std::thread::sleep(Duration::from_millis(900));
        (slab(), run.join().unwrap())
    });
    println!(
        "{} KiB of the kernel's objects; {:?} {}",
        during - before,
        report.end,
        String::from_utf8_lossy(&report.stderr.bytes)
    );
}
