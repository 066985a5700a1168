//! Starts one plugin through its launcher. The process has seen no request then, unless its input was written before.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::denial::judge::Asker;
use crate::denial::run::Run;
use crate::error::Error;
use crate::job::Setup;
use crate::launch::cgroup;
use crate::launch::launcher::{Late, Launch, Launcher, Turn};
use crate::launch::launchers::Launchers;
use crate::launch::means::{self, Means};
use crate::launch::order::Start;
use crate::launch::uids::Loan;
use crate::plan::{Plan, package_folder};
use crate::report::{Denials, End, Tail, Usage};
use crate::watch::memory::Look;
use crate::watch::process::Process;
use crate::watch::streams::Outlet;
use crate::watch::watching::Seen;

/// Stack in bytes of a thread that waits for a late launcher.
const LATE_STACK_BYTES: usize = 256 * 1024;

/// When a plugin is started, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When {
    /// By when it has to be there.
    pub(crate) until: Instant,
    /// Whether it is to wait for a request that has not come yet.
    pub(crate) ahead: bool,
}

/// Starts the planned process with `stdin` as its input; none where that was not possible in time, whatever a launcher does.
///
/// # Errors
/// When the gateway or the host fails; no process is left then.
pub(crate) fn start(
    means: &Means,
    launchers: &Launchers,
    (plan, setup): (&Plan, &Setup<'_>),
    stdin: BorrowedFd<'_>,
    when: When,
) -> Result<Option<Process>, Error> {
    let since = Instant::now();
    let (stdout, stdout_end) = Outlet::open()?;
    let (stderr, stderr_end) = Outlet::open()?;
    // Held until the plugin is reaped.
    let loan = means.identity()?;
    let group = means.group(plan.caps, setup.package)?;
    let turn = match launchers.get(means, plan, setup, when.until) {
        Err(Error::TooLate) => return Ok(None),
        turn => turn?,
    };
    let launcher = Arc::clone(turn.launcher());
    let launch = {
        let output = if plan.prints {
            &stderr_end
        } else {
            &stdout_end
        };
        let stdio = [stdin, output.as_fd(), stderr_end.as_fd()];
        order(
            &launcher,
            plan,
            stdio,
            (loan.as_ref(), group.as_ref()),
            when,
        )
    };
    let child = match launch {
        Ok(Launch::Made(child)) => child,
        Ok(Launch::Late(late)) => {
            settle((late, turn, loan, group));
            return Ok(None);
        }
        Err(Error::TooLate) => return Ok(None),
        Err(error) => return Err(error),
    };
    drop((turn, stdout_end, stderr_end));
    let asker = Asker {
        class: plan.class,
        asks_name_service: plan.asks_name_service,
        asks_for_terminal: plan.asks_for_terminal,
        pretended_folder: plan.pretended_folder,
        tried_folder: plan.tried_folder,
        reads_own_map: plan.reads_own_map,
    };
    let view = plan.names_reads.then(|| {
        let package = package_folder(setup.package, means.private_root());
        launcher.view(plan, package)
    });
    let run = Arc::new(Run::new(child, asker, view, setup.when_refused));
    // Where there is a control group, the kernel counts memory.
    let look = group
        .is_none()
        .then(|| Look::new(run.child.pid, plan.caps.memory_bytes));
    let process = Process {
        run,
        launcher,
        stdout,
        stderr,
        group,
        look,
        since,
        limits: setup.limits,
        caps: plan.caps,
        cpu_before: Duration::ZERO,
        reaped: false,
        loan,
    };
    process.watched(when.ahead).map(Some)
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
pub(crate) fn never_started(since: Instant) -> Seen {
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

fn order(
    launcher: &Launcher,
    plan: &Plan,
    stdio: [BorrowedFd<'_>; 3],
    (loan, group): (Option<&Loan>, Option<&cgroup::Loan>),
    when: When,
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
    launcher.launch(&order, when.until)
}
