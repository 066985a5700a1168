//! What is counted of calls, and its text form for monitoring (OpenMetrics 1.0). Counting never fails and never waits for long.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plugin_protocol::event::{Event, meta};

use super::pool::Held;
use super::record::Outcome;

/// The media type of the text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the buckets in milliseconds: from a static program's start to the longest call.
const BUCKETS_MS: [u64; 15] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000,
];

/// The most system calls that are counted apart by name; Linux has fewer.
const MAX_CALLS: usize = 512;

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    counts: Mutex<Counts>,
}

/// What the counters hold, and what is true at this moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    ends: BTreeMap<(String, String), u64>,
    violations: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
    starts: BTreeMap<String, u64>,
    durations: Histogram,
    records: Histogram,
}

/// What holds at this moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gauges {
    /// Calls that hold a slot.
    pub(crate) running: usize,
    /// Calls in the queue for one.
    pub(crate) waiting: usize,
    /// How many slots there are.
    pub(crate) slots: usize,
    /// How many calls the queue holds at most.
    pub(crate) waiting_at_most: usize,
    /// Plugins that are refused for a while.
    pub(crate) circuits_open: usize,
    /// Packages that are ready to be started.
    pub(crate) packages_ready: usize,
    /// What waits for calls.
    pub(crate) pool: Held,
    /// Events in the ledger.
    pub(crate) ledger_events: u64,
}

#[derive(Debug, Clone, Default)]
struct Histogram {
    buckets: [u64; BUCKETS_MS.len()],
    count: u64,
    sum: Duration,
}

impl Histogram {
    fn observe(&mut self, time: Duration) {
        let under = |bound: &u64| time <= Duration::from_millis(*bound);
        if let Some(bucket) = BUCKETS_MS
            .iter()
            .position(under)
            .and_then(|at| self.buckets.get_mut(at))
        {
            *bucket += 1;
        }
        self.count += 1;
        self.sum += time;
    }
}

impl Metrics {
    /// Counts how an attempt, or a call that was refused, ended.
    pub(super) fn ended(&self, outcome: &Outcome) {
        let response = &outcome.response;
        let time = Duration::from_millis(response.duration_ms);
        let denied = outcome.meta.get(meta::DENIED_CALL);
        self.lock().end(
            response.status.as_str(),
            outcome.cause.as_str(),
            denied.map(String::as_str),
            time,
        );
        if let Some(fact) = outcome.meta.get(meta::DENIED_COUNTS) {
            self.lock().refused_calls(fact);
        }
        if let Some(start) = outcome.meta.get(meta::START) {
            self.lock().started(start);
        }
    }

