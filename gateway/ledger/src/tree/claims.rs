//! What signed checkpoints say about the ledger, and whether its events agree. It never reads an event.

use std::path::PathBuf;

use super::anchor::Anchor;
use super::checkpoint::{Checkpoint, LogKey};
use super::merkle::Hash;
use super::notes::{note_path, note_sizes};
use crate::disk::{Layout, read_small};
use crate::error::{Error, InvalidNote};

/// The checkpoints of a ledger and of its anchor, by size, each to be met by a walk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    /// Size, root, and the file that says so.
    claims: Vec<(Checkpoint, PathBuf)>,
    next: usize,
    /// The first claim that the events contradict.
    broken: Option<usize>,
}

/// Whether the events agree with the claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Every claim holds.
    Kept,
    /// The events that a claim is about are not those it was signed for.
    Differs,
    /// A claim is about more events than there are.
    Ahead,
}

impl Claims {
    /// Reads every checkpoint in the ledger's folder, and the anchor.
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
                // A running writer forgets old ones.
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
                let source = InvalidNote::Form("its size is not that of its name");
                return Err(Error::Note { path, source });
            }
            claims.push((checkpoint, path));
        }
        if let Some(anchor) = anchor
            && let Some(checkpoint) = anchor.checkpoint(key)?
        {
            claims.push((checkpoint, anchor.path()));
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

    /// Takes the claims about at most `size` events as met: those are not walked again. Claims at `size` itself are compared.
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

    pub(crate) fn standing(&self) -> Standing {
        if self.broken.is_some() {
            Standing::Differs
        } else if self.next < self.claims.len() {
            Standing::Ahead
        } else {
            Standing::Kept
        }
    }

    /// Why the standing is not good: the first event that is not vouched for, and the words.
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
