//! How far a node is in the stream of decisions. The ledger holds what they changed; this says where to go on, and which decision was the last.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Kind};

/// The fleet's folder in a state.
pub(super) const FOLDER: &str = "fleet";
const FILE: &str = "decisions.json";

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// When the stream was made; another is read from its begin.
    pub(super) stream_created: String,
    /// The last message that was looked at.
    pub(super) sequence: u64,
    /// The last decision that was carried out, and its hash.
    pub(super) number: u64,
    pub(super) hash: String,
    /// The hashes of all that were.
    pub(super) carried_out: BTreeSet<String>,
    /// Whether the operator vouched for this node.
    pub(super) vouched: bool,
    #[serde(skip)]
    file: PathBuf,
}

pub(super) fn make_folder(state: &Path) -> Result<(), Fault> {
    let folder = state.join(FOLDER);
    let mut make = fs::DirBuilder::new();
    make.mode(0o700).recursive(true);
    make.create(&folder)
        .map_err(|error| Fault::internal(format!("cannot make '{}': {error}", folder.display())))
}

impl Progress {
    pub(super) fn read(state: &Path) -> Result<Self, Fault> {
        let file = state.join(FOLDER).join(FILE);
        let mut progress = match fs::read(&file) {
            Ok(bytes) => plugin_protocol::json::read_as::<Self>(&bytes).map_err(|error| {
                Fault::new(
                    Kind::Internal,
                    format!("'{}' cannot be read: {error}", file.display()),
                )
                .hint("move it away: the node then reads all decisions again")
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                return Err(Fault::internal(format!(
                    "cannot read '{}': {error}",
                    file.display()
                )));
            }
        };
        progress.file = file;
        Ok(progress)
    }

    /// Writes it durably: a decision is not carried out again after a crash, but for the last.
    pub(super) fn save(&self) -> Result<(), Fault> {
        self.write().map_err(|error| {
            Fault::internal(format!("cannot write '{}': {error}", self.file.display()))
        })
    }

    fn write(&self) -> std::io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
        fresh.write_all(&plugin_protocol::canonical::bytes(self))?;
        fresh.as_file().sync_all()?;
        fresh.persist(&self.file)?;
        File::open(folder)?.sync_all()
    }
}
