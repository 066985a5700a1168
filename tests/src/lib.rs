//! What the campaigns share: a state with the command on it, packages made on the spot, programs compiled on the spot.

pub mod attacks;
pub mod command;
pub mod package;
pub mod processes;
pub mod program;

pub use command::{Host, Said};
pub use package::Package;
