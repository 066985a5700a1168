//! S6, and what a call costs under the interpreters: through `serve` one at a time and sixteen at once, and in processor time.

use std::time::{Duration, Instant};

use campaigns::Package;
use nix::sys::resource::{UsageWho, getrusage};
use plugin_gateway::Gateway;
use plugin_protocol::message::Status;
use serde_json::{Value, json};

use crate::client::{Client, cold, host_with, percentile_99, pools};
use crate::kit::echo::request;
use crate::kit::measure::{Compared, Figures, median};
use crate::kit::{Contest, Plan, Target, Unit, row, skipped};

/// One plugin for each interpreter, all of which answer the same.
struct Kind {
    name: &'static str,
    program: &'static str,
    package: fn() -> Package,
}

const KINDS: [Kind; 5] = [
    Kind {
        name: "sh",
        program: "sh",
        package: || Package::script("p.bench.sh", "sh", SH),
    },
    Kind {
        name: "Python by the SDK",
        program: "python3",
        package: || {
            let package = Package::script("p.bench.python", "python3", PYTHON);
            package.file("omega_plugin.py", PYTHON_SDK.as_bytes(), 0o644)
        },
    },
    Kind {
        name: "Python with json",
        program: "python3",
        package: || Package::script("p.bench.json", "python3", PYTHON_JSON),
    },
    Kind {
        name: "Node",
        program: "node",
        package: || Package::script("p.bench.node", "node", NODE),
    },
    Kind {
        name: "worker",
        program: "node",
        package: worker,
    },
];

const SH: &str = r#"read -r line
echo '{"type":"result","response":{"request_id":"bench","status":"ok","result":{"kind":"json","schema_ref":"any/1","data":{}},"notes":""}}'
"#;

const PYTHON_SDK: &str =
    include_str!("../../../plugin-protocol/sdk/python/omega_plugin/__init__.py");

const PYTHON: &str = "import omega_plugin as omega
omega.run(lambda request: omega.ok(omega.json_payload('any/1', {})))
";

const PYTHON_JSON: &str = "import json, sys
request = json.loads(sys.stdin.readline())['request']
result = {'kind': 'json', 'schema_ref': 'any/1', 'data': {}}
response = {'request_id': request['request_id'], 'status': 'ok', 'result': result, 'notes': ''}
print(json.dumps({'type': 'result', 'response': response}))
";

const NODE: &str = r"
const { request } = JSON.parse(require('fs').readFileSync(0, 'utf8').split('\n')[0]);
const result = { kind: 'json', schema_ref: 'any/1', data: {} };
const response = { request_id: request.request_id, status: 'ok', result, notes: '' };
console.log(JSON.stringify({ type: 'result', response }));
";

const WORKER: &str = r"
exports.handleRequest = (request) => ({
  request_id: request.request_id, status: 'ok', result: { kind: 'json', schema_ref: 'any/1', data: {} }, notes: '',
});
";

