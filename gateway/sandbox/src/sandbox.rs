//! The sandbox itself: opened once on a host, and then asked to run jobs.

use std::marker::PhantomData;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::host::threats::HostLayers;
use crate::host::{protections, rehearsal};
use crate::job::{Ask, Entry, Job, Limits, Setup};
use crate::launch::launchers::Launchers;
use crate::launch::means::Means;
use crate::launch::uids::Uids;
use crate::layer::Protection;
use crate::plan::Plan;
use crate::plan::loader_cache::LoaderCache;
use crate::plan::runtimes::Runtimes;
use crate::report::{End, Report};
use crate::settings::Settings;
use crate::started::{Started, report};
use crate::watch::run::{self, When, never_started};
use crate::watch::streams::{Feed, Inlet};
use crate::watch::watching::{Seen, watch};

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
    /// None where programs see the host's root, and where there can be none.
    loader_cache: Option<LoaderCache>,
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
        let loader_cache = means.private_root().then(LoaderCache::new).flatten();
        Ok(Self {
            means,
            launchers: Launchers::default(),
            runtimes: settings.runtimes,
            loader_cache,
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

    /// Whether programs have a list of libraries.
    #[cfg(test)]
    pub(crate) fn has_loader_cache(&self) -> bool {
        self.loader_cache.is_some()
    }

    /// Lets go of what is kept ready for a package that nobody will ask for again. Jobs that run go on.
    pub fn let_go(&self, package: &Path) {
        self.launchers.let_go(package);
    }

    /// Whether processes may be started here before anybody has a request for them: where a control group bounds their memory and
    /// lets everybody else's work go before theirs.
    #[must_use]
    pub fn starts_ahead(&self) -> bool {
        self.means.cgroups.is_ok()
    }

    /// How many more processes can have a user id of their own; none where there is no bound.
    #[must_use]
    pub fn identities_left(&self) -> Option<usize> {
        self.means.uids.as_ref().map(Uids::left)
    }

    /// Starts the process of a run whose request is on its way to be allowed, until `until`.
    ///
    /// # Errors
    /// Only the host's or the gateway's own faults; no process is left then.
    pub fn start(&self, setup: &Setup<'_>, until: Instant) -> Result<Started<P>, Error> {
        self.start_at(
            setup,
            When {
                until,
                ahead: false,
            },
        )
    }

    /// Starts a process that waits for a request that has not come yet. Until it has one, everybody else's work goes before its own, and
    /// it has some seconds of processor time, which is not counted as its run's.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_ahead(&self, setup: &Setup<'_>, until: Instant) -> Result<Started<P>, Error> {
        self.start_at(setup, When { until, ahead: true })
    }

    fn start_at(&self, setup: &Setup<'_>, when: When) -> Result<Started<P>, Error> {
        let since = Instant::now();
        let plan = self.planned(setup, when.until)?;
        let inlet = Inlet::open()?;
        let process = run::start(
            &self.means,
            &self.launchers,
            (&plan, setup),
            inlet.child_end(),
            when,
        )?;
        let process = process.map(|process| (process, inlet));
        let layers = protections::engaged(&self.protections, plan.is_sealed());
        let reads_named = plan.has_reads_named(self.means.reported);
        Ok(Started::new(
            process,
            when.ahead,
            since,
            layers,
            reads_named,
        ))
    }

    /// Runs one job to its end. The permit is proof that the run was allowed and recorded.
    ///
    /// # Errors
    /// Only the host's or the gateway's own faults; whatever the plugin does is in the report.
    pub fn run(&self, permit: &P, job: &Job<'_>) -> Result<Report, Error> {
        // Holding a permit is enough; what it says, its maker decides.
        let _: &P = permit;
        let (setup, ask) = (job.setup(), job.ask());
        let plan = self.planned(&setup, ask.deadline)?;
        let layers = protections::engaged(&self.protections, plan.is_sealed());
        let reads_named = plan.has_reads_named(self.means.reported);
        let seen = self.run_plan(&plan, &setup, &ask)?;
        Ok(report(seen, layers, reads_named))
    }

    /// What is applied to such a process, where this host has layers enough for it.
    fn planned(&self, setup: &Setup<'_>, until: Instant) -> Result<Plan, Error> {
        let list = self.loader_cache.as_ref().and_then(LoaderCache::file);
        let plan = Plan::new(setup, &self.runtimes, self.means.private_root())?;
        let plan = plan.with_loader_cache(list);
        self.admit(setup.entry)?;
        self.compare_libraries(&plan, setup, until)?;
        Ok(plan)
    }

    /// The request is there before the process is, so that it finds it.
    fn run_plan(&self, plan: &Plan, setup: &Setup<'_>, ask: &Ask<'_>) -> Result<Seen, Error> {
        let since = Instant::now();
        let feed = Feed::new(Inlet::open()?, ask.input, ask.listener.is_some())?;
        let when = When {
            until: ask.deadline,
            ahead: false,
        };
        let process = run::start(
            &self.means,
            &self.launchers,
            (plan, setup),
            feed.child_end()?,
            when,
        )?;
        match process {
            Some(process) => watch(process, feed, ask),
            None => Ok(never_started(since)),
        }
    }

    /// Asks the loader of the job's interpreter, inside, what it would load, and whether that is what it loads outside. Once that is so it is
    /// not asked again.
    fn compare_libraries(
        &self,
        plan: &Plan,
        setup: &Setup<'_>,
        until: Instant,
    ) -> Result<(), Error> {
        let setup = Setup {
            limits: QUESTION_LIMITS,
            ..*setup
        };
        let ask = Ask {
            input: b"",
            deadline: until,
            cancel: None,
            listener: None,
        };
        let Some((runtime, asking)) = plan.question(&setup)? else {
            return Ok(());
        };
        let plan = asking.with_loader_cache(plan.loader_cache.as_deref());
        let seen = self.run_plan(&plan, &setup, &ask)?;
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
