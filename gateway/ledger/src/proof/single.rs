//! The proof of a single event (C2SP `tlog-proof`): the event's line, its place, its inclusion proof, and the checkpoint. Made and read here;
//! `check` judges it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use plugin_protocol::ids::EventId;

use crate::disk::{Boundary, Layout};
use crate::error::Error;
use crate::read::{CheckedLines, Stored};
use crate::tree::{Checkpoint, Hash, Tiles, newest_checkpoint};
use crate::witness::{Awaited, await_cosigned};

/// The first line, which names the format.
pub(crate) const SINGLE: &str = "c2sp.org/tlog-proof@v1";

/// The longest inclusion proof: a tree of 2^64 leaves has no longer one.
const MAX_PATH: usize = 64;

/// The proof of a single event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventProof {
    /// The event's place in the ledger.
    pub index: u64,
    /// The proof, as it is written to a file.
    pub text: String,
    /// The checkpoint that it leads to, with its signatures.
    pub checkpoint: String,
}

/// Makes the proof of the event `id`. Where witnesses are `awaited`, it leads to a checkpoint that enough of them cosigned, if there is one
/// in time; else to the newest.
///
/// # Errors
/// [`Error::NoSuchEvent`] when no checkpoint covers such an event, or when the system refuses.
pub fn prove_event(
    state: &Path,
    id: &EventId,
    awaited: Option<&Awaited<'_>>,
) -> Result<EventProof, Error> {
    let layout = Layout::existing(state)?;
    let stored = find(&layout, id)?;
    let cosigned = await_cosigned(state, stored.index.saturating_add(1), awaited)?;
    let newest = match cosigned {
        Some(cosigned) => Some(cosigned),
        None => newest_checkpoint(state)?,
    };
    let covering = newest.filter(|(checkpoint, _)| checkpoint.size > stored.index);
    let (checkpoint, note) = covering.ok_or_else(|| not_there(id))?;
    let path = path(&layout, &checkpoint, stored.index)?;
    let hashes = path.iter().map(|hash| format!("{}\n", BASE64.encode(hash)));
    let text = format!(
        "{SINGLE}\nextra {}\nindex {}\n{}\n{note}",
        BASE64.encode(&stored.line),
        stored.index,
        hashes.collect::<String>()
    );
    Ok(EventProof {
        index: stored.index,
        text,
        checkpoint: note,
    })
}

fn path(layout: &Layout, checkpoint: &Checkpoint, index: u64) -> Result<Vec<Hash>, Error> {
    let tiles = Tiles::load(&layout.tiles(), checkpoint.size);
    let tiles = tiles.filter(|tiles| tiles.root() == checkpoint.root);
    let missing = || {
        let invalid = std::io::ErrorKind::InvalidData.into();
        Error::io("read the tree's hashes in", &layout.tiles())(invalid)
    };
    tiles
        .ok_or_else(missing)?
        .reader(layout.tiles())
        .path(index)
}

fn find(layout: &Layout, id: &EventId) -> Result<Stored, Error> {
    let id_text = id.to_string();
    let mut lines = CheckedLines::open(layout, Boundary::default());
    let found = lines.next_matching(&mut |scanned| scanned.event_id == id_text)?;
    found.ok_or_else(|| not_there(id))
}

fn not_there(id: &EventId) -> Error {
    Error::NoSuchEvent { id: id.to_string() }
}

/// A proof's parts.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// The event's line.
    pub(super) line: Vec<u8>,
    pub(super) index: u64,
    pub(super) path: Vec<Hash>,
    pub(super) note: &'a str,
}

impl<'a> Parts<'a> {
    /// Reads a proof; it holds the event's line as its extra data.
    pub(super) fn read(text: &'a str) -> Result<Self, &'static str> {
        let (head, note) = text
            .split_once("\n\n")
            .ok_or("it has no blank line before a checkpoint")?;
        let mut lines = head.split('\n');
        if lines.next() != Some(SINGLE) {
            return Err("its first line is not that of the format");
        }
        let extra = lines.next().and_then(|line| line.strip_prefix("extra "));
        let line = extra.and_then(|extra| BASE64.decode(extra).ok());
        let line = line.ok_or("its second line is not `extra` and the base64 of an event")?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(|text| {
            let index = text.parse::<u64>().ok()?;
            (index.to_string() == text).then_some(index)
        });
        let index = index.ok_or("its third line is not `index` and a plain number")?;
        let path = lines
            .map(|line| BASE64.decode(line).ok()?.try_into().ok())
            .collect::<Option<Vec<Hash>>>()
            .filter(|path| path.len() <= MAX_PATH)
            .ok_or("a line of its path is not the base64 of 32 bytes, or there are too many")?;
        Ok(Self {
            line,
            index,
            path,
            note,
        })
    }
}
