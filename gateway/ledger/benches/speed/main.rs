//! Measures the ledger and what it is compared with. It judges nothing: it prints tables.
//!
//! `cargo bench -p gateway-ledger --bench speed -- appends` or `-- large`; without a name both. `EVENTS` says how large.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a figure stops at the first failure, and printing is its purpose"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use gateway_ledger::{Draft, Ledger, Opening, Options, Record, Verification};
use plugin_protocol::digest::{EventHash, PayloadHash};
use plugin_protocol::event::EventKind;
use plugin_protocol::ids::{PluginId, RequestId, RunId};

fn main() {
    if let Some(state) = std::env::var_os(STATE) {
        return one_step(Path::new(&state));
    }
    let names: Vec<String> = std::env::args().skip(1).collect();
    // Cargo itself adds `--bench`.
    let wanted = |name: &str| {
        let mut named = names
            .iter()
            .filter(|name| !name.starts_with("--"))
            .peekable();
        named.peek().is_none() || named.any(|given| given == name)
    };
    if wanted("appends") {
        appends();
    }
    if wanted("large") {
        large_ledgers();
    }
}

/// A draft that can be recorded as it is.
struct Plain(Draft);

impl Record for Plain {
    fn draft(&self) -> Draft {
        self.0.clone()
    }
}

fn draft(kind: EventKind, run: &str, request: &str) -> Plain {
    Plain(Draft {
        run_id: RunId::parse(run).unwrap(),
        kind,
        plugin_id: Some(PluginId::parse("p.text.hello").unwrap()),
        request_id: Some(RequestId::parse(request).unwrap()),
        input_hash: Some(PayloadHash::of(request.as_bytes())),
        output_hash: None,
        meta: BTreeMap::from([("layers".to_owned(), "seccomp landlock".to_owned())]),
    })
}

fn open(state: &Path) -> (Ledger, Opening) {
    Ledger::open(state, Options::default(), &mut |_| {}).unwrap()
}

fn verify(state: &Path) -> Verification {
    gateway_ledger::verify(state, None, &|_, _| {}).unwrap()
}

