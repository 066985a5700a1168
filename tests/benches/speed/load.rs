//! Load: throughput and latency from one caller to 64, and very many calls of plugins that sleep.

use std::time::{Duration, Instant};

use campaigns::answers::{prompt, slow};
use campaigns::{Host, Package, processes};
use serde_json::{Value, json};

use crate::client::{Client, Flood, cold, host_with, invocation};
use crate::interpreters::alone;
use crate::kit::measure::median;
use crate::kit::{Echo, Plan, Target, Unit, row};
use crate::whole::PLUGIN;

const CALLERS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Through `serve`, each process started anew.
pub(crate) fn curve(plan: Plan, echo: &Echo) -> Vec<Value> {
    // So that no call waits for another of its plugin: of one plugin three times as many run as are left free.
    let settings = format!("calls_at_once = 128\n{}", cold());
    let host = host_with(&settings, &[Package::native(PLUGIN, &echo.bytes)]);
    let served = Client::serving(&host);
    served.call(PLUGIN);
    let calls = plan.calls() * 2;
    let rounds: Vec<Vec<Flood>> = (0..plan.rounds().min(5))
        .map(|_| {
            CALLERS
                .map(|at_once| served.flood(PLUGIN, at_once, calls.max(at_once * 4)))
                .into()
        })
        .collect();
    let of =
        |at: usize, pick: fn(&Flood) -> f64| median(rounds.iter().map(|round| pick(&round[at])));
    let line = |(at, callers): (usize, &usize)| {
        let what = format!("{callers} callers through `serve`");
        let mut line = row(
            "L",
            &what,
            Unit::Rate,
            alone(of(at, |flood| flood.rate)),
            Target::None,
        );
        line["callers"] = json!(callers);
        line["p50_us"] = json!(of(at, |flood| flood.p50_us));
        line["p99_us"] = json!(of(at, |flood| flood.p99_us));
        line
    };
    CALLERS.iter().enumerate().map(line).collect()
}

/// Plugins that sleep; no plugin takes the last places, so that they are several.
const SLEEPERS: usize = 12;
const IN_FLIGHT: usize = 1_000;
const SLEEP_MS: u32 = 8_000;
/// More than the rest of the places; their answers fit into the pipe, as they are read only after all were asked.
const BEYOND: usize = 150;

/// After this the threads that carried out calls have ended.
const UNTIL_IDLE: Duration = Duration::from_secs(12);

/// A thousand calls in flight, more than that, and what is left afterwards.
pub(crate) fn sleepers() -> Vec<Value> {
    let names: Vec<String> = (0..SLEEPERS)
        .map(|at| format!("p.bench.sleeps{at}"))
        .collect();
    let packages: Vec<Package> = names
        .iter()
        .map(|name| {
            slow(name, SLEEP_MS).with(|manifest| manifest["limits"]["max_concurrency"] = json!(100))
        })
        .collect();
    let settings = format!(
        "calls_at_once = {}\ncalls_waiting = 8\n{}",
        IN_FLIGHT + 100,
        cold()
    );
    let host: Host = host_with(&settings, &packages);
    host.install(&prompt("p.bench.prompt"));
    let served = Client::serving(&host);
    served.call("p.bench.prompt");
    let idle = processes::memory_kib(served.pid());
    for at in 0..IN_FLIGHT {
        served.tell(&long(&names[at % SLEEPERS], at));
    }
    let begun = Instant::now();
    let mut most = 0;
    while most < IN_FLIGHT && begun.elapsed() < Duration::from_millis(u64::from(SLEEP_MS)) {
        most = most.max(running(served.pid()));
        std::thread::sleep(Duration::from_millis(20));
    }
    let busy = processes::memory_kib(served.pid());
    for at in IN_FLIGHT..IN_FLIGHT + BEYOND {
        served.tell(&long(&names[at % SLEEPERS], at));
    }
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..IN_FLIGHT + BEYOND {
        let answer = served.ask("");
        match answer.contains(r#""status":"ok""#) {
            true => answered += 1,
            false => {
                assert!(
                    answer.contains("overloaded"),
                    "a refusal says why: {answer}"
                );
                refused += 1;
            }
        }
    }
    let after = processes::memory_kib(served.pid());
    std::thread::sleep(UNTIL_IDLE);
    let later = processes::memory_kib(served.pid());
    let kib = |what: &str, figure: f64| row("F2", what, Unit::Kib, alone(figure), Target::None);
    let count = |what: &str, figure: usize| {
        row("F2", what, Unit::Calls, alone(figure as f64), Target::None)
    };
    vec![
        count("calls in flight at once, of plugins that sleep", most),
        count("of these and of those beyond, answered", answered),
        count(
            "of these and of those beyond, refused as overloaded",
            refused,
        ),
        kib("the gateway's memory before", idle as f64),
        kib(
            "memory that each of the calls in flight adds",
            busy.saturating_sub(idle) as f64 / most.max(1) as f64,
        ),
        kib("the gateway's memory once all are answered", after as f64),
        kib("the same, when its idle threads have ended", later as f64),
    ]
}

/// The plugins that run now: the gateway's children but for the launchers. Each is looked at once, as they are very many.
fn running(gateway: u32) -> usize {
    let name = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm"));
    let is_plugin = |pid: &u32| name(pid).is_ok_and(|name| name.trim() != "plugin-launcher");
    processes::children_of(gateway)
        .iter()
        .filter(|pid| is_plugin(pid))
        .count()
}

/// A call that may take long.
fn long(plugin: &str, id: usize) -> String {
    invocation(plugin, id).replace("\"timeout_ms\":5000", "\"timeout_ms\":60000")
}
