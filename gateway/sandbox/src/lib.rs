//! Runs one program that nobody trusts in a process that can read its request, compute and write one answer, and nothing else.
//!
//! It never decides whether a program may run, never reads what an answer means, and never lets a system call through that is not
//! on a list. A [`Job`] becomes a plan (program, arguments, places, limits, filter). A launcher that already wears the outer layers
//! makes the process. A watcher feeds it, reads from it, and ends it at its deadline. A [`Report`] says how the run went.
//! [`Sandbox::open`] finds out what the host can enforce and refuses where that is too little; [`examine`] says what it found.
//!
//! The type parameter of [`Sandbox`] is a permit: [`Sandbox::run`] asks for one with each job, so that whoever owns the
//! permit's type decides what has to happen before anything runs.
//!
//! ```
//! use std::os::unix::fs::PermissionsExt as _;
//! use std::time::{Duration, Instant};
//!
//! use gateway_sandbox::{End, Entry, Job, Limits, Sandbox, Settings, WhenRefused};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let package = tempfile::tempdir()?;
//! // A plugin that root starts has a user id of its own, which must be able to read the package.
//! std::fs::set_permissions(package.path(), std::fs::Permissions::from_mode(0o755))?;
//! std::fs::write(package.path().join("size.sh"), "read -r line; echo ${#line}\n")?;
//!
//! let sandbox = Sandbox::<()>::open(Settings::default())?;
//! let entry = Entry::Runtime { name: "sh".to_owned(), script: "size.sh".into(), args: Vec::new() };
//! let report = sandbox.run(&(), &Job {
//!     entry: &entry,
//!     package: package.path(),
//!     input: b"hello\n",
//!     deadline: Instant::now() + Duration::from_secs(5),
//!     limits: Limits { cpu: Duration::from_secs(1), memory_bytes: 64 << 20, open_files: 64, answer_bytes: 1024 },
//!     when_refused: WhenRefused::GoOn,
//!     deterministic: false,
//!     names_reads: false,
//!     cancel: None,
//!     listener: None,
//! })?;
//! assert_eq!(report.end, End::Answered, "{}", String::from_utf8_lossy(&report.stderr.bytes));
//! assert_eq!(report.answer, b"5\n");
//! # Ok(())
//! # }
//! ```

mod cancel;
mod denial;
mod descriptor;
mod error;
mod filter;
mod host;
mod image;
mod job;
#[cfg(feature = "ladder")]
pub mod ladder;
mod launch;
mod layer;
mod plan;
mod probe;
mod report;
mod sandbox;
mod settings;
mod started;
mod sys;
#[cfg(test)]
mod tests;
mod threat;
mod throw_away;
mod watch;

pub use cancel::Cancel;
pub use error::Error;
pub use host::threats::threat_table;
pub use image::{Class, Image};
pub use job::{Ask, Entry, Heard, Job, Limits, Listener, Setup, WhenRefused};
pub use layer::{Layer, Protection};
pub use plan::runtimes::{RuntimeChoice, Runtimes};
pub use probe::interpreters::find_interpreters;
pub use probe::try_acts;
pub use report::{Denial, Denials, End, Report, Tail, Usage};
pub use sandbox::{Sandbox, examine};
pub use settings::{Pretend, Settings};
pub use started::Started;
pub use sys::writers::is_open_for_writing;
pub use threat::Threat;
pub use throw_away::{ThrowAwayFolder, remove_all as remove_throw_away_folders};
pub use watch::process::Standing;

/// The most refused calls of one run that are kept with their targets: the contract's "first 16 different ones".
pub const DENIALS_KEPT: usize = 16;

/// The most refused and answered calls of one run; one more ends it. A library makes a handful, and a script that discards its messages
/// with `2>/dev/null` makes some hundreds. Each is a round trip between plugin and gateway (at most 0.2 ms of wall time, measured in a debug
/// build on a busy machine), so all of them together take less than a second.
pub const ASKED_MAX: u64 = 4_096;

/// The most bytes of blank lines around an answer, which are nothing; more of them are output that does not belong there. A stray
/// `print()` is one byte, and a page of them some dozens.
pub const BLANK_BYTES_MAX: usize = 4_096;

/// The most that a plugin which talks may say besides its answer, in bytes: logs and progress of a long call are some kilobytes, and each line
/// costs the gateway a look.
pub const TALK_BYTES_MAX: usize = 4 << 20;

/// How much of standard error is kept, in bytes: the contract's "last 64 KiB".
pub const STDERR_TAIL_BYTES: usize = 64 * 1024;
