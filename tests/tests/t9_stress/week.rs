//! A week in an hour: one gateway under calls without end, while an operator registers, replaces, revokes, backs up, proves and erases, and
//! somebody follows the ledger. Memory and descriptors are the same at the end as at the start, and every call is answered once.
//!
//! `WEEK_CALLS` sets how many calls; `scripts/stress week` asks for 200,000.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use campaigns::answers::{moody, prompt};
use campaigns::channel::{Channel, invoke};
use campaigns::{Host, Package, processes};
use serde_json::{Value, json};

use super::ALONE;

/// Calls in a run of all tests; each is some milliseconds of a build that is not optimised.
const CALLS: usize = 1_200;
/// Calls that are under way at any time.
const IN_FLIGHT: usize = 16;
/// One round of the operator's in so many has a backup, which copies all there is.
const BACKUP_EVERY: usize = 8;
/// Calls of one run.
const RUN_CALLS: usize = 500;

/// What the gateway may have more at the end than at the start: one round's registry, and what the allocator keeps of the busiest moment.
const MEMORY_SLACK_KIB: u64 = 16 * 1024;
/// Programs that are kept ready, the launchers of a package or two more than at the start, and a connection that is just being closed.
const DESCRIPTOR_SLACK: usize = 32;

/// Always there.
const STEADY: &str = "p.week.steady";
/// Replaced by a higher version in each round.
const GUEST: &str = "p.week.guest";
/// Signed with a key that is revoked in each round, and then removed.
const VISITOR: &str = "p.week.visitor";
/// Fails now and then.
const MOODY: &str = "p.week.moody";

/// What the gateway holds.
#[derive(Debug, Clone, Copy)]
struct Sample {
    memory_kib: u64,
    descriptors: usize,
}

impl Sample {
    /// The least within half a second: what was just used is still being closed.
    fn of(gateway: u32) -> Self {
        const LOOKS: usize = 10;
        let looks = (0..LOOKS).map(|_| {
            std::thread::sleep(Duration::from_millis(50));
            descriptors_of(gateway)
        });
        let descriptors = looks.min().unwrap();
        Self {
            memory_kib: processes::memory_kib(gateway),
            descriptors,
        }
    }
}

/// Descriptors but those of control groups: as many groups are kept as were needed at once, and never more than 32.
fn descriptors_of(gateway: u32) -> usize {
    let all = fs::read_dir(format!("/proc/{gateway}/fd")).unwrap();
    let links = all.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    links
        .filter(|link| !link.starts_with("/sys/fs/cgroup"))
        .count()
}

/// The operator, with packages and a second key made once.
struct Operator<'a> {
    host: &'a Host,
    guest: Package,
    visitor: String,
    second_key: String,
    second_id: String,
    rounds: AtomicUsize,
}

impl<'a> Operator<'a> {
    fn new(host: &'a Host) -> Self {
        let second_key = host.folder().join("second.key").display().to_string();
        let made = host.say(["--json", "keygen", "--out", &second_key]);
        let second_id = made.expect(0).json()["key_id"].as_str().unwrap().to_owned();
        let visitor = host.lay_out(&prompt(VISITOR)).display().to_string();
        host.say(["sign", &visitor, "--key", &second_key]).expect(0);
        let guest =
            prompt(GUEST).with(|manifest| manifest["evidence"]["log_level"] = json!("full"));
        host.install(&guest);
        Self {
            host,
            guest,
            visitor,
            second_key: format!("{second_key}.pub"),
            second_id,
            rounds: AtomicUsize::new(0),
        }
    }

