//! Receives and reads the gateway's messages, without copying and without allocating.

use core::ffi::CStr;

use super::bare::{Errno, RawFd, Result, call, register};
use super::file::{self, close};
use super::kernel as k;
use super::wire::{DESCRIPTORS_MAX, PACKET_BYTES, REPLY_BYTES, Reply};

/// A control message with room for the most descriptors, as `CMSG_SPACE` lays it out.
#[repr(C, align(8))]
struct Control {
    length: usize,
    level: i32,
    kind: i32,
    descriptors: [RawFd; DESCRIPTORS_MAX],
}

/// The bytes of a control message before its descriptors.
const CONTROL_HEADER_BYTES: usize = 16;

/// `struct iovec`.
#[repr(C)]
struct Part {
    base: usize,
    length: usize,
}

/// `struct msghdr`.
#[repr(C)]
struct Header {
    name: usize,
    name_length: u32,
    parts: usize,
    part_count: usize,
    control: usize,
    control_length: usize,
    flags: i32,
}

/// The descriptors of one message; closed by [`Descriptors::close`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptors {
    all: [RawFd; DESCRIPTORS_MAX],
    count: usize,
    next: usize,
}

impl Descriptors {
    /// The next descriptor.
    pub(crate) fn take(&mut self) -> Result<RawFd> {
        if self.next >= self.count {
            return Err(Errno(k::EBADMSG));
        }
        let fd = self.all.get(self.next).copied();
        self.next += 1;
        fd.ok_or(Errno(k::EBADMSG))
    }

    /// The next descriptor if there is to be one, else -1.
    pub(crate) fn take_if(&mut self, present: bool) -> Result<RawFd> {
        if present { self.take() } else { Ok(-1) }
    }

    /// Closes every one.
    pub(crate) fn close(&self) {
        let all = self.all.iter().take(self.count);
        for &fd in all.filter(|&&fd| fd >= 0) {
            close(fd);
        }
    }

    /// Closes the one that was just taken.
    fn close_taken(&mut self) {
        if let Some(fd) = self.all.get_mut(self.next.saturating_sub(1)) {
            close(*fd);
            *fd = -1;
        }
    }
}

/// One message: its body, or what is wrong with it, and its descriptors.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) body: Result<&'a [u8]>,
    pub(crate) descriptors: Descriptors,
}

/// Waits for the next message; `None` at the end of the conversation.
///
/// # Errors
/// When the conversation itself is broken. A message that cannot be read is no such error: its sender is told, and other requests go on.
pub(crate) fn next(socket: RawFd, buffer: &mut [u8]) -> Result<Option<Message<'_>>> {
    let mut descriptors = Descriptors {
        all: [-1; DESCRIPTORS_MAX],
        count: 0,
        next: 0,
    };
    let room = buffer.get_mut(..PACKET_BYTES).ok_or(Errno(k::EINVAL))?;
    let (length, flags) = receive(socket, room, &mut descriptors)?;
    if length == 0 {
        return Ok(None);
    }
    let whole = if flags & k::MSG_CTRUNC != 0 {
        // The kernel drops descriptors for which this process has no numbers left.
        Err(Errno(k::EMFILE))
    } else if flags & k::MSG_TRUNC != 0 {
        Err(Errno(k::EBADMSG))
    } else {
        Ok(())
    };
    let body = whole.and_then(|()| body(length, buffer, &mut descriptors));
    Ok(Some(Message { body, descriptors }))
}

/// The body of a packet of this length, which may be the packet's own or in a file.
fn body<'a>(
    length: usize,
    buffer: &'a mut [u8],
    descriptors: &mut Descriptors,
) -> Result<&'a [u8]> {
    let packet = buffer.get(..length).ok_or(Errno(k::EBADMSG))?;
    let in_file = Reader::new(packet).count()?;
    if in_file == 0 {
        return buffer.get(HEAD_BYTES..length).ok_or(Errno(k::EBADMSG));
    }
    let file = descriptors.take()?;
    let read = buffer
        .get_mut(..in_file)
        .ok_or(Errno(k::E2BIG))
        .and_then(|room| read_whole(file, room));
    descriptors.close_taken();
    read?;
    buffer.get(..in_file).ok_or(Errno(k::EBADMSG))
}

/// The word that every packet begins with.
const HEAD_BYTES: usize = 4;

fn read_whole(file: RawFd, mut room: &mut [u8]) -> Result<()> {
    while !room.is_empty() {
        let count = match file::read(file, room) {
            Ok(0) => return Err(Errno(k::EBADMSG)),
            Err(Errno(k::EINTR)) => 0,
            other => other?,
        };
        room = room.get_mut(count..).unwrap_or_default();
    }
    Ok(())
}

