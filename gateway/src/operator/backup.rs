//! `backup`: a copy of a state, made while its gateway may go on working, and checked before it gets its name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::settings;
use crate::config;
use crate::error::Error;
use registry::Store;

/// What the folder is called until the copy is complete, behind its name.
const PARTIAL: &str = ".partial";

/// A copy that was made.
#[derive(Debug, Serialize)]
pub(crate) struct Backup {
    pub(crate) path: PathBuf,
    /// Events in the copy: those that the newest checkpoint is over.
    pub(crate) events: u64,
    pub(crate) head: String,
    pub(crate) packages: usize,
    /// What was pruned of the ledger, and is not in the copy either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pruned: Option<ledger::Pruned>,
}

/// Copies the state to the new folder `to`, up to the ledger's newest checkpoint, and verifies the copy; `progress` is told bytes
/// verified and in all.
///
/// # Errors
/// When `to` exists, the ledger has no event, the state or the copy is broken, or the system refuses. What was copied then stays
/// beside `to`, under its name and `.partial`.
pub(crate) fn backup(
    state: &Path,
    to: &Path,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Backup, Error> {
    let mut partial = to.as_os_str().to_owned();
    partial.push(PARTIAL);
    let partial = PathBuf::from(partial);
    for taken in [to, &partial] {
        if taken.symlink_metadata().is_ok() {
            return Err(Error::Usage {
                message: format!("'{}' exists already", taken.display()),
                hint: "name a folder that does not exist; of a backup that was cut off, remove what is left".to_owned(),
            });
        }
    }
    if inside(state, to).map_err(Error::file("find", to))? {
        return Err(Error::Usage {
            message: format!(
                "'{}' is inside the state that is to be copied",
                to.display()
            ),
            hint: "name a folder outside of it, best on another volume".to_owned(),
        });
    }
    // Settings that cannot be read would be found out when the copy is needed.
    settings(state)?;
    let Some(checkpoint) = ledger::back_up(state, &partial)? else {
        return Err(Error::Usage {
            message: "the ledger has no event yet".to_owned(),
            hint: "there is nothing to back up: run `plugin-gateway init` in another place"
                .to_owned(),
        });
    };
    let packages = Store::open(state)?.back_up(&Store::open(&partial)?)?;
    let config = state.join(config::FILE);
    match fs::copy(&config, partial.join(config::FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::file("copy", &config)(error));
        }
        Ok(_) | Err(_) => {}
    }
    let found = ledger::verify(&partial, None, progress)?;
    if !found.valid || found.events != checkpoint.size {
        return Err(Error::Ledger(ledger::Error::Broken {
            index: found.broken_at.unwrap_or(found.events),
            reason: format!("in the copy '{}': {}", partial.display(), found.reason),
        }));
    }
    give_name(&partial, to).map_err(Error::file("make durable", to))?;
    Ok(Backup {
        path: to.to_owned(),
        events: found.events,
        head: found.head,
        packages,
        pruned: found.pruned,
    })
}

/// Whether `to`, which is not there yet, would lie below the state.
fn inside(state: &Path, to: &Path) -> io::Result<bool> {
    let state = fs::canonicalize(state)?;
    let to = std::path::absolute(to)?;
    let above = to
        .ancestors()
        .skip(1)
        .find_map(|above| fs::canonicalize(above).ok());
    Ok(above.is_some_and(|above| above.starts_with(state)))
}

/// Makes the copy durable, and then lets it be seen under its name.
fn give_name(partial: &Path, to: &Path) -> io::Result<()> {
    rustix::fs::syncfs(File::open(partial)?)?;
    fs::rename(partial, to)?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
