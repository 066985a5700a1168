//! Whether the ledger is the one that its anchor was signed for, for those who only read. An old copy of a state looks whole: nothing but
//! the anchor says that events are missing.

use std::path::Path;

use super::begin::tree_at;
use super::verify::verify;
use crate::disk::{Layout, Line, Lines, list_segments};
use crate::error::Error;
use crate::tree::{Anchor, Checkpoint, load_key};

/// How often the anchor is looked at: a running writer removes the hashes of the checkpoint before the newest.
const LOOKS: usize = 2;

/// What the words of [`verify`] mean to somebody who only wanted to look.
const MEANS: &str = "an old copy was put back, or events were cut off or changed: what it shows is not what happened";

/// Checks that the ledger below `state` has the events that the anchor in the folder `anchor` was signed for; with none, the one inside the
/// state. It costs a small part of what reading all costs, unless something is wrong: then all is read to say what.
///
/// # Errors
/// [`Error::Broken`] with the words of [`verify`]; when the anchor is not there, or the system refuses.
pub fn check_anchor(state: &Path, anchor: Option<&Path>) -> Result<(), Error> {
    let layout = Layout::existing(state)?;
    let key = load_key(&layout)?;
    for _ in 0..LOOKS {
        match Anchor::read(&layout, anchor)?.checkpoint(&key)? {
            None => return Ok(()),
            Some(signed) if holds(&layout, &signed)? => return Ok(()),
            Some(_) => {}
        }
    }
    let found = verify(state, anchor, &|_, _| {})?;
    if found.valid {
        return Ok(());
    }
    Err(Error::Broken {
        index: found.broken_at.unwrap_or(found.events),
        reason: format!("{} ({MEANS})", found.reason),
    })
}

/// Whether the events are there, and the hashes on disk are of those that were signed for.
fn holds(layout: &Layout, signed: &Checkpoint) -> Result<bool, Error> {
    Ok(has_events(layout, signed.size)?
        && tree_at(&layout.tiles(), signed.size).is_some_and(|tree| tree.root() == signed.root))
}

fn has_events(layout: &Layout, size: u64) -> Result<bool, Error> {
    let Some(last) = list_segments(layout)?.pop() else {
        return Ok(size == 0);
    };
    let mut lines = Lines::open(&last.path, 0)?;
    for _ in last.first..size {
        match lines.next().map_err(Error::io("read", &last.path))? {
            Line::Whole(_) => {}
            Line::Fragment(_) | Line::TooLong | Line::End => return Ok(false),
        }
    }
    Ok(true)
}
