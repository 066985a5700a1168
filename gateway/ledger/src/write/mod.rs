//! The one writer: the desk where jobs are handed in, its thread, the way to it, the lines it appends, the checkpoints it publishes. It never changes a line that it wrote.

mod appended;
mod desk;
mod handle;
mod indexer;
mod pen;
mod prune;
mod publish;
mod writer;

pub(crate) use appended::{Appended, renewed};
pub(crate) use handle::WriterHandle;
pub(crate) use prune::{Plan, sweep};
pub(crate) use publish::Publisher;
pub(crate) use writer::{GROUP_BYTES, Writer};
