//! Says of each layer whether it is in force on this host, for `doctor`, for the decision to open, and for each report.

use crate::host::advice;
use crate::launch::means::{Means, NAMESPACES};
use crate::launch::rules::VERSION_MAX;
use crate::layer::{Layer, Protection};

/// How much depends on a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// Always needed; where it is missing, the rehearsal has already failed.
    Core,
    /// Needed for the threats that it answers, where too few other layers do: the table of threats decides.
    ByThreat,
}

/// Title and weight of a layer.
fn facts(layer: Layer) -> (&'static str, Weight) {
    match layer {
        Layer::Seccomp => ("system call allow-list", Weight::Core),
        Layer::NoNewPrivs => ("no new privileges", Weight::Core),
        Layer::Uid => ("unprivileged user", Weight::Core),
        Layer::Rlimits => ("resource limits", Weight::Core),
        Layer::Descriptors => ("three descriptors only", Weight::Core),
        Layer::Session => ("session without terminal", Weight::Core),
        Layer::DeathSignal => ("dies with the gateway", Weight::Core),
        Layer::ExecOnce => ("exec works once", Weight::Core),
        Layer::SealedImage => ("sealed program copy", Weight::Core),
        Layer::Landlock => ("file, network and signal rules", Weight::ByThreat),
        Layer::MountNs => ("private read-only root", Weight::ByThreat),
        Layer::PidNs => ("process numbers of its own", Weight::ByThreat),
        Layer::IpcNs => ("message queues of its own", Weight::ByThreat),
        Layer::UtsNs => ("host name of its own", Weight::ByThreat),
        Layer::CgroupNs => ("control groups hidden", Weight::ByThreat),
        Layer::UserNs => ("user namespace", Weight::ByThreat),
        Layer::NetNs => ("network namespace", Weight::ByThreat),
        Layer::Cgroup => ("control group", Weight::ByThreat),
        Layer::Explained => ("forbidden calls are named", Weight::ByThreat),
    }
}

/// The only row on a host that lacks a layer without which not even a rehearsal works.
pub(crate) fn missing(layer: Layer, remedy: String) -> Protection {
    let (name, _) = facts(layer);
    Protection {
        name: name.into(),
        layer,
        about_threat: false,
        required: true,
        enforced: false,
        detail: "a rehearsal failed at this layer, and the others were not tried".to_owned(),
        remedy,
    }
}

/// One row for each layer.
pub(crate) fn rows(means: &Means) -> Vec<Protection> {
    let row = |layer| {
        let (name, weight) = facts(layer);
        let (enforced, detail) = state(means, layer);
        let required = weight == Weight::Core;
        let remedy = if enforced {
            String::new()
        } else {
            advice::remedy(layer)
        };
        Protection {
            name: name.into(),
            layer,
            about_threat: false,
            required,
            enforced,
            detail,
            remedy,
        }
    };
    Layer::ALL.into_iter().map(row).collect()
}

/// Whether a layer is in force, and what there is to say about it.
fn state(means: &Means, layer: Layer) -> (bool, String) {
    let root = means.uids.is_some();
    match layer {
        Layer::Seccomp
        | Layer::NoNewPrivs
        | Layer::Rlimits
        | Layer::Descriptors
        | Layer::Session
        | Layer::ExecOnce
        | Layer::SealedImage => (true, "rehearsed in a child that went up to exec".to_owned()),
        Layer::DeathSignal => (
            true,
            "set, and the gateway checked to be alive afterwards".to_owned(),
        ),
        Layer::Uid if root => (
            true,
            "each run has a user id of its own and no capability; the gateway itself is root, which it need not be where ordinary users may make user namespaces".to_owned(),
        ),
        Layer::Uid => (
            true,
            "the gateway is not root, and plugins have its user id without capabilities".to_owned(),
        ),
        Layer::Landlock => (
            means.landlock > 0,
            match means.landlock {
                0 => "the kernel has none, or it is switched off".to_owned(),
                version => format!(
                    "version {}: files, from 4 network, from 6 signals and abstract sockets",
                    version.min(VERSION_MAX)
                ),
            },
        ),
        Layer::PidNs => made(
            means.namespaces & libc::CLONE_NEWPID != 0,
            "each run has its own",
        ),
        Layer::MountNs | Layer::IpcNs | Layer::UtsNs | Layer::CgroupNs | Layer::NetNs => {
            let flag = NAMESPACES
                .into_iter()
                .find(|(_, known)| *known == layer)
                .map_or(0, |(flag, _)| flag);
            made(means.namespaces & flag != 0, "each launcher has its own")
        }
        Layer::UserNs if root => (false, "not needed: the gateway is root".to_owned()),
        Layer::UserNs => made(
            means.namespaces & libc::CLONE_NEWUSER != 0,
            "each launcher has its own, and each run one in it",
        ),
        Layer::Cgroup => match &means.cgroups {
            Ok(groups) => (
                true,
                format!("each run is in a group that caps {}", groups.describe()),
            ),
            Err(reason) => (false, format!("resource limits stand in: {reason}")),
        },
        Layer::Explained if means.reported => (true, "through a seccomp listener".to_owned()),
        Layer::Explained => (false, "forbidden calls kill without a name".to_owned()),
    }
}

fn made(works: bool, whose: &str) -> (bool, String) {
    let detail = if works {
        whose
    } else {
        "the kernel refuses it"
    };
    (works, detail.to_owned())
}

/// The layers in force for a program that is a sealed copy or not. An interpreter is none, but the operator's own file, opened once and run by that
/// descriptor; nor is a program that its loader starts from its package.
pub(crate) fn engaged(rows: &[Protection], is_sealed: bool) -> Vec<Layer> {
    let applies = |layer| layer != Layer::SealedImage || is_sealed;
    rows.iter()
        .filter(|row| row.enforced && applies(row.layer))
        .map(|row| row.layer)
        .collect()
}
