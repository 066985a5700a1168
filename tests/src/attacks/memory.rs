//! Attacks through memory: shared between runs, executable, locked, or uncounted; the code is in `memory.c`.

use super::Outside::{Depends, Works};
use super::{Attack, named, quiet};

/// Every attack on memory.
pub const ATTACKS: &[Attack] = &[
    quiet("shared_anonymous", Works),
    quiet("shared_zero_device", Works),
    named("sysv_memory", Works, &["shmget"]),
    named("sysv_queue", Works, &["msgget"]),
    named("sysv_semaphore", Works, &["semget"]),
    quiet("posix_memory", Depends("/dev/shm may not be there")),
    named(
        "posix_queue",
        Depends("the kernel may lack message queues"),
        &["mq_open"],
    ),
    named("memory_file", Works, &["memfd_create"]),
    named(
        "secret_memory",
        Depends("the kernel may lack secret memory"),
        &["memfd_secret"],
    ),
    named("run_memory_file", Works, &["memfd_create"]),
    named("read_implies_exec", Works, &["personality"]),
    named("no_randomness", Works, &["personality"]),
    quiet("lock_memory", Works),
    quiet("lock_by_map", Works),
    quiet(
        "lock_everything",
        Depends("the limit on locked memory may be low"),
    ),
    quiet("growing_map", Works),
    quiet("huge_pages", Depends("no huge pages may be set aside")),
    quiet("merge_all_pages", Depends("the kernel may lack KSM")),
    named(
        "user_faults",
        Depends("the kernel may lack userfaultfd"),
        &["userfaultfd"],
    ),
    quiet("who_uses_pages", Works),
    quiet("place_memory", Depends("the kernel may lack memory nodes")),
    named("shuffle_maps", Works, &["memfd_create"]),
];

/// Kernel memory that a plugin makes the host spend on it, beside its own.
pub const KERNEL_SIDE: &[Attack] = &[quiet("page_tables", Works)];

/// Memory that the kernel would share between programs that hold the same bytes.
pub const MERGING: &[Attack] = &[quiet("merge_pages", Depends("the kernel may lack KSM"))];

/// Memory that becomes code. A runtime that compiles at run time needs it; nobody else has it.
pub const CODE: &[Attack] = &[
    quiet("writable_code", Works),
    quiet("protect_into_code", Works),
    quiet("protect_by_key", Works),
    quiet("rewrite_own_code", Works),
];

/// More memory than the manifest allows.
pub const OVER_LIMIT: &[Attack] = &[
    quiet("private_over_limit", Works),
    quiet("protected_later", Works),
    quiet("heap_over_limit", Works),
];
