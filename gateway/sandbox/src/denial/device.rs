//! The devices that the gateway opens for a plugin, and hands over.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use crate::plan::places::{ZERO, behind};

/// A device that every plugin may open, also for writing, since what is written to it goes nowhere. The gateway opens the device and hands it
/// over, so that a plugin that changes the path after it was read gets nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    path: &'static str,
    flags: u32,
    /// Whether its number is closed by exec.
    pub(crate) closes_on_exec: bool,
}

impl Device {
    /// The device at exactly this path. Sources of randomness are opened for reading only: writing to one would stir the host's own pool.
    /// `/dev/zero` is another device that is read the same (see [`behind`]).
    pub(super) fn named(path: &str, flags: u32) -> Option<Self> {
        const DEVICES: [(&str, bool); 4] = [
            ("/dev/null", true),
            (ZERO, false),
            ("/dev/urandom", false),
            ("/dev/random", false),
        ];
        /// `O_EXCL`, `O_DIRECTORY` and `O_PATH`: flags that ask for something other than an open device.
        const OTHERWISE: i32 = libc::O_EXCL | libc::O_DIRECTORY | libc::O_PATH;
        let writes = flags & libc::O_ACCMODE.cast_unsigned() != 0;
        let (path, _) = DEVICES
            .into_iter()
            .find(|&(device, writable)| device == path && (writable || !writes))?;
        (flags & OTHERWISE.cast_unsigned() == 0).then_some(Self {
            path: behind(path),
            flags,
            closes_on_exec: flags & libc::O_CLOEXEC.cast_unsigned() != 0,
        })
    }

    /// Opens the device anew, so that no two plugins share an open file and its state.
    pub(crate) fn open(self) -> io::Result<OwnedFd> {
        let kept = OFlags::ACCMODE | OFlags::NONBLOCK | OFlags::APPEND;
        let flags = OFlags::from_bits_retain(self.flags) & kept;
        Ok(rustix::fs::open(
            self.path,
            flags | OFlags::CLOEXEC | OFlags::NOCTTY,
            Mode::empty(),
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_opened_for_what_does_no_harm() {
        assert!(Device::named("/dev/null", 0x241).is_some());
        assert!(Device::named("/dev/urandom", 0).is_some());
        assert_eq!(Device::named("/dev/zero", 0).unwrap().path, "/dev/full");
        for (path, flags) in [
            ("/dev/urandom", 1),
            ("/dev/random", 2),
            ("/dev/zero", 1),
            ("/dev/zero", 2),
            ("/dev/full", 0),
            ("/dev//null", 0),
            ("/dev/null", 0xc1),
            ("/dev/null", 0x20_0000),
        ] {
            assert_eq!(Device::named(path, flags), None, "{path} {flags:x}");
        }
    }
}
