//! Lines from a pipe or socket, each bounded: one that is too long is reported and skipped, and reading continues after it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::PollFlags;

use super::poll::{self, Woken};
use sandbox::Cancel;

/// How much is asked for at once, in bytes: a pipe's usual capacity.
const CHUNK_BYTES: usize = 64 * 1024;

/// What came next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line without its newline. The last one of the input may have had none.
    Whole(Vec<u8>),
    /// A line longer than the bound; the rest of it is skipped.
    TooLong,
    /// The end of the input.
    End,
    /// The switch was thrown.
    Stopped,
}

/// Reads lines until the input ends or the switch is thrown.
#[derive(Debug)]
pub(crate) struct Lines {
    source: OwnedFd,
    stop: Arc<Cancel>,
    max_bytes: usize,
    buffer: Vec<u8>,
    /// Where the next line starts in the buffer.
    start: usize,
    /// How far the buffer was searched for a newline.
    seen: usize,
    /// Whether the rest of a line that is too long is being skipped.
    skipping: bool,
    ended: bool,
}

impl Lines {
    pub(crate) fn new(source: OwnedFd, stop: Arc<Cancel>, max_bytes: usize) -> Self {
        Self {
            source,
            stop,
            max_bytes,
            buffer: Vec::new(),
            start: 0,
            seen: 0,
            skipping: false,
            ended: false,
        }
    }

    /// The next line.
    ///
    /// # Errors
    /// When the system refuses to read.
    pub(crate) fn next(&mut self) -> io::Result<Line> {
        loop {
            if self.stop.is_thrown() {
                return Ok(Line::Stopped);
            }
            if let Some(line) = self.buffered() {
                return Ok(line);
            }
            if self.ended {
                return Ok(self.rest());
            }
            match poll::wait(&self.stop, self.source.as_fd(), PollFlags::IN)? {
                Woken::Stopped => return Ok(Line::Stopped),
                Woken::Ready => self.fill()?,
            }
        }
    }

    /// Whether more than what was given has come already.
    pub(super) fn has_more(&self) -> bool {
        self.start < self.buffer.len()
    }

    fn buffered(&mut self) -> Option<Line> {
        while let Some(found) = self
            .buffer
            .get(self.seen..)
            .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            let end = self.seen + found;
            let line = self.buffer.get(self.start..end).unwrap_or_default();
            let (skipped, too_long) = (self.skipping, line.len() > self.max_bytes);
            let line = if skipped || too_long {
                Vec::new()
            } else {
                line.to_vec()
            };
            self.skipping = false;
            self.start = end + 1;
            self.seen = self.start;
            if !skipped {
                return Some(if too_long {
                    Line::TooLong
                } else {
                    Line::Whole(line)
                });
            }
        }
        self.seen = self.buffer.len();
        if self.skipping {
            self.forget();
        } else if self.buffer.len() - self.start > self.max_bytes {
            self.skipping = true;
            self.forget();
            return Some(Line::TooLong);
        }
        None
    }

    fn forget(&mut self) {
        self.buffer.clear();
        (self.start, self.seen) = (0, 0);
    }

    /// What follows the last newline when the input has ended.
    fn rest(&mut self) -> Line {
        let rest = self.buffer.split_off(self.start);
        self.forget();
        if rest.is_empty() {
            Line::End
        } else {
            Line::Whole(rest)
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.seen -= self.start;
        self.start = 0;
        if self.buffer.is_empty() {
            // Give back the memory that one long line took.
            self.buffer.shrink_to(2 * CHUNK_BYTES);
        }
        let have = self.buffer.len();
        self.buffer.resize(have + CHUNK_BYTES, 0);
        let room = self.buffer.get_mut(have..).unwrap_or_default();
        let got = loop {
            match rustix::io::read(&self.source, &mut *room) {
                Ok(got) => break got,
                Err(rustix::io::Errno::INTR) => {}
                // A peer that reset the connection sends nothing more: treat it as the end of input.
                Err(rustix::io::Errno::CONNRESET) => break 0,
                Err(error) => {
                    self.buffer.truncate(have);
                    return Err(error.into());
                }
            }
        };
        self.buffer.truncate(have + got);
        self.ended = got == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8], max_bytes: usize) -> Lines {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let input = input.to_vec();
        std::thread::spawn(move || {
            for part in input.chunks(7) {
                rustix::io::write(&write, part).unwrap();
            }
        });
        Lines::new(read, Arc::new(Cancel::new().unwrap()), max_bytes)
    }

    fn all(input: &[u8], max_bytes: usize) -> Vec<Line> {
        let mut lines = lines(input, max_bytes);
        let mut found = Vec::new();
        loop {
            match lines.next().unwrap() {
                Line::End => return found,
                line @ (Line::Whole(_) | Line::TooLong | Line::Stopped) => found.push(line),
            }
        }
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_come_whole_and_the_last_may_lack_its_newline() {
        assert_eq!(
            all(b"one\n\ntwo\nthree", 9),
            [whole("one"), whole(""), whole("two"), whole("three")]
        );
        assert_eq!(all(b"", 9), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_told_of_once_and_reading_goes_on_behind_it() {
        let mut input = b"123456789\n1234567890\n".to_vec();
        input.extend(vec![b'x'; 300_000]);
        input.extend(b"\nafter\n");
        assert_eq!(
            all(&input, 9),
            [
                whole("123456789"),
                Line::TooLong,
                Line::TooLong,
                whole("after")
            ]
        );
        assert_eq!(all(&vec![b'x'; 300_000], 9), [Line::TooLong]);
    }

    #[test]
    fn memory_stays_bounded_while_a_long_line_is_passed_over() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let mut lines = Lines::new(read, Arc::new(Cancel::new().unwrap()), 9);
        let writer = std::thread::spawn(move || {
            for _ in 0..200 {
                let mut part: &[u8] = &[b'x'; CHUNK_BYTES];
                while !part.is_empty() {
                    let done = rustix::io::write(&write, part).unwrap();
                    part = &part[done..];
                }
            }
        });
        assert_eq!(lines.next().unwrap(), Line::TooLong);
        assert_eq!(lines.next().unwrap(), Line::End);
        assert!(lines.buffer.capacity() <= 4 * CHUNK_BYTES);
        writer.join().unwrap();
    }

    #[test]
    fn a_thrown_switch_ends_a_wait() {
        let (read, _write) = rustix::pipe::pipe().unwrap();
        let stop = Arc::new(Cancel::new().unwrap());
        let mut lines = Lines::new(read, Arc::clone(&stop), 9);
        let waiter = std::thread::spawn(move || lines.next().unwrap());
        stop.cancel();
        assert_eq!(waiter.join().unwrap(), Line::Stopped);
    }
}
