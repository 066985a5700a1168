//! The table for people and the report for programs.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::measure::{Contest, Figures};
use crate::ours::{FAN_OUT, SLEEP};

/// One line of the table.
pub(crate) struct Row {
    at_once: usize,
    contest: Contest,
}

impl Row {
    pub(crate) fn new(at_once: usize, contest: &Contest) -> Self {
        Self {
            at_once,
            contest: *contest,
        }
    }

    fn json(&self) -> Value {
        let figures = |figures: Figures| json!({ "p50_us": micros(figures.p50), "p99_us": micros(figures.p99), "calls_per_second": figures.rate });
        let Contest { ours, baseline } = self.contest;
        json!({
            "measure": "cold invocation through the library, two durable events",
            "baseline": "bare posix_spawn of the same program, no ledger",
            "at_once": self.at_once,
            "ours": figures(ours),
            "baseline_figures": figures(baseline),
            "throughput_ratio": ours.rate / baseline.rate,
        })
    }
}

/// Prints the table.
pub(crate) fn print(rows: &[Row]) {
    println!(
        "\ncold invocation through the library (two durable events) beside a bare posix_spawn"
    );
    println!(
        "{:>7}  {:>12} {:>12} {:>9}  {:>12} {:>12} {:>9}  {:>6}",
        "at once", "ours p50", "p99", "calls/s", "bare p50", "p99", "calls/s", "ratio"
    );
    for row in rows {
        let Contest { ours, baseline } = row.contest;
        println!(
            "{:>7}  {:>9} µs {:>9} µs {:>9.0}  {:>9} µs {:>9} µs {:>9.0}  {:>6.2}",
            row.at_once,
            micros(ours.p50),
            micros(ours.p99),
            ours.rate,
            micros(baseline.p50),
            micros(baseline.p99),
            baseline.rate,
            ours.rate / baseline.rate
        );
    }
}

/// Writes the report.
pub(crate) fn write(file: &Path, rows: &[Row], fan_out: Duration) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let fan_out = json!({ "plugins": FAN_OUT, "each_ms": SLEEP.as_millis(), "in_all_ms": fan_out.as_millis() });
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    let document = json!({ "rows": rows, "fan_out": fan_out });
    fs::write(file, format!("{document:#}\n"))?;
    println!("\nwritten: target/bench/report.json");
    Ok(())
}

fn micros(time: Duration) -> u128 {
    time.as_micros()
}