    /// Counts how long the ledger took to make an event durable.
    pub(super) fn recorded(&self, time: Duration) {
        self.lock().records.observe(time);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Counts a closing event as the ledger holds it; other events are passed over.
    pub(crate) fn take_event(&mut self, event: &Event) {
        let fact = |name: &str| event.meta.get(name).map(String::as_str);
        let (Some(status), Some(cause)) = (fact(meta::STATUS), fact(meta::CAUSE)) else {
            return;
        };
        let time = fact(meta::DURATION_MS)
            .and_then(|ms| ms.parse().ok())
            .map_or(Duration::ZERO, Duration::from_millis);
        self.end(status, cause, fact(meta::DENIED_CALL), time);
        if let Some(counts) = fact(meta::DENIED_COUNTS) {
            self.refused_calls(counts);
        }
        if let Some(start) = fact(meta::START) {
            self.started(start);
        }
    }

    fn started(&mut self, start: &str) {
        *self.starts.entry(start.to_owned()).or_default() += 1;
    }

    /// Counts refused system calls by name. All names are the sandbox's own: a plugin cannot make one up.
    fn refused_calls(&mut self, fact: &str) {
        for (call, count) in super::denial::counts(fact) {
            if self.refused.len() < MAX_CALLS || self.refused.contains_key(call) {
                let sum = self.refused.entry(call.to_owned()).or_default();
                *sum = sum.saturating_add(count);
            }
        }
    }

    fn end(&mut self, status: &str, cause: &str, denied: Option<&str>, time: Duration) {
        *self
            .ends
            .entry((status.to_owned(), cause.to_owned()))
            .or_default() += 1;
        self.durations.observe(time);
        if let Some(call) = denied
            && (self.violations.len() < MAX_CALLS || self.violations.contains_key(call))
        {
            *self.violations.entry(call.to_owned()).or_default() += 1;
        }
    }

    /// The text; without gauges where no gateway runs.
    pub(crate) fn render(&self, gauges: Option<Gauges>) -> String {
        let mut text = Text::default();
        text.family(
            "invocations",
            "counter",
            "Attempts and refusals by status and cause.",
        );
        for ((status, cause), count) in &self.ends {
            text.sample(
                "invocations_total",
                &[("status", status), ("cause", cause)],
                count,
            );
        }
        text.family(
            "violations",
            "counter",
            "Calls ended by the sandbox, by the system call that was tried.",
        );
        for (call, count) in &self.violations {
            text.sample("violations_total", &[("call", call)], count);
        }
        text.family(
            "refused_calls",
            "counter",
            "System calls that plugins were refused, by name.",
        );
        for (call, count) in &self.refused {
            text.sample("refused_calls_total", &[("call", call)], count);
        }
        text.family(
            "starts",
            "counter",
            "Plugins' processes that were asked, by when they were started.",
        );
        for (start, count) in &self.starts {
            text.sample("starts_total", &[("start", start)], count);
        }
        text.histogram(
            "invocation_duration_seconds",
            "From a request's arrival to its answer.",
            &self.durations,
        );
        if let Some(gauges) = gauges {
            text.histogram(
                "ledger_record_seconds",
                "From handing an event to the ledger until it is durable.",
                &self.records,
            );
            text.gauges(&gauges);
        }
        text.0.push_str("# EOF\n");
        text.0
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# TYPE plugin_gateway_{name} {kind}"));
        if name.ends_with("_seconds") {
            self.line(format_args!("# UNIT plugin_gateway_{name} seconds"));
        }
        self.line(format_args!("# HELP plugin_gateway_{name} {help}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        self.line(format_args!("plugin_gateway_{name}{labels} {value}"));
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        for (bound, count) in BUCKETS_MS.iter().zip(histogram.buckets) {
            below += count;
            let bound = Duration::from_millis(*bound).as_secs_f64().to_string();
            let bound = if bound.contains('.') {
                bound
            } else {
                format!("{bound}.0")
            };
            self.sample(&bucket, &[("le", &bound)], below);
        }
        self.sample(&bucket, &[("le", "+Inf")], histogram.count);
        self.sample(&format!("{name}_count"), &[], histogram.count);
        self.sample(&format!("{name}_sum"), &[], histogram.sum.as_secs_f64());
    }

    fn gauges(&mut self, gauges: &Gauges) {
        let discarded =
            "Processes that were discarded for what they did before they had a request.";
        self.family("waiting_discarded", "counter", discarded);
        self.sample("waiting_discarded_total", &[], gauges.pool.discarded);
        let rows = [
            (
                "calls_running",
                "Calls that hold a slot.",
                gauges.running as u64,
            ),
            ("calls_running_limit", "Slots in all.", gauges.slots as u64),
            (
                "calls_waiting",
                "Calls in the queue for a slot.",
                gauges.waiting as u64,
            ),
            (
                "calls_waiting_limit",
                "The most calls that the queue holds.",
                gauges.waiting_at_most as u64,
            ),
            (
                "circuits_open",
                "Plugins that are refused for a while.",
                gauges.circuits_open as u64,
            ),
            (
                "packages_ready",
                "Packages that are held ready to be started.",
                gauges.packages_ready as u64,
            ),
            (
                "waiting_processes",
                "Started processes that wait for a call.",
                gauges.pool.waiting as u64,
            ),
            (
                "waiting_memory_bytes",
                "The most memory that they may hold.",
                gauges.pool.bytes,
            ),
            (
                "ledger_events",
                "Events in the ledger.",
                gauges.ledger_events,
            ),
        ];
        for (name, help, value) in rows {
            self.family(name, "gauge", help);
            self.sample(name, &[], value);
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into a string cannot fail.
        writeln!(self.0, "{line}").unwrap_or_default();
    }
}

/// A label's value as the text format wants it (OpenMetrics 1.0, section "Escaping").
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_its_families_and_ends_with_eof() {
        let mut counts = Counts::default();
        counts.end("ok", "answer", None, Duration::from_millis(3));
        counts.end(
            "rejected",
            "violation",
            Some("socket"),
            Duration::from_secs(90),
        );
        let text = counts.render(Some(Gauges::default()));
        for line in [
            "# TYPE plugin_gateway_invocations counter",
            "plugin_gateway_invocations_total{status=\"ok\",cause=\"answer\"} 1",
            "plugin_gateway_violations_total{call=\"socket\"} 1",
            "plugin_gateway_invocation_duration_seconds_bucket{le=\"0.002\"} 0",
            "plugin_gateway_invocation_duration_seconds_bucket{le=\"0.005\"} 1",
            "plugin_gateway_invocation_duration_seconds_bucket{le=\"60.0\"} 1",
            "plugin_gateway_invocation_duration_seconds_bucket{le=\"+Inf\"} 2",
            "plugin_gateway_calls_waiting 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.ends_with("\n# EOF\n"));
    }

    #[test]
    fn names_of_calls_are_bounded_and_escaped() {
        let mut counts = Counts::default();
        for call in 0..MAX_CALLS + 10 {
            counts.end(
                "rejected",
                "violation",
                Some(&format!("\"{call}\n")),
                Duration::ZERO,
            );
        }
        assert_eq!(counts.violations.len(), MAX_CALLS);
        assert!(
            counts
                .render(None)
                .contains("violations_total{call=\"\\\"0\\n\"} 1")
        );
    }
}
