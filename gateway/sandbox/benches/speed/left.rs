//! What is left of the channels that the filter cannot close, as figures for SECURITY.md's "not claimed".

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_sandbox::{Entry, Image, Job, Limits, Report, Sandbox, Settings, WhenRefused};
use rustix::fs::{Advice, fadvise};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::jail::{LIMITS, TIME};

/// Measures, and prints three lines.
pub(crate) fn measure() {
    let sandbox = Sandbox::open(Settings::default()).unwrap();
    wakes_by_the_ends_of_threads(&sandbox);
    time_of_the_disk(&sandbox);
    objects_of_the_kernel(&sandbox);
}

const PRELUDE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static char line[1 << 20];
static void request(void) { if (!fgets(line, sizeof line, stdin)) _exit(3); }
"#;

#[derive(Clone, Copy)]
enum Link {
    Static,
    Dynamic,
}

fn compile(folder: &Path, source: &str, link: Link) -> PathBuf {
    let (file, program) = (folder.join("program.c"), folder.join("program"));
    fs::write(&file, format!("{PRELUDE}\n{source}")).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-w", "-pthread"]);
    if matches!(link, Link::Static) {
        cc.arg("-static");
    }
    let output = cc.arg("-o").arg(&program).arg(&file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    program
}

fn program(source: &str, link: Link) -> Entry {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(compile(folder.path(), source, link)).unwrap();
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    Entry::Program {
        image: Arc::new(Image::seal(&bytes, &digest).unwrap()),
        args: Vec::new(),
    }
}

/// An empty package that plugins of any user id can read.
fn package() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn run(sandbox: &Sandbox<()>, entry: &Entry, package: &Path, limits: Limits) -> Report {
    let job = Job {
        entry,
        package,
        input: b"{}\n",
        deadline: Instant::now() + TIME,
        limits,
        when_refused: WhenRefused::GoOn,
        deterministic: false,
        names_reads: false,
        cancel: None,
        listener: None,
    };
    sandbox.run(&(), &job).unwrap()
}

fn text(report: &Report) -> &str {
    std::str::from_utf8(&report.answer).unwrap().trim()
}

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

fn wakes_by_the_ends_of_threads(sandbox: &Sandbox<()>) {
    let build = tempfile::tempdir().unwrap();
    let counted = Command::new(compile(build.path(), COUNTS, Link::Dynamic))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let ends = program(ENDING_THREADS, Link::Dynamic);
    let report = run(sandbox, &ends, package().path(), LIMITS);
    let woken = counted.wait_with_output().unwrap();
    println!(
        "threads ended a second: {}; woken outside in all: {} {:?}",
        text(&report),
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

fn time_of_the_disk(sandbox: &Sandbox<()>) {
    let folder = package();
    let path = folder.path().join("data");
    fs::write(&path, vec![1_u8; 240 << 20]).unwrap();
    let file = fs::File::open(&path).unwrap();
    file.sync_all().unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    let quick = program(
        "int main(void) { request(); puts(\"fine\"); return 0; }",
        Link::Static,
    );
    let reads = program(READS, Link::Dynamic);
    let small = Limits {
        memory_bytes: 16 << 20,
        ..LIMITS
    };
    median_and_99th(sandbox, &quick);
    let alone = median_and_99th(sandbox, &quick);
    let before = mebibytes_from_disk();
    let (beside, report) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| run(sandbox, &reads, folder.path(), small));
        // It has begun by then.
        std::thread::sleep(Duration::from_millis(500));
        (median_and_99th(sandbox, &quick), reader.join().unwrap())
    });
    println!(
        "a neighbour's call, median and 99th: alone {alone:?}, beside a reader {beside:?}, which read {}, {} MiB in all from the disk, and ended {:?}",
        text(&report),
        mebibytes_from_disk() - before,
        report.end
    );
}

fn median_and_99th(sandbox: &Sandbox<()>, entry: &Entry) -> (Duration, Duration) {
    let folder = package();
    let mut times: Vec<Duration> = (0..200)
        .map(|_| {
            let begin = Instant::now();
            run(sandbox, entry, folder.path(), LIMITS);
            begin.elapsed()
        })
        .collect();
    times.sort();
    (times[100], times[198])
}

/// What the whole machine has read from its disks.
fn mebibytes_from_disk() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("pgpgin "))
        .unwrap();
    line.parse::<u64>().unwrap() >> 10
}

/// Makes as many mappings, descriptors and timers as it can.
const OBJECTS: &str = r#"
int main(void) { request(); long size = 70000L * 8192; char *at = mmap(0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  long maps = 0; for (long i = 0; i < 70000; i++) if (mprotect(at + i * 8192, 4096, PROT_READ) == 0) maps++; else break;
  int pipes = 0, ends[2]; static char full[65536]; while (pipe2(ends, O_NONBLOCK) == 0) { write(ends[1], full, sizeof full); pipes++; }
  timer_t timer; int timers = 0; while (timer_create(CLOCK_MONOTONIC, 0, &timer) == 0 && timers < 100000) timers++;
  fprintf(stderr, "%ld mappings, %d pipes, %d timers\n", maps, pipes, timers); sleep(1); puts("done"); return 0; }"#;

fn objects_of_the_kernel(sandbox: &Sandbox<()>) {
    let folder = package();
    let entry = program(OBJECTS, Link::Static);
    let before = slab_kibibytes();
    let (during, report) = std::thread::scope(|scope| {
        let run = scope.spawn(|| run(sandbox, &entry, folder.path(), LIMITS));
        // It has made them by then, and holds them for a second.
        std::thread::sleep(Duration::from_millis(900));
        (slab_kibibytes(), run.join().unwrap())
    });
    println!(
        "{} KiB of the kernel's objects; {:?} {}",
        during - before,
        report.end,
        String::from_utf8_lossy(&report.stderr.bytes)
    );
}

fn slab_kibibytes() -> i64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Slab:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
