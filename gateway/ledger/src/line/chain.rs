//! The hash chain: what must hold between one line and the next.

use plugin_protocol::digest::EventHash;

use super::hash::hash_of_line;
use super::scan::{Scanned, scan};

/// The end of a chain: how many events, and the last one's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The events in the ledger, which is also the next event's index.
    pub size: u64,
    /// The last event's hash; none in an empty ledger.
    pub hash: Option<EventHash>,
}

impl Head {
    /// Checks that `line` is the canonical form of an event that carries its own hash and follows this head, and moves on to it.
    pub(crate) fn follow<'a>(&mut self, line: &'a [u8]) -> Result<Scanned<'a>, String> {
        let scanned = scan(line).map_err(|flaw| flaw.to_string())?;
        let computed = hash_of_line(line);
        if computed != scanned.event_hash {
            return Err(format!(
                "its event_hash is {} but its bytes hash to {computed}",
                scanned.event_hash
            ));
        }
        if scanned.prev_hash != self.hash {
            let shown =
                |hash: Option<EventHash>| hash.map_or("empty".to_owned(), |hash| hash.to_string());
            let (found, expected) = (shown(scanned.prev_hash), shown(self.hash));
            return Err(format!(
                "its prev_hash is {found} but the event before it has {expected}"
            ));
        }
        self.size += 1;
        self.hash = Some(scanned.event_hash);
        Ok(scanned)
    }
}