    /// What an operator does in a week, once. Each verb must do what it says.
    fn round(&self) {
        let round = self.rounds.fetch_add(1, Ordering::Relaxed) + 1;
        let host = self.host;
        let done = |words: &[&str]| host.say(words).expect(0);
        // A higher version takes the place of the one that is called.
        let newer = self.guest.clone();
        let newer = newer.with(|manifest| manifest["version"] = json!(format!("1.0.{round}")));
        let newer = host.signed(&newer);
        done(&["register", newer.to_str().unwrap(), "--replace"]);
        done(&["enable", GUEST]);
        fs::remove_dir_all(newer).unwrap();
        // A key is trusted, vouches, and is revoked.
        done(&["trust", "add", &self.second_key]);
        done(&["register", &self.visitor]);
        done(&["enable", VISITOR]);
        assert_eq!(host.ask(VISITOR, "hello")["status"], "ok");
        done(&["trust", "remove", &self.second_id]);
        assert_eq!(host.row(VISITOR)["status"], "disabled");
        assert_eq!(host.ask(VISITOR, "hello")["status"], "rejected");
        done(&["remove", VISITOR]);
        // A run is proven, and what was kept of it erased.
        let run = format!("audit-{round}");
        done(&["invoke", GUEST, "--text", "x", "--run", &run]);
        let bundle = host.folder().join("bundle").display().to_string();
        let key = host.state().join("log.pub").display().to_string();
        done(&["proof", "export", &run, "--out", &bundle]);
        done(&["proof", "verify", &bundle, "--key", &key]);
        let erased = done(&["--json", "ledger", "erase", &run]).json();
        assert_eq!(erased["erased"], 2, "{erased}");
        // Whoever only looks.
        done(&["list"]);
        done(&["metrics"]);
        done(&["ledger", "tail", "-n", "5"]);
        done(&["ledger", "query", "--run", &run]);
        if round % BACKUP_EVERY == 1 {
            let copy = host.folder().join("copy");
            done(&["backup", copy.to_str().unwrap()]);
            campaigns::command::unseal(&copy);
            fs::remove_dir_all(copy).unwrap();
        }
    }
}

/// Somebody who follows the ledger over the control socket.
struct Follower(UnixStream);

impl Follower {
    fn start(host: &Host) -> Self {
        let follower = Self(UnixStream::connect(host.state().join("control.sock")).unwrap());
        follower.say("subscribe", 1);
        follower
    }

    fn say(&self, method: &str, id: u64) {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method });
        writeln!(&self.0, "{message}").unwrap();
    }

    /// Reads to the end that [`Self::stop`] brings about, and counts the events, each of which must be the next.
    fn read(&self) -> usize {
        let (mut next, mut events) = (None, 0);
        for line in BufReader::new(&self.0).lines() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            match line["method"].as_str() {
                Some("event") => {
                    let index = line["params"]["index"].as_u64();
                    assert!(next.is_none() || index == next, "{index:?} after {next:?}");
                    next = index.map(|index| index + 1);
                    events += 1;
                }
                Some("eventsEnd") => return events,
                Some(_) | None => {}
            }
        }
        panic!("the gateway hung up after {events} events");
    }

    fn stop(&self) {
        self.say("unsubscribe", 2);
    }
}

/// The host, which has [`IN_FLIGHT`] calls under way.
struct Caller {
    channel: Channel,
    made: usize,
    statuses: BTreeMap<String, usize>,
}

impl Caller {
    /// Makes calls until there were `until`, and waits for every answer.
    fn call(&mut self, until: usize) {
        let mut flying = VecDeque::new();
        while self.made < until || !flying.is_empty() {
            if self.made < until {
                let turn = self.made;
                let (plugin, text) = match turn % 8 {
                    0 => (GUEST, turn.to_string()),
                    1 if turn % 64 == 1 => (MOODY, "fail".to_owned()),
                    1 => (MOODY, turn.to_string()),
                    _ => (STEADY, turn.to_string()),
                };
                let mut params = invoke(plugin, &text, 60_000);
                params["request"]["request_id"] = json!(format!("week-{turn}"));
                params["request"]["run_id"] = json!(format!("week-{}", turn / RUN_CALLS));
                flying.push_back((plugin, self.channel.send("invoke", params)));
                self.made += 1;
            }
            if flying.len() == IN_FLIGHT || self.made == until {
                let (plugin, id) = flying.pop_front().unwrap();
                let answer = self.channel.answer(&id);
                let status = answer["result"]["status"].as_str();
                let status = status.unwrap_or_else(|| panic!("{answer}")).to_owned();
                assert!(plugin != STEADY || status == "ok", "{answer}");
                *self.statuses.entry(status).or_default() += 1;
            }
        }
        // Only answers to calls are kept, so that this side's memory is flat too.
        self.channel.order.clear();
    }
}

