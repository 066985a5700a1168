//! The report as a page: what was measured, on what, and what is not reached. It states nothing that this run did not measure.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::chart;
use crate::table::{figure, held, ratio, text};

/// Tools whose versions say what was compared with, and how each is asked.
const TOOLS: [(&str, &[&str]); 9] = [
    ("rustc", &["--version"]),
    ("cc", &["--version"]),
    ("python3", &["--version"]),
    ("node", &["--version"]),
    ("bwrap", &["--version"]),
    ("firejail", &["--version"]),
    ("nsjail", &["--version"]),
    ("minijail0", &["--version"]),
    ("sqlite3", &["--version"]),
];

/// The parts of the page: a heading, what is to be known, and whose rows stand there.
const PARTS: [(&str, &str, &[&str]); 4] = [
    (
        "Targets",
        "Each figure beside a baseline of the same run, measured in turns; a ratio is the middle one of the rounds' ratios.",
        &["S", "F1"],
    ),
    (
        "Interpreters",
        "A plugin that answers at once, started anew for each call.",
        &["I"],
    ),
    (
        "Load",
        "Throughput through `serve`, each process started anew; and calls of plugins that sleep.",
        &["L", "F2"],
    ),
    (
        "The jail, layer by layer",
        "The middle time of one start with more and more of the jail on.",
        &["J"],
    ),
];

/// Writes the page and its charts into the folder.
pub(crate) fn write(folder: &Path, rows: &[Value], quick: bool) -> io::Result<()> {
    let charts = [
        ("latency.svg", chart::latency(rows)),
        ("layers.svg", chart::layers(rows)),
    ];
    for (name, svg) in &charts {
        if let Some(svg) = svg {
            fs::write(folder.join(name), svg)?;
        }
    }
    let mut page = head(quick);
    for (heading, about, ids) in PARTS {
        let of_part: Vec<&Value> = rows.iter().filter(|row| is_of(row, ids)).collect();
        if !of_part.is_empty() {
            part(&mut page, heading, about, &of_part);
        }
        if let Some(name) = chart_of(heading)
            && charts
                .iter()
                .any(|(chart, svg)| *chart == name && svg.is_some())
        {
            say(&mut page, format_args!("\n![{heading}]({name})"));
        }
    }
    missed(&mut page, rows);
    fs::write(folder.join("report.md"), page)
}

fn is_of(row: &Value, ids: &[&str]) -> bool {
    let id = text(row, "id");
    ids.iter()
        .any(|wanted| id == *wanted || (*wanted == "S" && id.starts_with('S')))
}

fn chart_of(heading: &str) -> Option<&'static str> {
    match heading {
        "Load" => Some("latency.svg"),
        "The jail, layer by layer" => Some("layers.svg"),
        _ => None,
    }
}

fn head(quick: bool) -> String {
    let mut page = String::from("# Benchmarks\n\n");
    let run = if quick {
        "`scripts/bench --quick`"
    } else {
        "`scripts/bench`"
    };
    say(
        &mut page,
        format_args!(
            "Written by {run} of version {}, from one run.\n",
            env!("CARGO_PKG_VERSION")
        ),
    );
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_once(':')
            .map_or("", |(_, value)| value.trim())
            .to_owned()
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    say(&mut page, format_args!("| | |\n|---|---|"));
    say(
        &mut page,
        format_args!(
            "| processors | {processors} × {} |",
            field(&read("/proc/cpuinfo"), "model name")
        ),
    );
    say(
        &mut page,
        format_args!("| memory | {} |", field(&read("/proc/meminfo"), "MemTotal")),
    );
    say(
        &mut page,
        format_args!("| kernel | {} |", read("/proc/sys/kernel/osrelease").trim()),
    );
    say(
        &mut page,
        format_args!(
            "| load before the table was made | {} |",
            read("/proc/loadavg").trim()
        ),
    );
    for (tool, words) in TOOLS {
        say(
            &mut page,
            format_args!("| {tool} | {} |", version(tool, words)),
        );
    }
    page
}

fn version(tool: &str, words: &[&str]) -> String {
    let Ok(said) = Command::new(tool).args(words).output() else {
        return "not installed".to_owned();
    };
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    said.lines().next().unwrap_or_default().replace('|', " ")
}

fn part(page: &mut String, heading: &str, about: &str, rows: &[&Value]) {
    say(page, format_args!("\n## {heading}\n\n{about}\n"));
    say(
        page,
        format_args!(
            "| # | measure | ours | baseline | ratio | target | held |\n|---|---|---|---|---|---|---|"
        ),
    );
    for row in rows {
        let (id, measure) = (text(row, "id"), text(row, "measure"));
        match row["skipped"].as_str() {
            Some(why) => say(page, format_args!("| {id} | {measure} | {why} | | | | |")),
            None => say(
                page,
                format_args!(
                    "| {id} | {measure}{} | {} | {} | {} | {} | {} |",
                    latencies(row),
                    figure(row, "ours"),
                    figure(row, "baseline"),
                    ratio(row),
                    text(row, "target"),
                    held(row)
                ),
            ),
        }
    }
}

/// Of a point of the load, its latencies.
fn latencies(row: &Value) -> String {
    match (row["p50_us"].as_f64(), row["p99_us"].as_f64()) {
        (Some(p50), Some(p99)) => format!(": p50 {:.2} ms, p99 {:.2} ms", p50 / 1e3, p99 / 1e3),
        (_, _) => String::new(),
    }
}

/// What is not reached, for whoever copies the page to say why.
fn missed(page: &mut String, rows: &[Value]) {
    let missed: Vec<&Value> = rows.iter().filter(|row| row["held"] == false).collect();
    say(page, format_args!("\n## Not reached\n"));
    if missed.is_empty() {
        say(page, format_args!("{}", nothing_missed(rows)));
    }
    for row in missed {
        say(
            page,
            format_args!(
                "- {}, {}: {} where {} is wanted.",
                text(row, "id"),
                text(row, "measure"),
                ratio(row),
                text(row, "target")
            ),
        );
    }
}

/// Said where no target was missed; that there was none to miss is something else.
fn nothing_missed(rows: &[Value]) -> &'static str {
    match rows.iter().any(|row| row["held"] == true) {
        true => "Every target that was measured is held.",
        false => "No row of this run has a target.",
    }
}

fn say(page: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(page, "{what}").unwrap_or_default();
}
