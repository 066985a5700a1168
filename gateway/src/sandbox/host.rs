//! What this host offers, found by trying it: every layer is rehearsed in a child that stops short of exec.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use tempfile::TempDir;

use super::cgroup::{self, Caps, Cgroups};
use super::child::{self, Recipe, Step};
use super::error::{Error, While};
use super::filter::{Filter, Wanted};
use super::image::Class;
use super::layer::Layer;
use super::layout::Layout;
use super::rules::{self, Places};
use super::settings::Settings;
use super::streams::above_stdio;
use super::uids::{Loan, Uids};
use crate::sys::bare::Cookies;
use crate::sys::process::Arguments;
use crate::sys::wait::{self, Death};

/// The namespaces that are made anew for each run, with their layers.
pub(super) const NAMESPACES: [(i32, Layer); 5] = [
    (libc::CLONE_NEWNS, Layer::MountNs),
    (libc::CLONE_NEWPID, Layer::PidNs),
    (libc::CLONE_NEWIPC, Layer::IpcNs),
    (libc::CLONE_NEWUTS, Layer::UtsNs),
    (libc::CLONE_NEWCGROUP, Layer::CgroupNs),
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
    /// A network namespace in which nothing is up, to be joined.
    pub(super) network: Option<OwnedFd>,
    /// Groups to run in, or why there are none.
    pub(super) cgroups: Result<Cgroups, String>,
    /// Whether forbidden calls can be reported.
    pub(super) reported: bool,
    /// The gateway's process id as /proc shows it, 0 where /proc shows another namespace's.
    pub(super) parent: i32,
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
        let folder = empty_folder()?;
        let mut host = Self {
            uids: root.then(|| Uids::new(settings.uid_pool.clone())),
            landlock: crate::sys::landlock::version(),
            namespaces: 0,
            network: None,
            cgroups: Err("not tried".to_owned()),
            reported: true,
            parent: own_number_in_proc(),
            folder,
        };
        host.try_core()?;
        host.try_namespaces();
        if root {
            host.network = empty_network().filter(|network| {
                host.rehearse_with(host.namespaces, Some(network.as_fd()))
                    .is_ok()
            });
        }
        host.try_cgroups();
        Ok(host)
    }

    /// Groups are used only when a rehearsal in one works.
    fn try_cgroups(&mut self) {
        self.cgroups = Cgroups::open();
        if let Err(error) = self.rehearse() {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let cause = cause.unwrap_or_default();
            self.cgroups = Err(format!("a rehearsal in one failed: {error}: {cause}"));
        }
    }

    fn rehearse(&self) -> Result<(), Error> {
        let network = self.network.as_ref().map(AsFd::as_fd);
        self.rehearse_with(self.namespaces, network)
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
        let outcome = match self.rehearse_with(0, None) {
            Err(Error::Step { step, .. })
                if [Step::Seccomp, Step::Listener]
                    .map(Step::as_str)
                    .contains(&step) =>
            {
                self.reported = false;
                self.rehearse_with(0, None)
            }
            other => other,
        };
        outcome.map_err(missing)
    }

    /// All namespaces at once where that works, else each that works by itself.
    fn try_namespaces(&mut self) {
        let user = if self.uids.is_some() {
            0
        } else {
            libc::CLONE_NEWUSER
        };
        let all = NAMESPACES
            .iter()
            .fold(user, |flags, (flag, _)| flags | flag);
        if self.rehearse_with(all, None).is_ok() {
            self.namespaces = all;
            return;
        }
        let mut working = 0;
        for (flag, _) in NAMESPACES {
            if self.rehearse_with(working | user | flag, None).is_ok() {
                working |= user | flag;
            }
        }
        self.namespaces = working;
    }

    /// Takes every step up to exec for a static program, in a child that then exits.
    fn rehearse_with(&self, namespaces: i32, network: Option<BorrowedFd<'_>>) -> Result<(), Error> {
        let private_root = namespaces & libc::CLONE_NEWNS != 0;
        let null = above_stdio(open_null()?)?;
        let ruleset = self.ruleset(&Places::default())?;
        let loan = self.identity()?;
        let (ours, theirs) = report_socket()?;
        let wanted = Wanted {
            class: Class::Static,
            makes_code: false,
            private_root,
            reported: self.reported,
            extra_calls: Vec::new(),
        };
        let cookies = cookies()?;
        let group = self.group(REHEARSAL_CAPS)?;
        let recipe = Recipe {
            parent: self.parent,
            groups: group.iter().flat_map(cgroup::Loan::doors).collect(),
            id_maps: self.id_maps(namespaces)?,
            joins: network
                .map(|fd| (fd.as_raw_fd(), libc::CLONE_NEWNET))
                .into_iter()
                .collect(),
            own_name: namespaces & libc::CLONE_NEWUTS != 0,
            root: if private_root {
                Some(Layout::plan(&[], None)?)
            } else {
                None
            },
            folder: self.folder.as_raw_fd(),
            stdio: [null.as_raw_fd(); 3],
            identity: loan.as_ref().map(Loan::id),
            limits: Vec::new(),
            descriptors: 3,
            ruleset: ruleset.as_ref().map(AsRawFd::as_raw_fd),
            filter: Filter::build(&wanted)?.with_cookies(cookies),
            report: self.reported.then(|| theirs.as_raw_fd()),
            cookies,
            program: None,
            arguments: Arguments::new(Vec::new()),
            failure: child::Failure::default(),
        };
        let child = recipe.start(
            namespaces,
            group.as_ref().and_then(cgroup::Loan::birthplace),
        )?;
        let reaped = wait::reap(&child.pidfd).during("reap a rehearsal")?;
        drop(ours);
        recipe.outcome()?;
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

    /// In a user namespace, the gateway's own ids are seen as nobody's.
    pub(super) fn id_maps(&self, namespaces: i32) -> Result<Option<[CString; 2]>, Error> {
        /// The overflow id, "nobody" everywhere. Not 0, so that exec drops all capabilities.
        const INSIDE: u32 = 65_534;
        if namespaces & libc::CLONE_NEWUSER == 0 {
            return Ok(None);
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
        Ok(Some([line(user)?, line(group)?]))
    }

    /// Whether a private root can be built.
    pub(super) fn private_root(&self) -> bool {
        self.namespaces & libc::CLONE_NEWNS != 0
    }
}

/// Two random numbers for one run.
pub(super) fn cookies() -> Result<Cookies, Error> {
    let mut bytes = [0_u8; 8];
    let count = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .during("draw random numbers")?;
    debug_assert_eq!(count, bytes.len(), "getrandom fills up to 256 bytes");
    let [a, b, c, d, e, f, g, h] = bytes;
    Ok([
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
    ])
}

/// A socket pair for the listener: (ours, the child's).
pub(super) fn report_socket() -> Result<(OwnedFd, OwnedFd), Error> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
        .during("make a socket pair")?;
    Ok((ours, above_stdio(theirs)?))
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

/// The process id that /proc shows for us, or 0 when it is not the one the kernel tells us: then /proc belongs to another namespace.
fn own_number_in_proc() -> i32 {
    let own = rustix::process::getpid().as_raw_pid();
    let shown = fs::read_link("/proc/self")
        .ok()
        .and_then(|link| link.to_str()?.parse::<i32>().ok());
    if shown == Some(own) { own } else { 0 }
}

/// A network namespace in which even the loopback is down, made by a thread that then ends.
fn empty_network() -> Option<OwnedFd> {
    let maker = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).ok()?;
        fs::File::open("/proc/thread-self/ns/net").ok()
    });
    above_stdio(OwnedFd::from(maker.join().ok()??)).ok()
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
