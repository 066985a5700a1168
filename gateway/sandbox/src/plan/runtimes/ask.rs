//! Asks a program of the host's one question, with a limit on its time and on the length of its answer.

use std::fs;
use std::io::{self, BufRead, BufReader, PipeReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// How long an interpreter may take to say where it is: version managers start through slow shell scripts.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// How long what it printed as errors may take to come after its end.
const ERRORS_TIME: Duration = Duration::from_millis(100);

/// How much of what a failing program said is shown, in characters.
const ANSWER_SHOWN_CHARS: usize = 80;

/// The longest answer that is read, in bytes; a list of library folders is far shorter.
const ANSWER_BYTES: u64 = 64 * 1024;

/// What comes through a pipe, up to a bound.
type Printed = io::Take<PipeReader>;

/// What a program printed.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) output: String,
    pub(super) errors: String,
}

/// Runs a program and returns what it printed.
///
/// # Errors
/// With the reason, in words, when it cannot be run, fails or takes too long.
pub(super) fn ask(program: &mut Command) -> Result<Said, String> {
    run(program.stdin(Stdio::null()), whole)
}

/// The same for a program that first names a link to itself (in /proc) and then waits for its input to end: what the link leads to stands in the
/// answer.
///
/// # Errors
/// As [`ask`], and when there is no such link.
pub(super) fn ask_for_link(program: &mut Command) -> Result<Said, String> {
    let (input, ours) = io::pipe().map_err(|error| format!("it cannot be asked: {error}"))?;
    run(program.stdin(input), |printed| {
        let mut printed = BufReader::new(printed);
        let mut link = String::new();
        printed.read_line(&mut link)?;
        let link = link.trim_end();
        // What is no link is shown to whoever reads of the failure.
        let path = fs::read_link(link).unwrap_or_else(|_| PathBuf::from(link));
        drop(ours);
        Ok(format!("{}\n{}", path.display(), whole(printed)?))
    })
}

fn whole(mut printed: impl Read) -> io::Result<String> {
    let mut text = String::new();
    printed.read_to_string(&mut text).map(|_| text)
}

fn run(
    program: &mut Command,
    read: impl FnOnce(Printed) -> io::Result<String> + Send + 'static,
) -> Result<Said, String> {
    let deadline = Instant::now() + ANSWER_TIME;
    let cannot = |error: io::Error| format!("it cannot be started: {error}");
    let (output, output_end) = io::pipe().map_err(cannot)?;
    let (errors, errors_end) = io::pipe().map_err(cannot)?;
    program
        .current_dir("/")
        .stdout(output_end)
        .stderr(errors_end);
    let mut child = program.spawn().map_err(cannot)?;
    // The command keeps its ends of the pipes until they are replaced, and so would hold the answer open.
    program
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let (output, errors) = (heard(output, read), heard(errors, whole));
    // First, as a program that has closed its output is about to end.
    let output = output.recv_timeout(ANSWER_TIME);
    let status = wait(&mut child, deadline)?;
    let errors = errors.recv_timeout(ERRORS_TIME);
    let errors = errors.ok().and_then(Result::ok).unwrap_or_default();
    if !status.success() {
        return Err(failed(status, &errors));
    }
    let output = output.map_err(|_| too_slow())?;
    let output = output.map_err(|error| format!("its answer cannot be read: {error}"))?;
    Ok(Said { output, errors })
}

/// Reads in a thread of its own, because a grandchild may hold the other end open for as long as it likes.
fn heard(
    printed: PipeReader,
    read: impl FnOnce(Printed) -> io::Result<String> + Send + 'static,
) -> Receiver<io::Result<String>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    // Nobody listens any more when the time is over.
    std::thread::spawn(move || sender.send(read(printed.take(ANSWER_BYTES))).ok());
    receiver
}

/// That a program failed, with the last thing that it said.
fn failed(status: ExitStatus, said: &str) -> String {
    let last = said.trim_end().lines().next_back().unwrap_or_default();
    let shown: String = last.chars().take(ANSWER_SHOWN_CHARS).collect();
    if shown.is_empty() {
        format!("it ended with {status}")
    } else {
        format!("it ended with {status} and said '{}'", shown.escape_debug())
    }
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
