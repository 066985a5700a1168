//! A pipeline that fans out over many plugins, beside one call of one of them: it should take about as long.

use campaigns::Host;
use campaigns::answers::slow;
use plugin_gateway::Gateway;
use plugin_protocol::message::Status;
use plugin_protocol::report::PipelinePolicy;
use serde_json::{Value, json};

use crate::kit::echo::request;
use crate::kit::{Call, Contest, Plan, Target, Unit, row};

const PLUGINS: usize = 20;
const SLEEP_MS: u32 = 100;

pub(crate) fn rows(plan: Plan) -> Vec<Value> {
    let host = Host::new();
    let plugin_ids: Vec<String> = (0..PLUGINS)
        .map(|at| host.install(&slow(&format!("p.bench.sleeps{at}"), SLEEP_MS)))
        .collect();
    let gateway = Gateway::open(&host.state()).expect("the state can be opened");
    let policy = json!({ "strategy": "fan_out", "plugin_ids": plugin_ids, "timeout_ms": 60_000, "stop_on_failure": true });
    let policy: PipelinePolicy = serde_json::from_value(policy).expect("a policy");
    let all = || {
        let response = gateway.invoke_pipeline(&policy, &request(), None);
        let response = response.expect("the ledger is there");
        assert_eq!(response.overall_status, Status::Ok);
    };
    let one = || {
        let outcome = gateway.invoke(&plugin_ids[0], &request(), None);
        let outcome = outcome.expect("the ledger is there");
        assert_eq!(outcome.response.status, Status::Ok);
    };
    let contestants: [Call<'_>; 2] = [Box::new(all), Box::new(one)];
    let contest = Contest::run(plan, 1, &contestants);
    let what =
        format!("a fan-out over {PLUGINS} plugins that sleep {SLEEP_MS} ms, against one of them");
    vec![row(
        "F1",
        &what,
        Unit::Micros,
        contest.p50(0, 1),
        Target::None,
    )]
}
