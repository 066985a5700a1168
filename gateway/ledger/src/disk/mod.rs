//! The way to the disk: the seam for tests, the layout, the lock, segments and places in them. It never knows what a line says.

mod files;
mod io;
mod layout;
mod lock;
mod place;
mod reserve;
mod segment;

pub(crate) use files::{MAX_NOTE_BYTES, make_folder, read_small, write_whole};
pub(crate) use io::{Disk, DiskFile, RealDisk, write_all_at};
pub(crate) use layout::{Layout, SEGMENT_DIGITS};
pub(crate) use lock::Lock;
pub(crate) use place::{Boundary, CARRIED, EventPlace};
pub(crate) use reserve::{RETREAT_BYTES, Reserve, is_full, keep};
pub(crate) use segment::{Line, Lines, SEGMENT_BYTES, Segment, list_segments};
