//! The registry's events in order, from a mark where there is a good one. No other event is given.

use std::path::Path;

use plugin_protocol::event::Event;

use super::begin::Begin;
use super::checked::CheckedLines;
use crate::disk::Layout;
use crate::error::Error;
use crate::line::event_at;
use crate::options::CHECK_BYTES;
use crate::tree::{Claims, load_key};

/// Gives each `REGISTER`, `ENABLE` and `DISABLE` event of the ledger below `state`, in order.
///
/// A large ledger is read from its newest mark on; the registry's events before it are found by the index, each is checked to carry its
/// own hash, and all together to be those that the mark was signed for.
///
/// # Errors
/// When there is no ledger, it is broken, or the system refuses.
pub fn registry_events(state: &Path, each: &mut dyn FnMut(&Event)) -> Result<(), Error> {
    let layout = Layout::existing(state)?;
    let key = load_key(&layout)?;
    let claims = Claims::gather(&layout, &key, None)?;
    let begin = Begin::find(&layout, &key, &claims, CHECK_BYTES)?;
    if let Some(mark) = &begin.mark {
        mark.each_registry_line(&layout, &mut |place, line| {
            each(&event_at(place.index, line)?);
            Ok(())
        })?;
    }
    for (place, line) in &begin.carried {
        let event = event_at(place.index, line)?;
        if event.kind.is_registry() {
            each(&event);
        }
    }
    let mut lines = CheckedLines::open(&layout, begin.start);
    while let Some(stored) = lines.next_matching(&mut |scanned| scanned.kind.is_registry())? {
        each(&stored.event);
    }
    Ok(())
}
