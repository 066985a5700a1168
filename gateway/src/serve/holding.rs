//! A gateway that another room of this process holds: open to operators on the control socket as any is, with sessions inside the process
//! in place of a host on stdin. It reads no input and waits for no signal; who holds it says when it ends.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::hub::{Hub, StopReason};
use super::session::Session;
use super::task::Caller;
use super::{Ending, Opened, open, release};
use crate::error::Error;

/// The gateway that is held.
#[derive(Debug)]
pub(crate) struct Holding {
    hub: Arc<Hub>,
    /// Ends when the state is let go.
    thread: JoinHandle<()>,
}

/// A session inside the process: lines go in here, and answers to the sink that it was opened with.
#[derive(Debug)]
pub(crate) struct Inside(Arc<Session>);

impl Holding {
    /// Opens the state. `on_end` is called once nothing is in flight any more and before the state is let go: because of [`Self::end`], or
    /// because an operator asked for a shutdown. After [`Self::end`], calls may go on for `drain`; then they are cancelled.
    ///
    /// # Errors
    /// When the state cannot be opened, or the system refuses a thread or a descriptor.
    pub(crate) fn open(
        state: &Path,
        anchor: Option<&Path>,
        drain: Duration,
        on_end: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Error> {
        let Opened {
            hub,
            reasons,
            control,
        } = open(state, anchor)?;
        let held = Arc::clone(&hub);
        let thread = std::thread::Builder::new()
            .name("holder".to_owned())
            .spawn(move || {
                Ending {
                    hub: &held,
                    reasons: &reasons,
                    deadline: None,
                    drain: Some(drain),
                    cancelled: false,
                    asked: Vec::new(),
                }
                .run(None);
                on_end();
                control.join();
                let freed = release(held);
                tracing::info!(in_good_order = freed, "the state is let go");
            })?;
        Ok(Self { hub, thread })
    }

    /// Opens a session of a host's rights.
    ///
    /// # Errors
    /// When the system refuses a thread or a descriptor.
    pub(crate) fn connect(&self, sink: impl Write + Send + 'static) -> io::Result<Inside> {
        Session::open(&self.hub, Caller::Host, sink).map(Inside)
    }

    /// Ends, and waits until the state is let go. No [`Inside`] of it may be kept.
    pub(crate) fn end(self) {
        self.hub.tell(StopReason::EndOfInput);
        drop(self.hub);
        if self.thread.join().is_err() {
            tracing::error!("the gateway that was held ended in a fault");
        }
    }
}

impl Inside {
    /// Handles one line. It waits where the answers are not read.
    pub(crate) fn take(&self, line: &[u8]) {
        self.0.take(line);
    }
}
