//! What a host has for starting plugins: ids, namespaces, groups, rules. A rehearsal finds it out elsewhere.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use crate::descriptor::above_stdio;
use crate::error::{Error, While};
use crate::image::Image;
use crate::launch::cgroup::{self, Cgroups};
use crate::launch::rules;
use crate::launch::uids::{Loan, Uids};
use crate::layer::Layer;
use crate::plan::limits::Caps;
use crate::plan::places::Places;

/// The namespaces that are made anew for each run; the others are the launcher's. Where control-group namespaces are borders of
/// delegation (`nsdelegate`, as systemd mounts them), a launcher in one of its own could not start a plugin in the run's group, which lies outside.
pub(crate) const NAMESPACES_OF_EACH: i32 = libc::CLONE_NEWPID | libc::CLONE_NEWCGROUP;

/// The namespaces, with their layers.
pub(crate) const NAMESPACES: [(i32, Layer); 6] = [
    (libc::CLONE_NEWNS, Layer::MountNs),
    (libc::CLONE_NEWPID, Layer::PidNs),
    (libc::CLONE_NEWIPC, Layer::IpcNs),
    (libc::CLONE_NEWUTS, Layer::UtsNs),
    (libc::CLONE_NEWCGROUP, Layer::CgroupNs),
    (libc::CLONE_NEWNET, Layer::NetNs),
];

/// What a host has for starting plugins.
#[derive(Debug)]
pub(crate) struct Means {
    /// Whether the gateway is root and so changes user id.
    pub(crate) uids: Option<Uids>,
    /// Landlock's version; 0 where the host has none.
    pub(crate) landlock: u32,
    /// Flags of the namespaces that can be made, `CLONE_NEWUSER` among them for an ordinary user.
    pub(crate) namespaces: i32,
    /// Groups to run in, or why there are none.
    pub(crate) cgroups: Result<Cgroups, String>,
    /// Whether forbidden calls can be reported.
    pub(crate) reported: bool,
    /// The launcher's program, sealed.
    pub(crate) launcher: Arc<Image>,
    /// An empty folder without a name, in which nobody can make anything.
    pub(crate) folder: OwnedFd,
}

impl Means {
    /// A group with these caps for a plugin of this package, where there are groups.
    pub(crate) fn group(&self, caps: Caps, package: &Path) -> Result<Option<cgroup::Loan>, Error> {
        self.cgroups
            .as_ref()
            .ok()
            .map(|groups| groups.borrow(caps, package))
            .transpose()
    }

    /// A ruleset for these places, or none where the host has no Landlock.
    pub(crate) fn ruleset(&self, places: &Places) -> Result<Option<OwnedFd>, Error> {
        if self.landlock == 0 {
            return Ok(None);
        }
        above_stdio(rules::build(self.landlock, places)?).map(Some)
    }

    /// As root, a user id for one run.
    pub(crate) fn identity(&self) -> Result<Option<Loan>, Error> {
        self.uids.as_ref().map(Uids::borrow).transpose()
    }

    /// The maps of user and group ids: in a user namespace the gateway's own ids are seen as nobody's. Without one both maps are empty.
    pub(crate) fn id_maps(&self, namespaces: i32) -> Result<[CString; 2], Error> {
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
    pub(crate) fn private_root(&self) -> bool {
        self.namespaces & libc::CLONE_NEWNS != 0
    }
}

/// A random number that nobody can guess.
pub(crate) fn random() -> Result<u64, Error> {
    let mut bytes = [0_u8; 8];
    let count = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .during("draw random numbers")?;
    debug_assert_eq!(count, bytes.len(), "getrandom fills up to 256 bytes");
    Ok(u64::from_ne_bytes(bytes))
}

/// A random number that nobody can guess, as two words.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the halves are wanted apart"
)]
pub(crate) fn random_halves() -> Result<[u32; 2], Error> {
    random().map(|whole| [whole as u32, (whole >> 32) as u32])
}
