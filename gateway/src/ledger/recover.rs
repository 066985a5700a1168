//! Opening a ledger after anything: check everything, mend only what a crash can leave, refuse the rest.
//!
//! The mending, call by call, for a last fragment: write it to quarantine under a `.pending` name (write, sync, rename, sync of the
//! folder), cut it off the segment (`ftruncate`, `fdatasync`), append the `ERROR` event that records it, rename `.pending` to
//! `.cut`. A crash between any two is taken up at the next opening: a fragment that is still there is cut again under the same
//! name, and a `.pending` file that no event names gets its event.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs::{DirBuilder, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_protocol::digest::FileHash;
use plugin_protocol::event::{Event, EventKind};
use plugin_protocol::ids::{EventId, RunId};
use plugin_protocol::json;

use super::append::Options;
use super::chain::Head;
use super::error::Error;
use super::event::{Clock, Draft};
use super::io::{Disk, RealDisk, write_whole};
use super::layout::Layout;
use super::lock::Lock;
use super::scan::Scanned;
use super::segment::Segment;
use super::torn::{Rest, classify};
use super::walk::{Start, Walked, walk};
use super::writer::{GROUP_BYTES, Writer};

/// The `meta` member by which a closing event names the `INVOKE` that it closes (its `event_id`).
/// A closing event without it closes the oldest open `INVOKE` of the same run, request and plugin.
pub const CLOSES: &str = "invoke";

/// The `meta` member of an `ERROR` event that names a file in quarantine.
const QUARANTINE: &str = "quarantine";

const PENDING_SUFFIX: &str = ".pending";
const CUT_SUFFIX: &str = ".cut";

/// The most that a crash can tear, in bytes: a batch, and the write that made it too large.
const TORN_BYTES: u64 = 2 * GROUP_BYTES;

/// What opening a ledger found and did.
#[derive(Debug)]
pub struct Opening {
    /// The events, those that opening added included.
    pub events: u64,
    /// The end of the ledger.
    pub head: Head,
    /// The unfinished writes that were moved to quarantine.
    pub cuts: Vec<Cut>,
    /// The calls that a crash left open, now closed by an `ERROR` with `outcome` = `unknown`: their `INVOKE` events.
    pub closed: Vec<Event>,
}

/// An unfinished write at the end of the ledger, moved to quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// How many bytes.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: FileHash,
    /// The file that holds them now.
    pub file: PathBuf,
}

/// What `init` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Initialised {
    /// Whether the ledger was made; false when it was there.
    pub created: bool,
}

/// Makes the folders of a ledger below `state`, or finds them there and changes nothing.
///
/// # Errors
/// When the system refuses.
pub fn init(state: &Path) -> Result<Initialised, Error> {
    let layout = Layout::new(state);
    let created = !layout.segments().is_dir();
    // The segments' folder comes last: it is what says that the rest is there.
    for folder in [
        state.to_owned(),
        layout.quarantine(),
        layout.ledger(),
        layout.segments(),
    ] {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        made.map_err(Error::io("create", &folder))?;
        let parent = folder
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        RealDisk
            .sync_dir(parent)
            .map_err(Error::io("sync", parent))?;
    }
    Ok(Initialised { created })
}

/// Opens the ledger for its one writer.
pub(super) fn open(
    state: &Path,
    options: &Options,
    registry_events: &mut dyn FnMut(&Event),
) -> Result<(Writer, Lock, Opening), Error> {
    let layout = Layout::existing(state)?;
    let lock = Lock::take(&layout.lock())?;
    let mut findings = Findings::default();
    let walked = walk(&layout, Start::default(), &mut |place, line, scanned| {
        findings
            .note(line, scanned, registry_events)
            .map_err(|reason| Error::Broken {
                index: place.index,
                reason,
            })
    })?;
    if let Some(stop) = walked.stop {
        let last = walked.last.as_ref().filter(|_| stop.in_last);
        let torn = last
            .map(|segment| torn_rest(segment, findings.last_id.as_ref()))
            .transpose()?
            .flatten();
        match (last, torn) {
            (Some(segment), Some(rest)) => cut(&layout, options.disk.as_ref(), segment, &rest)?,
            (None, _) | (_, None) => return Err(stop.into_error()),
        }
    }
    let mut clock = Clock::new(options.clock);
    if let Some(id) = &findings.last_id {
        clock.continue_after(id);
    }
    let Walked { head, last, .. } = walked;
    let mut writer = Writer::resume(
        &layout,
        Arc::clone(&options.disk),
        options.segment_bytes,
        clock,
        head,
        last,
    )?;
    let cuts = record_cuts(&mut writer, &findings.recorded_cuts)?;
    let closed = close_calls(&mut writer, findings.calls)?;
    let opening = Opening {
        events: writer.head().size,
        head: writer.head(),
        cuts,
        closed,
    };
    Ok((writer, lock, opening))
}

