//! What this host offers, found by trying it: every layer is rehearsed in a child that stops short of exec.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use tempfile::TempDir;

use super::cgroup::{self, Caps, Cgroups};
use super::error::{Error, While};
use super::filter::Wanted;
use super::image::{Class, Image};
use super::launcher::{Launcher, Outfit, Start};
use super::layer::Layer;
use super::layout::Layout;
use super::plan;
use super::rules::{self, Places};
use super::settings::Settings;
use super::streams::above_stdio;
use super::uids::{Loan, Uids};
use crate::sys::launcher::PROGRAM;
use crate::sys::launcher::wire::Step;
use crate::sys::wait::{self, Death};

/// The namespaces that are made anew for each run; the others are the launcher's. Where control-group namespaces are borders of
/// delegation (`nsdelegate`, as systemd mounts them), a launcher in one of its own could not start a plugin in the run's group, which lies outside.
pub(super) const NAMESPACES_OF_EACH: i32 = libc::CLONE_NEWPID | libc::CLONE_NEWCGROUP;

/// The namespaces, with their layers.
pub(super) const NAMESPACES: [(i32, Layer); 6] = [
    (libc::CLONE_NEWNS, Layer::MountNs),
    (libc::CLONE_NEWPID, Layer::PidNs),
    (libc::CLONE_NEWIPC, Layer::IpcNs),
    (libc::CLONE_NEWUTS, Layer::UtsNs),
    (libc::CLONE_NEWCGROUP, Layer::CgroupNs),
    (libc::CLONE_NEWNET, Layer::NetNs),
];

/// More than a child of ours takes that stops short of exec.
const REHEARSAL_CAPS: Caps = Caps {
    memory_bytes: 64 << 20,
    tasks: 2,
    processors: 1,
};

/// What was found.
#[derive(Debug)]
pub(super) struct Host {
    /// Whether the gateway is root and so changes user id.
    pub(super) uids: Option<Uids>,
    /// Landlock's version, 0 without it.
    pub(super) landlock: u32,
    /// Flags of the namespaces that can be made, `CLONE_NEWUSER` among them for an ordinary user.
    pub(super) namespaces: i32,
    /// Groups to run in, or why there are none.
    pub(super) cgroups: Result<Cgroups, String>,
    /// Whether forbidden calls can be reported.
    pub(super) reported: bool,
    /// The launcher's program, sealed.
    pub(super) launcher: Arc<Image>,
    /// An empty folder without a name, in which nobody can make anything.
    pub(super) folder: OwnedFd,
}

impl Host {
    /// Tries everything out.
    ///
    /// # Errors
    /// When even the layers that nothing can replace do not work.
    pub(super) fn probe(settings: &Settings) -> Result<Self, Error> {
        let root = rustix::process::geteuid().is_root();
        // Where that signal is ignored, children vanish before anybody has seen how they ended, and their numbers become others'.
        wait::keep_children().during("keep children until they are reaped")?;
        let folder = empty_folder()?;
        let mut host = Self {
            uids: root.then(|| Uids::new(settings.uid_pool.clone())),
            landlock: crate::sys::landlock::version(),
            namespaces: 0,
            cgroups: Err("not tried".to_owned()),
            reported: true,
            launcher: Arc::new(launcher_program()?),
            folder,
        };
        if host.rehearse_with(host.all_namespaces()).is_ok() {
            host.namespaces = host.all_namespaces();
        } else {
            host.try_core()?;
            host.try_namespaces();
        }
        host.try_cgroups();
        Ok(host)
    }

    /// Groups are used only when a rehearsal in one works.
    fn try_cgroups(&mut self) {
        self.cgroups = Cgroups::open();
        if let Err(error) = self.rehearse_with(self.namespaces) {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let cause = cause.unwrap_or_default();
            self.cgroups = Err(format!("a rehearsal in one failed: {error}: {cause}"));
        }
    }

    /// A group with these caps, where there are groups.
    pub(super) fn group(&self, caps: Caps) -> Result<Option<cgroup::Loan>, Error> {
        self.cgroups
            .as_ref()
            .ok()
            .map(|groups| groups.borrow(caps))
            .transpose()
    }