/// Waits for one packet. Returns its length, 0 at the end of the conversation, and the kernel's flags.
fn receive(
    socket: RawFd,
    buffer: &mut [u8],
    descriptors: &mut Descriptors,
) -> Result<(usize, i32)> {
    let mut control = Control {
        length: 0,
        level: 0,
        kind: 0,
        descriptors: [-1; DESCRIPTORS_MAX],
    };
    let mut part = Part {
        base: buffer.as_mut_ptr() as usize,
        length: buffer.len(),
    };
    let mut header = Header {
        name: 0,
        name_length: 0,
        parts: &raw mut part as usize,
        part_count: 1,
        control: &raw mut control as usize,
        control_length: size_of::<Control>(),
        flags: 0,
    };
    let args = [
        register(socket),
        &raw mut header as usize,
        k::MSG_CMSG_CLOEXEC,
        0,
        0,
    ];
    let length = loop {
        // SAFETY: the header and all that it points to live through the call and are as long as they say.
        match unsafe { call(k::SYS_RECVMSG, args) } {
            Err(Errno(k::EINTR)) => {}
            other => break other?,
        }
    };
    if control.kind == k::SCM_RIGHTS && control.level == k::SOL_SOCKET {
        let bytes = control.length.saturating_sub(CONTROL_HEADER_BYTES);
        descriptors.count = bytes / size_of::<RawFd>();
        descriptors.all = control.descriptors;
    }
    Ok((length, header.flags))
}

/// Sends a reply, with a descriptor unless that is -1.
pub(crate) fn answer(socket: RawFd, reply: &Reply, fd: RawFd) -> Result<()> {
    let control = Control {
        length: CONTROL_HEADER_BYTES + size_of::<RawFd>(),
        level: k::SOL_SOCKET,
        kind: k::SCM_RIGHTS,
        descriptors: [fd; DESCRIPTORS_MAX],
    };
    let part = Part {
        base: &raw const *reply as usize,
        length: REPLY_BYTES,
    };
    // `CMSG_SPACE(4)`: the header, one descriptor, padded to eight bytes.
    let space = if fd < 0 { 0 } else { CONTROL_HEADER_BYTES + 8 };
    let header = Header {
        name: 0,
        name_length: 0,
        parts: &raw const part as usize,
        part_count: 1,
        control: if fd < 0 {
            0
        } else {
            &raw const control as usize
        },
        control_length: space,
        flags: 0,
    };
    let args = [
        register(socket),
        &raw const header as usize,
        k::MSG_NOSIGNAL,
        0,
        0,
    ];
    // SAFETY: the header and all that it points to live through the call and are as long as they say.
    unsafe { call(k::SYS_SENDMSG, args) }.map(drop)
}

/// Reads a message from its start to its end.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts reading.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `count` bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Errno(k::EBADMSG))?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.bytes(N)?.try_into().map_err(|_| Errno(k::EBADMSG))
    }

    /// A word.
    pub(crate) fn word(&mut self) -> Result<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    /// A word as a length or count.
    pub(crate) fn count(&mut self) -> Result<usize> {
        usize::try_from(self.word()?).map_err(|_| Errno(k::EBADMSG))
    }

    /// A word as a bit pattern.
    pub(crate) fn flags(&mut self) -> Result<i32> {
        self.word().map(u32::cast_signed)
    }

    /// A word that says yes or no.
    pub(crate) fn yes(&mut self) -> Result<bool> {
        self.word().map(|word| word != 0)
    }

    /// A double word.
    pub(crate) fn long(&mut self) -> Result<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    /// A string with its length, its final zero counted.
    pub(crate) fn string(&mut self) -> Result<&'a CStr> {
        let count = self.count()?;
        CStr::from_bytes_with_nul(self.bytes(count)?).map_err(|_| Errno(k::EBADMSG))
    }

    /// Resource limits one after the other: how many, then each kind and value.
    pub(crate) fn limits(&mut self) -> Result<Limits<'a>> {
        let count = self.count()?;
        let bytes = count.checked_mul(LIMIT_BYTES).ok_or(Errno(k::EBADMSG))?;
        Ok(Limits {
            bytes: self.bytes(bytes)?,
        })
    }
}

/// A kind and a value.
const LIMIT_BYTES: usize = 4 + 8;

/// Resource limits that are still part of their message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits<'a> {
    bytes: &'a [u8],
}

impl Limits<'_> {
    /// Calls back with each kind and value.
    pub(crate) fn each(self, mut with: impl FnMut(u32, u64) -> Result<()>) -> Result<()> {
        let mut reader = Reader::new(self.bytes);
        while !reader.rest.is_empty() {
            let kind = reader.word()?;
            with(kind, reader.long()?)?;
        }
        Ok(())
    }
}
