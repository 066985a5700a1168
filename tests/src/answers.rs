//! Programs that answer, fail, dawdle or misbehave, for tests that need many kinds of plugin.

use serde_json::json;

use crate::package::Package;
use crate::program::{Link, c};

/// Answers at once.
pub fn prompt(id: &str) -> Package {
    Package::native(
        id,
        &c(
            "int main(void) { read_line(); answer(\"{\\\"said\\\":1}\"); }",
            Link::Static,
        ),
    )
}

/// Answers after this many milliseconds.
pub fn slow(id: &str, ms: u32) -> Package {
    let body = format!("int main(void) {{ read_line(); usleep({ms}000); answer(\"{{}}\"); }}");
    let package = Package::native(id, &c(&body, Link::Static));
    package.with(|manifest| manifest["limits"]["max_ms"] = json!(60_000))
}

/// Fails: exits without an answer.
pub fn crashing(id: &str) -> Package {
    Package::native(
        id,
        &c("int main(void) { read_line(); return 7; }", Link::Static),
    )
}

/// Tries to open a socket.
pub fn hostile(id: &str) -> Package {
    let body = "int main(void) { read_line(); syscall(SYS_ptrace, 0, 0, 0, 0); answer(\"{}\"); }";
    Package::native(id, &c(body, Link::Static))
}

/// Asks for what is refused, and answers all the same.
pub fn trying(id: &str) -> Package {
    let body = "int main(void) { read_line(); socket(AF_INET, SOCK_STREAM, 0); answer(\"{}\"); }";
    Package::native(id, &c(body, Link::Static))
}

/// Answers with more than it may.
pub fn babbling(id: &str) -> Package {
    let body = "int main(void) { read_line(); answer(\"{}\"); answer(\"{}\"); }";
    Package::native(id, &c(body, Link::Static))
}

/// Fails for the text `fail`, answers any other.
pub fn moody(id: &str) -> Package {
    let body = "int main(void) { read_line(); if (strstr(line, \"\\\"fail\\\"\")) return 7; answer(\"{}\"); }";
    Package::native(id, &c(body, Link::Static))
}

/// Looks for a file of the host's, goes on without, and answers; linked with the host's libraries, so that it may open files to read.
pub fn looking(id: &str) -> Package {
    let body = "int main(void) { read_line(); open(\"/etc/shadow\", O_RDONLY); answer(\"{}\"); }";
    Package::native(id, &c(body, Link::Dynamic))
}