/// What opening gathers as the lines go by.
#[derive(Debug, Default)]
struct Findings {
    calls: OpenCalls,
    recorded_cuts: BTreeSet<String>,
    last_id: Option<EventId>,
}

impl Findings {
    fn note(
        &mut self,
        line: &[u8],
        scanned: &Scanned<'_>,
        registry_events: &mut dyn FnMut(&Event),
    ) -> Result<(), String> {
        self.last_id = EventId::parse(scanned.event_id).ok();
        match scanned.kind {
            EventKind::Register | EventKind::Enable | EventKind::Disable => {
                registry_events(&read(line)?)
            }
            EventKind::Invoke => self.calls.open(line, scanned),
            EventKind::Result | EventKind::Reject => self.calls.close(scanned),
            EventKind::Error => {
                self.calls.close(scanned);
                if let Some(name) = scanned.meta_value(QUARANTINE) {
                    self.recorded_cuts.insert(name.to_owned());
                }
            }
            EventKind::ProofExport => {}
        }
        Ok(())
    }
}

pub(super) fn read(line: &[u8]) -> Result<Event, String> {
    json::read_as(line).map_err(|error| error.to_string())
}

/// Calls whose closing event has not come yet; as many as were in flight.
#[derive(Debug, Default)]
struct OpenCalls {
    /// Run, request and plugin → the names of its open calls, oldest first.
    by_request: HashMap<[String; 3], VecDeque<String>>,
    /// The call's name → its line.
    lines: HashMap<String, Vec<u8>>,
}

impl OpenCalls {
    fn open(&mut self, line: &[u8], call: &Scanned<'_>) {
        self.lines.insert(call.event_id.to_owned(), line.to_owned());
        self.by_request
            .entry(request_of(call))
            .or_default()
            .push_back(call.event_id.to_owned());
    }

    fn close(&mut self, closing: &Scanned<'_>) {
        let key = request_of(closing);
        let Some(open) = self.by_request.get_mut(&key) else {
            return;
        };
        let named = closing
            .meta_value(CLOSES)
            .and_then(|name| open.iter().position(|id| id == name));
        if let Some(id) = open.remove(named.unwrap_or(0)) {
            self.lines.remove(&id);
        }
        if open.is_empty() {
            self.by_request.remove(&key);
        }
    }
}

fn request_of(scanned: &Scanned<'_>) -> [String; 3] {
    [scanned.run_id, scanned.request_id, scanned.plugin_id].map(str::to_owned)
}

/// What follows the good bytes of the last segment, when a crash can have left it.
fn torn_rest(segment: &Segment, last: Option<&EventId>) -> Result<Option<Vec<u8>>, Error> {
    let fail = Error::io("read", &segment.path);
    let mut rest = Vec::new();
    let read = File::open(&segment.path).and_then(|mut file| {
        file.seek(SeekFrom::Start(segment.bytes))?;
        file.take(TORN_BYTES + 1).read_to_end(&mut rest)
    });
    read.map_err(fail)?;
    let torn = match classify(&rest, segment.bytes, last) {
        Rest::Fragment | Rest::TornBatch => rest.len() as u64 <= TORN_BYTES,
        Rest::Damage => false,
    };
    Ok(torn.then_some(rest))
}

