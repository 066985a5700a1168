//! What the campaigns share: a state with the command on it, packages made on the spot, programs compiled on the spot.

use std::io::Write as _;

pub mod answers;
pub mod attacks;
pub mod canonical;
pub mod channel;
pub mod command;
pub mod library;
pub mod package;
pub mod parrot;
pub mod processes;
pub mod program;
pub mod request;

pub use channel::Channel;
pub use command::{Host, Said};
pub use package::Package;

/// Says on the real stderr, which the test runner does not keep to itself, that a test could not be run and why.
#[expect(
    clippy::explicit_write,
    reason = "the runner keeps what the macro prints, and only shows it when the test fails"
)]
pub fn skip(reason: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    writeln!(std::io::stderr(), "skipped {name}: {reason}").unwrap();
}
