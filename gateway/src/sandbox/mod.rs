//! Runs one plugin process that can read its request, compute and write one answer, and nothing else.
//! This room never decides whether a plugin may run, and never reads what the answer says.

mod elf;
mod error;
mod filter;
mod image;
mod job;
mod layer;
mod report;
mod runtimes;
mod settings;

use std::marker::PhantomData;

pub use error::Error;
pub use image::{Class, Image};
pub use job::{Cancel, Entry, Job, Limits};
pub use layer::{Layer, Protection};
pub use report::{Denial, End, Report, Tail, Usage};
pub use runtimes::{MemoryRule, Runtime, Runtimes};
pub use settings::Settings;

/// How much of standard error is kept, in bytes: the contract's "last 64 KiB".
pub const STDERR_TAIL_BYTES: usize = 64 * 1024;

/// A sandbox that runs jobs for callers who hold a permit of type `P`.
#[derive(Debug)]
pub struct Sandbox<P> {
    protections: Vec<Protection>,
    permit: PhantomData<fn(&P)>,
}

impl<P> Sandbox<P> {
    /// Tries out what the host offers and gets ready to run plugins.
    ///
    /// # Errors
    /// [`Error::Missing`] when a required layer is not to be had and the operator did not waive it.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        drop(settings);
        Ok(Self {
            protections: Vec::new(),
            permit: PhantomData,
        })
    }

    /// Runs one job to its end. The permit is proof that the run was allowed and recorded.
    ///
    /// # Errors
    /// Only the host's or the gateway's own faults; whatever the plugin does is in the report.
    pub fn run(&self, permit: &P, job: &Job<'_>) -> Result<Report, Error> {
        let _ = (permit, job);
        Err(Error::Format {
            reason: "the launcher is not built in",
        })
    }

    /// One row for each layer, for `doctor`.
    #[must_use]
    pub fn protections(&self) -> &[Protection] {
        &self.protections
    }
}
