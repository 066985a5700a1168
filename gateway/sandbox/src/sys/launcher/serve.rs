//! The launcher's life: put on what is put on once, then start a child for each request until the gateway goes away.

use super::bare::{self, Errno, RawFd, call};
use super::child::{self, ARGUMENTS_MAX, Argument, Order};
use super::clone::{Shape, vfork};
use super::kernel as k;
use super::message;
use super::wear::{self, Worn};
use super::wire::{CONTROL, MESSAGE_BYTES, Reply, Step};

/// Usable bytes of the children's stack. The steps between clone and exec keep a few hundred bytes in some ten nested
/// calls, and this is many times that.
const STACK_BYTES: usize = 32 * 1024;

/// One page of x86-64 that catches an overflow.
const GUARD_BYTES: usize = 4096;

/// What the launcher needs of memory, all of it; untouched parts cost nothing.
#[repr(C, align(4096))]
#[derive(Debug)]
pub(crate) struct Memory {
    stack: [u8; GUARD_BYTES + STACK_BYTES],
    message: [u8; MESSAGE_BYTES],
    arguments: child::Arguments,
}

impl Memory {
    /// Untouched memory.
    pub(crate) const fn new() -> Self {
        Self {
            stack: [0; GUARD_BYTES + STACK_BYTES],
            message: [0; MESSAGE_BYTES],
            arguments: [Argument::NONE; ARGUMENTS_MAX + 1],
        }
    }
}

/// Serves until the gateway closes its end. Returns the exit code.
pub(crate) fn serve(memory: &mut Memory) -> u8 {
    let Memory {
        stack,
        message,
        arguments,
    } = memory;
    let Ok(stack) = guarded(stack) else {
        return 1;
    };
    let Ok(worn) = wear::wear(message) else {
        return 1;
    };
    loop {
        match one(worn, stack, message, arguments) {
            Ok(true) => {}
            Ok(false) => return 0,
            // Nothing that the gateway sends is wrong; if it is, a new launcher is better than this one.
            Err(_) => return 1,
        }
    }
}

/// Closes the lowest page of the stack; the rest as lowest address and size.
fn guarded(stack: &mut [u8]) -> bare::Result<(usize, usize)> {
    let base = stack.as_mut_ptr() as usize;
    // SAFETY: the page belongs to the stack, which nothing uses yet.
    unsafe { call(k::SYS_MPROTECT, [base, GUARD_BYTES, 0, 0, 0]) }?;
    Ok((base + GUARD_BYTES, STACK_BYTES))
}

/// Serves one request; false at the end of the conversation.
fn one(
    worn: Worn,
    stack: (usize, usize),
    buffer: &mut [u8],
    arguments: &mut child::Arguments,
) -> bare::Result<bool> {
    let (length, mut fds) = message::receive(CONTROL, buffer)?;
    if length == 0 {
        return Ok(false);
    }
    let order = Order::read(
        worn,
        buffer.get(..length).unwrap_or_default(),
        &mut fds,
        arguments,
    )?;
    let (reply, pidfd) = start(&order, stack);
    // A gateway that no longer listens for this one has closed the socket; the child is then its to find and reap.
    let answered = message::answer(order.reply, &reply, pidfd);
    if pidfd >= 0 {
        message::close(pidfd);
    }
    fds.close();
    match answered {
        Ok(()) | Err(Errno(EPIPE)) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// The other end of a reply's socket is closed.
const EPIPE: i32 = 32;

fn start(order: &Order<'_>, stack: (usize, usize)) -> (Reply, RawFd) {
    let shape = Shape {
        flags: order.worn.namespaces | k::CLONE_PARENT,
        cgroup: order.birthplace,
        has_handlers: false,
        stack,
    };
    // SAFETY: the stack is the launcher's own, and one child at a time uses it.
    match unsafe { vfork(shape, child::live, order) } {
        Ok((pid, pidfd)) => {
            let (step, errno) = order.failure().unwrap_or_default();
            (Reply { step, errno, pid }, pidfd)
        }
        Err(errno) => (
            Reply {
                step: Step::Clone as u32,
                errno: errno.0,
                pid: 0,
            },
            -1,
        ),
    }
}
