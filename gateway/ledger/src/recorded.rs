//! What can be recorded, and the proof that it was. Nothing but the ledger makes that proof.

use std::ops::Deref;

use plugin_protocol::event::Event;

use crate::evidence::Document;
use crate::line::Draft;

/// What can be written down.
pub trait Record {
    /// The event to write for it.
    fn draft(&self) -> Draft;

    /// The request or result to keep beside it, if any.
    fn evidence(&self) -> Option<&Document> {
        None
    }
}

/// A value whose event is durable. Only the ledger makes one.
#[derive(Debug)]
pub struct Recorded<T> {
    value: T,
    event: Event,
}

impl<T> Recorded<T> {
    pub(crate) fn new(value: T, event: Event) -> Self {
        Self { value, event }
    }

    /// The event that was written.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The value alone.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Recorded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
