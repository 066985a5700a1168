//! Places in the ledger's files: one event's, and the boundary between two. A place says where to look, never that a good event is there.

use crate::line::Head;

/// The segment in the place of an event whose line was carried over: no segment begins with it.
pub(crate) const CARRIED: u64 = u64::MAX;

/// Where one event lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventPlace {
    pub(crate) index: u64,
    /// The index of its segment's first event.
    pub(crate) segment: u64,
    /// Its line's first byte in that segment.
    pub(crate) offset: u64,
}

/// Where a walk begins: behind `head`, at a byte of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Boundary {
    pub(crate) head: Head,
    /// The index of the segment's first event.
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}
