//! Moving what a crash left unfinished out of the ledger, and recording that it was moved.
//!
//! Call by call: write the torn bytes to quarantine under a `.pending` name (write, sync, rename, sync of the folder), cut them off
//! the segment (`ftruncate`, `fdatasync`), append the `ERROR` event that records the cut, rename `.pending` to `.cut`. After a crash
//! between any two, the next opening goes on: bytes that are still in the segment are cut again under the same name, and a
//! `.pending` file that no event names gets its event.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use plugin_protocol::digest::FileHash;
use plugin_protocol::event::{EventKind, meta};

use crate::disk::{Disk, Layout, Segment, write_whole};
use crate::error::Error;
use crate::line::Draft;
use crate::write::Writer;

const PENDING_SUFFIX: &str = ".pending";
const CUT_SUFFIX: &str = ".cut";

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

/// Moves `rest`, which follows the good bytes of `segment`, to quarantine.
pub(crate) fn move_to_quarantine(
    layout: &Layout,
    disk: &dyn Disk,
    segment: &Segment,
    rest: &[u8],
) -> Result<(), Error> {
    let digest = FileHash::of(rest).to_string();
    let short = digest.get(..16).unwrap_or_default();
    let name = format!(
        "{:020}-{}-{short}{PENDING_SUFFIX}",
        segment.first, segment.bytes
    );
    let pending = layout.quarantine().join(name);
    write_whole(disk, &pending, rest).map_err(Error::io("write", &pending))?;
    let mut file = disk
        .open(&segment.path)
        .map_err(Error::io("open", &segment.path))?;
    file.truncate(segment.bytes)
        .map_err(Error::io("cut", &segment.path))?;
    file.sync().map_err(Error::io("sync", &segment.path))
}

/// Gives each pending file in quarantine its event and its lasting name.
pub(crate) fn record_cuts(
    layout: &Layout,
    writer: &mut Writer,
    recorded: &BTreeSet<String>,
) -> Result<Vec<Cut>, Error> {
    let folder = layout.quarantine();
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
        let lasting = format!("{stem}{CUT_SUFFIX}");
        let file = folder.join(&lasting);
        let bytes = std::fs::read(&pending).map_err(Error::io("read", &pending))?;
        let cut = Cut {
            bytes: bytes.len() as u64,
            sha256: FileHash::of(&bytes),
            file,
        };
        if !recorded.contains(&lasting) {
            writer.append_all(vec![draft(&cut, lasting)])?;
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

fn draft(cut: &Cut, lasting: String) -> Draft {
    let meta = [
        (
            meta::REASON,
            "an unfinished write at the end of the ledger was moved to quarantine".to_owned(),
        ),
        (meta::BYTES, cut.bytes.to_string()),
        (meta::SHA256, cut.sha256.to_string()),
        (meta::QUARANTINE, lasting),
    ];
    let meta = meta.map(|(name, value)| (name.to_owned(), value));
    Draft::of_system(EventKind::Error, None, BTreeMap::from(meta))
}
