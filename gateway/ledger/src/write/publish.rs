//! Publishing a checkpoint: the tree's new tiles, the registry's index, a mark, the signed note, and the anchor.
//!
//! Call by call: tiles and mark are written without sync, because the next opening notices a loss and makes them again. The note is
//! written beside its place, synced, renamed, and the folder synced; then the anchor is written in the same way. A crash between
//! note and anchor leaves the anchor one checkpoint behind, and that checkpoint is still true.

use std::sync::Arc;

use crate::disk::{Boundary, Disk, EventPlace, Layout, write_all_at, write_whole};
use crate::error::Error;
use crate::line::Scanned;
use crate::read::{Mark, Tally, registry_entries, registry_index, registry_places};
use crate::tree::{Anchor, Checkpoint, LogSigner, Tiles, leaf_hash, note_path};

/// The newest checkpoints that are kept beside those at segment ends and the anchor's.
const RECENT_NOTES: usize = 8;

/// Follows the events as they are written and publishes what it knows of them.
#[derive(Debug)]
pub(crate) struct Publisher {
    layout: Layout,
    disk: Arc<dyn Disk>,
    signer: LogSigner,
    pub(crate) tiles: Tiles,
    pub(crate) tally: Tally,
    anchor: Anchor,
    /// The last checkpoint, if there is one.
    last: Option<(Checkpoint, String)>,
    /// Sizes of checkpoints that go when enough newer ones are there.
    recent: Vec<u64>,
}

impl Publisher {
    /// Goes on after the checkpoint `last`. `recent` are the checkpoints on disk that are at no segment's end.
    pub(crate) fn resume(
        layout: &Layout,
        disk: Arc<dyn Disk>,
        signer: LogSigner,
        anchor: Anchor,
        (tiles, tally): (Tiles, Tally),
        recent: Vec<u64>,
    ) -> Self {
        Self {
            layout: layout.clone(),
            disk,
            signer,
            tiles,
            tally,
            anchor,
            last: None,
            recent,
        }
    }

    /// Takes note of one more event.
    pub(crate) fn follow(&mut self, place: &EventPlace, line: &[u8], scanned: &Scanned<'_>) {
        self.tiles.push(leaf_hash(line));
        self.tally.note(place, scanned);
    }

    /// Whether the checkpoint over the first `size` events is published and anchored.
    pub(crate) fn is_published(&self, size: u64) -> bool {
        size == 0
            || self
                .last
                .as_ref()
                .is_some_and(|(last, _)| last.size == size)
    }

    /// Events since the last checkpoint.
    pub(crate) fn unpublished(&self) -> u64 {
        self.tiles.size() - self.signed()
    }

    /// How many events the last checkpoint is over; 0 before the first.
    pub(crate) fn signed(&self) -> u64 {
        self.last.as_ref().map_or(0, |(last, _)| last.size)
    }

    /// Takes over the checkpoint over all events, which the ledger and the anchor already hold.
    pub(crate) fn already(&mut self, checkpoint: Checkpoint, note: String) {
        if !self.anchor.is_empty() {
            self.last = Some((checkpoint, note));
        }
    }

    /// Publishes the checkpoint over all events up to `end`, which must be durable. An empty tree is never signed.
    ///
    /// # Errors
    /// When the system refuses, or the anchor was moved by another.
    pub(crate) fn publish(
        &mut self,
        end: &Boundary,
        at_segment_end: bool,
    ) -> Result<Option<(Checkpoint, String)>, Error> {
        if end.head.size == 0 || self.is_published(end.head.size) {
            return Ok(self.last.clone());
        }
        let checkpoint = Checkpoint {
            size: end.head.size,
            root: self.tiles.root(),
        };
        self.tiles.save(self.disk.as_ref(), &self.layout.tiles())?;
        self.save_registry()?;
        self.save_mark(end, &checkpoint)?;
        let note = self.signer.sign(&checkpoint);
        let path = note_path(&self.layout, checkpoint.size);
        write_whole(self.disk.as_ref(), &path, note.as_bytes())
            .map_err(Error::io("write", &path))?;
        self.anchor.swap(self.disk.as_ref(), &note)?;
        self.last = Some((checkpoint, note));
        if !at_segment_end {
            self.recent.push(checkpoint.size);
        }
        self.forget_old()?;
        Ok(self.last.clone())
    }

    /// Where the registry's events lie, as the index has it; none where it cannot be read.
    pub(crate) fn registry_places(&self) -> Option<Vec<EventPlace>> {
        let registry = &self.tally.registry;
        let saved = registry.count - registry.fresh.len() as u64;
        let mut places = registry_places(&self.layout, saved).ok()?;
        places.extend(&registry.fresh);
        Some(places)
    }

    /// Takes note that events lie elsewhere now, and that those before `before` have no lines of their own any more. `registry` is where the
    /// registry's events lay. Their index is written anew with the next checkpoint; where it could not be read, the next opening makes it.
    pub(crate) fn relocate(
        &mut self,
        registry: Option<Vec<EventPlace>>,
        moved: &dyn Fn(&EventPlace) -> EventPlace,
        before: u64,
    ) -> Result<(), Error> {
        let path = registry_index(&self.layout);
        match self.disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        self.tally.calls.relocate(moved);
        let fresh = &mut self.tally.registry.fresh;
        *fresh = registry.unwrap_or_else(|| std::mem::take(fresh));
        fresh.iter_mut().for_each(|place| *place = moved(place));
        // What was signed for events that are gone stays.
        self.recent.retain(|size| *size > before);
        Ok(())
    }

    fn save_registry(&mut self) -> Result<(), Error> {
        let registry = &mut self.tally.registry;
        if registry.fresh.is_empty() {
            return Ok(());
        }
        let (entries, offset) = registry_entries(&registry.fresh, registry.count);
        let path = registry_index(&self.layout);
        let opened = if path.exists() {
            self.disk.open(&path)
        } else {
            self.disk.create(&path)
        };
        let written = opened.and_then(|mut file| {
            write_all_at(file.as_mut(), &entries, offset)?;
            file.sync()
        });
        written.map_err(Error::io("write", &path))?;
        registry.fresh.clear();
        Ok(())
    }

    fn save_mark(&self, end: &Boundary, checkpoint: &Checkpoint) -> Result<(), Error> {
        let Some(mark) = Mark::of(end, &checkpoint.root, &self.tally) else {
            return Ok(());
        };
        let path = Mark::path(&self.layout, checkpoint.size);
        let written = self.disk.replace(&path).and_then(|mut file| {
            write_all_at(file.as_mut(), mark.sign(&self.signer).as_bytes(), 0)
        });
        written.map_err(Error::io("write", &path))
    }

    /// Old checkpoints say nothing that newer ones do not; those at segment ends stay, as places to begin reading.
    fn forget_old(&mut self) -> Result<(), Error> {
        let old = self.recent.len().saturating_sub(RECENT_NOTES);
        for size in self.recent.drain(..old) {
            for path in [
                note_path(&self.layout, size),
                Mark::path(&self.layout, size),
            ] {
                match self.disk.remove(&path) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(Error::io("remove", &path)(error)),
                }
            }
        }
        Ok(())
    }
}
