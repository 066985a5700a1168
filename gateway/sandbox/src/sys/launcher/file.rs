//! Bare calls on descriptors: read, write, close.

use super::bare::{RawFd, Result, call, register};
use super::kernel as k;

/// Reads once from a file; returns how many bytes.
pub(crate) fn read(fd: RawFd, bytes: &mut [u8]) -> Result<usize> {
    let args = [register(fd), bytes.as_mut_ptr() as usize, bytes.len(), 0, 0];
    // SAFETY: the kernel writes into the slice at most its length.
    unsafe { call(k::SYS_READ, args) }
}

/// Writes bytes to a file at once; the files this is for take all or nothing.
pub(crate) fn write(fd: RawFd, bytes: &[u8]) -> Result<()> {
    let args = [register(fd), bytes.as_ptr() as usize, bytes.len(), 0, 0];
    // SAFETY: the kernel reads the slice, which lives through the call.
    unsafe { call(k::SYS_WRITE, args) }.map(drop)
}

/// Closes a descriptor of this process's own.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: close takes a number only, and no Rust value owns any descriptor here.
    let closed = unsafe { call(k::SYS_CLOSE, [register(fd), 0, 0, 0, 0]) };
    debug_assert!(closed.is_ok(), "the descriptor was open");
}
