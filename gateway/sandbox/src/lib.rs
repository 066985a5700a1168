//! Runs one plugin process that can read its request, compute and write one answer, and nothing else.
//! This room never decides whether a plugin may run, and never reads what the answer says.

mod advice;
mod cgroup;
mod children;
mod denial;
mod elf;
mod error;
mod filter;
mod host;
mod image;
mod job;
mod keeper;
mod launch;
mod launcher;
mod launchers;
mod layer;
mod layout;
mod letter;
mod plan;
mod probe;
mod protections;
mod report;
mod reports;
mod rules;
mod runtimes;
mod settings;
mod streams;
mod sys;
#[cfg(test)]
mod tests;
mod uids;
mod watch;

use std::marker::PhantomData;

use self::host::Host;
use self::launchers::Launchers;
use self::plan::Plan;
pub use error::Error;
pub use image::{Class, Image};
pub use job::{Cancel, Entry, Job, Limits};
pub use layer::{Layer, Protection};
pub use probe::try_acts;
pub use report::{Denial, End, Report, Tail, Usage};
pub use runtimes::Runtimes;
pub use settings::{RuntimeChoice, Settings};

/// How much of standard error is kept, in bytes: the contract's "last 64 KiB".
pub const STDERR_TAIL_BYTES: usize = 64 * 1024;

/// A sandbox that runs jobs for callers who hold a permit of type `P`.
#[derive(Debug)]
pub struct Sandbox<P> {
    host: Host,
    launchers: Launchers,
    runtimes: Runtimes,
    protections: Vec<Protection>,
    permit: PhantomData<fn(&P)>,
}

/// What the host offers, layer by layer, whether or not plugins can be run on it.
///
/// # Errors
/// When the host cannot even be tried out.
pub fn examine(settings: &Settings) -> Result<Vec<Protection>, Error> {
    match Host::probe(settings) {
        Ok(host) => Ok(protections::rows(&host, &settings.allow_missing)),
        Err(Error::Missing { layer, remedy }) => Ok(vec![protections::missing(layer, remedy)]),
        Err(error) => Err(error),
    }
}

impl<P> Sandbox<P> {
    /// Tries out what the host offers and gets ready to run plugins.
    ///
    /// # Errors
    /// [`Error::Missing`] when a required layer is not to be had and the operator did not waive it.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let host = Host::probe(&settings)?;
        let protections = protections::rows(&host, &settings.allow_missing);
        if let Some(row) = protections.iter().find(|row| row.required && !row.enforced) {
            return Err(Error::Missing {
                layer: row.layer,
                remedy: row.remedy.clone(),
            });
        }
        Ok(Self {
            host,
            launchers: Launchers::default(),
            runtimes: settings.runtimes,
            protections,
            permit: PhantomData,
        })
    }

    /// One row for each layer, as it was found at opening.
    #[must_use]
    pub fn protections(&self) -> &[Protection] {
        &self.protections
    }

    /// Runs one job to its end. The permit is proof that the run was allowed and recorded.
    ///
    /// # Errors
    /// Only the host's or the gateway's own faults; whatever the plugin does is in the report.
    pub fn run(&self, permit: &P, job: &Job<'_>) -> Result<Report, Error> {
        // Holding the permit is all that is asked; what it says is its maker's business.
        let _: &P = permit;
        let plan = Plan::new(job, &self.runtimes, self.host.private_root())?;
        let layers = protections::engaged(&self.protections, plan.class);
        if plan.class != Class::Static && !layers.contains(&Layer::Landlock) {
            let remedy = "only static programs may run without it".to_owned();
            return Err(Error::Missing {
                layer: Layer::Landlock,
                remedy,
            });
        }
        let seen = launch::launch(&self.host, &self.launchers, &plan, job)?;
        let denied = if let End::Violation(denial) = &seen.end {
            Some(denial.clone())
        } else {
            None
        };
        let watch::Seen {
            end,
            answer,
            stderr,
            usage,
            probes,
        } = seen;
        Ok(Report {
            end,
            answer,
            stderr,
            usage,
            layers,
            denied,
            probes,
        })
    }
}
