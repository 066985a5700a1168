//! A stack for a cloned child: memory of its own with a page below that nobody may touch.

use std::io;
use std::ptr::NonNull;

/// Usable bytes. The steps between clone and exec keep a few hundred bytes in some ten nested calls;
/// an unoptimised build needs the most, and this is many times that.
const USABLE_BYTES: usize = 64 * 1024;

/// One page of x86-64 that catches an overflow.
const GUARD_BYTES: usize = 4096;

/// A mapped stack, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Stack {
    base: NonNull<libc::c_void>,
}

// SAFETY: the mapping belongs to this value alone and nothing about it is bound to a thread.
unsafe impl Send for Stack {}

impl Stack {
    /// Maps a stack.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let length = GUARD_BYTES + USABLE_BYTES;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self {
            base: NonNull::new(base).ok_or(io::ErrorKind::OutOfMemory)?,
        };
        // SAFETY: the guard is the lowest page of the mapping made above, which nothing uses yet.
        if unsafe { libc::mprotect(base, GUARD_BYTES, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }

    /// Lowest usable address and number of usable bytes, as clone3(2) wants them.
    pub(super) fn area(&self) -> (usize, usize) {
        (self.base.as_ptr() as usize + GUARD_BYTES, USABLE_BYTES)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length, and a child that used it has left it: the parent
        // is suspended until the child has called exec or exit.
        let result = unsafe { libc::munmap(self.base.as_ptr(), GUARD_BYTES + USABLE_BYTES) };
        debug_assert_eq!(result, 0, "a mapping of our own can be unmapped");
    }
}
