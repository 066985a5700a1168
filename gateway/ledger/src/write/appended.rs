//! What a caller is given of an event once it is durable: the event, and its place.

use plugin_protocol::event::Event;
use plugin_protocol::message::Receipt;

/// An event that was written, and its place.
#[derive(Debug)]
pub(crate) struct Appended {
    pub(crate) event: Event,
    pub(crate) index: u64,
    /// How many events the last checkpoint was over.
    pub(crate) signed: u64,
}

impl Appended {
    pub(crate) fn receipt(&self) -> Receipt {
        renewed(
            Receipt {
                event_hash: self.event.event_hash,
                index: self.index,
                checkpoint_size: 0,
            },
            self.signed,
        )
    }
}

/// The receipt while the newest checkpoint is over `signed` events.
pub(crate) fn renewed(receipt: Receipt, signed: u64) -> Receipt {
    let checkpoint_size = if signed > receipt.index { signed } else { 0 };
    Receipt {
        checkpoint_size,
        ..receipt
    }
}
