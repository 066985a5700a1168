//! What an operator can do about a missing layer on this very host: it reads a few settings of the kernel and says which of them
//! stand in the way. It changes nothing.

use std::fs;
use std::path::Path;

use crate::layer::Layer;

/// The switch by which Ubuntu keeps unprivileged programs without a profile from using user namespaces.
const APPARMOR_SWITCH: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
/// The switch by which Debian turns user namespaces off for unprivileged programs.
const DEBIAN_SWITCH: &str = "/proc/sys/kernel/unprivileged_userns_clone";
/// How many user namespaces there may be.
const COUNT_SWITCH: &str = "/proc/sys/user/max_user_namespaces";
/// The security modules that are active, where securityfs is mounted.
const MODULES: &str = "/sys/kernel/security/lsm";
/// What container engines leave for their guests to find.
const CONTAINER_MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];

/// The remedy for a layer that is not in force.
pub(crate) fn remedy(layer: Layer) -> String {
    let facts = Facts::gather();
    let words = match layer {
        Layer::UserNs if facts.root => {
            "nothing need be done: a gateway that is root needs no user namespace"
        }
        Layer::UserNs
        | Layer::MountNs
        | Layer::PidNs
        | Layer::IpcNs
        | Layer::UtsNs
        | Layer::CgroupNs => namespaces(&facts),
        Layer::NetNs => {
            "nothing need be done: no socket can be made in any case; a gateway that runs as root has this layer too"
        }
        Layer::Landlock => landlock(&facts),
        Layer::Explained => {
            "let the container allow seccomp's listener (Linux 5.5 or later); until then forbidden calls kill without a name"
        }
        Layer::Cgroup => cgroup(&facts),
        Layer::Seccomp
        | Layer::NoNewPrivs
        | Layer::Uid
        | Layer::Rlimits
        | Layer::Descriptors
        | Layer::Session
        | Layer::DeathSignal
        | Layer::ExecOnce
        | Layer::SealedImage => "",
    };
    words.to_owned()
}

/// The remedy for a layer that is needed because too few others answer a threat. It is never "nothing need be done".
pub(crate) fn remedy_where_needed(layer: Layer) -> String {
    if layer == Layer::NetNs {
        namespaces(&Facts::gather()).to_owned()
    } else {
        remedy(layer)
    }
}

/// What may stand in the way on this host.
#[derive(Debug, Clone, Default)]
struct Facts {
    root: bool,
    container: bool,
    apparmor_restricts: bool,
    debian_forbids: bool,
    none_allowed: bool,
    /// Whether Landlock is among the active modules; `None` where the list cannot be read.
    landlock_active: Option<bool>,
}

impl Facts {
    fn gather() -> Self {
        let says = |path: &str, value: &str| {
            fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
        };
        let modules = fs::read_to_string(MODULES).ok();
        Self {
            root: rustix::process::geteuid().is_root(),
            container: CONTAINER_MARKS.iter().any(|mark| Path::new(mark).exists())
                || std::env::var_os("container").is_some(),
            apparmor_restricts: says(APPARMOR_SWITCH, "1"),
            debian_forbids: says(DEBIAN_SWITCH, "0"),
            none_allowed: says(COUNT_SWITCH, "0"),
            landlock_active: modules
                .map(|modules| modules.trim().split(',').any(|module| module == "landlock")),
        }
    }
}

fn namespaces(facts: &Facts) -> &'static str {
    if facts.container && facts.root {
        "this is a container whose root may not make namespaces: give it CAP_SYS_ADMIN, or run the gateway as an ordinary user who may make user namespaces"
    } else if facts.container {
        "this is a container, which keeps its guests from making namespaces: let its profile allow unshare, clone and mount (Docker and Podman: --security-opt seccomp=PROFILE, and --security-opt apparmor=unconfined), or waive the layers by name in config.toml"
    } else if facts.root {
        "give the gateway CAP_SYS_ADMIN, or run it as an ordinary user who may make user namespaces"
    } else if facts.apparmor_restricts {
        "Ubuntu lets only programs with a profile use user namespaces: add an AppArmor profile for the gateway with `userns,`, or set sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else if facts.debian_forbids {
        "user namespaces are switched off: set sysctl kernel.unprivileged_userns_clone=1"
    } else if facts.none_allowed {
        "user namespaces are switched off: set sysctl user.max_user_namespaces to the number of runs at once or more"
    } else {
        "let ordinary users make user namespaces; in a changed root (chroot) the kernel never does"
    }
}

fn landlock(facts: &Facts) -> &'static str {
    match facts.landlock_active {
        Some(false) => {
            "landlock is not among the active security modules: add it to the kernel's lsm= list"
        }
        Some(true) => {
            "use Linux 6.12 or later, whose landlock also keeps signals and abstract sockets inside"
        }
        None if facts.container => {
            "let the container allow the landlock calls, on Linux 6.12 or later"
        }
        None => "use Linux 6.12 or later with landlock in the kernel's lsm= list",
    }
}

fn cgroup(facts: &Facts) -> &'static str {
    if facts.container {
        "give the container a writable control-group tree of its own; until then resource limits stand in"
    } else if facts.root {
        "run the gateway as a systemd service with Delegate=yes"
    } else {
        "run the gateway under systemd with delegation: systemd-run --user --scope --property=Delegate=yes plugin-gateway …"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_hosts_are_told_apart() {
        let host = Facts::default();
        let ubuntu = Facts {
            apparmor_restricts: true,
            ..host.clone()
        };
        let debian = Facts {
            debian_forbids: true,
            ..host.clone()
        };
        let container = Facts {
            container: true,
            ..ubuntu.clone()
        };
        let root = Facts {
            root: true,
            ..host.clone()
        };
        let all = [&host, &ubuntu, &debian, &container, &root].map(namespaces);
        for (index, words) in all.iter().enumerate() {
            assert!(!all.iter().skip(index + 1).any(|other| other == words));
        }
        assert!(namespaces(&ubuntu).contains("apparmor_restrict_unprivileged_userns"));
        let without = Facts {
            landlock_active: Some(false),
            ..host
        };
        assert!(landlock(&without).contains("lsm="));
    }

    #[test]
    fn every_layer_that_can_be_missing_has_a_remedy() {
        for layer in [
            Layer::Landlock,
            Layer::MountNs,
            Layer::Cgroup,
            Layer::Explained,
            Layer::NetNs,
        ] {
            assert!(!remedy(layer).is_empty(), "{layer}");
        }
    }
}
