//! C programs of the tests, each compiled once: they are kept beside what cargo builds, for the next run and for the one as an ordinary user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};

/// Names the folder to a run of a copy of the test program. A run that cannot write there only reads.
pub(crate) const FOLDER: &str = "SANDBOX_TESTS_COMPILED";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Static,
    Dynamic,
}

/// Where programs are kept.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os(FOLDER).map_or_else(
        || std::env::current_exe().unwrap().with_file_name("compiled"),
        PathBuf::from,
    )
}

/// Another compiler makes other programs.
static COMPILER: LazyLock<Vec<u8>> =
    LazyLock::new(|| Command::new("cc").arg("--version").output().unwrap().stdout);

/// Compiles a C program into `folder` and returns its path.
pub(crate) fn compile(folder: &Path, source: &str, link: Link) -> PathBuf {
    let program = folder.join(format!("program-{link:?}"));
    let digest = Sha256::new()
        .chain_update(&*COMPILER)
        .chain_update(format!("{link:?}{PRELUDE}{source}"))
        .finalize();
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let kept = self::folder().join(name);
    if !(kept.exists() && copied(&kept, &program)) {
        run_compiler(folder, source, link, &program);
        keep(&program, &kept);
    }
    program
}

/// By a process of its own: a program that this one still holds open for writing, in whatever it starts meanwhile, cannot be run.
fn copied(from: &Path, to: &Path) -> bool {
    let output = Command::new("cp").args([from, to]).output().unwrap();
    output.status.success()
}

/// Under its name stands only a whole program.
fn keep(program: &Path, kept: &Path) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let half = kept.with_extension(format!("{}-{number}", std::process::id()));
    let folder = kept.parent().unwrap();
    if fs::create_dir_all(folder).is_ok() && copied(program, &half) {
        fs::rename(&half, kept).unwrap();
    }
}

fn run_compiler(folder: &Path, source: &str, link: Link, program: &Path) {
    let file = folder.join("program.c");
    fs::write(&file, format!("{PRELUDE}\n{source}")).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-w", "-pthread", "-o"])
        .arg(program)
        .arg(&file);
    if link == Link::Static {
        cc.arg("-static");
    }
    let output = cc.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub(crate) const PRELUDE: &str = r#"
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static char line[1 << 20];
static void answer(const char *text) { (void)!write(1, text, strlen(text)); }
static void request(void) { if (!fgets(line, sizeof line, stdin)) _exit(3); }
"#;
