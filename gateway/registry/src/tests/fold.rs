//! The inventory as a fold, and the decisions over it.

use std::collections::BTreeMap;

use plugin_protocol::digest::{KeyId, ManifestHash, PackageDigest};
use plugin_protocol::event::EventKind;
use plugin_protocol::ids::{PluginId, RunId};
use plugin_protocol::report::PluginStatus;
use plugin_protocol::words;
use proptest::prelude::*;

use super::*;

/// A registry whose decisions are recorded at once, as the gateway does it.
struct World {
    registry: Registry,
    events: Vec<Event>,
    key: SigningKey,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            registry: Registry::new(),
            events: Vec::new(),
            key: SigningKey::generate().unwrap(),
        };
        let key = world.key.public();
        world.change(None, |registry| registry.trust_add(&key, "dev"));
        world
    }

    fn record(&mut self, event: Event) {
        self.registry.apply(&event).unwrap();
        self.events.push(event);
    }

    fn change(
        &mut self,
        plugin: Option<&PluginId>,
        decide: impl FnOnce(&Registry) -> Result<Change, Error>,
    ) -> bool {
        match decide(&self.registry).unwrap() {
            Change::None => false,
            Change::Record { kind, meta } => {
                self.record(event(kind, plugin, meta));
                true
            }
        }
    }

    fn judge(
        &self,
        id: &PluginId,
        version: &str,
        signature: Option<&[u8]>,
        replace: bool,
    ) -> RegistrationDecision {
        self.registry.judge_registration(RegistrationFacts {
            plugin_id: id,
            name: "Hello",
            version,
            capabilities: &["read_text".to_owned(), "write_report".to_owned()],
            manifest_hash: ManifestHash::of(b"m"),
            package_digest: digest(),
            package: None,
            signature,
            replace,
            fault: None,
        })
    }

    fn signed(&self) -> Vec<u8> {
        self.key.sign(digest()).to_file_bytes()
    }

    /// Registers and records; the reason where it was rejected.
    fn register(
        &mut self,
        id: &PluginId,
        version: &str,
        signature: Option<&[u8]>,
        replace: bool,
    ) -> Option<String> {
        let (meta, reason) = match self.judge(id, version, signature, replace) {
            RegistrationDecision::Registered { meta, .. } => (meta, None),
            RegistrationDecision::Rejected { meta, reason } => (meta, Some(reason)),
            RegistrationDecision::Refused(error) => panic!("{error}"),
        };
        self.record(event(EventKind::Register, Some(id), meta));
        reason
    }

    fn accepted(id: &PluginId) -> Self {
        let mut world = Self::new();
        let signature = world.signed();
        assert_eq!(world.register(id, "1.0.0", Some(&signature), false), None);
        world
    }

    fn status(&self, id: &PluginId) -> PluginStatus {
        self.registry.get(id).unwrap().info.status
    }

    fn refused(&self, id: &PluginId, version: &str, replace: bool) -> String {
        match self.judge(id, version, Some(&self.signed()), replace) {
            RegistrationDecision::Refused(error) => error.to_string(),
            RegistrationDecision::Registered { .. } | RegistrationDecision::Rejected { .. } => {
                panic!("it was judged")
            }
        }
    }
}

fn digest() -> PackageDigest {
    PackageDigest::of(b"p")
}

#[test]
fn a_signed_plugin_is_registered_enabled_and_disabled() {
    let id = id("p.text.hello");
    let mut world = World::accepted(&id);
    let info = &world.registry.list()[0];
    assert_eq!(
        (info.status, info.signature_valid),
        (PluginStatus::Registered, true)
    );
    assert_eq!(info.capabilities, ["read_text", "write_report"]);
    assert_eq!(
        world.registry.get(&id).unwrap().key_id,
        Some(world.key.public().id())
    );
    assert!(world.change(Some(&id), |registry| registry.enable(&id)));
    assert_eq!(world.status(&id), PluginStatus::Enabled);
    // "Enable and disable are idempotent."
    assert!(!world.change(Some(&id), |registry| registry.enable(&id)));
    assert!(world.change(Some(&id), |registry| registry.disable(&id)));
    assert!(!world.change(Some(&id), |registry| registry.disable(&id)));
    assert_eq!(world.status(&id), PluginStatus::Disabled);
    assert!(world.change(Some(&id), |registry| registry.enable(&id)));
}

