//! A sandbox with one plugin, called again and again.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_sandbox::{Entry, Image, Job, Limits, Sandbox, Settings, WhenRefused};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::kit::row::{QUICK, ROWS};
use crate::kit::{Echo, Plan, echo};

/// Far above what the plugin uses.
pub(crate) const LIMITS: Limits = Limits {
    cpu: Duration::from_secs(10),
    memory_bytes: 128 << 20,
    open_files: 64,
    answer_bytes: 1 << 20,
};

/// Far above what a call takes.
pub(crate) const TIME: Duration = Duration::from_secs(20);

/// How long to look, which the environment says.
pub(crate) fn plan() -> Plan {
    Plan::new(std::env::var_os(QUICK).is_some())
}

/// Leaves rows for the table, or prints them.
pub(crate) fn leave(rows: &[Value]) {
    match std::env::var_os(ROWS) {
        Some(file) => {
            let mut options = fs::OpenOptions::new();
            let mut file = options.append(true).create(true).open(file).unwrap();
            rows.iter().for_each(|row| writeln!(file, "{row}").unwrap());
        }
        None => rows.iter().for_each(|row| println!("{row}")),
    }
}

/// A sandbox and the plugin.
pub(crate) struct Jail {
    sandbox: Sandbox<()>,
    entry: Entry,
    package: TempDir,
    line: String,
}

impl Jail {
    pub(crate) fn new(echo: &Echo) -> Self {
        let digest: [u8; 32] = Sha256::digest(&echo.bytes).into();
        let package = tempfile::tempdir().unwrap();
        fs::set_permissions(package.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            sandbox: Sandbox::open(Settings::default()).unwrap(),
            entry: Entry::Program {
                image: Arc::new(Image::seal(&echo.bytes, &digest).unwrap()),
                args: Vec::new(),
            },
            package,
            line: echo::line(),
        }
    }

    /// What is asked of it.
    pub(crate) fn job(&self) -> Job<'_> {
        Job {
            entry: &self.entry,
            package: self.package.path(),
            input: self.line.as_bytes(),
            deadline: Instant::now() + TIME,
            limits: LIMITS,
            when_refused: WhenRefused::GoOn,
            deterministic: false,
            names_reads: false,
            cancel: None,
            listener: None,
        }
    }

    pub(crate) fn call(&self) {
        let report = self.sandbox.run(&(), &self.job()).unwrap();
        assert!(report.answer.ends_with(b"\n"), "{report:?}");
    }
}
