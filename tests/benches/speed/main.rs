//! Measures the gateway beside what it is compared with, in the same run, and prints a table.
//!
//! Every figure is a ratio of medians over interleaved rounds; absolute times of shared machines
//! travel badly. It writes `target/bench/report.json`.

mod baseline;
mod measure;
mod ours;
mod report;

use std::path::Path;

use crate::measure::{Contest, Plan};
use crate::report::Row;

/// Calls at once that are measured.
const AT_ONCE: [usize; 4] = [1, 2, 8, 32];

fn main() {
    // `cargo test` runs benches too, with this flag; speed is no test's business.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let plan = if quick { Plan::quick() } else { Plan::full() };
    let program = ours::echo_program();
    println!(
        "plugin: {} static C program, {} bytes, one JSON line in, one out",
        program.libc,
        program.bytes.len()
    );
    let gateway = ours::Installed::new(&program);
    let bare = baseline::Bare::new(&program.bytes);
    let rows: Vec<Row> = AT_ONCE
        .into_iter()
        .map(|at_once| {
            let contest = Contest::run(plan, at_once, &|| gateway.call(), &|| bare.call());
            Row::new(at_once, &contest)
        })
        .collect();
    report::print(&rows);
    let fan_out = ours::fan_out();
    println!(
        "\nfan-out over {} plugins that take {} ms each: {} ms in all",
        ours::FAN_OUT,
        ours::SLEEP.as_millis(),
        fan_out.as_millis()
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench/report.json");
    report::write(&file, &rows, fan_out).expect("the report can be written");
}
