//! The fold over events alone: what follows, what does not, and many.

use plugin_protocol::report::PluginStatus;

use super::fold::World;
use super::*;

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
