//! The launcher: a process of its own, with one thread and no library, that puts on once what every plugin of a kind wears
//! and then starts plugins for the gateway. Its program is compiled from these files by `build.rs`; the gateway
//! itself uses the few of them that are listed here.

pub(crate) mod bare;
pub(crate) mod clone;
pub(crate) mod kernel;
#[cfg(test)]
pub(crate) mod last;
pub(crate) mod wire;

/// The launcher's program, as compiled for this build.
pub(crate) const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/launcher"));
