//! Making a ledger: its folders and the log's key pair.

use std::path::Path;

use crate::disk::{Disk as _, Layout, RealDisk, make_folder, write_whole};
use crate::error::Error;
use crate::tree::{LogKey, LogSigner, load_key, load_signer};

/// What `init` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialised {
    /// Whether the ledger was made; false when it was there already.
    pub created: bool,
    /// The log's public key.
    pub log_key: LogKey,
}

/// Makes the folders of a ledger below `state` and the log's key pair, or finds them there and changes nothing.
///
/// # Errors
/// When the system refuses.
pub fn init(state: &Path) -> Result<Initialised, Error> {
    init_named(state, None)
}

/// The same; a new log is called `origin`, where one is given. A log that is there keeps its name.
///
/// # Errors
/// When the name cannot be one, a log is there under another, or the system refuses.
pub fn init_named(state: &Path, origin: Option<&str>) -> Result<Initialised, Error> {
    let layout = Layout::new(state);
    if layout.segments().is_dir() {
        let log_key = load_key(&layout)?;
        check_origin(origin, log_key.name().unwrap_or_default())?;
        return Ok(Initialised {
            created: false,
            log_key,
        });
    }
    let folders = layout.folders();
    let (segments, others) = folders
        .split_last()
        .map_or((None, folders.as_slice()), |(last, others)| {
            (Some(last), others)
        });
    others.iter().try_for_each(|folder| make_durable(folder))?;
    let signer = make_keys(&layout, origin)?;
    // Last, because this folder marks the ledger as complete: after a crash before this, `init` starts over.
    segments.map_or(Ok(()), |folder| make_durable(folder))?;
    Ok(Initialised {
        created: true,
        log_key: signer.public(),
    })
}

/// Refuses a name other than the one that the log has: its checkpoints are signed under that.
pub(super) fn check_origin(wanted: Option<&str>, found: &str) -> Result<(), Error> {
    match wanted.filter(|wanted| *wanted != found) {
        Some(wanted) => Err(Error::OtherOrigin {
            wanted: wanted.to_owned(),
            found: found.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Makes a folder whose name a crash does not undo.
fn make_durable(folder: &Path) -> Result<(), Error> {
    make_folder(folder)?;
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    RealDisk.sync_dir(parent).map_err(Error::io("sync", parent))
}

fn make_keys(layout: &Layout, origin: Option<&str>) -> Result<LogSigner, Error> {
    let path = layout.log_key();
    let signer = if path.exists() {
        load_signer(layout)?
    } else {
        let signer = LogSigner::generate().map_err(Error::io("make", &path))?;
        put(&path, &signer.private_pem())?;
        signer
    };
    let signer = match origin {
        Some(origin) => signer.named(origin).map_err(|source| Error::Note {
            path: layout.log_vkey(),
            source,
        })?,
        None => signer,
    };
    let public = signer.public_pem().map_err(|source| Error::Note {
        path: layout.log_pub(),
        source,
    })?;
    put(&layout.log_pub(), &public)?;
    put(&layout.log_vkey(), &format!("{}\n", signer.vkey()))?;
    Ok(signer)
}

fn put(path: &Path, text: &str) -> Result<(), Error> {
    write_whole(&RealDisk, path, text.as_bytes()).map_err(Error::io("write", path))
}
