//! The gateway's way: the same program as an enabled plugin, called through the library with its durable ledger.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use campaigns::Host;
use campaigns::answers::slow;
use campaigns::package::Package;
use campaigns::program::PRELUDE;
use plugin_gateway::Gateway;
use plugin_protocol::message::Status;
use plugin_protocol::report::PipelinePolicy;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A program that answers each request with the same small object.
pub(crate) struct Program {
    pub(crate) libc: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// Compiles the echo plugin with musl where it is installed, else with the host's C library.
pub(crate) fn echo_program() -> Program {
    let folder = TempDir::new().unwrap();
    let (source, program) = (folder.path().join("echo.c"), folder.path().join("echo"));
    fs::write(
        &source,
        format!("{PRELUDE}\nint main(void) {{ read_line(); answer(\"{{}}\"); return 0; }}\n"),
    )
    .unwrap();
    let compilers = [("musl-gcc", "musl"), ("cc", "glibc")];
    for (compiler, libc) in compilers {
        let built = Command::new(compiler)
            .args(["-O2", "-s", "-w", "-static", "-o"])
            .arg(&program)
            .arg(&source)
            .status();
        if built.is_ok_and(|status| status.success()) {
            return Program {
                libc,
                bytes: fs::read(&program).unwrap(),
            };
        }
        println!("skipped: {compiler} is not installed or cannot link statically");
    }
    panic!("the bench needs a C compiler that links statically");
}

fn request() -> Value {
    json!({
        "request_id": "bench", "run_id": "bench", "timestamp": "2026-01-31T12:00:00.000Z",
        "payload": { "kind": "text", "content": "hello", "encoding": "utf-8", "metadata": {} },
        "context": {}, "policy": { "deterministic_only": false, "timeout_ms": 5000, "max_retries": 0 },
    })
}

/// The line that a plugin is given.
pub(crate) fn request_line() -> Vec<u8> {
    let mut line = json!({ "type": "invoke", "request": request() })
        .to_string()
        .into_bytes();
    line.push(b'\n');
    line
}

/// A gateway with the program enabled.
pub(crate) struct Installed {
    _host: Host,
    gateway: Gateway,
    id: String,
    request: Value,
}

impl Installed {
    pub(crate) fn new(program: &Program) -> Self {
        let host = Host::new();
        let id = host.install(&Package::native("p.bench.echo", &program.bytes));
        let gateway = Gateway::open(&host.state()).expect("the state can be opened");
        Self {
            _host: host,
            gateway,
            id,
            request: request(),
        }
    }

    /// One whole invocation, two durable events included.
    pub(crate) fn call(&self) {
        let outcome = self
            .gateway
            .invoke(&self.id, &self.request, None)
            .expect("the ledger is there");
        assert_eq!(
            outcome.response.status,
            Status::Ok,
            "{}",
            outcome.response.notes
        );
    }
}

/// How many plugins a fan-out asks at once, and how long each sleeps before it answers.
pub(crate) const FAN_OUT: usize = 20;
pub(crate) const SLEEP: Duration = Duration::from_millis(100);

/// The middle time of a fan-out over twenty sleeping plugins, each with its two durable events.
pub(crate) fn fan_out() -> Duration {
    const ROUNDS: usize = 7;
    let host = Host::new();
    let sleep_ms = u32::try_from(SLEEP.as_millis()).expect("a short time");
    let plugin_ids: Vec<String> = (0..FAN_OUT)
        .map(|at| host.install(&slow(&format!("p.bench.sleeps{at}"), sleep_ms)))
        .collect();
    let gateway = Gateway::open(&host.state()).expect("the state can be opened");
    let policy = json!({ "strategy": "fan_out", "plugin_ids": plugin_ids, "timeout_ms": 60_000, "stop_on_failure": true });
    let policy: PipelinePolicy = serde_json::from_value(policy).expect("a policy");
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            let response = gateway
                .invoke_pipeline(&policy, &request(), None)
                .expect("the ledger is there");
            assert_eq!(response.overall_status, Status::Ok);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}
