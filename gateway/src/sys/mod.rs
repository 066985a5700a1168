//! Every unsafe block and raw system call of the workspace, behind functions that are safe to call.
//! This room imports nothing of the project's and decides nothing.

#![expect(
    unsafe_code,
    reason = "this is the one room in which the kernel is spoken to directly"
)]

pub(crate) mod bare;
pub(crate) mod landlock;
pub(crate) mod mount;
pub(crate) mod notify;
pub(crate) mod process;
pub(crate) mod spawn;
pub(crate) mod stack;
pub(crate) mod wait;
