//! The lines to the client, written by a thread of its own. Nothing is lost while the client reads; where it does not, those who answer wait.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::serve::write_answers;
use sandbox::Cancel;

/// How many lines wait for a client that does not read; then whoever has one more waits, and in the end reading stops.
const WAITING_LINES: usize = 64;

/// The way to the client.
#[derive(Debug)]
pub(super) struct Out {
    lines: Sender<Vec<u8>>,
    /// Once thrown, what is queued is written, and then the writer ends.
    finish: Cancel,
    /// Once thrown, lines are dropped instead of queued.
    abandoned: Cancel,
    /// Disconnected when the writer has ended.
    written: Receiver<()>,
    /// The bytes that are queued or being written.
    held_bytes: Arc<AtomicUsize>,
}

impl Out {
    /// Starts to write to `sink`; `on_end` is called when nobody reads any more, or after [`Self::finish`].
    ///
    /// # Errors
    /// When the system refuses a thread or a descriptor.
    pub(super) fn open(
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

    /// Queues a line, and waits for room. It is dropped where nobody will read it.
    pub(super) fn send(&self, line: Vec<u8>) {
        let bytes = line.len();
        self.held_bytes.fetch_add(bytes, Ordering::SeqCst);
        let taken = select! {
            send(self.lines, line) -> taken => taken.is_ok(),
            recv(self.abandoned.thrown()) -> _ => false,
        };
        if !taken {
            self.held_bytes.fetch_sub(bytes, Ordering::SeqCst);
        }
    }

    /// Queues a line that may be lost, where there is room.
    pub(super) fn offer(&self, line: Vec<u8>) {
        let bytes = line.len();
        self.held_bytes.fetch_add(bytes, Ordering::SeqCst);
        if self.lines.try_send(line).is_err() {
            self.held_bytes.fetch_sub(bytes, Ordering::SeqCst);
        }
    }

    /// How many bytes wait for the client.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::SeqCst)
    }

    /// Writes what is queued, until `end` at the latest.
    pub(super) fn finish(&self, end: Instant) {
        self.finish.cancel();
        // Nothing is ever sent on it: this waits for the end of the writer, or of the time.
        self.written.recv_deadline(end).unwrap_or_default();
        self.abandoned.cancel();
    }
}
