//! The pipes between gateway and plugin: the request is written without ever blocking, and answer and error text are read within bounds.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::STDERR_TAIL_BYTES;
use crate::error::{Error, While};
use crate::report::Tail;

/// Space in bytes for a read from a stream that has said nothing yet: most answers fit.
const FIRST_READ_BYTES: usize = 4 * 1024;

/// The least space in bytes with which a read is worth making.
const LEAST_READ_BYTES: usize = 1024;

/// The most space in bytes that is made for one read: a pipe's usual capacity.
const READ_BYTES: usize = 64 * 1024;

/// A pipe as (read end, write end).
fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    pipe_with(PipeFlags::CLOEXEC).during("make a pipe")
}

fn non_blocking(fd: &OwnedFd) -> Result<(), Error> {
    fcntl_setfl(fd, OFlags::NONBLOCK).during("make a pipe non-blocking")
}

/// The way into a plugin, on which nothing has been written yet.
///
/// The gateway also keeps the read end until everything is written. So a plugin that closes its input can never raise `SIGPIPE`
/// in the gateway, whatever the host does about that signal.
#[derive(Debug)]
pub(crate) struct Inlet {
    read: OwnedFd,
    write: OwnedFd,
}

impl Inlet {
    /// Makes the pipe.
    pub(crate) fn open() -> Result<Self, Error> {
        let (read, write) = pipe()?;
        non_blocking(&write)?;
        Ok(Self { read, write })
    }

    /// The child's end.
    pub(crate) fn child_end(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

/// The request on its way into the plugin.
#[derive(Debug)]
pub(crate) struct Feed<'a> {
    ends: Option<Inlet>,
    left: &'a [u8],
    /// What is written behind that to a plugin that talks.
    replies: Vec<u8>,
    /// Whether the plugin's stdin outlasts what is written.
    stays_open: bool,
}

/// The most bytes of replies that wait for a plugin to read them: hundreds of short ones.
const REPLIES_BYTES_MAX: usize = 64 * 1024;

impl<'a> Feed<'a> {
    /// Writes as much as the pipe holds.
    pub(crate) fn new(inlet: Inlet, input: &'a [u8], stays_open: bool) -> Result<Self, Error> {
        let mut feed = Self {
            ends: Some(inlet),
            left: input,
            replies: Vec::new(),
            stays_open,
        };
        feed.write()?;
        Ok(feed)
    }

    /// The child's end, which is there until [`Self::close_if_done`].
    pub(crate) fn child_end(&self) -> Result<BorrowedFd<'_>, Error> {
        let ends = self.ends.as_ref().ok_or(Errno::BADF);
        ends.map(Inlet::child_end).during("hand a pipe over")
    }

    /// The gateway's end, while there is something left to write.
    pub(crate) fn pending(&self) -> Option<BorrowedFd<'_>> {
        let ends = self.ends.as_ref();
        let ends = ends.filter(|_| !(self.stays_open && self.is_written()));
        ends.map(|inlet| inlet.write.as_fd())
    }

    fn is_written(&self) -> bool {
        self.left.is_empty() && self.replies.is_empty()
    }

    /// Adds a reply behind everything else; says whether there was room.
    pub(crate) fn reply(&mut self, bytes: &[u8]) -> bool {
        let fits = self.replies.len() + bytes.len() <= REPLIES_BYTES_MAX;
        if fits {
            self.replies.extend_from_slice(bytes);
        }
        fits
    }

    /// Writes what the pipe takes now. Call [`Self::close_if_done`] once the child has its end.
    pub(crate) fn write(&mut self) -> Result<(), Error> {
        while let (Some(inlet), false) = (&self.ends, self.is_written()) {
            let is_request = !self.left.is_empty();
            let next = if is_request { self.left } else { &self.replies };
            match rustix::io::write(&inlet.write, next) {
                Ok(count) if is_request => self.left = self.left.get(count..).unwrap_or_default(),
                Ok(count) => drop(self.replies.drain(..count.min(self.replies.len()))),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno).during("write a request"),
            }
        }
        Ok(())
    }

    /// Closes the pipe when all is written, so that the plugin sees the end of its input; not where it talks.
    pub(crate) fn close_if_done(&mut self) {
        if self.left.is_empty() && !self.stays_open {
            self.ends = None;
        }
    }
}

/// A stream out of the plugin.
#[derive(Debug)]
pub(crate) struct Outlet {
    read: Option<OwnedFd>,
}

/// What one read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// This many bytes, now at the end of the buffer.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The end.
    End,
}

