//! One line of the ledger: its draft, its canonical form, its hash, its name and time, and its place in the chain. It never touches a file.

mod chain;
mod clock;
mod draft;
mod hash;
mod parse;
mod scan;
mod seal;
pub(crate) mod text;

pub use chain::Head;
pub(crate) use clock::{Clock, Stamp, batch_of, place_in_batch};
pub use draft::Draft;
pub(crate) use hash::hash_of_line;
pub(crate) use parse::event_at;
pub(crate) use scan::{Scanned, scan};
pub(crate) use seal::seal;
pub(crate) use text::escaped;
