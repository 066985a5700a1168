//! The bare way: posix_spawn of the same program with pipes, and nothing around it.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use nix::fcntl::OFlag;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::wait::waitpid;
use tempfile::TempDir;

use crate::ours::request_line;

/// A program on disk, started without any protection.
pub(crate) struct Bare {
    _folder: TempDir,
    path: CString,
    line: Vec<u8>,
}

impl Bare {
    pub(crate) fn new(program: &[u8]) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("program");
        fs::write(&path, program).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        Self {
            _folder: folder,
            path,
            line: request_line(),
        }
    }

    /// Starts it, writes the line, reads the answer, waits for its end.
    pub(crate) fn call(&self) {
        let (their_in, our_in) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        let (our_out, their_out) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut actions = PosixSpawnFileActions::init().unwrap();
        actions.add_dup2(their_in.as_raw_fd(), 0).unwrap();
        actions.add_dup2(their_out.as_raw_fd(), 1).unwrap();
        let attributes = PosixSpawnAttr::init().unwrap();
        let pid = posix_spawn(
            self.path.as_c_str(),
            &actions,
            &attributes,
            &[self.path.as_c_str()],
            &[] as &[&std::ffi::CStr],
        )
        .unwrap();
        drop((their_in, their_out));
        File::from(our_in).write_all(&self.line).unwrap();
        let mut answer = Vec::new();
        File::from(our_out).read_to_end(&mut answer).unwrap();
        assert!(answer.ends_with(b"\n"));
        waitpid(pid, None).unwrap();
    }
}