/// "Memory flat, descriptors flat, ledger valid, every call answered once."
#[test]
fn inv_pnp_10_a_week_of_calls_and_operators_leaves_the_gateway_as_it_was() {
    let calls = std::env::var("WEEK_CALLS").map_or(CALLS, |calls| calls.parse().unwrap());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let begun = Instant::now();
    let host = Host::new();
    let operator = Operator::new(&host);
    host.install(&prompt(STEADY));
    host.install(&moody(MOODY));
    let mut caller = Caller {
        channel: Channel::start(&host, &["-q"], Duration::ZERO),
        made: 0,
        statuses: BTreeMap::new(),
    };
    let gateway = caller.channel.pid();
    caller.channel.call("ping", json!({}));
    let told = AtomicUsize::new(0);
    // What is opened and filled once is opened and filled by the first part.
    let samples = [calls / 10, calls * 55 / 100, calls].map(|until| {
        let (stop, follower) = (AtomicBool::new(false), Follower::start(&host));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                told.fetch_add(follower.read(), Ordering::Relaxed);
            });
            scope.spawn(|| {
                // However the rounds end, nobody waits for them in vain.
                let _end = OnDrop(|| follower.stop());
                loop {
                    operator.round();
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            let _end = OnDrop(|| stop.store(true, Ordering::Relaxed));
            caller.call(until);
        });
        drop(follower);
        Sample::of(gateway)
    });
    let seconds = begun.elapsed().as_secs_f64();
    caller.channel.close();
    assert_eq!(caller.channel.ended().code, Some(0));
    let events = check_ledger(&host, calls);
    let three = |what: fn(&Sample) -> String| samples.each_ref().map(what).join(", ");
    eprintln!(
        "{calls} calls and {} rounds of an operator's verbs in {seconds:.0} s: {:?}; {} events told of; {events} in a valid ledger\n\
         the gateway at start, middle and end: {} KiB of memory, {} descriptors",
        operator.rounds.load(Ordering::Relaxed),
        caller.statuses,
        told.load(Ordering::Relaxed),
        three(|sample| sample.memory_kib.to_string()),
        three(|sample| sample.descriptors.to_string()),
    );
    assert_eq!(caller.statuses.values().sum::<usize>(), calls);
    let [start, middle, end] = samples;
    for later in [middle, end] {
        assert!(
            later.memory_kib <= start.memory_kib + MEMORY_SLACK_KIB,
            "{samples:?}"
        );
        assert!(
            later.descriptors <= start.descriptors + DESCRIPTOR_SLACK,
            "{samples:?}"
        );
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Every call of the week has one closing event, and every `INVOKE` its own; gives the number of events. Read line by line, since
/// there may be very many.
fn check_ledger(host: &Host, calls: usize) -> u64 {
    let mut open = HashMap::new();
    let mut closed = vec![0_u8; calls];
    let mut segments: Vec<_> = fs::read_dir(host.state().join("ledger/seg"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    for segment in segments {
        for line in BufReader::new(fs::File::open(segment).unwrap()).lines() {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let text = |pointer: &str| {
                let text = event.pointer(pointer).and_then(Value::as_str);
                text.unwrap_or_default().to_owned()
            };
            if text("/kind") == "INVOKE" {
                open.insert(text("/event_id"), text("/request_id"));
                continue;
            }
            if let Some(request) = open.remove(&text("/meta/invoke")) {
                assert_eq!(request, text("/request_id"));
            }
            if let Some(turn) = text("/request_id").strip_prefix("week-") {
                closed[turn.parse::<usize>().unwrap()] += 1;
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(closed.iter().all(|count| *count == 1));
    host.verified()
}
