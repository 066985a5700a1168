//! Every unsafe block and raw system call of the workspace, behind functions that are safe to call.
//! This room imports nothing of the project's and decides nothing.

#![expect(
    unsafe_code,
    reason = "this is the one room in which the kernel is spoken to directly"
)]

pub(crate) mod landlock;
pub(crate) mod launcher;
pub(crate) mod notify;
pub(crate) mod spawn;
mod stack;
pub(crate) mod wait;
pub(crate) mod writers;
