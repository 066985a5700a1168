//! Starts one plugin directly: prepares everything, clones, and hands the running process to its watcher.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use super::cgroup;
use super::child::{self, Recipe};
use super::error::{Error, While};
use super::filter::Filter;
use super::host::{self, Host};
use super::job::Job;
use super::layout::Layout;
use super::plan::Plan;
use super::streams::{Feed, Outlet};
use super::uids::Loan;
use super::watch::{self, Seen, Started};
use crate::sys::process::Arguments;
use crate::sys::spawn::Child;
use crate::sys::wait;

/// Starts the planned job and watches it to its end.
///
/// # Errors
/// When the gateway or the host fails; no process is left then.
pub(super) fn launch(host: &Host, plan: &Plan, job: &Job<'_>) -> Result<Seen, Error> {
    let since = Instant::now();
    let mut feed = Feed::open(job.input)?;
    let (stdout, stdout_end) = Outlet::open()?;
    let (stderr, stderr_end) = Outlet::open()?;
    // Held until the plugin is reaped.
    let loan = host.identity()?;
    let group = host.group(plan.caps)?;
    let (child, listener) = {
        let stdin_end = feed.child_end().map_or(-1, |fd| fd.as_raw_fd());
        let stdio = [stdin_end, stdout_end.as_raw_fd(), stderr_end.as_raw_fd()];
        start(host, plan, job, stdio, loan.as_ref(), group.as_ref())?
    };
    drop((stdout_end, stderr_end));
    feed.close_if_done();
    watch::watch(
        Started {
            child,
            feed,
            stdout,
            stderr,
            listener,
            group,
            asks_name_service: plan.asks_name_service,
            since,
        },
        job,
    )
}

/// Clones and waits until the child has reached exec.
fn start(
    host: &Host,
    plan: &Plan,
    job: &Job<'_>,
    stdio: [i32; 3],
    loan: Option<&Loan>,
    group: Option<&cgroup::Loan>,
) -> Result<(Child, Option<OwnedFd>), Error> {
    let private_root = host.private_root();
    let ruleset = host.ruleset(&plan.places)?;
    let (ours, theirs) = host::report_socket()?;
    let cookies = host::cookies()?;
    let package = plan.sees_package.then_some(job.package);
    let recipe = Recipe {
        parent: host.parent,
        groups: group.map(cgroup::Loan::doors).unwrap_or_default(),
        id_maps: host.id_maps(host.namespaces)?,
        joins: host
            .network
            .iter()
            .map(|fd| (fd.as_raw_fd(), libc::CLONE_NEWNET))
            .collect(),
        own_name: host.namespaces & libc::CLONE_NEWUTS != 0,
        root: if private_root {
            Some(Layout::plan(&plan.visible, package)?)
        } else {
            None
        },
        folder: host.folder.as_raw_fd(),
        stdio,
        identity: loan.map(Loan::id),
        limits: plan.limits(group.is_some()),
        descriptors: plan.descriptors,
        ruleset: ruleset.as_ref().map(AsRawFd::as_raw_fd),
        filter: Filter::build(&plan.wanted(private_root, host.reported))?.with_cookies(cookies),
        report: host.reported.then(|| theirs.as_raw_fd()),
        cookies,
        program: Some(plan.file().as_raw_fd()),
        arguments: Arguments::new(plan.arguments.clone()),
        failure: child::Failure::default(),
    };
    let child = recipe.start(host.namespaces, group.and_then(cgroup::Loan::birthplace))?;
    match accept(host, &recipe, &ours) {
        Ok(listener) => Ok((child, listener)),
        Err(error) => {
            wait::kill(&child.pidfd).during("kill a process that did not start")?;
            wait::reap(&child.pidfd).during("reap a process that did not start")?;
            Err(error)
        }
    }
}

/// Checks that every step worked and takes the listener that the child sent.
fn accept(host: &Host, recipe: &Recipe, socket: &OwnedFd) -> Result<Option<OwnedFd>, Error> {
    recipe.outcome()?;
    if host.reported {
        receive(socket).map(Some)
    } else {
        Ok(None)
    }
}

/// Receives the one descriptor that waits in the socket.
fn receive(socket: &OwnedFd) -> Result<OwnedFd, Error> {
    use std::io::IoSliceMut;
    use std::mem::MaybeUninit;

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0_u8; 1];
    recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .during("receive a filter's listener")?;
    let descriptors = control.drain().filter_map(|message| {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            Some(descriptors)
        } else {
            None
        }
    });
    descriptors
        .flatten()
        .next()
        .ok_or(rustix::io::Errno::BADMSG)
        .during("receive a filter's listener")
}
