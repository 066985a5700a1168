//! A started plugin that is not reaped yet, and the gateway's ends of everything between the two. Whoever lets go of it ends it.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use crate::denial::run::Run;
use crate::descriptor::wait_for;
use crate::error::{Error, While};
use crate::job::Limits;
use crate::launch::cgroup;
use crate::launch::launcher::Launcher;
use crate::launch::uids;
use crate::plan::limits::{BEFORE_CPU, Caps, processors};
use crate::sys::wait::{self, Reaped};
use crate::watch::memory::Look;
use crate::watch::streams::Outlet;

/// A started plugin and our ends of everything between us.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) run: Arc<Run>,
    pub(crate) launcher: Arc<Launcher>,
    pub(crate) stdout: Outlet,
    pub(crate) stderr: Outlet,
    /// The control group that the plugin is in.
    pub(crate) group: Option<cgroup::Loan>,
    /// The watch over its memory, where it is in no group.
    pub(crate) look: Option<Look>,
    /// When its run began: with its start, or with its request.
    pub(crate) since: Instant,
    pub(crate) limits: Limits,
    /// What its group caps once it has a request.
    pub(crate) caps: Caps,
    /// The processor time that does not count, because it was used before there was a request.
    pub(crate) cpu_before: Duration,
    pub(crate) reaped: bool,
    /// Its user id; given back when it is reaped.
    #[expect(dead_code, reason = "it is held")]
    pub(crate) loan: Option<uids::Loan>,
}

/// How it stands with a plugin that has no request yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is there, and has said nothing.
    Waits,
    /// Its launcher is gone, and it with that: nothing that it did.
    Lost,
    /// It is gone, or is ended for what it did.
    Ended,
    /// It wrote something before there was a request to answer.
    Wrote,
    /// It used up the processor time that there is for a start.
    Worked,
}

impl Process {
    /// The process, whose reports of forbidden calls are its own from here on. One that has no request yet lets everybody else's work go
    /// before: not sooner, as until it has begun its launcher waits for it.
    ///
    /// # Errors
    /// When the gateway fails; the process is ended then.
    pub(crate) fn watched(mut self, ahead: bool) -> Result<Self, Error> {
        if let Some(reports) = self.launcher.reports() {
            reports.claim(&self.run)?;
        }
        if let Some(group) = self.group.as_mut().filter(|_| ahead) {
            group.set(Caps {
                waits: true,
                ..self.caps
            })?;
        }
        Ok(self)
    }

    /// How it stands with it while it has no request.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub(crate) fn standing(&self) -> Result<Standing, Error> {
        let readable = |fd| (fd, PollFlags::IN);
        let sources = [
            Some(readable(self.launcher.process())),
            Some(readable(self.run.child.pidfd.as_fd())),
            self.stdout.pending().map(readable),
        ];
        let [lost, ended, wrote] = wait_for(sources, Duration::ZERO)?;
        Ok(if lost {
            Standing::Lost
        } else if ended || self.run.end().is_some() {
            Standing::Ended
        } else if wrote {
            Standing::Wrote
        } else if self.cpu_used() > BEFORE_CPU {
            Standing::Worked
        } else {
            Standing::Waits
        })
    }

    /// Gets a plugin that waited ready for its request: from now on its time, its processor time and its share of the processors are a run's.
    ///
    /// # Errors
    /// When the kernel refuses: no run goes on without its caps.
    pub(crate) fn begin(&mut self, deadline: Instant) -> Result<(), Error> {
        self.since = Instant::now();
        let time = deadline.saturating_duration_since(self.since);
        self.caps.processors = processors(self.limits.cpu, time);
        if let Some(group) = &mut self.group {
            group.set(self.caps)?;
        }
        self.cpu_before = wait::cpu_time(self.run.child.pid).unwrap_or_default();
        Ok(())
    }

    /// The processor time that counts.
    pub(crate) fn cpu_used(&self) -> Duration {
        let used = wait::cpu_time(self.run.child.pid).unwrap_or_default();
        used.saturating_sub(self.cpu_before)
    }

    /// Kills and reaps it.
    ///
    /// # Errors
    /// When the kernel refuses; all of it is tried all the same.
    pub(crate) fn end(&mut self) -> Result<Reaped, Error> {
        self.reaped = true;
        let killed = wait::kill(&self.run.child.pidfd).during("kill a plugin");
        if let Some(reports) = self.launcher.reports() {
            reports.release(&self.run);
        }
        let reaped = self.launcher.reap(&self.run.child);
        killed.and(reaped)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        if let Err(error) = self.end() {
            tracing::error!(%error, "a plugin that was let go could not be ended");
        }
    }
}
