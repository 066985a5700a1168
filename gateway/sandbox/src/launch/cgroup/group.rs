//! One group: its files, what they mean in each version of control groups, and its removal.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::removal::remove;
use super::tree::{Controller, Home, Version};
use crate::descriptor::above_stdio;
use crate::plan::limits::Caps;

/// The kernel's scheduling period in microseconds, its own default.
const PERIOD_US: u64 = 100_000;

/// More than a counter's file holds, in bytes: at most ten names with numbers of up to 20 digits.
const TEXT_MAX: usize = 512;

/// The files of a group that are read at each run. They are kept open, because opening one by its path costs more than reading it.
#[derive(Debug)]
struct Counters {
    /// Says how often the kernel has killed.
    kills: File,
    /// Memory in use now.
    bytes: File,
    /// The highest use of memory since `0` was last written to this file. In version 2 each open file counts for itself. `None`
    /// where the file cannot be written to (version 2 before Linux 6.12).
    peak: Option<File>,
}

impl Counters {
    fn open(folder: &Path, version: Version) -> io::Result<Self> {
        let [kills, bytes, peak] = match version {
            Version::One => [
                "memory.oom_control",
                "memory.usage_in_bytes",
                "memory.max_usage_in_bytes",
            ],
            Version::Two => ["memory.events", "memory.current", "memory.peak"],
        };
        let peak = File::options()
            .read(true)
            .write(true)
            .open(folder.join(peak));
        Ok(Self {
            kills: File::open(folder.join(kills))?,
            bytes: File::open(folder.join(bytes))?,
            peak: peak.ok(),
        })
    }
}

/// The group's part in one hierarchy.
#[derive(Debug)]
struct Part {
    version: Version,
    controllers: Vec<Controller>,
    folder: PathBuf,
    /// Version 1: the open `tasks` file. Version 2: the folder.
    door: OwnedFd,
    /// Where memory is counted.
    counters: Option<Counters>,
    /// Says whether everybody else's work goes before; open from the first time that it does.
    idle: OnceLock<File>,
}

/// A group, which may have a part in each of several hierarchies.
#[derive(Debug)]
pub(super) struct Group {
    parts: Vec<Part>,
    caps: Option<Caps>,
}

impl Group {
    /// Makes a group without caps.
    pub(super) fn make(homes: &[Home], number: u32) -> io::Result<Self> {
        let mut group = Self {
            parts: Vec::new(),
            caps: None,
        };
        for home in homes {
            group.parts.push(Part::make(home, number)?);
        }
        Ok(group)
    }

    /// Sets the caps, unless they are those of the last run.
    pub(super) fn set(&mut self, caps: Caps) -> io::Result<()> {
        if self.caps == Some(caps) {
            return Ok(());
        }
        let before = self.caps.take();
        for part in &self.parts {
            part.set(caps, before)?;
        }
        self.caps = Some(caps);
        Ok(())
    }

    pub(super) fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        let part = self.parts.iter().find(|part| part.version == Version::Two);
        part.map(|part| part.door.as_fd())
    }

    pub(super) fn doors(&self) -> impl Iterator<Item = &OwnedFd> {
        let parts = self
            .parts
            .iter()
            .filter(|part| part.version == Version::One);
        parts.map(|part| &part.door)
    }

    /// How often the kernel has killed in this group for lack of memory since the group was made.
    pub(super) fn kills(&self) -> io::Result<u64> {
        let text = Text::read(&self.counters()?.kills)?;
        let mut lines = text.as_str()?.lines();
        let line = lines.find_map(|line| line.strip_prefix("oom_kill "));
        number(line.ok_or(io::ErrorKind::InvalidData)?)
    }

    /// Memory in use now, in bytes.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        number(Text::read(&self.counters()?.bytes)?.as_str()?)
    }

    /// Starts counting the highest use anew; returns whether the kernel can do that.
    pub(super) fn start_peak(&self) -> bool {
        let peak = self.counters().ok().and_then(|files| files.peak.as_ref());
        peak.is_some_and(|peak| peak.write_all_at(b"0", 0).is_ok())
    }

    /// The highest use since then, in bytes.
    pub(super) fn peak(&self) -> Option<u64> {
        let peak = self.counters().ok()?.peak.as_ref()?;
        number(Text::read(peak).ok()?.as_str().ok()?).ok()
    }

    fn counters(&self) -> io::Result<&Counters> {
        let mut counters = self.parts.iter().filter_map(|part| part.counters.as_ref());
        counters
            .next()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The words by which the kernel lets others go before, or not.
    #[cfg(test)]
    pub(super) fn waits(&self) -> Option<String> {
        let shares = |part: &&Part| part.controllers.contains(&Controller::Cpu);
        let folder = &self.parts.iter().find(shares)?.folder;
        let names = ["cpu.idle", "cpu.shares", "cpu.weight"];
        names
            .iter()
            .find_map(|name| fs::read_to_string(folder.join(name)).ok())
    }

    #[cfg(test)]
    pub(super) fn limit(&self) -> io::Result<String> {
        let part = self.parts.iter().find(|part| part.counters.is_some());
        let part = part.ok_or(io::ErrorKind::NotFound)?;
        let name = match part.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        let text = fs::read_to_string(part.folder.join(name))?;
        Ok(text.trim().to_owned())
    }
}