/// Writes a ledger of `events` ordinary events in whole segments by hand: the writer would need far longer.
fn made(state: &Path, events: u64) {
    const FIRST_MS: u64 = 1_769_860_800_000;
    let (mut prev, mut first, mut bytes) = (String::new(), 0, Vec::new());
    for index in 0..events {
        let call = index / 2;
        let kind = if index % 2 == 0 { "INVOKE" } else { "RESULT" };
        let (ms, counter) = (FIRST_MS + index / 4_096, index % 4_096);
        let input = PayloadHash::of(format!("request-{call}").as_bytes());
        let rest = format!(
            r#""event_id":"{:08x}-{:04x}-7{counter:03x}-8000-000000000000","input_hash":"{input}","kind":"{kind}","meta":{{"layers":"seccomp landlock"}},"output_hash":"","plugin_id":"p.text.hello","prev_hash":"{prev}","request_id":"request-{call}","run_id":"run-{}","ts":"2026-01-31T12:00:00.000Z"}}"#,
            ms >> 16,
            ms & 0xffff,
            call / 10,
        );
        prev = EventHash::of(format!("{{{rest}").as_bytes()).to_string();
        bytes.extend_from_slice(format!("{{\"event_hash\":\"{prev}\",{rest}\n").as_bytes());
        if bytes.len() > (64 << 20) - 1_000 || index + 1 == events {
            std::fs::write(state.join(format!("ledger/seg/{first:020}.ndjson")), &bytes).unwrap();
            bytes.clear();
            first = index + 1;
        }
    }
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> (T, f64) {
    let (done, seconds) = timed_quietly(work);
    println!("{what}: {seconds:.3} s");
    (done, seconds)
}

/// Events that the writer itself appends at the end, so that checkpoints and marks stand there as a running gateway leaves
/// them: more than two segments of them, since only a mark with 32 MiB behind it is used.
const APPENDED: u64 = 300_000;

fn large_ledgers() {
    let events: u64 = std::env::var("EVENTS")
        .ok()
        .and_then(|events| events.parse().ok())
        .unwrap_or(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    gateway_ledger::init(folder.path()).unwrap();
    println!("\na ledger of {events} events");
    timed("making most of it", || {
        made(folder.path(), events.saturating_sub(APPENDED))
    });
    let ((ledger, _), _) = timed(
        "open without any checkpoint: all is read, tiles are made",
        || open(folder.path()),
    );
    timed("appending the rest, 32 callers", || append_at_once(&ledger));
    timed("until every closed segment has its index", || {
        until_indexed(folder.path())
    });
    drop(ledger);
    let steps = [
        ("verify", None),
        ("verify", Some("0")),
        ("open", None),
        ("export", None),
        ("query", None),
    ];
    for (step, processor) in steps {
        in_a_process_of_its_own(step, folder.path(), processor);
    }
}

/// Where a step of the figure finds its ledger, and which step it is.
const STATE: &str = "LEDGER_FIGURE_STATE";
const STEP: &str = "LEDGER_FIGURE_STEP";

/// Runs one step, on one processor alone where it is named, so that its memory is its own.
fn in_a_process_of_its_own(step: &str, state: &Path, processor: Option<&str>) {
    let this = std::env::current_exe().unwrap();
    let mut command = match processor {
        Some(number) => {
            let mut command = std::process::Command::new("taskset");
            command.args(["-c", number]).arg(this);
            command
        }
        None => std::process::Command::new(this),
    };
    let output = match command.env(STATE, state).env(STEP, step).output() {
        Ok(output) => output,
        Err(error) => return println!("skipped: {step} on one processor: {error}"),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    print!("{text}");
}

/// One step, in a process of its own.
fn one_step(state: &Path) {
    const ROUNDS: usize = 3;
    let step = std::env::var(STEP).unwrap();
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        let detail = match step.as_str() {
            "verify" => {
                let (words, rate) = verify_all(state);
                rows.push((
                    rate,
                    "/s",
                    "events verified in a second of one processor",
                    Target::From(1e6),
                ));
                words
            }
            "open" => {
                let ((_, opening), seconds) = timed_quietly(|| open(state));
                rows.push((seconds, "s", "opening the large ledger", Target::To(1.0)));
                format!(
                    "{seconds:.3} s, read from event {} of {}",
                    opening.checked_from, opening.events
                )
            }
            "export" => {
                let (ledger, _) = open(state);
                let run = RunId::parse("run-7").unwrap();
                let (_, seconds) =
                    timed_quietly(|| ledger.export_proof(&run, Default::default()).unwrap());
                format!("{seconds:.3} s for a run of 20 events")
            }
            _ => {
                let filter = gateway_ledger::Filter {
                    run: Some(RunId::parse("run-9").unwrap()),
                    ..Default::default()
                };
                let (found, seconds) =
                    timed_quietly(|| gateway_ledger::query(state, &filter).unwrap().count());
                assert_eq!(found, 20);
                format!("{seconds:.3} s for a run of 20 events")
            }
        };
        println!("{step}: {detail}");
    }
    println!("{step}: {} of memory at most", peak_memory());
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((figure, unit, what, target)) = rows.into_iter().nth(ROUNDS / 2) {
        leave(what, unit, [figure, 0.0], target);
    }
}

fn verify_all(state: &Path) -> (String, f64) {
    let before = processor_seconds();
    let (found, seconds) = timed_quietly(|| verify(state));
    assert!(found.valid, "{}", found.reason);
    let millions = found.events as f64 / 1e6;
    let of_one = millions / (processor_seconds() - before);
    let words = format!(
        "{seconds:.3} s, {:.2} million events/s on {} processors, {:.2} in a second of one; {} bytes an event",
        millions / seconds,
        std::thread::available_parallelism().unwrap(),
        of_one,
        found.bytes / found.events
    );
    (words, of_one * 1e6)
}

fn timed_quietly<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed().as_secs_f64())
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap().trim().to_owned()
}

/// What this process has used so far, in clock ticks of 10 ms (proc_pid_stat(5), fields 14 and 15).
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields = fields.split_whitespace().skip(11).take(2);
    fields
        .map(|ticks| ticks.parse::<f64>().unwrap() / 100.0)
        .sum()
}

fn append_at_once(ledger: &Ledger) {
    const CALLERS: u64 = 32;
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            scope.spawn(move || {
                for call in 0..APPENDED / CALLERS {
                    let draft = draft(EventKind::Reject, "late", &format!("{caller}-{call}"));
                    ledger.record(draft).unwrap();
                }
            });
        }
    });
}

