//! Makes one child with `clone3`, which runs a function in the parent's memory until exec, like vfork.

use std::arch::asm;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::bare::{self, Errno, call, checked, descriptor, register};
use super::stack::Stack;

/// `CLONE_CLEAR_SIGHAND` of clone3(2): the child starts with every handler reset.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
/// `CLONE_INTO_CGROUP` of clone3(2).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// The number of the last signal (signal(7)).
const SIGNAL_LAST: usize = 64;

/// `struct clone_args` of clone3(2), up to `cgroup` (Linux 5.7).
#[repr(C)]
#[derive(Debug, Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// A child that was made and not yet reaped.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its id in the parent's pid namespace; valid until it is reaped.
    pub(crate) pid: i32,
    /// Its descriptor, which never means another process.
    pub(crate) pidfd: OwnedFd,
}

/// What the child's first instructions need, kept on the suspended parent's stack.
struct Start<'a, T> {
    body: fn(&T) -> u8,
    argument: &'a T,
    reset_handlers: bool,
}

/// Makes a child that runs `body` and exits with what it returns, unless `body` calls exec.
///
/// The calling thread is suspended until then, and all of its signals are held back meanwhile. `body` runs in this
/// process's memory on `stack`: it must make only [`bare`] calls, allocate nothing, lock nothing and not panic
/// (a panic aborts the child).
pub(crate) fn spawn<T: Sync>(
    namespaces: i32,
    cgroup: Option<BorrowedFd<'_>>,
    stack: &mut Stack,
    body: fn(&T) -> u8,
    argument: &T,
) -> io::Result<Child> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | namespaces;
    let mut start = Start {
        body,
        argument,
        reset_handlers: false,
    };
    let saved = swap_signal_mask(u64::MAX)?;
    let mut made = clone3(u64::from(flags.cast_unsigned()), cgroup, stack, &start);
    // Some containers refuse clone3, whose flags their filters cannot read, but allow the older call.
    if matches!(made, Err(Errno(libc::ENOSYS | libc::EPERM))) && cgroup.is_none() {
        start.reset_handlers = true;
        made = clone(flags, stack, &start);
    }
    // Setting a mask fails for bad pointers only.
    let restored = swap_signal_mask(saved);
    debug_assert!(restored.is_ok(), "a mask can be set");
    let (pid, pidfd) = made?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Child { pid, pidfd })
}

/// Sets the thread's signal mask and returns the one before. The bare call also holds back the two
/// signals that libc keeps for itself, which `pthread_sigmask` would let through.
fn swap_signal_mask(mask: u64) -> bare::Result<u64> {
    let mut before = 0_u64;
    let args = [
        libc::SIG_SETMASK as usize,
        &raw const mask as usize,
        &raw mut before as usize,
        size_of::<u64>(),
        0,
        0,
    ];
    // SAFETY: both sets are single 64-bit words on this stack, as the size says.
    unsafe { call(libc::SYS_rt_sigprocmask, args) }.map(|_| before)
}

fn clone3<T: Sync>(
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    stack: &Stack,
    start: &Start<'_, T>,
) -> bare::Result<(i32, RawFd)> {
    let mut pidfd: RawFd = -1;
    let (base, size) = stack.area();
    let into_cgroup = if cgroup.is_some() {
        CLONE_INTO_CGROUP
    } else {
        0
    };
    let args = CloneArgs {
        flags: flags | CLONE_CLEAR_SIGHAND | into_cgroup,
        pidfd: &raw mut pidfd as u64,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        stack: base as u64,
        stack_size: size as u64,
        cgroup: cgroup.map_or(0, |group| u64::from(group.as_raw_fd().cast_unsigned())),
        ..CloneArgs::default()
    };
    let registers = [&raw const args as usize, size_of::<CloneArgs>(), 0, 0, 0];
    // SAFETY: the arguments live through the call; the stack is mapped, unused and large enough; `start` lives on
    // this stack, which CLONE_VFORK keeps from moving until the child has left our memory.
    let result = unsafe { clone_call(libc::SYS_clone3, registers, start) };
    Ok((descriptor(checked(result)?)?, pidfd))
}

