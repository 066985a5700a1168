//! The stress host: many threads, hostile plugins among the good, calls taken back at random, garbage and half lines on the channel.
//!
//! `STRESS_THREADS` and `STRESS_CALLS` make it as large as one likes; `scripts/stress` runs the whole.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::Scope;
use std::time::Duration;

use campaigns::answers::{babbling, crashing, hostile, moody, prompt, slow};
use campaigns::channel::invoke;
use campaigns::command::Host;
use campaigns::processes::{descendants_of, peak_memory_kib};
use serde_json::{Value, json};

/// Answers may take long under load, but not for ever.
const STUCK: Duration = Duration::from_secs(300);

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A small generator (Numerical Recipes' constants), so that a run can be done again from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn pick<'a>(&mut self, among: &'a [String]) -> &'a str {
        &among[self.below(among.len())]
    }
}

/// The answers that threads wait for, by id.
#[derive(Default)]
struct Waiting {
    by_id: Mutex<HashMap<u64, Sender<Value>>>,
    twice: AtomicUsize,
    nobody: AtomicUsize,
    refused: AtomicUsize,
}

/// What all threads of the host share.
struct Stress<'a> {
    plugins: Vec<String>,
    input: Mutex<ChildStdin>,
    waiting: &'a Waiting,
    statuses: Mutex<BTreeMap<String, usize>>,
    garbage: AtomicUsize,
}

impl Stress<'_> {
    /// Makes the calls of one thread, one after the other, and waits for each answer.
    fn calls(&self, thread: usize, calls: usize) {
        let mut random = Random(thread as u64 + 1);
        for call in 0..calls {
            let id = (thread * calls + call) as u64;
            let plugin = random.pick(&self.plugins);
            let mut params = invoke(plugin, &id.to_string(), 10_000);
            params["request"]["run_id"] = json!(format!("run-{thread}"));
            let (wakes, answer) = channel();
            self.waiting.by_id.lock().unwrap().insert(id, wakes);
            let lines = self.lines(&mut random, id, &params, (thread + 1) * calls);
            let mut input = self.input.lock().unwrap();
            input.write_all(&lines).unwrap();
            drop(input);
            let answer = answer
                .recv_timeout(STUCK)
                .unwrap_or_else(|_| panic!("no answer to {params}"));
            let status = answer["result"]["status"]
                .as_str()
                .unwrap_or_else(|| panic!("{answer}"));
            *self
                .statuses
                .lock()
                .unwrap()
                .entry(status.to_owned())
                .or_default() += 1;
        }
    }

    /// The call's line; now and then with half a line or noise before it, or with a cancellation behind it: of itself, or of
    /// any call there was or will be.
    fn lines(&self, random: &mut Random, id: u64, params: &Value, last: usize) -> Vec<u8> {
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": "invoke", "params": params });
        let line = format!("{call}\n");
        let mut lines = match random.below(20) {
            0 => format!("{}\n", &line[..=random.below(40)]).into_bytes(),
            1 => noise(random),
            _ => Vec::new(),
        };
        if !lines.is_empty() {
            self.garbage.fetch_add(1, Ordering::Relaxed);
        }
        lines.extend(line.as_bytes());
        let which = match random.below(10) {
            0 => id,
            1 => random.below(last) as u64,
            _ => return lines,
        };
        let cancel = json!({ "jsonrpc": "2.0", "method": "cancel", "params": { "id": which } });
        lines.extend(format!("{cancel}\n").as_bytes());
        lines
    }
}

/// One line of any bytes but a newline; its first makes sure that it is no JSON.
fn noise(random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![0xff];
    bytes.extend((0..random.below(2_000)).map(|_| match random.below(256) {
        0x0a => 0,
        byte => u8::try_from(byte).unwrap(),
    }));
    bytes.push(b'\n');
    bytes
}

