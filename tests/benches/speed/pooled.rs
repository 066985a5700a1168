//! S3: a native plugin from the pool of started processes, beside one process that answers everything and two durable lines.

use std::time::Duration;

use campaigns::Package;
use plugin_gateway::Gateway;
use plugin_protocol::message::Status;
use serde_json::Value;

use crate::client::{Client, host_with, pools};
use crate::interpreters::{NO_POOL, alone, paced};
use crate::journal::Journal;
use crate::kit::echo::{line, request};
use crate::kit::measure::median;
use crate::kit::{Contest, Echo, Plan, Target, Unit, row, skipped};
use crate::whole::PLUGIN;

const WHAT: &str =
    "whole invocation from the pool, paced, against a persistent process and the same two syncs";

/// Between two calls: time to start the next process.
const PACE: Duration = Duration::from_millis(5);

pub(crate) fn rows(plan: Plan, echo: &Echo) -> Vec<Value> {
    let Some([_, on]) = pools() else {
        return vec![skipped("S3", WHAT, NO_POOL)];
    };
    let host = host_with(on, &[Package::native(PLUGIN, &echo.bytes)]);
    let gateway = Gateway::open(&host.state()).expect("the state can be opened");
    // One process for all: what no jail of single-use processes can be faster than.
    let persistent = Client::start(std::process::Command::new("cat"));
    let (journal, line) = (Journal::new(), line());
    let warm = || {
        let outcome = gateway.invoke(PLUGIN, &request(), None);
        let response = outcome.expect("the ledger is there").into_inner().response;
        assert_eq!(response.status, Status::Ok, "{}", response.notes);
    };
    let bare = || journal.around(|| drop(persistent.ask(&line)));
    warm();
    const CALLS: usize = 60;
    let mut slowest = Vec::new();
    let round = |_| {
        let (ours, p99) = paced(CALLS, PACE, &warm);
        slowest.push(p99 / ours.p50_us);
        vec![ours, paced(CALLS, PACE, &bare).0]
    };
    let contest = Contest::of((0..plan.rounds()).map(round).collect());
    let mut tail = alone(median(slowest.into_iter()));
    (tail.ratio, tail.ours) = (tail.ours, f64::NAN);
    vec![
        row(
            "S3",
            WHAT,
            Unit::Micros,
            contest.p50(0, 1),
            Target::RatioTo(1.4),
        ),
        row(
            "S3",
            "the same: one call in a hundred against its own middle",
            Unit::Micros,
            tail,
            Target::RatioTo(3.0),
        ),
    ]
}
