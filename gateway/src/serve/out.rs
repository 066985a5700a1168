//! The lines to a host or client, written by a thread of its own. Nothing is lost while it reads; where it does not, those who answer wait.
//! A short line to a pipe with room, behind no other line, is written by whoever has it: waking the thread for it would take longer.

use std::io::{self, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use rustix::fs::FileType;

use super::poll;
use sandbox::Cancel;

/// How many lines wait for whoever does not read them; then who has one more waits, and in the end reading stops.
const WAITING_LINES: usize = 64;

/// Lines that wait are written together up to this many bytes: a pipe's usual capacity.
const WRITE_BYTES: usize = 64 * 1024;

/// The longest line that a pipe takes as a whole when it has room (pipe(7), `PIPE_BUF`), in bytes.
const WHOLE_BYTES: usize = 4096;

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
    pen: Arc<Pen>,
    /// Where short lines are written to directly.
    pipe: Option<OwnedFd>,
}

/// Who writes, and whether lines wait: no line is written past one that was queued before.
#[derive(Debug, Default)]
struct Pen {
    held: Mutex<()>,
    /// Lines that are queued or being written by the thread.
    waiting: AtomicUsize,
}

impl Out {
    /// Starts to write to standard output.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_stdout(on_end: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let stdout = io::stdout();
        let of = rustix::fs::fstat(&stdout).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let pipe = match of {
            Ok(FileType::Fifo) => Some(stdout.as_fd().try_clone_to_owned()?),
            Ok(_) | Err(_) => None,
        };
        Ok(Self {
            pipe,
            ..Self::open(stdout, on_end)?
        })
    }

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
            pen: Arc::default(),
            pipe: None,
        };
        let (finish, held_bytes) = (out.finish.thrown().clone(), Arc::clone(&out.held_bytes));
        let pen = Arc::clone(&out.pen);
        std::thread::Builder::new()
            .name("answers".to_owned())
            .spawn(move || {
                write_answers(&waiting, &finish, &held_bytes, &pen, sink);
                drop((writing, waiting));
                on_end();
            })?;
        Ok(out)
    }

    /// Queues a line, and waits for room. It is dropped where nobody will read it; says whether it was queued.
    pub(crate) fn send(&self, line: Vec<u8>) -> bool {
        if self.write_directly(&line) {
            return true;
        }
        let bytes = line.len();
        self.hold(bytes);
        self.pen.waiting.fetch_add(1, Ordering::SeqCst);
        let taken = select! {
            send(self.lines, line) -> taken => taken.is_ok(),
            recv(self.abandoned.thrown()) -> _ => false,
        };
        if !taken {
            self.pen.waiting.fetch_sub(1, Ordering::SeqCst);
            self.let_go(bytes);
        }
        taken
    }

    /// Writes a line where that neither waits nor overtakes another, and nobody has begun to finish.
    fn write_directly(&self, line: &[u8]) -> bool {
        let Some(pipe) = self.pipe.as_ref().filter(|_| line.len() <= WHOLE_BYTES) else {
            return false;
        };
        let Ok(_held) = self.pen.held.try_lock() else {
            return false;
        };
        let may = self.pen.waiting.load(Ordering::SeqCst) == 0 && !self.finish.is_thrown();
        // A failure, and what else is odd, is the thread's to find.
        may && poll::has_room(pipe.as_fd()) && rustix::io::write(pipe, line) == Ok(line.len())
    }

    /// Queues a line that may be lost, where there is room.
    pub(crate) fn offer(&self, line: Vec<u8>) {
        let bytes = line.len();
        self.hold(bytes);
        self.pen.waiting.fetch_add(1, Ordering::SeqCst);
        if self.lines.try_send(line).is_err() {
            self.pen.waiting.fetch_sub(1, Ordering::SeqCst);
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
    pen: &Pen,
    mut sink: impl Write,
) {
    loop {
        let mut lines = select! {
            recv(waiting) -> line => match line { Ok(line) => line, Err(_) => return },
            recv(finish) -> _ => match waiting.try_recv() { Ok(line) => line, Err(_) => return },
        };
        let mut count = 1;
        while lines.len() < WRITE_BYTES
            && let Ok(more) = waiting.try_recv()
        {
            lines.extend_from_slice(&more);
            count += 1;
        }
        let held = pen.held.lock().unwrap_or_else(PoisonError::into_inner);
        let written = sink.write_all(&lines).and_then(|()| sink.flush());
        pen.waiting.fetch_sub(count, Ordering::SeqCst);
        drop(held);
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufRead as _, BufReader};

    use super::*;

    /// A pipe that is written to as the host's is, and the end to read from.
    fn out() -> (Out, BufReader<File>) {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let sink = File::from(write.try_clone().unwrap());
        let out = Out {
            pipe: Some(write),
            ..Out::open(sink, || {}).unwrap()
        };
        (out, BufReader::new(File::from(read)))
    }

    fn line(number: usize, bytes: usize) -> Vec<u8> {
        format!("{number:0>width$}\n", width = bytes - 1).into_bytes()
    }

    fn next(read: &mut BufReader<File>) -> usize {
        let mut line = String::new();
        read.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    /// Of a pipe's 65,536 bytes; long lines go by the thread, short ones past it, and a reader that comes late finds all in order.
    #[test]
    fn lines_of_one_sender_stay_in_order_and_none_is_lost_whoever_writes_them() {
        const LINES: usize = 200;
        let (out, mut read) = out();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..LINES {
                    let bytes = if number % 3 == 0 { 9_000 } else { 90 };
                    assert!(out.send(line(number, bytes)));
                }
            });
            std::thread::sleep(std::time::Duration::from_millis(30));
            for number in 0..LINES {
                assert_eq!(next(&mut read), number);
            }
        });
        assert!(out.write_directly(b"x\n"), "nobody waits any more");
        assert_eq!(out.held_bytes(), 0);
    }

    #[test]
    fn nothing_is_written_directly_into_a_pipe_without_room_or_after_the_end() {
        let (out, mut read) = out();
        let whole = vec![b'x'; WHOLE_BYTES];
        let written = std::iter::repeat_with(|| out.write_directly(&whole));
        // As many as the pipe takes, and then it returns at once.
        let count = written.take_while(|written| *written).count();
        assert!((1..=64).contains(&count), "{count}");
        assert!(!out.write_directly(b"short\n"));
        let mut all = vec![0; count * WHOLE_BYTES];
        io::Read::read_exact(&mut read, &mut all).unwrap();
        assert!(out.write_directly(b"1\n") && next(&mut read) == 1);
        assert!(!out.write_directly(&vec![b'x'; WHOLE_BYTES + 1]));
        out.begin_to_finish();
        assert!(!out.write_directly(b"2\n"));
    }
}
