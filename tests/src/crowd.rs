//! Hostile callers at full speed beside a neighbour: one gateway that serves, one channel, many calls in flight.
//!
//! As soon as one of the hostile calls is answered the next is made, by the thread that reads the answers, so that this side costs little.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::attacks::neighbours::Kind;
use crate::channel::{invoke, request};
use crate::command::{Host, spawn};
use crate::package::Package;
use crate::program::{Link, c};

/// Longer than anything here takes, on the busiest machine.
const STUCK: Duration = Duration::from_secs(120);

/// The neighbour's plugin.
pub const NEIGHBOUR: &str = "p.neighbour.honest";

/// How long one of the neighbour's calls may take. It is there to be kept easily: nobody's speed is judged by it.
const NEIGHBOUR_MS: u64 = 60_000;

/// A gateway at work, a neighbour, and as many hostile callers as are asked for.
#[derive(Debug)]
pub struct Crowd {
    child: Child,
    shared: Arc<Shared>,
    answers: Receiver<Value>,
    reader: Option<std::thread::JoinHandle<()>>,
    calls: u64,
}

#[derive(Debug)]
struct Shared {
    input: Mutex<Option<ChildStdin>>,
    hostile: Mutex<Hostile>,
    changed: Condvar,
}

/// The hostile callers.
#[derive(Debug, Default)]
struct Hostile {
    /// What each of them asks; none when they are to stop.
    asks: Option<Value>,
    in_flight: usize,
    calls: u64,
    ends: Ends,
}

/// How hostile calls ended: by status, with how many did and the notes of the last one.
pub type Ends = BTreeMap<String, (usize, String)>;

/// The neighbour's package: it says again what it was asked.
#[must_use]
pub fn neighbour() -> Package {
    let body = r#"int main(void) {
        read_line();
        char data[8192];
        snprintf(data, sizeof data, "{\"said\":%s}", string_token("content"));
        answer(data);
        return 0;
    }"#;
    Package::native(NEIGHBOUR, &c(body, Link::Static))
}

