//! The sandbox itself: opened once on a host, and then asked to run jobs.

use std::marker::PhantomData;
use std::path::Path;
use std::time::Duration;

use crate::error::Error;
use crate::host::threats::HostLayers;
use crate::host::{protections, rehearsal};
use crate::job::{Entry, Job, Limits};
use crate::launch::launchers::Launchers;
use crate::launch::means::Means;
use crate::layer::Protection;
use crate::plan::Plan;
use crate::plan::runtimes::Runtimes;
use crate::report::{End, Report};
use crate::settings::Settings;
use crate::watch::run;
use crate::watch::watching::Seen;

/// What a loader may use that says what it would load: room to map any interpreter, and its list goes where errors go.
const QUESTION_LIMITS: Limits = Limits {
    cpu: Duration::from_secs(5),
    memory_bytes: 64 << 20,
    open_files: 256,
    answer_bytes: 0,
};

/// A sandbox that runs jobs for callers who hold a permit of type `P`.
#[derive(Debug)]
pub struct Sandbox<P> {
    means: Means,
    launchers: Launchers,
    runtimes: Runtimes,
    protections: Vec<Protection>,
    host_layers: HostLayers,
    permit: PhantomData<fn(&P)>,
}

/// What the host offers, layer by layer and then threat by threat, whether or not plugins can be run on it.
///
/// # Errors
/// When the host cannot even be examined.
pub fn examine(settings: &Settings) -> Result<Vec<Protection>, Error> {
    match rehearsal::means(settings) {
        Ok(means) => {
            let mut rows = protections::rows(&means);
            rows.extend(HostLayers::of(&means, &rows, &settings.allow_missing).rows());
            Ok(rows)
        }
        Err(Error::Missing { layer, remedy }) => Ok(vec![protections::missing(layer, remedy)]),
        Err(error) => Err(error),
    }
}

impl<P> Sandbox<P> {
    /// Tries out what the host offers and gets ready to run plugins.
    ///
    /// # Errors
    /// [`Error::Missing`] when the host lacks a layer that nothing can replace, [`Error::Unanswered`] when no class of plugin may run here.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let means = rehearsal::means(&settings)?;
        let protections = protections::rows(&means);
        if let Some(row) = protections.iter().find(|row| row.required && !row.enforced) {
            return Err(Error::Missing {
                layer: row.layer,
                remedy: row.remedy.clone(),
            });
        }
        let host_layers = HostLayers::of(&means, &protections, &settings.allow_missing);
        host_layers.admit_any()?;
        Ok(Self {
            means,
            launchers: Launchers::default(),
            runtimes: settings.runtimes,
            protections,
            host_layers,
            permit: PhantomData,
        })
    }

    /// One row for each layer, as it was found at opening.
    #[must_use]
    pub fn protections(&self) -> &[Protection] {
        &self.protections
    }

    /// Whether this host has layers enough for such a plugin, so that a caller who writes down what runs can refuse before that.
    ///
    /// # Errors
    /// [`Error::Unanswered`], as [`Self::run`] would say.
    pub fn admit(&self, entry: &Entry) -> Result<(), Error> {
        self.host_layers.admit(entry.class())
    }

    /// Lets go of what is kept ready for a package that nobody will ask for again. Jobs that run go on.
    pub fn let_go(&self, package: &Path) {
        self.launchers.let_go(package);
    }

    /// Runs one job to its end. The permit is proof that the run was allowed and recorded.
    ///
    /// # Errors
    /// Only the host's or the gateway's own faults; whatever the plugin does is in the report.
    pub fn run(&self, permit: &P, job: &Job<'_>) -> Result<Report, Error> {
        // Holding a permit is enough; what it says, its maker decides.
        let _: &P = permit;
        let plan = Plan::new(job, &self.runtimes, self.means.private_root())?;
        self.admit(job.entry)?;
        self.compare_libraries(&plan, job)?;
        let layers = protections::engaged(&self.protections, plan.is_sealed());
        let seen = run::run(&self.means, &self.launchers, &plan, job)?;
        let Seen {
            end,
            answer,
            stderr,
            usage,
            denied,
            probes,
        } = seen;
        Ok(Report {
            end,
            answer,
            stderr,
            usage,
            layers,
            denied,
            reads_named: plan.has_reads_named(self.means.reported),
            probes,
        })
    }

    /// Asks the loader of the job's interpreter, inside, what it would load, and whether that is what it loads outside. Once that is so it is
    /// not asked again.
    fn compare_libraries(&self, plan: &Plan, job: &Job<'_>) -> Result<(), Error> {
        let question = Job {
            input: b"",
            limits: QUESTION_LIMITS,
            listener: None,
            ..*job
        };
        let Some((runtime, plan)) = plan.question(&question)? else {
            return Ok(());
        };
        let seen = run::run(&self.means, &self.launchers, &plan, &question)?;
        let text = String::from_utf8_lossy(&seen.stderr.bytes);
        let compared = match seen.end {
            End::Exited(0) => runtime.started_with.compare(&text),
            // The job itself is over as well then.
            End::TimedOut | End::NeverStarted | End::Cancelled => return Ok(()),
            End::Exited(_)
            | End::Signalled(_)
            | End::CpuLimit
            | End::MemoryLimit
            | End::Violation(_)
            | End::Flood(_)
            | End::Answered
            | End::ExtraOutput
            | End::AnswerTooLarge
            | End::TooMuchTalk => Err(format!("its loader failed: {}", text.trim_end())),
        };
        compared.map_err(|difference| Error::OtherLibraries {
            interpreter: runtime.interpreter.clone(),
            difference,
        })?;
        runtime.compared.get_or_init(|| ());
        Ok(())
    }
}