/// "Missing, malformed, wrong or untrusted-key signatures, and revoked keys: the plugin is recorded with status `rejected`,
/// `signature_valid: false`, and can never be enabled"
#[test]
fn signatures_that_do_not_vouch_are_recorded_as_rejected() {
    let stranger = SigningKey::generate().unwrap();
    let revoked = SigningKey::generate().unwrap();
    let mut world = World::new();
    let (public, key_id) = (revoked.public(), revoked.public().id());
    world.change(None, |registry| registry.trust_add(&public, ""));
    world.change(None, |registry| registry.trust_remove(key_id));
    let wrong = world.key.sign(PackageDigest::of(b"another package"));
    let cases = [
        ("p.a.missing", None, "no signature"),
        ("p.a.malformed", Some(b"{}".to_vec()), "malformed"),
        (
            "p.a.untrusted",
            Some(stranger.sign(digest()).to_file_bytes()),
            "untrusted key",
        ),
        (
            "p.a.revoked",
            Some(revoked.sign(digest()).to_file_bytes()),
            "revoked",
        ),
        (
            "p.a.wrong",
            Some(wrong.to_file_bytes()),
            "wrong for this package",
        ),
    ];
    for (name, signature, word) in cases {
        let id = id(name);
        let reason = world
            .register(&id, "1.0.0", signature.as_deref(), false)
            .unwrap();
        assert!(reason.contains(word), "{name}: {reason}");
        let plugin = world.registry.get(&id).unwrap();
        assert_eq!(
            (plugin.info.status, plugin.info.signature_valid),
            (PluginStatus::Rejected, false)
        );
        assert_eq!(plugin.reason.as_ref(), Some(&reason));
        let enable = world.registry.enable(&id).unwrap_err().to_string();
        assert!(
            enable.starts_with(words::CANNOT_ENABLE_REJECTED),
            "{enable}"
        );
        let disable = world.registry.disable(&id).unwrap_err().to_string();
        assert!(
            disable.starts_with(words::CANNOT_DISABLE_REJECTED),
            "{disable}"
        );
    }
}

/// "a rejected entry does not hold its name: a later valid package may register it"
#[test]
fn a_rejected_entry_does_not_hold_its_name() {
    let id = id("p.text.hello");
    let mut world = World::new();
    assert!(world.register(&id, "1.0.0", None, false).is_some());
    assert!(world.register(&id, "1.0.0", None, false).is_some());
    let signature = world.signed();
    assert_eq!(world.register(&id, "1.0.0", Some(&signature), false), None);
    assert_eq!(world.status(&id), PluginStatus::Registered);
    assert_eq!(world.registry.list().len(), 1);
}

/// "A registered id is replaced only by `register --replace` with a higher version, which starts again as `registered`."
#[test]
fn a_held_name_is_replaced_only_by_a_higher_version_that_asks() {
    let id = id("p.text.hello");
    let mut world = World::accepted(&id);
    world.change(Some(&id), |registry| registry.enable(&id));
    for (version, replace) in [
        ("1.0.0", false),
        ("2.0.0", false),
        ("1.0.0", true),
        ("0.9.9", true),
    ] {
        let said = world.refused(&id, version, replace);
        assert!(said.starts_with(words::ALREADY_REGISTERED), "{said}");
    }
    let signature = world.signed();
    assert_eq!(world.register(&id, "1.0.10", Some(&signature), true), None);
    let info = &world.registry.get(&id).unwrap().info;
    assert_eq!(
        (info.status, info.version.as_str()),
        (PluginStatus::Registered, "1.0.10")
    );
    assert!(
        world.refused(&id, "1.0.9", true).contains("not higher"),
        "compared as numbers"
    );
}

#[test]
fn a_rejected_replacement_leaves_the_holder_alone() {
    let id = id("p.text.hello");
    let mut world = World::accepted(&id);
    world.change(Some(&id), |registry| registry.enable(&id));
    let before = world.registry.get(&id).cloned();
    assert!(world.register(&id, "2.0.0", None, true).is_some());
    assert_eq!(world.registry.get(&id).cloned(), before);
    let info = plugin_info(world.events.last().unwrap()).unwrap();
    assert_eq!(
        (info.status, info.version.as_str()),
        (PluginStatus::Rejected, "2.0.0")
    );
}

