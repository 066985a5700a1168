//! The supervisor's side of seccomp notifications: receive one, check that it is still alive, read the caller's memory.
//! A notified call is answered with an error or with one of the gateway's descriptors, or not at all. Only a call whose arguments are all
//! numbers may go on, or one that the filter lets through whatever its pointers lead to: that can be changed between the gateway's look and
//! the kernel's.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// `SECCOMP_IOCTL_NOTIF_RECV`: `_IOWR('!', 0, struct seccomp_notif)` with its 80 bytes.
const RECEIVE: u64 = 0xc050_2100;
/// `SECCOMP_IOCTL_NOTIF_SEND`: `_IOWR('!', 1, struct seccomp_notif_resp)` with its 24 bytes.
const SEND: u64 = 0xc018_2101;
/// `SECCOMP_IOCTL_NOTIF_ID_VALID`: `_IOW('!', 2, __u64)`.
const ID_VALID: u64 = 0x4008_2102;
/// `SECCOMP_IOCTL_NOTIF_ADDFD`: `_IOW('!', 3, struct seccomp_notif_addfd)` with its 24 bytes.
const ADD_DESCRIPTOR: u64 = 0x4018_2103;
/// `SECCOMP_IOCTL_NOTIF_SET_FLAGS`: `_IOW('!', 4, __u64)`; the flags are the argument itself.
const SET_FLAGS: u64 = 0x4008_2104;
/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`, since Linux 6.6: who reports wakes the reader on its own processor, and is woken there by the answer,
/// since one of them always waits for the other.
const SYNC_WAKE_UP: libc::c_ulong = 1;
/// `SECCOMP_ADDFD_FLAG_SEND`, since Linux 5.14: the new number is at once the call's result.
const ADD_AND_ANSWER: u32 = 2;

/// One system call that waits for an answer, as `struct seccomp_notif` has it.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Notification {
    /// The kernel's name for this very call.
    pub(crate) id: u64,
    /// The calling thread, in the reader's pid namespace; 0 when it is not visible there.
    pub(crate) pid: u32,
    flags: u32,
    /// The call's number.
    pub(crate) number: i32,
    /// The architecture that the number belongs to.
    pub(crate) arch: u32,
    /// Where the call was made.
    pub(crate) instruction_pointer: u64,
    /// The call's arguments.
    pub(crate) args: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
#[derive(Debug, Default)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// `struct seccomp_notif_addfd`.
#[repr(C)]
#[derive(Debug, Default)]
struct Addition {
    id: u64,
    flags: u32,
    source: RawFd,
    target: RawFd,
    target_flags: RawFd,
}

fn control<T>(listener: BorrowedFd<'_>, request: u64, argument: &mut T) -> io::Result<()> {
    // SAFETY: the requests of this file carry the size of the structure that their callers pass, and the
    // kernel refuses a request of another size with EINVAL before it touches memory.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), request, &raw mut *argument) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Makes a report and its answer cheaper where the kernel can; says whether it could.
pub(crate) fn wake_on_the_same_processor(listener: BorrowedFd<'_>) -> bool {
    // SAFETY: the kernel takes the flags by value, and refuses those that it does not know.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
    result == 0
}

/// Takes the next notification; `None` when its caller died first. Call it only when the listener is readable.
pub(crate) fn receive(listener: BorrowedFd<'_>) -> io::Result<Option<Notification>> {
    // The kernel asks for a structure of zeros.
    let mut notification = Notification::default();
    match control(listener, RECEIVE, &mut notification) {
        Ok(()) => Ok(Some(notification)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there was nothing to receive, perhaps because the caller died just before.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::EAGAIN | libc::EINTR)
    )
}

/// Whether the notified call is still waiting. If so, the memory that was read from its pid was its caller's.
pub(crate) fn is_valid(listener: BorrowedFd<'_>, id: u64) -> bool {
    let mut id = id;
    control(listener, ID_VALID, &mut id).is_ok()
}

/// Answers a notified call with an error number. That its caller died meanwhile is no error.
pub(crate) fn refuse(listener: BorrowedFd<'_>, id: u64, errno: i32) -> io::Result<()> {
    respond(
        listener,
        Response {
            id,
            error: -errno,
            ..Response::default()
        },
    )
}

fn respond(listener: BorrowedFd<'_>, mut response: Response) -> io::Result<()> {
    match control(listener, SEND, &mut response) {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Lets a notified call go on. Its arguments must be numbers, or such that it may be made with anything behind them. That its caller died meanwhile is no error.
pub(crate) fn proceed(listener: BorrowedFd<'_>, id: u64) -> io::Result<()> {
    /// `SECCOMP_USER_NOTIF_FLAG_CONTINUE` of seccomp_unotify(2) (Linux 5.5).
    const CONTINUE: u32 = 1;
    respond(
        listener,
        Response {
            id,
            flags: CONTINUE,
            ..Response::default()
        },
    )
}

/// Answers a notified call that opens a file: the caller gets a copy of one of the gateway's descriptors, under the lowest free number.
/// The path that the caller named is not looked up again, so it gets this file and no other.
pub(crate) fn give(
    listener: BorrowedFd<'_>,
    id: u64,
    file: BorrowedFd<'_>,
    closes_on_exec: bool,
) -> io::Result<()> {
    let mut addition = Addition {
        id,
        flags: ADD_AND_ANSWER,
        source: file.as_raw_fd(),
        target: 0,
        target_flags: if closes_on_exec { libc::O_CLOEXEC } else { 0 },
    };
    match control(listener, ADD_DESCRIPTOR, &mut addition) {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads from another process's memory; returns how many bytes could be read.
pub(crate) fn read_memory(pid: u32, address: u64, buffer: &mut [u8]) -> usize {
    let (Ok(pid), Ok(address)) = (i32::try_from(pid), usize::try_from(address)) else {
        return 0;
    };
    let local = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let remote = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(address),
        iov_len: buffer.len(),
    };
    // SAFETY: the kernel writes at most the slice's length into the slice; the remote address is never dereferenced here.
    let count =
        unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_carry_the_sizes_of_their_structures() {
        assert_eq!(
            usize::try_from((RECEIVE >> 16) & 0x3fff).unwrap(),
            size_of::<Notification>()
        );
        assert_eq!(
            usize::try_from((SEND >> 16) & 0x3fff).unwrap(),
            size_of::<Response>()
        );
        assert_eq!(
            usize::try_from((ADD_DESCRIPTOR >> 16) & 0x3fff).unwrap(),
            size_of::<Addition>()
        );
    }

    #[test]
    fn memory_of_this_process_can_be_read() {
        let secret = *b"forty-two";
        let mut copy = [0; 9];
        assert_eq!(
            read_memory(std::process::id(), secret.as_ptr() as u64, &mut copy),
            9
        );
        assert_eq!(copy, secret);
        assert_eq!(read_memory(std::process::id(), 8, &mut copy), 0);
    }
}