impl Part {
    fn make(home: &Home, number: u32) -> io::Result<Self> {
        let folder = home.folder().join(number.to_string());
        fs::create_dir(&folder)?;
        Self::open(home, &folder).inspect_err(|_| remove(&folder))
    }

    fn open(home: &Home, folder: &Path) -> io::Result<Self> {
        let version = home.version();
        let door = match version {
            Version::One => File::options().write(true).open(folder.join("tasks")),
            Version::Two => File::open(folder),
        };
        let counts = home.controllers().contains(&Controller::Memory);
        Ok(Self {
            version,
            controllers: home.controllers().to_vec(),
            folder: folder.to_owned(),
            door: above_stdio(door?.into()).map_err(io::Error::other)?,
            counters: counts
                .then(|| Counters::open(folder, version))
                .transpose()?,
            idle: OnceLock::new(),
        })
    }

    /// Sets what differs from what was set before.
    fn set(&self, caps: Caps, before: Option<Caps>) -> io::Result<()> {
        for controller in &self.controllers {
            match controller {
                Controller::Memory
                    if before.map(|caps| caps.memory_bytes) == Some(caps.memory_bytes) => {}
                Controller::Memory => self.set_memory(caps.memory_bytes)?,
                Controller::Pids if before.map(|caps| caps.tasks) == Some(caps.tasks) => {}
                Controller::Pids => self.write("pids.max", &caps.tasks.to_string())?,
                Controller::Cpu => {
                    if before.map(|caps| caps.processors) != Some(caps.processors) {
                        self.set_quota(quota_us(caps))?;
                    }
                    if before.map(|caps| caps.waits) != Some(caps.waits) {
                        self.set_waits(caps.waits)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn set_memory(&self, bytes: u64) -> io::Result<()> {
        match self.version {
            Version::One => self.set_memory_one(bytes),
            Version::Two => {
                self.write_if_there("memory.swap.max", "0")?;
                self.write("memory.max", &bytes.to_string())
            }
        }
    }

    fn set_quota(&self, quota_us: u64) -> io::Result<()> {
        match self.version {
            Version::One => {
                self.write("cpu.cfs_period_us", &PERIOD_US.to_string())?;
                self.write("cpu.cfs_quota_us", &quota_us.to_string())
            }
            Version::Two => self.write("cpu.max", &format!("{quota_us} {PERIOD_US}")),
        }
    }

    /// Lets everybody else's work go before, or no more. Kernels before 5.15 have only the least weight for that.
    fn set_waits(&self, waits: bool) -> io::Result<()> {
        if self.idle.get().is_none() {
            match File::options()
                .write(true)
                .open(self.folder.join("cpu.idle"))
            {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return self.set_least_weight(waits);
                }
                opened => drop(self.idle.set(opened?)),
            }
        }
        let file = self.idle.get().ok_or(io::ErrorKind::NotFound)?;
        file.write_all_at(if waits { b"1" } else { b"0" }, 0)
    }

    fn set_least_weight(&self, waits: bool) -> io::Result<()> {
        let (name, least, usual) = match self.version {
            Version::One => ("cpu.shares", "2", "1024"),
            Version::Two => ("cpu.weight", "1", "100"),
        };
        self.write(name, if waits { least } else { usual })
    }

    /// Memory and swap together are capped at the same value, so that nothing is swapped. The sum may never be below
    /// the limit of memory alone, hence the order.
    fn set_memory_one(&self, bytes: u64) -> io::Result<()> {
        let bytes = bytes.to_string();
        self.write_if_there("memory.memsw.limit_in_bytes", "-1")?;
        if self.write("memory.limit_in_bytes", &bytes).is_err() {
            // What an earlier run left in the page cache may be more than the new limit.
            self.write("memory.force_empty", "0")?;
            self.write("memory.limit_in_bytes", &bytes)?;
        }
        self.write_if_there("memory.memsw.limit_in_bytes", &bytes)
    }

    fn write(&self, name: &str, value: &str) -> io::Result<()> {
        fs::write(self.folder.join(name), value)
    }

    /// As [`Self::write`], except that a missing file is no error: kernels that do not account for swap lack its files.
    fn write_if_there(&self, name: &str, value: &str) -> io::Result<()> {
        match self.write(name, value) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// What a counter's file says, read from its start.
struct Text {
    bytes: [u8; TEXT_MAX],
    length: usize,
}

impl Text {
    fn read(file: &File) -> io::Result<Self> {
        let mut bytes = [0; TEXT_MAX];
        let length = file.read_at(&mut bytes, 0)?;
        Ok(Self { bytes, length })
    }

    fn as_str(&self) -> io::Result<&str> {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(bytes).map_err(io::Error::other)
    }
}

fn quota_us(caps: Caps) -> u64 {
    u64::from(caps.processors).saturating_mul(PERIOD_US)
}

fn number(text: &str) -> io::Result<u64> {
    text.trim().parse().map_err(io::Error::other)
}
