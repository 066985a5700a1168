//! Writes the gateway's messages to a launcher, as `sys::launcher` reads them, and carries them with their descriptors.

use std::ffi::{CStr, CString};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::error::{Error, While};
use crate::plan::layout::{Layout, Operation};
use crate::sys::launcher::wire::{
    BODY_BYTES_MAX, DESCRIPTORS_MAX, PACKET_BYTES, REPLY_BYTES, Reply, instruction, operation,
};

/// How long to wait where too many of this user's descriptors are in transit between processes. That is over as soon as the
/// launchers have read the messages that are waiting for them, each of which takes less than a millisecond.
const DESCRIPTORS_WAIT: Duration = Duration::from_millis(1);

/// One message, not yet sent.
#[derive(Debug, Default)]
pub(crate) struct Letter<'a> {
    bytes: Vec<u8>,
    descriptors: Vec<BorrowedFd<'a>>,
}

impl<'a> Letter<'a> {
    pub(crate) fn word(&mut self, word: u32) {
        self.bytes.extend(word.to_ne_bytes());
    }

    pub(crate) fn long(&mut self, long: u64) {
        self.bytes.extend(long.to_ne_bytes());
    }

    pub(crate) fn yes(&mut self, yes: bool) {
        self.word(u32::from(yes));
    }

    pub(crate) fn flags(&mut self, flags: i32) {
        self.word(flags.cast_unsigned());
    }