impl Outlet {
    /// Makes the pipe; returns also the child's end.
    pub(crate) fn open() -> Result<(Self, OwnedFd), Error> {
        let (read, write) = pipe()?;
        non_blocking(&read)?;
        Ok((Self { read: Some(read) }, write))
    }

    /// The gateway's end, until the end of the stream was seen.
    pub(crate) fn pending(&self) -> Option<BorrowedFd<'_>> {
        self.read.as_ref().map(AsFd::as_fd)
    }

    /// Reads once, and appends to `bytes`. The space for one read grows with what was read before, so that a short answer
    /// costs little memory and a long one few reads.
    pub(crate) fn read(&mut self, bytes: &mut Vec<u8>) -> Result<Progress, Error> {
        let Some(read) = &self.read else {
            return Ok(Progress::End);
        };
        if bytes.capacity() - bytes.len() < LEAST_READ_BYTES {
            bytes.reserve(bytes.len().clamp(FIRST_READ_BYTES, READ_BYTES));
        }
        match rustix::io::read(read, spare_capacity(bytes)) {
            Ok(0) => {
                self.read = None;
                Ok(Progress::End)
            }
            Ok(count) => Ok(Progress::Bytes(count)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Progress::Nothing),
            Err(errno) => Err(errno).during("read from a plugin"),
        }
    }
}

/// Keeps the last bytes of a stream.
#[derive(Debug, Default)]
pub(crate) struct TailBuffer {
    bytes: Vec<u8>,
    dropped: u64,
}

impl TailBuffer {
    /// Reads once from `outlet`; memory stays below twice the tail and one read.
    pub(crate) fn read(&mut self, outlet: &mut Outlet) -> Result<Progress, Error> {
        let progress = outlet.read(&mut self.bytes)?;
        if self.bytes.len() > 2 * STDERR_TAIL_BYTES {
            self.trim();
        }
        Ok(progress)
    }

    /// How many bytes were read.
    pub(crate) fn total(&self) -> u64 {
        let kept = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        self.dropped.saturating_add(kept)
    }

    fn trim(&mut self) {
        let surplus = self.bytes.len().saturating_sub(STDERR_TAIL_BYTES);
        self.bytes.drain(..surplus);
        self.dropped += u64::try_from(surplus).unwrap_or(u64::MAX);
    }

    /// The tail.
    pub(crate) fn finish(mut self) -> Tail {
        self.trim();
        Tail {
            bytes: self.bytes,
            dropped: self.dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_last_bytes_and_counts_the_rest() {
        let mut tail = TailBuffer::default();
        let (mut outlet, end) = Outlet::open().unwrap();
        for byte in 0..10_u8 {
            let mut left = 20_000;
            while left > 0 {
                left -= rustix::io::write(&end, &vec![byte; left]).unwrap();
                while let Progress::Bytes(_) = tail.read(&mut outlet).unwrap() {}
            }
        }
        let tail = tail.finish();
        assert_eq!(tail.bytes.len(), STDERR_TAIL_BYTES);
        assert_eq!(
            tail.dropped,
            200_000 - u64::try_from(STDERR_TAIL_BYTES).unwrap()
        );
        assert_eq!(tail.bytes.last(), Some(&9));
    }

    #[test]
    fn a_large_request_does_not_block_and_nobody_reading_is_no_fault() {
        let input = vec![b'x'; 1_000_000];
        let mut feed = Feed::new(Inlet::open().unwrap(), &input, false).unwrap();
        assert!(feed.pending().is_some());
        feed.write().unwrap();
        feed.close_if_done();
        assert!(feed.pending().is_some());
        let mut small = Feed::new(Inlet::open().unwrap(), b"x\n", false).unwrap();
        small.close_if_done();
        assert!(small.pending().is_none());
    }

    #[test]
    fn a_plugin_that_talks_keeps_its_input_and_gets_replies_within_bounds() {
        let mut feed = Feed::new(Inlet::open().unwrap(), b"x\n", true).unwrap();
        feed.close_if_done();
        assert!(feed.child_end().is_ok(), "it stays open");
        assert!(feed.pending().is_none(), "and there is nothing to write");
        assert!(feed.reply(b"y\n") && feed.pending().is_some());
        feed.write().unwrap();
        let mut read = [0; 8];
        let count = rustix::io::read(feed.child_end().unwrap(), &mut read).unwrap();
        assert_eq!(read.get(..count), Some(&b"x\ny\n"[..]));
        assert!(feed.pending().is_none());
        let long = [b'z'; REPLIES_BYTES_MAX];
        assert!(feed.reply(&long) && !feed.reply(b"z"));
    }
}
