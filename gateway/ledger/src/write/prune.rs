//! Pruning: dropping the lines of old events, which a checkpoint covers, and keeping what later readers need of them.
//!
//! Call by call, for `--before 1000`:
//!
//! 1. The writer signs for everything, and closes the open segment if it holds events below 1000, so that nothing below changes any more.
//! 2. Those lines are read and checked against the chain and a signed checkpoint. The full tiles over them, which could not be made again
//!    afterwards, are compared, written where they differ, and synced.
//! 3. `seg.new` is put together and synced: the lines that are carried over, `pruned.json`, `pruned.runs`, the rest of the segment in which
//!    event 1000 stands, and a second name (`link`) for each later segment.
//! 4. The writer appends the `DISABLE` event with SHA-256 of `pruned.json`, durable; links segments that are new since then; and swaps `seg` and
//!    `seg.new` in one step (`renameat2`, `RENAME_EXCHANGE`), durable.
//! 5. What is in `seg.new` now, the old segments, is removed, and so are their indexes.
//!
//! A crash before the event leaves a `seg.new` that the next opening takes away. A crash between event and swap: the next opening does 2 to 5
//! again, which gives the same bytes. A crash after the swap: it does 5. Readers see the old folder or the new one, never a mixture.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use plugin_protocol::digest::FileHash;
use plugin_protocol::event::{Event, EventKind, meta};

use super::writer::Writer;
use crate::disk::{
    Boundary, CARRIED, Disk, EventPlace, Layout, Line, Lines, list_segments, make_folder,
    write_all_at,
};
use crate::error::Error;
use crate::line::text::unescape;
use crate::line::{Draft, Scanned};
use crate::read::{Base, Descriptor, Mark, Pruned, RUN_BYTES, edge_of, index_of, run_row};
use crate::tree::{Agreement, Claims, Hash, LogKey, leaf_hash};

/// How much of a segment is copied at once.
const COPY_BYTES: usize = 1 << 20;

/// What a pruning will drop and keep. The same lines give the same plan.
#[derive(Debug)]
pub(crate) struct Plan {
    descriptor: Descriptor,
    json: Vec<u8>,
    lines: Vec<u8>,
    runs: Vec<u8>,
    root: Hash,
    /// The segment in the midst of which the first event stands that stays, and where.
    split: Option<(u64, u64)>,
    /// Where the lines that are carried over will lie.
    carried: BTreeMap<u64, u64>,
}

impl Plan {
    /// Reads the events before `before`, which no writer changes any more, and makes their tiles durable.
    ///
    /// # Errors
    /// When they are not what was signed for, no checkpoint covers them, or the system refuses.
    pub(crate) fn make(
        layout: &Layout,
        disk: &dyn Disk,
        key: &LogKey,
        before: u64,
    ) -> Result<Self, Error> {
        let base = Base::load(layout)?;
        let claims = Claims::gather(layout, key, None)?;
        let covering = claims.checkpoints().find(|claim| claim.size >= before);
        let Some(covering) = covering.map(|claim| claim.size) else {
            return Err(refused("no checkpoint covers those events yet"));
        };
        let mut reading = Reading::new(base, claims);
        while reading.at.head.size < covering {
            if reading.at.head.size == before {
                reading.leave(layout)?;
            }
            reading.step(layout, disk)?;
        }
        if reading.at.head.size == before {
            reading.leave(layout)?;
        }
        match (reading.claims.agreement(), reading.left.take()) {
            (Agreement::Differs, _) => Err(Error::Broken {
                index: before,
                reason: "the events that were to be pruned are not those that were signed for"
                    .to_owned(),
            }),
            (_, Some(plan)) => Ok(plan),
            (_, None) => Err(refused("these events are pruned already")),
        }
    }

    /// SHA-256 of `pruned.json`, which the event carries.
    pub(crate) fn sha256(&self) -> FileHash {
        FileHash::of(&self.json)
    }

    pub(crate) fn summary(&self) -> Pruned {
        self.descriptor.summary()
    }

