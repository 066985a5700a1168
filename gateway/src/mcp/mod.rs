//! The face for clients of the Model Context Protocol: a server on stdin and stdout whose tools are the enabled plugins (contract, section
//! 13). It decides nothing about a call: each becomes an `invoke` on the supervisor channel, of the gateway that holds the state, or of one
//! that this process opens. It keeps nothing between calls but the session's manner.
//!
//! # Messages
//! One line of JSON each, under the contract's JSON rules, of at most `channel.max_line_bytes`. Sessions of the revisions 2024-11-05 to
//! 2025-11-25 begin with `initialize`; of 2026-07-28 every request says what it needs in `_meta`. Both may come in one process.
//!
//! | method | era | answer |
//! |---|---|---|
//! | `initialize` | session | the revision that was asked for, or the newest with sessions |
//! | `ping` | session | `{}` |
//! | `logging/setLevel` | session | `{}`; from then on each call's end is a `notifications/message` |
//! | `server/discover` | stateless | what is spoken here |
//! | `subscriptions/listen` | stateless | `notifications/subscriptions/acknowledged`, then changes of the list; the answer when this side ends it |
//! | `tools/list` | both | the tools, a page at a time |
//! | `tools/call` | both | what the plugin answered, with its receipt |
//!
//! `notifications/cancelled` takes a request back, which is then not answered. `notifications/tools/list_changed` goes to a session, and to
//! each subscription. A call with a `progressToken` is told of every second. Other notifications, and answers, are passed over.
//!
//! # Errors
//! A line that is no message, a method that is not there (-32601), an unknown tool or params of a wrong form (-32602), a revision that is
//! not spoken (-32022), a failure of the gateway (-32603) are errors. What a model can mend, wrong arguments, and any status but `ok`, is a
//! result with `isError` (SEP-1303).
//!
//! # The end
//! End of input, a client that no longer reads, SIGTERM, SIGINT, SIGHUP: calls in flight may finish for a moment, are then cancelled and
//! recorded, and within a second the process is gone.

mod answer;
mod calls;
mod catalog;
mod face;
mod gate;
mod revision;

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use nix::sys::signal::SigSet;
use rustix::event::PollFlags;

use self::face::Face;
use crate::config::Config;
use crate::error::Error;
use crate::operator::Serve;
use crate::serve::Out;
use crate::serve::poll::{self, Woken};
use crate::serve::{Line, Lines, hold_signals, log};
use sandbox::Cancel;

/// How often it looks whether the tools are others, and how far calls are. A look costs one read of nothing.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Why it ends. The first reason counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    EndOfInput,
    NobodyReads,
    Signal,
}

/// How many reasons may wait: one of each.
const REASONS: usize = 8;

/// Speaks to the client until it closes its end, or a signal stops it.
///
/// # Errors
/// When there is no usable state, or the system refuses a thread or a descriptor.
pub(crate) fn speak(state: &Path, options: &Serve) -> Result<(), Error> {
    let signals = hold_signals()?;
    let log = log::start(options.format, options.level)?;
    let (reasons, over) = bounded(REASONS);
    let tell = reasons.clone();
    let out = Out::open_stdout(move || tell.try_send(Over::NobodyReads).unwrap_or_default())?;
    let face = Arc::new(Face::open(state, options.anchor.clone(), out)?);
    tracing::info!(run_id = face.run_id(), state = %state.display(), "ready for a client");
    let stop = Arc::new(Cancel::new()?);
    watch_signals(signals, reasons.clone())?;
    watch_answers(Arc::clone(&stop), reasons.clone())?;
    let max_bytes = Config::load(state)?.channel.max_line_bytes;
    read(Arc::clone(&face), Arc::clone(&stop), max_bytes, reasons)?;
    let reason = loop {
        match over.recv_timeout(LOOK_EVERY) {
            Ok(reason) => break reason,
            Err(RecvTimeoutError::Timeout) => face.tick(),
            Err(RecvTimeoutError::Disconnected) => break Over::EndOfInput,
        }
    };
    tracing::info!(?reason, "ends");
    stop.cancel();
    face.end();
    drop(log);
    Ok(())
}

/// Hands every line of the client to the face.
fn read(
    face: Arc<Face>,
    stop: Arc<Cancel>,
    max_bytes: usize,
    reasons: Sender<Over>,
) -> io::Result<()> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let mut lines = Lines::new(input, stop, max_bytes);
    std::thread::Builder::new()
        .name("requests".to_owned())
        .spawn(move || {
            loop {
                match lines.next() {
                    Ok(Line::Whole(line)) => face.take(&line),
                    Ok(Line::TooLong) => face.refuse_too_long(max_bytes),
                    Ok(Line::End | Line::Stopped) => break,
                    Err(error) => {
                        tracing::error!(
                            reason = error.to_string(),
                            "the client cannot be read from"
                        );
                        break;
                    }
                }
            }
            reasons.try_send(Over::EndOfInput).unwrap_or_default();
        })
        .map(drop)
}

fn watch_signals(signals: SigSet, reasons: Sender<Over>) -> io::Result<()> {
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if signals.wait().is_ok() {
                reasons.try_send(Over::Signal).unwrap_or_default();
            }
        })
        .map(drop)
}

/// Reports when the client has closed the end that reads the answers.
fn watch_answers(stop: Arc<Cancel>, reasons: Sender<Over>) -> io::Result<()> {
    std::thread::Builder::new()
        .name("client".to_owned())
        .spawn(move || {
            let answers = io::stdout();
            if let Ok(Woken::Ready) = poll::wait(&stop, answers.as_fd(), PollFlags::empty()) {
                reasons.try_send(Over::NobodyReads).unwrap_or_default();
            }
        })
        .map(drop)
}
