//! Calls while nodes, server and links are cut at random, each node in a network of its own.
//!
//! `STORM_CALLS` and `STORM_KILLS` make it longer (`scripts/stress fleet`); as a test it is short.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gateway_fleet::{Access, Caller};
use serde_json::{Value, json};

use crate::town::{Nets, Town, lines};

/// How many callers ask at a time.
const CALLERS: usize = 16;
/// What a call is allowed, and how long beside it its caller waits for an answer that is on its way.
const TIMEOUT_MS: u64 = 5_000;
const GRACE: Duration = Duration::from_secs(4);
/// How long a caller waits for a node to be there at all.
const NOBODY: Duration = Duration::from_secs(60);

fn number(name: &str, or: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(or)
}

/// Where the kills come from: a plain generator, so that a run can be made again (`STORM_SEED`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// One call as its caller saw it.
#[derive(Debug)]
struct Seen {
    request_id: String,
    status: String,
    event: Option<(String, String)>,
    took: Duration,
}

/// "No request with two RESULTs, no acknowledged answer missing from a ledger, every caller answered or timed out in its time, ledgers
/// valid, fleet proof valid."
#[test]
fn a_storm_leaves_no_call_done_twice_and_no_answer_unproven() {
    let Some(nets) = Nets::new(3) else { return };
    let Some(mut town) = Town::in_nets(nets) else {
        return;
    };
    let (calls, kills) = (number("STORM_CALLS", 150), number("STORM_KILLS", 6));
    let access = Access {
        url: town.own_url(),
        ..Access::default()
    };
    let receipts = town.path("receipts").into();
    let (next, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let asking = {
        let (next, done) = (Arc::clone(&next), Arc::clone(&done));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(ask_all(access, receipts, calls, next, done))
        })
    };
    let mut dice = Dice(number("STORM_SEED", 4_711) as u64 | 1);
    let mut counted = BTreeMap::new();
    for kill in 0..kills {
        // Spread over the calls.
        while done.load(Ordering::SeqCst) < calls * kill / kills && !asking.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let node = usize::try_from(dice.roll(3)).unwrap();
        let what = match dice.roll(10) {
            0 => {
                town.kill_server();
                town.start_server();
                "server"
            }
            1..=4 => {
                town.nets().link(node, false);
                std::thread::sleep(Duration::from_millis(dice.roll(400)));
                town.nets().link(node, true);
                "link"
            }
            _ => {
                town.kill_node(node);
                town.start_node(node);
                "node"
            }
        };
        *counted.entry(what).or_insert(0) += 1;
    }
    let seen = asking.join().unwrap();
    judge(&town, &seen, &format!("{calls} calls, kills {counted:?}"));
}