#[test]
fn a_package_with_a_fault_is_rejected_whoever_signed_it() {
    let world = World::new();
    let signature = world.signed();
    let facts = RegistrationFacts {
        plugin_id: &id("p.a.bad"),
        name: &"x".repeat(100_000),
        version: "one",
        capabilities: &vec!["evil word".repeat(100); 10_000],
        manifest_hash: ManifestHash::of(b"m"),
        package_digest: digest(),
        package: None,
        signature: Some(&signature),
        replace: false,
        fault: None,
    };
    let RegistrationDecision::Rejected { meta, reason } = world.registry.judge_registration(facts)
    else {
        panic!("a version that does not parse cannot be registered");
    };
    assert!(reason.contains("is not a version"), "{reason}");
    assert_eq!(meta["signature_valid"], "true");
    let long = "y".repeat(100_000);
    let facts = RegistrationFacts {
        fault: Some(&long),
        ..facts
    };
    let RegistrationDecision::Rejected { meta, .. } = world.registry.judge_registration(facts)
    else {
        panic!("a fault cannot be registered");
    };
    let line = event(EventKind::Register, Some(&id("p.a.bad")), meta).line();
    assert!(
        line.len() < plugin_protocol::event::MAX_EVENT_BYTES,
        "an event always fits its line"
    );
}

/// "Removing trust from a key disables, at once, the plugins it vouched for."
#[test]
fn removing_trust_disables_what_the_key_vouched_for() {
    let (first, second, other) = (id("p.a.first"), id("p.a.second"), id("p.a.other"));
    let mut world = World::accepted(&first);
    let signature = world.signed();
    world.register(&second, "1.0.0", Some(&signature), false);
    world.change(Some(&first), |registry| registry.enable(&first));
    let keep = SigningKey::generate().unwrap();
    world.change(None, |registry| registry.trust_add(&keep.public(), "keep"));
    world.register(
        &other,
        "1.0.0",
        Some(&keep.sign(digest()).to_file_bytes()),
        false,
    );
    world.change(Some(&other), |registry| registry.enable(&other));

    let key_id = world.key.public().id();
    assert!(world.change(None, |registry| registry.trust_remove(key_id)));
    assert!(!world.change(None, |registry| registry.trust_remove(key_id)));
    assert_eq!(
        (world.status(&first), world.status(&second)),
        (PluginStatus::Disabled, PluginStatus::Disabled)
    );
    assert_eq!(world.status(&other), PluginStatus::Enabled);
    let said = world.registry.enable(&first).unwrap_err().to_string();
    assert!(said.contains("no longer trusted"), "{said}");
    assert!(!world.registry.get(&first).unwrap().info.signature_valid);

    let key = world.key.public();
    assert!(world.change(None, |registry| registry.trust_add(&key, "again")));
    assert_eq!(
        world.status(&first),
        PluginStatus::Disabled,
        "nothing comes back by itself"
    );
    assert!(world.change(Some(&first), |registry| registry.enable(&first)));
    assert_eq!(world.registry.keys().count(), 2);
}

#[test]
fn a_plugin_replaced_under_another_key_no_longer_hangs_on_the_first() {
    let id = id("p.text.hello");
    let mut world = World::accepted(&id);
    let second = SigningKey::generate().unwrap();
    world.change(None, |registry| registry.trust_add(&second.public(), ""));
    world.register(
        &id,
        "1.1.0",
        Some(&second.sign(digest()).to_file_bytes()),
        true,
    );
    let first = world.key.public().id();
    world.change(None, |registry| registry.trust_remove(first));
    assert_eq!(world.status(&id), PluginStatus::Registered);
    world.change(None, |registry| registry.trust_remove(second.public().id()));
    assert_eq!(world.status(&id), PluginStatus::Disabled);
}

#[test]
fn unknown_names_are_not_found() {
    let world = World::new();
    let none = id("p.a.none");
    for error in [world.registry.enable(&none), world.registry.disable(&none)] {
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with(words::PLUGIN_NOT_FOUND)
        );
    }
    assert!(world.registry.trust_remove(KeyId::of(&[0; 32])).is_err());
}

#[test]
fn the_same_events_give_the_same_registry() {
    let id = id("p.text.hello");
    let mut world = World::accepted(&id);
    world.change(Some(&id), |registry| registry.enable(&id));
    world.register(&id, "3.0.0", None, true);
    let mut again = Registry::new();
    for event in &world.events {
        again.apply(event).unwrap();
    }
    assert_eq!(format!("{again:?}"), format!("{:?}", world.registry));
}

fn about_evidence() -> Meta {
    Meta::from([("subject".to_owned(), "evidence".to_owned())])
}

