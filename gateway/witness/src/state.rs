//! What a witness keeps: its key, and in one file the newest checkpoint that it cosigned of each log. A witness that has its key and has lost
//! that file would cosign a second history, so it does not start.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::{Answer, Cosigner, LogKey, WitnessKey, attend, new_cosigner};
use ring::digest::{SHA256, digest};

use crate::disk;
use crate::error::Error;
use crate::exchange::{hex, origin_hash};

/// A witness at work.
#[derive(Debug)]
pub(crate) struct Keeper {
    cosigner: Cosigner,
    logs: Vec<LogKey>,
    path: PathBuf,
    /// The newest cosigned checkpoint by origin. Held while one is judged and kept: two requests never see the same state.
    latest: Mutex<BTreeMap<String, String>>,
    #[expect(dead_code, reason = "held until the witness ends")]
    lock: File,
}

impl Keeper {
    /// Opens the witness in `folder`, or makes it.
    pub(crate) fn open(folder: &Path, name: Option<&str>, logs: &[String]) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
        let lock = take_lock(folder)?;
        let logs = logs
            .iter()
            .map(|log| log_key(log))
            .collect::<Result<_, _>>()?;
        let path = folder.join("state");
        let latest = read_state(&path)?;
        let cosigner = read_key(folder)?;
        let (cosigner, latest) = match (cosigner, latest) {
            (Some(cosigner), Some(latest)) => (cosigner, latest),
            (Some(_), None) => {
                return Err(Error::Usage(format!(
                    "'{}' has a key and no state: what this witness cosigned is lost, and it would cosign another history. Put the state back, or begin a new witness in an empty folder",
                    folder.display()
                )));
            }
            // A start that was cut off before the key was there; nothing was cosigned yet.
            (None, Some(latest)) if !latest.is_empty() => {
                return Err(Error::Usage(format!(
                    "'{}' has a state and no key: put the key back",
                    folder.display()
                )));
            }
            (None, _) => {
                disk::write(&path, b"{}").map_err(Error::file("write", &path))?;
                (make_key(folder, name)?, BTreeMap::new())
            }
        };
        if let Some(name) = name.filter(|name| *name != cosigner.public().name()) {
            return Err(Error::Usage(format!(
                "this witness is called '{}', not '{name}': a witness keeps its name",
                cosigner.public().name()
            )));
        }
        Ok(Self {
            cosigner,
            logs,
            path,
            latest: Mutex::new(latest),
            lock,
        })
    }

    pub(crate) fn public(&self) -> WitnessKey {
        self.cosigner.public()
    }

    pub(crate) fn logs(&self) -> &[LogKey] {
        &self.logs
    }

    /// Answers a request `add-checkpoint`. What it cosigns is durable before the answer is given.
    pub(crate) fn attend(&self, body: &str) -> Answer {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        let found = |origin: &str| latest.get(origin).cloned();
        let answer = attend(&self.cosigner, &self.logs, &found, body, now);
        if let Answer::Cosigned { note, .. } = &answer {
            let origin = note.lines().next().unwrap_or_default().to_owned();
            let mut newer = latest.clone();
            newer.insert(origin, note.clone());
            let bytes = serde_json::json!(newer).to_string();
            if disk::write(&self.path, bytes.as_bytes()).is_err() {
                return Answer::Refused {
                    status: 500,
                    why: "the witness cannot write down what it cosigns",
                };
            }
            *latest = newer;
        }
        answer
    }

    /// The newest cosigned checkpoint of the log whose origin has this hash.
    pub(crate) fn latest(&self, hash: &str) -> Option<String> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let found = latest
            .iter()
            .find(|(origin, _)| origin_hash(origin) == hash);
        found.map(|(_, note)| note.clone())
    }
}

fn take_lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("LOCK");
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let lock = lock.map_err(Error::file("open", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Usage(format!(
            "another witness is at work in '{}'",
            folder.display()
        ))),
        Err(fs::TryLockError::Error(source)) => Err(Error::file("lock", &path)(source)),
    }
}

/// The key of a log, as a verifier key or the file that it is in.
fn log_key(log: &str) -> Result<LogKey, Error> {
    let text = match disk::read(Path::new(log)) {
        Ok(Some(text)) => text,
        _ => log.to_owned(),
    };
    let key = LogKey::parse(&text).map_err(|error| Error::Usage(format!("'{log}': {error}")))?;
    match key.name() {
        Some(_) => Ok(key),
        None => Err(Error::Usage(format!(
            "'{log}' has no name: give the log's log.vkey, not its log.pub"
        ))),
    }
}

fn read_state(path: &Path) -> Result<Option<BTreeMap<String, String>>, Error> {
    /// Of many logs, each with a checkpoint of a few hundred bytes.
    const MAX_STATE_BYTES: u64 = 64 << 20;
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(found) if found.len() > MAX_STATE_BYTES => {
            return Err(Error::file("read", path)(
                std::io::ErrorKind::FileTooLarge.into(),
            ));
        }
        Err(error) => return Err(Error::file("read", path)(error)),
        Ok(_) => {}
    }
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    let state = serde_json::from_str(&text);
    state
        .map(Some)
        .map_err(|error| Error::file("read", path)(error.into()))
}

fn read_key(folder: &Path) -> Result<Option<Cosigner>, Error> {
    let (key, vkey) = (folder.join("witness.key"), folder.join("witness.vkey"));
    let Some(pem) = disk::read(&key).map_err(Error::file("read", &key))? else {
        return Ok(None);
    };
    let text = disk::read(&vkey).map_err(Error::file("read", &vkey))?;
    let wrong = |_| {
        Error::Usage(format!(
            "'{}' is not the key of '{}'",
            key.display(),
            vkey.display()
        ))
    };
    let public = WitnessKey::parse(&text.unwrap_or_default()).map_err(wrong)?;
    let cosigner = Cosigner::from_pem(public.name(), &pem).map_err(wrong)?;
    match cosigner.public() == public {
        true => Ok(Some(cosigner)),
        false => Err(wrong(ledger::InvalidNote::WitnessKey)),
    }
}

/// Makes a key. Its public half is there first, so that a key without one is never the trace of a start that was cut off.
fn make_key(folder: &Path, name: Option<&str>) -> Result<Cosigner, Error> {
    let (made, pem) = new_cosigner(name.unwrap_or("new")).map_err(|_| {
        Error::Usage("a witness's name has neither white space nor a plus sign".to_owned())
    })?;
    let cosigner = match name {
        Some(_) => made,
        None => {
            // The verifier key's last part is the key itself.
            let vkey = made.public().vkey();
            let key = vkey.splitn(3, '+').nth(2).unwrap_or_default().to_owned();
            let id = hex(digest(&SHA256, key.as_bytes()).as_ref());
            let name = format!(
                "plugin-gateway-witness/{}",
                id.get(..16).unwrap_or_default()
            );
            Cosigner::from_pem(&name, &pem).map_err(|error| Error::Usage(error.to_string()))?
        }
    };
    let (key, vkey) = (folder.join("witness.key"), folder.join("witness.vkey"));
    let public = format!("{}\n", cosigner.public().vkey());
    disk::write(&vkey, public.as_bytes()).map_err(Error::file("write", &vkey))?;
    disk::write(&key, pem.as_bytes()).map_err(Error::file("write", &key))?;
    Ok(cosigner)
}
