//! One group: its files, what they mean in each version of control groups, and its removal.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::tree::{Controller, Home, Version};
use crate::sandbox::streams::above_stdio;

/// The kernel's scheduling period in microseconds, its own default.
const PERIOD_US: u64 = 100_000;

/// The longest number that a file of a group holds, with its newline: 20 digits and one.
const DIGITS_MAX: usize = 21;

/// What one run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) struct Caps {
    /// Memory of every kind in bytes, the kernel's own on the run's behalf included.
    pub(in crate::sandbox) memory_bytes: u64,
    /// Processes and threads.
    pub(in crate::sandbox) tasks: u64,
    /// Processors busy at once, on average over a tenth of a second.
    pub(in crate::sandbox) processors: u32,
}

/// The highest use of memory since a moment. In version 2 that moment belongs to the open file.
#[derive(Debug)]
pub(super) struct Peak(File);

impl Peak {
    /// The highest use until now, in bytes.
    pub(super) fn bytes(&self) -> Option<u64> {
        let mut digits = [0; DIGITS_MAX];
        let length = self.0.read_at(&mut digits, 0).ok()?;
        number(std::str::from_utf8(digits.get(..length)?).ok()?).ok()
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

    /// Sets the caps, where they are not those of the run before.
    pub(super) fn set(&mut self, caps: Caps) -> io::Result<()> {
        if self.caps == Some(caps) {
            return Ok(());
        }
        self.caps = None;
        for part in &self.parts {
            part.set(caps)?;
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

    /// How often the kernel has killed here for lack of memory, since the group was made.
    pub(super) fn kills(&self) -> io::Result<u64> {
        let part = self.memory()?;
        let text = part.read(match part.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        })?;
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        number(line.ok_or(io::ErrorKind::InvalidData)?)
    }

    /// Memory in use now, in bytes.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        let part = self.memory()?;
        number(&part.read(match part.version {
            Version::One => "memory.usage_in_bytes",
            Version::Two => "memory.current",
        })?)
    }

    /// Lets the highest use be counted anew. `None` where the kernel cannot (version 2 before Linux 6.12).
    pub(super) fn start_peak(&self) -> Option<Peak> {
        let part = self.memory().ok()?;
        let name = match part.version {
            Version::One => "memory.max_usage_in_bytes",
            Version::Two => "memory.peak",
        };
        let path = part.folder.join(name);
        let file = File::options().read(true).write(true).open(path).ok()?;
        (&file).write_all(b"0").ok()?;
        Some(Peak(file))
    }

    fn memory(&self) -> io::Result<&Part> {
        let has = |part: &&Part| part.controllers.contains(&Controller::Memory);
        self.parts
            .iter()
            .find(has)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    #[cfg(test)]
    pub(super) fn limit(&self) -> io::Result<String> {
        let part = self.memory()?;
        part.read(match part.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        })
        .map(|text| text.trim().to_owned())
    }
}

impl Part {
    fn make(home: &Home, number: u32) -> io::Result<Self> {
        let folder = home.folder().join(number.to_string());
        fs::create_dir(&folder)?;
        let opened = match home.version() {
            Version::One => File::options().write(true).open(folder.join("tasks")),
            Version::Two => File::open(&folder),
        };
        let door = opened.and_then(|file| above_stdio(file.into()).map_err(io::Error::other));
        match door {
            Ok(door) => Ok(Self {
                version: home.version(),
                controllers: home.controllers().to_vec(),
                folder,
                door,
            }),
            Err(error) => {
                remove(&folder);
                Err(error)
            }
        }
    }

    fn set(&self, caps: Caps) -> io::Result<()> {
        for controller in &self.controllers {
            match (controller, self.version) {
                (Controller::Memory, Version::One) => self.set_memory_one(caps.memory_bytes)?,
                (Controller::Memory, Version::Two) => {
                    self.write_if_there("memory.swap.max", "0")?;
                    self.write("memory.max", &caps.memory_bytes.to_string())?;
                }
                (Controller::Pids, Version::One | Version::Two) => {
                    self.write("pids.max", &caps.tasks.to_string())?;
                }
                (Controller::Cpu, Version::One) => {
                    self.write("cpu.cfs_period_us", &PERIOD_US.to_string())?;
                    self.write("cpu.cfs_quota_us", &quota_us(caps).to_string())?;
                }
                (Controller::Cpu, Version::Two) => {
                    self.write("cpu.max", &format!("{} {PERIOD_US}", quota_us(caps)))?;
                }
            }
        }
        Ok(())
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

    fn read(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(self.folder.join(name))
    }

    fn write(&self, name: &str, value: &str) -> io::Result<()> {
        fs::write(self.folder.join(name), value)
    }

    /// Kernels without accounting of swap do not have its files.
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

fn quota_us(caps: Caps) -> u64 {
    u64::from(caps.processors).saturating_mul(PERIOD_US)
}

fn number(text: &str) -> io::Result<u64> {
    text.trim().parse().map_err(io::Error::other)
}

/// Removes an empty group of this gateway's. One that will not go is left for the next gateway, which looks for such.
pub(super) fn remove(folder: &Path) {
    if !try_remove(folder) {
        tracing::warn!(folder = %folder.display(), "a control group cannot be removed");
    }
}

/// Removes an empty group; false when it stays busy.
pub(super) fn try_remove(folder: &Path) -> bool {
    // A group whose last process has only just been reaped may be busy for a moment.
    const TRIES: u32 = 10;
    for _ in 0..TRIES {
        match fs::remove_dir(folder) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            Ok(()) | Err(_) => return true,
        }
    }
    false
}
