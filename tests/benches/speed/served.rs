//! S7 and S9: the command's supervisor channel beside the library, and the memory that it takes.

use std::time::{Duration, Instant};

use campaigns::channel::{Channel, invoke};
use campaigns::package::Package;
use campaigns::program::{Link, c};
use campaigns::{Host, processes};
use serde_json::Value;

use crate::client::Client;
use crate::kit::measure::{Compared, median};
use crate::kit::{Call, Contest, Echo, Plan, Target, Unit, row};
use crate::whole::{Installed, PLUGIN, host};

/// S7: what the channel adds to one call.
pub(crate) fn channel(plan: Plan, echo: &Echo) -> Value {
    let state = host(echo);
    let (served, library) = (Client::serving(&state), Installed::new(echo));
    let contestants: [Call<'_>; 2] = [
        Box::new(|| served.call(PLUGIN)),
        Box::new(|| library.call()),
    ];
    let p50 = Contest::run(plan, 1, &contestants).p50(0, 1);
    let what = "one invocation through `serve`, against the library: added";
    row("S7", what, Unit::Micros, p50, Target::AddedTo(80.0))
}

/// Calls in flight whose memory is looked at; fewer than the gateway runs at once.
const IN_FLIGHT: usize = 48;

/// How long it may take until all are in flight: less than one of them sleeps.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// S9: resident memory of an idle gateway that has served one call, and what each call in flight adds.
pub(crate) fn memory(plan: Plan) -> Vec<Value> {
    let looks: Vec<(f64, f64)> = (0..plan.rounds().min(5)).map(|_| look()).collect();
    let idle = median(looks.iter().map(|look| look.0));
    let each = median(looks.iter().map(|look| look.1));
    let line = |what, figure, most| {
        let compared = Compared {
            ours: figure,
            baseline: 0.0,
            ratio: f64::NAN,
            added: figure,
        };
        row("S9", what, Unit::Kib, compared, Target::AddedTo(most))
    };
    vec![
        line(
            "memory of a gateway that serves and is idle",
            idle,
            16.0 * 1024.0,
        ),
        line("memory that each call in flight adds", each, 64.0),
    ]
}

/// Memory when idle, and for each call in flight, in KiB.
fn look() -> (f64, f64) {
    let host = Host::new();
    let sleeper = c(
        "int main(void) { read_line(); sleep(2); answer(\"{}\"); return 0; }",
        Link::Static,
    );
    let id = host.install(&Package::native("p.bench.sleeper", &sleeper));
    let mut channel = Channel::open(&host);
    channel.call("invoke", invoke(&id, "first", 5_000));
    let idle = processes::memory_kib(channel.pid()) as f64;
    let calls: Vec<Value> = (0..IN_FLIGHT)
        .map(|at| channel.send("invoke", invoke(&id, &at.to_string(), 5_000)))
        .collect();
    let deadline = Instant::now() + PATIENCE;
    while processes::plugins_of(channel.pid()).len() < IN_FLIGHT {
        assert!(Instant::now() < deadline, "not all calls are in flight");
        std::thread::sleep(Duration::from_millis(10));
    }
    let busy = processes::memory_kib(channel.pid()) as f64;
    for call in calls {
        assert_eq!(channel.answer(&call)["result"]["status"], "ok");
    }
    (idle, (busy - idle) / IN_FLIGHT as f64)
}
