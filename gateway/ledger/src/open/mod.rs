//! Making a ledger, and opening one in whatever state it is. It mends only what a crash can leave, and never repairs damage.

pub(crate) mod decide;
mod init;
mod quarantine;
mod recover;
mod survey;
mod torn;

pub use init::{Initialised, init, init_named};
pub use quarantine::Cut;
pub use recover::Opening;
pub(crate) use recover::recover;
