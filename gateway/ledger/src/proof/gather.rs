//! Gathers the events of one run for its export, and makes the bundle from them. It trusts no index: every line is read and checked.

use plugin_protocol::digest::FileHash;
use plugin_protocol::event::{Event, EventKind, meta};
use plugin_protocol::ids::{EventId, RunId};

use super::bundle::{Export, FORMAT, FORMAT_2, Inclusion, ProofBundle, ProofExtras};
use crate::disk::{Boundary, EventPlace, Layout, Line, Lines, list_segments};
use crate::error::Error;
use crate::line::{Draft, escaped, event_at, scan};
use crate::read::{Base, Key, PlacedLines, lost_lines, places_of};
use crate::tree::{Checkpoint, Growing, Hash, TileReader, Tiles, leaf_hash};

/// The events of one run as they are gathered: their places and the root over their lines.
#[derive(Debug)]
pub(crate) struct RunSoFar {
    run: RunId,
    run_text: String,
    places: Vec<EventPlace>,
    tree: Growing,
    /// How far the ledger was searched.
    end: Boundary,
}

impl RunSoFar {
    /// Gathers the run's events before `end`, by the index where there is one.
    pub(crate) fn gather(layout: &Layout, run: &RunId, end: Boundary) -> Result<Self, Error> {
        let mut so_far = Self {
            run: run.clone(),
            run_text: escaped(run.as_str()),
            places: Vec::new(),
            tree: Growing::default(),
            end,
        };
        let base = Base::load(layout)?;
        if lost_lines(layout, &base, run)? {
            return Err(Error::RunPruned {
                run: run.to_string(),
                before: base.before(),
            });
        }
        for (place, line) in &base.carried {
            so_far.note(*place, line);
        }
        let key = Key::Run(so_far.run_text.clone());
        let mut lines = PlacedLines::new(layout);
        for segment in list_segments(layout)?
            .iter()
            .filter(|segment| segment.first < end.head.size)
        {
            for place in places_of(layout, segment, end.head.size, &key)? {
                so_far.note(place, &lines.read(&place)?);
            }
        }
        Ok(so_far)
    }

    /// Goes on to `end`, reading the lines between. The writer's thread does this, so that no event of the run is left out.
    fn go_on(&mut self, layout: &Layout, end: &Boundary) -> Result<(), Error> {
        let Boundary {
            head,
            mut segment,
            offset,
        } = self.end;
        let mut lines = Lines::open(&layout.segment(segment), offset)?;
        let mut index = head.size;
        while index < end.head.size {
            let place = EventPlace {
                index,
                segment,
                offset: lines.offset(),
            };
            match lines
                .next()
                .map_err(Error::io("read", &layout.segment(segment)))?
            {
                Line::Whole(line) => {
                    let line = line.to_owned();
                    self.note(place, &line);
                    index += 1;
                }
                Line::End | Line::Fragment(_) | Line::TooLong if segment == index => {
                    let reason = "its line cannot be read back".to_owned();
                    return Err(Error::Broken { index, reason });
                }
                Line::End | Line::Fragment(_) | Line::TooLong => {
                    segment = index;
                    lines = Lines::open(&layout.segment(segment), 0)?;
                }
            }
        }
        self.end = *end;
        Ok(())
    }

    fn note(&mut self, place: EventPlace, line: &[u8]) {
        let of_run = scan(line).is_ok_and(|scanned| {
            scanned.run_id == self.run_text && scanned.kind != EventKind::ProofExport
        });
        if of_run {
            self.places.push(place);
            self.tree.push(leaf_hash(line));
        }
    }

    /// The event that commits to the run's events up to `end`.
    pub(crate) fn draft(
        &mut self,
        layout: &Layout,
        end: &Boundary,
        proof_id: &EventId,
        attachments: &FileHash,
    ) -> Result<Draft, Error> {
        self.go_on(layout, end)?;
        let (Some(first), Some(last)) = (self.places.first(), self.places.last()) else {
            return Err(Error::NoSuchRun {
                run: self.run.to_string(),
            });
        };
        let meta = [
            (meta::PROOF_ID, proof_id.to_string()),
            (meta::RUN_COUNT, self.places.len().to_string()),
            (
                meta::RUN_ROOT,
                FileHash::from_bytes(self.tree.root()).to_string(),
            ),
            (meta::FIRST_INDEX, first.index.to_string()),
            (meta::LAST_INDEX, last.index.to_string()),
            (meta::ATTACHMENTS_HASH, attachments.to_string()),
        ];
        Ok(Draft {
            run_id: self.run.clone(),
            kind: EventKind::ProofExport,
            plugin_id: None,
            request_id: None,
            input_hash: None,
            output_hash: None,
            meta: meta
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        })
    }
}

/// What the writer gives for an export: the committed run, the event, the checkpoint over it, and the tree of that checkpoint.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(crate) run: RunSoFar,
    pub(crate) event: Event,
    pub(crate) index: u64,
    pub(crate) note: String,
    pub(crate) reader: TileReader,
    /// Whether witnesses cosigned the checkpoint.
    pub(crate) cosigned: bool,
}

impl Exported {
    /// Leads the proofs to another checkpoint over the export, which witnesses cosigned. The ledger may have grown meanwhile. Where the
    /// hashes on disk do not give its tree, everything stays as it is.
    pub(crate) fn lead_to(
        mut self,
        layout: &Layout,
        checkpoint: &Checkpoint,
        note: String,
    ) -> Self {
        let tiles = Tiles::load(&layout.tiles(), checkpoint.size)
            .filter(|tiles| tiles.root() == checkpoint.root);
        if let Some(tiles) = tiles {
            self.reader = tiles.reader(layout.tiles());
            self.note = note;
            self.cosigned = true;
        }
        self
    }

    /// Makes the bundle.
    pub(crate) fn bundle(
        mut self,
        layout: &Layout,
        proof_id: EventId,
        extras: ProofExtras,
    ) -> Result<ProofBundle, Error> {
        let mut lines = PlacedLines::new(layout);
        let (mut events, mut inclusion) = (Vec::new(), Vec::new());
        for place in &self.run.places {
            events.push(event_at(place.index, &lines.read(place)?)?);
            inclusion.push(Inclusion {
                index: place.index,
                hashes: hashes(&self.reader.path(place.index)?),
            });
        }
        let head_event_hash = events
            .last()
            .map_or(self.event.event_hash, |event| event.event_hash);
        Ok(ProofBundle {
            format: if self.cosigned { FORMAT_2 } else { FORMAT }.to_owned(),
            proof_id,
            run_id: self.run.run,
            created_at: self.event.ts.clone(),
            head_event_hash,
            events,
            inclusion,
            export: Export {
                hashes: hashes(&self.reader.path(self.index)?),
                event: self.event,
                index: self.index,
            },
            checkpoint: self.note,
            plugin_manifest_digests: extras.manifest_digests,
            validation_reports: extras.validation_reports,
        })
    }
}

fn hashes(path: &[Hash]) -> Vec<FileHash> {
    path.iter()
        .map(|hash| FileHash::from_bytes(*hash))
        .collect()
}