    fn draft(&self) -> Draft {
        let Pruned {
            before,
            dropped,
            bytes,
            carried,
        } = self.summary();
        let meta = [
            (meta::SUBJECT, meta::SUBJECT_LEDGER.to_owned()),
            (meta::BEFORE, before.to_string()),
            (meta::DROPPED, dropped.to_string()),
            (meta::BYTES, bytes.to_string()),
            (meta::CARRIED, carried.to_string()),
            (meta::ROOT, FileHash::from_bytes(self.root).to_string()),
            (meta::SHA256, self.sha256().to_string()),
        ];
        let meta = meta.map(|(name, value)| (name.to_owned(), value));
        Draft::of_system(EventKind::Disable, None, BTreeMap::from(meta))
    }

    /// Puts the new folder together beside the old one, durable. Where the file system can do no such thing, it says so here.
    pub(crate) fn put_together(&self, layout: &Layout, disk: &dyn Disk) -> Result<(), Error> {
        sweep(layout, disk)?;
        let folder = layout.segments_beside();
        make_folder(&folder)?;
        let trial = layout.ledger().join("seg.try");
        make_folder(&trial)?;
        let swapped = disk.exchange(&folder, &trial);
        remove_folder(disk, &trial)?;
        swapped.map_err(Error::io("swap folders as", &folder))?;
        let above = layout.ledger();
        disk.sync_dir(&above).map_err(Error::io("sync", &above))?;
        for (path, bytes) in [
            (layout.pruned(), &self.json),
            (layout.carried(), &self.lines),
            (layout.pruned_runs(), &self.runs),
        ] {
            let path = beside(layout, &path);
            let written = disk.create(&path).and_then(|mut file| {
                write_all_at(file.as_mut(), bytes, 0)?;
                file.sync()
            });
            written.map_err(Error::io("write", &path))?;
        }
        if let Some((segment, offset)) = self.split {
            let from = layout.segment(segment);
            let to = beside(layout, &layout.segment(self.descriptor.before));
            copy_rest(disk, &from, offset, &to)?;
        }
        self.link(layout, disk)
    }

    /// Gives each segment that stays, and has none yet, its name in the new folder.
    fn link(&self, layout: &Layout, disk: &dyn Disk) -> Result<(), Error> {
        for segment in list_segments(layout)? {
            let to = beside(layout, &segment.path);
            if segment.first >= self.descriptor.before && !to.exists() {
                disk.link(&segment.path, &to)
                    .map_err(Error::io("link", &segment.path))?;
            }
        }
        let folder = layout.segments_beside();
        disk.sync_dir(&folder).map_err(Error::io("sync", &folder))
    }

    /// The step that drops the lines.
    fn swap(&self, layout: &Layout, disk: &dyn Disk) -> Result<(), Error> {
        self.link(layout, disk)?;
        let (new, old) = (layout.segments_beside(), layout.segments());
        disk.exchange(&new, &old)
            .map_err(Error::io("swap in", &new))?;
        let above = layout.ledger();
        disk.sync_dir(&above).map_err(Error::io("sync", &above))
    }

    /// Where the event of `place` lies afterwards.
    fn moved(&self, place: &EventPlace) -> EventPlace {
        let before = self.descriptor.before;
        match (self.carried.get(&place.index), self.split) {
            (Some(offset), _) => EventPlace {
                segment: CARRIED,
                offset: *offset,
                ..*place
            },
            (None, Some((segment, cut))) if place.segment == segment && place.index >= before => {
                EventPlace {
                    segment: before,
                    offset: place.offset - cut,
                    ..*place
                }
            }
            (None, _) => *place,
        }
    }
}

