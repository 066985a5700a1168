//! Starts one plugin through its launcher and hands the running process to its watcher.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use crate::denial::reports::Run;
use crate::error::Error;
use crate::job::Job;
use crate::launch::cgroup;
use crate::launch::launcher::{Launcher, Start};
use crate::launch::launchers::Launchers;
use crate::launch::means::{self, Means};
use crate::launch::uids::Loan;
use crate::plan::Plan;
use crate::watch::streams::{Feed, Outlet};
use crate::watch::watching::{Seen, Started, watch};

/// Starts the planned job and watches it to its end.
///
/// # Errors
/// When the gateway or the host fails; no process is left then.
pub(crate) fn run(
    means: &Means,
    launchers: &Launchers,
    plan: &Plan,
    job: &Job<'_>,
) -> Result<Seen, Error> {
    let since = Instant::now();
    let mut feed = Feed::open(job.input)?;
    let (stdout, stdout_end) = Outlet::open()?;
    let (stderr, stderr_end) = Outlet::open()?;
    // Held until the plugin is reaped.
    let loan = means.identity()?;
    let group = means.group(plan.caps)?;
    let turn = launchers.get(means, plan, job)?;
    let launcher = Arc::clone(turn.launcher());
    let run = {
        let stdio = [feed.child_end()?, stdout_end.as_fd(), stderr_end.as_fd()];
        start(&launcher, plan, stdio, loan.as_ref(), group.as_ref())?
    };
    drop((turn, stdout_end, stderr_end));
    feed.close_if_done();
    watch(
        Started {
            run,
            launcher: &launcher,
            feed,
            stdout,
            stderr,
            group,
            since,
        },
        job,
    )
}

fn start(
    launcher: &Launcher,
    plan: &Plan,
    stdio: [BorrowedFd<'_>; 3],
    loan: Option<&Loan>,
    group: Option<&cgroup::Loan>,
) -> Result<Arc<Run>, Error> {
    let child = launcher.launch(&Start {
        user: loan.map(Loan::id),
        cookies: means::random_halves()?,
        descriptors: plan.descriptors,
        limits: &plan.limits(group.is_some()),
        arguments: &plan.arguments,
        stdio,
        program: Some(plan.file()),
        birthplace: group.and_then(cgroup::Loan::birthplace),
        doors: group.map(cgroup::Loan::doors).unwrap_or_default(),
    })?;
    Ok(Arc::new(Run::new(child, plan.asks_name_service)))
}