    /// The layers without which no plugin is ever started. Reports may be missing: then forbidden calls kill.
    fn try_core(&mut self) -> Result<(), Error> {
        let outcome = match self.rehearse_with(0) {
            Err(Error::Step { step, .. })
                if [Step::Seccomp, Step::Listener]
                    .map(Step::as_str)
                    .contains(&step) =>
            {
                self.reported = false;
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
        if self.uids.is_some() {
            0
        } else {
            libc::CLONE_NEWUSER
        }
    }

    /// Each namespace that works beside those found before.
    fn try_namespaces(&mut self) {
        let mut working = 0;
        for (flag, _) in NAMESPACES {
            let tried = working | self.user_namespace() | flag;
            if self.rehearse_with(tried).is_ok() {
                working = tried;
            }
        }
        self.namespaces = working;
    }

    /// Starts a launcher and takes every step up to exec for a static program, in a child that then exits.
    fn rehearse_with(&self, namespaces: i32) -> Result<(), Error> {
        let private_root = namespaces & libc::CLONE_NEWNS != 0;
        let null = open_null()?;
        let launcher = Launcher::start(
            self,
            &Outfit {
                namespaces,
                root: if private_root {
                    Some(Layout::plan(&[], None)?)
                } else {
                    None
                },
                wanted: Wanted {
                    class: Class::Static,
                    makes_code: false,
                    private_root,
                    reported: self.reported,
                    extra_calls: Vec::new(),
                },
                ruleset: self.ruleset(&Places::default())?,
                limits: plan::limits_of_all(),
            },
        )?;
        let loan = self.identity()?;
        let group = self.group(REHEARSAL_CAPS)?;
        let group = group.as_ref();
        let child = launcher.launch(&Start {
            user: loan.as_ref().map(Loan::id),
            cookies: [0; 2],
            descriptors: 3,
            limits: &[],
            arguments: &[],
            stdio: [null.as_fd(); 3],
            program: None,
            birthplace: group.and_then(cgroup::Loan::birthplace),
            doors: group.map(cgroup::Loan::doors).unwrap_or_default(),
        })?;
        // It has exited, but permission is asked for all the same: what cannot be killed must not be started. The death signal, which
        // the kernel sends with the rights of the thread that ends, would not reach it either.
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

    /// A ruleset for these places, or none where the host has no Landlock.
    pub(super) fn ruleset(&self, places: &Places) -> Result<Option<OwnedFd>, Error> {
        if self.landlock < rules::VERSION_MIN {
            return Ok(None);
        }
        above_stdio(rules::build(self.landlock, places)?).map(Some)
    }

    /// As root, a user id for one run.
    pub(super) fn identity(&self) -> Result<Option<Loan>, Error> {
        self.uids.as_ref().map(Uids::borrow).transpose()
    }

    /// In a user namespace, the gateway's own ids are seen as nobody's. Both maps are empty without one.
    pub(super) fn id_maps(&self, namespaces: i32) -> Result<[CString; 2], Error> {
        /// The overflow id, "nobody" everywhere. Not 0, so that exec drops all capabilities.
        const INSIDE: u32 = 65_534;
        if namespaces & libc::CLONE_NEWUSER == 0 {
            return Ok([CString::default(), CString::default()]);
        }
        let line = |outside: u32| {
            CString::new(format!("{INSIDE} {outside} 1")).map_err(|_| Error::Unusable {
                subject: "user id",
                value: outside.to_string(),
            })
        };
        let (user, group) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        Ok([line(user)?, line(group)?])
    }

    /// Whether a private root can be built.
    pub(super) fn private_root(&self) -> bool {
        self.namespaces & libc::CLONE_NEWNS != 0
    }
}

/// A random number that nobody can guess.
pub(super) fn random() -> Result<u64, Error> {
    let mut bytes = [0_u8; 8];
    let count = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .during("draw random numbers")?;
    debug_assert_eq!(count, bytes.len(), "getrandom fills up to 256 bytes");
    Ok(u64::from_ne_bytes(bytes))
}

/// The same as two words.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the halves are wanted apart"
)]
pub(super) fn random_halves() -> Result<[u32; 2], Error> {
    random().map(|whole| [whole as u32, (whole >> 32) as u32])
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

/// A folder that is empty for good and leaves no trace: it has no name any more when this returns.
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
            "run the gateway as an ordinary user, or as root with CAP_SETUID, CAP_SETGID and CAP_SETPCAP",
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
