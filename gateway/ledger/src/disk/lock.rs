//! The lock that lets only one process write.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::reserve::is_full;
use crate::error::Error;

/// The longest note about the holder that is read back, in bytes; ours are far shorter.
const MAX_HOLDER_BYTES: u64 = 256;

/// How long to wait for a lock that another process holds. After a gateway is killed, its lock is held
/// until the last child that it was starting has reached its exec or its end.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// The lock, held until it is dropped. The system releases it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would not do: a child on its way to exec holds a copy of the open file.
        // Where unlocking fails, only closing is left, and that follows.
        self.0.unlock().unwrap_or_default();
    }
}

impl Lock {
    /// Takes the lock, waiting up to [`PATIENCE`] for it, or says who holds it.
    pub(crate) fn take(path: &Path) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(path).map_err(Error::io("open", path))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let path = path.to_owned();
                    let holder = holder(file);
                    return Err(Error::Locked { path, holder });
                }
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
            }
        }
        // The note is for people only: what counts is the lock.
        let note = format!("process {} ({})\n", std::process::id(), program());
        match write_note(&mut file, &note) {
            // A full disk must not keep an operator from switching off and revoking.
            Err(error) if !is_full(&error) => Err(Error::io("write", path)(error)),
            Ok(()) | Err(_) => Ok(Self(file)),
        }
    }
}

/// Over the one that was there, whose block is used again.
fn write_note(file: &mut File, note: &str) -> std::io::Result<()> {
    file.rewind()?;
    file.write_all(note.as_bytes())?;
    file.set_len(note.len() as u64)
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
