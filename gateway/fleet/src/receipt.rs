//! Receipts: where the event that closed a call stands, as headers on the wire and as a line that the caller keeps.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use async_nats::HeaderMap;
use etcetera::BaseStrategy as _;
use plugin_protocol::canonical;
use plugin_protocol::digest::{EventHash, FileHash};
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Kind};
use crate::names;

/// What the caller knows of a call that a node answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The node.
    pub node: String,
    /// The run.
    pub run_id: String,
    /// The request.
    pub request_id: String,
    /// The hash of the event that closed the call.
    pub event_hash: EventHash,
    /// How many events the newest checkpoint that covered it then was over; 0 while there was none.
    pub checkpoint_size: u64,
}

/// The value of header `name`.
pub(crate) fn header<'a>(headers: Option<&'a HeaderMap>, name: &str) -> Option<&'a str> {
    headers?.get(name).map(async_nats::HeaderValue::as_str)
}

impl Receipt {
    /// Reads a reply's headers; none where the call was not recorded.
    pub(crate) fn of(headers: Option<&HeaderMap>, request_id: &str) -> Option<Self> {
        let text = |name| header(headers, name);
        Some(Self {
            node: text(names::NODE)?.to_owned(),
            run_id: text(names::RUN)?.to_owned(),
            request_id: request_id.to_owned(),
            event_hash: EventHash::parse(text(names::EVENT)?).ok()?,
            checkpoint_size: text(names::CHECKPOINT)?.parse().ok()?,
        })
    }
}

/// The receipts that this user's calls got, a file a run.
#[derive(Debug, Clone)]
pub(crate) struct Receipts(PathBuf);

impl Receipts {
    /// Under the XDG state folder, or in `folder`.
    pub(crate) fn open(folder: Option<PathBuf>) -> Result<Self, Fault> {
        if let Some(folder) = folder {
            return Ok(Self(folder));
        }
        let homeless = |_| {
            Fault::new(Kind::Usage, "there is no home folder to keep receipts in")
                .hint("set XDG_STATE_HOME")
        };
        let strategy = etcetera::choose_base_strategy().map_err(homeless)?;
        let state = strategy.state_dir().unwrap_or_else(|| strategy.data_dir());
        Ok(Self(state.join("plugin-gateway-fleet/receipts")))
    }

    /// The caller's own file for a run, whose id may hold anything.
    fn file(&self, run_id: &str) -> PathBuf {
        let name = FileHash::of(run_id.as_bytes()).to_string();
        self.0.join(format!("{name}.ndjson"))
    }

    /// Keeps a receipt, before the caller is answered.
    pub(crate) fn keep(&self, receipt: &Receipt) -> Result<(), Fault> {
        let file = self.file(&receipt.run_id);
        let failed = |error| {
            Fault::internal(format!(
                "cannot keep a receipt in '{}': {error}",
                file.display()
            ))
        };
        let mut folder = std::fs::DirBuilder::new();
        folder.recursive(true).mode(0o700);
        folder.create(&self.0).map_err(failed)?;
        let mut line = canonical::bytes(receipt);
        line.push(b'\n');
        let mut open = OpenOptions::new();
        open.append(true).create(true).mode(0o600);
        let mut to = open.open(&file).map_err(failed)?;
        // One write of one line: several callers of a run do not mix theirs.
        to.write_all(&line).map_err(failed)
    }

    /// Every receipt of a run.
    pub(crate) fn of_run(&self, run_id: &str) -> Result<Vec<Receipt>, Fault> {
        read(&self.file(run_id))
    }
}

fn read(file: &Path) -> Result<Vec<Receipt>, Fault> {
    let failed = |error: String| {
        Fault::internal(format!(
            "cannot read receipts from '{}': {error}",
            file.display()
        ))
    };
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|error| failed(error.to_string()))?,
    };
    // A line that a crash cut off was promised to nobody.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole
        .lines()
        .map(|line| plugin_protocol::json::read_as(line.as_bytes()));
    lines
        .collect::<Result<_, _>>()
        .map_err(|error| failed(error.to_string()))
}