/// Gives each answer to the thread that waits for it.
fn distribute<'scope>(
    scope: &'scope Scope<'scope, '_>,
    child: &mut Child,
    waiting: &'scope Waiting,
) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    scope.spawn(move || {
        for line in lines.map_while(Result::ok) {
            let line: Value = serde_json::from_str(&line).unwrap();
            match line["id"].as_u64() {
                Some(id) => match waiting.by_id.lock().unwrap().remove(&id) {
                    Some(wakes) => wakes.send(line).unwrap(),
                    None => {
                        waiting.twice.fetch_add(1, Ordering::Relaxed);
                    }
                },
                None if line["error"]["code"].as_i64() == Some(-32_700) => {
                    waiting.refused.fetch_add(1, Ordering::Relaxed);
                }
                None => {
                    waiting.nobody.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
}

#[test]
fn inv_pnp_07_a_stress_host_gets_every_answer_once_and_the_ledger_is_whole() {
    let (threads, calls) = (number("STRESS_THREADS", 8), number("STRESS_CALLS", 25));
    let host = Host::new();
    let plugins: Vec<String> = [
        prompt("p.stress.prompt"),
        prompt("p.stress.other"),
        slow("p.stress.slow", 5),
        crashing("p.stress.crash"),
        hostile("p.stress.hostile"),
        babbling("p.stress.babble"),
        moody("p.stress.moody"),
    ]
    .iter()
    .map(|package| host.install(package))
    .chain(["p.stress.unknown".to_owned()])
    .collect();
    let mut command = host.command();
    let mut child = command
        .args(["--quiet", "serve"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Each piece of garbage is a warning there.
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let gateway = child.id();
    let input = Mutex::new(child.stdin.take().unwrap());
    let waiting = Waiting::default();
    let peak = AtomicUsize::new(0);
    let stress = Stress {
        plugins,
        input,
        waiting: &waiting,
        statuses: Mutex::default(),
        garbage: AtomicUsize::new(0),
    };
    let mut done = None;
    std::thread::scope(|scope| {
        distribute(scope, &mut child, &waiting);
        std::thread::scope(|workers| {
            let stress = &stress;
            for thread in 0..threads {
                workers.spawn(move || stress.calls(thread, calls));
            }
        });
        peak.store(
            usize::try_from(peak_memory_kib(gateway)).unwrap(),
            Ordering::Relaxed,
        );
        drop(stress.input);
        done = Some((stress.statuses, stress.garbage));
        assert!(child.wait().unwrap().success());
    });
    let (statuses, garbage) = done.unwrap();
    let (peak, statuses) = (peak.into_inner(), statuses.into_inner().unwrap());
    eprintln!("{threads} threads, {calls} calls each: {statuses:?}, the gateway's peak {peak} KiB");
    assert_eq!(statuses.values().sum::<usize>(), threads * calls);
    assert_eq!(waiting.twice.into_inner(), 0, "no call is answered twice");
    assert_eq!(waiting.nobody.into_inner(), 0);
    assert_eq!(
        waiting.refused.into_inner(),
        garbage.into_inner(),
        "each piece of garbage is told of"
    );
    assert!(peak < 256 * 1024, "{peak} KiB");
    assert!(descendants_of(gateway).is_empty());
    check_ledger(&host, threads * calls);
}

/// Each call has one closing event; each `INVOKE` is followed by its own.
fn check_ledger(host: &Host, calls: usize) {
    host.say(["ledger", "verify"]).expect(0);
    let (mut open, mut closed) = (HashMap::new(), HashMap::<String, usize>::new());
    for event in host
        .events()
        .into_iter()
        .filter(|event| event["run_id"] != "system")
    {
        let request = event["request_id"].as_str().unwrap().to_owned();
        if event["kind"] == "INVOKE" {
            open.insert(event["event_id"].as_str().unwrap().to_owned(), request);
        } else {
            if let Some(invoke) = event["meta"]["invoke"].as_str() {
                assert_eq!(open.remove(invoke), Some(request.clone()));
            }
            *closed.entry(request).or_default() += 1;
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(closed.len(), calls);
    assert!(closed.values().all(|count| *count == 1));
}
