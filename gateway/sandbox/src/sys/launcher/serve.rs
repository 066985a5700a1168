//! The launcher's life: it puts on the layers that are put on once, then starts a child for each request until the gateway is gone.

use super::bare::{self, Errno, RawFd, call};
use super::child::{self, Order, Pointers};
use super::clone::{Shape, vfork};
use super::file;
use super::kernel as k;
use super::message;
use super::wear::{self, Worn};
use super::wire::{BODY_BYTES_MAX, CONTROL, Reply, Step};

/// Usable bytes of the children's stack. The steps between clone and exec keep a few hundred bytes in some ten nested
/// calls, and this is many times that.
const STACK_BYTES: usize = 32 * 1024;

/// One page of x86-64 that catches an overflow.
const GUARD_BYTES: usize = 4096;

/// All the memory that the launcher needs; untouched parts cost nothing.
#[repr(C, align(4096))]
#[derive(Debug)]
pub(crate) struct Memory {
    stack: [u8; GUARD_BYTES + STACK_BYTES],
    message: [u8; BODY_BYTES_MAX],
    pointers: Pointers,
}

impl Memory {
    /// Untouched memory.
    pub(crate) const fn new() -> Self {
        Self {
            stack: [0; GUARD_BYTES + STACK_BYTES],
            message: [0; BODY_BYTES_MAX],
            pointers: Pointers::NONE,
        }
    }
}

/// Serves until the gateway closes its end. Returns the exit code.
pub(crate) fn serve(memory: &mut Memory) -> u8 {
    let Memory {
        stack,
        message,
        pointers,
    } = memory;
    let Ok(stack) = guarded(stack) else {
        return 1;
    };
    let Ok(worn) = wear::wear(message) else {
        return 1;
    };
    loop {
        match one(worn, stack, message, pointers) {
            Ok(true) => {}
            Ok(false) => return 0,
            // The conversation itself is broken, and nobody can be told.
            Err(_) => return 1,
        }
    }
}

/// Makes the lowest page of the stack a guard page, and returns the lowest address and the size of the rest.
fn guarded(stack: &mut [u8]) -> bare::Result<(usize, usize)> {
    let base = stack.as_mut_ptr() as usize;
    // SAFETY: the page belongs to the stack, which nothing uses yet.
    unsafe { call(k::SYS_MPROTECT, [base, GUARD_BYTES, 0, 0, 0]) }?;
    Ok((base + GUARD_BYTES, STACK_BYTES))
}

/// Serves one request; false at the end of the conversation.
///
/// A request that cannot be read is answered with an error and does not end the launcher, since plugins of other calls live only as
/// long as this process.
fn one(
    worn: Worn,
    stack: (usize, usize),
    buffer: &mut [u8],
    pointers: &mut Pointers,
) -> bare::Result<bool> {
    let Some(message) = message::next(CONTROL, buffer)? else {
        return Ok(false);
    };
    let mut fds = message.descriptors;
    let reply_to = fds.take()?;
    let order = message
        .body
        .and_then(|body| Order::read(worn, body, &mut fds, pointers));
    let (reply, pidfd) = match order {
        Ok(order) => start(&order, stack),
        Err(errno) => (failed(Step::Order, errno), -1),
    };
    // A gateway that no longer waits for this reply has closed the socket. It must then find the child and reap it.
    let answered = match message::answer(reply_to, &reply, pidfd) {
        // The kernel bounds how many of one user's descriptors are in transit. The gateway can find the child by its process id.
        Err(errno) if errno.0 != EPIPE => message::answer(reply_to, &reply, -1),
        answered => answered,
    };
    if pidfd >= 0 {
        file::close(pidfd);
    }
    fds.close();
    match answered {
        Ok(()) | Err(Errno(EPIPE)) => Ok(true),
        Err(errno) => Err(errno),
    }
}

const fn failed(step: Step, errno: Errno) -> Reply {
    Reply {
        step: step as u32,
        errno: errno.0,
        pid: 0,
    }
}

/// The error number when the other end of a reply's socket is closed.
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
        Err(errno) => (failed(Step::Clone, errno), -1),
    }
}