fn clone<T: Sync>(flags: i32, stack: &Stack, start: &Start<'_, T>) -> bare::Result<(i32, RawFd)> {
    let mut pidfd: RawFd = -1;
    let (base, size) = stack.area();
    let registers = [
        register(flags | libc::SIGCHLD),
        base + size,
        &raw mut pidfd as usize,
        0,
        0,
    ];
    // SAFETY: as for clone3 above; the older call takes the stack's upper end, and the pidfd in place of the thread id.
    let result = unsafe { clone_call(libc::SYS_clone, registers, start) };
    Ok((descriptor(checked(result)?)?, pidfd))
}

/// The system call whose child returns on another stack and goes straight to [`enter`].
///
/// # Safety
/// The registers must describe a `CLONE_VM | CLONE_VFORK` clone with a stack of its own, and `start` must be valid.
unsafe fn clone_call<T: Sync>(number: i64, registers: [usize; 5], start: &Start<'_, T>) -> usize {
    let [a, b, c, d, e] = registers;
    let result: usize;
    // SAFETY: the parent goes on at label 2 with only rax, rcx and r11 changed. The child has an empty stack, aligned
    // as the ABI wants it before a call, takes the function and its argument from registers that the kernel
    // keeps, and never comes back to this frame.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            in("r12") enter::<T> as *const () as usize,
            in("r13") &raw const *start as usize,
            out("rcx") _, out("r11") _,
        );
    }
    result
}

/// The child's first Rust function.
extern "C" fn enter<T: Sync>(start: *const Start<'_, T>) -> ! {
    // SAFETY: `clone_call` passed a valid reference, and the parent is suspended while we use it.
    let start = unsafe { &*start };
    if start.reset_handlers {
        reset_handlers();
    }
    bare::exit((start.body)(start.argument))
}

/// Sets every signal to its default action, so that no handler of the parent's can run in the child.
fn reset_handlers() {
    // The kernel's structure: handler (0 is the default), flags, restorer, mask.
    let default = [0_usize; 4];
    for signal in 1..=SIGNAL_LAST {
        let args = [signal, default.as_ptr() as usize, 0, size_of::<u64>(), 0, 0];
        // SAFETY: the kernel reads the four words from this stack; handlers are this child's own, as
        // CLONE_SIGHAND is not among the flags.
        let reset = unsafe { call(libc::SYS_rt_sigaction, args) };
        // SIGKILL and SIGSTOP refuse, and have no handler to reset.
        debug_assert!(
            reset.is_ok() || [9, 19].contains(&signal),
            "an action can be set"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::wait::reap;
    use super::*;

    fn body(seen: &AtomicU32) -> u8 {
        seen.store(42, Ordering::SeqCst);
        7
    }

    #[test]
    fn a_child_shares_memory_and_is_reaped_with_its_code() {
        let seen = AtomicU32::new(0);
        let mut stack = Stack::new().unwrap();
        let child = spawn(0, None, &mut stack, body, &seen).unwrap();
        assert_eq!(seen.load(Ordering::SeqCst), 42);
        assert_eq!(
            reap(&child.pidfd).unwrap().end,
            super::super::wait::Death::Exited(7)
        );
    }

    #[test]
    fn the_older_call_works_too() {
        let seen = AtomicU32::new(0);
        let stack = Stack::new().unwrap();
        let start = Start {
            body,
            argument: &seen,
            reset_handlers: true,
        };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
        let (_, pidfd) = clone(flags, &stack, &start).unwrap();
        // SAFETY: the kernel has just made this descriptor.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        assert_eq!(seen.load(Ordering::SeqCst), 42);
        assert_eq!(
            reap(&pidfd).unwrap().end,
            super::super::wait::Death::Exited(7)
        );
    }
}