#[test]
fn an_erasure_of_evidence_and_a_pruning_change_nothing_here() {
    let mut world = World::accepted(&id("p.text.hello"));
    let before = format!("{:?}", world.registry);
    let pruning = Meta::from([("subject".to_owned(), "ledger".to_owned())]);
    for meta in [about_evidence(), pruning] {
        let told = event(EventKind::Disable, None, meta);
        world.registry.apply(&told).unwrap();
        assert_eq!(format!("{:?}", world.registry), before);
    }
}

#[test]
fn events_that_do_not_follow_are_refused_and_change_nothing() {
    let id = id("p.text.hello");
    let mut world = World::accepted(&id);
    let good = world.events[1].meta.clone();
    let mut forged = vec![
        event(EventKind::Register, None, good.clone()),
        event(EventKind::Register, Some(&id), good.clone()),
        event(EventKind::Enable, Some(&super::id("p.a.none")), Meta::new()),
        event(EventKind::Enable, None, Meta::new()),
        event(
            EventKind::Disable,
            None,
            Meta::from([("subject".to_owned(), "key".to_owned())]),
        ),
        event(EventKind::Enable, None, about_evidence()),
    ];
    let fresh = super::id("p.a.fresh");
    for name in [
        "status",
        "signature_valid",
        "manifest_hash",
        "package_digest",
        "name",
        "version",
        "capabilities",
        "key_id",
    ] {
        for value in [None, Some("odd value")] {
            let mut meta = good.clone();
            match value {
                Some(_) if matches!(name, "name" | "capabilities") => continue,
                Some(value) => meta.insert(name.to_owned(), value.to_owned()),
                None => meta.remove(name),
            };
            forged.push(event(EventKind::Register, Some(&fresh), meta));
        }
    }
    let mut unsigned = good.clone();
    unsigned.insert("signature_valid".to_owned(), "false".to_owned());
    forged.push(event(EventKind::Register, Some(&fresh), unsigned));
    let mut foreign = event(EventKind::Enable, Some(&id), Meta::new());
    foreign.run_id = RunId::parse("run-1").unwrap();
    forged.push(foreign);
    let before = format!("{:?}", world.registry);
    for event in forged {
        let judged = world.registry.apply(&event);
        assert!(
            matches!(judged, Err(Error::MalformedEvent { .. })),
            "{event:?}"
        );
    }
    assert_eq!(format!("{:?}", world.registry), before);
    let mut run = event(EventKind::Result, Some(&id), Meta::new());
    run.run_id = RunId::parse("run-1").unwrap();
    world.registry.apply(&run).unwrap();
    assert_eq!(
        format!("{:?}", world.registry),
        before,
        "events of other rooms change nothing"
    );
}

/// One plugin among ten thousand is found and listed as one among a hundred.
#[test]
fn ten_thousand_plugins_stay_sorted_and_complete() {
    let mut world = World::new();
    let signature = world.signed();
    for count in (0..10_000).rev() {
        world.register(
            &id(&format!("p.many.n{count:05}")),
            "1.0.0",
            Some(&signature),
            false,
        );
        if count == 9_990 {
            // A signature check is slow in a debug build; the other plugins reuse the judged facts.
            break;
        }
    }
    let meta = world.events.last().unwrap().meta.clone();
    for count in 0..9_990 {
        let id = id(&format!("p.many.n{count:05}"));
        world
            .registry
            .apply(&event(EventKind::Register, Some(&id), meta.clone()))
            .unwrap();
    }
    let list = world.registry.list();
    assert_eq!(list.len(), 10_000);
    assert!(
        list.windows(2)
            .all(|pair| pair[0].plugin_id < pair[1].plugin_id)
    );
    let key_id = world.key.public().id();
    world.change(None, |registry| registry.trust_remove(key_id));
    assert!(
        world
            .registry
            .list()
            .iter()
            .all(|info| info.status == PluginStatus::Disabled)
    );
}

proptest! {
    #[test]
    fn no_meta_makes_the_fold_panic(
        enable in any::<bool>(), named in any::<bool>(),
        meta in proptest::collection::btree_map("status|key_id|subject|public_key|version|[a-z]{1,5}", ".{0,40}", 0..8),
    ) {
        let meta: BTreeMap<String, String> = meta;
        let plugin = id("p.a.any");
        let plugin = named.then_some(&plugin);
        let kind = if enable { EventKind::Enable } else { EventKind::Register };
        let mut registry = Registry::new();
        prop_assert!(registry.apply(&event(kind, plugin, meta)).is_err());
        prop_assert_eq!(registry.list().len(), 0);
    }
}
