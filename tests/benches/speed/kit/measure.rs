//! Interleaved rounds of contestants: latency of each call and throughput of each round.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nix::sys::signal::{SigSet, Signal};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    rounds: usize,
    calls: usize,
}

/// What is measured, once.
pub(crate) type Call<'a> = Box<dyn Fn() + Sync + 'a>;

/// What one contestant did in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// The middle latency of a call in microseconds.
    pub(crate) p50_us: f64,
    /// Calls a second.
    pub(crate) rate: f64,
}

/// What all contestants did, round by round.
#[derive(Debug)]
pub(crate) struct Contest {
    rounds: Vec<Vec<Figures>>,
}

/// One figure of two contestants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compared {
    pub(crate) ours: f64,
    pub(crate) baseline: f64,
    /// The middle one of the rounds' ratios, which is steadier than the ratio of the medians: whatever else the machine does changes
    /// more from round to round than within one.
    pub(crate) ratio: f64,
    /// The middle one of the rounds' differences.
    pub(crate) added: f64,
}

impl Plan {
    /// Enough for steady medians, or enough to see that everything works.
    pub(crate) fn new(quick: bool) -> Self {
        if quick {
            Self {
                rounds: 5,
                calls: 64,
            }
        } else {
            Self {
                rounds: 9,
                calls: 400,
            }
        }
    }

    /// The same with fewer calls in a round, for what is slow.
    pub(crate) fn with_fewer_calls(self, divisor: usize) -> Self {
        const LEAST: usize = 8;
        Self {
            calls: (self.calls / divisor).max(LEAST),
            ..self
        }
    }

    pub(crate) fn calls(self) -> usize {
        self.calls
    }

    pub(crate) fn rounds(self) -> usize {
        self.rounds
    }

    /// One round of one contestant, `at_once` calls at a time.
    pub(crate) fn round(self, at_once: usize, call: &(dyn Fn() + Sync)) -> Figures {
        round(at_once, self.calls, call)
    }
}

/// While it lives, this thread and those that it starts are not woken when a child ends. What sets a bench up installs a
/// handler for that (to wait for commands with a time limit), and it would be paid for at every call.
#[derive(Debug)]
pub(crate) struct Undisturbed(SigSet);

impl Undisturbed {
    pub(crate) fn begin() -> Self {
        let before = SigSet::thread_get_mask().unwrap();
        SigSet::from(Signal::SIGCHLD).thread_block().unwrap();
        Self(before)
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        self.0.thread_set_mask().unwrap();
    }
}

impl Contest {
    /// Lets all run in turns, `at_once` calls at a time.
    pub(crate) fn run(plan: Plan, at_once: usize, contestants: &[Call<'_>]) -> Self {
        let _undisturbed = Undisturbed::begin();
        for call in contestants {
            // Warms caches and whatever is made at the first calls.
            round(at_once, at_once * 2, call);
        }
        let turn = |_| {
            contestants
                .iter()
                .map(|call| plan.round(at_once, call))
                .collect()
        };
        Self {
            rounds: (0..plan.rounds).map(turn).collect(),
        }
    }

    /// Rounds that were made elsewhere: the figures of every contestant in each.
    pub(crate) fn of(rounds: Vec<Vec<Figures>>) -> Self {
        Self { rounds }
    }

    /// Calls a second of one contestant beside another's.
    pub(crate) fn rate(&self, ours: usize, baseline: usize) -> Compared {
        self.compare(ours, baseline, |figures| figures.rate)
    }

    /// The middle latency of one contestant beside another's.
    pub(crate) fn p50(&self, ours: usize, baseline: usize) -> Compared {
        self.compare(ours, baseline, |figures| figures.p50_us)
    }

    fn compare(&self, ours: usize, baseline: usize, pick: fn(&Figures) -> f64) -> Compared {
        let of = |at: usize| self.rounds.iter().map(move |round| pick(&round[at]));
        let pairs = || of(ours).zip(of(baseline));
        Compared {
            ours: median(of(ours)),
            baseline: median(of(baseline)),
            ratio: median(pairs().map(|(a, b)| a / b)),
            added: median(pairs().map(|(a, b)| a - b)),
        }
    }
}

fn round(at_once: usize, calls: usize, call: &(dyn Fn() + Sync)) -> Figures {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let work = || {
        let mut mine = Vec::new();
        while next.fetch_add(1, Ordering::Relaxed) < calls {
            let begun = Instant::now();
            call();
            mine.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        mine
    };
    let latencies: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a call does not panic"))
            .collect()
    });
    Figures {
        rate: latencies.len() as f64 / start.elapsed().as_secs_f64(),
        p50_us: median(latencies.into_iter()),
    }
}

/// The middle one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
