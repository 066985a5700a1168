//! Several plugins on one request, one after the other, inside one total time.
//!
//! `cargo run --example pipeline -- PACKAGE PACKAGE…`, where each PACKAGE is a folder such as `target/packages/hello-sh`.

use std::env;
use std::error::Error;
use std::path::PathBuf;

use plugin_gateway::{PipelineInput, PipelinePolicy, Strategy, testing};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let packages: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if packages.is_empty() {
        return Err("usage: pipeline PACKAGE…".into());
    }
    let gateway = testing::Gateway::new()?;
    let plugins = packages.iter().map(|package| gateway.install(package));
    let plugins = plugins.collect::<Result<Vec<_>, _>>()?;
    // `FanOut` in place of `Sequential` runs them all at once.
    let policy = PipelinePolicy {
        strategy: Strategy::Sequential,
        plugin_ids: plugins.iter().map(ToString::to_string).collect(),
        timeout_ms: 20_000,
        stop_on_failure: true,
        input: PipelineInput::Same,
    };
    let request = json!({
        "request_id": "r1", "run_id": "pipeline", "timestamp": "2026-01-31T12:00:00Z", "context": {},
        "payload": {"kind": "text", "content": "hello there", "encoding": "utf-8", "metadata": {}},
        "policy": {"deterministic_only": false, "timeout_ms": 5000, "max_retries": 0},
    });
    let done = gateway.invoke_pipeline(&policy, &request, None)?;
    for step in &done.steps {
        print(&format!(
            "{} {}: {}",
            step.step_index, step.plugin_id, step.response.status
        ));
    }
    print(&format!("all: {}", done.overall_status));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example shows what it did")]
fn print(line: &str) {
    println!("{line}");
}
