//! The sandbox itself: opened once on a host, and then asked to run jobs.

use std::marker::PhantomData;

use crate::error::Error;
use crate::host::{protections, rehearsal};
use crate::image::Class;
use crate::job::Job;
use crate::launch::launchers::Launchers;
use crate::launch::means::Means;
use crate::layer::{Layer, Protection};
use crate::plan::Plan;
use crate::plan::runtimes::Runtimes;
use crate::report::{End, Report};
use crate::settings::Settings;
use crate::watch::run;
use crate::watch::watching::Seen;

/// A sandbox that runs jobs for callers who hold a permit of type `P`.
#[derive(Debug)]
pub struct Sandbox<P> {
    means: Means,
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
    match rehearsal::means(settings) {
        Ok(means) => Ok(protections::rows(&means, &settings.allow_missing)),
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
        let means = rehearsal::means(&settings)?;
        let protections = protections::rows(&means, &settings.allow_missing);
        if let Some(row) = protections.iter().find(|row| row.required && !row.enforced) {
            return Err(Error::Missing {
                layer: row.layer,
                remedy: row.remedy.clone(),
            });
        }
        Ok(Self {
            means,
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
        let plan = Plan::new(job, &self.runtimes, self.means.private_root())?;
        let layers = protections::engaged(&self.protections, plan.class);
        if plan.class != Class::Static && !layers.contains(&Layer::Landlock) {
            let remedy = "only static programs may run without it".to_owned();
            return Err(Error::Missing {
                layer: Layer::Landlock,
                remedy,
            });
        }
        let seen = run::run(&self.means, &self.launchers, &plan, job)?;
        let denied = if let End::Violation(denial) = &seen.end {
            Some(denial.clone())
        } else {
            None
        };
        let Seen {
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
