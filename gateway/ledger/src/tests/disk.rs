//! A disk that writes down every call, can fail any of them, and can show what a crash at any point may leave.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::disk::{Disk, DiskFile, RealDisk};

/// The unit that a crash keeps or loses as a whole, in bytes.
const SECTOR: u64 = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    Open(PathBuf),
    Create(PathBuf),
    Replace(PathBuf),
    Write(PathBuf, u64, Vec<u8>),
    Sync(PathBuf),
    Truncate(PathBuf, u64),
    Reserve(PathBuf),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Exchange(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDir(PathBuf),
    /// Not a call to the disk: a caller was told that this event is durable.
    Told(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// This error, with nothing done.
    Errno(i32),
    /// A write that writes half; other calls succeed.
    Short,
    /// A write that writes half and then fails when it is continued.
    ShortThenErrno(i32),
    /// The end of the process by `SIGKILL`, with nothing done.
    Kill,
}

/// Passes every call on to the real disk and writes it down.
#[derive(Debug, Clone, Default)]
pub(super) struct Tape {
    inner: Arc<Mutex<Recording>>,
}

#[derive(Debug, Default)]
struct Recording {
    calls: Vec<Call>,
    /// The call, counted from 0, that goes wrong, and how.
    fault: Option<(usize, Fault)>,
}

impl Tape {
    pub(super) fn failing(at: usize, fault: Fault) -> Self {
        let tape = Self::default();
        tape.inner.lock().unwrap().fault = Some((at, fault));
        tape
    }

    pub(super) fn killing(at: usize) -> Self {
        Self::failing(at, Fault::Kill)
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.inner.lock().unwrap().calls.clone()
    }

    pub(super) fn told(&self, event_id: &str) {
        self.inner
            .lock()
            .unwrap()
            .calls
            .push(Call::Told(event_id.to_owned()));
    }

    /// Writes the call down, or fails it. For a write, says how many bytes may be written.
    fn note(&self, call: Call) -> io::Result<usize> {
        let mut recording = self.inner.lock().unwrap();
        let at = recording
            .calls
            .iter()
            .filter(|call| !matches!(call, Call::Told(_)))
            .count();
        let fault = recording
            .fault
            .filter(|(when, _)| *when == at)
            .map(|(_, fault)| fault);
        let mut call = call;
        let mut allowed = usize::MAX;
        if let (Call::Write(_, _, bytes), Some(Fault::Short | Fault::ShortThenErrno(_))) =
            (&mut call, fault)
        {
            bytes.truncate(bytes.len() / 2);
            allowed = bytes.len();
        }
        if let Some(Fault::Kill) = fault {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
        }
        if let Some(Fault::ShortThenErrno(errno)) = fault {
            recording.fault = Some((at + 1, Fault::Errno(errno)));
        }
        if let Some(Fault::Errno(errno)) = fault {
            // The record keeps it as an attempt that changes nothing.
            recording.calls.push(Call::Open(PathBuf::new()));
            return Err(io::Error::from_raw_os_error(errno));
        }
        recording.calls.push(call);
        Ok(allowed)
    }

    fn file(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(TapedFile {
            tape: self.clone(),
            path: path.to_owned(),
            file,
        })
    }
}

impl Disk for Tape {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.note(Call::Open(path.to_owned()))?;
        Ok(self.file(path, RealDisk.open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.note(Call::Create(path.to_owned()))?;
        Ok(self.file(path, RealDisk.create(path)?))
    }

    fn replace(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.note(Call::Replace(path.to_owned()))?;
        Ok(self.file(path, RealDisk.replace(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Call::Rename(from.to_owned(), to.to_owned()))?;
        RealDisk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Call::Link(from.to_owned(), to.to_owned()))?;
        RealDisk.link(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        self.note(Call::Exchange(one.to_owned(), other.to_owned()))?;
        RealDisk.exchange(one, other)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note(Call::Remove(path.to_owned()))?;
        RealDisk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.note(Call::SyncDir(path.to_owned()))?;
        Ok(())
    }
}

#[derive(Debug)]
struct TapedFile {
    tape: Tape,
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl DiskFile for TapedFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let allowed = self
            .tape
            .note(Call::Write(self.path.clone(), offset, bytes.to_vec()))?;
        self.file
            .write_at(&bytes[..bytes.len().min(allowed)], offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.tape.note(Call::Sync(self.path.clone()))?;
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.tape.note(Call::Truncate(self.path.clone(), len))?;
        self.file.truncate(len)
    }

    fn reserve(&mut self, offset: u64, len: u64) -> io::Result<()> {
        // Only recorded: a reservation is visible nowhere, and it would fill a disk in memory.
        let _ = (offset, len);
        self.tape.note(Call::Reserve(self.path.clone()))?;
        Ok(())
    }
}

/// What a disk holds: what is durable, and what was done since and may be lost.
#[derive(Debug, Default, Clone)]
pub(super) struct Platter {
    files: Vec<Contents>,
    durable_names: BTreeMap<PathBuf, usize>,
    names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<Name>,
}

#[derive(Debug, Default, Clone)]
struct Contents {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Debug, Clone)]
enum Name {
    Put(PathBuf, usize),
    Move(PathBuf, PathBuf, usize),
    Gone(PathBuf),
    /// Two folders.
    Swap(PathBuf, PathBuf),
}

impl Name {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Put(path, file) => drop(names.insert(path.clone(), *file)),
            Self::Move(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Self::Gone(path) => drop(names.remove(path)),
            Self::Swap(one, other) => {
                let swapped = std::mem::take(names).into_iter().map(|(path, file)| {
                    let path = match (path.strip_prefix(one), path.strip_prefix(other)) {
                        (Ok(rest), _) => other.join(rest),
                        (_, Ok(rest)) => one.join(rest),
                        _ => path.clone(),
                    };
                    (path, file)
                });
                *names = swapped.collect();
            }
        }
    }

    fn folder(&self) -> &Path {
        match self {
            // What must last is the new name of a renamed file.
            Self::Put(path, _)
            | Self::Move(_, path, _)
            | Self::Gone(path)
            | Self::Swap(_, path) => path.parent().unwrap(),
        }
    }
}

impl Platter {
    /// Everything below `root`, durable.
    pub(super) fn of(root: &Path) -> Self {
        let mut platter = Self::default();
        for (path, bytes) in files(root) {
            platter.names.insert(path, platter.files.len());
            platter.files.push(Contents {
                durable: bytes,
                pending: Vec::new(),
            });
        }
        platter.durable_names = platter.names.clone();
        platter
    }

    pub(super) fn apply(&mut self, call: &Call) {
        match call {
            Call::Open(_) | Call::Reserve(_) | Call::Told(_) => {}
            Call::Create(path) => self.name(Name::Put(path.clone(), self.files.len())),
            Call::Replace(path) => match self.names.get(path) {
                Some(&file) => self.files[file].pending.push(Change::Truncate(0)),
                None => self.name(Name::Put(path.clone(), self.files.len())),
            },
            Call::Write(path, offset, bytes) => {
                self.change(path, Change::Write(*offset, bytes.clone()))
            }
            Call::Truncate(path, len) => self.change(path, Change::Truncate(*len)),
            Call::Sync(path) => {
                let file = &mut self.files[self.names[path]];
                for change in std::mem::take(&mut file.pending) {
                    change.apply(&mut file.durable, &mut || true);
                }
            }
            Call::Rename(from, to) => {
                let file = self.names[from];
                self.name(Name::Move(from.clone(), to.clone(), file));
            }
            Call::Link(from, to) => {
                let name = Name::Put(to.clone(), self.names[from]);
                self.apply_name(name);
            }
            Call::Exchange(one, other) => self.name(Name::Swap(one.clone(), other.clone())),
            Call::Remove(path) => self.name(Name::Gone(path.clone())),
            Call::SyncDir(folder) => {
                let (durable, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending_names)
                    .into_iter()
                    .partition(|name| name.folder() == folder);
                durable
                    .iter()
                    .for_each(|name| name.apply(&mut self.durable_names));
                self.pending_names = rest;
            }
        }
    }

    fn name(&mut self, name: Name) {
        if let Name::Put(..) = name {
            self.files.push(Contents::default());
        }
        self.apply_name(name);
    }

    fn apply_name(&mut self, name: Name) {
        name.apply(&mut self.names);
        self.pending_names.push(name);
    }

    fn change(&mut self, path: &Path, change: Change) {
        self.files[self.names[path]].pending.push(change);
    }

    /// Writes below `to` what a crash may leave: `survives` is asked for each thing that was not synced.
    pub(super) fn crash(&self, from: &Path, to: &Path, survives: &mut dyn FnMut() -> bool) {
        let mut names = self.durable_names.clone();
        // Folders are journalled in order: what survives is a beginning.
        for name in self.pending_names.iter().take_while(|_| survives()) {
            name.apply(&mut names);
        }
        for (path, file) in names {
            let mut bytes = self.files[file].durable.clone();
            for change in &self.files[file].pending {
                change.apply(&mut bytes, survives);
            }
            let path = to.join(path.strip_prefix(from).unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, survives: &mut dyn FnMut() -> bool) {
        match self {
            Self::Truncate(len) => {
                if survives() {
                    bytes.resize(usize::try_from(*len).unwrap(), 0);
                }
            }
            Self::Write(offset, data) => {
                let mut at = *offset;
                let end = offset + data.len() as u64;
                while at < end {
                    let next = end.min((at / SECTOR + 1) * SECTOR);
                    let piece = &data[usize::try_from(at - offset).unwrap()
                        ..usize::try_from(next - offset).unwrap()];
                    if survives() {
                        let (from, to) =
                            (usize::try_from(at).unwrap(), usize::try_from(next).unwrap());
                        bytes.resize(bytes.len().max(to), 0);
                        bytes[from..to].copy_from_slice(piece);
                    }
                    at = next;
                }
            }
        }
    }
}

/// Every file below `root` with its bytes.
pub(super) fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found
}

/// A small generator of coin flips (xorshift), the same for the same seed.
pub(super) struct Coins(pub(super) u64);

impl Coins {
    /// True in `of_8` of eight cases.
    pub(super) fn flip(&mut self, of_8: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % 8 < of_8
    }
}
