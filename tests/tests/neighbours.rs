//! Neighbours: whatever hostile plugins do at full speed, in the same gateway and on the same channel, no call of a neighbour's fails, and
//! nothing is left. How long its calls take is measured by `scripts/bench --neighbours`.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use campaigns::attacks::neighbours::{KINDS, Kind, Plugin};
use campaigns::crowd::{self, Crowd};
use campaigns::{Host, processes};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Hostile callers at once: more than there are processors for.
const CALLERS: usize = 4;
/// Calls that the neighbour makes beside each kind, at least.
const CALLS: usize = 20;
/// Longer than anything here takes.
const STUCK: Duration = Duration::from_secs(120);
/// A plugin that fails is given no rest: that would spare its neighbours.
const NO_REST: &str = "[circuit]\nfailures = 4294967295\n";

fn installed() -> Host {
    let host = Host::new();
    host.install(&crowd::neighbour());
    for plugin in Plugin::ALL {
        host.install(&plugin.package());
    }
    host.alone();
    fs::write(host.state().join("config.toml"), NO_REST).unwrap();
    host
}

/// Lets the neighbour call beside the kind, until both have done so often enough.
fn beside(crowd: &mut Crowd, kind: &Kind, callers: usize, ends_at_least: usize) {
    let since = Instant::now();
    crowd.begin(kind, callers);
    let mut calls = 0;
    while calls < CALLS || crowd.ended() < ends_at_least {
        crowd.call_well();
        calls += 1;
        assert!(since.elapsed() < STUCK, "{kind:?} goes on too slowly");
    }
    let ends = crowd.stop();
    for (status, (count, notes)) in &ends {
        assert!(
            kind.ends.contains(&status.as_str()),
            "{}: {count} of its calls ended with {status}: {notes}",
            kind.what
        );
    }
    println!("{}: {calls} calls of the neighbour's, {ends:?}", kind.what);
}

/// "A hostile plugin of any kind at full speed fails none of its neighbour's calls", and nothing is left of it: no process,
/// no zombie, no descriptor, no control group.
#[test]
fn no_hostile_plugin_fails_a_neighbours_call() {
    let host = installed();
    let mut crowd = Crowd::open(&host);
    let gateway = crowd.gateway();
    crowd.call_well();
    for kind in &KINDS {
        beside(&mut crowd, kind, CALLERS, CALLERS);
        none_left(gateway, kind.what);
    }
    // Once more by one caller, who needs nothing that is not there by now: what is left of each call would add up.
    let open = descriptors_of(gateway);
    for kind in &KINDS {
        beside(&mut crowd, kind, 1, 3);
    }
    until("descriptors", || descriptors_of(gateway) <= open);
    let name = crowd.hostile_name();
    crowd.close();
    until("hostile processes", || {
        processes::running_as(&name).is_empty()
    });
    until("control groups", || {
        processes::groups_of(gateway).is_empty()
    });
    recorded(&host);
}

/// "And fails none of its calls", where a plugin that never answers is called more often than there are places, to run and to wait.
#[test]
fn a_plugin_that_is_called_without_end_leaves_its_neighbour_a_place() {
    const PLACES: &str = "calls_at_once = 8\ncalls_waiting = 16\n";
    const MANY: usize = 64;
    let host = installed();
    fs::write(
        host.state().join("config.toml"),
        format!("{PLACES}{NO_REST}"),
    )
    .unwrap();
    let mut crowd = Crowd::open(&host);
    let never = Kind {
        // Longer than the test: the gateway ends them.
        timeout_ms: 60_000,
        ends: &[],
        ..*KINDS
            .iter()
            .find(|kind| kind.attack == "sleep_long")
            .unwrap()
    };
    crowd.begin(&never, MANY);
    // Those that find no place are turned away at once, and call again.
    while crowd.ended() < MANY {
        std::thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..CALLS {
        crowd.call_well();
    }
    assert_eq!(crowd.in_flight(), MANY, "they call without end");
    crowd.ask_no_more();
    // Six run and twelve wait; the others are turned away.
    until("calls without a place", || crowd.in_flight() <= 18);
    assert_eq!(crowd.in_flight(), 18);
    let gateway = crowd.gateway();
    assert_eq!(processes::plugins_of(gateway).len(), 6);
    let pid = nix::unistd::Pid::from_raw(gateway.try_into().unwrap());
    // At the second one the calls in flight are not waited for any more.
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        nix::sys::signal::kill(pid, signal).unwrap();
    }
    let ends = crowd.stop();
    let turned_away = &ends["rejected"].1;
    assert!(turned_away.contains("overloaded"), "{ends:?}");
    crowd.close();
    recorded(&host);
}

/// Every call that began is closed, and each of the neighbour's with its result.
fn recorded(host: &Host) {
    let events = host.events();
    assert_eq!(host.verified(), events.len() as u64);
    let of_kind = |kinds: &[&str]| -> BTreeSet<String> {
        let name = if kinds == ["INVOKE"] {
            "/event_id"
        } else {
            "/meta/invoke"
        };
        let found = events
            .iter()
            .filter(|event| kinds.contains(&event["kind"].as_str().unwrap()));
        let ids = found.filter_map(|event| event.pointer(name).and_then(Value::as_str));
        ids.map(str::to_owned).collect()
    };
    assert_eq!(
        of_kind(&["INVOKE"]),
        of_kind(&["RESULT", "REJECT", "ERROR"])
    );
}

/// No process is left of any plugin, and no zombie.
#[track_caller]
fn none_left(gateway: u32, whose: &str) {
    until(whose, || processes::plugins_of(gateway).is_empty());
}

#[track_caller]
fn until(what: &str, gone: impl Fn() -> bool) {
    let since = Instant::now();
    while !gone() {
        assert!(since.elapsed() < STUCK, "left of {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn descriptors_of(gateway: u32) -> usize {
    fs::read_dir(format!("/proc/{gateway}/fd")).unwrap().count()
}
