//! Measures what a neighbour's call takes beside each kind of hostile plugin at full speed, and prints a table.
//!
//! One neighbour makes one call after the other through the gateway that the hostile callers use as well. In each round every kind has
//! its turn, and so has what it is compared with: nobody, an honest plugin, and processes outside the gateway that only spin. The fair share of
//! the processors is what a plugin that only spins leaves to its neighbour, called by as many. It judges nothing.
//!
//! `--quick` looks shorter; `--only WORDS` measures the lines that have these words in their name, and what they are compared with.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use campaigns::attacks::neighbours::{KINDS, Kind, Plugin};
use campaigns::crowd::{self, Crowd};
use campaigns::{Host, channel, processes};

/// Hostile callers at once: on two processors, twice as many as it takes to keep them busy.
const CALLERS: usize = 4;

/// A plugin that fails is given no rest, which would spare its neighbours.
const NO_REST: &str = "[circuit]\nfailures = 4294967295\n";

/// Where the state is: what a disk takes for a sync depends on who else writes to it, and is no matter of processors.
const IN_MEMORY: &str = "/dev/shm";

/// Who is beside the neighbour.
#[derive(Debug, Clone, Copy)]
enum Beside<'a> {
    Nobody,
    Spinning(usize),
    Honest,
    Hostile(&'a Kind),
}

/// How much is measured: so many turns of each line, each at least so long.
#[derive(Debug, Clone, Copy)]
struct Extent {
    rounds: usize,
    turn: Duration,
}

/// What was measured of one line of the table: the neighbour's calls in milliseconds, round by round, and the hostile calls a second.
#[derive(Debug, Default)]
struct Line {
    rounds: Vec<Vec<f64>>,
    hostile_rates: Vec<f64>,
}

fn main() {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    // `cargo test` runs benches too, with this flag; speed is no test's business.
    if has("--test") {
        return;
    }
    let (rounds, ms) = if has("--quick") || std::env::var_os("BENCH_QUICK").is_some() {
        (3, 500)
    } else {
        (9, 1_000)
    };
    let extent = Extent {
        rounds,
        turn: Duration::from_millis(ms),
    };
    let arguments: Vec<String> = std::env::args().collect();
    let only = arguments.windows(2).find(|pair| pair[0] == "--only");
    let lines = measure(extent, only.map_or("", |only| &only[1]));
    print(&lines, extent);
}

fn measure(extent: Extent, only: &str) -> Vec<(Beside<'static>, Line)> {
    let host = if Path::new(IN_MEMORY).is_dir() {
        Host::new_in(Path::new(IN_MEMORY))
    } else {
        Host::new()
    };
    for package in Plugin::ALL.map(Plugin::package) {
        host.install(&package);
    }
    host.install(&crowd::neighbour());
    host.alone();
    fs::write(host.state().join("config.toml"), NO_REST).expect("the settings can be written");
    let mut crowd = Crowd::open(&host);
    let all = [
        Beside::Nobody,
        Beside::Spinning(CALLERS),
        Beside::Spinning(4 * CALLERS),
        Beside::Honest,
    ];
    let kinds = KINDS
        .iter()
        .filter(|kind| kind.what.contains(only) || kind.is_fair_share());
    let all = all.into_iter().chain(kinds.map(Beside::Hostile));
    let mut lines: Vec<_> = all.map(|beside| (beside, Line::default())).collect();
    for round in 0..extent.rounds {
        eprintln!("round {} of {}", round + 1, extent.rounds);
        for (beside, line) in &mut lines {
            turn(&mut crowd, *beside, extent.turn, line);
        }
    }
    crowd.close();
    lines
}

/// One turn of one line of the table.
fn turn(crowd: &mut Crowd, beside: Beside<'_>, time: Duration, line: &mut Line) {
    let mut spinning = Vec::new();
    match beside {
        Beside::Nobody => {}
        Beside::Spinning(count) => spinning = (0..count).map(|_| Spinning::begin()).collect(),
        Beside::Honest => {
            let asks = channel::invoke(crowd::NEIGHBOUR, "honest", 60_000);
            crowd.begin_asking(asks, CALLERS);
        }
        Beside::Hostile(kind) => crowd.begin(kind, CALLERS),
    }
    // Until everybody is at work.
    let settled = Instant::now() + Duration::from_millis(150);
    while Instant::now() < settled {
        crowd.call_well();
    }
    let (begun, before) = (Instant::now(), crowd.ended());
    let mut took = Vec::new();
    while begun.elapsed() < time {
        took.push(crowd.call_well().as_secs_f64() * 1e3);
    }
    line.rounds.push(took);
    let ended = (crowd.ended() - before) as f64;
    line.hostile_rates
        .push(ended / begun.elapsed().as_secs_f64());
    drop(spinning);
    crowd.stop();
    // What the kernel still tears down is the next one's disturbance.
    while !processes::plugins_of(crowd.gateway()).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(50));
}

/// A process outside the gateway that only spins.
#[derive(Debug)]
struct Spinning(Child);

impl Spinning {
    fn begin() -> Self {
        // A session each, as plugins have: a scheduler that shares the processors among sessions counts them one by one.
        let mut command = Command::new("setsid");
        command
            .args(["sh", "-c", "while :; do :; done"])
            .stdin(Stdio::null());
        Self(command.spawn().expect("there are setsid and a shell"))
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it is ours");
    }
}

fn print(lines: &[(Beside<'_>, Line)], extent: Extent) {
    let Extent { rounds, turn } = extent;
    println!(
        "\nA neighbour's call in milliseconds, {rounds} turns of {turn:?} each, beside {CALLERS} callers:\n"
    );
    println!("| beside | p50 | p99 | p99, fair share = 1 | their calls a second |");
    println!("|---|---|---|---|---|");
    let fair = lines
        .iter()
        .find(|(beside, _)| matches!(beside, Beside::Hostile(kind) if kind.is_fair_share()));
    for (beside, line) in lines {
        // The middle one of the rounds, as whatever else the machine does changes more from round to round than within one.
        let (p50, p99) = (line.middle(0.5), line.middle(0.99));
        let pairs = fair
            .iter()
            .flat_map(|(_, fair)| line.rounds.iter().zip(&fair.rounds));
        let shares: Vec<f64> = pairs
            .map(|(own, fair)| at(own, 0.99) / at(fair, 0.99))
            .collect();
        println!(
            "| {} | {p50:.2} | {p99:.1} | {:.2} | {:.0} |",
            beside.words(),
            at(&shares, 0.5),
            at(&line.hostile_rates, 0.5)
        );
    }
}

impl Line {
    /// The middle one of the rounds' values at this part.
    fn middle(&self, part: f64) -> f64 {
        let each: Vec<f64> = self.rounds.iter().map(|round| at(round, part)).collect();
        at(&each, 0.5)
    }
}

/// The value below which this part of all lies.
fn at(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index within the values"
    )]
    let index = (sorted.len() as f64 * part) as usize;
    sorted
        .get(index.min(sorted.len() - 1))
        .copied()
        .unwrap_or(f64::NAN)
}

impl Beside<'_> {
    fn words(self) -> String {
        match self {
            Self::Nobody => "nobody".to_owned(),
            Self::Spinning(count) => format!("{count} processes that spin"),
            Self::Honest => "the same honest plugin".to_owned(),
            Self::Hostile(kind) => kind.what.to_owned(),
        }
    }
}
