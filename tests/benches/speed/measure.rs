//! Interleaved rounds of two contestants: latency of each call and throughput of each round.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    rounds: usize,
    calls: usize,
}

impl Plan {
    /// Enough for steady medians.
    pub(crate) fn full() -> Self {
        Self {
            rounds: 7,
            calls: 400,
        }
    }

    /// Enough to see that everything works.
    pub(crate) fn quick() -> Self {
        Self {
            rounds: 3,
            calls: 64,
        }
    }
}

/// What one contestant did, as medians over the rounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// The middle latency of a call.
    pub(crate) p50: Duration,
    /// The latency that one call in a hundred exceeds.
    pub(crate) p99: Duration,
    /// Calls a second.
    pub(crate) rate: f64,
}

/// The gateway's figures beside the baseline's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contest {
    pub(crate) ours: Figures,
    pub(crate) baseline: Figures,
}

impl Contest {
    /// Lets both run in turns, `at_once` calls at a time.
    pub(crate) fn run(
        plan: Plan,
        at_once: usize,
        ours: &(dyn Fn() + Sync),
        baseline: &(dyn Fn() + Sync),
    ) -> Self {
        // One round beforehand warms caches and connections of both.
        let _warm = (
            round(at_once, at_once * 2, ours),
            round(at_once, at_once * 2, baseline),
        );
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            a.push(round(at_once, plan.calls, ours));
            b.push(round(at_once, plan.calls, baseline));
        }
        Self {
            ours: medians(&a),
            baseline: medians(&b),
        }
    }
}

fn round(at_once: usize, calls: usize, call: &(dyn Fn() + Sync)) -> Figures {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let mut latencies: Vec<Duration> = std::thread::scope(|scope| {
        let work = || {
            let mut mine = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < calls {
                let begun = Instant::now();
                call();
                mine.push(begun.elapsed());
            }
            mine
        };
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a call does not panic"))
            .collect()
    });
    let rate = calls as f64 / start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    Figures {
        p50: at(0.50),
        p99: at(0.99),
        rate,
    }
}

fn medians(rounds: &[Figures]) -> Figures {
    let time = |pick: fn(&Figures) -> Duration| {
        let mut all: Vec<Duration> = rounds.iter().map(pick).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    let mut rates: Vec<f64> = rounds.iter().map(|round| round.rate).collect();
    rates.sort_by(f64::total_cmp);
    Figures {
        p50: time(|round| round.p50),
        p99: time(|round| round.p99),
        rate: rates[rates.len() / 2],
    }
}
