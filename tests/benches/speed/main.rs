//! Measures the gateway beside what it is compared with, in the same run and in turns, and prints one table of all measures.
//!
//! `--quick` looks shorter; `--only ID` measures one line of the table. Rows that other programs of the bench measured are taken
//! from the file that `BENCH_ROWS` names. It writes `target/bench/report.json`, `report.md` and two charts.

mod chart;
mod client;
mod fan_out;
mod interpreters;
mod inventory;
mod journal;
#[expect(
    dead_code,
    reason = "the gateway's own tests use the other half of the kit"
)]
mod kit;
mod load;
mod pooled;
mod report;
mod served;
mod table;
mod tool;
mod whole;

use std::path::Path;

use serde_json::Value;

use crate::kit::row::{QUICK, ROWS};
use crate::kit::{Echo, Plan};

/// One line of the table: its number, and how its rows are made.
type Measure = (&'static str, fn(Extent) -> Vec<Value>);

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    plan: Plan,
    quick: bool,
}

const MEASURES: [Measure; 11] = [
    ("S3", |Extent { plan, .. }| {
        pooled::rows(plan, &Echo::freestanding())
    }),
    ("S4", |Extent { plan, .. }| {
        let mut rows = whole::rows(plan, &Echo::freestanding());
        rows.extend(whole::rows(plan, &Echo::hosted()));
        rows
    }),
    ("S6", |Extent { plan, .. }| interpreters::warm(plan)),
    ("S7", |Extent { plan, .. }| {
        vec![served::channel(plan, &Echo::freestanding())]
    }),
    ("S9", |Extent { plan, .. }| served::memory(plan)),
    ("S11", |Extent { plan, quick }| {
        let many = if quick { 1_000 } else { 10_000 };
        inventory::rows(plan, many, &Echo::freestanding())
    }),
    ("S12", |Extent { plan, .. }| tool::rows(plan)),
    ("I", |Extent { plan, .. }| interpreters::rows(plan)),
    ("L", |Extent { plan, .. }| {
        load::curve(plan, &Echo::freestanding())
    }),
    ("F2", |_| load::sleepers()),
    ("F1", |Extent { plan, .. }| {
        fan_out::rows(plan.with_fewer_calls(50))
    }),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // `cargo test` runs benches too, with this flag; speed is no test's business.
    if has("--test") {
        return;
    }
    let only = arguments.windows(2).find(|pair| pair[0] == "--only");
    let quick = has("--quick") || std::env::var_os(QUICK).is_some();
    let extent = Extent {
        plan: Plan::new(quick),
        quick,
    };
    let mut rows = handed_over();
    for (id, measure) in MEASURES {
        if only.is_none_or(|only| only[1] == id) {
            rows.extend(measure(extent));
        }
    }
    rows.sort_by_key(number);
    table::print(&rows);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    let written = table::write(&folder.join("report.json"), &rows)
        .and_then(|()| report::write(&folder, &rows, quick));
    written.expect("the report can be written");
    println!("\nwritten: report.json, report.md, latency.svg and layers.svg in target/bench");
}

/// The rows that other programs of the bench left.
fn handed_over() -> Vec<Value> {
    let Some(file) = std::env::var_os(ROWS) else {
        return Vec::new();
    };
    let text = std::fs::read_to_string(file).expect("the rows can be read");
    let row = |line| serde_json::from_str(line).expect("a row is JSON");
    text.lines().map(row).collect()
}

/// The number in a row's id, for the order of the table.
fn number(row: &Value) -> u32 {
    let id = row["id"].as_str().unwrap_or_default();
    id.trim_start_matches('S').parse().unwrap_or(u32::MAX)
}
