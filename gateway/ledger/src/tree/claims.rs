//! What signed checkpoints say about the ledger, and whether its events agree. It never reads an event.

use std::path::PathBuf;

use super::anchor::Anchor;
use super::checkpoint::{Checkpoint, LogKey};
use super::merkle::Hash;
use super::notes::{note_path, note_sizes};
use crate::disk::{Layout, read_small};
use crate::error::{Error, InvalidNote};

/// The checkpoints of a ledger and of its anchor, by size. A walk over the events meets each and compares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    /// Each checkpoint and its file.
    claims: Vec<(Checkpoint, PathBuf)>,
    next: usize,
    /// The first claim that the events contradict.
    broken: Option<usize>,
}

/// Whether the events agree with the claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// Every claim holds.
    Holds,
    /// A claim was signed for other events than those that are there.
    Differs,
    /// A claim was signed for more events than are there.
    EventsMissing,
}

impl Claims {
    /// Reads every checkpoint in the ledger's folder, the anchor, and what a witness showed.
    ///
    /// # Errors
    /// When one of them is not a checkpoint of this log: no crash leaves that.
    pub(crate) fn gather(
        layout: &Layout,
        key: &LogKey,
        anchor: Option<&Anchor>,
    ) -> Result<Self, Error> {
        let mut claims = Vec::new();
        for size in note_sizes(layout)? {
            let path = note_path(layout, size);
            let note = match read_small(&path) {
                // A running writer removes old checkpoints.
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                    continue;
                }
                note => note?,
            };
            let opened = key.open(&note).map_err(|source| Error::Note {
                path: path.clone(),
                source,
            });
            let checkpoint = opened?;
            if checkpoint.size != size {
                let source = InvalidNote::Form("its size is not the one in its file name");
                return Err(Error::Note { path, source });
            }
            claims.push((checkpoint, path));
        }
        if let Some(anchor) = anchor
            && let Some(checkpoint) = anchor.checkpoint(key)?
        {
            claims.push((checkpoint, anchor.path()));
        }
        // What a witness has seen is claimed like what an anchor holds.
        let ahead = layout.ahead();
        if ahead.exists() {
            let opened = key.open(&read_small(&ahead)?);
            let opened = opened.map_err(|source| Error::Note {
                path: ahead.clone(),
                source,
            });
            claims.push((opened?, ahead));
        }
        claims.sort_by_key(|(checkpoint, _)| checkpoint.size);
        Ok(Self {
            claims,
            next: 0,
            broken: None,
        })
    }

    /// The checkpoints, smallest first; the same size may occur twice.
    pub(crate) fn checkpoints(&self) -> impl DoubleEndedIterator<Item = &Checkpoint> {
        self.claims.iter().map(|(checkpoint, _)| checkpoint)
    }

    /// Takes the claims about fewer than `size` events as met, since those events are not walked again, and compares the claims about `size` itself.
    pub(crate) fn skip_to(&mut self, size: u64, root: &Hash) {
        while self
            .claims
            .get(self.next)
            .is_some_and(|(claim, _)| claim.size < size)
        {
            self.next += 1;
        }
        self.meet(size, &mut || *root);
    }

    /// Compares the claims about exactly `size` events with their root.
    pub(crate) fn meet(&mut self, size: u64, root: &mut dyn FnMut() -> Hash) {
        while let Some((claim, _)) = self
            .claims
            .get(self.next)
            .filter(|(claim, _)| claim.size == size)
        {
            if claim.root != root() {
                self.broken = self.broken.or(Some(self.next));
            }
            self.next += 1;
        }
    }

    pub(crate) fn agreement(&self) -> Agreement {
        if self.broken.is_some() {
            Agreement::Differs
        } else if self.next < self.claims.len() {
            Agreement::EventsMissing
        } else {
            Agreement::Holds
        }
    }

    /// Where the agreement does not hold: the first event that is not vouched for, and why in words.
    pub(crate) fn complaint(&self, events: u64) -> Option<(u64, String)> {
        if let Some((claim, path)) = self.broken.and_then(|at| self.claims.get(at)) {
            let kept = self
                .claims
                .iter()
                .take(self.broken.unwrap_or(0))
                .next_back()
                .map_or(0, |(claim, _)| claim.size);
            let reason = format!(
                "the first {} events are not those that '{}' was signed for",
                claim.size,
                path.display()
            );
            return Some((kept, reason));
        }
        let (claim, path) = self
            .claims
            .last()
            .filter(|_| self.next < self.claims.len())?;
        Some((
            events,
            format!(
                "the ledger has {events} events but '{}' was signed for {}",
                path.display(),
                claim.size
            ),
        ))
    }
}