fn until_indexed(state: &Path) {
    let count = |folder: &str| std::fs::read_dir(state.join(folder)).unwrap().count();
    // Every segment but the last.
    while count("ledger/index") + 1 < count("ledger/seg") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Inserts `argv[3]` rows from each of `argv[2]` threads through one connection, which is fastest for SQLite:
/// threads with connections of their own spend their time waiting for each other's locks.
const SQLITE: &str = r#"
import sqlite3, sys, threading, time
path, callers, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=FULL")
db.execute("CREATE TABLE IF NOT EXISTS events (line TEXT)")
lock, line = threading.Lock(), "x" * 560
def work():
    for _ in range(each):
        with lock:
            db.execute("INSERT INTO events VALUES (?)", (line,))
threads = [threading.Thread(target=work) for _ in range(callers)]
begun = time.perf_counter()
for thread in threads: thread.start()
for thread in threads: thread.join()
print(callers * each / (time.perf_counter() - begun))
"#;

/// Rows a second, or why there is no figure.
fn sqlite(folder: &Path, callers: usize, each: usize) -> Result<f64, String> {
    let output = std::process::Command::new("python3")
        .args(["-c", SQLITE])
        .arg(folder.join("rows.db"))
        .args([callers.to_string(), each.to_string()])
        .output()
        .map_err(|error| format!("python3 cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Leaves a row for the table of all measures, in the form that it takes, where the environment says where.
fn leave(measure: &str, unit: &str, [ours, baseline]: [f64; 2], target: Target) {
    let Some(file) = std::env::var_os("BENCH_ROWS") else {
        return;
    };
    let ratio = ours / baseline;
    let ratio = if baseline == 0.0 {
        "null".to_owned()
    } else {
        ratio.to_string()
    };
    let (words, held) = match target {
        Target::RatioFrom(least) => (format!("\"≥ {least}\""), ours / baseline >= least),
        Target::From(least) => (format!("\"≥ {least} {unit}\""), ours >= least),
        Target::To(most) => (format!("\"≤ {most} {unit}\""), ours <= most),
        Target::None => ("null".to_owned(), false),
    };
    let held = if words == "null" {
        "null".to_owned()
    } else {
        held.to_string()
    };
    let row = format!(
        "{{\"id\":\"S10\",\"measure\":\"{measure}\",\"unit\":\"{unit}\",\"ours\":{ours},\"baseline\":{baseline},\"ratio\":{ratio},\"added\":{},\"target\":{words},\"held\":{held}}}\n",
        ours - baseline
    );
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.append(true).create(true).open(file).unwrap();
    std::io::Write::write_all(&mut file, row.as_bytes()).unwrap();
}

/// What is hoped for.
enum Target {
    RatioFrom(f64),
    From(f64),
    To(f64),
    None,
}

fn appends() {
    const ROUNDS: usize = 5;
    let folder = tempfile::tempdir().unwrap();
    gateway_ledger::init(folder.path()).unwrap();
    let raw = || {
        let file = std::fs::File::create(folder.path().join("raw")).unwrap();
        let start = Instant::now();
        for at in 0..2_000 {
            std::os::unix::fs::FileExt::write_all_at(&file, &[b'x'; 560], at * 560).unwrap();
            file.sync_data().unwrap();
        }
        2_000.0 / start.elapsed().as_secs_f64()
    };
    let (ledger, _) = open(folder.path());
    let ours = |callers: usize, each: usize| {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..callers {
                let ledger = ledger.clone();
                scope.spawn(move || {
                    for call in 0..each {
                        ledger
                            .record(draft(EventKind::Result, "r", &format!("{call}")))
                            .unwrap();
                    }
                });
            }
        });
        f64::from(u32::try_from(callers * each).unwrap()) / start.elapsed().as_secs_f64()
    };
    println!("\ndurable appends a second, medians of {ROUNDS} rounds in turns");
    println!(
        "{:>7} {:>9} {:>22} {:>6}",
        "callers", "ledger", "SQLite (WAL, FULL)", "ratio"
    );
    for callers in [1, 8, 32] {
        let each = 2_000 / callers.min(4);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            a.push(ours(callers, each));
            match sqlite(folder.path(), callers, 2_000 / callers) {
                Ok(rate) => b.push(rate),
                Err(why) => return println!("skipped: SQLite: {why}"),
            }
        }
        let (a, b) = (median(a), median(b));
        println!("{callers:>7} {a:>9.0} {b:>22.0} {:>6.2}", a / b);
        let target = match callers {
            1 => Target::RatioFrom(0.9),
            32 => Target::RatioFrom(8.0),
            _ => Target::None,
        };
        let what = format!("durable appends, {callers} callers, against SQLite (WAL, FULL)");
        leave(&what, "/s", [a, b], target);
    }
    let bare = median((0..ROUNDS).map(|_| raw()).collect());
    println!("a bare write and fdatasync of the same size, one at a time: {bare:.0} a second");
}
