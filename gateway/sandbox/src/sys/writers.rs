//! Asks the kernel whether somebody holds a file open for writing, a mapping included.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

/// How many looks must find a writer before a file counts as open for writing: a child that another thread just made has copies of the
/// gateway's own descriptors until its exec, among them those of files that are being stored.
const LOOKS: u32 = 5;
/// `F_SETSIG` of fcntl(2), which libc does not name: the signal that tells of an attempt to write.
const F_SETSIG: i32 = 10;
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Whether somebody holds this file open for writing; `file` itself must be open for reading only. False where the file system or the
/// file's owner does not allow the question.
#[must_use]
pub fn is_open_for_writing(file: &File) -> bool {
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(PAUSE);
        }
        if !has_writer(file) {
            return false;
        }
    }
    true
}

/// The kernel grants a read lease only where nobody has the file open for writing (fcntl(2)); the lease is given back at once. If somebody
/// opens the file for writing in between, the kernel sends the holder a signal, so one is chosen that is ignored by default.
fn has_writer(file: &File) -> bool {
    let fd = file.as_raw_fd();
    // SAFETY: fcntl with F_SETSIG takes numbers only, and the descriptor is open as long as `file` is borrowed.
    if unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGURG) } != 0 {
        return false;
    }
    // SAFETY: as above, with F_SETLEASE.
    if unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) } != 0 {
        return io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN);
    }
    // SAFETY: as above.
    let given_back = unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) };
    debug_assert_eq!(given_back, 0, "a lease of our own can be given back");
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_are_known_and_readers_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        assert!(is_open_for_writing(&reader));
        drop(writer);
        let other = File::open(&path).unwrap();
        assert!(!is_open_for_writing(&reader) && !is_open_for_writing(&other));
    }
}
