//! Many gateways on NATS. A node is the host of one gateway, whose ledger stays its own; a caller asks whichever node has a plugin; an
//! operator's signed decisions reach every node through a stream, and each node checks them itself.
//!
//! The gateway has no network and no async runtime, and gets none from here: a node speaks to it over its control socket, as an operator's
//! command does. What comes over NATS is believed only as far as a signature, or the gateway's own checks, bear it out.

#![forbid(unsafe_code)]

mod caller;
mod channel;
mod cli;
mod decision;
mod fault;
mod host;
mod names;
mod nats;
mod node;
mod package;
mod receipt;

pub use caller::{Answer, Caller, Decided, Gathered};
pub use fault::{Fault, Kind};
pub use nats::Access;
pub use receipt::Receipt;

/// The whole command.
#[must_use]
pub fn main() -> std::process::ExitCode {
    cli::main()
}
