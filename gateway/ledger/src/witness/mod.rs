//! Witnesses: who they are, what they are asked, what they answered, and what a witness itself does. It opens no network: somebody else
//! carries the texts.

mod attend;
mod cosigned;
mod key;
mod request;
mod roster;
mod submission;

pub use attend::{Answer, attend};
pub(crate) use cosigned::await_cosigned;
pub use cosigned::{Awaited, Collector, newest_cosigned};
pub use key::new_cosigner;
pub use roster::{Place, Witness, Witnesses};
pub use submission::{Submission, Weighed, ahead};
