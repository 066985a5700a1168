//! From a stored line to an event. It never reads a line that is not canonical: the scanner passed it before.

use plugin_protocol::event::Event;
use plugin_protocol::json;

use crate::error::Error;

/// Reads event `index` from its line, which the scanner passed.
pub(crate) fn event_at(index: u64, line: &[u8]) -> Result<Event, Error> {
    json::read_as(line).map_err(|error| Error::Broken {
        index,
        reason: error.to_string(),
    })
}
