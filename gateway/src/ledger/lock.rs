//! The lock that makes sure of one writer.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::error::Error;

/// The longest note about the holder that is read back, in bytes; ours are far shorter.
const MAX_HOLDER_BYTES: u64 = 256;

/// How often the lock is asked for before it counts as held, and the pause between: a process that the former holder was just
/// starting has a copy of the open file until it begins its own program.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Held for as long as it lives. The system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(
    #[expect(dead_code, reason = "held for its lock, which ends with the open file")] File,
);

impl Lock {
    /// Takes the lock at once or says who has it.
    pub(crate) fn take(path: &Path) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(path).map_err(Error::io("open", path))?;
        if !try_again(&file).map_err(Error::io("lock", path))? {
            return Err(Error::Locked {
                path: path.to_owned(),
                holder: holder(file),
            });
        }
        // The note is for people only: what counts is the lock.
        let note = format!("process {} ({})\n", std::process::id(), program());
        file.set_len(0)
            .and_then(|()| file.write_all(note.as_bytes()))
            .map_err(Error::io("write", path))?;
        Ok(Self(file))
    }
}

fn try_again(file: &File) -> std::io::Result<bool> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            sleep(PAUSE);
        }
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

fn holder(file: File) -> String {
    let mut note = String::new();
    match file.take(MAX_HOLDER_BYTES).read_to_string(&mut note) {
        Ok(_) if !note.trim().is_empty() => note.trim().to_owned(),
        Ok(_) | Err(_) => "another process".to_owned(),
    }
}

fn program() -> String {
    let name = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| "unknown program".to_owned())
}
