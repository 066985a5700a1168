//! The plugin of the bench, in the two ways in which it is linked, and the request that it is asked with.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

const SOURCE: &str = include_str!("echo.c");

/// A program that reads one line and answers it with one.
#[derive(Debug)]
pub(crate) struct Echo {
    /// How it is linked.
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Echo {
    /// No library at all: what is measured is the start of a process. The first to look at.
    pub(crate) fn freestanding() -> Self {
        let flags = [
            "-ffreestanding",
            "-nostdlib",
            "-fno-stack-protector",
            "-fno-pie",
            "-no-pie",
        ];
        Self::compile("freestanding", &flags)
    }

    /// With the host's C library, whose own start is added to both sides of a comparison.
    pub(crate) fn hosted() -> Self {
        Self::compile("C library", &[])
    }

    fn compile(name: &'static str, flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let (source, program) = (folder.path().join("echo.c"), folder.path().join("echo"));
        fs::write(&source, SOURCE).unwrap();
        let out = Command::new("cc")
            .args(["-O2", "-s", "-static"])
            .args(flags)
            .arg("-o")
            .args([&program, &source])
            .output()
            .expect("the bench needs a C compiler as `cc`");
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        Self {
            name,
            bytes: fs::read(program).unwrap(),
        }
    }
}

/// The request that the plugin is asked with.
pub(crate) fn request() -> Value {
    json!({
        "request_id": "bench", "run_id": "bench", "timestamp": "2026-01-31T12:00:00.000Z",
        "payload": { "kind": "text", "content": "hello", "encoding": "utf-8", "metadata": {} },
        "context": {}, "policy": { "deterministic_only": false, "timeout_ms": 5000, "max_retries": 0 },
    })
}

/// The line that it is given.
pub(crate) fn line() -> String {
    format!("{}\n", json!({ "type": "invoke", "request": request() }))
}
