//! The launcher: a process of its own, with one thread and no library, that puts on once what every plugin of a kind wears
//! and then starts plugins for the gateway. `build.rs` compiles its program from these files. The gateway itself uses
//! only the few that are listed first here; tests and lints see them all.

pub(crate) mod bare;
pub(crate) mod clone;
pub(crate) mod kernel;
pub(crate) mod wire;

#[cfg(test)]
pub(crate) mod child;
#[cfg(test)]
mod file;
#[cfg(test)]
pub(crate) mod last;
#[cfg(test)]
pub(crate) mod message;
#[cfg(test)]
mod mount;
#[cfg(test)]
mod process;
#[cfg(test)]
#[expect(dead_code, reason = "only the launcher itself serves")]
mod serve;
#[cfg(test)]
pub(crate) mod wear;

/// The launcher's program, as compiled for this build.
pub(crate) const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/launcher"));
