//! System calls as they are: no libc, no `errno`, no allocation, no lock.
//!
//! Only these may be used between clone and exec, where the child still shares the parent's memory:
//! libc's own wrappers would write the parent's thread-local `errno`, take its locks, or (setuid)
//! try to signal threads that the child does not have.

use std::arch::asm;
use std::ffi::CStr;
use std::io;
use std::os::fd::RawFd;

/// An error number as the kernel gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

/// What every bare call returns.
pub(crate) type Result<T> = std::result::Result<T, Errno>;

/// The highest error number that the kernel returns (`MAX_ERRNO` in its `err.h`).
const ERRNO_MAX: usize = 4095;

/// One system call with up to six arguments.
///
/// # Safety
/// The arguments must be right for the call: every pointer valid for what the kernel reads or writes through it,
/// and the call must not pull memory away that Rust still owns.
#[inline]
pub(super) unsafe fn call(number: i64, args: [usize; 6]) -> Result<usize> {
    let [a, b, c, d, e, f] = args;
    let result: usize;
    // SAFETY: the registers are those of the x86-64 system call convention; the kernel clobbers only rcx and r11,
    // and what it does to memory is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            out("rcx") _, out("r11") _,
            options(nostack),
        );
    }
    checked(result)
}

/// Splits the kernel's answer into value and error.
#[inline]
pub(super) fn checked(result: usize) -> Result<usize> {
    let negated = result.wrapping_neg();
    if (1..=ERRNO_MAX).contains(&negated) {
        // The range check above keeps the number far inside i32.
        return Err(Errno(i32::try_from(negated).unwrap_or(libc::EIO)));
    }
    Ok(result)
}

/// A descriptor as a register holds it; negative ones (`AT_FDCWD`) keep their sign.
#[inline]
#[expect(
    clippy::cast_sign_loss,
    reason = "the kernel reads the register back as a signed int"
)]
pub(super) fn register(fd: RawFd) -> usize {
    fd as isize as usize
}

/// The kernel's answer as a descriptor.
#[inline]
pub(super) fn descriptor(result: usize) -> Result<RawFd> {
    RawFd::try_from(result).map_err(|_| Errno(libc::EBADF))
}

/// Makes `new` refer to what `old` refers to, without close-on-exec (dup2).
pub(crate) fn duplicate_onto(old: RawFd, new: RawFd) -> Result<()> {
    // SAFETY: dup2 takes numbers only; the child calls this on its own copy of the descriptor table.
    unsafe { call(libc::SYS_dup2, [register(old), register(new), 0, 0, 0, 0]) }.map(drop)
}

/// Marks every descriptor from `first` up close-on-exec (`close_range(2)`).
pub(crate) fn close_on_exec_from(first: u32) -> Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC as usize;
    // SAFETY: close_range takes numbers only, and this flag closes nothing now.
    unsafe {
        call(
            libc::SYS_close_range,
            [first as usize, u32::MAX as usize, flags, 0, 0, 0],
        )
    }
    .map(drop)
}

/// Opens a path for reading or writing with the given flags and creation mode.
pub(crate) fn open_at(directory: RawFd, path: &CStr, flags: i32, mode: u32) -> Result<RawFd> {
    let flags = register(flags | libc::O_CLOEXEC);
    let args = [
        register(directory),
        path.as_ptr() as usize,
        flags,
        mode as usize,
        0,
        0,
    ];
    // SAFETY: the path is a C string that lives through the call.
    unsafe { call(libc::SYS_openat, args) }.and_then(descriptor)
}

/// Makes a folder.
pub(crate) fn make_folder_at(directory: RawFd, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: the path is a C string that lives through the call.
    unsafe {
        call(
            libc::SYS_mkdirat,
            [
                register(directory),
                path.as_ptr() as usize,
                mode as usize,
                0,
                0,
                0,
            ],
        )
    }
    .map(drop)
}

/// Makes the folder behind a descriptor the working directory.
pub(crate) fn change_folder(directory: RawFd) -> Result<()> {
    // SAFETY: fchdir takes a number only.
    unsafe { call(libc::SYS_fchdir, [register(directory), 0, 0, 0, 0, 0]) }.map(drop)
}

