//! Without a control group no limit of the kernel counts all memory, so the supervisor looks at a plugin's memory itself. Each way
//! around the limit on data is first shown to work outside under that limit.

use std::process::Command;
use std::time::Duration;

use super::support::{Link, Permit, compile, limits, package, program, run_within, text, works_as};
use crate::{End, Pretend, Sandbox, Settings};

const MEMORY_BYTES: u64 = 128 << 20;

/// How much more than its limit a plugin can use before it is looked at: far less than the attack wants. On an idle machine it stays below
/// 192 MiB, as a page is touched in some 0.2 µs; on a busy one the look waits for a processor.
const BEYOND_BYTES: u64 = 768 << 20;

/// Writes to each page of `bytes` bytes at `at`.
const TOUCH: &str = r#"
static void touch(volatile char *at, unsigned long bytes) { for (unsigned long i = 0; i < bytes; i += 4096) at[i] = 1; }
"#;

/// Grows a page of the main stack, which the kernel does not count as data wherever it is moved.
const GROWN_STACK: &str = r#"int main(void) { request(); char block[65536]; char *page = (char *)(((long)block + 8191) & ~4095L); *page = 1;
  unsigned long size = 1UL << 30; char *at = mremap(page, 4096, size, MREMAP_MAYMOVE);
  if (at == MAP_FAILED) return 9; touch(at, size); answer("works\n"); return 0; }"#;

/// Fills the address space, and then makes memory writable: mprotect(2) checks the limit on data only where there is room for as much again.
/// The memory is in huge pages where `advice` asks for them, which are filled some four times as fast.
fn full_space(advice: &str) -> String {
    format!(
        r#"int main(void) {{ request(); char *largest = 0; unsigned long size = 0;
  for (unsigned long part = 1UL << 46; part >= 4096; ) {{
    char *at = mmap(0, part, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {{ part /= 2; continue; }}
    if (!largest) {{ largest = at; size = part; }} }}
  if (size > 1UL << 30) size = 1UL << 30;
  if (size < 300UL << 20 || mprotect(largest, size, PROT_READ | PROT_WRITE)) return 9;
  {advice} touch(largest, size); answer("works\n"); return 0; }}"#
    )
}

fn without_groups() -> Sandbox<Permit> {
    let pretend = Pretend {
        no_cgroup: true,
        ..Pretend::default()
    };
    let settings = Settings {
        pretend,
        ..Settings::default()
    };
    Sandbox::open(settings).unwrap()
}

/// Runs a program under the kernel's limits alone: data, and an address space of 8 GiB more.
fn works_under_limits(source: &str) {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), source, Link::Static);
    let limits = format!(
        "ulimit -d {}; ulimit -v {}; exec \"$0\"",
        MEMORY_BYTES >> 10,
        (MEMORY_BYTES + (8 << 30)) >> 10
    );
    works_as(Command::new("sh").args(["-c", &limits]).arg(program));
}

#[test]
fn memory_that_the_data_limit_does_not_count_is_looked_at() {
    for (name, attack) in [
        ("full space", full_space("")),
        (
            "huge pages",
            full_space("madvise(largest, size, MADV_HUGEPAGE);"),
        ),
        ("grown stack", GROWN_STACK.to_owned()),
    ] {
        let source = format!("{TOUCH}{attack}");
        works_under_limits(&source);
        let sandbox = without_groups();
        let folder = package(&[]);
        let limits = crate::Limits {
            memory_bytes: MEMORY_BYTES,
            ..limits()
        };
        for link in [Link::Static, Link::Dynamic] {
            let entry = program(&source, link);
            let report = run_within(
                &sandbox,
                &entry,
                folder.path(),
                "{}\n",
                Duration::from_secs(20),
                limits,
            );
            println!(
                "{name}, {link:?}: {:?} after {:?}, {} MiB at most",
                report.end,
                report.usage.wall,
                report.usage.peak_memory_bytes >> 20
            );
            assert_ne!(text(&report), "works\n", "{name}, {link:?}: {report:?}");
            assert!(
                matches!(report.end, End::MemoryLimit | End::Exited(9)),
                "{name}, {link:?}: {report:?}"
            );
            assert!(
                report.usage.peak_memory_bytes < MEMORY_BYTES + BEYOND_BYTES,
                "{name}, {link:?}: {report:?}"
            );
        }
    }
}
