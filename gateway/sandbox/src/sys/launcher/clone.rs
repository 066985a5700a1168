//! Makes one child that runs a function in its parent's memory until exec, like vfork.

use core::arch::asm;

use super::bare::{self, Errno, RawFd, Result, call, checked, descriptor, register};
use super::kernel as k;

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

/// How the child is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Flags beyond `CLONE_VM`, `CLONE_VFORK` and `CLONE_PIDFD`.
    pub(crate) flags: i32,
    /// A control group to start in (version 2), or -1.
    pub(crate) cgroup: RawFd,
    /// Whether this process may have signal handlers, which the child must not run.
    pub(crate) has_handlers: bool,
    /// Lowest address and size of a stack that nothing else uses until the child is gone.
    pub(crate) stack: (usize, usize),
}

/// What the child's first instructions need, kept on the suspended parent's stack.
struct Start<'a, T> {
    body: fn(&T) -> u8,
    argument: &'a T,
    reset_handlers: bool,
}

/// Makes the child, which runs `body` and exits with what it returns, unless `body` calls exec. Returns its process id
/// and a pidfd. The calling thread is suspended until then.
///
/// # Safety
/// The stack must be mapped and large enough. `body` runs in this process's memory: it must make only bare calls,
/// allocate nothing, lock nothing and not panic.
pub(crate) unsafe fn vfork<T: Sync>(
    shape: Shape,
    body: fn(&T) -> u8,
    argument: &T,
) -> Result<(i32, RawFd)> {
    let mut start = Start {
        body,
        argument,
        reset_handlers: false,
    };
    // SAFETY: as the caller promises.
    let made = unsafe { clone3(shape, &start) };
    // Some containers refuse clone3, whose flags their filters cannot read, but allow the older call.
    if matches!(made, Err(Errno(k::ENOSYS | k::EPERM))) && shape.cgroup < 0 {
        start.reset_handlers = shape.has_handlers;
        // SAFETY: as the caller promises.
        return unsafe { clone(shape, &start) };
    }
    made
}

const BASE: i32 = k::CLONE_VM | k::CLONE_VFORK | k::CLONE_PIDFD;

/// With `CLONE_PARENT` the child's exit signal is that of the process that calls clone, and none may be given (clone(2)).
fn exit_signal(flags: i32) -> i32 {
    if flags & k::CLONE_PARENT == 0 {
        k::SIGCHLD
    } else {
        0
    }
}

unsafe fn clone3<T: Sync>(shape: Shape, start: &Start<'_, T>) -> Result<(i32, RawFd)> {
    let mut pidfd: RawFd = -1;
    let mut flags = u64::from((BASE | shape.flags).cast_unsigned());
    if shape.cgroup >= 0 {
        flags |= CLONE_INTO_CGROUP;
    }
    if shape.has_handlers {
        flags |= CLONE_CLEAR_SIGHAND;
    }
    let args = CloneArgs {
        flags,
        pidfd: &raw mut pidfd as u64,
        exit_signal: u64::from(exit_signal(shape.flags).cast_unsigned()),
        stack: shape.stack.0 as u64,
        stack_size: shape.stack.1 as u64,
        cgroup: u64::from(shape.cgroup.max(0).cast_unsigned()),
        ..CloneArgs::default()
    };
    let registers = [&raw const args as usize, size_of::<CloneArgs>(), 0, 0, 0];
    // SAFETY: the arguments live through the call; the stack is the caller's promise; `start` lives on
    // this stack, which CLONE_VFORK keeps from moving until the child has left our memory.
    let result = unsafe { clone_call(k::SYS_CLONE3, registers, start) };
    Ok((descriptor(checked(result)?)?, pidfd))
}

unsafe fn clone<T: Sync>(shape: Shape, start: &Start<'_, T>) -> Result<(i32, RawFd)> {
    let mut pidfd: RawFd = -1;
    let (base, size) = shape.stack;
    let flags = BASE | shape.flags | exit_signal(shape.flags);
    let registers = [register(flags), base + size, &raw mut pidfd as usize, 0, 0];
    // SAFETY: as for clone3 above; the older call takes the stack's upper end, and the pidfd in place of the thread id.
    let result = unsafe { clone_call(k::SYS_CLONE, registers, start) };
    Ok((descriptor(checked(result)?)?, pidfd))
}

/// The system call whose child returns on another stack and goes straight to [`enter`].
///
/// # Safety
/// The registers must describe a `CLONE_VM | CLONE_VFORK` clone with a stack of its own, and `start` must be valid.
unsafe fn clone_call<T: Sync>(number: usize, registers: [usize; 5], start: &Start<'_, T>) -> usize {
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
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") bare::mark(),
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

/// Sets every signal to its default action, so that no handler of the maker's can run here, and nothing stays ignored.
pub(crate) fn reset_handlers() {
    // The kernel's structure: handler (0 is the default), flags, restorer, mask.
    let default = [0_usize; 4];
    for signal in 1..=SIGNAL_LAST {
        let args = [signal, default.as_ptr() as usize, 0, size_of::<u64>(), 0];
        // SAFETY: the kernel reads the four words from this stack; handlers are this process's own, as
        // CLONE_SIGHAND is not among the flags.
        let reset = unsafe { call(k::SYS_RT_SIGACTION, args) };
        // SIGKILL and SIGSTOP refuse, and have no handler to reset.
        debug_assert!(
            reset.is_ok() || [9, 19].contains(&signal),
            "an action can be set"
        );
    }
}

/// Sets the thread's signal mask and returns the one before. The bare call also holds back the two
/// signals that libc keeps for itself, which `pthread_sigmask` would let through.
pub(crate) fn swap_signal_mask(mask: u64) -> Result<u64> {
    let mut before = 0_u64;
    let args = [
        k::SIG_SETMASK,
        &raw const mask as usize,
        &raw mut before as usize,
        size_of::<u64>(),
        0,
    ];
    // SAFETY: both sets are single 64-bit words on this stack, as the size says.
    unsafe { call(k::SYS_RT_SIGPROCMASK, args) }.map(|_| before)
}
