//! Other ways to keep a plugin apart, with their usual full flags, for comparison. What is not installed is skipped.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::kit::echo::line;

/// A command that runs one program in a sandbox.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// How it is called, with `{}` in place of the program.
    pub(crate) words: &'static [&'static str],
    /// How many times its throughput is hoped for.
    pub(crate) target: f64,
}

pub(crate) const PEERS: [Peer; 4] = [
    Peer {
        name: "bubblewrap",
        words: &[
            "bwrap",
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--cap-drop",
            "ALL",
            "--clearenv",
            "--ro-bind",
            "{}",
            "/program",
            "/program",
        ],
        target: 30.0,
    },
    Peer {
        name: "nsjail",
        words: &[
            "nsjail",
            "--mode",
            "o",
            "--really_quiet",
            "--user",
            "65534",
            "--group",
            "65534",
            "--chroot",
            "/",
            "--",
            "{}",
        ],
        target: 40.0,
    },
    Peer {
        name: "minijail",
        words: &[
            "minijail0",
            "-p",
            "-v",
            "-l",
            "-e",
            "-N",
            "-n",
            "-u",
            "nobody",
            "-g",
            "nogroup",
            "--",
            "{}",
        ],
        target: 16.0,
    },
    Peer {
        name: "firejail",
        words: &[
            "firejail",
            "--quiet",
            "--noprofile",
            "--net=none",
            "--seccomp",
            "--nonewprivs",
            "--caps.drop=all",
            "{}",
        ],
        target: 1.0,
    },
];

/// Whether a program of that name is on the path.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Programs that answer each line in a sandbox inside their own process. Each has one call at a time, and is used again.
#[derive(Debug)]
pub(crate) struct Lines {
    command: Vec<String>,
    idle: Mutex<Vec<Answerer>>,
}

#[derive(Debug)]
struct Answerer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// The variable that names the program of tests/benches/extism, where it was built.
const EXTISM: &str = "BENCH_EXTISM";

/// The host's program: a worker for each line, whose answer counts once the worker is gone.
const HOST: &str = r"
const { Worker } = require('node:worker_threads');
const plugin = `
    const { parentPort, workerData } = require('node:worker_threads');
    const { request } = JSON.parse(workerData);
    const result = { kind: 'json', schema_ref: 'any/1', data: {} };
    const response = { request_id: request.request_id, status: 'ok', result, notes: '' };
    parentPort.postMessage(JSON.stringify({ type: 'result', response }));
`;
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const worker = new Worker(plugin, { eval: true, workerData: line });
    worker.on('message', (answer) => worker.on('exit', () => process.stdout.write(answer + '\n')));
});
";

impl Lines {
    /// Node, with a worker thread for each line.
    pub(crate) fn node() -> Result<Self, &'static str> {
        let command = ["node", "-e", HOST].map(str::to_owned);
        let there = installed("node").then(|| Self::of(command.into()));
        there.ok_or("skipped: not installed")
    }

    /// WebAssembly, with an instance for each line.
    pub(crate) fn extism() -> Result<Self, &'static str> {
        let program = std::env::var(EXTISM).ok();
        let there = program.map(|program| Self::of(vec![program]));
        there.ok_or("skipped: not built (scripts/bench --extism builds it, which takes minutes)")
    }

    fn of(command: Vec<String>) -> Self {
        Self {
            command,
            idle: Mutex::default(),
        }
    }

    pub(crate) fn call(&self) {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut host = taken.unwrap_or_else(|| Answerer::start(&self.command));
        host.stdin.write_all(line().as_bytes()).unwrap();
        let mut answer = String::new();
        host.stdout.read_line(&mut answer).unwrap();
        assert!(answer.contains(r#""status":"ok""#), "{answer}");
        idle().push(host);
    }
}

impl Answerer {
    fn start(command: &[String]) -> Self {
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        }
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
