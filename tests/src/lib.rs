//! What the campaigns share: a state with the command on it, packages made on the spot, programs compiled on the spot.

pub mod answers;
pub mod attacks;
pub mod canonical;
pub mod channel;
pub mod command;
pub mod crowd;
pub mod library;
pub mod package;
pub mod parrot;
pub mod processes;
pub mod program;
pub mod request;

pub use channel::Channel;
pub use command::{Host, Said};
pub use package::Package;
pub use skip::{skip, skip_for_registry};
