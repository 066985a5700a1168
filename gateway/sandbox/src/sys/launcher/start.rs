//! The launcher as a program: the entry point and the functions that the kernel and the compiler expect of a program without a library.
//! `build.rs` compiles it. The gateway carries it within itself and runs it from sealed memory, whatever program the gateway is part of.

#![no_std]
#![no_main]

mod bare;
mod child;
mod clone;
mod file;
mod kernel;
mod last;
mod message;
mod mount;
mod process;
mod serve;
mod wear;
mod wire;

use core::arch::{asm, naked_asm};
use core::cell::UnsafeCell;

struct Own(UnsafeCell<serve::Memory>);

// SAFETY: the program has one thread.
unsafe impl Sync for Own {}

static MEMORY: Own = Own(UnsafeCell::new(serve::Memory::new()));

/// Where the kernel starts the program, with a stack that is not aligned for a call.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "and rsp, -16", "call {main}", "ud2", main = sym main)
}

extern "C" fn main() -> ! {
    // SAFETY: this runs once, and nothing else refers to the memory.
    let memory = unsafe { &mut *MEMORY.0.get() };
    bare::exit(serve::serve(memory))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    bare::exit(101)
}

/// The core library's own code names this; nothing ever unwinds here, as a panic ends the program.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// The compiler calls this for copies.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the compiler passes areas of this size that do not overlap; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags));
    }
    to
}

/// The compiler calls this for fills.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    // SAFETY: the compiler passes an area of this size; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") value as u8, options(nostack, preserves_flags));
    }
    to
}

/// The compiler calls this for comparisons.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    let mut at = 0;
    while at < count {
        // SAFETY: the compiler passes two areas of this size.
        let (l, r) = unsafe { (left.add(at).read_volatile(), right.add(at).read_volatile()) };
        if l != r {
            return i32::from(l) - i32::from(r);
        }
        at += 1;
    }
    0
}

/// As [`memcmp`], but only for equality.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { memcmp(left, right, count) }
}
