//! Proof bundles (contract, section 10): what an auditor gets of one run, and how the gateway makes it.
//! Checking one is in `check`, which trusts nothing from here.

use plugin_protocol::canonical;
use plugin_protocol::digest::{EventHash, FileHash, ManifestHash};
use plugin_protocol::event::{Event, EventKind};
use plugin_protocol::ids::{EventId, PluginId, RunId};
use plugin_protocol::report::ValidationReport;
use plugin_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::disk::layout::Layout;
use crate::disk::segment::{self, Line, Lines};
use crate::error::Error;
use crate::line::event::Draft;
use crate::line::scan::scan;
use crate::open::recover::read;
use crate::read::index::{self, Key};
use crate::read::mark::PlacedLines;
use crate::read::query::escaped;
use crate::read::walk::{Place, Start};
use crate::tree::merkle::{Growing, Hash, leaf_hash};
use crate::tree::tiles::TileReader;

/// The name of the format.
pub(crate) const FORMAT: &str = "plugin-gateway-proof/1";

/// The `meta` member of a `PROOF_EXPORT` event that holds the SHA-256 of [`attachments_hash`].
pub(crate) const ATTACHMENTS_HASH: &str = "attachments_hash";

/// What proves that a run's events are in the log, and all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofBundle {
    /// Always `plugin-gateway-proof/1`.
    pub format: String,
    /// The export's name, which its event carries too.
    pub proof_id: EventId,
    /// The run.
    pub run_id: RunId,
    /// When it was exported: the time of the export's event.
    pub created_at: Timestamp,
    /// The hash of the run's last event.
    pub head_event_hash: EventHash,
    /// The run's events but `PROOF_EXPORT`, in ledger order.
    pub events: Vec<Event>,
    /// A proof for each event, in the same order.
    pub inclusion: Vec<Inclusion>,
    /// The export's own event, which says how many events there are and what their root is.
    pub export: Export,
    /// The signed checkpoint to which every proof leads.
    pub checkpoint: String,
    /// The manifests of the run's plugins.
    pub plugin_manifest_digests: Vec<ManifestDigest>,
    /// What was found about them.
    pub validation_reports: Vec<ValidationReport>,
}

/// The proof that an event is in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inclusion {
    /// The event's index in the ledger.
    pub index: u64,
    /// The proof, lowest hash first (RFC 6962, section 2.1.1).
    pub hashes: Vec<FileHash>,
}

/// The event of an export, with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The `PROOF_EXPORT` event.
    pub event: Event,
    /// Its index in the ledger.
    pub index: u64,
    /// Its proof.
    pub hashes: Vec<FileHash>,
}

/// A plugin and its manifest's hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestDigest {
    /// The plugin.
    pub plugin_id: PluginId,
    /// SHA-256 of its canonical manifest.
    pub manifest_hash: ManifestHash,
}

/// What goes into a bundle beside the run's events; the export's event commits to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProofExtras {
    /// The manifests of the run's plugins.
    pub manifest_digests: Vec<ManifestDigest>,
    /// What was found about them.
    pub validation_reports: Vec<ValidationReport>,
}

impl ProofBundle {
    /// The bundle's bytes: its canonical JSON, without a newline.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::bytes(self)
    }
}

/// SHA-256 of the canonical JSON of `{"plugin_manifest_digests":…,"validation_reports":…}`.
pub(crate) fn attachments_hash(
    digests: &[ManifestDigest],
    reports: &[ValidationReport],
) -> FileHash {
    #[derive(Serialize)]
    struct Attachments<'a> {
        plugin_manifest_digests: &'a [ManifestDigest],
        validation_reports: &'a [ValidationReport],
    }
    FileHash::of(&canonical::bytes(&Attachments {
        plugin_manifest_digests: digests,
        validation_reports: reports,
    }))
}

/// The events of one run as they are gathered: their places and the root over their lines.
#[derive(Debug)]
pub(crate) struct RunSoFar {
    run: RunId,
    run_text: String,
    places: Vec<Place>,
    tree: Growing,
    /// The end of what was looked through.
    end: Start,
}

impl RunSoFar {
    /// Gathers the run's events before `end`, by the index where there is one.
    pub(crate) fn gather(layout: &Layout, run: &RunId, end: Start) -> Result<Self, Error> {
        let mut so_far = Self {
            run: run.clone(),
            run_text: escaped(run.as_str()),
            places: Vec::new(),
            tree: Growing::default(),
            end,
        };
        let key = Key::Run(so_far.run_text.clone());
        let mut lines = PlacedLines::new(layout);
        for segment in segment::list(layout)?
            .iter()
            .filter(|segment| segment.first < end.head.size)
        {
            for place in index::places(layout, segment, end.head.size, &key)? {
                so_far.note(place, &lines.read(&place)?);
            }
        }
        Ok(so_far)
    }

    /// Goes on to `end`, reading the lines between; the writer does this, so that nothing of the run is left out.
    fn go_on(&mut self, layout: &Layout, end: &Start) -> Result<(), Error> {
        let Start {
            head,
            mut segment,
            offset,
        } = self.end;
        let mut lines = Lines::open(&layout.segment(segment), offset)?;
        let mut index = head.size;
        while index < end.head.size {
            let place = Place {
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

    fn note(&mut self, place: Place, line: &[u8]) {
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
        end: &Start,
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
            ("proof_id", proof_id.to_string()),
            ("run_count", self.places.len().to_string()),
            (
                "run_root",
                FileHash::from_bytes(self.tree.root()).to_string(),
            ),
            ("first_index", first.index.to_string()),
            ("last_index", last.index.to_string()),
            (ATTACHMENTS_HASH, attachments.to_string()),
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
}

impl Exported {
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
            events.push(read(&lines.read(place)?).map_err(|reason| Error::Broken {
                index: place.index,
                reason,
            })?);
            inclusion.push(Inclusion {
                index: place.index,
                hashes: hashes(&self.reader.path(place.index)?),
            });
        }
        let head_event_hash = events
            .last()
            .map_or(self.event.event_hash, |event| event.event_hash);
        Ok(ProofBundle {
            format: FORMAT.to_owned(),
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
