//! The one writer: its thread, the way to it, the lines it appends, the checkpoints it publishes. It never changes a line that it wrote.

mod appended;
mod handle;
mod indexer;
mod prune;
mod publish;
mod thread;
mod writer;

pub(crate) use appended::{Appended, renewed};
pub(crate) use handle::WriterHandle;
pub(crate) use prune::{Plan, sweep};
pub(crate) use publish::Publisher;
pub(crate) use writer::{GROUP_BYTES, Writer};
