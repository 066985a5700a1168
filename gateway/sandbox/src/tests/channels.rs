//! What plugins unavoidably share with other processes: the page cache, futexes on pages of files, the host's figures.
//! Each test first shows that the channel is there without the sandbox.

use std::fs::{self, File};
use std::io::{IoSliceMut, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::Advice;
use rustix::io::ReadWriteFlags;

use super::support::{
    Link, Permit, compile, package, run, run_c, sandbox, script, seal, text, works_outside,
};
use crate::{Layer, Sandbox};

/// Where glibc's loader is, which every dynamic program may read and execute.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// Exits with 0 when one of the ways works.
fn refused_inside(source: &str) {
    works_outside(source, Link::Dynamic);
    let report = run_c(&sandbox(), source, Link::Dynamic);
    let works = text(&report).starts_with("works");
    assert!(!works && !text(&report).is_empty(), "{report:?}");
}

/// A program that says "works" and exits with 0 when `condition` holds, and says the error number otherwise.
fn says(body: &str, condition: &str) -> String {
    format!(
        r#"
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/sysinfo.h>
#include <linux/futex.h>
int main(void) {{ request(); {body}
  if ({condition}) {{ answer("works\n"); return 0; }}
  char words[64]; snprintf(words, sizeof words, "refused %d\n", errno); answer(words); return 1; }}"#
    )
}

#[test]
fn nobody_asks_what_is_in_the_page_cache() {
    let open = format!(
        "int file = open(\"{LOADER}\", O_RDONLY); char byte; struct iovec part = {{&byte, 1}};"
    );
    refused_inside(&says(&open, "preadv2(file, &part, 1, 0, RWF_NOWAIT) == 1"));
    // Without flags it is an ordinary read.
    let plain = says(&open, "preadv2(file, &part, 1, 0, 0) == 1");
    assert_eq!(text(&run_c(&sandbox(), &plain, Link::Dynamic)), "works\n");
}

#[test]
fn nobody_reads_past_the_page_cache() {
    // A file system may not have direct reads; the flag alone is what the kernel is asked for.
    let opened = format!("int file = open(\"{LOADER}\", O_RDONLY | 040000);");
    let later =
        format!("int file = open(\"{LOADER}\", O_RDONLY); file = fcntl(file, F_SETFL, 040000);");
    for body in [opened, later] {
        let report = run_c(&sandbox(), &says(&body, "file >= 0"), Link::Dynamic);
        assert!(!text(&report).starts_with("works"), "{report:?}");
    }
}

/// Whether the first page of a file is in the page cache. Asking also brings the page into the cache, so the next answer is yes.
fn is_cached(path: &Path) -> bool {
    let mut byte = [0];
    let file = File::open(path).unwrap();
    let mut parts = [IoSliceMut::new(&mut byte)];
    rustix::io::preadv2(&file, &mut parts, 0, ReadWriteFlags::NOWAIT).is_ok()
}

fn drop_from_cache(path: &Path) {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
}

#[test]
fn nobody_throws_out_of_the_page_cache_or_fetches_into_it() {
    let folder = package(&[("data", &"x".repeat(1 << 16))]);
    let data = folder.path().join("data");
    drop_from_cache(&data);
    if is_cached(&data) {
        return skip::skip("this file system keeps its files in memory");
    }
    // Where there is no private root, the package is where the host has it.
    let place = folder.path().display();
    let open = format!(
        "int file = open(\"/package/data\", O_RDONLY); if (file < 0) file = open(\"{place}/data\", O_RDONLY);"
    );
    let inside = |act: &str| {
        let source = says(&format!("{open} {act};"), "1");
        let build = tempfile::tempdir().unwrap();
        let entry = seal(&compile(build.path(), &source, Link::Dynamic));
        let report = run(&sandbox(), &entry, folder.path(), "{}\n");
        assert_eq!(text(&report), "works\n", "{report:?}");
    };
    let read = || File::open(&data).unwrap().read_exact(&mut [0]).unwrap();
    read();
    inside("posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)");
    assert!(is_cached(&data), "a plugin threw out what others had read");
    for act in [
        "readahead(file, 0, 65536); usleep(100000)",
        "posix_fadvise(file, 0, 65536, POSIX_FADV_WILLNEED); usleep(100000)",
        "madvise(mmap(0, 65536, PROT_READ, MAP_PRIVATE, file, 0), 65536, MADV_WILLNEED); usleep(100000)",
        "madvise(mmap(0, 65536, PROT_READ, MAP_PRIVATE, file, 0), 65536, 22)",
    ] {
        drop_from_cache(&data);
        inside(act);
        assert!(
            !is_cached(&data),
            "a plugin fetched what it did not read: {act}"
        );
    }
}

/// Waits on the loader's first word, which is the same page of memory in every process of the host.
const WAITER: &str = r#"
#include <linux/futex.h>
int main(void) { int *at = (int *)getauxval(AT_BASE); struct timespec t = {10, 0}; return syscall(SYS_futex, at, FUTEX_WAIT, *at, &t, 0, 0) != 0; }"#;

/// Wakes those who wait there, in every possible way.
const WAKER: &str = r#"
#include <linux/futex.h>
int main(void) { request(); int *at = (int *)getauxval(AT_BASE); int other; int ways[] = {FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP};
  for (int i = 0; i < 2000; i++) { for (int w = 0; w < 4; w++) { int way = ways[w];
      int *second = way == FUTEX_WAKE_OP ? &other : at; long val3 = way == FUTEX_WAKE_BITSET ? -1 : way == FUTEX_CMP_REQUEUE ? *at : 0;
      if (syscall(SYS_futex, at, way, 1, 1, second, val3) > 0) { answer("works\n"); return 0; } }
    if (syscall(454, at, -1L, 1, 2) > 0) { answer("works\n"); return 0; }
    usleep(1000); }
  answer("nobody woke\n"); return 1; }"#;

#[test]
fn nobody_wakes_another_process_through_the_loaders_pages() {
    // A wake reaches everybody who waits there, so only one such test may run at a time, whichever user runs it.
    let loader = fs::File::open("/lib64/ld-linux-x86-64.so.2").unwrap();
    loader.lock().unwrap();
    let build = tempfile::tempdir().unwrap();
    let waiter = build.path().join("waiter");
    fs::copy(compile(build.path(), WAITER, Link::Dynamic), &waiter).unwrap();
    let wait = || Command::new(&waiter).stdin(Stdio::null()).spawn().unwrap();
    let mut first = wait();
    works_outside(WAKER, Link::Dynamic);
    assert!(first.wait().unwrap().success());
    let mut second = wait();
    let report = run_c(&sandbox(), WAKER, Link::Dynamic);
    second.kill().unwrap();
    second.wait().unwrap();
    assert_eq!(text(&report), "nobody woke\n", "{report:?}");
}

#[test]
fn the_hosts_memory_load_and_disks_are_not_told() {
    refused_inside(&says(
        "struct sysinfo host;",
        "sysinfo(&host) == 0 && host.totalram > 0",
    ));
    refused_inside(&says(
        "struct statfs disk;",
        &format!("statfs(\"{LOADER}\", &disk) == 0 && disk.f_blocks > 0"),
    ));
    let by_descriptor = format!("struct statfs disk; int file = open(\"{LOADER}\", O_RDONLY);");
    refused_inside(&says(
        &by_descriptor,
        "fstatfs(file, &disk) == 0 && disk.f_blocks > 0",
    ));
}

#[test]
fn files_are_not_synced_for_a_plugin() {
    let open = format!("int file = open(\"{LOADER}\", O_RDONLY);");
    for call in [
        "fsync(file)",
        "fdatasync(file)",
        "sync_file_range(file, 0, 4096, 7)",
        "syncfs(file)",
    ] {
        let report = run_c(
            &sandbox(),
            &says(&open, &format!("{call} == 0")),
            Link::Dynamic,
        );
        assert!(!text(&report).starts_with("works"), "{call}: {report:?}");
    }
}

/// What is installed beside an interpreter's standard library, and the trees of other interpreters, as far as the plugin sees.
const LOOKS_AROUND: &str = r#"
import os, sys
found = []
roots = [path for path in sys.path if os.path.isdir(path)] + ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"]
for root in roots:
    for name in os.listdir(root):
        folder = root + "/" + name
        foreign = name in ("site-packages", "dist-packages") or root.startswith(("/lib/", "/usr/lib/x", "/usr/lib64")) and name.startswith(("perl", "ruby", "node"))
        if foreign and os.path.isdir(folder) and os.listdir(folder):
            found.append(folder)
print(len(found), *found)
"#;

#[test]
fn what_the_host_installed_for_other_programs_is_not_seen() {
    let sandbox = sandbox();
    if !has_private_root(&sandbox) {
        return skip::skip("there is no private root, and so nothing to cover folders in");
    }
    let outside = Command::new("python3").args(["-c", LOOKS_AROUND]).output();
    match outside {
        Ok(seen) if seen.status.success() => {
            assert_ne!(seen.stdout, b"0\n", "nothing is there to be hidden")
        }
        other => return skip::skip(&format!("python3 does not run: {other:?}")),
    }
    let folder = package(&[("main.py", LOOKS_AROUND)]);
    let report = run(
        &sandbox,
        &script("python3", "main.py"),
        folder.path(),
        "{}\n",
    );
    assert_eq!(text(&report), "0\n", "{report:?}");
    // A folder of that name in the package itself stays visible.
    let own = [
        (
            "main.py",
            "import sys\nsys.path.append('/package/site-packages')\nimport own\nprint(own.VALUE)\n",
        ),
        ("site-packages/own.py", "VALUE = 7\n"),
    ];
    let folder = package(&own);
    let report = run(
        &sandbox,
        &script("python3", "main.py"),
        folder.path(),
        "{}\n",
    );
    assert_eq!(text(&report), "7\n", "{report:?}");
}

fn has_private_root(sandbox: &Sandbox<Permit>) -> bool {
    let mut rows = sandbox.protections().iter();
    rows.any(|row| row.layer == Layer::MountNs && row.enforced)
}

#[test]
fn reading_leaves_no_access_time() {
    let sandbox = sandbox();
    if !has_private_root(&sandbox) {
        return skip::skip("there is no private root, whose mounts are read-only");
    }
    let folder = package(&[
        ("data", "x"),
        ("main.sh", "read -r line < /package/data; echo \"$line\"\n"),
    ]);
    let data = folder.path().join("data");
    let accessed = || fs::metadata(&data).unwrap().accessed().unwrap();
    let long_ago =
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let age = || {
        File::open(&data)
            .unwrap()
            .set_times(fs::FileTimes::new().set_accessed(long_ago))
            .unwrap()
    };
    age();
    fs::read(&data).unwrap();
    if accessed() == long_ago {
        return skip::skip("this file system keeps no access times");
    }
    age();
    let report = run(&sandbox, &script("sh", "main.sh"), folder.path(), "{}\n");
    assert_eq!(
        (text(&report).as_str(), accessed()),
        ("x\n", long_ago),
        "{report:?}"
    );
}