impl Writer {
    /// Makes sure that the events before `before` may be dropped, and that nothing more is written to their segments.
    ///
    /// # Errors
    /// [`Error::NotPruned`] when they may not be; any other error is final.
    pub(crate) fn may_prune(&mut self, before: u64) -> Result<(), Error> {
        let size = self.head().size;
        let begins = Base::load(self.layout())?.before();
        if before > size {
            return Err(refused(format!("there are only {size} events")));
        }
        if before <= begins {
            return Err(refused(match begins {
                0 => "there is no event before the first".to_owned(),
                _ => format!("the events before {begins} are pruned already"),
            }));
        }
        let no_space = Error::NoSpace {
            path: self.layout().ledger(),
        };
        if self.publish()?.is_none() {
            return Err(no_space);
        }
        let oldest = self.publisher.tally.calls.places().first().copied();
        if let Some(call) = oldest.filter(|call| call.index < before) {
            let index = call.index;
            return Err(refused(format!(
                "the call that began with event {index} is still open"
            )));
        }
        match self.close_before(before)? {
            true => Ok(()),
            false => Err(no_space),
        }
    }

    /// Records the pruning, unless it is recorded already, and drops the lines.
    ///
    /// # Errors
    /// Any error is final; a pruning that is recorded is completed at the next opening.
    pub(crate) fn prune(&mut self, plan: &Plan, recorded: bool) -> Result<Option<Event>, Error> {
        let event = match recorded {
            true => None,
            false => self.append_all(vec![plan.draft()])?.pop(),
        };
        let layout = self.layout().clone();
        let known = self.publisher.registry_places();
        plan.swap(&layout, self.disk())?;
        self.publisher
            .relocate(known, &|place| plan.moved(place), plan.descriptor.before)?;
        let before = plan.descriptor.before;
        let split = list_segments(&layout)?.into_iter();
        let split = split.filter(|segment| plan.split.is_some() && segment.first == before);
        self.closed.extend(split);
        self.publish()?;
        Ok(event)
    }
}

/// Takes away what a pruning leaves behind: the folder that was being put together, or the old one; and what was made of old segments.
pub(crate) fn sweep(layout: &Layout, disk: &dyn Disk) -> Result<(), Error> {
    for folder in [layout.segments_beside(), layout.ledger().join("seg.try")] {
        if folder.is_dir() {
            remove_folder(disk, &folder)?;
        }
    }
    let before = Base::load(layout)?.before();
    let old = |path: &Path| {
        let index = index_of(path).filter(|first| *first < before);
        index.or(Mark::size_of(path).filter(|size| *size < before))
    };
    for folder in [layout.index(), layout.checkpoints()] {
        for path in paths(&folder)? {
            if old(&path).is_some() {
                disk.remove(&path).map_err(Error::io("remove", &path))?;
            }
        }
    }
    Ok(())
}

/// Reads the lines from the first on, and puts a plan together on the way.
struct Reading {
    at: Boundary,
    lines: Option<Lines>,
    tree: crate::tree::Growing,
    claims: Claims,
    base: Base,
    bytes: u64,
    kept: Vec<u8>,
    indexes: Vec<u64>,
    carried: BTreeMap<u64, u64>,
    runs: BTreeSet<[u8; RUN_BYTES]>,
    left: Option<Plan>,
}

impl Reading {
    fn new(base: Base, mut claims: Claims) -> Self {
        let tree = base.tree();
        claims.skip_to(base.before(), &tree.root());
        let mut reading = Self {
            at: base.start(),
            lines: None,
            tree,
            claims,
            bytes: base.summary().map_or(0, |pruned| pruned.bytes),
            kept: Vec::new(),
            indexes: Vec::new(),
            carried: BTreeMap::new(),
            runs: BTreeSet::new(),
            left: None,
            base,
        };
        for (place, line) in std::mem::take(&mut reading.base.carried) {
            reading.carry(place.index, &line);
        }
        reading
    }

    fn carry(&mut self, index: u64, line: &[u8]) {
        self.carried.insert(index, self.kept.len() as u64);
        self.indexes.push(index);
        self.kept.extend_from_slice(line);
        self.kept.push(b'\n');
    }