impl Crowd {
    /// Serves the state of `host`, in which the neighbour and the hostile plugins are installed.
    pub fn open(host: &Host) -> Self {
        host.alone();
        let mut command = host.command();
        command
            .args(["--quiet", "serve"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = spawn(&mut command);
        let shared = Arc::new(Shared {
            input: Mutex::new(child.stdin.take()),
            hostile: Mutex::default(),
            changed: Condvar::new(),
        });
        let (sender, answers) = channel();
        let (stdout, reads) = (child.stdout.take().unwrap(), Arc::clone(&shared));
        let reader = std::thread::spawn(move || reads.read(stdout, &sender));
        Self {
            child,
            shared,
            answers,
            reader: Some(reader),
            calls: 0,
        }
    }

    /// The gateway's process.
    pub fn gateway(&self) -> u32 {
        self.child.id()
    }

    /// What hostile processes call themselves, here and nowhere else.
    pub fn hostile_name(&self) -> String {
        format!("hostile{}", self.gateway())
    }

    /// Lets `callers` hostile callers begin, each of which makes one call after the other.
    pub fn begin(&self, kind: &Kind, callers: usize) {
        let words = format!(" attack={} name={} ", kind.attack, self.hostile_name());
        self.begin_asking(invoke(kind.plugin.id(), &words, kind.timeout_ms), callers);
    }

    /// The same with params of `invoke`.
    pub fn begin_asking(&self, asks: Value, callers: usize) {
        let lines: Vec<String> = {
            let mut hostile = self.shared.lock();
            assert_eq!(hostile.in_flight, 0, "there are hostile callers already");
            hostile.ends.clear();
            hostile.asks = Some(asks);
            (0..callers).filter_map(|_| hostile.next()).collect()
        };
        self.shared.send(&lines.concat());
    }

    /// How many of the hostile calls have ended since they began.
    pub fn ended(&self) -> usize {
        self.shared
            .lock()
            .ends
            .values()
            .map(|(count, _)| count)
            .sum()
    }

    /// How many hostile calls are in flight.
    pub fn in_flight(&self) -> usize {
        self.shared.lock().in_flight
    }

    /// Lets no hostile caller make another call.
    pub fn ask_no_more(&self) {
        self.shared.lock().asks = None;
    }

    /// Lets them stop, waits until the last of their calls has ended, and says how all of them did.
    #[track_caller]
    pub fn stop(&self) -> Ends {
        self.ask_no_more();
        let hostile = self.shared.lock();
        let still = |hostile: &mut Hostile| hostile.in_flight > 0;
        let (mut hostile, waited) = self
            .shared
            .changed
            .wait_timeout_while(hostile, STUCK, still)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "hostile calls do not end");
        std::mem::take(&mut hostile.ends)
    }

    /// One call of the neighbour's: how it was answered, and how long that took.
    ///
    /// # Panics
    /// When it is not answered at all.
    #[track_caller]
    pub fn call(&mut self) -> (Value, Duration) {
        self.calls += 1;
        let said = format!("call {}", self.calls);
        let params = json!({ "plugin_id": NEIGHBOUR, "request": request(&said, NEIGHBOUR_MS) });
        let line = line(&json!(self.calls), &params);
        let begun = Instant::now();
        self.shared.send(&line);
        let answer = self.answers.recv_timeout(STUCK);
        let took = begun.elapsed();
        let answer = answer.unwrap_or_else(|_| panic!("the neighbour's {said} is not answered"));
        assert_eq!(answer["id"], json!(self.calls), "{answer}");
        (answer, took)
    }

    /// The same, which must be answered as it is without anybody beside it.
    #[track_caller]
    pub fn call_well(&mut self) -> Duration {
        let (answer, took) = self.call();
        let result = &answer["result"];
        let said = json!(format!("call {}", self.calls));
        assert!(
            result["status"] == "ok" && result["result"]["data"]["said"] == said,
            "a call of the neighbour's failed: {answer}"
        );
        took
    }

    /// Closes the channel, and waits until the gateway has ended in good order.
    #[track_caller]
    pub fn close(mut self) {
        self.shared.hang_up();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.hang_up();
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.child.kill().unwrap_or_default();
            self.child.wait().map(drop).unwrap_or_default();
        }
        if let Some(reader) = self.reader.take() {
            // Where it panicked, its message has been printed.
            drop(reader.join());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Hostile> {
        self.hostile.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, lines: &str) {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        // A gateway that ended shows by the answer that never comes.
        drop(
            input
                .as_mut()
                .map(|input| input.write_all(lines.as_bytes())),
        );
    }

    fn hang_up(&self) {
        self.lock().asks = None;
        drop(
            self.input
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// Reads every answer: the neighbour's are passed on, one of the hostile calls is followed by the next.
    fn read(&self, stdout: ChildStdout, neighbour: &Sender<Value>) {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let answer: Value = serde_json::from_str(&line).expect("an answer is JSON");
            if answer["id"].is_u64() {
                // The test ended.
                drop(neighbour.send(answer));
                continue;
            }
            let next = {
                let mut hostile = self.lock();
                hostile.end(&answer);
                hostile.next()
            };
            match next {
                Some(line) => self.send(&line),
                None => self.changed.notify_all(),
            }
        }
    }
}

impl Hostile {
    /// The line of the next call.
    fn next(&mut self) -> Option<String> {
        let asks = self.asks.as_ref()?;
        self.calls += 1;
        self.in_flight += 1;
        Some(line(&json!(format!("hostile {}", self.calls)), asks))
    }

    fn end(&mut self, answer: &Value) {
        self.in_flight -= 1;
        let result = &answer["result"];
        let status = result["status"].as_str().unwrap_or("no answer");
        let end = self.ends.entry(status.to_owned()).or_default();
        end.0 += 1;
        end.1 = match result["notes"].as_str() {
            Some(notes) => notes.to_owned(),
            None => answer.to_string(),
        };
    }
}

fn line(id: &Value, params: &Value) -> String {
    let call = json!({ "jsonrpc": "2.0", "id": id, "method": "invoke", "params": params });
    format!("{call}\n")
}
