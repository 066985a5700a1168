//! Which hosts each class runs on, and that SECURITY.md has the same table.

use super::*;

/// What every host has, or no plugin is started.
const CORE: [Layer; 9] = [
    Layer::Seccomp,
    Layer::NoNewPrivs,
    Layer::Uid,
    Layer::Rlimits,
    Layer::Descriptors,
    Layer::Session,
    Layer::DeathSignal,
    Layer::ExecOnce,
    Layer::SealedImage,
];

const NAMESPACES: [Layer; 3] = [Layer::MountNs, Layer::PidNs, Layer::NetNs];

fn host(landlock: u32, namespaces: bool, root: bool) -> HostLayers {
    let mut in_force = CORE.to_vec();
    if landlock > 0 {
        in_force.push(Layer::Landlock);
    }
    if namespaces {
        in_force.extend(NAMESPACES);
    }
    HostLayers {
        in_force,
        waived: Vec::new(),
        landlock,
        root,
    }
}

fn admitted(layers: &HostLayers) -> [bool; 3] {
    CLASSES.map(|(class, _)| layers.admit(class).is_ok())
}

#[test]
fn every_kind_of_host_is_decided() {
    for root in [false, true] {
        // With namespaces any version of Landlock will do, and even none.
        for landlock in 0..=7 {
            assert_eq!(admitted(&host(landlock, true, root)), [true; 3]);
        }
    }
    // Without them, Landlock must scope signals (6). As root a user id of its own does that, and 4 is enough, for the network.
    for landlock in 0..=7 {
        let user = landlock >= 6;
        assert_eq!(admitted(&host(landlock, false, false)), [user; 3]);
        let root = landlock >= 4;
        assert_eq!(admitted(&host(landlock, false, true)), [root; 3]);
    }
}

#[test]
fn parts_alone_are_no_answer() {
    let layers = host(0, false, true);
    let error = layers.admit(Class::Dynamic).unwrap_err();
    let Error::Unanswered {
        threat, missing, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(
        (*threat, missing.as_str()),
        (Threat::Files, "mount-ns, landlock")
    );
}

#[test]
fn a_waived_layer_counts() {
    let layers = HostLayers {
        waived: vec![Layer::PidNs, Layer::NetNs, Layer::MountNs],
        ..host(0, false, false)
    };
    assert_eq!(admitted(&layers), [true; 3]);
}

#[test]
fn a_refusal_says_what_to_do() {
    let row = &host(2, false, false).rows()[2];
    assert!(
        !row.enforced && row.required && !row.remedy.is_empty(),
        "{row:?}"
    );
    let error = host(2, false, false).admit_any().unwrap_err();
    assert!(!error.to_string().is_empty());
}

#[test]
fn security_md_prints_this_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../SECURITY.md");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text.contains(&threat_table()),
        "SECURITY.md must say:\n{}",
        threat_table()
    );
}
