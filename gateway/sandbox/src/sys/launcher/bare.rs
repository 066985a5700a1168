//! System calls as they are: no libc, no `errno`, no allocation, no lock.
//!
//! Only these may be used between clone and exec, where the child still shares its maker's memory:
//! libc's own wrappers would write the maker's thread-local `errno`, take its locks, or (setuid)
//! try to signal threads that the child does not have. The launcher has nothing else.

use core::arch::asm;
use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::kernel as k;

/// A descriptor's number.
pub(crate) type RawFd = i32;

/// An error number as the kernel gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

/// What every bare call returns.
pub(crate) type Result<T> = core::result::Result<T, Errno>;

/// The highest error number that the kernel returns (`MAX_ERRNO` in its `err.h`).
const ERRNO_MAX: usize = 4095;

/// The mark that travels in the sixth argument register, which none of these calls uses: the kernel ignores it, and a filter
/// sees it. By it the launcher's filter recognises the launcher's own calls. In any other process it is zero.
static MARK: AtomicUsize = AtomicUsize::new(0);

/// Sets the mark of every later call.
#[cfg_attr(
    not(any(test, freestanding)),
    expect(dead_code, reason = "only the launcher's calls are marked")
)]
pub(crate) fn set_mark(mark: u64) {
    MARK.store(usize::from_ne_bytes(mark.to_ne_bytes()), Ordering::Relaxed);
}

/// One system call with up to five arguments.
///
/// # Safety
/// The arguments must be right for the call: every pointer must be valid for what the kernel reads or writes through it,
/// and the call must not take away memory that Rust still owns.
#[inline]
pub(super) unsafe fn call(number: usize, args: [usize; 5]) -> Result<usize> {
    let [a, b, c, d, e] = args;
    // SAFETY: as the caller promises; the sixth register means nothing to a call of five arguments.
    unsafe { call6(number, [a, b, c, d, e, MARK.load(Ordering::Relaxed)]) }
}

/// One system call with six arguments.
///
/// # Safety
/// As for [`call`].
#[inline]
pub(super) unsafe fn call6(number: usize, args: [usize; 6]) -> Result<usize> {
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

/// The mark that calls carry now.
#[inline]
pub(super) fn mark() -> usize {
    MARK.load(Ordering::Relaxed)
}

/// Splits the kernel's answer into value and error.
#[inline]
pub(super) fn checked(result: usize) -> Result<usize> {
    let negated = result.wrapping_neg();
    if (1..=ERRNO_MAX).contains(&negated) {
        // The range check above keeps the number far inside i32.
        return Err(Errno(i32::try_from(negated).unwrap_or(k::EIO)));
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
    RawFd::try_from(result).map_err(|_| Errno(k::EBADF))
}

/// Makes `new` refer to what `old` refers to, without close-on-exec (dup2).
pub(crate) fn duplicate_onto(old: RawFd, new: RawFd) -> Result<()> {
    // SAFETY: dup2 takes numbers only; the child calls this on its own copy of the descriptor table.
    unsafe { call(k::SYS_DUP2, [register(old), register(new), 0, 0, 0]) }.map(drop)
}

/// Marks every descriptor from `first` to `last` close-on-exec (`close_range(2)`).
pub(crate) fn close_on_exec(first: u32, last: u32) -> Result<()> {
    let flags = k::CLOSE_RANGE_CLOEXEC;
    // SAFETY: close_range takes numbers only, and this flag closes nothing now.
    unsafe {
        call(
            k::SYS_CLOSE_RANGE,
            [first as usize, last as usize, flags, 0, 0],
        )
    }
    .map(drop)
}

/// Ends the process at once, running nothing of Rust's or libc's.
pub(crate) fn exit(code: u8) -> ! {
    loop {
        // SAFETY: exit_group takes a number only and does not return.
        if unsafe { call(k::SYS_EXIT_GROUP, [usize::from(code), 0, 0, 0, 0]) }.is_err() {
            // Only a filter can make it fail, and then the process has no business going on.
            core::hint::spin_loop();
        }
    }
}

/// Numbers that travel in the upper halves of a call's int arguments. The kernel ignores them and a filter sees them, so
/// that a filter can tell the launcher's last call from any other.
pub(crate) type Cookies = [u32; 2];

/// A cookie in the upper half of a register.
#[inline]
const fn upper(cookie: u32) -> usize {
    (cookie as usize) << 32
}

/// Replaces the process by the program behind a descriptor, with no other environment than the one that is given. Returns only on failure.
/// The cookies travel in the upper halves of the descriptor and of the flags.
///
/// # Safety
/// `arguments` and `environment` must each point to a list of C strings that ends in a null pointer.
pub(crate) unsafe fn execute(
    program: RawFd,
    arguments: *const *const u8,
    environment: *const *const u8,
    cookies: Cookies,
) -> Errno {
    let [first, second] = cookies.map(upper);
    let path: &CStr = c"";
    let args = [
        register(program) | first,
        path.as_ptr() as usize,
        arguments as usize,
        environment as usize,
        register(k::AT_EMPTY_PATH) | second,
    ];
    // SAFETY: the caller vouches for both lists; the path is static.
    match unsafe { call(k::SYS_EXECVEAT, args) } {
        Ok(_) => Errno(k::EIO),
        Err(errno) => errno,
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
    }
}
