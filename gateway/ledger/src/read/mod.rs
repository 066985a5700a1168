//! Reading and checking, without the lock: in order, by the index, from a mark, or all of it. It never writes.

mod anchored;
mod backup;
mod begin;
mod checked;
mod index;
mod mark;
mod ordered;
mod placed;
mod pruned;
mod query;
mod registry;
mod tally;
mod verify;
mod walk;

pub use anchored::check_anchor;
pub use backup::back_up;
pub(crate) use begin::Begin;
pub(crate) use checked::CheckedLines;
pub use checked::Stored;
pub(crate) use index::index_of;
pub(crate) use index::{Key, encode, entry, index_path, key_hash, places_of};
pub(crate) use mark::{Mark, registry_entries, registry_index, registry_places};
pub use ordered::{Events, Follow, RegistryNews, events, events_from, follow, registry_news, tail};
pub(crate) use placed::PlacedLines;
pub(crate) use pruned::{Base, Descriptor, RUN_BYTES, edge_of, lost_lines, run_row};
pub use pruned::{Pruned, pruned, pruned_of_run};
pub use query::{Filter, Query, query};
pub use registry::registry_events;
pub(crate) use tally::Tally;
pub use verify::{Verification, verify};
pub(crate) use walk::{Walked, walk};