fn worker() -> Package {
    let package = Package::script("p.bench.worker", "node", "");
    let package = package.file("dist/worker.js", WORKER.as_bytes(), 0o644);
    package.with(|manifest| {
        manifest["entrypoint"] =
            json!({ "type": "worker", "file": "dist/worker.js", "export": "handleRequest" });
    })
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A plugin's own memory limit is no limit for an interpreter that reserves much.
fn roomy(package: Package) -> Package {
    package.with(|manifest| manifest["limits"]["max_memory_bytes"] = json!(512 << 20))
}

/// How often an interpreter is started where a native program is started this often.
const SLOWER: usize = 8;

/// What a call takes under each interpreter, each started anew.
pub(crate) fn rows(plan: Plan) -> Vec<Value> {
    let plan = plan.with_fewer_calls(SLOWER);
    let each = KINDS.iter().flat_map(|kind| {
        if !is_installed(kind.program) {
            return vec![skipped("I", kind.name, "skipped: not installed")];
        }
        let package = roomy((kind.package)());
        let id = package.manifest["plugin_id"].as_str().unwrap().to_owned();
        let host = host_with(cold(), &[package]);
        let served = Client::serving(&host);
        served.call(&id);
        let floods = |at_once: usize, calls: usize| -> Vec<_> {
            (0..plan.rounds().min(5))
                .map(|_| served.flood(&id, at_once, calls))
                .collect()
        };
        let one = median(floods(1, 8).iter().map(|flood| flood.p50_us));
        let many = median(floods(16, 32).iter().map(|flood| flood.rate));
        drop(served);
        let processor = processor_micros(&host.state(), &id);
        let line = |what: &str, unit, figure| {
            let what = format!("{}, started anew: {what}", kind.name);
            row("I", &what, unit, alone(figure), Target::None)
        };
        vec![
            line("one call through `serve`", Unit::Micros, one),
            line("16 at once through `serve`", Unit::Rate, many),
            line("processor time of one call", Unit::Micros, processor),
        ]
    });
    each.collect()
}

/// A figure beside nothing.
pub(crate) fn alone(figure: f64) -> Compared {
    Compared {
        ours: figure,
        baseline: 0.0,
        ratio: f64::NAN,
        added: figure,
    }
}

/// What the processes of one call use, the launcher's not counted: they are children of whoever has the gateway.
fn processor_micros(state: &std::path::Path, plugin: &str) -> f64 {
    const CALLS: usize = 16;
    let gateway = Gateway::open(state).expect("the state can be opened");
    let call = || {
        let outcome = gateway.invoke(plugin, &request(), None);
        let response = outcome.expect("the ledger is there").into_inner().response;
        assert_eq!(response.status, Status::Ok, "{}", response.notes);
    };
    call();
    let before = children_micros();
    (0..CALLS).for_each(|_| call());
    (children_micros() - before) / CALLS as f64
}

fn children_micros() -> f64 {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64;
    micros(used.user_time()) + micros(used.system_time())
}

/// Between two paced calls, so that a process can be started ahead of the next: some interpreters need a tenth of a second.
const PACE: Duration = Duration::from_millis(150);

/// Calls of one round, paced.
pub(crate) fn paced(calls: usize, pace: Duration, call: &dyn Fn()) -> (Figures, f64) {
    let times: Vec<f64> = (0..calls)
        .map(|_| {
            std::thread::sleep(pace);
            let begun = Instant::now();
            call();
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    let figures = Figures {
        p50_us: median(times.iter().copied()),
        rate: 0.0,
    };
    (figures, percentile_99(&times))
}

/// S6: an interpreter's plugin from the pool, against the same one started anew.
pub(crate) fn warm(plan: Plan) -> Vec<Value> {
    let what = |name: &str| {
        format!("{name}, whole invocation from the pool, paced, against its cold start")
    };
    let calls = plan.rounds().min(8);
    let row_of = |kind: &Kind| {
        let Some([off, on]) = pools() else {
            return skipped("S6", &what(kind.name), NO_POOL);
        };
        if !is_installed(kind.program) {
            return skipped("S6", &what(kind.name), "skipped: not installed");
        }
        let hosts = [on, off].map(|settings| host_with(settings, &[roomy((kind.package)())]));
        let package = (kind.package)();
        let id = package.manifest["plugin_id"].as_str().unwrap();
        let clients = hosts.each_ref().map(Client::serving);
        let round = |_| {
            let call = |client: &Client| paced(calls, PACE, &|| client.call(id)).0;
            clients.iter().map(call).collect()
        };
        let contest = Contest::of((0..plan.rounds().min(5)).map(round).collect());
        let p50 = contest.p50(0, 1);
        row(
            "S6",
            &what(kind.name),
            Unit::Micros,
            p50,
            Target::RatioTo(0.1),
        )
    };
    KINDS
        .iter()
        .filter(|kind| kind.name != "sh")
        .map(row_of)
        .collect()
}

pub(crate) const NO_POOL: &str = "no pool: this gateway starts a new process for every call";