/// Moves `fragment`, which follows the good bytes of `segment`, to quarantine.
fn cut(layout: &Layout, disk: &dyn Disk, segment: &Segment, fragment: &[u8]) -> Result<(), Error> {
    let digest = FileHash::of(fragment).to_string();
    let short = digest.get(..16).unwrap_or_default();
    let name = format!(
        "{:020}-{}-{short}{PENDING_SUFFIX}",
        segment.first, segment.bytes
    );
    let pending = layout.quarantine().join(name);
    write_whole(disk, &pending, fragment).map_err(Error::io("write", &pending))?;
    let mut file = disk
        .open(&segment.path)
        .map_err(Error::io("open", &segment.path))?;
    file.truncate(segment.bytes)
        .map_err(Error::io("cut", &segment.path))?;
    file.sync().map_err(Error::io("sync", &segment.path))
}

/// Gives each pending file in quarantine its event and its lasting name.
fn record_cuts(writer: &mut Writer, recorded: &BTreeSet<String>) -> Result<Vec<Cut>, Error> {
    let folder = writer.layout.quarantine();
    let fail = |source| Error::Io {
        action: "list",
        path: folder.clone(),
        source,
    };
    let mut cuts = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(fail)? {
        let pending = entry.map_err(fail)?.path();
        let name = pending
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Some(stem) = name.strip_suffix(PENDING_SUFFIX) else {
            continue;
        };
        let file = folder.join(format!("{stem}{CUT_SUFFIX}"));
        let bytes = std::fs::read(&pending).map_err(Error::io("read", &pending))?;
        let cut = Cut {
            bytes: bytes.len() as u64,
            sha256: FileHash::of(&bytes),
            file,
        };
        let lasting = format!("{stem}{CUT_SUFFIX}");
        if !recorded.contains(&lasting) {
            append_all(writer, vec![cut_draft(&cut, lasting)])?;
        }
        writer
            .disk()
            .rename(&pending, &cut.file)
            .map_err(Error::io("rename", &pending))?;
        writer
            .disk()
            .sync_dir(&folder)
            .map_err(Error::io("sync", &folder))?;
        cuts.push(cut);
    }
    Ok(cuts)
}

fn cut_draft(cut: &Cut, lasting: String) -> Draft {
    let meta = [
        (
            "reason",
            "an unfinished write at the end of the ledger was moved to quarantine".to_owned(),
        ),
        ("bytes", cut.bytes.to_string()),
        ("sha256", cut.sha256.to_string()),
        (QUARANTINE, lasting),
    ];
    Draft {
        run_id: RunId::system(),
        kind: EventKind::Error,
        plugin_id: None,
        request_id: None,
        input_hash: None,
        output_hash: None,
        meta: meta
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    }
}

/// Closes each open call: whether the plugin ran, and what came of it, nobody knows. It is never run again by itself.
fn close_calls(writer: &mut Writer, calls: OpenCalls) -> Result<Vec<Event>, Error> {
    let mut open = Vec::new();
    for line in calls.lines.values() {
        let event = read(line).map_err(|reason| Error::Broken {
            index: writer.head().size,
            reason,
        })?;
        open.push(event);
    }
    open.sort_by_key(|event| event.event_id);
    append_all(writer, open.iter().map(unknown_outcome).collect())?;
    Ok(open)
}

fn unknown_outcome(invoke: &Event) -> Draft {
    let meta = [
        ("outcome", "unknown".to_owned()),
        (
            "reason",
            "the gateway ended before it recorded what came of this call".to_owned(),
        ),
        (CLOSES, invoke.event_id.to_string()),
    ];
    Draft {
        run_id: invoke.run_id.clone(),
        kind: EventKind::Error,
        plugin_id: invoke.plugin_id.clone(),
        request_id: invoke.request_id.clone(),
        input_hash: invoke.input_hash,
        output_hash: None,
        meta: BTreeMap::from(meta.map(|(key, value)| (key.to_owned(), value))),
    }
}

fn append_all(writer: &mut Writer, drafts: Vec<Draft>) -> Result<(), Error> {
    if drafts.is_empty() {
        return Ok(());
    }
    writer
        .append(drafts)?
        .into_iter()
        .try_for_each(|outcome| outcome.map(drop))
}
