//! Mistakes with time, processor, memory and what else a plugin has only so much of.

use campaigns::Package;
use campaigns::program::{Link, c};
use serde_json::json;

use super::{NODE, PYTHON, Row, script};

#[test]
fn inv_pnp_10_mistakes_with_time_and_memory_are_told_with_their_cure() {
    super::told(rows());
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = time();
    rows.extend(memory());
    rows.extend(crashes());
    rows
}

/// A Python plugin with little time, and still far more than Python takes to start on a busy machine.
fn hurried(body: &str) -> Package {
    script("python3", "main.py", &format!("{PYTHON}{body}\n"))
        .with(|manifest| manifest["limits"]["max_ms"] = json!(2_500))
}

fn time() -> Vec<Row> {
    vec![
        Row::package(
            "an endless loop",
            || hurried("while True: pass"),
            "it computed until its time was over",
            "a loop that never ends",
        )
        .needs("python3"),
        Row::package(
            "a sleep",
            || hurried("time.sleep(60)"),
            "it hardly computed",
            "look for a sleep",
        )
        .needs("python3"),
        Row::package(
            "a lock taken twice",
            || hurried("import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()"),
            "limits.max_ms in the manifest sets that",
            "a lock",
        )
        .needs("python3"),
        Row::package(
            "a process that waits for a server",
            || {
                script(
                    "node",
                    "main.js",
                    &format!(
                        "{NODE}setTimeout(() => console.log(JSON.stringify(answer)), 60000);\n"
                    ),
                )
                .with(|manifest| manifest["limits"]["max_ms"] = json!(2_500))
            },
            "it hardly computed",
            "look for a sleep",
        )
        .needs("node"),
        Row::package(
            "too little processor time",
            || {
                let body = "int main(void) { read_line(); for (volatile long i = 0;; i++) {} }";
                Package::native("p.test.mistake", &c(body, Link::Static))
                    .with(|manifest| manifest["limits"]["max_cpu_ms"] = json!(100))
            },
            "used up its processor time (100 ms)",
            "raise limits.max_cpu_ms",
        ),
    ]
}

fn memory() -> Vec<Row> {
    vec![
        Row::package(
            "a list that is too large",
            || {
                script(
                    "python3",
                    "main.py",
                    &format!("{PYTHON}x = bytearray(3 << 30)\n"),
                )
            },
            "memory",
            "raise limits.max_memory_bytes",
        )
        .needs("python3"),
        Row::package(
            "memory that grows",
            || {
                let body = "int main(void) { read_line(); for (;;) { char *p = malloc(1 << 20); if (!p) { perror(\"malloc\"); return 1; } memset(p, 1, 1 << 20); } }";
                Package::native("p.test.mistake", &c(body, Link::Static))
                    .with(|manifest| manifest["limits"]["max_memory_bytes"] = json!(33_554_432))
            },
            "memory",
            "raise limits.max_memory_bytes",
        ),
        Row::package(
            "a full JavaScript heap",
            || {
                script(
                    "node",
                    "main.js",
                    &format!(
                        "{NODE}const all = []; for (;;) all.push(new Array(1000).fill(0.5));\n"
                    ),
                )
                .with(|manifest| manifest["limits"]["max_memory_bytes"] = json!(134_217_728))
            },
            "its JavaScript heap was full",
            "raise limits.max_memory_bytes",
        )
        .needs("node"),
        Row::python(
            "a recursion without an end",
            "def f(n): return f(n + 1)\nf(0)",
            "a function called itself too often",
            "ends",
        ),
        Row::node(
            "a recursion without an end in Node",
            "function f() { return f() + 1; }\nf();",
            "a function called itself too often",
            "ends",
        ),
        Row::python(
            "too many threads",
            "import threading\nfor i in range(5000): threading.Thread(target=time.sleep, args=(5,), daemon=True).start()",
            "it started more threads",
            "do with fewer",
        ),
        Row::python(
            "too many files",
            "files = [open(__file__) for i in range(5000)]",
            "limits.max_open_files",
            "at most 4096",
        ),
    ]
}

fn crashes() -> Vec<Row> {
    vec![
        Row::package(
            "memory that ended without a word",
            || {
                let body = "int main(void) { read_line(); char *held; long used = 0; \
                            while ((held = malloc(1 << 20))) { memset(held, 1, 1 << 20); used++; } _exit(used ? 3 : 4); }";
                Package::native("p.test.mistake", &c(body, Link::Static))
                    .with(|manifest| manifest["limits"]["max_memory_bytes"] = json!(64 << 20))
            },
            "memory",
            "raise limits.max_memory_bytes",
        ),
        Row::c(
            "a wild pointer",
            "int main(void) { read_line(); *(volatile int *)8 = 1; }",
            "SIGSEGV",
            "debugger",
        ),
        Row::c(
            "a stack that is full",
            "static int deep(volatile int n) { char room[65536]; memset(room, n, sizeof room); return deep(n + 1) + room[n & 1]; }\nint main(void) { read_line(); return deep(0); }",
            "its stack was full",
            "debugger",
        ),
        Row::c(
            "a division by zero",
            "int main(void) { read_line(); volatile int zero = 0; return line[0] / zero; }",
            "a division by zero",
            "debugger",
        ),
        Row::c(
            "a failed assertion",
            "#include <assert.h>\nint main(void) { read_line(); assert(line[0] == 'x'); }",
            "its own assertion `line[0] == 'x'",
            "stderr",
        ),
        Row::python(
            "an exception that nobody catches",
            "x = {}['no_such_key']",
            "nobody caught KeyError: 'no_such_key'",
            "catch it",
        ),
        Row::node(
            "an exception that nobody catches in Node",
            "request.payload.no.such;",
            "nobody caught TypeError: Cannot read",
            "catch it",
        ),
    ]
}