async fn ask_all(
    access: Access,
    receipts: std::path::PathBuf,
    calls: usize,
    next: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
) -> Vec<Seen> {
    // The server may be down just now.
    let caller = loop {
        match Caller::connect(&access, Some(receipts.clone())).await {
            Ok(caller) => break Arc::new(caller),
            Err(_down) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    let mut tasks = Vec::new();
    for _ in 0..CALLERS {
        let (caller, next, done) = (Arc::clone(&caller), Arc::clone(&next), Arc::clone(&done));
        tasks.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            loop {
                let call = next.fetch_add(1, Ordering::SeqCst);
                if call >= calls {
                    return seen;
                }
                seen.push(one(&caller, call).await);
                done.fetch_add(1, Ordering::SeqCst);
            }
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all
}

async fn one(caller: &Caller, call: usize) -> Seen {
    let request_id = format!("call-{call}");
    let request = json!({
        "request_id": request_id, "run_id": "storm", "timestamp": "2026-01-31T12:00:00Z", "context": {},
        "payload": {"kind": "text", "content": "a b", "encoding": "utf-8", "metadata": {}},
        "policy": {"deterministic_only": false, "timeout_ms": TIMEOUT_MS, "max_retries": 0},
    });
    let give_up = Instant::now() + NOBODY;
    let (answer, took) = loop {
        let begin = Instant::now();
        let answer = caller.invoke("p.hello.sh", &request).await;
        let took = begin.elapsed();
        // No node just then, or none with room: nothing was begun, so that the caller may ask again.
        let none = answer.as_ref().is_ok_and(|answer| {
            answer.receipt.is_none() && answer.response.status.as_str() == "rejected"
        });
        if !none || Instant::now() > give_up {
            break (answer, took);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let (status, event) = match answer {
        Ok(answer) => {
            let event = answer
                .receipt
                .map(|receipt| (receipt.node, receipt.event_hash.to_string()));
            (answer.response.status.as_str().to_owned(), event)
        }
        Err(fault) => (format!("fault: {fault}"), None),
    };
    Seen {
        request_id,
        status,
        event,
        took,
    }
}

fn judge(town: &Town, seen: &[Seen], what: &str) {
    let late = Duration::from_millis(TIMEOUT_MS) + GRACE;
    let mut statuses = BTreeMap::new();
    for call in seen {
        assert!(call.took < late, "{call:?}");
        *statuses.entry(call.status.as_str()).or_insert(0) += 1;
    }
    town.all_serve();
    let mut results: BTreeMap<String, usize> = BTreeMap::new();
    let mut events = std::collections::BTreeSet::new();
    for node in 0..3 {
        let state = town.state(node);
        let said = town.gateway(&["--state", &state, "--json", "ledger", "verify"]);
        assert_eq!(said.0, 0, "{said:?}");
        let said = town.gateway(&[
            "--state", &state, "--json", "ledger", "query", "--run", "storm",
        ]);
        for event in lines(&said.1) {
            events.insert(event["event_hash"].as_str().unwrap().to_owned());
            if event["kind"] == "RESULT" {
                *results
                    .entry(event["request_id"].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
        }
    }
    let twice: Vec<_> = results.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    for call in seen {
        if let Some((node, event)) = &call.event {
            assert!(
                events.contains(event),
                "node {node} has no {event}: {call:?}"
            );
        }
        if call.status == "ok" {
            assert!(
                call.event.is_some() && results.contains_key(&call.request_id),
                "{call:?}"
            );
        }
    }
    let file = town.path("storm.json");
    let said = town.fleet(&["proof", "storm", "--out", &file]);
    assert_eq!(said.0, 0, "{said:?}");
    let proof: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(town.verify(&proof), [true, true]);
    let slowest = seen.iter().map(|call| call.took).max().unwrap_or_default();
    println!(
        "{what}: {statuses:?}; {} requests have a result, none has two; slowest call {} ms",
        results.len(),
        slowest.as_millis()
    );
    assert!(
        statuses.get("ok").is_some_and(|ok| *ok > seen.len() / 4),
        "{statuses:?}\n{}",
        town.log()
    );
}

impl Nets {
    /// Networks of their own for a server and so many nodes, on one bridge; none where they cannot be had.
    pub(crate) fn new(nodes: usize) -> Option<Self> {
        let name = format!("fl{}", std::process::id());
        let nets = Self { name, nodes };
        let ip = |words: &str| {
            let said = Command::new("ip").args(words.split(' ')).output();
            said.is_ok_and(|said| said.status.success())
        };
        let n = &nets.name;
        let subnet = Self::subnet();
        let mut made = ip(&format!("netns add {n}s"))
            && ip(&format!("-n {n}s link add hub type bridge"))
            && ip(&format!("-n {n}s addr add {subnet}.1/24 dev hub"))
            && ip(&format!("-n {n}s link set hub up"))
            && ip(&format!("link add {n}c type veth peer name c netns {n}s"))
            && ip(&format!("-n {n}s link set c master hub up"))
            && ip(&format!("addr add {subnet}.2/24 dev {n}c"))
            && ip(&format!("link set {n}c up"));
        for node in 0..nodes {
            let host = node + 10;
            made = made
                && ip(&format!("netns add {n}n{node}"))
                && ip(&format!(
                    "-n {n}s link add v{node} type veth peer name e netns {n}n{node}"
                ))
                && ip(&format!("-n {n}s link set v{node} master hub up"))
                && ip(&format!("-n {n}n{node} addr add {subnet}.{host}/24 dev e"))
                && ip(&format!("-n {n}n{node} link set e up"))
                && ip(&format!("-n {n}n{node} link set lo up"));
        }
        if !made {
            skip::skip("no networks can be made here: that needs root and ip (iproute2)");
            return None;
        }
        Some(nets)
    }
}
