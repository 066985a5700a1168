//! What can be recorded, and the proof that it was. Nothing but the ledger makes that proof.

use std::ops::Deref;

use plugin_protocol::event::Event;
use plugin_protocol::message::Receipt;

use crate::evidence::Document;
use crate::line::Draft;
use crate::write::Appended;

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
    appended: Appended,
}

impl<T> Recorded<T> {
    pub(crate) fn new(value: T, appended: Appended) -> Self {
        Self { value, appended }
    }

    /// The event that was written.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.appended.event
    }

    /// Where it stands; the checkpoint is the one that was the newest when it was written.
    #[must_use]
    pub fn receipt(&self) -> Receipt {
        self.appended.receipt()
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
