//! What a plugin has only so much of: memory, stack, descriptors, threads.

use super::Diagnosis;
use super::rows::{LINE, Name, Row, Spelling, named, plain};

const JAVASCRIPT_HEAP: &str =
    "its JavaScript heap was full, which is as large as limits.max_memory_bytes";
const GO_MEMORY: &str = "Go got no more memory";
const MORE_MEMORY: &str = "raise limits.max_memory_bytes, or hold less";
const MANY_FILES: &str = "it had more files open at once than limits.max_open_files, which is 256 where the manifest does not name it";
const MORE_FILES: &str = "raise that, to at most 4096";
const DEEP: &str = "a function called itself too often";
const DEEP_FIX: &str = "look whether and where the recursion ends, or write it as a loop";
const CRASHED_FIX: &str = "mend that line, or answer `error` with words in `notes`";

/// The rows, the more exact before the more general.
pub(super) const ROWS: &[Row] = &[
    plain(
        "JavaScript heap out of memory",
        JAVASCRIPT_HEAP,
        MORE_MEMORY,
    ),
    plain("<--- Last few GCs --->", JAVASCRIPT_HEAP, MORE_MEMORY),
    plain(
        "java.lang.OutOfMemoryError",
        "its Java heap was full, which is as large as limits.max_memory_bytes",
        MORE_MEMORY,
    ),
    plain(
        "There is insufficient memory for the Java Runtime Environment",
        "the Java virtual machine got no more memory",
        MORE_MEMORY,
    ),
    plain(
        "fatal error: runtime: out of memory",
        GO_MEMORY,
        MORE_MEMORY,
    ),
    plain(
        "fatal error: runtime: cannot allocate memory",
        GO_MEMORY,
        MORE_MEMORY,
    ),
    plain("(NoMemoryError)", "Ruby got no more memory", MORE_MEMORY),
    plain("MemoryError", "Python got no more memory", MORE_MEMORY),
    plain(
        "memory allocation of ",
        "Rust got no more memory",
        MORE_MEMORY,
    ),
    plain("std::bad_alloc", "C++ got no more memory", MORE_MEMORY),
    plain(
        "Cannot allocate memory",
        "it got no more memory",
        MORE_MEMORY,
    ),
    plain("RecursionError: ", DEEP, DEEP_FIX),
    plain("Maximum call stack size exceeded", DEEP, DEEP_FIX),
    plain("(SystemStackError)", DEEP, DEEP_FIX),
    plain("java.lang.StackOverflowError", DEEP, DEEP_FIX),
    plain("goroutine stack exceeds", DEEP, DEEP_FIX),
    plain("has overflowed its stack", DEEP, DEEP_FIX),
    plain("EMFILE", MANY_FILES, MORE_FILES),
    plain("Too many open files", MANY_FILES, MORE_FILES),
    plain(
        "can't start new thread",
        "it started more threads or processes than it may",
        "do with fewer: a plugin starts no process, and few threads",
    ),
    named(
        ": Assertion `",
        Name::Until(LINE),
        Spelling::AsItIs,
        "its own assertion `{}",
        "mend what it checks: file and line stand on stderr",
    ),
    named(
        "' panicked at ",
        Name::Until(LINE),
        Spelling::AsItIs,
        "it panicked at {}",
        CRASHED_FIX,
    ),
    named(
        "panic: ",
        Name::Until(LINE),
        Spelling::AsItIs,
        "it panicked: {}",
        CRASHED_FIX,
    )
    .beside("goroutine "),
];

/// It ended without words when nearly all of its memory, of so many bytes, was used.
pub(super) fn nearly_full(memory_bytes: u64) -> Diagnosis {
    Diagnosis {
        cause: format!(
            "nearly all of its memory was used ({memory_bytes} bytes), and what it asked for next did not fit"
        ),
        fix: MORE_MEMORY.to_owned(),
    }
}
