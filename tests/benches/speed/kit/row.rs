//! One line of the table, as JSON: who made it need not know who prints it.

use serde_json::{Value, json};

use super::measure::Compared;

/// What is hoped for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// This ratio or more.
    RatioFrom(f64),
    /// This ratio or less.
    RatioTo(f64),
    /// This much more than the baseline, or less, in the row's unit.
    AddedTo(f64),
    /// Nothing: the row is there to be looked at.
    None,
}

/// What the figures count.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    Rate,
    Micros,
    Kib,
    Calls,
}

/// A row: what was measured beside what, and whether the target is held.
pub(crate) fn row(
    id: &str,
    measure: &str,
    unit: Unit,
    compared: Compared,
    target: Target,
) -> Value {
    let Compared {
        ours,
        baseline,
        ratio,
        added,
    } = compared;
    let (target, held) = match target {
        Target::RatioFrom(least) => (Some(format!("≥ {least}")), Some(ratio >= least)),
        Target::RatioTo(most) => (Some(format!("≤ {most}")), Some(ratio <= most)),
        Target::AddedTo(most) => (
            Some(format!("+ ≤ {most} {}", unit.as_str())),
            Some(added <= most),
        ),
        Target::None => (None, None),
    };
    json!({
        "id": id, "measure": measure, "unit": unit.as_str(), "ours": ours, "baseline": baseline,
        "ratio": ratio, "added": added, "target": target, "held": held,
    })
}

/// A row for what was not measured, and why.
pub(crate) fn skipped(id: &str, measure: &str, why: &str) -> Value {
    json!({ "id": id, "measure": measure, "skipped": why })
}

/// Names the file of rows that other programs add.
pub(crate) const ROWS: &str = "BENCH_ROWS";

/// Set, everything is short.
pub(crate) const QUICK: &str = "BENCH_QUICK";

impl Unit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "/s",
            Self::Micros => "µs",
            Self::Kib => "KiB",
            Self::Calls => "calls",
        }
    }
}
