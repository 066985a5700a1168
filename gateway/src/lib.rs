//! The plugin gateway: the one door between a host and the plugins that it does not trust.
//!
//! [`Gateway`] holds the eight operations of the contract; everything else a host needs is a type
//! that they take or give. The command `plugin-gateway` is built on the same operations.

mod api;
mod cli;
mod config;
mod error;
mod ledger;
mod operator;
mod registry;
mod router;
mod sandbox;
mod serve;
mod sys;
mod validator;

pub use api::{Gateway, Registration};
pub use error::{Error, Kind};
pub use ledger::Recorded;
pub use router::{Invoke, Outcome};
pub use sandbox::{Cancel, Denial, End, Layer, Report, Tail, Usage};

/// The whole command.
#[must_use]
pub fn main() -> std::process::ExitCode {
    cli::main(serve::serve)
}
