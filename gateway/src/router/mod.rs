//! One call from request to answer. The router alone talks to all rooms; no room talks to another.

mod budget;
mod files;
mod invocation;
mod judge;
mod prepare;
mod record;
mod slots;

pub use record::{Invoke, Outcome};

pub(crate) use files::Offered;
pub(crate) use invocation::{Call, Router};
