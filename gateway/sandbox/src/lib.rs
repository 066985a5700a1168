//! Runs one plugin process that can read its request, compute and write one answer, and nothing else.
//! This room never decides whether a plugin may run, and never reads what the answer says.

mod cancel;
mod denial;
mod descriptor;
mod error;
mod filter;
mod host;
mod image;
mod job;
mod launch;
mod layer;
mod plan;
mod probe;
mod report;
mod sandbox;
mod settings;
mod sys;
#[cfg(test)]
mod tests;
mod watch;

pub use cancel::Cancel;
pub use error::Error;
pub use image::{Class, Image};
pub use job::{Entry, Job, Limits};
pub use layer::{Layer, Protection};
pub use plan::runtimes::{RuntimeChoice, Runtimes};
pub use probe::try_acts;
pub use report::{Denial, End, Report, Tail, Usage};
pub use sandbox::{Sandbox, examine};
pub use settings::Settings;

/// How much of standard error is kept, in bytes: the contract's "last 64 KiB".
pub const STDERR_TAIL_BYTES: usize = 64 * 1024;
