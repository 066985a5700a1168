//! The same program through launchers that put on more and more, so that what each layer costs can be measured. It is built
//! with the feature `ladder` alone, which only the bench turns on: a sandbox without all of its layers is none.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use rustix::pipe::{PipeFlags, pipe_with};

use crate::error::{Error, While};
use crate::host::rehearsal;
use crate::job::{Job, WhenRefused};
use crate::launch::cgroup;
use crate::launch::launcher::{ANSWER_TIME, Launcher};
use crate::launch::means::{self, Means};
use crate::launch::order::{Outfit, Start};
use crate::launch::uids::Loan;
use crate::plan::Plan;
use crate::plan::layout::Layout;
use crate::plan::limits::limits_of_all;
use crate::plan::places::Places;
use crate::settings::Settings;

/// What is put on, each including all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rung {
    Filters,
    Limits,
    User,
    Landlock,
    PrivateRoot,
    PidNamespace,
    ControlGroup,
}

impl Rung {
    const ALL: [Self; 7] = [
        Self::Filters,
        Self::Limits,
        Self::User,
        Self::Landlock,
        Self::PrivateRoot,
        Self::PidNamespace,
        Self::ControlGroup,
    ];
}

/// A launcher for each rung.
#[derive(Debug)]
pub struct Ladder {
    means: Means,
    plan: Plan,
    launchers: Vec<(Rung, Launcher)>,
}

impl Ladder {
    /// The rungs, the lowest first.
    pub const NAMES: [&str; 7] = [
        "a launcher: session, death signal, no privileges, both filters, exec once",
        "+ resource limits",
        "+ a user id of its own (as root)",
        "+ a Landlock domain of its own",
        "+ mount, ipc, uts, cgroup and network namespaces, private root",
        "+ a pid namespace of its own",
        "+ a control group (where there is one)",
    ];

    /// Starts a launcher for each rung.
    ///
    /// # Errors
    /// When the host lacks what any of them needs.
    pub fn new(job: &Job<'_>) -> Result<Self, Error> {
        let settings = Settings::default();
        let means = rehearsal::means(&settings)?;
        let plan = Plan::new(&job.setup(), &settings.runtimes, true)?;
        let launchers = Rung::ALL.into_iter().map(|rung| {
            let outfit = outfit(&means, &plan, rung)?;
            Ok((
                rung,
                Launcher::start(&means, &outfit, Instant::now() + ANSWER_TIME)?,
            ))
        });
        let launchers = launchers.collect::<Result<_, Error>>()?;
        Ok(Self {
            means,
            plan,
            launchers,
        })
    }

    /// Runs the program once with what is on at this rung, and gives what it wrote.
    ///
    /// # Errors
    /// When it cannot be started, spoken to or reaped.
    pub fn call(&self, rung: usize, input: &[u8]) -> Result<Vec<u8>, Error> {
        let Some((rung, launcher)) = self.launchers.get(rung) else {
            return Ok(Vec::new());
        };
        let (their_in, our_in) = pipe()?;
        let (our_out, their_out) = pipe()?;
        let loan = (*rung >= Rung::User).then(|| self.means.identity());
        let loan = loan.transpose()?.flatten();
        let group =
            (*rung >= Rung::ControlGroup).then(|| self.means.group(self.plan.caps, Path::new("")));
        let group = group.transpose()?.flatten();
        let limits = if *rung >= Rung::Limits {
            self.plan.limits(group.is_some())
        } else {
            Vec::new()
        };
        let order = Start {
            user: loan.as_ref().map(Loan::id),
            cookies: means::random_halves()?,
            descriptors: self.plan.descriptors,
            limits: &limits,
            arguments: &self.plan.arguments,
            environment: &self.plan.environment,
            stdio: [their_in.as_fd(), their_out.as_fd(), their_out.as_fd()],
            program: Some(self.plan.file()),
            birthplace: group.as_ref().and_then(cgroup::Loan::birthplace),
            doors: group.as_ref().map(cgroup::Loan::doors).unwrap_or_default(),
        };
        let child = launcher.launch(&order, Instant::now() + ANSWER_TIME)?;
        let child = child.in_time()?;
        drop((their_in, their_out));
        File::from(our_in)
            .write_all(input)
            .during("write to a plugin")?;
        let mut answer = Vec::new();
        File::from(our_out)
            .read_to_end(&mut answer)
            .during("read from a plugin")?;
        launcher.reap(&child)?;
        Ok(answer)
    }
}

fn outfit(means: &Means, plan: &Plan, rung: Rung) -> Result<Outfit, Error> {
    let private = rung >= Rung::PrivateRoot && means.private_root();
    let namespaces = match rung {
        Rung::Filters | Rung::Limits | Rung::User | Rung::Landlock => 0,
        Rung::PrivateRoot => means.namespaces & !libc::CLONE_NEWPID,
        Rung::PidNamespace | Rung::ControlGroup => means.namespaces,
    };
    let ruleset = (rung >= Rung::Landlock).then(|| means.ruleset(&Places::default()));
    Ok(Outfit {
        namespaces,
        root: private.then(|| Layout::plan(&[], None, None)).transpose()?,
        wanted: plan.wanted(private, means.reported, WhenRefused::GoOn),
        ruleset: ruleset.transpose()?.flatten(),
        limits: if rung >= Rung::Limits {
            limits_of_all()
        } else {
            Vec::new()
        },
    })
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    pipe_with(PipeFlags::CLOEXEC).during("make a pipe")
}