    /// A length or a count. One that does not fit is far beyond a message's size, so the message is refused when it is closed.
    pub(crate) fn count(&mut self, count: usize) {
        self.word(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Bytes, preceded by their length.
    pub(crate) fn text(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn string(&mut self, string: &CStr) {
        self.text(string.to_bytes_with_nul());
    }

    pub(crate) fn strings(&mut self, strings: &[CString]) {
        self.count(strings.len());
        for string in strings {
            self.string(string);
        }
    }

    pub(crate) fn limits(&mut self, limits: &[(u32, u64)]) {
        self.count(limits.len());
        for &(resource, value) in limits {
            self.word(resource);
            self.long(value);
        }
    }

    /// A private root's operations, or a word that says that there is no private root.
    pub(crate) fn root(&mut self, layout: Option<&Layout>) {
        self.yes(layout.is_some());
        let operations = layout.map(Layout::operations).unwrap_or_default();
        self.count(operations.len());
        let mut inner = Letter::default();
        for operation in operations {
            inner.operation(operation);
        }
        self.text(&inner.bytes);
    }

    fn operation(&mut self, operation: &Operation) {
        match operation {
            Operation::Folder(path) => {
                self.word(operation::FOLDER);
                self.string(path);
            }
            Operation::Link { path, target } => {
                self.word(operation::LINK);
                self.string(path);
                self.string(target);
            }
            Operation::File(path) => {
                self.word(operation::FILE);
                self.string(path);
            }
            Operation::Device { source, path } => {
                self.word(operation::DEVICE);
                self.string(source);
                self.string(path);
            }
            Operation::Bind { source, path } => {
                self.word(operation::BIND);
                self.string(source);
                self.string(path);
            }
            Operation::Cover(path) => {
                self.word(operation::COVER);
                self.string(path);
            }
        }
    }

    /// A filter program, preceded by its length in bytes.
    pub(crate) fn filter(&mut self, program: &[libc::sock_filter]) {
        self.count(program.len().saturating_mul(8));
        for &libc::sock_filter { code, jt, jf, k } in program {
            self.bytes.extend(instruction(code, jt, jf, k));
        }
    }

    /// Adds a descriptor. They are read in the order in which they were added.
    pub(crate) fn descriptor(&mut self, fd: BorrowedFd<'a>) {
        self.descriptors.push(fd);
    }

    /// Says whether there is a descriptor, and adds it.
    pub(crate) fn descriptor_if(&mut self, fd: Option<BorrowedFd<'a>>) {
        self.yes(fd.is_some());
        self.descriptors.extend(fd);
    }

    /// Makes the message ready to be sent: a long body goes into a file of its own.
    ///
    /// # Errors
    /// When it is longer than the launcher has room for.
    pub(crate) fn close(self) -> Result<Envelope<'a>, Error> {
        let long = self.bytes.len() > PACKET_BYTES - HEAD_BYTES;
        if self.bytes.len() > BODY_BYTES_MAX {
            return Err(Error::Unusable {
                subject: "set of arguments and paths",
                value: format!(
                    "{} bytes in all, where at most {BODY_BYTES_MAX} can be handed over",
                    self.bytes.len()
                ),
            });
        }
        let file = if long {
            Some(in_memory(&self.bytes)?)
        } else {
            None
        };
        Ok(Envelope { letter: self, file })
    }
}

/// The word before a body.
const HEAD_BYTES: usize = 4;

/// A file without a name that holds these bytes.
fn in_memory(bytes: &[u8]) -> Result<OwnedFd, Error> {
    use rustix::fs::{MemfdFlags, memfd_create};
    const ACTION: &str = "write a long order to a launcher";
    let file = memfd_create("order", MemfdFlags::CLOEXEC).during(ACTION)?;
    let file = std::fs::File::from(file);
    // Not by a plain write, which would move the file's offset: the launcher would begin to read at the end.
    file.write_all_at(bytes, 0).during(ACTION)?;
    Ok(file.into())
}

/// A message that is ready to be sent.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    letter: Letter<'a>,
    file: Option<OwnedFd>,
}

impl Envelope<'_> {
    /// Sends the message if it can be sent now; false when too many others are queued before it.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub(crate) fn send(&self, socket: BorrowedFd<'_>) -> Result<bool, Error> {
        let body = self.letter.bytes.as_slice();
        let (head, body) = match self.file {
            Some(_) => (u32::try_from(body.len()).unwrap_or(u32::MAX), &[][..]),
            None => (0, body),
        };
        let head = head.to_ne_bytes();
        let file = self.file.as_ref().map(AsFd::as_fd);
        let descriptors: Vec<_> = file
            .into_iter()
            .chain(self.letter.descriptors.iter().copied())
            .collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            let pushed = control.push(SendAncillaryMessage::ScmRights(&descriptors));
            debug_assert!(
                pushed,
                "there is space for as many descriptors as are ever sent"
            );
        }
        let parts = [IoSlice::new(&head), IoSlice::new(body)];
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match sendmsg(socket, &parts, &mut control, flags) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::AGAIN) => Ok(false),
            Err(rustix::io::Errno::TOOMANYREFS) => {
                std::thread::sleep(DESCRIPTORS_WAIT);
                Ok(false)
            }
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => Err(Error::LauncherGone),
            Err(errno) => Err(errno).during("write to a launcher"),
        }
    }
}

/// Reads a launcher's reply and the descriptor that may come with it.
///
/// # Errors
/// When the launcher is gone.
pub(crate) fn read_reply(socket: BorrowedFd<'_>) -> Result<(Reply, Option<OwnedFd>), Error> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0_u8; REPLY_BYTES];
    let read = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    );
    let count = match read {
        Ok(received) => received.bytes,
        Err(rustix::io::Errno::CONNRESET) => 0,
        Err(errno) => return Err(errno).during("read from a launcher"),
    };
    if count != REPLY_BYTES {
        return Err(Error::LauncherGone);
    }
    let descriptor = control.drain().find_map(|message| {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
            descriptors.next()
        } else {
            None
        }
    });
    let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
    let reply = Reply {
        step: u32::from_ne_bytes([a, b, c, d]),
        errno: i32::from_ne_bytes([e, f, g, h]),
        pid: i32::from_ne_bytes([i, j, k, l]),
    };
    Ok((reply, descriptor))
}
