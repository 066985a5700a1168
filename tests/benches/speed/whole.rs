//! S4: a whole invocation through the library, beside the bare way with the same two durable events.

use campaigns::Host;
use campaigns::package::Package;
use plugin_gateway::Gateway;
use plugin_protocol::message::Status;
use serde_json::Value;

use crate::journal::Journal;
use crate::kit::echo::request;
use crate::kit::{Bare, Call, Contest, Echo, Plan, Target, Undisturbed, Unit, row};

/// The id of the bench's plugin.
pub(crate) const PLUGIN: &str = "p.bench.echo";

/// A gateway with the plugin enabled.
#[derive(Debug)]
pub(crate) struct Installed {
    // Declared first, so that it ends before its state goes.
    gateway: Gateway,
    _host: Host,
    request: Value,
}

impl Installed {
    pub(crate) fn new(echo: &Echo) -> Self {
        let host = host(echo);
        // The ledger's threads are started here.
        let _undisturbed = Undisturbed::begin();
        Self {
            gateway: Gateway::open(&host.state()).expect("the state can be opened"),
            _host: host,
            request: request(),
        }
    }

    /// One whole invocation, two durable events included.
    pub(crate) fn call(&self) {
        let outcome = self
            .gateway
            .invoke(PLUGIN, &self.request, None)
            .expect("the ledger is there");
        let response = &outcome.response;
        assert_eq!(response.status, Status::Ok, "{}", response.notes);
    }
}

/// A state with the plugin enabled.
pub(crate) fn host(echo: &Echo) -> Host {
    let host = Host::new();
    host.install(&Package::native(PLUGIN, &echo.bytes));
    host
}

/// Against the bare way with a journal, and against the bare way alone to show what the events cost.
pub(crate) fn rows(plan: Plan, echo: &Echo) -> Vec<Value> {
    let (gateway, bare) = (Installed::new(echo), Bare::new(echo));
    let journal = {
        let _undisturbed = Undisturbed::begin();
        Journal::new()
    };
    let measure = |at_once: usize| {
        let contestants: [Call<'_>; 3] = [
            Box::new(|| gateway.call()),
            Box::new(|| journal.around(|| bare.call())),
            Box::new(|| bare.call()),
        ];
        let contest = Contest::run(plan, at_once, &contestants);
        let line = |beside: &str, baseline, target| {
            let what = format!(
                "whole invocation, {at_once} at once, {} plugin, against posix_spawn{beside}",
                echo.name
            );
            if at_once == 1 {
                row("S4", &what, Unit::Micros, contest.p50(0, baseline), target)
            } else {
                row("S4", &what, Unit::Rate, contest.rate(0, baseline), target)
            }
        };
        let target = if at_once == 32 {
            Target::RatioFrom(0.9)
        } else {
            Target::None
        };
        [
            line(" and the same two syncs", 1, target),
            line(" alone", 2, Target::None),
        ]
    };
    [1, 32].into_iter().flat_map(measure).collect()
}
