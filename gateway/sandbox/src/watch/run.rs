//! Starts one plugin through its launcher and hands the running process to its watcher.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use crate::denial::judge::Asker;
use crate::denial::run::Run;
use crate::error::Error;
use crate::job::Job;
use crate::launch::cgroup;
use crate::launch::launcher::{Late, Launch, Launcher, Turn};
use crate::launch::launchers::Launchers;
use crate::launch::means::{self, Means};
use crate::launch::order::Start;
use crate::launch::uids::Loan;
use crate::plan::{Plan, package_folder};
use crate::report::{Denials, End, Tail, Usage};
use crate::watch::memory::Look;
use crate::watch::streams::{Feed, Outlet};
use crate::watch::watching::{Seen, Started, watch};

/// Stack in bytes of a thread that waits for a late launcher.
const LATE_STACK_BYTES: usize = 256 * 1024;

/// Starts the planned job and watches it to its end. It ends by its deadline, whatever a launcher does.
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
    let group = means.group(plan.caps, job.package)?;
    let turn = match launchers.get(means, plan, job) {
        Err(Error::TooLate) => return Ok(never_started(since)),
        turn => turn?,
    };
    let launcher = Arc::clone(turn.launcher());
    let launch = {
        let output = if plan.prints {
            &stderr_end
        } else {
            &stdout_end
        };
        let stdio = [feed.child_end()?, output.as_fd(), stderr_end.as_fd()];
        let order = (loan.as_ref(), group.as_ref());
        start(&launcher, plan, stdio, order, job.deadline)
    };
    let child = match launch {
        Ok(Launch::Made(child)) => child,
        Ok(Launch::Late(late)) => {
            settle((late, turn, loan, group));
            return Ok(never_started(since));
        }
        Err(Error::TooLate) => return Ok(never_started(since)),
        Err(error) => return Err(error),
    };
    let asker = Asker {
        class: plan.class,
        asks_name_service: plan.asks_name_service,
        asks_for_terminal: plan.asks_for_terminal,
        pretended_folder: plan.pretended_folder,
        tried_folder: plan.tried_folder,
        reads_own_map: plan.reads_own_map,
    };
    let view = plan.names_reads.then(|| {
        let package = package_folder(job.package, means.private_root());
        launcher.view(plan, package)
    });
    let run = Arc::new(Run::new(child, asker, view, job.when_refused));
    // Where there is a control group, the kernel counts memory.
    let look = group
        .is_none()
        .then(|| Look::new(run.child.pid, plan.caps.memory_bytes));
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
            look,
            since,
        },
        job,
    )
}

/// What belongs to a plugin that may still be started.
type Held = (Late, Turn, Option<Loan>, Option<cgroup::Loan>);

/// Waits, in a thread of its own, for a plugin that may still be started, and ends it. Its user id and control group stay its own until then.
fn settle(held: Held) {
    let (give, given) = mpsc::sync_channel::<Held>(1);
    // There are at most as many such threads as calls, and for one launcher only those of the calls that asked before the first gave up.
    let thread = std::thread::Builder::new()
        .name("plugin-late".to_owned())
        .stack_size(LATE_STACK_BYTES)
        .spawn(move || given.into_iter().for_each(settled));
    match thread {
        Ok(_) => {
            let told = give.send(held);
            debug_assert!(told.is_ok(), "the thread waits for it");
        }
        // Without a thread the caller waits here: a late answer is better than a plugin that nobody ends.
        Err(_) => settled(held),
    }
}

fn settled((late, turn, loan, group): Held) {
    let settled = turn.launcher().settle(late);
    tracing::warn!(?settled, "a launcher did not start a plugin in time");
    drop((loan, group));
}

/// The result for a plugin that could not be started in time.
fn never_started(since: Instant) -> Seen {
    Seen {
        end: End::NeverStarted,
        answer: Vec::new(),
        stderr: Tail::default(),
        usage: Usage {
            wall: since.elapsed(),
            ..Usage::default()
        },
        denied: Denials::default(),
        probes: 0,
    }
}

fn start(
    launcher: &Launcher,
    plan: &Plan,
    stdio: [BorrowedFd<'_>; 3],
    (loan, group): (Option<&Loan>, Option<&cgroup::Loan>),
    deadline: Instant,
) -> Result<Launch, Error> {
    let order = Start {
        user: loan.map(Loan::id),
        cookies: means::random_halves()?,
        descriptors: plan.descriptors,
        limits: &plan.limits(group.is_some()),
        arguments: &plan.arguments,
        environment: &plan.environment,
        stdio,
        program: Some(plan.file()),
        birthplace: group.and_then(cgroup::Loan::birthplace),
        doors: group.map(cgroup::Loan::doors).unwrap_or_default(),
    };
    launcher.launch(&order, deadline)
}
