//! Asks a program of the host's one question, with a limit on its time and on the length of its answer.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long an interpreter may take to say where it is: version managers start through slow shell scripts.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes; a list of library folders is far shorter.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Runs a program and returns what it printed.
///
/// # Errors
/// With the reason, in words, when it cannot be run, fails or takes too long.
pub(super) fn ask(program: &mut Command) -> Result<String, String> {
    let deadline = Instant::now() + ANSWER_TIME;
    let started = program
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = started.map_err(|error| format!("it cannot be started: {error}"))?;
    let (sender, receiver) = std::sync::mpsc::channel();
    if let Some(output) = child.stdout.take() {
        // A thread of its own, because a grandchild may hold the output open for as long as it likes.
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = output.take(ANSWER_BYTES).read_to_string(&mut text);
            // Nobody listens any more when the time is over.
            sender.send(read.map(|_| text)).ok()
        });
    }
    // First, as a program that has closed its output is about to end.
    let text = receiver.recv_timeout(ANSWER_TIME);
    let status = wait(&mut child, deadline)?;
    if !status.success() {
        return Err(format!("it answered with {status}"));
    }
    let text = text.map_err(|_| too_slow())?;
    text.map_err(|error| format!("its answer cannot be read: {error}"))
}

/// Waits for a trusted child, and ends it when its time is over.
fn wait(child: &mut Child, deadline: Instant) -> Result<ExitStatus, String> {
    /// Between two looks.
    const LOOK: Duration = Duration::from_micros(200);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK),
            Ok(None) | Err(_) => {
                // Killing fails only when it has ended meanwhile, and then waiting works all the more.
                let ended = child.kill().and(child.wait().map(drop));
                tracing::debug!(?ended, "an interpreter did not answer in time");
                return Err(too_slow());
            }
        }
    }
}

fn too_slow() -> String {
    format!("it did not answer within {} s", ANSWER_TIME.as_secs())
}
