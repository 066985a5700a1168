//! The bare way: posix_spawn of a program with pipes, and nothing around it; or of another sandbox's command with the program.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawnp};
use nix::sys::wait::waitpid;
use tempfile::TempDir;

use super::Echo;
use super::echo::line;

/// A program on disk and the command that starts it.
#[derive(Debug)]
pub(crate) struct Bare {
    folder: TempDir,
    command: Vec<CString>,
    line: String,
}

impl Bare {
    /// The program itself, started without any protection.
    pub(crate) fn new(echo: &Echo) -> Self {
        let folder = TempDir::new().unwrap();
        // Another user, as which a sandbox may start it, must find it too.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut bare = Self {
            folder,
            command: Vec::new(),
            line: line(),
        };
        fs::write(bare.program(), &echo.bytes).unwrap();
        fs::set_permissions(bare.program(), fs::Permissions::from_mode(0o755)).unwrap();
        bare.command = vec![c_string(&bare.program())];
        bare
    }

    /// The same started by other words, which name the program as `{}`.
    pub(crate) fn behind(mut self, words: &[&str]) -> Self {
        let program = self.program();
        let word = |word: &&str| match *word {
            "{}" => c_string(&program),
            word => CString::new(word).unwrap(),
        };
        self.command = words.iter().map(word).collect();
        self
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    /// Starts it, writes the line, reads the answer, waits for its end.
    pub(crate) fn call(&self) {
        assert!(self.answers(), "{:?} gave no answer", self.command);
    }

    /// The same; whether there was an answer.
    pub(crate) fn answers(&self) -> bool {
        let (their_in, our_in) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        let (our_out, their_out) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut actions = PosixSpawnFileActions::init().unwrap();
        actions.add_dup2(their_in.as_raw_fd(), 0).unwrap();
        actions.add_dup2(their_out.as_raw_fd(), 1).unwrap();
        let attributes = PosixSpawnAttr::init().unwrap();
        let pid = posix_spawnp(
            &self.command[0],
            &actions,
            &attributes,
            &self.command,
            &[] as &[&CStr],
        )
        .unwrap();
        drop((their_in, their_out));
        let asked = File::from(our_in).write_all(self.line.as_bytes());
        let mut answer = Vec::new();
        File::from(our_out).read_to_end(&mut answer).unwrap();
        waitpid(pid, None).unwrap();
        asked.is_ok() && answer.ends_with(b"\n")
    }
}

fn c_string(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}
