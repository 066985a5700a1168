//! The ledger: the append-only, hash-chained record of everything the gateway decided, and proofs drawn from it.
//! It never changes or removes an event that it wrote.

mod append;
mod chain;
mod checkpoint;
mod error;
mod event;
mod io;
mod layout;
mod lock;
mod merkle;
mod query;
mod recover;
mod scan;
mod segment;
mod tiles;
mod torn;
mod verify;
mod walk;
mod writer;

pub use append::{Durability, Ledger, Options};
pub use chain::Head;
pub use checkpoint::{Checkpoint, InvalidNote, LogKey};
pub use error::Error;
pub use event::{Draft, Record, Recorded};
pub use query::{
    Events, Filter, Follow, Query, Stored, events, follow, query, registry_events, tail,
};
pub use recover::{CLOSES, Cut, Initialised, Opening, init};
pub use verify::{Verification, verify};

#[cfg(test)]
mod tests;
