//! The lines to a host or client, written by a thread of its own. Nothing is lost while it reads; where it does not, those who answer wait.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use sandbox::Cancel;

/// How many lines wait for whoever does not read them; then who has one more waits, and in the end reading stops.
const WAITING_LINES: usize = 64;

/// Lines that wait are written together up to this many bytes: a pipe's usual capacity.
const WRITE_BYTES: usize = 64 * 1024;

/// The way to whoever reads.
#[derive(Debug)]
pub(crate) struct Out {
    lines: Sender<Vec<u8>>,
    /// Once thrown, what is queued is written, and then the writer ends.
    finish: Cancel,
    /// Once thrown, lines are dropped instead of queued.
    abandoned: Cancel,
    /// Disconnected when the writer has ended.
    written: Receiver<()>,
    /// The bytes that are queued or being written, and what else is held for the same reader.
    held_bytes: Arc<AtomicUsize>,
}

impl Out {
    /// Starts to write to `sink`; `on_end` is called when nobody reads any more, or after [`Self::finish`].
    ///
    /// # Errors
    /// When the system refuses a thread or a descriptor.
    pub(crate) fn open(
        sink: impl Write + Send + 'static,
        on_end: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (lines, waiting) = bounded(WAITING_LINES);
        let (writing, written) = bounded::<()>(0);
        let out = Self {
            lines,
            finish: Cancel::new()?,
            abandoned: Cancel::new()?,
            written,
            held_bytes: Arc::default(),
        };
        let (finish, held_bytes) = (out.finish.thrown().clone(), Arc::clone(&out.held_bytes));
        std::thread::Builder::new()
            .name("answers".to_owned())
            .spawn(move || {
                write_answers(&waiting, &finish, &held_bytes, sink);
                drop((writing, waiting));
                on_end();
            })?;
        Ok(out)
    }

    /// Queues a line, and waits for room. It is dropped where nobody will read it; says whether it was queued.
    pub(crate) fn send(&self, line: Vec<u8>) -> bool {
        let bytes = line.len();
        self.hold(bytes);
        let taken = select! {
            send(self.lines, line) -> taken => taken.is_ok(),
            recv(self.abandoned.thrown()) -> _ => false,
        };
        if !taken {
            self.let_go(bytes);
        }
        taken
    }

    /// Queues a line that may be lost, where there is room.
    pub(crate) fn offer(&self, line: Vec<u8>) {
        let bytes = line.len();
        self.hold(bytes);
        if self.lines.try_send(line).is_err() {
            self.let_go(bytes);
        }
    }

    /// How many bytes are held for the reader.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::SeqCst)
    }

    /// Counts bytes that are held besides lines, such as those of a request, until they are let go.
    pub(super) fn hold(&self, bytes: usize) {
        self.held_bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    /// They are held no more.
    pub(super) fn let_go(&self, bytes: usize) {
        self.held_bytes.fetch_sub(bytes, Ordering::SeqCst);
    }

    /// Lets the writer write what is queued and end; the channel that it returns disconnects when that is done.
    pub(super) fn begin_to_finish(&self) -> &Receiver<()> {
        self.finish.cancel();
        &self.written
    }

    /// Gives up on a reader that does not read.
    pub(super) fn abandon(&self) {
        self.abandoned.cancel();
    }

    /// Writes what is queued, until `end` at the latest.
    pub(crate) fn finish(&self, end: Instant) {
        // Nothing is ever sent on it: this waits for the end of the writer, or of the time.
        self.begin_to_finish()
            .recv_deadline(end)
            .unwrap_or_default();
        self.abandon();
    }
}

/// Writes what comes until told to finish, or until nobody reads. What is written is taken off `held_bytes`.
fn write_answers(
    waiting: &Receiver<Vec<u8>>,
    finish: &Receiver<()>,
    held_bytes: &AtomicUsize,
    mut sink: impl Write,
) {
    loop {
        let mut lines = select! {
            recv(waiting) -> line => match line { Ok(line) => line, Err(_) => return },
            recv(finish) -> _ => match waiting.try_recv() { Ok(line) => line, Err(_) => return },
        };
        while lines.len() < WRITE_BYTES
            && let Ok(more) = waiting.try_recv()
        {
            lines.extend_from_slice(&more);
        }
        let written = sink.write_all(&lines).and_then(|()| sink.flush());
        held_bytes.fetch_sub(lines.len(), Ordering::SeqCst);
        if let Err(error) = written {
            tracing::warn!(
                reason = error.to_string(),
                "answers can no longer be written"
            );
            return;
        }
    }
}
