//! The log on standard error, as text or JSON. When the host does not read it, lines are lost; the gateway never waits.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use plugin_protocol::shown;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::operator::{LogFormat, LogLevel};

/// How many lines wait for a slow reader: a burst of calls fits, and the memory is small.
const WAITING_LINES: usize = 1_024;

/// How long the end waits for a reader that is slow.
const FLUSH: Duration = Duration::from_millis(500);

/// The target of the first line, which is shown at every level.
pub(super) const START: &str = "start";

/// The running log; dropping it writes what is left.
#[derive(Debug)]
pub(crate) struct Log {
    finished: Receiver<()>,
    lines: Option<LineSink>,
    thread: Option<JoinHandle<()>>,
}

/// Accepts lines, and counts those that found no room.
#[derive(Debug, Clone)]
struct LineSink {
    format: LogFormat,
    // The standard library's channel: its reader sleeps at once when there is nothing, and does not yield a few times first.
    lines: SyncSender<Vec<u8>>,
    lost: Arc<AtomicU64>,
}

/// One line in the making.
#[derive(Debug)]
struct LineWriter {
    line: Vec<u8>,
    sink: LineSink,
}

/// Starts logging for this process.
///
/// # Errors
/// When the system cannot start a thread.
pub(crate) fn start(format: LogFormat, level: LogLevel) -> io::Result<Log> {
    let (lines, written) = sync_channel(WAITING_LINES);
    let (alive, finished) = sync_channel(0);
    let lost = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&lost);
    let thread = std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || {
            write_lines(&written, &counted);
            drop::<SyncSender<()>>(alive);
        })?;
    let sink = LineSink {
        format,
        lines,
        lost,
    };
    let level = match level {
        LogLevel::Quiet => "warn",
        LogLevel::Usual => "info",
        LogLevel::Verbose => "debug",
    };
    let filter = EnvFilter::new(format!("{level},{START}=info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(sink.clone());
    match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(io::Error::other)?;
    Ok(Log {
        finished,
        lines: Some(sink),
        thread: Some(thread),
    })
}

/// Writes lines until it receives an empty one, which marks the end.
fn write_lines(lines: &Receiver<Vec<u8>>, lost: &AtomicU64) {
    for line in lines {
        if line.is_empty() {
            return;
        }
        let mut out = io::stderr().lock();
        // If standard error is closed, there is nowhere to report it.
        out.write_all(&line).unwrap_or_default();
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            writeln!(
                out,
                "{}",
                serde_json::json!({ "level": "WARN", "message": "log lines were lost: the reader is too slow", "lost": lost })
            )
            .unwrap_or_default();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let Some(sink) = self.lines.take() else {
            return;
        };
        if sink.send_end()
            && self.finished.recv_timeout(FLUSH) != Err(RecvTimeoutError::Timeout)
            && let Some(thread) = self.thread.take()
        {
            // The thread has ended; a panic in it can only have lost log lines.
            drop(thread.join());
        }
    }
}

impl LineSink {
    /// Queues the mark of the end, and waits a while for room; false where there is none.
    fn send_end(&self) -> bool {
        const LOOK_EVERY: Duration = Duration::from_millis(1);
        let end = Instant::now() + FLUSH;
        while let Err(TrySendError::Full(_)) = self.lines.try_send(Vec::new()) {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        true
    }

    /// The line with unsafe characters of untrusted text (an id, a reason) written as escapes, in the log's form.
    fn shown(&self, line: Vec<u8>) -> Vec<u8> {
        let text = String::from_utf8_lossy(&line);
        let shown = match self.format {
            LogFormat::Text => shown::text(&text),
            LogFormat::Json => shown::json(&text),
        };
        shown.into_owned().into_bytes()
    }
}

impl<'a> MakeWriter<'a> for LineSink {
    type Writer = LineWriter;

    fn make_writer(&'a self) -> LineWriter {
        LineWriter {
            line: Vec::new(),
            sink: self.clone(),
        }
    }
}

impl Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() && self.sink.lines.try_send(self.sink.shown(line)).is_err() {
            self.sink.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
