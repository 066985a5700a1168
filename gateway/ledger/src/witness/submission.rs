//! What is handed to a witness, and what to make of its no: the newest checkpoint with the proof that it goes on from what the witness has
//! seen. A witness's word alone is never believed.

use std::path::Path;
use std::time::Duration;

use super::request::Request;
use crate::disk::{Layout, RealDisk, make_folder, read_small, write_whole};
use crate::error::Error;
use crate::tree::{Checkpoint, LogKey, TileReader, Tiles, load_key, newest_checkpoint};

/// The newest checkpoint of a ledger, ready for witnesses.
#[derive(Debug)]
pub struct Submission {
    layout: Layout,
    key: LogKey,
    checkpoint: Checkpoint,
    note: String,
    reader: TileReader,
}

/// What a checkpoint that a witness shows is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weighed {
    /// This ledger goes on from it.
    Held(Checkpoint),
    /// This log's key signed it, and this ledger has fewer events, or others: an old copy was put back, or there are two.
    RolledBack(Checkpoint),
    /// This log's key did not sign it, so it says nothing.
    NotOurs,
}

impl Submission {
    /// The newest checkpoint of the ledger below `state`; none while it has none, or its tree is just being written.
    ///
    /// # Errors
    /// When there is no ledger, or the system refuses.
    pub fn newest(state: &Path) -> Result<Option<Self>, Error> {
        let layout = Layout::existing(state)?;
        let Some((checkpoint, note)) = newest_checkpoint(state)? else {
            return Ok(None);
        };
        let key = load_key(&layout)?;
        Ok(tree_of(&layout, &checkpoint).map(|tiles| Self {
            reader: tiles.reader(layout.tiles()),
            layout,
            key,
            checkpoint,
            note,
        }))
    }

    /// How many events it is over.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.note.lines().next().unwrap_or_default()
    }

    /// The signed note.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// The request `add-checkpoint` for a witness that has seen `old` events; none when that is more than there are.
    ///
    /// # Errors
    /// When the tree's hashes on disk cannot be read.
    pub fn request(&mut self, old: u64) -> Result<Option<String>, Error> {
        if old > self.checkpoint.size {
            return Ok(None);
        }
        let request = Request {
            old,
            proof: self.reader.consistency(old)?,
            note: self.note.clone(),
        };
        Ok(Some(request.write()))
    }

    /// What a checkpoint is worth that a witness shows as the newest which it cosigned.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn weigh(&self, shown: &str) -> Result<Weighed, Error> {
        let Ok(checkpoint) = self.key.open_cosigned(shown) else {
            return Ok(Weighed::NotOurs);
        };
        // Another one may have been signed, and handed over, since this one was read.
        let newest = newest_checkpoint(self.layout.state())?;
        let newest = newest.map_or(0, |(newest, _)| newest.size);
        let same = checkpoint.size <= newest && has_root(&self.layout, &checkpoint);
        Ok(match same {
            true => Weighed::Held(checkpoint),
            false => Weighed::RolledBack(checkpoint),
        })
    }

    /// Writes down a checkpoint of this log that the ledger does not go on from: from then on the ledger is not opened, and a gateway that
    /// has it open takes no more calls, until the events are there that it was signed for.
    ///
    /// # Errors
    /// When this log's key did not sign it, or the system refuses.
    pub fn believe(&self, shown: &str) -> Result<(), Error> {
        let path = self.layout.ahead();
        let own = self.key.own_line(shown).map_err(|source| Error::Note {
            path: path.clone(),
            source,
        })?;
        make_folder(&self.layout.witnesses())?;
        write_whole(&RealDisk, &path, own.as_bytes()).map_err(Error::io("write", &path))
    }
}

/// Whether the first events are those that a checkpoint was signed for. The hashes on disk may be in the making, so it looks again.
fn has_root(layout: &Layout, checkpoint: &Checkpoint) -> bool {
    const LOOKS: usize = 20;
    const PAUSE: Duration = Duration::from_millis(10);
    (0..LOOKS).any(|_| {
        let holds = tree_of(layout, checkpoint).is_some();
        if !holds {
            std::thread::sleep(PAUSE);
        }
        holds
    })
}

/// The checkpoint of this log that a witness showed, where the ledger below `state` does not go on from it; none where it does, or none was
/// shown.
///
/// # Errors
/// When there is no ledger, what is written down is not this log's, or the system refuses.
pub fn ahead(state: &Path) -> Result<Option<Checkpoint>, Error> {
    let layout = Layout::existing(state)?;
    let path = layout.ahead();
    if !path.exists() {
        return Ok(None);
    }
    let opened = load_key(&layout)?.open(&read_small(&path)?);
    let shown = opened.map_err(|source| Error::Note { path, source })?;
    let newest = newest_checkpoint(state)?.map_or(0, |(newest, _)| newest.size);
    let held = shown.size <= newest && has_root(&layout, &shown);
    Ok((!held).then_some(shown))
}

/// The tree of a checkpoint as the hashes on disk give it; none where they give another.
fn tree_of(layout: &Layout, checkpoint: &Checkpoint) -> Option<Tiles> {
    Tiles::load(&layout.tiles(), checkpoint.size).filter(|tiles| tiles.root() == checkpoint.root)
}
