//! A host of the bench's: a gateway behind its channel, asked by one caller at a time, or with many calls in flight.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use campaigns::{Host, Package};
use serde_json::{Value, json};

use crate::kit::echo::request;
use crate::kit::measure::median;

/// A gateway that serves, or another command that speaks in lines.
#[derive(Debug)]
pub(crate) struct Client {
    child: Child,
    pipes: Mutex<Pipes>,
}

#[derive(Debug)]
struct Pipes {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// What many calls in flight did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flood {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) rate: f64,
}

impl Client {
    /// `serve` on the state of this host.
    pub(crate) fn serving(host: &Host) -> Self {
        let mut command = host.command();
        command.arg("serve");
        Self::start(command)
    }

    /// A command whose log is not looked at.
    pub(crate) fn start(mut command: Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::null()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let pipes = Mutex::new(Pipes {
            stdin,
            stdout: BufReader::new(stdout),
        });
        Self { child, pipes }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says one line and gives the next that comes.
    pub(crate) fn ask(&self, line: &str) -> String {
        let mut pipes = self.pipes();
        pipes.say(line);
        pipes.hear()
    }

    /// Says a line that is not answered.
    pub(crate) fn tell(&self, line: &str) {
        self.pipes().say(line);
    }

    /// One call of a plugin, which must go well.
    pub(crate) fn call(&self, plugin: &str) {
        let answer = self.ask(&invocation(plugin, 1));
        assert!(answer.contains(r#""status":"ok""#), "{answer}");
    }

    /// So many calls in all, `at_once` in flight: as one is answered, the next is sent.
    pub(crate) fn flood(&self, plugin: &str, at_once: usize, calls: usize) -> Flood {
        let mut pipes = self.pipes();
        let (mut sent, mut times) = (HashMap::new(), Vec::with_capacity(calls));
        let begun = Instant::now();
        let send = |pipes: &mut Pipes, sent: &mut HashMap<u64, Instant>, id: usize| {
            sent.insert(id as u64, Instant::now());
            pipes.say(&invocation(plugin, id));
        };
        for id in 0..at_once.min(calls) {
            send(&mut pipes, &mut sent, id);
        }
        for next in at_once..at_once + calls {
            let answer = pipes.hear();
            assert!(answer.contains(r#""status":"ok""#), "{answer}");
            let answer: Value = serde_json::from_str(&answer).unwrap();
            let id = answer["id"].as_u64().unwrap();
            let asked = sent.remove(&id).expect("each call is answered once");
            times.push(asked.elapsed().as_secs_f64() * 1e6);
            if next < calls {
                send(&mut pipes, &mut sent, next);
            } else if sent.is_empty() {
                break;
            }
        }
        Flood {
            rate: times.len() as f64 / begun.elapsed().as_secs_f64(),
            p50_us: median(times.iter().copied()),
            p99_us: percentile_99(&times),
        }
    }

    fn pipes(&self) -> MutexGuard<'_, Pipes> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Pipes {
    fn say(&mut self, line: &str) {
        self.stdin.write_all(line.as_bytes()).unwrap();
    }

    fn hear(&mut self) -> String {
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty(), "the other end is gone");
        answer
    }
}

/// A message of the channel that asks a plugin.
pub(crate) fn invocation(plugin: &str, id: usize) -> String {
    let params = json!({ "plugin_id": plugin, "request": request() });
    let message = json!({ "jsonrpc": "2.0", "id": id, "method": "invoke", "params": params });
    format!("{message}\n")
}

/// The time that one in a hundred takes longer than.
pub(crate) fn percentile_99(times: &[f64]) -> f64 {
    let mut all = times.to_vec();
    all.sort_by(f64::total_cmp);
    all[(all.len() * 99 / 100).min(all.len() - 1)]
}

/// A state with these plugins, and with these lines in its settings.
pub(crate) fn host_with(settings: &str, packages: &[Package]) -> Host {
    let host = Host::new();
    for package in packages {
        host.install(package);
    }
    std::fs::write(host.state().join("config.toml"), settings).unwrap();
    host
}

/// Settings that start every call's process anew, and settings that keep started ones; none where this gateway knows no pool.
pub(crate) fn pools() -> Option<[&'static str; 2]> {
    const SIZES: [&str; 2] = ["[pool]\nsize = \"off\"\n", "[pool]\nsize = 4\n"];
    let knows = |settings| host_with(settings, &[]).say(["list"]).code == 0;
    SIZES.into_iter().all(knows).then_some(SIZES)
}

/// Settings under which no call is answered by a process that was started before it.
pub(crate) fn cold() -> &'static str {
    pools().map_or("", |[off, _]| off)
}