    /// Reads one line.
    fn step(&mut self, layout: &Layout, disk: &dyn Disk) -> Result<(), Error> {
        let index = self.at.head.size;
        let broken = |reason: String| Error::Broken { index, reason };
        let path = layout.segment(self.at.segment);
        let lines = match &mut self.lines {
            Some(lines) => lines,
            closed => closed.insert(Lines::open(&path, self.at.offset)?),
        };
        let line = match lines.next().map_err(Error::io("read", &path))? {
            Line::Whole(line) => line.to_owned(),
            Line::End if self.at.segment != index => {
                (self.at.segment, self.at.offset) = (index, 0);
                self.lines = None;
                return self.step(layout, disk);
            }
            Line::End | Line::Fragment(_) | Line::TooLong => {
                return Err(broken("its line cannot be read back".to_owned()));
            }
        };
        self.at.offset = lines.offset();
        let scanned = self.at.head.follow(&line).map_err(broken)?;
        let leaf = leaf_hash(&line);
        self.tree.push(leaf);
        self.claims.meet(self.tree.size(), &mut || self.tree.root());
        if self.left.is_some() {
            return Ok(());
        }
        self.base.tiles.push(leaf);
        self.base.tiles.settle(disk, &layout.tiles())?;
        if is_carried(&scanned) {
            self.carry(index, &line);
        } else {
            self.runs.insert(run_row(&unescape(scanned.run_id)));
            self.bytes += line.len() as u64 + 1;
        }
        Ok(())
    }

    /// The plan, with all lines so far behind it.
    fn leave(&mut self, layout: &Layout) -> Result<(), Error> {
        let before = self.at.head.size;
        let Some(head) = self.at.head.hash.filter(|_| before > self.base.before()) else {
            return Ok(());
        };
        let mut runs: BTreeSet<_> = std::mem::take(&mut self.runs);
        runs.extend(self.base.lost_runs(layout)?);
        let runs: Vec<u8> = runs.into_iter().flatten().collect();
        let lines = std::mem::take(&mut self.kept);
        let descriptor = Descriptor {
            before,
            bytes: self.bytes,
            carried: std::mem::take(&mut self.indexes),
            edge: edge_of(&self.base.tiles),
            head,
            lines_sha256: FileHash::of(&lines),
            runs_sha256: FileHash::of(&runs),
        };
        let at = (self.at.segment, self.at.offset);
        self.left = Some(Plan {
            json: descriptor.to_bytes(),
            lines,
            runs,
            root: self.tree.root(),
            split: (!layout.segment(before).exists()).then_some(at),
            carried: std::mem::take(&mut self.carried),
            descriptor,
        });
        Ok(())
    }
}

/// The registry is a fold over its events, and a quarantined file is recorded once: what says so stays.
fn is_carried(scanned: &Scanned<'_>) -> bool {
    scanned.kind.is_registry() || scanned.meta_value(meta::QUARANTINE).is_some()
}

pub(crate) fn refused(reason: impl Into<String>) -> Error {
    Error::NotPruned {
        reason: reason.into(),
    }
}

/// The same name in the new folder.
fn beside(layout: &Layout, path: &Path) -> PathBuf {
    layout
        .segments_beside()
        .join(path.file_name().unwrap_or_default())
}

fn copy_rest(disk: &dyn Disk, from: &Path, offset: u64, to: &Path) -> Result<(), Error> {
    let mut source = File::open(from).map_err(Error::io("open", from))?;
    let copied = (|| -> io::Result<()> {
        source.seek(SeekFrom::Start(offset))?;
        let mut file = disk.create(to)?;
        let mut at = 0;
        loop {
            let mut bytes = Vec::new();
            source
                .by_ref()
                .take(COPY_BYTES as u64)
                .read_to_end(&mut bytes)?;
            if bytes.is_empty() {
                return file.sync();
            }
            write_all_at(file.as_mut(), &bytes, at)?;
            at += bytes.len() as u64;
        }
    })();
    copied.map_err(Error::io("write", to))
}

fn remove_folder(disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
    for path in paths(folder)? {
        disk.remove(&path).map_err(Error::io("remove", &path))?;
    }
    std::fs::remove_dir(folder).map_err(Error::io("remove", folder))
}

fn paths(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let listed = std::fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()
    });
    listed.map_err(Error::io("list", folder))
}