/// Writes bytes to a descriptor, once.
pub(crate) fn write(fd: RawFd, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the kernel reads the slice, which lives through the call.
    unsafe {
        call(
            libc::SYS_write,
            [register(fd), bytes.as_ptr() as usize, bytes.len(), 0, 0, 0],
        )
    }
}

/// Reads bytes from the start of a file, once, and returns those read.
pub(crate) fn read_start(fd: RawFd, buffer: &mut [u8]) -> Result<&[u8]> {
    let args = [
        register(fd),
        buffer.as_mut_ptr() as usize,
        buffer.len(),
        0,
        0,
        0,
    ];
    // SAFETY: the kernel writes at most the slice's length into the slice.
    let count = unsafe { call(libc::SYS_pread64, args) }?;
    Ok(buffer.get(..count).unwrap_or_default())
}

/// Closes a descriptor of the child's own table.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: the number was opened by the child itself or is unused; no Rust value owns it.
    let closed = unsafe { call(libc::SYS_close, [register(fd), 0, 0, 0, 0, 0]) };
    debug_assert!(closed.is_ok(), "the descriptor was open");
}

/// Numbers that travel in the upper halves of a call's int arguments, which the kernel ignores and a
/// filter sees: so a filter can tell the supervisor's own call from any other.
pub(crate) type Cookies = [u32; 2];

/// A cookie in the upper half of a register.
#[inline]
pub(super) const fn upper(cookie: u32) -> usize {
    (cookie as usize) << 32
}

/// Makes a symbolic link.
pub(crate) fn link_at(target: &CStr, directory: RawFd, path: &CStr) -> Result<()> {
    // SAFETY: both paths are C strings that live through the call.
    unsafe {
        call(
            libc::SYS_symlinkat,
            [
                target.as_ptr() as usize,
                register(directory),
                path.as_ptr() as usize,
                0,
                0,
                0,
            ],
        )
    }
    .map(drop)
}

/// Sends one descriptor over a socket (`SCM_RIGHTS`, unix(7)), with cookies in the upper halves of socket and flags.
pub(crate) fn send_descriptor(socket: RawFd, fd: RawFd, cookies: Cookies) -> Result<()> {
    let [first, second] = cookies.map(upper);
    /// A control message with room for one descriptor, as `CMSG_SPACE(4)` lays it out.
    #[repr(C)]
    struct Control {
        length: usize,
        level: i32,
        kind: i32,
        fd: RawFd,
        padding: i32,
    }
    /// `CMSG_LEN(4)`: the header's 16 bytes and the descriptor's 4.
    const LENGTH: usize = 20;
    let mut control = Control {
        length: LENGTH,
        level: libc::SOL_SOCKET,
        kind: libc::SCM_RIGHTS,
        fd,
        padding: 0,
    };
    let mut byte = 0_u8;
    let mut part = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // SAFETY: all-zero is a valid message header: null pointers with zero lengths.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>();
    let flags = libc::MSG_NOSIGNAL as usize | second;
    let args = [
        register(socket) | first,
        &raw const message as usize,
        flags,
        0,
        0,
        0,
    ];
    // SAFETY: the header and all that it points to live on this stack through the call.
    unsafe { call(libc::SYS_sendmsg, args) }.map(drop)
}

/// Ends the process at once, running nothing of Rust's or libc's.
pub(crate) fn exit(code: u8) -> ! {
    loop {
        // SAFETY: exit_group takes a number only and does not return.
        if unsafe { call(libc::SYS_exit_group, [usize::from(code), 0, 0, 0, 0, 0]) }.is_err() {
            // Only a filter can make it fail, and then the process has no business going on.
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_values() {
        assert_eq!(checked(7), Ok(7));
        assert_eq!(checked(usize::MAX), Err(Errno(1)));
        assert_eq!(checked(usize::MAX - 4094), Err(Errno(4095)));
        assert_eq!(checked(usize::MAX - 4095), Ok(usize::MAX - 4095));
    }

    #[test]
    fn a_failing_call_reports_the_kernels_number() {
        assert_eq!(duplicate_onto(-1, 0), Err(Errno(libc::EBADF)));
        assert_eq!(
            open_at(libc::AT_FDCWD, c"/does/not/exist", 0, 0),
            Err(Errno(libc::ENOENT))
        );
    }
}
