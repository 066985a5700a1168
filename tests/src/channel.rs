//! A host: starts `plugin-gateway serve`, speaks with it over its pipes, and knows each answer by its id.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use wait_timeout::ChildExt;

use crate::command::Host;

/// Longer than anything takes here; what is still missing then never comes, and the test says so.
const STUCK: Duration = Duration::from_secs(120);

/// A gateway that serves this test.
#[derive(Debug)]
pub struct Channel {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    log: Option<JoinHandle<String>>,
    next_id: u64,
    answers: HashMap<String, Value>,
    /// Lines without an id, in the order in which they came.
    pub notices: Vec<Value>,
    /// The ids of the answers, in the order in which they came.
    pub order: Vec<Value>,
}

/// How a gateway ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard error.
    pub log: String,
    /// Every line that was not asked for before, as it stood.
    pub rest: Vec<Value>,
}

/// A request for `plugin` with a text, as `invoke`'s params.
pub fn invoke(plugin: &str, text: &str, timeout_ms: u64) -> Value {
    json!({ "plugin_id": plugin, "request": request(text, timeout_ms) })
}

/// A request with a text.
pub fn request(text: &str, timeout_ms: u64) -> Value {
    json!({
        "request_id": format!("r-{text}"),
        "run_id": "run-of-the-test",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "payload": { "kind": "text", "content": text, "encoding": "utf-8", "metadata": {} },
        "context": {},
        "policy": { "deterministic_only": false, "timeout_ms": timeout_ms, "max_retries": 0 }
    })
}

impl Channel {
    /// Serves the state of `host`, whose answers are read at once.
    pub fn open(host: &Host) -> Self {
        Self::start(host, &[], Duration::ZERO)
    }

    /// The same with options of `serve`; the first answer is read after `unread`.
    pub fn start(host: &Host, options: &[&str], unread: Duration) -> Self {
        host.alone();
        Self::speaking(host, &[&["serve"], options].concat(), unread)
    }

    /// Starts the command with these arguments on the state of `host`, beside whatever is at work on it.
    pub fn speaking(host: &Host, arguments: &[&str], unread: Duration) -> Self {
        let mut command = host.command();
        command.args(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            std::thread::sleep(unread);
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The test ended; with this thread the pipe closes.
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let log = std::thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            input: child.stdin.take(),
            child,
            lines,
            log: Some(log),
            next_id: 1,
            answers: HashMap::new(),
            notices: Vec::new(),
            order: Vec::new(),
        }
    }

    /// The gateway's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(bytes).unwrap();
    }

    /// Sends a call and gives its id.
    pub fn send(&mut self, method: &str, params: Value) -> Value {
        let id = json!(self.next_id);
        self.next_id += 1;
        self.send_as(&id, method, params);
        id
    }

    /// Sends a call under an id of the test's own.
    pub fn send_as(&mut self, id: &Value, method: &str, params: Value) {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send_raw(format!("{message}\n").as_bytes());
    }

    /// Waits for the answer to the call `id`.
    #[track_caller]
    pub fn answer(&mut self, id: &Value) -> Value {
        let deadline = Instant::now() + STUCK;
        loop {
            if let Some(answer) = self.answers.remove(&id.to_string()) {
                return answer;
            }
            let line = self
                .next_line(deadline)
                .unwrap_or_else(|| panic!("no answer to {id}"));
            self.sort_in(line);
        }
    }

    /// Waits for the next line that belongs to no call: an error about a bad message, or a notification.
    #[track_caller]
    pub fn notice(&mut self) -> Value {
        let deadline = Instant::now() + STUCK;
        loop {
            if !self.notices.is_empty() {
                return self.notices.remove(0);
            }
            let line = self.next_line(deadline).expect("a line without an id");
            self.sort_in(line);
        }
    }

    fn next_line(&mut self, deadline: Instant) -> Option<Value> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => Some(
                serde_json::from_str(&line)
                    .unwrap_or_else(|error| panic!("not JSON ({error}): {line}")),
            ),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    fn sort_in(&mut self, line: Value) {
        assert_eq!(line["jsonrpc"], "2.0", "{line}");
        match line.get("id") {
            None | Some(Value::Null) => self.notices.push(line),
            Some(id) => {
                self.order.push(id.clone());
                let twice = self.answers.insert(id.to_string(), line);
                assert_eq!(twice, None, "a call is answered once");
            }
        }
    }

    /// Calls and waits for the result.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        let mut answer = self.answer(&id);
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].take()
    }

    /// Calls and waits for the error's code.
    #[track_caller]
    pub fn code(&mut self, method: &str, params: Value) -> i64 {
        let id = self.send(method, params);
        let answer = self.answer(&id);
        answer["error"]["code"]
            .as_i64()
            .unwrap_or_else(|| panic!("no error: {answer}"))
    }

    /// Sends a signal to the gateway.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().try_into().unwrap()), signal).unwrap();
    }

    /// Closes the gateway's input.
    pub fn close(&mut self) {
        drop(self.input.take());
    }

    /// Waits until the gateway has ended, and gives what it still said.
    pub fn ended(mut self) -> Ended {
        let deadline = Instant::now() + STUCK;
        let mut rest = Vec::new();
        while let Some(line) = self.next_line(deadline) {
            rest.push(line);
        }
        let status = self.child.wait_timeout(STUCK).unwrap();
        if status.is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
        let log = self.log.take().unwrap().join().unwrap();
        let status = status.unwrap_or_else(|| panic!("the gateway does not end:\n{log}"));
        Ended {
            code: status.code(),
            log,
            rest,
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // Where a test failed the gateway would otherwise wait for more.
        drop(self.input.take());
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.child.kill().unwrap_or_default();
            self.child.wait().map(drop).unwrap_or_default();
        }
    }
}
