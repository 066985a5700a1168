//! The cosignatures that witnesses gave, kept beside the ledger: one file for each checkpoint that has any. Nothing of it is believed
//! without its signatures.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::disk::{Layout, RealDisk, make_folder, read_small, write_whole};
use crate::error::Error;
use crate::tree::{
    Checkpoint, Cosigned, LogKey, Note, Policy, WitnessKey, load_key, signature_lines,
};

/// The newest cosigned checkpoints that are kept; each says all that older ones do.
const KEPT: usize = 16;

/// The newest checkpoint over at least `least` events that enough witnesses of `policy` cosigned, with its note.
///
/// # Errors
/// When the system refuses. A file that is not what it should be is passed over, as one that is not there.
pub fn newest_cosigned(
    state: &Path,
    least: u64,
    policy: &Policy,
) -> Result<Option<(Checkpoint, String, Cosigned)>, Error> {
    let layout = Layout::existing(state)?;
    let key = load_key(&layout)?;
    for size in sizes(&layout)?.into_iter().rev() {
        if size < least {
            break;
        }
        let Ok(note) = read_small(&path_of(&layout, size)) else {
            continue;
        };
        let (Ok(checkpoint), Ok(cosigned)) = (key.open_cosigned(&note), policy.judge(&note)) else {
            continue;
        };
        if cosigned.reached && checkpoint.size >= least {
            return Ok(Some((checkpoint, note, cosigned)));
        }
    }
    Ok(None)
}

/// Whose cosignatures somebody waits for, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Awaited<'a> {
    /// Who is enough.
    pub policy: &'a Policy,
    /// How long at most.
    pub wait: Duration,
}

/// The newest checkpoint over at least `least` events that enough witnesses cosigned, waited for where it is not there yet; none where
/// nobody is `awaited`, or when there is none in time.
///
/// # Errors
/// As [`newest_cosigned`].
pub(crate) fn await_cosigned(
    state: &Path,
    least: u64,
    awaited: Option<&Awaited<'_>>,
) -> Result<Option<(Checkpoint, String)>, Error> {
    /// Cosignatures come over a network, or by hand.
    const PAUSE: Duration = Duration::from_millis(20);
    let Some(awaited) = awaited else {
        return Ok(None);
    };
    let start = Instant::now();
    loop {
        if let Some((checkpoint, note, _)) = newest_cosigned(state, least, awaited.policy)? {
            return Ok(Some((checkpoint, note)));
        }
        let left = awaited.wait.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        std::thread::sleep(PAUSE.min(left));
    }
}

/// The one that keeps what witnesses answer. It holds a lock: two would overwrite each other's.
#[derive(Debug)]
pub struct Collector {
    layout: Layout,
    key: LogKey,
    #[expect(dead_code, reason = "held until the collector ends")]
    lock: File,
}

impl Collector {
    /// Begins for the ledger below `state`; none while another one is at work.
    ///
    /// # Errors
    /// When there is no ledger, or the system refuses.
    pub fn begin(state: &Path) -> Result<Option<Self>, Error> {
        let layout = Layout::existing(state)?;
        let key = load_key(&layout)?;
        make_folder(&layout.cosigned())?;
        let path = layout.witnesses().join("LOCK");
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { layout, key, lock })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(source)) => Err(Error::io("lock", &path)(source)),
        }
    }

    /// Keeps what `witness` answered about the checkpoint `note`. Lines of other keys are passed over; false when none is its own.
    ///
    /// # Errors
    /// When its signature does not hold, or the system refuses.
    pub fn keep(&self, note: &str, witness: &WitnessKey, answer: &str) -> Result<bool, Error> {
        let invalid = |source| Error::Note {
            path: PathBuf::from(witness.name()),
            source,
        };
        let own = self.key.own_line(note).map_err(invalid)?;
        let checkpoint = self.key.open_cosigned(&own).map_err(invalid)?;
        let lines = signature_lines(answer).map_err(invalid)?;
        let Some(line) = lines.iter().find(|line| witness.is_of(line)) else {
            return Ok(false);
        };
        let text = Note::split(&own).map_err(invalid)?.text.to_owned();
        witness.check(&text, line).map_err(invalid)?;
        let path = path_of(&self.layout, checkpoint.size);
        // What was kept of other witnesses stays, where it is about the same checkpoint.
        let before = read_small(&path).ok();
        let before = before.filter(|before| {
            Note::split(before).is_ok_and(|before| before.text == text)
                && self.key.open_cosigned(before).is_ok()
        });
        let before = before.unwrap_or(own);
        let others = Note::split(&before).map_err(invalid)?;
        let others = others.lines.iter().filter(|other| !witness.is_of(other));
        let others: String = others.map(|other| format!("{}\n", other.whole)).collect();
        let note = format!("{text}\n{others}{}\n", line.whole);
        write_whole(&RealDisk, &path, note.as_bytes()).map_err(Error::io("write", &path))?;
        self.forget_old().map(|()| true)
    }

    fn forget_old(&self) -> Result<(), Error> {
        let sizes = sizes(&self.layout)?;
        let old = sizes.len().saturating_sub(KEPT);
        for size in sizes.into_iter().take(old) {
            let path = path_of(&self.layout, size);
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }
}

fn path_of(layout: &Layout, size: u64) -> PathBuf {
    layout.cosigned().join(format!("{size}.note"))
}

fn sizes(layout: &Layout) -> Result<Vec<u64>, Error> {
    let folder = layout.cosigned();
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut sizes = Vec::new();
    for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
        let name = entry.map_err(Error::io("list", &folder))?.file_name();
        let size = name.to_str().and_then(|name| name.strip_suffix(".note"));
        sizes.extend(size.and_then(|size| size.parse::<u64>().ok()));
    }
    sizes.sort_unstable();
    Ok(sizes)
}
