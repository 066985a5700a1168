//! What this host offers, found by trying it: every layer is rehearsed in a child that stops short of exec.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tempfile::TempDir;

use crate::descriptor::above_stdio;
use crate::error::{Error, While};
use crate::filter::Wanted;
use crate::image::{Class, Image};
use crate::launch::cgroup::{self, Cgroups};
use crate::launch::launcher::{ANSWER_TIME, Launcher};
use crate::launch::means::{Means, NAMESPACES};
use crate::launch::order::{Outfit, Start};
use crate::launch::uids::{Loan, Uids};
use crate::layer::Layer;
use crate::plan::layout::Layout;
use crate::plan::limits::{Caps, limits_of_all};
use crate::plan::places::Places;
use crate::plan::runtimes::environment::Environment;
use crate::settings::{Pretend, Settings};
use crate::sys::launcher::PROGRAM;
use crate::sys::launcher::wire::Step;
use crate::sys::wait::{self, Death};

/// More than a rehearsal's child uses, which stops short of exec.
const REHEARSAL_CAPS: Caps = Caps {
    memory_bytes: 64 << 20,
    tasks: 2,
    processors: 1,
    waits: false,
};

/// Finds out what the host has to start plugins with, by trying everything.
///
/// # Errors
/// When even the layers that nothing can replace do not work.
pub(crate) fn means(settings: &Settings) -> Result<Means, Error> {
    Rehearsal::with(settings).map(|rehearsal| rehearsal.0)
}

/// What has been found out so far.
#[derive(Debug)]
struct Rehearsal(Means);

impl Rehearsal {
    fn with(settings: &Settings) -> Result<Self, Error> {
        let root = rustix::process::geteuid().is_root();
        // Where SIGCHLD is ignored, children vanish before anybody has seen how they ended, and their process ids are given to others.
        wait::keep_children().during("keep children until they are reaped")?;
        let folder = empty_folder()?;
        let mut found = Self(Means {
            uids: root.then(|| Uids::new(settings.uid_pool.clone())),
            landlock: landlock_version(&settings.pretend),
            namespaces: 0,
            cgroups: Err("not tried".to_owned()),
            reported: !settings.pretend.no_listener,
            launcher: Arc::new(launcher_program()?),
            folder,
        });
        if settings.pretend.no_namespaces {
            found.try_core()?;
        } else if found.rehearse_with(found.all_namespaces()).is_ok() {
            found.0.namespaces = found.all_namespaces();
        } else {
            found.try_core()?;
            found.try_namespaces();
        }
        if !settings.pretend.no_cgroup {
            found.try_cgroups();
        }
        Ok(found)
    }

    /// Groups are used only when a rehearsal in one works.
    fn try_cgroups(&mut self) {
        self.0.cgroups = Cgroups::open();
        if let Err(error) = self.rehearse_with(self.0.namespaces) {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let cause = cause.unwrap_or_default();
            self.0.cgroups = Err(format!("a rehearsal in one failed: {error}: {cause}"));
        }
    }

    /// Tries the layers without which no plugin is ever started. Only reports may be missing: then forbidden calls kill.
    fn try_core(&mut self) -> Result<(), Error> {
        let outcome = match self.rehearse_with(0) {
            Err(Error::Step { step, .. })
                if [Step::Seccomp, Step::Listener]
                    .map(Step::as_str)
                    .contains(&step) =>
            {
                self.0.reported = false;
                self.rehearse_with(0)
            }
            other => other,
        };
        outcome.map_err(missing)
    }

    /// Every namespace, and for an ordinary user the one that lets it have them.
    fn all_namespaces(&self) -> i32 {
        let all = NAMESPACES.iter().fold(0, |flags, (flag, _)| flags | flag);
        self.user_namespace() | all
    }

    fn user_namespace(&self) -> i32 {
        if self.0.uids.is_some() {
            0
        } else {
            libc::CLONE_NEWUSER
        }
    }

    /// Tries each namespace together with those that were found to work.
    fn try_namespaces(&mut self) {
        let mut working = 0;
        for (flag, _) in NAMESPACES {
            let tried = working | self.user_namespace() | flag;
            if self.rehearse_with(tried).is_ok() {
                working = tried;
            }
        }
        self.0.namespaces = working;
    }

