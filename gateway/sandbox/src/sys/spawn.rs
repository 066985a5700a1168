//! Starts the launcher's program from a descriptor, without a copy of this process's memory.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::launcher::bare::{self, Errno};
use super::launcher::clone::{self, Shape};
use super::launcher::wire::CONTROL;
use super::stack::Stack;

/// A child of this process that was not yet reaped.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its id in this process's pid namespace; valid until it is reaped.
    pub(crate) pid: i32,
    /// Its descriptor, which never means another process.
    pub(crate) pidfd: OwnedFd,
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

/// What the child needs before it becomes the launcher.
struct Start {
    program: RawFd,
    control: RawFd,
}

/// Starts the program behind `program` with `control` as descriptor [`CONTROL`] and no other except 0, 1 and 2. Both descriptors
/// must have higher numbers than that. The program is a child of the calling thread, which is suspended meanwhile with all its
/// signals blocked.
pub(crate) fn launcher(program: BorrowedFd<'_>, control: BorrowedFd<'_>) -> io::Result<Child> {
    let start = Start {
        program: program.as_raw_fd(),
        control: control.as_raw_fd(),
    };
    if start.program <= CONTROL || start.control <= CONTROL {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let stack = Stack::new()?;
    let shape = Shape {
        flags: 0,
        cgroup: -1,
        has_handlers: true,
        stack: stack.area(),
    };
    let saved = clone::swap_signal_mask(u64::MAX)?;
    // SAFETY: the stack is mapped, new and outlives the call; `become_launcher` makes bare calls only.
    let made = unsafe { clone::vfork(shape, become_launcher, &start) };
    // Setting a mask fails for bad pointers only.
    let restored = clone::swap_signal_mask(saved);
    debug_assert!(restored.is_ok(), "a mask can be set");
    let (pid, pidfd) = made?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Child { pid, pidfd })
}

/// Exit code when exec fails; the gateway then sees that the socket is closed.
const FAILED: u8 = 127;

fn become_launcher(start: &Start) -> u8 {
    let name: &CStr = c"plugin-launcher";
    let arguments = [name.as_ptr().cast::<u8>(), std::ptr::null()];
    let environment = [std::ptr::null()];
    let placed = bare::duplicate_onto(start.control, CONTROL)
        .and_then(|()| bare::close_on_exec(CONTROL.cast_unsigned() + 1, u32::MAX));
    if placed.is_ok() {
        // SAFETY: both lists end in a null pointer, and their one string is static.
        let Errno(_) = unsafe {
            bare::execute(
                start.program,
                arguments.as_ptr(),
                environment.as_ptr(),
                [0; 2],
            )
        };
    }
    FAILED
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::wait::{Death, reap};
    use super::*;

    fn body(seen: &AtomicU32) -> u8 {
        seen.store(42, Ordering::SeqCst);
        7
    }

    #[test]
    fn a_child_shares_memory_and_is_reaped_with_its_code() {
        let seen = AtomicU32::new(0);
        let stack = Stack::new().unwrap();
        let shape = Shape {
            flags: 0,
            cgroup: -1,
            has_handlers: true,
            stack: stack.area(),
        };
        // SAFETY: the stack is new, and the body stores a number.
        let (_, pidfd) = unsafe { clone::vfork(shape, body, &seen) }.unwrap();
        // SAFETY: the kernel has just made this descriptor.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        assert_eq!(seen.load(Ordering::SeqCst), 42);
        assert_eq!(reap(&pidfd).unwrap().end, Death::Exited(7));
    }
}
