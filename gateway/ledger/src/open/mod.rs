//! Making a ledger and opening one after anything. It mends only what a crash can leave, and never repairs damage.

pub(crate) mod decide;
mod init;
mod quarantine;
mod recover;
mod survey;
mod torn;

pub use init::{Initialised, init};
pub use quarantine::Cut;
pub use recover::Opening;
pub(crate) use recover::recover;