    /// Starts a launcher and takes every step up to exec for a static program, in a child that then exits.
    fn rehearse_with(&self, namespaces: i32) -> Result<(), Error> {
        let private_root = namespaces & libc::CLONE_NEWNS != 0;
        let null = open_null()?;
        let deadline = Instant::now() + ANSWER_TIME;
        let launcher = Launcher::start(
            &self.0,
            &Outfit {
                namespaces,
                root: if private_root {
                    Some(Layout::plan(&[], None, None)?)
                } else {
                    None
                },
                wanted: Wanted {
                    class: Class::Static,
                    makes_code: false,
                    wakes_shared: true,
                    private_root,
                    reported: self.0.reported,
                    kills_refused: false,
                    names_reads: false,
                    extra_calls: Vec::new(),
                },
                ruleset: self.0.ruleset(&Places::default())?,
                limits: limits_of_all(),
            },
            deadline,
        )?;
        let loan = self.0.identity()?;
        let group = self.0.group(REHEARSAL_CAPS, Path::new(""))?;
        let group = group.as_ref();
        let order = Start {
            user: loan.as_ref().map(Loan::id),
            cookies: [0; 2],
            descriptors: 3,
            limits: &[],
            arguments: &[],
            environment: &Environment::EMPTY,
            stdio: [null.as_fd(); 3],
            program: None,
            birthplace: group.and_then(cgroup::Loan::birthplace),
            doors: group.map(cgroup::Loan::doors).unwrap_or_default(),
        };
        let child = launcher.launch(&order, deadline)?.in_time()?;
        // The child has exited, but the kill still shows whether it is permitted: what cannot be killed must not be started. Where it is
        // not, the death signal would not arrive either, since the kernel sends it with the rights of the thread that ends.
        let killed = wait::kill(&child.pidfd);
        let reaped = launcher.reap(&child)?;
        killed.map_err(|_| Error::Missing {
            layer: Layer::Uid,
            remedy: "run the gateway as an ordinary user, or as root with CAP_KILL".to_owned(),
        })?;
        if reaped.end == Death::Exited(0) {
            Ok(())
        } else {
            Err(rustix::io::Errno::PERM).during("rehearse a start")
        }
    }
}

/// The kernel's version, as far as this one's rules are known.
fn landlock_version(pretend: &Pretend) -> u32 {
    let real = crate::sys::landlock::version();
    pretend.landlock.map_or(real, |most| real.min(most))
}

/// The launcher's program in sealed memory.
fn launcher_program() -> Result<Image, Error> {
    use sha2::{Digest, Sha256};
    Image::seal_as("launcher", PROGRAM, &Sha256::digest(PROGRAM).into())
}

fn open_null() -> Result<OwnedFd, Error> {
    use rustix::fs::{Mode, OFlags, open};
    open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).during("open /dev/null")
}

/// A folder that stays empty and leaves no trace: when this returns, its name has been removed.
fn empty_folder() -> Result<OwnedFd, Error> {
    use rustix::fs::{Mode, OFlags, open};
    let named = TempDir::with_prefix("plugin-gateway-").during("make an empty folder")?;
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let folder = open(named.path(), flags, Mode::empty()).during("open an empty folder")?;
    named.close().during("remove the name of an empty folder")?;
    above_stdio(folder)
}

/// A core step that failed, as the layer that is missing.
fn missing(error: Error) -> Error {
    let Error::Step { step, .. } = &error else {
        return error;
    };
    match core_layer(step) {
        Some((layer, remedy)) => Error::Missing {
            layer,
            remedy: remedy.to_owned(),
        },
        None => error,
    }
}

/// The layer behind a core step, and what to do when the host refuses it.
fn core_layer(step: &str) -> Option<(Layer, &'static str)> {
    let table = [
        (
            Step::Identity,
            Layer::Uid,
            "run the gateway as an ordinary user, or as root with CAP_SETUID, CAP_SETGID, CAP_SETPCAP and CAP_SYS_ADMIN",
        ),
        (
            Step::NoNewPrivs,
            Layer::NoNewPrivs,
            "use Linux 3.5 or later",
        ),
        (
            Step::Landlock,
            Layer::Landlock,
            "enable landlock in the kernel's lsm= list",
        ),
        (
            Step::Seccomp,
            Layer::Seccomp,
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
        (
            Step::Descriptors,
            Layer::Descriptors,
            "use Linux 5.11 or later, or let the container allow close_range",
        ),
        (
            Step::Rlimits,
            Layer::Rlimits,
            "let the container allow prlimit",
        ),
        (
            Step::Session,
            Layer::Session,
            "let the container allow setsid",
        ),
        (
            Step::DeathSignal,
            Layer::DeathSignal,
            "let the container allow prctl",
        ),
    ];
    table
        .into_iter()
        .find(|(known, _, _)| known.as_str() == step)
        .map(|(_, layer, remedy)| (layer, remedy))
}
